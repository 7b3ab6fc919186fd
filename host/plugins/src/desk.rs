//! Plugin administration for the owner: checks each decision as a host would check it, and then writes it.
//!
//! It only works on files; the caller notifies a running host. It finds all errors before it writes anything, and
//! writes `plugins.toml` last. A process that is killed leaves the old or the new state.

mod carried;
mod commands;
mod difference;
mod error;
mod granting;
mod settings;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use granting::{granting, taken_back, taking_back};
use jiff::Timestamp;
use parlor_base::atomic::{folder_of, make_private_folder};
use parlor_base::harmless::{EscapedPath as _, has_harmful};
use parlor_base::id::{Digest, PluginId};
use parlor_base::log_level::LogLevel;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_config::{AccountName, Config};
use parlor_session::permissions::{self, Grants, Scope};
use semver::Version;
use toml::{Table, Value};

use crate::admission::{Refusal, admit, undeclared};
use crate::approved::{self, Unfit};
use crate::component::{Examined, examine};
use crate::components::{Components, Kept};
use crate::manifest::Manifest;
use crate::policy::edit::{Change, edit};
use crate::policy::file::PolicyFile;
use crate::policy::{Entry, Policy, PolicyError, SettingValues};
use crate::secret::Secrets;
use crate::signature::{self, KeyName, Signer};
use crate::source::{Downloaded, LogIn, Source};

pub use carried::Carried;
pub use difference::Difference;
pub use error::DeskError;
pub use granting::counting;

/// The administration of the plugins of one configuration.
#[derive(Debug)]
pub struct Desk<'c> {
    config: &'c Config,
    components: Components,
    secrets: Secrets,
    /// Called with the policy's path when another command that changes it has to finish first.
    waits: fn(&Path),
}

/// A file that could be installed, examined and not run.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its source, as `plugins.toml` names it.
    pub source: String,
    /// The result of its examination.
    pub examined: Examined,
    /// The trusted key that signed it.
    pub signer: Option<KeyName>,
    /// The signer's comment, escaped for display.
    pub comment: Option<String>,
    /// The redirects of its download.
    pub redirects: Vec<parlor_config::url::Url>,
    bytes: Vec<u8>,
}

/// The owner's requirements for a file before it is fetched.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The digest that it must have.
    pub digest: Option<Digest>,
    /// Whether its signature is ignored.
    pub unsigned: bool,
    /// The log-in, in case a registry requires one.
    pub login: LogIn,
}

/// A permission and its scope; without a scope, the one that the plugin requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The permission.
    pub permission: Permission,
    /// The entries of the scope.
    pub scope: Option<Vec<String>>,
}

/// The consequences of revoking grants.
#[derive(Debug)]
pub struct Revoked {
    /// The permissions that the plugin requires and no longer has.
    pub needed: Vec<Permission>,
    /// The remaining scope of permissions that were revoked in part.
    pub left: Vec<(Permission, Scope)>,
}

impl std::str::FromStr for Wish {
    type Err = String;

    /// Parses `messages.send`, or `messages.send=juliet@example.org,@example.net`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, scope): (_, Option<Vec<_>>) = match text.split_once('=') {
            None => (text, None),
            Some((name, entries)) => (name, Some(entries.split(',').map(|entry| entry.trim().to_owned()).collect())),
        };
        let permission = permissions::permission(name.trim()).map_err(|error| error.to_string())?;
        // An invalid scope is refused here, whatever the plugin requests.
        if let Some(entries) = &scope {
            Grants::default().grant_more(permission, entries).map_err(|error| error.to_string())?;
        }
        Ok(Self { permission, scope })
    }
}

impl Offer {
    /// Examines these bytes.
    pub fn of(source: String, bytes: Vec<u8>) -> Result<Self, DeskError> {
        let examined = examine(&bytes).map_err(|cause| Unfit::component(&source, cause))?;
        Ok(Self { source, examined, signer: None, comment: None, redirects: Vec::new(), bytes })
    }

    /// Returns the author's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.examined.manifest
    }
}

impl<'c> Desk<'c> {
    /// Returns the administration for this configuration.
    pub fn new(config: &'c Config) -> Self {
        let (components, secrets) = (Components::new(&config.data), Secrets::new(&config.data));
        Self { config, components, secrets, waits: |_| {} }
    }

    /// Returns the same with a callback for when it has to wait for another command.
    #[must_use]
    pub fn saying(self, waits: fn(&Path)) -> Self {
        Self { waits, ..self }
    }

    /// Opens the policy for a change.
    fn open(&self) -> Result<PolicyFile, DeskError> {
        let policy = &self.config.plugins;
        Ok(PolicyFile::open(policy, || (self.waits)(policy))?)
    }

    /// Returns the component store.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Reads the present policy.
    pub fn policy(&self) -> Result<Policy, DeskError> {
        Ok(Policy::load(&self.config.plugins)?)
    }

    /// Returns the entry of a plugin.
    pub fn entry(&self, id: &PluginId) -> Result<Entry, DeskError> {
        self.known(&self.policy()?, id).cloned()
    }

    /// Examines the file of an installed plugin.
    pub fn look(&self, id: &PluginId, entry: &Entry) -> Result<Examined, DeskError> {
        Ok(approved::look(id, entry, &self.components)?)
    }

    /// Returns the version of an installed plugin, from its file or else from the policy.
    pub fn version(&self, id: &PluginId, entry: &Entry) -> Option<Version> {
        approved::version(id, entry, &self.components).or_else(|| entry.version.clone())
    }

    /// Fetches a file from its source, examines it, and finds its signer.
    pub fn offer(&self, source: &Source, expected: &Expected) -> Result<Offer, DeskError> {
        let fetched = source.fetch(&expected.login)?;
        let found = Digest::of(&fetched.bytes);
        if let Some(wanted) = expected.digest.filter(|wanted| *wanted != found) {
            return Err(DeskError::OtherBytes { from: source.clone(), found, wanted });
        }
        // The signer is determined before the file is even parsed.
        let signer = if expected.unsigned { None } else { self.signer(source, &fetched)? };
        if signer.is_none() && self.policy()?.require_signature {
            return Err(DeskError::Unsigned { from: source.clone(), policy: self.config.plugins.clone() });
        }
        let name = match source {
            Source::File(path) => self.named(path)?,
            Source::Web(_) | Source::Registry(_) => source.to_string(),
        };
        let (signer, comment) = signer.map(|signer| (signer.key, signer.comment)).unzip();
        Ok(Offer { signer, comment, redirects: fetched.redirects, ..Offer::of(name, fetched.bytes)? })
    }

    /// Finds the trusted signer of a fetched file. Of several signatures, the first valid one counts. If none is valid,
    /// the error is that of the first.
    pub fn signer(&self, source: &Source, fetched: &Downloaded) -> Result<Option<Signer>, DeskError> {
        let signatures = source.signatures(fetched)?;
        let (policy, today, mut first) = (self.policy()?, signature::today(), None);
        for signature in &signatures {
            match signature::verify(&fetched.bytes, signature, &policy.keys, today) {
                Ok(signer) => return Ok(Some(signer)),
                Err(cause) => first = first.or(Some(cause)),
            }
        }
        first.map_or(Ok(None), |cause| Err(DeskError::Signature { from: source.clone(), cause }))
    }

    /// Returns a file's path for `plugins.toml`: relative if it is in the policy's folder or below. A symbolic link is
    /// not resolved, since it may lead to a newer version later.
    fn named(&self, path: &Path) -> Result<String, DeskError> {
        let lies = folder_of(path).canonicalize().ok().zip(path.file_name());
        let whole = lies.map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name));
        let folder = folder_of(&self.config.plugins).canonicalize().unwrap_or_default();
        let source = whole.strip_prefix(&folder).unwrap_or(&whole);
        let cannot = |why: &str| {
            let path = path.escaped();
            DeskError::Decision(format!(
                "the path {path} cannot be written into plugins.toml: {why}; rename the file or its folder"
            ))
        };
        let source = source.to_str().ok_or_else(|| cannot("it is not UTF-8"))?;
        if has_harmful(source) {
            return Err(cannot("it has a control character, an odd space, or a character that nobody sees"));
        }
        Ok(source.to_owned())
    }

    /// Checks a new id before the owner is asked anything. `sure`: the owner chose the id, so a similar one is no
    /// error.
    pub fn check_new(&self, id: &PluginId, offer: &Offer, sure: bool) -> Result<(), DeskError> {
        let policy = self.policy()?;
        Self::is_free(id, offer, &policy)?;
        let alike = policy.plugins.keys().find(|other| other.looks_like(id));
        match alike {
            Some(other) if !sure => Err(DeskError::LooksLike { id: id.clone(), other: other.clone() }),
            _ => Ok(()),
        }
    }

    fn is_free(id: &PluginId, offer: &Offer, policy: &Policy) -> Result<(), DeskError> {
        let Some(installed) = policy.plugins.get(id) else { return Ok(()) };
        let (installed, offered) = (installed.source.clone(), offer.source.clone());
        Err(DeskError::Taken { id: id.clone(), installed, offered })
    }

    /// Checks that these accounts are configured.
    pub fn has_accounts(&self, names: &[AccountName]) -> Result<(), DeskError> {
        let Some(account) = names.iter().find(|name| !self.config.accounts.contains_key(*name)) else { return Ok(()) };
        let known = self.config.accounts.keys().map(AccountName::as_str).collect::<Vec<_>>().join(", ");
        Err(DeskError::UnknownAccount { account: account.clone(), config: self.config.path.clone(), known })
    }

    /// Returns the entry that would be written for an offer, after checking as a host would that the plugin may run.
    ///
    /// `decision` has the keys of an entry except for those that follow from the file: `accounts`, `enabled`, `log`,
    /// `grants`, `limits`, `settings`.
    pub fn check(&self, id: &PluginId, offer: &Offer, decision: &Table) -> Result<Table, DeskError> {
        let mut table = Table::new();
        table.insert("source".into(), offer.source.clone().into());
        table.insert("digest".into(), offer.examined.digest.to_string().into());
        table.insert("version".into(), offer.manifest().version.to_string().into());
        if let Some(signer) = &offer.signer {
            table.insert("signer".into(), signer.to_string().into());
        }
        let empty = |value: &Value| value.as_table().is_some_and(Table::is_empty);
        let decided = decision.iter().filter(|(_, value)| !empty(value));
        table.extend(decided.map(|(key, value)| (key.clone(), value.clone())));
        let entry = Self::understood(id, &table)?;
        self.may_run(id, &entry, &offer.examined)?;
        Ok(table)
    }

    /// Parses an entry as the policy's reader does.
    fn understood(id: &PluginId, table: &Table) -> Result<Entry, DeskError> {
        let wrong = |error: String| DeskError::Decision(format!("what was decided about {id} does not fit: {error}"));
        let text = edit("", id.as_str(), &[Change::Add(table.clone())]).map_err(|error| wrong(error.to_string()))?;
        let policy = Policy::parse(&text, Path::new("")).map_err(|error| wrong(error.message))?;
        policy.plugins.into_values().next().ok_or_else(|| wrong("it is empty".to_owned()))
    }

    /// Checks that a plugin of the policy may run, and returns its manifest.
    pub fn fit(&self, id: &PluginId, entry: &Entry) -> Result<Arc<Manifest>, DeskError> {
        let examined = self.look(id, entry)?;
        self.may_run(id, entry, &examined)?;
        Ok(examined.manifest)
    }

    fn may_run(&self, id: &PluginId, entry: &Entry, examined: &Examined) -> Result<(), DeskError> {
        self.has_accounts(entry.accounts.as_deref().unwrap_or_default())?;
        let settings = &self.config.settings;
        // A disabled plugin is checked as if it were enabled.
        let entry = Entry { enabled: true, ..entry.clone() };
        admit(id, &entry, examined, &settings.whitelisted_plugins, &settings.blacklisted_plugins)?;
        Ok(())
    }

    /// Installs an offer under a new id.
    pub fn add(&self, id: &PluginId, offer: &Offer, decision: &Table) -> Result<(), DeskError> {
        let table = self.check(id, offer, decision)?;
        let mut file = self.open()?;
        Self::is_free(id, offer, file.policy())?;
        // The versions and secrets of an earlier plugin with this id must not count for this one.
        if self.policies(&file).is_ok_and(|all| !all.iter().any(|policy| policy.plugins.contains_key(id))) {
            self.components.forget(id).map_err(|cause| self.unwritten(cause))?;
        }
        self.prune(&file, id);
        self.keep(id, offer, None)?;
        file.change(id, &[Change::Add(table)])?;
        Ok(())
    }

    /// Changes the version of a plugin, to a newer or an older one. `more` is granted in addition to the present
    /// grants. Returns the settings that do not simply stay.
    pub fn update(&self, id: &PluginId, offer: &Offer, more: &[Wish], older: Older) -> Result<Carried, DeskError> {
        let mut file = self.open()?;
        let entry = self.known(file.policy(), id)?.clone();
        let present = self.look(id, &entry).ok();
        self.fits(id, &entry, present.as_ref(), offer, older)?;
        let mut changes: Vec<_> = [
            ("source", offer.source.clone()),
            ("digest", offer.examined.digest.to_string()),
            ("version", offer.manifest().version.to_string()),
        ]
        .map(|(key, value)| Change::Set(vec![key.to_owned()], value.into()))
        .into();
        let key = vec!["signer".to_owned()];
        changes.push(match &offer.signer {
            Some(signer) => Change::Set(key, signer.to_string().into()),
            None => Change::Unset(key),
        });
        let counting =
            counting(&entry.grants, present.as_ref().map(|present| &*present.manifest), offer.manifest(), older);
        changes.extend(taken_back(&entry.grants, &counting));
        let (grants, granted) = granting(id, offer.manifest(), &counting, more)?;
        changes.extend(granted);
        let carried = self.carried(id, &entry, offer);
        changes.extend(carried.changes()?);
        let settings = carried.settings(&entry.settings);
        let new = Entry { digest: offer.examined.digest, version: None, grants, settings, ..entry.clone() };
        self.may_run(id, &new, &offer.examined)?;
        if let Some(present) = present {
            self.keep_present(id, &entry, &present)?;
        }
        self.keep(id, offer, Some(&entry.digest))?;
        let put = self.components.put_aside(id, &entry.digest, carried.aside.clone());
        put.map_err(|cause| self.unwritten(cause))?;
        file.change(id, &changes)?;
        self.prune(&file, id);
        Ok(carried)
    }

    /// Checks that an offer can replace the installed version.
    pub fn fits(
        &self,
        id: &PluginId,
        entry: &Entry,
        present: Option<&Examined>,
        offer: &Offer,
        older: Older,
    ) -> Result<(), DeskError> {
        let new = offer.manifest();
        if let Some(old) = present.map(|present| &present.manifest)
            && old.name != new.name
        {
            return Err(DeskError::OtherPlugin { id: id.clone(), old: old.name.clone(), new: new.name.clone() });
        }
        if let (Some(was), Older::Refused) = (&entry.signer, older) {
            match &offer.signer {
                None => return Err(DeskError::NotSignedAgain { id: id.clone(), was: was.clone() }),
                // Each key is only trusted for the plugins that it signed before.
                Some(now) if now != was => {
                    return Err(DeskError::OtherSigner { id: id.clone(), was: was.clone(), now: now.clone() });
                }
                Some(_) => {}
            }
        }
        match present.map(|present| &present.manifest.version).or(entry.version.as_ref()) {
            Some(present) if older == Older::Refused && new.version < *present => {
                let (present, offered) = (present.clone(), new.version.clone());
                Err(DeskError::Older { id: id.clone(), present, offered })
            }
            // Developers rebuild local files without a new version, but a published version must not change its
            // content.
            Some(present)
                if older == Older::Refused
                    && new.version == *present
                    && offer.examined.digest != entry.digest
                    && offer.source.contains("://") =>
            {
                Err(DeskError::SameVersion { id: id.clone(), version: present.clone(), from: offer.source.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the version for a rollback: the one with this number or digest, or the one before the present one.
    pub fn earlier(&self, id: &PluginId, wanted: Option<&str>) -> Result<Offer, DeskError> {
        let entry = self.entry(id)?;
        let all = self.kept(id)?;
        let others = || all.iter().filter(|kept| kept.digest != entry.digest);
        let kept = match wanted {
            None => {
                let present = all.iter().position(|kept| kept.digest == entry.digest).unwrap_or(all.len());
                all[..present].last().ok_or_else(|| DeskError::NoEarlier(id.clone()))?
            }
            Some(wanted) => {
                let is_it = |kept: &&Kept| {
                    kept.version.to_string() == wanted
                        || kept.digest.to_string() == wanted
                        || kept.digest.short() == wanted
                };
                // If there are two builds of a version, the newer one is meant.
                others().rfind(is_it).ok_or_else(|| DeskError::NoVersion {
                    id: id.clone(),
                    wanted: wanted.chars().take(80).collect(),
                    kept: others().map(|kept| kept.version.to_string()).collect::<Vec<_>>().join(", "),
                })?
            }
        };
        if !self.policy()?.lets_through(kept.signer.as_ref()) {
            let (version, policy) = (kept.version.clone(), self.config.plugins.clone());
            return Err(DeskError::KeptUnsigned { id: id.clone(), version, policy });
        }
        let path = self.components.path(&kept.digest);
        let bytes = approved::read(&path)?;
        let found = Digest::of(&bytes);
        if found != kept.digest {
            return Err(Refusal::DigestChanged { id: id.clone(), approved: kept.digest, found }.into());
        }
        Ok(Offer { signer: kept.signer.clone(), ..Offer::of(kept.source.clone(), bytes)? })
    }

    /// Removes a plugin.
    pub fn remove(&self, id: &PluginId) -> Result<(), DeskError> {
        let mut file = self.open()?;
        self.known(file.policy(), id)?;
        file.change(id, &[Change::Remove])?;
        self.prune(&file, id);
        Ok(())
    }

    /// Enables or disables a plugin. Returns whether that is a change.
    pub fn enable(&self, id: &PluginId, enabled: bool) -> Result<bool, DeskError> {
        let mut file = self.open()?;
        if self.known(file.policy(), id)?.enabled == enabled {
            return Ok(false);
        }
        file.change(id, &[Change::Set(vec!["enabled".to_owned()], enabled.into())])?;
        Ok(true)
    }

    /// Sets the minimum level of a plugin's log lines; `None` = the same as for everything else. Returns whether that
    /// is a change.
    pub fn log_from(&self, id: &PluginId, level: Option<LogLevel>) -> Result<bool, DeskError> {
        let mut file = self.open()?;
        if self.known(file.policy(), id)?.log == level {
            return Ok(false);
        }
        let key = vec!["log".to_owned()];
        file.change(id, &[level.map_or(Change::Unset(key.clone()), |level| Change::Set(key, level.as_str().into()))])?;
        Ok(true)
    }

    /// Grants permissions in addition to the present grants.
    pub fn grant(&self, id: &PluginId, wishes: &[Wish]) -> Result<(), DeskError> {
        let mut file = self.open()?;
        let entry = self.known(file.policy(), id)?.clone();
        let examined = self.look(id, &entry)?;
        let (_, changes) = granting(id, &examined.manifest, &entry.grants, wishes)?;
        file.change(id, &changes)?;
        Ok(())
    }

    /// Revokes grants, entirely or in part.
    pub fn revoke(&self, id: &PluginId, wishes: &[Wish]) -> Result<Revoked, DeskError> {
        let mut file = self.open()?;
        let entry = self.known(file.policy(), id)?.clone();
        let (grants, changes) = taking_back(id, &entry.grants, wishes)?;
        file.change(id, &changes)?;
        let manifest = self.look(id, &entry).ok().map(|examined| examined.manifest);
        let asked = |permission| manifest.as_ref().and_then(|manifest| manifest.permissions.get(&permission));
        let (mut needed, mut left) = (Vec::new(), Vec::new());
        for permission in wishes.iter().map(|wish| wish.permission).collect::<BTreeSet<_>>() {
            match grants.get(permission) {
                Some(scope) => left.push((permission, scope.clone())),
                None if asked(permission).is_some_and(|request| !request.optional) => needed.push(permission),
                None => {}
            }
        }
        Ok(Revoked { needed, left })
    }

    fn known<'p>(&self, policy: &'p Policy, id: &PluginId) -> Result<&'p Entry, DeskError> {
        policy.plugins.get(id).ok_or_else(|| DeskError::Unknown {
            id: id.clone(),
            policy: self.config.plugins.clone(),
            near: nearest(id.as_str(), policy.plugins.keys().map(PluginId::as_str)).map(str::to_owned),
        })
    }

    /// Stores the installed bytes again after they were lost. The decisions about the plugin stay in force.
    pub fn restore(&self, id: &PluginId, offer: &Offer) -> Result<(), DeskError> {
        // The lock is held until the bytes are written, so that the plugin is not removed meanwhile.
        let file = self.open()?;
        let present = self.known(file.policy(), id)?.digest;
        self.keep(id, offer, Some(&present))
    }

    /// Puts an offer into the component store.
    fn keep(&self, id: &PluginId, offer: &Offer, present: Option<&Digest>) -> Result<(), DeskError> {
        let kept = Kept {
            version: offer.manifest().version.clone(),
            digest: offer.examined.digest,
            source: offer.source.clone(),
            signer: offer.signer.clone(),
            at: Timestamp::now().to_string(),
            settings: SettingValues::default(),
        };
        self.make_data()
            .and_then(|()| self.components.note_policy(&self.config.plugins))
            .and_then(|()| self.components.keep(&offer.bytes))
            .and_then(|()| self.components.note(id, kept, present))
            .map_err(|cause| self.unwritten(cause))
    }

    /// Puts the installed file into the component store, so that a rollback is possible: a file that the owner wrote
    /// into the policy by hand is not there yet.
    fn keep_present(&self, id: &PluginId, entry: &Entry, present: &Examined) -> Result<(), DeskError> {
        if self.kept(id)?.iter().any(|kept| kept.digest == entry.digest) {
            return Ok(());
        }
        let source = entry.source.to_string();
        let bytes = approved::approved(id, entry, &self.components)?;
        let offer = Offer {
            source,
            examined: present.clone(),
            signer: entry.signer.clone(),
            comment: None,
            redirects: Vec::new(),
            bytes,
        };
        self.keep(id, &offer, Some(&entry.digest))
    }

    /// Returns the recorded versions of a plugin.
    fn kept(&self, id: &PluginId) -> Result<Vec<Kept>, DeskError> {
        self.components.versions(id).map_err(|cause| DeskError::Unread { folder: self.config.data.clone(), cause })
    }

    fn make_data(&self) -> io::Result<()> {
        make_private_folder(&self.config.data)
    }

    /// Returns this policy and all others that the data folder was used with. An error means that it is unknown what
    /// one of them names.
    fn policies(&self, file: &PolicyFile) -> Result<Vec<Policy>, PolicyError> {
        let others = self.components.policies();
        let mut all = others.iter().map(|path| Policy::load(path)).collect::<Result<Vec<_>, _>>()?;
        all.push(file.policy().clone());
        Ok(all)
    }

    /// Removes what no policy refers to. A failure is harmless: it is tried again with the next change.
    fn prune(&self, file: &PolicyFile, id: &PluginId) {
        let noted = self.components.note_policy(&self.config.plugins);
        let pruned = noted.and_then(|()| self.policies(file).map_err(io::Error::other)).and_then(|all| {
            let entries = all.iter().flat_map(|policy| &policy.plugins);
            let components = self.components.prune(entries.map(|(id, entry)| (id.clone(), entry.digest)));
            self.prune_secrets(&all, id).and(components)
        });
        if let Err(error) = pruned {
            tracing::debug!(%error, "the data folder was not pruned");
        }
    }

    fn unwritten(&self, cause: io::Error) -> DeskError {
        DeskError::Store { folder: self.config.data.clone(), cause }
    }
}

/// The treatment of an offer that is older than the installed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// It is refused: it may be offered because of a known fault in it.
    Refused,
    /// It is accepted, since the owner asked for it.
    Wanted,
    /// It is a rollback: the owner had it before, and keeps the grants.
    Had,
}

/// Checks that a file imports no calls whose permission its manifest does not request, since no grant could help then.
pub fn is_honest(id: &PluginId, examined: &Examined) -> Result<(), DeskError> {
    let undeclared = undeclared(examined);
    if undeclared.is_empty() { Ok(()) } else { Err(Refusal::Undeclared { id: id.clone(), undeclared }.into()) }
}
