//! The own status, and announcing it.

use std::time::Duration;

use jid::Jid;
use parlor_config::Settings;
use parlor_stanza::raw::BroadcastPresence;
use parlor_stanza::types::{Outgoing, PresenceOut, PresenceOutKind, Show, kept};

use crate::event::Payload;
use crate::presence::PRESENCE_PATIENCE;
use crate::records::status::{Status, StatusValue};
use crate::rooms::Rooms;
use crate::rooms::renaming::ask_for_new_nicknames;
use crate::roster::Roster;
use crate::turn::{FollowUp, Link, Turn};

/// Maximum length of a status text, in bytes.
pub(super) const MAX_MESSAGE: usize = 4_096;

/// How long after the account showed itself its server may still tell that it was gone before.
const GONE_BEFORE: Duration = Duration::from_secs(30);

/// Takes over the status from presence for everyone that a plugin sent as a stanza. Rooms get only our unavailable
/// presence, which the server sends.
pub(super) fn status_sent(sent: BroadcastPresence, roster: &mut Roster, rooms: &mut Rooms, turn: &mut Turn<'_>) {
    let value = match (sent.is_available, sent.show) {
        (false, _) if turn.status.value.is_hidden() => turn.status.value,
        (false, _) => StatusValue::Unavailable,
        (true, None) => StatusValue::Online,
        (true, Some(Show::Chat)) => StatusValue::Chat,
        (true, Some(Show::Away)) => StatusValue::Away,
        (true, Some(Show::Dnd)) => StatusValue::Dnd,
        (true, Some(Show::Xa)) => StatusValue::Xa,
    };
    let message = kept(sent.status, MAX_MESSAGE);
    let before = std::mem::replace(&mut turn.status, Status { value, message });
    status_changed(&before, roster, rooms, turn);
}

/// Applies a new status, after it was announced.
pub(super) fn status_changed(before: &Status, roster: &mut Roster, rooms: &mut Rooms, turn: &mut Turn<'_>) {
    if turn.status != *before {
        turn.changed = true;
    }
    if turn.announced && turn.is_live() {
        match (before.value.is_hidden(), turn.status.value.is_hidden()) {
            // From here on, the presence of others is not reported to us.
            (false, true) => roster.doubt_presence(turn),
            (true, false) => {
                turn.shown_at = Some(turn.deadlines.elapsed());
                // Messages that came while the account seemed to be offline may be only in its archive.
                turn.may_have_missed();
                // Presence that was on its way then may have come since.
                roster.doubt_presence(turn);
                roster.await_presence(Some(PRESENCE_PATIENCE), turn);
                rooms.enter_wanted(turn);
                ask_for_new_nicknames(rooms, turn);
                turn.follow(FollowUp::AvailableAgain);
                turn.follow(FollowUp::NodesAgain);
            }
            (false, false) | (true, true) => {}
        }
    }
    if turn.status.value != before.value {
        turn.fire("statusChanged", Payload::Status(turn.status.clone()));
    }
    if turn.status.message != before.message {
        turn.fire("statusMessageChanged", Payload::Status(turn.status.clone()));
    }
}

/// Takes over another default text at once, unless a plugin has set one of its own.
pub(super) fn follow_default_message(before: &Settings, roster: &mut Roster, rooms: &mut Rooms, turn: &mut Turn<'_>) {
    let [was, is] = [before, &turn.settings].map(|settings| Status::initial(settings).message);
    if was == is || turn.status.message != was {
        return;
    }
    let is_told = turn.promises.is_resolved("statusInitialized");
    let before = Status { value: turn.status.value, message: std::mem::replace(&mut turn.status.message, is) };
    // A hidden account shows it when it is seen.
    if turn.announced && turn.is_live() && !turn.status.value.is_hidden() {
        announce(rooms, turn);
    }
    if is_told {
        status_changed(&before, roster, rooms, turn);
    }
}

/// Sends the own status to everyone who may see it, and to the rooms.
pub(super) fn announce(rooms: &mut Rooms, turn: &mut Turn<'_>) {
    turn.send(Outgoing::Presence(turn.presence_to(None)));
    turn.caps_told();
    if turn.status.value.is_hidden() {
        // The server itself informs the rooms (RFC 6121, section 4.6.3).
        return;
    }
    rooms.changed_while_entering();
    let occupied: Vec<Jid> = rooms.occupied().collect();
    for occupant in occupied {
        turn.send(Outgoing::Presence(turn.presence_to(Some(occupant))));
    }
}

/// Shows the account again if its server takes it for gone, as Prosody does when an older session of the same client ends late
/// (its issue 1121). A server also tells so if the account itself was gone before.
pub(super) fn taken_for_gone(rooms: &mut Rooms, turn: &mut Turn<'_>) {
    let now = turn.deadlines.elapsed();
    let was_gone = turn.shown_at.is_some_and(|shown| now.saturating_sub(shown) < GONE_BEFORE);
    if was_gone || !turn.announced || turn.link != Link::Up || turn.status.value.is_hidden() {
        return;
    }
    turn.may_have_missed();
    show_again(turn);
    rooms.ask_all_whether_inside(turn);
}

/// Sends the own presence again, since the server took the account for gone.
pub(super) fn show_again(turn: &mut Turn<'_>) {
    turn.shown_at = Some(turn.deadlines.elapsed());
    turn.send(Outgoing::Presence(turn.presence_to(None)));
    turn.follow(FollowUp::AvailableAgain);
    turn.follow(FollowUp::NodesAgain);
}

impl Turn<'_> {
    /// Sends the first presence on a stream. A hidden account sends none: it was not visible to anyone yet. If a
    /// previous process left the session (`is_taken_up`), the server has stored that one's messages as well, unless the account moves in a
    /// cluster: it stays present then.
    pub(super) fn announce_first(&mut self, is_taken_up: bool) {
        self.announced = true;
        self.changed = true;
        let is_shown = !self.status.value.is_hidden();
        self.arriving = if is_taken_up { self.moving.clone() } else { is_shown.then_some(self.bound_at..=self.now) };
        if is_taken_up {
            // Not before: a server stores messages that arrive between the two.
            self.say_gone();
        }
        if is_shown {
            self.caps_told();
            self.send(Outgoing::Presence(self.presence_to(None)));
            if is_taken_up {
                self.shown_at = Some(self.deadlines.elapsed());
                self.follow(FollowUp::AvailableAgain);
            }
        }
    }

    /// Takes back the presence of the process that had the session before.
    pub(super) fn say_gone(&mut self) {
        self.send(Outgoing::Presence(PresenceOut { kind: PresenceOutKind::Unavailable, ..PresenceOut::default() }));
    }

    /// Returns the own status as presence; without an address, for everyone who may see it.
    pub(super) fn presence_to(&self, to: Option<Jid>) -> PresenceOut {
        let hidden = self.status.value.is_hidden();
        let kind = if hidden { PresenceOutKind::Unavailable } else { PresenceOutKind::Available };
        PresenceOut {
            priority: to.is_none().then_some(self.settings.priority),
            to,
            kind,
            show: self.status.value.show(),
            status: Some(self.status.message.clone()).filter(|message| !message.is_empty()),
            join: None,
            avatar: (!hidden).then(|| self.own_avatar.clone()),
            caps: (!hidden).then(|| self.own_disco.caps()),
        }
    }
}
