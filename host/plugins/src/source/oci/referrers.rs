//! The signatures that refer to a component (referrers in the distribution specification 1.1).
//!
//! Registries without a list of referrers answer in various ways: with a redirect to a web page, with a page, or with a
//! refusal. None of that is an error. A registry that can withhold a signature can also remove it, so the owner's rule
//! decides what follows from a missing one.

use parlor_config::url::Url;
use parlor_https::{Answer, FetchError};
use serde::de::IgnoredAny;

use super::challenge::encoded;
use super::tags::MOST_PAGES;
use super::{Descriptor, INDEX, Index, LONGEST_MANIFEST, MANIFEST, OciError, Pulled, get};
use crate::source::LONGEST_SIGNATURE;

/// The type of an artifact that is a minisign signature over the component of the artifact that it refers to.
const SIGNATURE: &str = "application/vnd.minisign";
/// The maximum number of signatures of one component that are fetched.
const MOST_SIGNATURES: usize = 8;

impl Pulled {
    /// Returns the signatures that refer to the pulled artifact: artifacts of the type [`SIGNATURE`] with one file
    /// each. Other attached artifacts are ignored.
    pub(in crate::source) fn signatures(&self) -> Result<Vec<String>, OciError> {
        let (mut found, mut failed) = (Vec::new(), None);
        for attached in self.attached()?.iter().take(MOST_SIGNATURES) {
            match self.signature(attached) {
                Ok(signature) => found.push(signature),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // A signature that was deleted but is still listed, or that is invalid, does not hide the others.
        failed.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }

    fn signature(&self, attached: &Descriptor) -> Result<String, OciError> {
        let digest = self.digest(attached)?;
        let bytes = self.get(&format!("manifests/{digest}"), Some(MANIFEST), LONGEST_MANIFEST)?.ok()?.body;
        self.reference.is(&bytes, digest)?;
        let manifest = self.read(&bytes)?;
        if manifest.subject.as_ref().is_none_or(|subject| subject.digest != self.manifest.to_string()) {
            return Err(self.shape("a signature that is listed as its own refers to something else"));
        }
        let [layer] = &manifest.layers[..] else {
            return Err(self.shape("a signature that refers to it has not just one file"));
        };
        Ok(String::from_utf8_lossy(&self.blob(layer, LONGEST_SIGNATURE)?.body).into_owned())
    }

    /// Lists the artifacts that are attached as signatures.
    fn attached(&self) -> Result<Vec<Descriptor>, OciError> {
        let listed = format!("referrers/{}?artifactType={}", self.manifest, encoded(SIGNATURE));
        // If the registry has no referrers API, clients that attach something maintain a list under a tag of this name.
        let tagged = format!("manifests/{}", self.manifest.to_string().replace(':', "-"));
        let mut failed = None;
        for what in [listed, tagged] {
            match self.list(&what) {
                Ok(all) => {
                    let is_signature = |one: &Descriptor| one.artifact_type.as_deref() == Some(SIGNATURE);
                    let signatures: Vec<_> = all.into_iter().filter(is_signature).collect();
                    if !signatures.is_empty() {
                        return Ok(signatures);
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or_else(|| Ok(Vec::new()), Err)
    }

    /// Fetches a list of referrers, up to a number of pages; empty if the registry has no such list.
    fn list(&self, what: &str) -> Result<Vec<Descriptor>, OciError> {
        let (mut all, mut next) = (Vec::new(), Some(self.reference.url(what).map_err(FetchError::from)?));
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { break };
            let (listed, further) = self.page(&url)?;
            all.extend(listed);
            next = further;
        }
        Ok(all)
    }

    /// Fetches one page of such a list, and returns the address of the next.
    fn page(&self, url: &Url) -> Result<(Vec<Descriptor>, Option<Url>), OciError> {
        let answer = get(url, Some(INDEX), self.authorization.as_ref(), LONGEST_MANIFEST);
        let page = match answer.and_then(Answer::ok) {
            Ok(answer) => answer,
            Err(error) if error.is_of(&self.reference.server) && !is_no(&error) => {
                return Err(OciError::Unseen { reference: self.reference.to_string(), cause: Box::new(error) });
            }
            Err(_) => return Ok((Vec::new(), None)),
        };
        // The answer is a web page.
        if serde_json::from_slice::<IgnoredAny>(&page.body).is_err() {
            return Ok((Vec::new(), None));
        }
        let index: Index = serde_json::from_slice(&page.body)
            .map_err(|error| self.shape(&format!("the list of what refers to it cannot be read ({error})")))?;
        Ok((index.manifests.unwrap_or_default(), self.reference.next_page(&page)))
    }
}

/// Returns whether a registry answers that it has no such list. A broken or overloaded one has not answered that.
fn is_no(error: &FetchError) -> bool {
    matches!(error, FetchError::Status { status, .. } if !matches!(status, 429 | 500 | 502..=599))
}
