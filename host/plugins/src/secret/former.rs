//! The former secret of a setting. Until its time ends, it verifies requests to webhooks beside the present one, so that no
//! request is lost while senders change their secrets.
//!
//! In a policy it stands beside the reference to the present secret:
//! `key = { file = "…", former = { file = "…", until = "2026-01-31T12:00:00Z" } }`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::SecretSource;

/// The error's advice for an owner who wrote something else.
const INSTEAD: &str =
    "`former` names where the former secret is and when it ends: { file = \"…\", until = \"2026-01-31T12:00:00Z\" }";

/// The place of a former secret, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The place where the owner keeps it.
    pub source: SecretSource,
    /// The time from which it verifies nothing.
    pub until: Timestamp,
}

impl Former {
    /// Returns the former secret of a reference in a policy, if it has one.
    pub fn of(reference: &Value) -> Option<Self> {
        Self::read(reference.get("former")?).ok()
    }

    pub(super) fn read(value: &Value) -> Result<Self, &'static str> {
        let mut table = value.as_object().cloned().ok_or(INSTEAD)?;
        let until = table.remove("until").ok_or(INSTEAD)?;
        let until = until.as_str().and_then(|until| until.parse().ok()).ok_or(INSTEAD)?;
        if table.contains_key("former") || table.contains_key("senders") {
            return Err(INSTEAD);
        }
        let source = SecretSource::read(&Value::Object(table)).map_err(|_| INSTEAD)?;
        Ok(Self { source, until })
    }

    /// Adds it to the reference to the present secret.
    #[must_use]
    pub fn beside(&self, present: &SecretSource) -> Value {
        let (mut reference, mut former) = (present.written(), self.source.written());
        former["until"] = json!(self.until.to_string());
        reference["former"] = former;
        reference
    }
}

/// A former secret that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct FormerSecret {
    text: String,
    until: Timestamp,
}

impl fmt::Debug for FormerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormerSecret").field("until", &self.until).finish_non_exhaustive()
    }
}

impl FormerSecret {
    pub(super) fn new(text: String, until: Timestamp) -> Self {
        Self { text, until }
    }

    /// Returns the secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether it still counts.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Returns when it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Returns the name under which it stands beside the values of a plugin. No setting has a name with a space.
    fn key(setting: &str) -> String {
        format!("{setting} former")
    }

    /// Puts it beside the value of its setting.
    pub(super) fn put(self, setting: &str, values: &mut BTreeMap<String, Value>) {
        values.insert(Self::key(setting), json!({ "text": self.text, "until": self.until.to_string() }));
    }

    /// Takes the former secrets out of the values that were read, by the name of the setting. The plugin reads the rest.
    pub fn take_all(values: &mut BTreeMap<String, Value>) -> BTreeMap<String, Self> {
        let all = values.extract_if(.., |name, _| name.contains(' '));
        let read = all.filter_map(|(key, value)| {
            let until = value.get("until")?.as_str()?.parse().ok()?;
            let setting = key.strip_suffix(" former")?.to_owned();
            Some((setting, Self { text: value.get("text")?.as_str()?.to_owned(), until }))
        });
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_reference_has_a_former_secret_with_a_time_or_none() {
        let former = Former { source: SecretSource::File("/old".into()), until: until() };
        let reference = former.beside(&SecretSource::File("/new".into()));
        assert_eq!(reference, json!({ "file": "/new", "former": { "file": "/old", "until": "2026-01-31T12:00:00Z" } }));
        assert_eq!(SecretSource::read(&reference), Ok(SecretSource::File("/new".into())));
        assert_eq!(Former::of(&reference), Some(former));
        assert_eq!(Former::of(&json!({ "file": "/new" })), None);
        for bad in [
            json!("s3cr3t"),
            json!({ "file": "/old" }),
            json!({ "until": "2026-01-31T12:00:00Z" }),
            json!({ "file": "/old", "until": "soon" }),
            json!({ "file": "/old", "until": 1 }),
            json!({ "file": "/old", "command": "x", "until": "2026-01-31T12:00:00Z" }),
            json!({ "file": "/old", "until": "2026-01-31T12:00:00Z", "former": { "file": "/older" } }),
        ] {
            let reference = json!({ "file": "/new", "former": bad });
            assert_eq!(SecretSource::read(&reference), Err(INSTEAD), "{reference}");
        }
    }

    #[test]
    fn a_former_secret_counts_until_its_time() {
        let former = FormerSecret::new("s3cr3t".to_owned(), until());
        let second = jiff::SignedDuration::from_secs(1);
        assert_eq!(
            [until() - second, until(), until() + second].map(|now| former.counts_at(now)),
            [true, false, false]
        );
    }

    #[test]
    fn what_was_read_stands_beside_the_values_and_no_plugin_reads_it() {
        let mut values = BTreeMap::from([("key".to_owned(), json!("new"))]);
        FormerSecret::new("s3cr3t".to_owned(), until()).put("key", &mut values);
        assert_eq!(values.len(), 2);
        let former = FormerSecret::take_all(&mut values);
        assert_eq!(former["key"].text(), "s3cr3t");
        assert_eq!((former["key"].until(), former.len()), (until(), 1));
        assert_eq!(values, BTreeMap::from([("key".to_owned(), json!("new"))]));
        assert!(!format!("{former:?}").contains("s3cr3t"));
    }
}
