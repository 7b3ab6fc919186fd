//! Files that are encrypted (XEP-0454). Nothing of one is shown before all of it proved to be authentic, so it is held as a whole.

use std::time::Duration;

use parlor_base::held::Holding;
use parlor_base::web_address::WebAddress;
use parlor_e2ee::omemo::aesgcm::{self, Decrypting, FileKey, LinkError, TAG};
use parlor_stanza::error::CallError;
use parlor_web::WebError;
use tokio::time::timeout;

use crate::api::http::parts::Incoming;
use crate::instance::Instance;

/// How the address of such a file begins.
const SCHEME: &str = "aesgcm:";
/// The step in which its bytes are counted as held.
const STEP: usize = 64 << 10;

/// Returns where the file of this address is, and the key of one that is encrypted.
pub(super) fn place(url: &str) -> Result<(WebAddress, Option<FileKey>), CallError> {
    let is_encrypted = url.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    let link = is_encrypted.then(|| aesgcm::parse(url)).transpose();
    let link = link.map_err(|error| CallError::invalid("url", error.to_string()))?;
    let to = WebAddress::parse(link.as_ref().map_or(url, |link| link.https()));
    let to = to.map_err(|error| CallError::invalid("url", error.to_string()))?;
    Ok((to, link.map(|link| link.key().clone())))
}

/// Returns the size of a file of which the server has so many bytes. Refuses one that cannot be held.
pub(super) fn size(instance: &Instance, bytes: u64) -> Result<u64, CallError> {
    if bytes > instance.limits.host_memory.0 {
        return Err(too_much(instance));
    }
    bytes.checked_sub(TAG as u64).ok_or_else(|| not_authentic(LinkError::Forged))
}

/// A file that comes.
pub(super) struct Encrypted {
    incoming: Incoming,
    file: Decrypting,
    /// All that has come.
    bytes: Vec<u8>,
    /// How many of these are decrypted. The last 16 are the tag, and it is known only at the end which these are.
    decrypted: usize,
    held: Vec<Holding>,
}

impl Encrypted {
    pub(super) fn new(incoming: Incoming, key: &FileKey) -> Self {
        Self { incoming, file: Decrypting::begin(key), bytes: Vec::new(), decrypted: 0, held: Vec::new() }
    }

    /// Takes in the rest of the file. If that ends early, a later call goes on.
    pub(super) async fn take_in(
        &mut self,
        instance: &Instance,
        patience: Duration,
        told: impl Fn(&WebError) -> CallError,
    ) -> Result<(), CallError> {
        timeout(patience, self.rest(instance, told)).await.unwrap_or(Err(CallError::TimedOut))
    }

    async fn rest(&mut self, instance: &Instance, told: impl Fn(&WebError) -> CallError) -> Result<(), CallError> {
        while let Some(part) = self.incoming.part(instance).await.map_err(|error| told(&error))? {
            let length = self.bytes.len() + part.len();
            if length > self.held.len() * STEP {
                // A part is no longer than a step.
                self.held.push(instance.hold(STEP).map_err(|_| too_much(instance))?);
            }
            self.bytes.extend_from_slice(&part);
            let end = length.saturating_sub(TAG);
            if end > self.decrypted {
                self.file.part(&mut self.bytes[self.decrypted..end]).map_err(not_authentic)?;
                self.decrypted = end;
            }
        }
        Ok(())
    }

    /// Returns the decrypted file, of which all has come. Fails if it is not authentic.
    pub(super) fn opened(self) -> Result<Incoming, CallError> {
        let Self { incoming, file, mut bytes, held, .. } = self;
        let tag = *bytes.last_chunk::<TAG>().ok_or_else(|| not_authentic(LinkError::Forged))?;
        file.finish(&tag).map_err(not_authentic)?;
        bytes.truncate(bytes.len() - TAG);
        Ok(incoming.with_body(bytes, held))
    }
}

fn too_much(instance: &Instance) -> CallError {
    let most = instance.limits.host_memory;
    CallError::OverLimit(format!(
        "{most} of host_memory: an encrypted file is held as a whole until it proved to be authentic"
    ))
}

fn not_authentic(error: LinkError) -> CallError {
    CallError::Protocol(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_file_is_at_the_address_behind_its_own() {
        let secret = "0".repeat(88);
        let (to, key) = place(&format!("AESGCM://example.org:8443/a%20b.png?c=d#{secret}")).unwrap();
        assert_eq!((to.as_str(), key.is_some()), ("https://example.org:8443/a%20b.png?c=d", true));
        let (to, key) = place("https://example.org/a#b").unwrap();
        assert_eq!((to.as_str(), key.is_none()), ("https://example.org/a", true));
    }

    #[test]
    fn no_error_has_the_key_of_a_file() {
        let secret = "5ec2e7".repeat(14);
        for url in [
            format!("aesgcm://example.org/a#{secret}"),
            format!("aesgcm://me@example.org/a#{secret}beef"),
            format!("aesgcm://exa mple.org/a#{secret}beef"),
            format!("aesgcm:/example.org/a#{secret}beef"),
            format!("aesgcm://example.org:0/a#{secret}beef"),
        ] {
            let error = place(&url).unwrap_err();
            assert!(matches!(error, CallError::Invalid { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("5ec2e7"), "{error}");
        }
    }
}
