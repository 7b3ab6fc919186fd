//! Settings that change while the account runs, and their immediate effects.
//!
//! Most settings are read whenever they are needed. Changes that affect something already in progress, on this stream
//! or before it, take effect here.

use jid::BareJid;
use parlor_config::Settings;

use super::Features;
use crate::carbons::Carbons;
use crate::records::room_record::WANTS_PASSWORD;
use crate::records::status::Status;
use crate::records::view::View;
use crate::rooms::passwords::{RoomPasswords, enter_held, take_passwords};
use crate::rooms::rejoining::Listed;
use crate::rooms::renaming::{named_anew, named_by_settings, refused_for_nicknames, rename};
use crate::status::follow_default_message;
use crate::turn::Turn;

/// Takes over the passwords that the owner gives for rooms, and asks listed rooms again that refused the ones before.
pub(crate) fn room_passwords_read(features: &mut Features, passwords: RoomPasswords, turn: &mut Turn<'_>) {
    let Features { rooms, bookmarks, .. } = features;
    let new = take_passwords(rooms, passwords);
    enter_held(rooms, turn);
    let has_begun = turn.promises.is_resolved("roomsAutoJoined") || !rooms.auto.is_empty();
    if !turn.is_live() || !turn.announced || !has_begun || !turn.settings.allow_muc {
        return;
    }
    for room in new {
        if rooms.records.out_because(&room) == Some(WANTS_PASSWORD) {
            bookmarks.enter_again(&room, rooms, turn);
        }
    }
}

impl Features {
    pub(crate) fn rewritten(&mut self, before: &Settings, after: &Settings, turn: &mut Turn<'_>) {
        let (old, new) = (turn.settings.clone(), turn.settings.rewritten(before, after));
        if old == new {
            return;
        }
        self.settings_changed(new, turn);
        for room in &old.auto_join_rooms {
            if !turn.settings.auto_join_rooms.iter().any(|listed| listed.jid == room.jid) {
                self.bookmarks.leave_unlisted(&room.jid, &mut self.rooms, turn);
            }
        }
    }

    pub(crate) fn settings_changed(&mut self, settings: Settings, turn: &mut Turn<'_>) {
        let is_named_anew = turn.settings.nickname != settings.nickname
            || turn.settings.muc_nickname_from_jid != settings.muc_nickname_from_jid
            || turn.settings.auto_join_rooms != settings.auto_join_rooms;
        let bookmark_of = |room: &BareJid| self.bookmarks.get(room).cloned();
        let mut named = if is_named_anew { named_by_settings(&self.rooms, &bookmark_of, turn) } else { Vec::new() };
        let refused = if is_named_anew { refused_for_nicknames(&self.rooms, &bookmark_of, turn) } else { Vec::new() };
        let before = std::mem::replace(&mut turn.settings, settings);
        turn.changed = true;
        // A room that is no longer listed is left, or stays as it is.
        let lists = |settings: &Settings, room: &BareJid| settings.auto_join_rooms.iter().any(|one| one.jid == *room);
        named.retain(|room| !lists(&before, room) || lists(&turn.settings, room));
        rename(&mut self.rooms, &named, &bookmark_of, turn);
        let refused = named_anew(refused, &bookmark_of, turn);
        turn.configure_own();
        // The status was not set otherwise yet, and was not announced.
        if before.default_state != turn.settings.default_state
            && !turn.promises.is_resolved("statusInitialized")
            && turn.status == Status::initial(&before)
        {
            turn.status.value = Status::initial(&turn.settings).value;
        }
        follow_default_message(&before, &mut self.roster, &mut self.rooms, turn);
        // The settings below are applied when the connect order reaches them.
        if !turn.is_live() || !turn.announced {
            return;
        }
        if before.message_carbons != turn.settings.message_carbons {
            Carbons::switch(&self.disco, turn);
        }
        if before.message_archiving != turn.settings.message_archiving {
            self.archives.ask_archive_preferences(turn);
        }
        let bookmarked = |settings: &Settings| settings.allow_muc && settings.allow_bookmarks;
        match (bookmarked(&before), bookmarked(&turn.settings)) {
            (false, true) => self.bookmarks.fetch(turn),
            (true, false) => self.bookmarks.forget(&mut self.rooms),
            _ => {}
        }
        let has_begun = turn.promises.is_resolved("roomsAutoJoined") || !self.rooms.auto.is_empty();
        for room in refused.iter().filter(|_| has_begun) {
            self.bookmarks.enter_again(room, &mut self.rooms, turn);
        }
        if turn.promises.is_resolved("roomsAutoJoined") {
            if turn.settings.allow_muc {
                for room in turn.settings.auto_join_rooms.clone() {
                    if !before.auto_join_rooms.contains(&room) || !before.allow_muc {
                        let was_listed = before.auto_join_rooms.iter().any(|listed| listed.jid == room.jid);
                        let listed = if was_listed { Listed::Already } else { Listed::Newly };
                        self.bookmarks.enter_listed(room, listed, &mut self.rooms, turn);
                    }
                }
            }
            for jid in turn.settings.auto_join_private_chats.clone() {
                if !before.auto_join_private_chats.contains(&jid) {
                    self.start_chat(jid, None, View::new(false), turn);
                }
            }
        }
    }
}
