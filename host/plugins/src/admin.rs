//! Plugin administration for the owner: a plan, the owner's consent, and a commit.
//!
//! It only works on files; the caller notifies a running host. It checks each decision as a host would check it, finds
//! all errors before it writes anything, and writes `plugins.toml` last. A process that is killed leaves the old or the
//! new state.

mod accounts;
mod carried;
mod commands;
mod data;
mod difference;
mod error;
mod giving;
mod granting;
mod install;
mod limits;
mod offer;
mod ordering;
mod recording;
mod rooms;
mod rotation;
mod settings;
mod version;

use std::path::Path;
use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_base::log_level::LogLevel;
use parlor_base::nearest::nearest;
use parlor_config::{AccountName, Config, GroupName, Selector};
use semver::Version;

use crate::admission::admit;
use crate::approved;
use crate::component::Examined;
use crate::components::Components;
use crate::listing::IndexName;
use crate::manifest::Manifest;
use crate::policy::edit::Change;
use crate::policy::file::PolicyFile;
use crate::policy::{Entry, Policy};
use crate::secret::Secrets;
use crate::signature::PublisherKey;
use recording::{Recorder, change_entry, record};

pub use accounts::{accounts_value, run_on, waiting};
pub use carried::Carried;
pub use difference::Difference;
pub use error::AdminError;
pub use giving::{GivenSecrets, lacking};
pub use granting::{ComesTo, GrantRequest, Revoked};
pub use install::Installation;
pub use offer::{Expected, Offer, Publisher};
pub use ordering::order_hooks;
pub use recording::Decided;
pub use rooms::{keep_to_rooms, rooms_value};
pub use rotation::{NewSecret, end_former, remove_sender, rotate_secret, set_sender};
pub use settings::{SettingChange, change_settings, check_secret, fits as secret_fits};
pub use version::{Older, Plan, Replacement};

/// The administration of the plugins of one configuration.
#[derive(Debug)]
pub struct PluginAdmin<'c> {
    config: &'c Config,
    components: Components,
    secrets: Secrets,
    /// Called with the policy's path when another command that changes it must finish first.
    waits: fn(&Path),
    /// Called with each change before it is written.
    recorder: Recorder<'c>,
}

impl<'c> PluginAdmin<'c> {
    /// Returns the administration for this configuration.
    pub fn new(config: &'c Config) -> Self {
        let (components, secrets) = (Components::new(&config.data), Secrets::new(&config.data));
        Self { config, components, secrets, waits: |_| {}, recorder: Recorder::default() }
    }

    /// Returns the same with a callback that is called when it must wait for another command.
    #[must_use]
    pub fn saying(self, waits: fn(&Path)) -> Self {
        Self { waits, ..self }
    }

    /// Returns the same with a record of each change. It is called before the change is written, and if it fails, nothing
    /// is granted.
    #[must_use]
    pub fn recording(self, record: impl Fn(Decided<'_>) -> Result<(), String> + Send + Sync + 'c) -> Self {
        Self { recorder: Recorder::new(record), ..self }
    }

    /// Opens the policy for a change.
    fn open(&self) -> Result<PolicyFile, AdminError> {
        let policy = &self.config.plugins;
        Ok(PolicyFile::open(policy, || (self.waits)(policy))?)
    }

    /// Returns the component store.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Reads the present policy.
    pub fn policy(&self) -> Result<Policy, AdminError> {
        Ok(Policy::load(&self.config.plugins)?)
    }

    /// Returns the entry of a plugin.
    pub fn entry(&self, id: &PluginId) -> Result<Entry, AdminError> {
        known(self, &self.policy()?, id).cloned()
    }

    /// Examines the file of an installed plugin.
    pub fn look(&self, id: &PluginId, entry: &Entry) -> Result<Examined, AdminError> {
        Ok(approved::look(id, entry, &self.components)?)
    }

    /// Returns the version of an installed plugin, from its file or else from the policy.
    pub fn version(&self, id: &PluginId, entry: &Entry) -> Option<Version> {
        approved::version(id, entry, &self.components).or_else(|| entry.version.clone())
    }

    /// Checks that these accounts and groups are configured.
    pub fn has_accounts(&self, names: &[Selector]) -> Result<(), AdminError> {
        let unknown = names.iter().find(|name| !self.config.has(name));
        unknown.map_or(Ok(()), |account| Err(no_account(self.config, account)))
    }

    /// Checks that a plugin of the policy may run, and returns its manifest.
    pub fn fit(&self, id: &PluginId, entry: &Entry) -> Result<Arc<Manifest>, AdminError> {
        let examined = self.look(id, entry)?;
        self.may_run(id, entry, &examined)?;
        Ok(examined.manifest)
    }

    fn may_run(&self, id: &PluginId, entry: &Entry, examined: &Examined) -> Result<(), AdminError> {
        if let Some(account) = entry.missing_account(|account| self.config.has(account)) {
            return Err(no_account(self.config, account));
        }
        let settings = &self.config.settings;
        // A disabled plugin is checked as if it were enabled.
        let entry = Entry { enabled: true, ..entry.clone() };
        admit(id, &entry, examined, &settings.whitelisted_plugins, &settings.blacklisted_plugins)?;
        Ok(())
    }

    /// Removes a plugin.
    pub fn remove(&self, id: &PluginId) -> Result<(), AdminError> {
        let mut file = self.open()?;
        known(self, file.policy(), id)?;
        change_entry(self, &mut file, id, &[Change::Remove])?;
        self.prune(&file, id);
        Ok(())
    }

    /// Enables or disables a plugin. Returns whether that is a change.
    pub fn enable(&self, id: &PluginId, enabled: bool) -> Result<bool, AdminError> {
        let mut file = self.open()?;
        if known(self, file.policy(), id)?.enabled == enabled {
            return Ok(false);
        }
        let change = Change::Set(vec!["enabled".to_owned()], enabled.into());
        change_entry(self, &mut file, id, &[change])?;
        Ok(true)
    }

    /// Sets the minimum level of a plugin's log lines; `None` = the same as for everything else. Returns whether that
    /// is a change.
    pub fn log_from(&self, id: &PluginId, level: Option<LogLevel>) -> Result<bool, AdminError> {
        let mut file = self.open()?;
        if known(self, file.policy(), id)?.log == level {
            return Ok(false);
        }
        let key = vec!["log".to_owned()];
        let change = level.map_or(Change::Unset(key.clone()), |level| Change::Set(key, level.as_str().into()));
        change_entry(self, &mut file, id, &[change])?;
        Ok(true)
    }

    /// Records that an index is added, or removed, before that is done. Each side is the key that signs it.
    pub fn record_index(&self, name: &IndexName, key: [Option<&PublisherKey>; 2]) -> Result<(), AdminError> {
        record(self, Decided::Index { name, key })
    }
}

/// Returns the entry of a plugin, or the error for one that the policy does not name.
fn known<'p>(admin: &PluginAdmin<'_>, policy: &'p Policy, id: &PluginId) -> Result<&'p Entry, AdminError> {
    policy.plugins.get(id).ok_or_else(|| AdminError::Unknown {
        id: id.clone(),
        policy: admin.config.plugins.clone(),
        near: nearest(id.as_str(), policy.plugins.keys().map(PluginId::as_str)).map(str::to_owned),
    })
}

fn no_account(config: &Config, account: &Selector) -> AdminError {
    let (known, files) = (config.known_like(account), config.files());
    let near = match account {
        Selector::Account(name) => config.meant_by(name.as_str()).map(AccountName::as_str),
        Selector::Group(name) => nearest(name.as_str(), config.groups.iter().map(GroupName::as_str)),
        Selector::Pattern(_) => None,
    };
    AdminError::UnknownAccount { account: account.clone(), files, known, near: near.map(str::to_owned) }
}
