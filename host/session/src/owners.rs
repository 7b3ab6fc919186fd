//! The owners. They may give commands to the host itself from an ordinary client (XEP-0050). The commands are carried
//! out elsewhere.

pub(super) mod telling;

use std::fmt;

use jid::{BareJid, FullJid, Jid};
use parlor_stanza::types::{COMMANDS, Disco, Identity};

use crate::turn::Turn;

/// The commands by node, with the name that a client shows for each.
pub const OWNER_COMMANDS: [(&str, &str); 8] = [
    ("status", "Show the host"),
    ("list", "List plugins"),
    ("enable", "Let a plugin run"),
    ("disable", "Keep a plugin from running"),
    ("restart", "Start a plugin anew"),
    ("keys", "Show keys for encrypted messages"),
    ("trust", "Trust a key"),
    ("distrust", "Distrust a key"),
];

/// Returns the information about the list of commands or one of them, for a client that asks before it shows it
/// (XEP-0050, section 2).
pub(super) fn command_node(node: &str) -> Option<Disco> {
    let (kind, name, features) = if node == COMMANDS {
        ("command-list", "Commands", Vec::new())
    } else {
        let (_, name) = OWNER_COMMANDS.iter().find(|(known, _)| *known == node)?;
        ("command-node", *name, [COMMANDS, "jabber:x:data"].map(str::to_owned).to_vec())
    };
    let is =
        Identity { category: "automation".to_owned(), kind: kind.to_owned(), name: Some(name.to_owned()), lang: None };
    Some(Disco { identities: vec![is], features, ..Disco::default() })
}

/// The people who may give commands to the host itself.
#[derive(Default)]
pub(super) struct Owners {
    people: Vec<BareJid>,
    is_of_host: Option<IsOfHost>,
}

/// Tells whether an address is a client by which the host is logged in to one of its accounts.
type IsOfHost = Box<dyn Fn(&Jid) -> bool + Send + Sync>;

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners").field("people", &self.people).finish_non_exhaustive()
    }
}

impl Owners {
    /// Sets the people who may give commands to the host itself.
    pub(super) fn set(&mut self, owners: Vec<BareJid>) {
        self.people = owners;
    }

    /// Sets how to find out which addresses are clients of the host.
    pub(super) fn know_clients(&mut self, is_of_host: IsOfHost) {
        self.is_of_host = Some(is_of_host);
    }

    /// Returns their addresses.
    pub(super) fn all(&self) -> &[BareJid] {
        &self.people
    }

    /// Returns whether there are any.
    pub(super) fn are_any(&self) -> bool {
        !self.people.is_empty()
    }

    /// Returns whether this is the address of one of them.
    pub(super) fn has(&self, jid: &BareJid) -> bool {
        self.people.contains(jid)
    }

    /// Returns whether this is the host's own client at the address of an owner, which is an account of the host as well. A plugin there
    /// may have sent whatever comes from it.
    pub(super) fn is_client_of_host(&self, from: &Jid) -> bool {
        self.has(&from.to_bare()) && self.is_of_host.as_ref().is_some_and(|is_of_host| is_of_host(from))
    }

    /// Returns whether this is a command, for a sender who may give it.
    pub(super) fn may_give(&self, from: Option<&Jid>, node: &str, turn: &mut Turn<'_>) -> bool {
        self.find(from, turn).is_some() && command_node(node).is_some()
    }

    /// Returns the sender's address, if it is an owner's client. Servers vouch for the sender (RFC 6120, section
    /// 8.1.2.1). Someone in a room appears as an occupant, never under the own address. The account may be its owner's
    /// own: then any of its other clients may be the owner's, but a stanza from this very client was sent by a plugin.
    pub(super) fn find(&self, from: Option<&Jid>, turn: &mut Turn<'_>) -> Option<FullJid> {
        let from = from?.try_as_full().ok()?;
        let is_owner = *from != turn.own && self.people.contains(&from.to_bare());
        is_owner.then(|| from.clone())
    }
}
