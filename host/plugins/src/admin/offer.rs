//! Offers: where the file of a plugin comes from, and who signed it.

use std::path::Path;

use parlor_base::atomic::folder_of;
use parlor_base::escape::{EscapedPath as _, has_harmful};
use parlor_base::id::{Digest, PluginId};

use super::{AdminError, PluginAdmin};
use crate::admission::Refusal;
use crate::approved::Unfit;
use crate::component::{self, Examined, examine};
use crate::components::KeptVersion;
use crate::listing::Listing;
use crate::manifest::Manifest;
use crate::signature::{self, KeyName, PublisherKey, Signer};
use crate::source::{Downloaded, LogIn, Source};

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
    /// The publisher who signed it, if one was expected.
    pub publisher: Option<Publisher>,
    /// The redirects of its download.
    pub redirects: Vec<parlor_config::url::Url>,
    pub(super) bytes: Vec<u8>,
}

/// The publisher of a plugin, as an index named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The key.
    pub key: PublisherKey,
    /// The plugin's name in the index.
    pub index: Option<Listing>,
    /// Whether the owner agreed to another key than the one before.
    pub is_agreed: bool,
}

/// The owner's requirements for a file before it is fetched.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The digest that it must have.
    pub digest: Option<Digest>,
    /// Whether its signature is ignored.
    pub unsigned: bool,
    /// The publisher who must have signed it.
    pub publisher: Option<Publisher>,
    /// The log-in, in case a registry requires one.
    pub login: LogIn,
}

impl Offer {
    /// Examines these bytes.
    pub fn of(source: String, bytes: Vec<u8>) -> Result<Self, AdminError> {
        let examined = examine(&bytes).map_err(|cause| Unfit::component(&source, cause))?;
        Ok(Self { source, examined, signer: None, comment: None, publisher: None, redirects: Vec::new(), bytes })
    }

    /// Returns the author's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.examined.manifest
    }
}

impl PluginAdmin<'_> {
    /// Fetches a file from its source, examines it, and finds its signer.
    pub fn offer(&self, source: &Source, expected: &Expected) -> Result<Offer, AdminError> {
        let fetched = source.fetch(&expected.login)?;
        let found = Digest::of(&fetched.bytes);
        if let Some(wanted) = expected.digest.filter(|wanted| *wanted != found) {
            return Err(AdminError::OtherBytes { from: source.clone(), found, wanted });
        }
        // The signer is determined before the file is even parsed.
        let publisher = expected.publisher.clone().filter(|_| !expected.unsigned);
        let key = publisher.as_ref().map(|publisher| &publisher.key);
        let signer = if expected.unsigned { None } else { signer(self, source, &fetched, key)? };
        if signer.is_none() && self.policy()?.require_signature {
            return Err(AdminError::Unsigned { from: source.clone(), policy: self.config.plugins.clone() });
        }
        let name = match source {
            Source::File(path) => named(self, path)?,
            Source::Web(_) | Source::Registry(_) => source.to_string(),
        };
        let (signer, comment) = signer.map(|signer| (signer.key, signer.comment)).unzip();
        Ok(Offer { signer, comment, publisher, redirects: fetched.redirects, ..Offer::of(name, fetched.bytes)? })
    }

    /// Finds the trusted signer of a fetched file. Of several signatures, the first valid one counts. If none is valid,
    /// the error is that of the first.
    pub fn signer(&self, source: &Source, fetched: &Downloaded) -> Result<Option<Signer>, AdminError> {
        signer(self, source, fetched, None)
    }

    /// Returns the version for a rollback: the one with this number or digest, or the one before the present one.
    pub fn earlier(&self, id: &PluginId, wanted: Option<&str>) -> Result<Offer, AdminError> {
        let entry = self.entry(id)?;
        let all = self.kept(id)?;
        let others = || all.iter().filter(|kept| kept.digest != entry.digest);
        let kept = match wanted {
            None => {
                let present = all.iter().position(|kept| kept.digest == entry.digest).unwrap_or(all.len());
                all[..present].last().ok_or_else(|| AdminError::NoEarlier(id.clone()))?
            }
            Some(wanted) => {
                let is_it = |kept: &&KeptVersion| {
                    kept.version.to_string() == wanted
                        || kept.digest.to_string() == wanted
                        || kept.digest.short() == wanted
                };
                // If there are two builds of a version, the newer one is meant.
                others().rfind(is_it).ok_or_else(|| AdminError::NoVersion {
                    id: id.clone(),
                    wanted: wanted.chars().take(80).collect(),
                    kept: others().map(|kept| kept.version.to_string()).collect::<Vec<_>>().join(", "),
                })?
            }
        };
        if !self.policy()?.lets_through(kept.signer.as_ref()) {
            let (version, policy) = (kept.version.clone(), self.config.plugins.clone());
            return Err(AdminError::KeptUnsigned { id: id.clone(), version, policy });
        }
        let path = self.components.path(&kept.digest);
        let bytes = component::read(&path).map_err(Unfit::from)?;
        let found = Digest::of(&bytes);
        if found != kept.digest {
            return Err(Refusal::DigestChanged { id: id.clone(), approved: kept.digest, found }.into());
        }
        Ok(Offer { signer: kept.signer.clone(), ..Offer::of(kept.source.clone(), bytes)? })
    }
}

/// Finds the trusted signer like [`PluginAdmin::signer`]. A file that must be signed by a publisher does not need a
/// signature by a trusted key as well.
fn signer(
    admin: &PluginAdmin<'_>,
    source: &Source,
    fetched: &Downloaded,
    publisher: Option<&PublisherKey>,
) -> Result<Option<Signer>, AdminError> {
    let signatures = source.signatures(fetched)?;
    if let Some(key) = publisher.filter(|key| !key.signed(&fetched.bytes, &signatures)) {
        return Err(AdminError::NotByPublisher { from: source.clone(), key: key.clone().into() });
    }
    let (policy, today, mut first) = (admin.policy()?, signature::today(), None);
    for signature in &signatures {
        match signature::verify(&fetched.bytes, signature, &policy.keys, today) {
            Ok(signer) => return Ok(Some(signer)),
            Err(cause) => first = first.or(Some(cause)),
        }
    }
    let refused = first.filter(|_| publisher.is_none());
    refused.map_or(Ok(None), |cause| Err(AdminError::Signature { from: source.clone(), cause }))
}

/// Returns a file's path for `plugins.toml`: relative if it is in the policy's folder or below. A symbolic link is
/// not resolved, since it may lead to a newer version later.
fn named(admin: &PluginAdmin<'_>, path: &Path) -> Result<String, AdminError> {
    let lies = folder_of(path).canonicalize().ok().zip(path.file_name());
    let whole = lies.map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name));
    let folder = folder_of(&admin.config.plugins).canonicalize().unwrap_or_default();
    let source = whole.strip_prefix(&folder).unwrap_or(&whole);
    let cannot = |why: &str| {
        let path = path.escaped();
        AdminError::Decision(format!(
            "the path {path} cannot be written into plugins.toml: {why}; rename the file or its folder"
        ))
    };
    let source = source.to_str().ok_or_else(|| cannot("it is not UTF-8"))?;
    if has_harmful(source) {
        return Err(cannot("it has a control character, an odd space, or a character that nobody sees"));
    }
    Ok(source.to_owned())
}
