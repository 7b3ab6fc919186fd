//! Replaces the secret of a webhook without loss: the former secret verifies requests, too, until a time or until the owner
//! ends it. Also gives single senders their own secrets, which are replaced in the same way.
//!
//! At each moment the policy names secrets that are there. So the former one is put aside first, and the new one comes
//! last: if a step fails, the present secret counts as before.

use std::path::Path;

use jiff::Timestamp;
use parlor_base::id::PluginId;
use serde_json::Value;

use super::recording::{Decided, change_entry, record};
use super::settings::{fits, former, is_same, judge, stored, write, written};
use super::{AdminError, PluginAdmin, known};
use crate::manifest::Manifest;
use crate::policy::Entry;
use crate::secret::{Former, MOST_SENDERS, SecretName, SecretSource, sender_names, without_sender};

/// A new secret.
#[derive(Clone, Copy)]
pub enum NewSecret<'a> {
    /// This text, which is kept in a file of the data folder.
    Text(&'a str),
    /// The secret at this place.
    At(&'a SecretSource),
}

/// Replaces the secret of webhooks. The former one counts, too, until this time. One that was the former secret until
/// now ends.
pub fn rotate_secret(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    name: SecretName<'_>,
    new: NewSecret<'_>,
    until: Timestamp,
) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?.clone();
    let own = admin.secrets.path(id, None, &name.file());
    let manifest = judge(admin, (id, &entry), None, name.setting, &place(&own, new).written())?;
    let present = replaced((id, &entry), name, new, &manifest)?;
    let whole = |own: Value| name.within(entry.settings.0.get(name.setting).unwrap_or(&Value::Null), own);
    let what = format!("{name} (the former one counts until {until})");
    record(admin, Decided::Secret { id, name: &what })?;
    // The file of the present secret is about to be written.
    let is_overwritten =
        matches!((&new, &present), (NewSecret::Text(_), SecretSource::File(file)) if is_same(file, &own));
    let source = if is_overwritten {
        let text = std::fs::read_to_string(&own).map_err(|cause| admin.unwritten(cause))?;
        SecretSource::File(stored(admin, id, None, &former(&name.file()), &text)?)
    } else {
        present.clone()
    };
    let former = Former { source, until };
    change_entry(admin, &mut file, id, &[written(None, name.setting, Some(&whole(former.beside(&present))))?])?;
    let new = kept(admin, id, name, new)?;
    write(admin, &mut file, id, None, name.setting, Some(&whole(former.beside(&new))))
}

/// Gives a sender of webhooks its own secret beside that of the setting, or another one. One that it had before ends.
pub fn set_sender(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    setting: &str,
    sender: &str,
    new: NewSecret<'_>,
) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?.clone();
    let name = SecretName { setting, sender: Some(sender) };
    let present = entry.settings.0.get(setting).filter(|reference| SecretSource::read(reference).is_ok());
    let lacks = || AdminError::NoSecretForAll { id: id.clone(), name: setting.to_owned() };
    let present = present.ok_or_else(lacks)?;
    let senders = sender_names(present);
    if senders.len() >= MOST_SENDERS && !senders.iter().any(|one| one == sender) {
        return Err(AdminError::TooManySenders { id: id.clone(), name: setting.to_owned() });
    }
    let place = place(&admin.secrets.path(id, None, &name.file()), new);
    let manifest = judge(admin, (id, &entry), None, setting, &name.within(present, place.written()))?;
    verifies(id, name, &manifest)?;
    if let NewSecret::Text(text) = new {
        fits(id, &manifest, setting, text)?;
    }
    record(admin, Decided::Secret { id, name: &name.to_string() })?;
    let new = kept(admin, id, name, new)?;
    write(admin, &mut file, id, None, setting, Some(&name.within(present, new.written())))
}

/// Takes the own secret of a sender away, with its former one.
pub fn remove_sender(admin: &PluginAdmin<'_>, id: &PluginId, setting: &str, sender: &str) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let reference = known(admin, file.policy(), id)?.settings.0.get(setting);
    let without = reference.and_then(|reference| without_sender(reference, sender));
    let (name, sender) = (setting.to_owned(), sender.to_owned());
    let without = without.ok_or_else(|| AdminError::NoSender { id: id.clone(), name, sender })?;
    write(admin, &mut file, id, None, setting, Some(&without))
}

/// Returns the place that a new secret will have.
fn place(own: &Path, new: NewSecret<'_>) -> SecretSource {
    match new {
        NewSecret::Text(_) => SecretSource::File(own.to_owned()),
        NewSecret::At(source) => source.clone(),
    }
}

/// Stores a new secret that is a text. Returns its place.
fn kept(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    name: SecretName<'_>,
    new: NewSecret<'_>,
) -> Result<SecretSource, AdminError> {
    Ok(match new {
        NewSecret::Text(text) => SecretSource::File(stored(admin, id, None, &name.file(), text)?),
        NewSecret::At(source) => source.clone(),
    })
}

/// Checks that a webhook is verified by a setting.
fn verifies(id: &PluginId, name: SecretName<'_>, manifest: &Manifest) -> Result<(), AdminError> {
    if manifest.webhooks.values().any(|webhook| webhook.secret.as_deref() == Some(name.setting)) {
        return Ok(());
    }
    Err(AdminError::NoWebhookBy { id: id.clone(), name: name.setting.to_owned() })
}

/// Ends the former secret of a setting, or of a single sender.
pub fn end_former(admin: &PluginAdmin<'_>, id: &PluginId, name: SecretName<'_>) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let reference = known(admin, file.policy(), id)?.settings.0.get(name.setting);
    let lacks = || AdminError::NoFormerSecret { id: id.clone(), name: name.to_string() };
    let reference = reference.ok_or_else(lacks)?;
    let present = name.of(reference).filter(|own| Former::of(own).is_some());
    let present = present.and_then(|own| SecretSource::read(&own).ok()).ok_or_else(lacks)?;
    let whole = name.within(reference, present.written());
    write(admin, &mut file, id, None, name.setting, Some(&whole))
}

/// Returns the place of the secret that is replaced, if it can be.
fn replaced(
    (id, entry): (&PluginId, &Entry),
    name: SecretName<'_>,
    new: NewSecret<'_>,
    manifest: &Manifest,
) -> Result<SecretSource, AdminError> {
    let (id, named) = (id.clone(), name.to_string());
    let own = entry.settings.0.get(name.setting).and_then(|reference| name.of(reference));
    let present = own.and_then(|own| SecretSource::read(&own).ok());
    let Some(present) = present else { return Err(AdminError::NoPresentSecret { id, name: named }) };
    verifies(&id, name, manifest)?;
    match new {
        NewSecret::Text(text) => fits(&id, manifest, name.setting, text)?,
        NewSecret::At(source) => {
            let is_there = match (source, &present) {
                (SecretSource::File(new), SecretSource::File(present)) => is_same(new, present),
                (new, present) => new == present,
            };
            if is_there {
                return Err(AdminError::SamePlace { id, name: named });
            }
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;

    use parlor_base::id::Digest;
    use parlor_config::{Config, Overrides};

    use super::super::settings::check_secret;
    use super::*;
    use crate::component::tests::plugin_with;
    use crate::secret::{FormerSecret, SenderSecret, opened_with_rooms};

    const MANIFEST: &str = "[plugin]\nname = \"forge\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
        [permissions]\n\"webhooks.receive\" = { reason = \"X\" }\n\
        [settings.key]\ntype = \"credential\"\ndescription = \"X\"\n\
        [settings.other]\ntype = \"secret\"\ndescription = \"X\"\n\
        [webhook.ci]\ndescription = \"X\"\nverify = \"github\"\nsecret = \"key\"\n\
        [settings.login]\ntype = \"credential\"\ndescription = \"X\"\n\
        [webhook.shop]\ndescription = \"X\"\nverify = \"basic\"\nsecret = \"login\"\n";

    const KEY: SecretName<'static> = SecretName { setting: "key", sender: None };
    const GARDEN: SecretName<'static> = SecretName { setting: "key", sender: Some("garden") };

    /// A data folder and a policy with one plugin.
    struct House {
        folder: tempfile::TempDir,
        config: Config,
        id: PluginId,
        recorded: Mutex<Vec<String>>,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bytes = plugin_with(MANIFEST);
            std::fs::write(folder.path().join("forge.wasm"), &bytes).unwrap();
            let policy = format!("[plugin.forge]\nsource = \"forge.wasm\"\ndigest = \"{}\"\n", Digest::of(&bytes));
            std::fs::write(folder.path().join("plugins.toml"), policy).unwrap();
            std::fs::write(folder.path().join("password"), "none").unwrap();
            let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
            let text = "data = \"data\"\n[account.main]\njid = \"bot@example.org\"\npassword_file = \"password\"\n";
            let config = Config::parse(&folder.path().join("parlor.toml"), text, &overrides).unwrap();
            Self { folder, config, id: "forge".parse().unwrap(), recorded: Mutex::default() }
        }

        fn admin(&self) -> PluginAdmin<'_> {
            PluginAdmin::new(&self.config).recording(|decided| {
                if let Decided::Secret { name, .. } = decided {
                    self.recorded.lock().unwrap().push(name.to_owned());
                }
                Ok(())
            })
        }

        fn rotate(&self, new: NewSecret<'_>) -> Result<(), AdminError> {
            rotate_secret(&self.admin(), &self.id, KEY, new, until())
        }

        /// Returns the present and the former secret, as a host reads them.
        async fn read(&self) -> (Option<String>, Option<FormerSecret>) {
            let admin = self.admin();
            let entry = admin.entry(&self.id).unwrap();
            let manifest = admin.look(&self.id, &entry).unwrap().manifest;
            let (mut values, _) = opened_with_rooms(&entry.settings, &entry.settings_in, &manifest).await.unwrap();
            let mut former = FormerSecret::take_all(&mut values.0);
            (values.0.get("key").and_then(Value::as_str).map(str::to_owned), former.remove("key"))
        }

        /// Returns the present secrets of single senders, each with its name and its former one, as a host reads them.
        async fn senders(&self) -> Vec<(String, Vec<String>)> {
            let admin = self.admin();
            let entry = admin.entry(&self.id).unwrap();
            let manifest = admin.look(&self.id, &entry).unwrap().manifest;
            let (mut values, _) = opened_with_rooms(&entry.settings, &entry.settings_in, &manifest).await.unwrap();
            let all = SenderSecret::take_all(&mut values.0).remove("key").unwrap_or_default();
            all.iter().map(|one| (one.name().to_owned(), one.texts().map(str::to_owned).collect())).collect()
        }

        fn give(&self, sender: &str, text: &str) -> Result<(), AdminError> {
            set_sender(&self.admin(), &self.id, "key", sender, NewSecret::Text(text))
        }

        /// Returns the files of secrets.
        fn files(&self) -> Vec<String> {
            let all = std::fs::read_dir(self.folder.path().join("data/secrets/forge")).unwrap();
            let mut all: Vec<_> = all.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            all.sort_unstable();
            all
        }
    }

    fn until() -> Timestamp {
        "2126-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_secret_by_which_every_request_would_be_refused_is_not_kept() {
        let house = House::new();
        let error = house.admin().keep_secret(&house.id, None, "login", "no-password").unwrap_err();
        let says = error.to_string();
        assert!(says.contains("its webhook shop would be refused") && says.contains("`user:password`"), "{says}");
        assert!(check_secret(&house.admin(), &house.id, "login", "no-password").is_err());
        house.admin().keep_secret(&house.id, None, "login", "user:password").unwrap();
        let login = SecretName::setting("login");
        let other = rotate_secret(&house.admin(), &house.id, login, NewSecret::Text("no-password"), until());
        assert!(matches!(other, Err(AdminError::SecretForm { .. })));
        check_secret(&house.admin(), &house.id, "login", "another:password").unwrap();
    }

    #[tokio::test]
    async fn the_former_secret_counts_beside_the_new_one_until_it_is_ended() {
        let house = House::new();
        assert!(matches!(house.rotate(NewSecret::Text("the first one")), Err(AdminError::NoPresentSecret { .. })));
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        assert!(matches!(end_former(&house.admin(), &house.id, KEY), Err(AdminError::NoFormerSecret { .. })));
        house.rotate(NewSecret::Text("the second one")).unwrap();
        let (present, former) = house.read().await;
        assert_eq!(present.as_deref(), Some("the second one"));
        assert_eq!(former.map(|one| (one.text().to_owned(), one.until())), Some(("the first one".to_owned(), until())));
        assert_eq!(house.files(), ["key", "key.former"]);
        // Only one is the former one.
        house.rotate(NewSecret::Text("the third one")).unwrap();
        let (present, former) = house.read().await;
        assert_eq!(present.as_deref(), Some("the third one"));
        assert_eq!(former.map(|one| one.text().to_owned()).as_deref(), Some("the second one"));
        end_former(&house.admin(), &house.id, KEY).unwrap();
        assert_eq!(house.read().await, (Some("the third one".to_owned()), None));
        assert_eq!(house.files(), ["key"], "the former one is erased");
        let recorded = house.recorded.lock().unwrap();
        let rotated = format!("key (the former one counts until {})", until());
        assert_eq!(*recorded, ["key", &*rotated, &*rotated]);
        let policy = std::fs::read_to_string(&house.config.plugins).unwrap();
        assert!(!policy.contains(" one"), "{policy}");
    }

    #[tokio::test]
    async fn a_secret_that_is_set_as_usual_has_no_former_one() {
        let house = House::new();
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        house.rotate(NewSecret::Text("the second one")).unwrap();
        house.admin().keep_secret(&house.id, None, "key", "the third one").unwrap();
        assert_eq!(house.read().await, (Some("the third one".to_owned()), None));
        assert_eq!(house.files(), ["key"]);
    }

    #[tokio::test]
    async fn a_secret_at_another_place_stays_there_while_it_is_the_former_one() {
        let house = House::new();
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        let file = house.folder.path().join("new");
        std::fs::write(&file, "the second one").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let source = SecretSource::File(file);
        house.rotate(NewSecret::At(&source)).unwrap();
        let (present, former) = house.read().await;
        assert_eq!(present.as_deref(), Some("the second one"));
        assert_eq!(former.map(|one| one.text().to_owned()).as_deref(), Some("the first one"));
        // The owner writes that file, so the secret before cannot be had from it.
        assert!(matches!(house.rotate(NewSecret::At(&source)), Err(AdminError::SamePlace { .. })));
        end_former(&house.admin(), &house.id, KEY).unwrap();
        assert_eq!(house.files(), [""; 0]);
    }

    #[tokio::test]
    async fn a_secret_without_a_webhook_has_no_former_one_and_a_short_one_changes_nothing() {
        let house = House::new();
        house.admin().keep_secret(&house.id, None, "other", "the first one").unwrap();
        let other = SecretName::setting("other");
        let refused = rotate_secret(&house.admin(), &house.id, other, NewSecret::Text("x"), until());
        assert!(matches!(refused, Err(AdminError::NoWebhookBy { .. })));
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        assert!(matches!(house.rotate(NewSecret::Text("short")), Err(AdminError::ShortCredential { .. })));
        assert_eq!(house.read().await, (Some("the first one".to_owned()), None));
    }

    #[tokio::test]
    async fn each_sender_may_have_its_own_secret_which_changes_without_the_others() {
        let house = House::new();
        let of =
            |name: &str, texts: &[&str]| (name.to_owned(), texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(matches!(house.give("garden", "of the garden"), Err(AdminError::NoSecretForAll { .. })));
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        assert!(matches!(house.give("garden", "short"), Err(AdminError::ShortCredential { .. })));
        house.give("garden", "of the garden").unwrap();
        house.give("shop", "of the shop").unwrap();
        assert_eq!(house.senders().await, [of("garden", &["of the garden"]), of("shop", &["of the shop"])]);

        // Each is replaced without loss, and the others stay.
        rotate_secret(&house.admin(), &house.id, GARDEN, NewSecret::Text("of the garden 2"), until()).unwrap();
        house.rotate(NewSecret::Text("the second one")).unwrap();
        house.admin().keep_secret(&house.id, None, "key", "the third one").unwrap();
        let rotated = of("garden", &["of the garden 2", "of the garden"]);
        assert_eq!(house.senders().await, [rotated, of("shop", &["of the shop"])]);
        assert_eq!(house.read().await, (Some("the third one".to_owned()), None));
        assert_eq!(house.files(), ["key", "key.sender.garden", "key.sender.garden.former", "key.sender.shop"]);
        end_former(&house.admin(), &house.id, GARDEN).unwrap();
        assert!(matches!(end_former(&house.admin(), &house.id, GARDEN), Err(AdminError::NoFormerSecret { .. })));
        remove_sender(&house.admin(), &house.id, "key", "shop").unwrap();
        let gone = remove_sender(&house.admin(), &house.id, "key", "shop");
        assert!(matches!(gone, Err(AdminError::NoSender { .. })));
        assert_eq!(house.senders().await, [of("garden", &["of the garden 2"])]);
        assert_eq!(house.files(), ["key", "key.sender.garden"], "they are erased");

        let recorded = house.recorded.lock().unwrap().join("\n");
        assert!(recorded.contains("key for the sender garden") && !recorded.contains("of the garden"), "{recorded}");
        let policy = std::fs::read_to_string(&house.config.plugins).unwrap();
        assert!(!policy.contains("of the"), "{policy}");

        // Without the setting, no sender has one.
        house.admin().set(&house.id, None, "key", None).unwrap();
        assert_eq!((house.senders().await, house.files()), (Vec::new(), Vec::new()));
    }

    #[tokio::test]
    async fn the_secrets_of_senders_are_bounded_and_one_that_cannot_be_read_stops_no_other() {
        let house = House::new();
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        for number in 0..MOST_SENDERS {
            house.give(&format!("s{number}"), "of a sender").unwrap();
        }
        assert!(matches!(house.give("one-more", "of a sender"), Err(AdminError::TooManySenders { .. })));
        house.give("s0", "another one").unwrap();
        let folder = house.folder.path().join("data/secrets/forge");
        std::fs::remove_file(folder.join("key.sender.s1")).unwrap();
        std::fs::write(folder.join("key.sender.s2"), "short").unwrap();
        let names: Vec<_> = house.senders().await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), MOST_SENDERS - 2);
        assert!(!names.contains(&"s1".to_owned()) && !names.contains(&"s2".to_owned()), "{names:?}");
        let unnamed = house.give("No Name", "of a sender");
        assert!(unnamed.is_err(), "{unnamed:?}");
        let other = set_sender(&house.admin(), &house.id, "other", "garden", NewSecret::Text("of a sender"));
        assert!(matches!(other, Err(AdminError::NoSecretForAll { .. })));
        house.admin().keep_secret(&house.id, None, "other", "no webhook has it").unwrap();
        let other = set_sender(&house.admin(), &house.id, "other", "garden", NewSecret::Text("of a sender"));
        assert!(matches!(other, Err(AdminError::NoWebhookBy { .. })));
    }
}
