//! Ad-hoc commands (XEP-0050): those of the host for its owners, and the declared commands of plugins as forms.

use jid::{FullJid, Jid};
use parlor_stanza::types::{AdHoc, AdHocRequest, COMMANDS, Disco, Outgoing, Reply};

use super::Features;
use crate::commands::filling::client;
use crate::commands::people::Around;
use crate::effect::Effect;
use crate::owners::{OWNER_COMMANDS, command_node};
use crate::turn::{Common, Turn};

/// Carries out a step of an ad-hoc command: of a plugin here, of the host elsewhere, for owners alone.
pub(super) fn carry_out(features: &mut Features, from: Option<Jid>, id: String, command: AdHoc, turn: &mut Turn<'_>) {
    let owner = features.owners.find(from.as_ref(), turn);
    let Features { commands, rooms, roster, owners, .. } = features;
    let around = Around { rooms, roster, owners };
    let person = client(from.as_ref(), around, turn);
    let is_form = person.filter(|person| commands.form_node(person, &command.node, around).is_some());
    let filled = match (is_form, owner) {
        (Some(person), _) => commands.fill(&person, command, &id, around, turn),
        (None, Some(owner)) => {
            return turn.out.push(Effect::Command(AdHocRequest { from: owner.into(), id, command }));
        }
        (None, None) => None,
    };
    let reply = match filled {
        Some(Ok(Some(answer))) => Reply::AdHoc(Box::new(answer)),
        // The plugin answers, or the host if it does not.
        Some(Ok(None)) => return,
        Some(Err(refusal)) => Reply::RefuseAdHoc(refusal),
        // The same answer as from an entity without commands: whether an account has an owner is private.
        None => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
    };
    turn.send(Outgoing::Reply { to: from, id, reply });
}

/// Returns node and name of each ad-hoc command that the sender may give; none if there is none.
pub(super) fn offered(features: &Features, from: Option<&Jid>, turn: &mut Turn<'_>) -> Option<Vec<(String, String)>> {
    let is_owner = features.owners.find(from, turn).is_some();
    let own = OWNER_COMMANDS.iter().filter(|_| is_owner);
    let own = own.map(|(node, name)| ((*node).to_owned(), (*name).to_owned()));
    let around = around(features);
    let forms = client(from, around, turn).map(|person| features.commands.offered(&person, around)).unwrap_or_default();
    Some(own.chain(forms).collect::<Vec<_>>()).filter(|items| !items.is_empty())
}

/// Returns the information about the list of commands or the command of a plugin, for a sender who may give one.
pub(super) fn node(features: &Features, from: Option<&Jid>, node: &str, turn: &Turn<'_>) -> Option<Disco> {
    let around = around(features);
    let person: FullJid = client(from, around, turn)?;
    if node == COMMANDS {
        return command_node(node).filter(|_| !features.commands.offered(&person, around).is_empty());
    }
    features.commands.form_node(&person, node, around)
}

/// Returns the features that know people.
fn around(features: &Features) -> Around<'_> {
    Around { rooms: &features.rooms, roster: &features.roster, owners: &features.owners }
}

/// Announces ad-hoc commands if anybody may be offered some.
pub(crate) fn announce(features: &Features, common: &mut Common) {
    let is_any = features.owners.are_any() || features.commands.has_declared();
    common.offer(if is_any { vec![COMMANDS] } else { Vec::new() });
}
