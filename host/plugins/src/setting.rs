//! The typed schema of a plugin's own settings.
//!
//! An error states the requirement, and never the value: it may be a secret.

use std::fmt;

use parlor_base::document::{DocumentError, Section};
use parlor_base::nearest::nearest;
use parlor_base::quantity;
use serde_json::Value;

use crate::binding::Binding;
use crate::manifest::keys::{self, MAX_DESCRIPTION};

/// The maximum length of a text in a setting, in bytes.
pub(super) const MAX_TEXT: usize = 16 * 1024;
/// The minimum length of a credential, in bytes: a shorter one would be found in answers that do not contain it.
pub(super) const LEAST_CREDENTIAL: usize = 8;
/// The maximum number of items in a list.
const MAX_ITEMS: usize = 1024;
/// The maximum number of choices in a `choice`.
pub(super) const MAX_CHOICES: usize = 64;

/// A setting that a plugin's author declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The required type of a value.
    pub kind: SettingKind,
    /// The value that applies if none is set. It fits `kind`.
    pub default: Option<Value>,
    /// The author's description of its purpose.
    pub description: String,
    /// Whether the plugin only runs once its owner has given a value.
    pub required: bool,
}

/// The type of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingKind {
    /// A text.
    String,
    /// A number, whole or not.
    Number,
    /// True or false.
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    /// A list of texts.
    List,
    /// A JID (RFC 7622).
    Jid,
    /// A duration: a whole number of seconds, or a text such as `10 s`.
    Duration,
    /// A text that no log, error or other plugin may show.
    Secret,
    /// A text that not even the plugin gets: the host writes it into requests, and verifies requests to webhooks by it. Without a
    /// binding it only verifies requests.
    Credential(Option<Binding>),
}

impl SettingKind {
    /// Returns whether its value is secret, so that the owner gives a reference to it.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Credential(_))
    }

    /// Returns whether a secret of such a setting is long enough.
    pub fn is_long_enough(&self, secret: &str) -> bool {
        !matches!(self, Self::Credential(_)) || secret.len() >= LEAST_CREDENTIAL
    }
}

const KINDS: [&str; 9] = ["string", "number", "boolean", "choice", "list", "jid", "duration", "secret", "credential"];

/// Lists each type as authors write it, with a description of its values and an example.
pub fn kinds() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    let text = format!("a text of at most {MAX_TEXT} bytes");
    let values: [_; KINDS.len()] = [
        (text.clone(), "default = \"Tea!\""),
        ("a number, whole or not".to_owned(), "default = 2.5"),
        ("true or false".to_owned(), "default = false"),
        ("one of the texts in `choices`".to_owned(), "default = \"green\""),
        (format!("a list of at most {MAX_ITEMS} texts"), "default = [\"milk\", \"sugar\"]"),
        ("an address (RFC 7622)".to_owned(), "default = \"kitchen@rooms.example.org\""),
        (
            "a whole number of seconds, or a text with `ms`, `s`, `min`, `h` or `d`; the plugin is given a number of seconds"
                .to_owned(),
            "default = \"4 min\"",
        ),
        (format!("{text}, which no log, error or other plugin shows"), "type = \"secret\""),
        (
            format!(
                "a text of {LEAST_CREDENTIAL} to {MAX_TEXT} bytes that the host writes into requests to the servers in `hosts`, or verifies \
                 requests to webhooks by; the plugin itself only reads `true`"
            ),
            "hosts = [\"https://api.example.org\"]",
        ),
    ];
    KINDS.into_iter().zip(values).map(|(name, (value, example))| (name, value, example))
}

impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Choice(_) => "choice",
            Self::List => "list",
            Self::Jid => "jid",
            Self::Duration => "duration",
            Self::Secret => "secret",
            Self::Credential(_) => "credential",
        })
    }
}

impl Setting {
    /// Checks a value against the schema. The error states the requirement.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let text = |what: &str| match value.as_str() {
            None => Err(format!("it has to be {what}")),
            Some(text) if text.len() > MAX_TEXT => Err(format!("it may have at most {MAX_TEXT} bytes")),
            Some(text) => Ok(text),
        };
        match &self.kind {
            SettingKind::String | SettingKind::Secret => text("a text").map(drop),
            SettingKind::Credential(_) => Err("a credential is given by the owner alone".to_owned()),
            SettingKind::Number if value.is_number() => Ok(()),
            SettingKind::Number => Err("it has to be a number".to_owned()),
            SettingKind::Boolean if value.is_boolean() => Ok(()),
            SettingKind::Boolean => Err("it has to be true or false".to_owned()),
            SettingKind::Choice(choices) => match value.as_str() {
                Some(choice) if choices.iter().any(|known| known == choice) => Ok(()),
                _ => {
                    let choices: Vec<_> = choices.iter().map(|choice| choice.escape_debug().to_string()).collect();
                    Err(format!("it has to be one of {}", choices.join(", ")))
                }
            },
            SettingKind::List => match value.as_array() {
                Some(items) if items.len() > MAX_ITEMS => Err(format!("it may have at most {MAX_ITEMS} items")),
                Some(items) if items.iter().all(|item| item.as_str().is_some_and(|text| text.len() <= MAX_TEXT)) => {
                    Ok(())
                }
                _ => Err("it has to be a list of texts".to_owned()),
            },
            SettingKind::Jid => match text("an address such as \"user@example.org\"")?.parse::<jid::Jid>() {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("it has to be an address such as \"user@example.org\": {error}")),
            },
            SettingKind::Duration => match value {
                Value::Number(seconds) if seconds.is_u64() => Ok(()),
                Value::String(text) => quantity::duration(text).map(drop).map_err(|error| error.to_string()),
                _ => Err("it has to be a whole number of seconds, or a text such as \"10 s\"".to_owned()),
            },
        }
    }

    /// Converts a value to the form that plugins get: a duration becomes a number of seconds, and a credential is only
    /// said to be there.
    pub fn handed(&self, value: Value) -> Value {
        if let SettingKind::Credential(_) = self.kind {
            return true.into();
        }
        let span = value.as_str().filter(|_| self.kind == SettingKind::Duration).map(quantity::duration);
        match span {
            Some(Ok(span)) if span.subsec_millis() == 0 => Value::from(span.as_secs()),
            Some(Ok(span)) => Value::from(span.as_secs_f64()),
            _ => value,
        }
    }

    /// Parses `[settings.NAME]` of a manifest.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, DocumentError> {
        section.allow(&keys::of("settings"))?;
        let node = section.require("type", &format!("write one of {}", KINDS.join(", ")))?;
        let kind = match node.string()? {
            "string" => SettingKind::String,
            "number" => SettingKind::Number,
            "boolean" => SettingKind::Boolean,
            "choice" => {
                let choices = section.require("choices", "list the texts that may be chosen")?;
                let list: Vec<String> = choices.strings(MAX_CHOICES)?.into_iter().map(str::to_owned).collect();
                if list.is_empty() {
                    return Err(choices.error("a choice needs at least one text to choose"));
                }
                SettingKind::Choice(list)
            }
            "list" => SettingKind::List,
            "jid" => SettingKind::Jid,
            "duration" => SettingKind::Duration,
            "secret" => SettingKind::Secret,
            "credential" => SettingKind::Credential(Binding::read(section)?),
            other => return Err(node.value_error(unknown_kind(other))),
        };
        if let (Some(choices), false) = (section.get("choices"), matches!(kind, SettingKind::Choice(_))) {
            return Err(choices.error(format!("only a setting of the type choice has `choices`, this one is a {kind}")));
        }
        let of_credentials = ["hosts", "insert_in"].into_iter().find_map(|key| section.get(key));
        if let (Some(node), false) = (of_credentials, matches!(kind, SettingKind::Credential(_))) {
            let key = node.key();
            return Err(node.error(format!("only a setting of the type credential has `{key}`, this one is a {kind}")));
        }
        let description = section.require("description", "say what it is for")?.sentence(MAX_DESCRIPTION)?;
        let required = section.get("required").map_or(Ok(false), |node| node.boolean())?;
        let mut setting = Self { kind, default: None, description, required };
        if let Some(node) = section.get("default") {
            if setting.kind.is_secret() {
                return Err(node.error("a secret has no default: everybody who has the file could read it"));
            }
            if setting.required {
                return Err(
                    node.error("a setting that has to be given has no default; leave out `required` or `default`")
                );
            }
            let default = node.json()?;
            setting.check(&default).map_err(|why| {
                // The hint must hold without the quotes: `yes` is not a valid value then, either.
                let bare = default.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                let is_quoted = matches!(setting.kind, SettingKind::Number | SettingKind::Boolean)
                    && bare.is_some_and(|bare| setting.check(&bare).is_ok());
                let quoted = if is_quoted { ", without quotation marks" } else { "" };
                node.error(format!("the default does not fit the type {}: {why}{quoted}", setting.kind))
            })?;
            setting.default = Some(default);
        }
        Ok(setting)
    }
}

/// Says that a type is none of the known ones, and which is nearest.
fn unknown_kind(written: &str) -> String {
    let near = nearest(written, KINDS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("unknown type of setting `{}`; known are {}{near}", written.escape_debug(), KINDS.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: SettingKind) -> Setting {
        Setting { kind, default: None, description: String::new(), required: false }
    }

    #[test]
    fn each_kind_takes_its_own_values_and_no_others() {
        let all = [
            json!("Hi"),
            json!(1.5),
            json!(true),
            json!("red"),
            json!(["a", "b"]),
            json!("a@b.c"),
            json!("10 s"),
            json!(10),
            json!(null),
            json!({}),
        ];
        let fits = |kind: SettingKind| -> Vec<usize> {
            let setting = of(kind);
            (0..all.len()).filter(|index| setting.check(&all[*index]).is_ok()).collect()
        };
        assert_eq!(fits(SettingKind::String), [0, 3, 5, 6]);
        assert_eq!(fits(SettingKind::Secret), [0, 3, 5, 6]);
        assert_eq!(fits(SettingKind::Number), [1, 7]);
        assert_eq!(fits(SettingKind::Boolean), [2]);
        assert_eq!(fits(SettingKind::Choice(vec!["red".into(), "blue".into()])), [3]);
        assert_eq!(fits(SettingKind::List), [4]);
        assert_eq!(fits(SettingKind::Duration), [6, 7]);
        assert!(of(SettingKind::Jid).check(&json!("a@b.c")).is_ok());
        assert!(of(SettingKind::Jid).check(&json!("a@@b c")).is_err());
        assert!(of(SettingKind::Jid).check(&json!(1)).is_err());
    }

    #[test]
    fn a_credential_has_a_least_length_and_a_secret_has_none() {
        let credential = SettingKind::Credential(None);
        assert_eq!([7, 8].map(|length| credential.is_long_enough(&"x".repeat(length))), [false, true]);
        assert!(SettingKind::Secret.is_long_enough("x"));
    }

    #[test]
    fn a_refusal_never_repeats_the_value() {
        let canary = "s3cr3t-canary";
        for kind in [
            SettingKind::Number,
            SettingKind::Boolean,
            SettingKind::List,
            SettingKind::Duration,
            SettingKind::Choice(vec!["a".into()]),
        ] {
            assert!(!of(kind).check(&json!(canary)).unwrap_err().contains(canary));
        }
        let long = json!(format!("{canary}{}", "x".repeat(MAX_TEXT)));
        assert!(!of(SettingKind::Secret).check(&long).unwrap_err().contains(canary));
    }

    #[test]
    fn texts_and_lists_are_bounded() {
        assert!(of(SettingKind::String).check(&json!("x".repeat(MAX_TEXT + 1))).is_err());
        assert!(of(SettingKind::List).check(&json!(vec!["x"; MAX_ITEMS + 1])).is_err());
    }
}
