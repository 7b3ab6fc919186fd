//! The signatures that refer to a component (referrers of the distribution specification 1.1).
//!
//! A registry that keeps no list of what refers to something says so in its own way: it leads to a page for people, has one itself,
//! or refuses. None of that is an error. Whoever keeps a signature back could as well cut it off: what follows from none is the
//! owner's rule.

use serde::de::IgnoredAny;

use super::challenge::encoded;
use super::tags::MOST_PAGES;
use super::{Descriptor, INDEX, Index, LONGEST_MANIFEST, MANIFEST, OciError, Pulled, get};
use crate::https::{Answer, FetchError, Url};
use crate::plugins::source::LONGEST_SIGNATURE;

/// The type of an artifact that is a signature of minisign over the component of the artifact that it refers to.
const SIGNATURE: &str = "application/vnd.minisign";
/// How many signatures of one component are looked at.
const MOST_SIGNATURES: usize = 8;

impl Pulled {
    /// The signatures that refer to what was pulled: artifacts of the type [`SIGNATURE`], each with one file. What others attach
    /// is not looked at.
    pub(in crate::plugins::source) fn signatures(&self) -> Result<Vec<String>, OciError> {
        let (mut found, mut failed) = (Vec::new(), None);
        for attached in self.attached()?.iter().take(MOST_SIGNATURES) {
            match self.signature(attached) {
                Ok(signature) => found.push(signature),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // One that was deleted and is listed still, or is none, hides no other.
        failed.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }

    fn signature(&self, attached: &Descriptor) -> Result<String, OciError> {
        let digest = self.digest(attached)?;
        let bytes = self.get(&format!("manifests/{digest}"), Some(MANIFEST), LONGEST_MANIFEST)?.ok()?.body;
        self.reference.is(&bytes, digest)?;
        let manifest = self.read(&bytes)?;
        if manifest.subject.as_ref().is_none_or(|subject| subject.digest != self.manifest.to_string()) {
            return Err(self.shape("a signature that is listed as its own refers to something else".to_owned()));
        }
        let [layer] = &manifest.layers[..] else {
            return Err(self.shape("a signature that refers to it has not just one file".to_owned()));
        };
        Ok(String::from_utf8_lossy(&self.blob(layer, LONGEST_SIGNATURE)?.body).into_owned())
    }

    /// What is attached to it as a signature.
    fn attached(&self) -> Result<Vec<Descriptor>, OciError> {
        let listed = format!("referrers/{}?artifactType={}", self.manifest, encoded(SIGNATURE));
        // Where a registry does not list it, whoever attaches something keeps a list under a tag of this name.
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

    /// A list of what refers to it, as far as it is asked for; empty where the registry has no such list.
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

    /// One page of such a list, and where the next one is.
    fn page(&self, url: &Url) -> Result<(Vec<Descriptor>, Option<Url>), OciError> {
        let answer = get(url, Some(INDEX), self.authorization.as_ref(), LONGEST_MANIFEST);
        let page = match answer.and_then(Answer::ok) {
            Ok(answer) => answer,
            Err(error) if error.is_of(&self.reference.server) && !is_no(&error) => {
                return Err(OciError::Unseen { reference: self.reference.to_string(), cause: Box::new(error) });
            }
            Err(_) => return Ok((Vec::new(), None)),
        };
        // A page for people.
        if serde_json::from_slice::<IgnoredAny>(&page.body).is_err() {
            return Ok((Vec::new(), None));
        }
        let index: Index = serde_json::from_slice(&page.body)
            .map_err(|error| self.shape(format!("the list of what refers to it cannot be read ({error})")))?;
        Ok((index.manifests.unwrap_or_default(), self.reference.next_page(&page)))
    }
}

/// Whether a registry says that it has nothing of the kind. One that is broken, or has too much to do, says nothing.
fn is_no(error: &FetchError) -> bool {
    matches!(error, FetchError::Status { status, .. } if !matches!(status, 429 | 500 | 502..=599))
}
