//! The part of a change that is in the data folder: component files, earlier versions, and the removal of unreferenced
//! files.

use std::io;

use jiff::Timestamp;
use parlor_base::atomic::make_private_folder;
use parlor_base::id::{Digest, PluginId};

use super::{AdminError, Offer, PluginAdmin};
use crate::approved;
use crate::component::Examined;
use crate::components::KeptVersion;
use crate::policy::file::PolicyFile;
use crate::policy::{Entry, Policy, PolicyError, RoomSettings, SettingValues};

impl PluginAdmin<'_> {
    /// Puts an offer into the component store.
    pub(super) fn keep(&self, id: &PluginId, offer: &Offer, present: Option<&Digest>) -> Result<(), AdminError> {
        let kept = KeptVersion {
            version: offer.manifest().version.clone(),
            digest: offer.examined.digest,
            source: offer.source.clone(),
            signer: offer.signer.clone(),
            at: Timestamp::now().to_string(),
            settings: SettingValues::default(),
            settings_in: RoomSettings::default(),
        };
        self.make_data()
            .and_then(|()| self.components.note_policy(&self.config.plugins))
            .and_then(|()| self.components.keep(&offer.bytes))
            .and_then(|()| self.components.note(id, kept, present))
            .map_err(|cause| self.unwritten(cause))
    }

    /// Puts the installed file into the component store, so that a rollback is possible: a file that the owner wrote
    /// into the policy by hand is not there yet.
    pub(super) fn keep_present(&self, id: &PluginId, entry: &Entry, present: &Examined) -> Result<(), AdminError> {
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
            publisher: None,
            redirects: Vec::new(),
            bytes,
        };
        self.keep(id, &offer, Some(&entry.digest))
    }

    /// Returns the recorded versions of a plugin.
    pub(super) fn kept(&self, id: &PluginId) -> Result<Vec<KeptVersion>, AdminError> {
        self.components.versions(id).map_err(|cause| AdminError::Unread { folder: self.config.data.clone(), cause })
    }

    pub(super) fn make_data(&self) -> io::Result<()> {
        make_private_folder(&self.config.data)
    }

    /// Returns this policy and all others that the data folder was used with. An error means that it is unknown what
    /// one of them names.
    pub(super) fn policies(&self, file: &PolicyFile) -> Result<Vec<Policy>, PolicyError> {
        let others = self.components.policies();
        let mut all = others.iter().map(|path| Policy::load(path)).collect::<Result<Vec<_>, _>>()?;
        all.push(file.policy().clone());
        Ok(all)
    }

    /// Removes what no policy refers to. A failure is harmless: it is tried again with the next change.
    pub(super) fn prune(&self, file: &PolicyFile, id: &PluginId) {
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

    pub(super) fn unwritten(&self, cause: io::Error) -> AdminError {
        AdminError::Store { folder: self.config.data.clone(), cause }
    }
}
