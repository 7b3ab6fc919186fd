//! The secrets of single senders. They verify requests to webhooks beside the secret of the setting, so that each sender of a webhook may
//! have its own.
//!
//! In a policy they stand beside the reference to the secret of the setting, and each may have a [former](super::Former) one:
//! `key = { file = "…", senders = { garden = { file = "…" } } }`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{FormerSecret, SecretSource};
use crate::webhook::is_name;

/// The maximum number of senders with their own secret. With that of the setting there are 16: each request is compared with all of them.
pub const MOST_SENDERS: usize = 15;
/// The key of a reference under which the secrets of senders stand.
const KEY: &str = "senders";
/// The error's advice for an owner who wrote something else.
const INSTEAD: &str = "`senders` names the secrets of at most 15 senders: { garden = { file = \"…\" } }; a name has 1 to 32 of a-z, 0-9, _ and -, the first one a letter";

/// Checks the secrets of senders in a reference.
pub(super) fn check(value: &Value) -> Result<(), &'static str> {
    let table = value.as_object().filter(|table| table.len() <= MOST_SENDERS).ok_or(INSTEAD)?;
    for (name, own) in table {
        if !is_name(name) || own.get(KEY).is_some() {
            return Err(INSTEAD);
        }
        SecretSource::read(own)?;
    }
    Ok(())
}

/// Returns the references to the secrets of senders in a reference that was checked, by the name of the sender.
pub(super) fn of(reference: &Value) -> Map<String, Value> {
    reference.get(KEY).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Returns a reference with these secrets of senders.
pub(super) fn beside(mut reference: Value, senders: Map<String, Value>) -> Value {
    if let Some(table) = reference.as_object_mut() {
        table.remove(KEY);
        if !senders.is_empty() {
            table.insert(KEY.to_owned(), Value::Object(senders));
        }
    }
    reference
}

/// The name of a secret: a setting, and the sender if it is that of a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretName<'a> {
    /// The setting.
    pub setting: &'a str,
    /// The sender.
    pub sender: Option<&'a str>,
}

impl fmt::Display for SecretName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sender {
            None => f.write_str(self.setting),
            Some(sender) => write!(f, "{} for the sender {sender}", self.setting),
        }
    }
}

impl<'a> SecretName<'a> {
    /// Returns the name of the secret of a setting.
    pub fn setting(setting: &'a str) -> Self {
        Self { setting, sender: None }
    }

    /// Returns the name of the file in which the command line keeps it. No setting has a name with a dot, and no sender either.
    pub(crate) fn file(self) -> String {
        match self.sender {
            None => self.setting.to_owned(),
            Some(sender) => format!("{}.sender.{sender}", self.setting),
        }
    }

    /// Returns its own part of the reference of its setting.
    pub fn of(self, reference: &Value) -> Option<Value> {
        match self.sender {
            None => Some(beside(reference.clone(), Map::new())),
            Some(sender) => reference.get(KEY)?.get(sender).cloned(),
        }
    }

    /// Returns the reference of its setting with this part for it. The other secrets stay.
    #[must_use]
    pub fn within(self, reference: &Value, own: Value) -> Value {
        let mut senders = of(reference);
        match self.sender {
            None => beside(own, senders),
            Some(sender) => {
                senders.insert(sender.to_owned(), own);
                beside(reference.clone(), senders)
            }
        }
    }
}

/// Returns the names of the senders with their own secret in a reference.
pub fn sender_names(reference: &Value) -> Vec<String> {
    of(reference).into_iter().map(|(name, _)| name).collect()
}

/// Returns a reference without the secret of a sender; `None` if it has none.
pub fn without_sender(reference: &Value, sender: &str) -> Option<Value> {
    let mut senders = of(reference);
    senders.remove(sender)?;
    Some(beside(reference.clone(), senders))
}

/// The secret of a single sender that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct SenderSecret {
    name: String,
    text: String,
    former: Option<FormerSecret>,
}

impl fmt::Debug for SenderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SenderSecret {
    /// Returns the name of the sender.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the former secret, while it counts.
    pub fn former_at(&self, now: Timestamp) -> Option<&FormerSecret> {
        self.former.as_ref().filter(|former| former.counts_at(now))
    }

    /// Returns the secret and the former one.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_str()).chain(self.former.as_ref().map(FormerSecret::text))
    }

    /// Returns the name under which it stands beside the values of a plugin. No setting and no sender has a name with a space.
    pub(super) fn key(setting: &str, sender: &str) -> String {
        format!("{setting} sender {sender}")
    }

    /// Puts it beside the values under its key.
    pub(super) fn put(key: String, text: &str, values: &mut BTreeMap<String, Value>) {
        values.insert(key, json!({ "text": text }));
    }

    /// Takes the secrets of senders out of the values that were read, by the name of the setting, with their former ones. Must come
    /// before [`FormerSecret::take_all`], which takes all that stands beside the values.
    pub fn take_all(values: &mut BTreeMap<String, Value>) -> BTreeMap<String, Vec<Self>> {
        let own = values.extract_if(.., |key, _| key.split(' ').nth(1) == Some("sender"));
        let (mut former, present) = own.partition::<BTreeMap<String, Value>, _>(|(key, _)| key.split(' ').count() > 3);
        let mut former = FormerSecret::take_all(&mut former);
        let mut all = BTreeMap::<String, Vec<Self>>::new();
        for (key, value) in present {
            let mut parts = key.split(' ');
            let (setting, name, text) = (parts.next(), parts.nth(1), value.get("text").and_then(Value::as_str));
            if let (Some(setting), Some(name), Some(text)) = (setting, name, text) {
                let one = Self { name: name.to_owned(), text: text.to_owned(), former: former.remove(&key) };
                all.entry(setting.to_owned()).or_default().push(one);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: &str = "2026-01-31T12:00:00Z";

    fn until() -> Timestamp {
        UNTIL.parse().unwrap()
    }

    #[test]
    fn a_reference_has_secrets_of_a_few_senders_and_each_may_have_a_former_one() {
        let former = json!({ "file": "/old", "until": UNTIL });
        let whole = json!({ "file": "/a", "senders": { "garden": { "file": "/g", "former": former }, "shop": { "command": "x" } } });
        assert_eq!(SecretSource::read(&whole), Ok(SecretSource::File("/a".into())));
        let places: Vec<_> = SecretSource::all_of(&whole).collect();
        let file = |path: &str| SecretSource::File(path.into());
        assert_eq!(places, [file("/a"), file("/g"), file("/old"), SecretSource::Command("x".to_owned())]);
        assert_eq!(sender_names(&whole), ["garden", "shop"]);
        let many = |count: usize| {
            let all = (0..count).map(|number| (format!("s{number}"), json!({ "file": "/x" })));
            SecretSource::read(&beside(json!({ "file": "/a" }), all.collect()))
        };
        assert!(many(MOST_SENDERS).is_ok());
        assert_eq!(many(MOST_SENDERS + 1), Err(INSTEAD));
        for bad in [
            json!("s3cr3t"),
            json!(["garden"]),
            json!({ "garden": "s3cr3t" }),
            json!({ "garden": {} }),
            json!({ "Garden": { "file": "/g" } }),
            json!({ "a b": { "file": "/g" } }),
            json!({ "a.former": { "file": "/g" } }),
            json!({ "": { "file": "/g" } }),
            json!({ "garden": { "file": "/g", "until": UNTIL } }),
            json!({ "garden": { "file": "/g", "senders": {} } }),
        ] {
            let reference = json!({ "file": "/a", "senders": bad });
            assert!(!SecretSource::read(&reference).unwrap_err().contains("s3cr3t"), "{reference}");
        }
        let nested = json!({ "file": "/a", "former": { "file": "/old", "until": UNTIL, "senders": {} } });
        assert!(SecretSource::read(&nested).is_err());
    }

    #[test]
    fn a_change_of_one_secret_leaves_the_others() {
        let [one, garden] = [SecretName::setting("key"), SecretName { setting: "key", sender: Some("garden") }];
        let alone = json!({ "file": "/a" });
        let both = garden.within(&alone, json!({ "file": "/g" }));
        assert_eq!(both, json!({ "file": "/a", "senders": { "garden": { "file": "/g" } } }));
        assert_eq!((one.of(&both), garden.of(&both)), (Some(alone.clone()), Some(json!({ "file": "/g" }))));
        let other = one.within(&both, json!({ "file": "/b" }));
        assert_eq!(other, json!({ "file": "/b", "senders": { "garden": { "file": "/g" } } }));
        assert_eq!(without_sender(&both, "garden"), Some(alone.clone()));
        assert_eq!((without_sender(&both, "shop"), garden.of(&alone)), (None, None));
    }

    #[test]
    fn what_was_read_of_senders_stands_beside_the_values_and_no_plugin_reads_it() {
        let mut values = BTreeMap::from([("key".to_owned(), json!("one"))]);
        // The second one has the name of a part of a key.
        for sender in ["garden", "former"] {
            SenderSecret::put(SenderSecret::key("key", sender), &format!("s3cr3t of {sender}"), &mut values);
        }
        let (key, former) = (SenderSecret::key("key", "former"), FormerSecret::new("old s3cr3t".to_owned(), until()));
        former.put(&key, &mut values);
        FormerSecret::new("older".to_owned(), until()).put("key", &mut values);
        let all = SenderSecret::take_all(&mut values);
        let texts: Vec<_> = all["key"].iter().map(|one| (one.name(), one.texts().collect::<Vec<_>>())).collect();
        assert_eq!(texts, [("former", vec!["s3cr3t of former", "old s3cr3t"]), ("garden", vec!["s3cr3t of garden"])]);
        let second = jiff::SignedDuration::from_secs(1);
        let counts = [until() - second, until()].map(|now| all["key"][0].former_at(now).is_some());
        assert_eq!(counts, [true, false]);
        assert_eq!(FormerSecret::take_all(&mut values)["key"].text(), "older");
        assert_eq!(values, BTreeMap::from([("key".to_owned(), json!("one"))]));
        assert!(!format!("{all:?}").contains("s3cr3t"));
    }
}
