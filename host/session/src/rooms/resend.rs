//! Resending: outgoing stanzas that were lost with a stream and are sent again on the next one.

use jid::BareJid;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::Outgoing;

use super::Rooms;
use crate::effect::Effect;
use crate::turn::Turn;

/// Maximum number of stanzas that wait for rooms.
const MAX_WAITING: usize = 1_024;

/// Stanzas for rooms that we have not entered again yet. Before that, the room would refuse them.
#[derive(Debug, Default)]
pub(super) struct Resend(Vec<(BareJid, RawStanza)>);

impl Resend {
    /// Drops the stanzas for a room that we are no longer in.
    pub(super) fn forget(&mut self, room: &BareJid) {
        self.0.retain(|(waits_for, _)| waits_for != room);
    }

    /// Sends the stanzas for a room once we are in it again.
    pub(super) fn send_to_room_again(&mut self, room: &BareJid, turn: &mut Turn<'_>) {
        let ready = self.0.extract_if(.., |(waits_for, _)| waits_for == room);
        turn.out.extend(ready.map(|(_, stanza)| Effect::Send(Outgoing::Again(stanza))));
    }
}

impl Rooms {
    /// Sends the stanzas that the server of a previous stream did not acknowledge. Stanzas for a room wait until we are
    /// in it again.
    pub(crate) fn send_again(&mut self, stanzas: Vec<RawStanza>, turn: &mut Turn<'_>) {
        for stanza in stanzas {
            match stanza.to() {
                Some(to) if self.will_be_entered(&to.to_bare()) => {
                    if self.resend.0.len() < MAX_WAITING {
                        self.resend.0.push((to.to_bare(), stanza));
                    } else {
                        turn.ignored += 1;
                    }
                }
                Some(_) | None => turn.send(Outgoing::Again(stanza)),
            }
        }
    }

    /// Drops all stanzas that wait.
    pub(crate) fn forget_resends(&mut self) {
        self.resend.0.clear();
    }
}
