//! Settings that change while the account runs, and their immediate effects.
//!
//! Most settings are read whenever they are needed. Changes that affect something already in progress, on this stream
//! or before it, take effect here.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_config::Settings;
use parlor_stanza::error::CallError;
use serde_json::Value;

use super::{Status, View};
use crate::carbons::Carbons;
use crate::command::{Answer, Command};
use crate::features::Features;
use crate::turn::Turn;

/// The previous values that a setting from a plugin replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wins {
    /// Any previous value.
    Always,
    /// Only the default.
    OverDefault,
}

/// Change settings of the host. All of them are changed, or none. Answered when they are changed.
#[derive(Debug)]
pub struct ChangeSettings {
    /// The settings with their new values.
    pub values: BTreeMap<String, Value>,
    /// The previous values that they replace.
    pub wins: Wins,
}

impl Command for ChangeSettings {
    type Answer = ();

    const SENDS: bool = false;

    fn weight(&self) -> usize {
        self.values.values().map(weight).sum()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let changed = self.apply_to(&turn.settings).map(|settings| {
            if settings != turn.settings {
                features.settings_changed(settings, turn);
            }
        });
        turn.answer(answer, changed);
    }
}

impl ChangeSettings {
    /// Returns the changed settings: all of the changes are made, or none. The caller's permission was checked before.
    fn apply_to(self, before: &Settings) -> Result<Settings, CallError> {
        let mut settings = before.clone();
        for (key, value) in self.values {
            let changed = match self.wins {
                Wins::Always => settings.with(&key, value),
                Wins::OverDefault => settings.with_default(&key, value),
            };
            settings = changed.map_err(|error| CallError::invalid("value", error.to_string()))?;
        }
        Ok(settings)
    }
}

impl Features {
    pub(super) fn rewritten(&mut self, before: &Settings, after: &Settings, turn: &mut Turn<'_>) {
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

    fn settings_changed(&mut self, settings: Settings, turn: &mut Turn<'_>) {
        let before = std::mem::replace(&mut turn.settings, settings);
        turn.changed = true;
        turn.configure_own();
        // The status was not set otherwise yet, and was not announced.
        if before.default_state != turn.settings.default_state
            && !turn.promises.is_resolved("statusInitialized")
            && turn.status == Status::initial(&before)
        {
            turn.status = Status::initial(&turn.settings);
        }
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
        if turn.promises.is_resolved("roomsAutoJoined") {
            if turn.settings.allow_muc {
                for room in turn.settings.auto_join_rooms.clone() {
                    if !before.auto_join_rooms.contains(&room) || !before.allow_muc {
                        let bookmark = self.bookmarks.get(&room.jid).map(Arc::as_ref);
                        self.rooms.one(&room.jid, turn).enter_by_itself(room.nick, bookmark);
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

/// Returns about how many bytes of memory a value takes.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + weight(value)).sum(),
    };
    size_of::<Value>() + inside
}
