//! Who may give commands to the host itself from an ordinary client (XEP-0050). What comes of them is decided elsewhere.

use jid::{BareJid, FullJid, Jid};

use super::Session;
use crate::stanza::{COMMANDS, Disco, Identity};

/// The commands that there are, by node, with what a client shows for each.
pub const OWNER_COMMANDS: [(&str, &str); 5] = [
    ("status", "Show the house"),
    ("list", "List plugins"),
    ("enable", "Let a plugin run"),
    ("disable", "Keep a plugin from running"),
    ("restart", "Start a plugin anew"),
];

/// What the list of commands or one of them is, for a client that asks before it shows it (XEP-0050, section 2).
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

impl Session {
    /// Whoever may give commands to the host itself, from now on.
    pub fn set_owners(&mut self, owners: Vec<BareJid>) {
        if owners.is_empty() != self.owners.is_empty() {
            self.offer(if owners.is_empty() { Vec::new() } else { vec![COMMANDS] });
        }
        self.owners = owners;
    }

    /// Whether this is a command, for somebody who may give it.
    pub(super) fn has_command(&self, from: Option<&Jid>, node: &str) -> bool {
        self.owner(from).is_some() && command_node(node).is_some()
    }

    /// Who sent this, if it is an owner at a client. Servers vouch for the sender (RFC 6120, section 8.1.2.1); somebody in a
    /// room speaks as the room's occupant, never under his own address. The account may be its owner's own: then any of its
    /// other clients may be the owner's, but what comes from this very one a plugin has sent.
    pub(super) fn owner(&self, from: Option<&Jid>) -> Option<FullJid> {
        let from = from?.try_as_full().ok()?;
        let is_owner = *from != self.own && self.owners.contains(&from.to_bare());
        is_owner.then(|| from.clone())
    }
}
