//! Encrypted files (XEP-0454). A received file is held as a whole: no part of it is shown before all of it is verified.
//! Uploads are encrypted and sent in parts.

use std::borrow::Cow;
use std::time::Duration;

use parlor_base::held::Holding;
use parlor_base::web_address::WebAddress;
use parlor_e2ee::omemo::aesgcm::{self, Decrypting, Encrypting, FileKey, Link, LinkError, TAG};
use parlor_stanza::error::CallError;
use parlor_web::WebError;
use tokio::time::timeout;

use super::Described;
use crate::api::http::parts::Incoming;
use crate::instance::Instance;

/// The scheme of an encrypted file's address.
const SCHEME: &str = "aesgcm:";
/// The step in which its bytes are counted as held.
const STEP: usize = 64 << 10;
/// Maximum length of a file name's extension that the server gets, in bytes.
const LONGEST_ENDING: usize = 8;

/// Returns the address from which to get a file, and its key if it is encrypted.
pub(super) fn place(url: &str) -> Result<(WebAddress, Option<FileKey>), CallError> {
    let is_encrypted = url.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    let link = is_encrypted.then(|| aesgcm::parse(url)).transpose();
    let link = link.map_err(|error| CallError::invalid("url", error.to_string()))?;
    let to = WebAddress::parse(link.as_ref().map_or(url, Link::https));
    let to = to.map_err(|error| CallError::invalid("url", error.to_string()))?;
    Ok((to, link.map(|link| link.key().clone())))
}

/// Returns the size of a file from its number of bytes on the server. Refuses a file that does not fit into
/// `host_memory`.
pub(super) fn size(instance: &Instance, bytes: u64) -> Result<u64, CallError> {
    if bytes > instance.limits.host_memory.0 {
        return Err(too_much(instance));
    }
    bytes.checked_sub(TAG as u64).ok_or_else(|| not_authentic(LinkError::Forged))
}

/// Returns the description of an upload with this name and size for the server. It keeps the extension, by which
/// clients recognise pictures.
pub(super) fn described(name: &str, size: u64) -> Result<Described<'static>, CallError> {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let ending = ending.filter(|ending| {
        (1..=LONGEST_ENDING).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let stem = rand::random::<u128>();
    let name = Cow::Owned(ending.map_or_else(|| format!("{stem:032x}"), |ending| format!("{stem:032x}.{ending}")));
    let size =
        size.checked_add(TAG as u64).ok_or_else(|| CallError::invalid("size", LinkError::TooLarge.to_string()))?;
    Ok(Described { name, kind: "application/octet-stream", size })
}

/// The encryption of an upload.
pub(super) struct Sealing {
    file: Box<Encrypting>,
    /// Its key, until it is handed out.
    key: Option<FileKey>,
}

impl Sealing {
    pub(super) fn begin() -> Self {
        let (file, key) = Encrypting::begin(&mut rand::rng());
        Self { file: Box::new(file), key: Some(key) }
    }

    /// Returns the address of the file with its key, once.
    pub(super) fn url(&mut self, https: &str) -> Result<String, CallError> {
        let no_address = || CallError::Protocol("the server gave no place that a message can name".to_owned());
        let link = self.key.take().and_then(|key| key.link(https).ok()).ok_or_else(no_address)?;
        String::from_utf8(link.to_vec()).map_err(|_| no_address())
    }

    /// Returns the next part encrypted, and the state for the parts after it.
    pub(super) fn sealed(&self, mut part: Vec<u8>) -> Result<(Vec<u8>, Option<Self>), CallError> {
        let mut file = self.file.clone();
        file.part(&mut part).map_err(|error| CallError::invalid("part", error.to_string()))?;
        Ok((part, Some(Self { file, key: None })))
    }

    /// Returns the end of the file.
    pub(super) fn end(self) -> Result<Vec<u8>, CallError> {
        let tag = self.file.finish().map_err(|error| CallError::invalid("transfer", error.to_string()))?;
        Ok(tag.to_vec())
    }
}

/// A file that is being received.
pub(super) struct Encrypted {
    incoming: Incoming,
    file: Decrypting,
    /// The bytes that were received.
    bytes: Vec<u8>,
    /// How many of these are decrypted. The last 16 are the tag, and it is known only at the end which these are.
    decrypted: usize,
    held: Vec<Holding>,
}

impl Encrypted {
    pub(super) fn new(incoming: Incoming, key: &FileKey) -> Self {
        Self { incoming, file: Decrypting::begin(key), bytes: Vec::new(), decrypted: 0, held: Vec::new() }
    }

    /// Receives the rest of the file. If this ends early, a later call continues.
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
                // A part is not longer than `STEP`.
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
    fn the_server_is_told_the_ending_of_a_name_alone() {
        for (name, ending) in [
            ("my cat.png", ".png"),
            ("a.tar.gz", ".gz"),
            ("cat", ""),
            ("a.", ""),
            ("a.p g", ""),
            ("a.ä", ""),
            ("a.my-secret", ""),
            ("a.mysecrets", ""),
        ] {
            let told = described(name, 5).unwrap();
            assert_eq!((told.name.len(), told.kind, told.size), (32 + ending.len(), "application/octet-stream", 21));
            assert!(told.name.ends_with(ending) && !told.name.contains("cat"), "{name}: {}", told.name);
            assert_ne!(told.name, described(name, 5).unwrap().name);
        }
        assert!(described("a", u64::MAX).is_err());
    }

    #[test]
    fn an_upload_goes_on_behind_the_parts_that_were_sent() {
        let mut sealing = Sealing::begin();
        let url = sealing.url("https://example.org/a").unwrap();
        assert!(sealing.url("https://example.org/a").is_err(), "it is told once");
        // A part that was not sent changes nothing.
        assert!(sealing.sealed(b"lost on its way".to_vec()).is_ok());
        let (mut file, sealing) = sealing.sealed(b"one".to_vec()).unwrap();
        let (part, sealing) = sealing.unwrap().sealed(b" and two".to_vec()).unwrap();
        file.extend(part);
        let tag: [u8; TAG] = sealing.unwrap().end().unwrap().try_into().unwrap();
        let mut opened = Decrypting::begin(&place(&url).unwrap().1.unwrap());
        opened.part(&mut file).unwrap();
        assert_eq!((opened.finish(&tag), &*file), (Ok(()), b"one and two".as_slice()));
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
