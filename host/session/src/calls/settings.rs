//! Changing settings of the host.

use std::collections::BTreeMap;

use parlor_config::Settings;
use parlor_stanza::error::CallError;
use serde_json::Value;

use super::Command;
use crate::answer::Answer;
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

    // A new nickname goes to each room that the account is in, and new rooms are entered.
    const SENDS: bool = true;

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
