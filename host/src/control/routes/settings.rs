//! The requests that show and change the settings of a plugin. No secret is among them, neither to be read nor to be written: a
//! reference to one may lead to any file of the host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_base::escape::escape_untrusted;
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admin::{AdminError, PluginAdmin, SettingChange, change_settings};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::SettingValues;
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_runtime::audited::record;
use parlor_store::By;
use serde_json::Value;

use crate::control::handle::HostHandle;
use crate::control::http::{Answer, json};
use crate::control::refusal::Refusal;
use crate::control::request::Request;
use crate::control::switching;
use crate::control::views::{NewSetting, PluginSetting};
use crate::host::Host;

/// The longest body of a change, in bytes, as the form of the window has it.
const LONGEST_CHANGE: usize = 64 << 10;
/// The most bytes that all settings of a plugin take once they were changed here. The values of all plugins are in one file, which has
/// an end.
const LONGEST_OF_ALL: usize = 64 << 10;
/// The most of a name that is shown, in bytes.
const LONGEST_NAME: usize = 200;

/// From this many manifests on, all that are known are forgotten.
const MOST_MANIFESTS: usize = 64;
/// The manifests of plugins whose settings were asked for lately.
static MANIFESTS: Manifests = Manifests(Mutex::new(BTreeMap::new()));

/// Manifests by the digests of the files that they are in. To read and check such a file takes long and tens of megabytes, and a session
/// decides how often its page is loaded.
struct Manifests(Mutex<BTreeMap<Digest, Arc<Manifest>>>);

impl Manifests {
    /// Returns the manifest in the file with this digest, which is read unless it is known. One file is read at a time.
    fn of<E>(&self, digest: Digest, read: impl FnOnce() -> Result<Arc<Manifest>, E>) -> Result<Arc<Manifest>, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manifest) = known.get(&digest) {
            return Ok(Arc::clone(manifest));
        }
        let manifest = read()?;
        if known.len() >= MOST_MANIFESTS {
            known.clear();
        }
        known.insert(digest, Arc::clone(&manifest));
        Ok(manifest)
    }
}

/// Shows the settings of a plugin.
pub(super) async fn show(host: &Host, id: &PluginId) -> Result<Answer, Refusal> {
    let (config, plugin) = (host.config(), id.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let admin = PluginAdmin::new(&config);
        let (manifest, values) = looked(&admin, &plugin)?;
        let shown = |(name, setting): (&String, &Setting)| shown(name, setting, &values);
        Ok::<Vec<PluginSetting>, AdminError>(manifest.settings.iter().map(shown).collect())
    });
    json(&reading.await.map_err(|error| Refusal::NotApplied(error.to_string()))?.map_err(|error| refused(id, &error))?)
}

/// Changes settings as the body says, all of them or none, and has the host apply them.
pub(super) async fn change(handle: &HostHandle, id: &PluginId, request: &Request, by: &By) -> Result<(), Refusal> {
    let changes = changes(&request.body)?;
    let (config, plugin, by) = (handle.host.config(), id.clone(), by.clone());
    // It blocks on locks and on the disk.
    let changing = tokio::task::spawn_blocking(move || {
        let admin = PluginAdmin::new(&config).recording(|decided| record(&config, decided, &by));
        let (manifest, values) = looked(&admin, &plugin).map_err(|error| refused(&plugin, &error))?;
        for change in &changes {
            fits(&plugin, manifest.settings.get(&change.name), change)?;
        }
        are_short(&plugin, &values, &changes)?;
        change_settings(&admin, &plugin, &changes).map_err(|error| refused(&plugin, &error))
    });
    changing.await.map_err(|error| Refusal::NotApplied(error.to_string()))??;
    switching::reload(&handle.orders).await.map_err(Refusal::NotApplied)
}

/// Returns the manifest of a plugin, and the values of its settings.
fn looked(admin: &PluginAdmin<'_>, id: &PluginId) -> Result<(Arc<Manifest>, SettingValues), AdminError> {
    let entry = admin.entry(id)?;
    // Only the file that the owner approved has this digest.
    let manifest = MANIFESTS.of(entry.digest, || Ok::<_, AdminError>(admin.look(id, &entry)?.manifest))?;
    Ok((manifest, entry.settings))
}

/// Returns a setting with its value, unless that is a secret or may be a reference to one.
fn shown(name: &str, setting: &Setting, values: &SettingValues) -> PluginSetting {
    let is_open = !setting.kind.is_secret();
    let given = values.0.get(name);
    let choices = if let SettingKind::Choice(choices) = &setting.kind { choices.clone() } else { Vec::new() };
    PluginSetting {
        name: name.to_owned(),
        kind: setting.kind.to_string(),
        choices,
        description: setting.description.clone(),
        required: setting.required,
        default: setting.default.clone().filter(|_| is_open),
        value: given.filter(|value| is_open && setting.check(value).is_ok()).cloned(),
        is_set: given.is_some(),
    }
}

/// Reads the changes of a body.
fn changes(body: &[u8]) -> Result<Vec<SettingChange>, Refusal> {
    let all: Option<Vec<NewSetting>> =
        Some(body).filter(|body| body.len() <= LONGEST_CHANGE).and_then(|body| serde_json::from_slice(body).ok());
    let wrong = || {
        let says = "the body is a list of settings with `name`, `shown` and `new`, of at most 64 KiB";
        Refusal::Value(says.to_owned())
    };
    let change = |NewSetting { name, shown, new }| SettingChange { name, shown, new };
    Ok(all.ok_or_else(wrong)?.into_iter().map(change).collect())
}

/// Refuses a change of a secret, of something that is no setting, or to a value that does not fit.
fn fits(id: &PluginId, setting: Option<&Setting>, change: &SettingChange) -> Result<(), Refusal> {
    let name = escape_untrusted(&change.name, LONGEST_NAME);
    let open = setting.filter(|setting| !setting.kind.is_secret());
    let open = open.ok_or_else(|| Refusal::Value(format!("{id} has no setting {name} that can be changed here")))?;
    let checked = change.new.as_ref().map_or(Ok(()), |new| open.check(new));
    checked.map_err(|why| Refusal::Value(format!("the setting {name} does not fit: {why}")))
}

/// Refuses changes that make the settings of a plugin too long together.
fn are_short(id: &PluginId, values: &SettingValues, changes: &[SettingChange]) -> Result<(), Refusal> {
    let length = |name: &String, value: &Value| name.len() + value.to_string().len();
    let before: usize = values.0.iter().map(|(name, value)| length(name, value)).sum();
    let stays = |name: &String| changes.iter().all(|change| change.name != *name);
    let left = values.0.iter().filter(|(name, _)| stays(name));
    let new = changes.iter().filter_map(|change| Some((&change.name, change.new.as_ref()?)));
    let after: usize = left.chain(new).map(|(name, value)| length(name, value)).sum();
    if after > LONGEST_OF_ALL && after > before {
        return Err(Refusal::Value(format!("the settings of {id} take at most 64 KiB together")));
    }
    Ok(())
}

/// Returns the refusal for an error of the files. Most of these name files.
fn refused(id: &PluginId, error: &AdminError) -> Refusal {
    match error {
        AdminError::Unknown { .. } => Refusal::NoPlugin(id.clone()),
        AdminError::SettingChanged { .. } => Refusal::NotDone(error.to_string()),
        _ => Refusal::NotApplied(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    fn setting(kind: SettingKind) -> Setting {
        Setting { kind, default: Some(value!("usual")), description: "what for".to_owned(), required: false }
    }

    #[test]
    fn no_secret_is_shown() {
        let of = |kind: SettingKind, given: Value| {
            let values = SettingValues([("key".to_owned(), given)].into());
            let shown = shown("key", &setting(kind), &values);
            (shown.value, shown.default, shown.is_set)
        };
        let usual = Some(value!("usual"));
        assert_eq!(of(SettingKind::String, value!("open")), (Some(value!("open")), usual.clone(), true));
        for kind in [SettingKind::Secret, SettingKind::Credential(None)] {
            for given in [value!("hunter2"), value!({ "file": "/secret/place" })] {
                assert_eq!(of(kind.clone(), given), (None, None, true), "{kind}");
            }
        }
        // A new version of the plugin made an open setting of a secret.
        assert_eq!(of(SettingKind::String, value!({ "file": "/secret/place" })), (None, usual, true));
    }

    #[test]
    fn nobody_refers_to_a_file_of_the_host() {
        let id: PluginId = "own".parse().unwrap();
        let of = |setting: Option<&Setting>, new: Value| {
            let change = SettingChange { name: "key".to_owned(), shown: None, new: Some(new) };
            fits(&id, setting, &change).map_err(|refusal| refusal.status().as_u16())
        };
        let open = setting(SettingKind::String);
        assert_eq!(of(Some(&open), value!("mine")), Ok(()));
        let file = || value!({ "file": "/home/host/.ssh/id_ed25519" });
        assert_eq!(of(Some(&open), file()), Err(400));
        for kind in [SettingKind::Secret, SettingKind::Credential(None)] {
            let secret = setting(kind);
            assert_eq!([of(Some(&secret), file()), of(Some(&secret), value!("mine"))], [Err(400); 2]);
        }
        assert_eq!(of(None, value!("mine")), Err(400));
    }

    /// They are in one file with those of all other plugins.
    #[test]
    fn the_settings_of_a_plugin_take_no_more_than_so_much_together() {
        let id: PluginId = "own".parse().unwrap();
        let text = |length: usize| value!("x".repeat(length));
        let of = |given: usize, other: usize, new: Option<usize>| {
            let values = SettingValues([("given".to_owned(), text(given)), ("other".to_owned(), text(other))].into());
            let change = SettingChange { name: "given".to_owned(), shown: Some(text(given)), new: new.map(text) };
            are_short(&id, &values, &[change]).map_err(|refusal| refusal.status().as_u16())
        };
        let most = LONGEST_OF_ALL - 2 * "given\"\"".len();
        assert_eq!([of(0, 0, Some(most)), of(most / 2, most / 2, Some(most / 2))], [Ok(()); 2]);
        assert_eq!([of(0, 0, Some(most + 1)), of(0, most, Some(1))], [Err(400); 2]);
        // Those who run the host may have given more, and it may become less.
        assert_eq!([of(9 * most, most, Some(8 * most)), of(9, most, None)], [Ok(()); 2]);
    }

    /// A customer could keep the host busy by loading a page again and again.
    #[test]
    fn the_file_of_a_plugin_is_read_once_for_all_pages_with_its_settings() {
        let text = "[plugin]\nname = \"own\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n";
        let manifest = Arc::new(Manifest::parse(text).unwrap());
        let manifests = Manifests(Mutex::new(BTreeMap::new()));
        let mut count = 0;
        let mut ask = |file: &[u8], is_there: bool| {
            let read = || {
                count += 1;
                if is_there { Ok(Arc::clone(&manifest)) } else { Err(()) }
            };
            let found = manifests.of(Digest::of(file), read).is_ok();
            (found, count)
        };
        assert_eq!([ask(b"a", false), ask(b"a", true), ask(b"a", true)], [(false, 1), (true, 2), (true, 2)]);
        assert_eq!([ask(b"b", true), ask(b"b", false)], [(true, 3); 2]);
        for number in 0..3 * MOST_MANIFESTS {
            ask(&number.to_be_bytes(), true);
        }
        assert!(manifests.0.lock().unwrap().len() <= MOST_MANIFESTS);
    }

    #[test]
    fn a_change_is_a_list_of_settings() {
        let read = changes(br#"[{"name":"a","shown":null,"new":5},{"name":"b","shown":"x"}]"#).unwrap();
        let change = |name: &str, shown, new| SettingChange { name: name.to_owned(), shown, new };
        assert_eq!(read, [change("a", None, Some(value!(5))), change("b", Some(value!("x")), None)]);
        let long = format!("[{{\"name\":\"a\",\"new\":\"{}\"}}]", "x".repeat(LONGEST_CHANGE));
        for wrong in ["", "{}", "[{}]", r#"[{"name":"a","file":"/x"}]"#, &long] {
            assert!(matches!(changes(wrong.as_bytes()), Err(Refusal::Value(_))), "{wrong:.40}");
        }
    }
}
