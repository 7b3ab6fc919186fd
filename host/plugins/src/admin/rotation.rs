//! Replaces the secret of a webhook without loss: the former secret verifies requests, too, until a time or until the owner
//! ends it.
//!
//! At each moment the policy names secrets that are there. So the former one is put aside first, and the new one comes
//! last: if a step fails, the present secret counts as before.

use jiff::Timestamp;
use parlor_base::id::PluginId;

use super::recording::{Decided, change_entry, record};
use super::settings::{fits, former, is_same, judge, stored, write, written};
use super::{AdminError, PluginAdmin, known};
use crate::manifest::Manifest;
use crate::policy::Entry;
use crate::secret::{Former, SecretSource};

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
    name: &str,
    new: NewSecret<'_>,
    until: Timestamp,
) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?.clone();
    let own = admin.secrets.path(id, None, name);
    let place = match new {
        NewSecret::Text(_) => SecretSource::File(own.clone()),
        NewSecret::At(source) => source.clone(),
    };
    let manifest = judge(admin, (id, &entry), None, name, &place.written())?;
    let present = replaced((id, &entry), name, new, &manifest)?;
    let what = format!("{name} (the former one counts until {until})");
    record(admin, Decided::Secret { id, name: &what })?;
    // The file of the present secret is about to be written.
    let is_overwritten =
        matches!((&new, &present), (NewSecret::Text(_), SecretSource::File(file)) if is_same(file, &own));
    let source = if is_overwritten {
        let text = std::fs::read_to_string(&own).map_err(|cause| admin.unwritten(cause))?;
        SecretSource::File(stored(admin, id, None, &former(name), &text)?)
    } else {
        present.clone()
    };
    let former = Former { source, until };
    change_entry(admin, &mut file, id, &[written(None, name, Some(&former.beside(&present)))?])?;
    let new = match new {
        NewSecret::Text(text) => SecretSource::File(stored(admin, id, None, name, text)?),
        NewSecret::At(source) => source.clone(),
    };
    write(admin, &mut file, id, None, name, Some(&former.beside(&new)))
}

/// Ends the former secret of a setting.
pub fn end_former(admin: &PluginAdmin<'_>, id: &PluginId, name: &str) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let reference = known(admin, file.policy(), id)?.settings.0.get(name);
    let present = reference.filter(|reference| Former::of(reference).is_some());
    let present = present.and_then(|reference| SecretSource::read(reference).ok());
    let lacks = || AdminError::NoFormerSecret { id: id.clone(), name: name.to_owned() };
    let present = present.ok_or_else(lacks)?.written();
    write(admin, &mut file, id, None, name, Some(&present))
}

/// Returns the place of the secret that is replaced, if it can be.
fn replaced(
    (id, entry): (&PluginId, &Entry),
    name: &str,
    new: NewSecret<'_>,
    manifest: &Manifest,
) -> Result<SecretSource, AdminError> {
    let (id, named) = (id.clone(), name.to_owned());
    let present = entry.settings.0.get(name).and_then(|reference| SecretSource::read(reference).ok());
    let Some(present) = present else { return Err(AdminError::NoPresentSecret { id, name: named }) };
    if !manifest.webhooks.values().any(|webhook| webhook.secret.as_deref() == Some(name)) {
        return Err(AdminError::NoWebhookBy { id, name: named });
    }
    match new {
        NewSecret::Text(text) => fits(&id, manifest, name, text)?,
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
    use serde_json::Value;

    use super::super::settings::check_secret;
    use super::*;
    use crate::component::tests::plugin_with;
    use crate::secret::{FormerSecret, opened_with_rooms};

    const MANIFEST: &str = "[plugin]\nname = \"forge\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
        [permissions]\n\"webhooks.receive\" = { reason = \"X\" }\n\
        [settings.key]\ntype = \"credential\"\ndescription = \"X\"\n\
        [settings.other]\ntype = \"secret\"\ndescription = \"X\"\n\
        [webhook.ci]\ndescription = \"X\"\nverify = \"github\"\nsecret = \"key\"\n\
        [settings.login]\ntype = \"credential\"\ndescription = \"X\"\n\
        [webhook.shop]\ndescription = \"X\"\nverify = \"basic\"\nsecret = \"login\"\n";

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
            rotate_secret(&self.admin(), &self.id, "key", new, until())
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
        let other = rotate_secret(&house.admin(), &house.id, "login", NewSecret::Text("no-password"), until());
        assert!(matches!(other, Err(AdminError::SecretForm { .. })));
        check_secret(&house.admin(), &house.id, "login", "another:password").unwrap();
    }

    #[tokio::test]
    async fn the_former_secret_counts_beside_the_new_one_until_it_is_ended() {
        let house = House::new();
        assert!(matches!(house.rotate(NewSecret::Text("the first one")), Err(AdminError::NoPresentSecret { .. })));
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        assert!(matches!(end_former(&house.admin(), &house.id, "key"), Err(AdminError::NoFormerSecret { .. })));
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
        end_former(&house.admin(), &house.id, "key").unwrap();
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
        end_former(&house.admin(), &house.id, "key").unwrap();
        assert_eq!(house.files(), [""; 0]);
    }

    #[tokio::test]
    async fn a_secret_without_a_webhook_has_no_former_one_and_a_short_one_changes_nothing() {
        let house = House::new();
        house.admin().keep_secret(&house.id, None, "other", "the first one").unwrap();
        let refused = rotate_secret(&house.admin(), &house.id, "other", NewSecret::Text("x"), until());
        assert!(matches!(refused, Err(AdminError::NoWebhookBy { .. })));
        house.admin().keep_secret(&house.id, None, "key", "the first one").unwrap();
        assert!(matches!(house.rotate(NewSecret::Text("short")), Err(AdminError::ShortCredential { .. })));
        assert_eq!(house.read().await, (Some("the first one".to_owned()), None));
    }
}
