//! A plugin's own settings on one account, in layers. They outlive its instances.

mod hidden;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use jid::BareJid;
use parlor_base::log_level::ChosenLevel;
use parlor_base::nearest::nearest;
use parlor_config::SETTINGS;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::RoomSettings;
use parlor_plugins::secret::{FormerSecret, SenderSecret};
use parlor_plugins::setting::SettingKind;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_one_line;
use serde_json::Value;

pub(crate) use self::hidden::{Hidden, Mask};

/// The maximum number of settings that a plugin may add beyond its schema.
const MAX_ADDED: usize = 64;
/// The maximum length of one value's JSON, in bytes.
const MAX_VALUE: usize = 64 << 10;
/// The maximum memory of all values that a plugin gives, in bytes.
const MAX_HELD: usize = 1 << 20;
/// The maximum length of a name, in bytes.
const MAX_KEY: usize = 128;
/// The maximum number of requested but missing names that are warned about.
const MAX_MISSED: usize = 16;

/// Names of settings.
type Names = BTreeSet<String>;

/// The names that the instance asked for and that have no setting.
type Missed = Option<Box<Names>>;

/// Settings by name.
pub(super) type Values = BTreeMap<String, Value>;

/// The settings of one plugin, in layers. The first layer that has a value wins: values that the plugin set since the owner changed
/// them, then the owner's in the policy (for the room, then for everywhere), then `[settings]` of the configuration, then defaults that
/// the plugin offered, then its manifest.
#[derive(Debug)]
pub struct OwnSettings {
    manifest: Arc<Manifest>,
    layers: ArcSwap<Layers>,
    /// Held briefly by writers, and when a name is missed. Other readers never wait.
    writing: Mutex<Missed>,
    /// The minimum level of its log lines.
    pub log: ChosenLevel,
}

#[derive(Debug, Clone, Default)]
struct Layers {
    set: Values,
    owner: Arc<Owner>,
    offered: Values,
}

/// The owner's values.
#[derive(Debug, Default)]
struct Owner {
    values: Values,
    /// The owner's values for single rooms.
    in_rooms: RoomSettings,
    /// The former secrets, which the plugin does not get.
    former: BTreeMap<String, FormerSecret>,
    /// The secrets of single senders of webhooks, which the plugin does not get either.
    senders: BTreeMap<String, Vec<SenderSecret>>,
    /// The texts that no answer may show, from the credentials among the values. Most plugins have none, or make no
    /// requests.
    hidden: OnceLock<Arc<Hidden>>,
}

impl Owner {
    fn of(mut values: Values, in_rooms: RoomSettings) -> Arc<Self> {
        let senders = SenderSecret::take_all(&mut values);
        let former = FormerSecret::take_all(&mut values);
        Arc::new(Self { values, in_rooms, former, senders, hidden: OnceLock::new() })
    }

    /// Returns the value for a room, else the general one.
    fn get(&self, key: &str, room: Option<&BareJid>) -> Option<&Value> {
        let own = room.and_then(|room| self.in_rooms.get(room.as_str(), key));
        own.or_else(|| self.values.get(key))
    }
}

/// The layer that a plugin writes a value to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A value that the plugin set; it lasts as long as the process.
    Set,
    /// A default that the plugin offered.
    Offered,
}

impl OwnSettings {
    /// Creates the settings from the schema and the owner's values, which were checked at admission.
    pub fn new(manifest: Arc<Manifest>, owner: Values, in_rooms: RoomSettings) -> Self {
        /// Most plugins have no values.
        static EMPTY: LazyLock<Arc<Layers>> = LazyLock::new(Arc::default);
        let is_empty = owner.is_empty() && in_rooms.is_empty();
        let given = || Arc::new(Layers { owner: Owner::of(owner, in_rooms), ..Layers::default() });
        let layers = if is_empty { Arc::clone(&EMPTY) } else { given() };
        let layers = ArcSwap::new(layers);
        Self { manifest, layers, writing: Mutex::default(), log: ChosenLevel::default() }
    }

    /// Returns the winning value. `written` is the value under `[settings]`; it counts only if the plugin claims the
    /// name.
    pub fn get(&self, key: &str, written: impl FnOnce() -> Option<Value>) -> Option<Value> {
        self.get_in(None, key, written)
    }

    /// Does the same for a room: the owner's value for the room overrides the general one.
    pub fn get_in(&self, room: Option<&BareJid>, key: &str, written: impl FnOnce() -> Option<Value>) -> Option<Value> {
        self.winner(&self.layers.load(), room, key, written)
    }

    /// Returns whether the owner gave any value for a single room.
    pub fn differ_by_room(&self) -> bool {
        !self.layers.load().owner.in_rooms.is_empty()
    }

    fn winner(
        &self,
        layers: &Layers,
        room: Option<&BareJid>,
        key: &str,
        written: impl FnOnce() -> Option<Value>,
    ) -> Option<Value> {
        let setting = self.manifest.settings.get(key);
        let fits = |value: &Value| setting.is_none_or(|setting| setting.check(value).is_ok());
        let written = || if self.claims_in(layers, key) { written().filter(fits) } else { None };
        let given = layers.set.get(key).or_else(|| layers.owner.get(key, room)).cloned();
        let value = given
            .or_else(written)
            .or_else(|| layers.offered.get(key).cloned())
            .or_else(|| setting.and_then(|setting| setting.default.clone()))?;
        Some(match setting {
            Some(setting) => setting.handed(value),
            None => value,
        })
    }

    /// Returns whether the plugin's manifest declares a setting of this name.
    pub fn declares(&self, key: &str) -> bool {
        self.manifest.settings.contains_key(key)
    }

    /// Returns whether the plugin has a setting of this name, from its manifest or added since.
    pub fn claims(&self, key: &str) -> bool {
        self.claims_in(&self.layers.load(), key)
    }

    fn claims_in(&self, layers: &Layers, key: &str) -> bool {
        self.declares(key) || layers.offered.contains_key(key) || layers.set.contains_key(key)
    }

    fn writing(&self) -> MutexGuard<'_, Missed> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the plugin read a setting without a value. Returns whether to warn about it now: the plugin does
    /// not claim the name, and this is the first time that it asks.
    pub fn missed(&self, key: &str) -> bool {
        let mut missed = self.writing();
        let count = missed.as_ref().map_or(0, |missed| missed.len());
        !self.claims(key) && count < MAX_MISSED && missed.get_or_insert_default().insert(key.to_owned())
    }

    /// Returns the most similar name among the settings of the manifest and of the host.
    pub fn nearest(&self, key: &str) -> Option<&str> {
        let declared = self.manifest.settings.keys().map(String::as_str);
        nearest(key, declared.chain(SETTINGS.iter().map(|rule| rule.key)))
    }

    /// Returns the requirement that a value under `[settings]` violates, if it does not fit the plugin's schema.
    pub fn misfit(&self, key: &str, value: &Value) -> Option<String> {
        self.manifest.settings.get(key)?.check(value).err()
    }

    /// Returns the type of a setting that the manifest declares.
    pub fn kind(&self, key: &str) -> Option<&SettingKind> {
        self.manifest.settings.get(key).map(|setting| &setting.kind)
    }

    /// Returns the owner's credentials with these names, only for requests that the host makes. Also returns the texts
    /// that the answers must not show: every credential of the owner, in any room. Both are from the same moment.
    pub(crate) fn credentials(&self, room: Option<&BareJid>, keys: &[String]) -> (Vec<Option<String>>, Arc<Hidden>) {
        let layers = self.layers.load();
        let owner = &layers.owner;
        let is_credential = |key: &str| matches!(self.kind(key), Some(SettingKind::Credential(_)));
        let credential = |key: &str| owner.get(key, room).filter(|_| is_credential(key))?.as_str();
        let hidden = owner.hidden.get_or_init(|| {
            let everywhere = owner.values.iter().map(|(key, value)| (key.as_str(), value));
            let all = everywhere.chain(owner.in_rooms.iter().map(|(_, key, value)| (key, value)));
            let present = all.filter_map(|(key, value)| Some((key, value.as_str()?)));
            let former = owner.former.iter().map(|(key, secret)| (key.as_str(), secret.text()));
            let senders = owner.senders.iter().flat_map(|(key, all)| all.iter().map(move |one| (key.as_str(), one)));
            let senders = senders.flat_map(|(key, one)| one.texts().map(move |text| (key, text)));
            let texts = present.chain(former).chain(senders).filter(|(key, _)| is_credential(key));
            Arc::new(Hidden::of(texts.map(|(_, text)| text)))
        });
        (keys.iter().map(|key| credential(key).map(str::to_owned)).collect(), Arc::clone(hidden))
    }

    /// Returns the owner's text for a setting, else the author's default. A value that the plugin set is never used.
    pub fn given(&self, key: &str) -> Option<String> {
        let setting = self.manifest.settings.get(key)?;
        let layers = self.layers.load();
        layers.owner.values.get(key).or(setting.default.as_ref())?.as_str().map(str::to_owned)
    }

    /// Returns the former secret of a setting, if it has one.
    pub fn former(&self, key: &str) -> Option<FormerSecret> {
        self.layers.load().owner.former.get(key).cloned()
    }

    /// Returns the secrets that single senders of webhooks have beside that of a setting.
    pub fn senders(&self, key: &str) -> Vec<SenderSecret> {
        self.layers.load().owner.senders.get(key).cloned().unwrap_or_default()
    }

    /// Returns the settings that no other plugin may read.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.manifest.secrets()
    }

    /// Parses the JSON values that a plugin gives. The memory of each is counted before the next one is parsed: an
    /// object of three bytes of text takes several hundred in memory.
    pub fn read(argument: &str, given: &[(String, String)]) -> Result<Values, CallError> {
        let mut held = 0;
        let read = |(key, json): &(String, String)| {
            Self::check_key(key)?;
            if json.len() > MAX_VALUE {
                return Err(CallError::invalid(argument, format!("{key} is longer than {MAX_VALUE} bytes")));
            }
            let value = serde_json::from_str(json)
                .map_err(|error| CallError::invalid(argument, format!("{key}: not JSON: {error}")))?;
            held += weight(&value);
            if held > MAX_HELD { Err(too_much()) } else { Ok((key.clone(), value)) }
        };
        given.iter().map(read).collect()
    }

    /// Checks whether these values could be set.
    pub fn check(&self, layer: Layer, values: &Values) -> Result<(), CallError> {
        self.changed(&self.layers.load(), layer, values).map(drop)
    }

    /// Sets all of these values or none. Returns those that changed, each with the value that wins now.
    pub fn change(
        &self,
        layer: Layer,
        values: Values,
        written: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<BTreeMap<String, Option<Value>>, CallError> {
        let _writing = self.writing();
        let before = self.layers.load();
        let Some(after) = self.changed(&before, layer, &values)? else { return Ok(BTreeMap::new()) };
        Ok(self.replace(&before, after, values.into_keys(), written))
    }

    /// Replaces the owner's values, after they changed in the policy. They were checked as at admission. A setting that
    /// changed only in a room is among the changes, with the value that applies elsewhere. If the owner changed a value,
    /// the one that the plugin had set before ends: otherwise the change would do nothing until the host is restarted.
    pub fn owner_changed(
        &self,
        owner: Values,
        in_rooms: RoomSettings,
        written: &dyn Fn(&str) -> Option<Value>,
    ) -> BTreeMap<String, Option<Value>> {
        let _writing = self.writing();
        let before = self.layers.load_full();
        let old = &before.owner;
        let differs =
            |(room, key, value): &(&str, &str, &Value), other: &RoomSettings| other.get(room, key) != Some(*value);
        let gone = old.in_rooms.iter().filter(|one| differs(one, &in_rooms));
        let new = in_rooms.iter().filter(|one| differs(one, &old.in_rooms));
        let in_a_room: BTreeSet<String> = gone.chain(new).map(|(_, key, _)| key.to_owned()).collect();
        let keys: BTreeSet<String> = old.values.keys().chain(owner.keys()).cloned().collect();
        let mut after = Layers::clone(&before);
        after.set.retain(|key, _| !in_a_room.contains(key) && old.values.get(key) == owner.get(key));
        after.owner = Owner::of(owner, in_rooms);
        let mut changes = self.replace(&before, after, keys, written);
        for key in in_a_room {
            let now = self.get(&key, || written(&key));
            changes.entry(key).or_insert(now);
        }
        changes
    }

    /// Prepares for another run of a parked plugin, which offers its defaults again. Names that were warned about
    /// stay known.
    pub fn wakes(&self) {
        let _writing = self.writing();
        let before = self.layers.load_full();
        if !before.offered.is_empty() {
            self.layers.store(Arc::new(Layers { offered: Values::new(), ..Layers::clone(&before) }));
        }
    }

    /// Prepares for a new instance, which offers its own defaults.
    pub fn restart(&self) {
        self.wakes();
        *self.writing() = None;
    }

    fn replace(
        &self,
        before: &Layers,
        after: Layers,
        keys: impl IntoIterator<Item = String>,
        written: &dyn Fn(&str) -> Option<Value>,
    ) -> BTreeMap<String, Option<Value>> {
        let different = |key: String| {
            let now = self.winner(&after, None, &key, || written(&key));
            (now != self.winner(before, None, &key, || written(&key))).then_some((key, now))
        };
        let changes = keys.into_iter().filter_map(different).collect();
        self.layers.store(Arc::new(after));
        changes
    }

    /// Returns the layers with these values; `None` if they have them already.
    fn changed(&self, before: &Layers, layer: Layer, values: &Values) -> Result<Option<Layers>, CallError> {
        for (key, value) in values {
            self.fits(key, value)?;
        }
        let old = match layer {
            Layer::Set => &before.set,
            Layer::Offered => &before.offered,
        };
        if values.iter().all(|(key, value)| old.get(key) == Some(value)) {
            return Ok(None);
        }
        let mut after = before.clone();
        match layer {
            Layer::Set => &mut after.set,
            Layer::Offered => &mut after.offered,
        }
        .extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
        let added = after.set.keys().chain(after.offered.keys().filter(|key| !after.set.contains_key(*key)));
        if added.filter(|key| !self.declares(key)).count() > MAX_ADDED {
            return Err(CallError::OverLimit(format!("{MAX_ADDED} settings beyond the manifest's")));
        }
        if after.set.values().chain(after.offered.values()).map(weight).sum::<usize>() > MAX_HELD {
            return Err(too_much());
        }
        Ok(Some(after))
    }

    /// Checks whether a setting can have this name.
    pub fn check_key(key: &str) -> Result<(), CallError> {
        if key.is_empty() || key.len() > MAX_KEY || !is_one_line(key) {
            let reason = format!("a name of 1 to {MAX_KEY} bytes without control characters");
            return Err(CallError::invalid("key", reason));
        }
        Ok(())
    }

    fn fits(&self, key: &str, value: &Value) -> Result<(), CallError> {
        Self::check_key(key)?;
        match self.manifest.settings.get(key) {
            Some(setting) => {
                setting.check(value).map_err(|reason| CallError::invalid("value", format!("{key}: {reason}")))
            }
            None => Ok(()),
        }
    }
}

fn too_much() -> CallError {
    CallError::OverLimit(format!("{MAX_HELD} bytes of settings in memory"))
}

/// Estimates how many bytes of memory a value takes.
fn weight(value: &Value) -> usize {
    /// The memory of an object's first entry, with the room allocated for others.
    const OBJECT: usize = 640;
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(weight).sum(),
            Value::Object(entries) if entries.is_empty() => 0,
            Value::Object(entries) => {
                OBJECT
                    + entries.iter().map(|(key, value)| size_of::<String>() + key.len() + weight(value)).sum::<usize>()
            }
        }
}

#[cfg(test)]
mod tests;
