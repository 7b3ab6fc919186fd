//! Settings that change while the account runs, and their immediate effects.
//!
//! Most settings are read whenever they are needed. Changes that affect something already in progress, on this stream
//! or before it, take effect here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parlor_config::Settings;
use parlor_stanza::error::CallError;
use serde_json::Value;

use super::{Effect, Session, Status, Turn, View, Wins};

impl Session {
    /// Returns the present settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes all settings, or none. The caller's permission was checked before.
    pub(super) fn change_settings(
        &mut self,
        values: BTreeMap<String, Value>,
        wins: Wins,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let mut settings = self.settings.clone();
        for (key, value) in values {
            let changed = match wins {
                Wins::Always => settings.with(&key, value),
                Wins::OverDefault => settings.with_default(&key, value),
            };
            settings = changed.map_err(|error| CallError::invalid("value", error.to_string()))?;
        }
        if settings != self.settings {
            self.settings_changed(settings, turn);
        }
        Ok(())
    }

    /// Applies settings that the owner changed in the configuration. Differences take effect at once. A room that is no
    /// longer listed is left, unless a bookmark wants us there.
    pub fn rewritten(&mut self, before: &Settings, after: &Settings, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        let (old, new) = (self.settings.clone(), self.settings.rewritten(before, after));
        if old == new {
            return;
        }
        self.settings_changed(new, turn);
        for room in &old.auto_join_rooms {
            if !self.settings.auto_join_rooms.iter().any(|listed| listed.jid == room.jid) {
                self.leave_unlisted(&room.jid, turn);
            }
        }
    }

    fn settings_changed(&mut self, settings: Settings, turn: &mut Turn<'_>) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.changed = true;
        self.configure_own();
        // The status was not set otherwise yet, and was not announced.
        if before.default_state != self.settings.default_state
            && !self.promises.is_resolved("statusInitialized")
            && self.status == Status::initial(&before)
        {
            self.status = Status::initial(&self.settings);
        }
        // The settings below are applied when the connect order reaches them.
        if !self.is_live() || !self.announced {
            return;
        }
        if before.message_carbons != self.settings.message_carbons {
            self.switch_carbons(turn);
        }
        if before.message_archiving != self.settings.message_archiving {
            self.ask_archive_preferences(turn);
        }
        let bookmarked = |settings: &Settings| settings.allow_muc && settings.allow_bookmarks;
        match (bookmarked(&before), bookmarked(&self.settings)) {
            (false, true) => self.fetch_bookmarks(turn),
            (true, false) => self.forget_bookmarks(),
            _ => {}
        }
        if self.promises.is_resolved("roomsAutoJoined") {
            if self.settings.allow_muc {
                for room in self.settings.auto_join_rooms.clone() {
                    if !before.auto_join_rooms.contains(&room) || !before.allow_muc {
                        self.enter_by_itself(&room.jid, room.nick, turn);
                    }
                }
            }
            for jid in self.settings.auto_join_private_chats.clone() {
                if !before.auto_join_private_chats.contains(&jid) {
                    self.start_chat(jid, None, View::new(false), turn);
                }
            }
        }
    }
}
