//! The sources of plugins: a file, a web address, a registry. They deliver bytes, which other modules judge.

mod oci;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parlor_base::escape::EscapedPath as _;
use parlor_config::url::{Url, UrlError};
use parlor_https::{self as https, Answer, FetchError};
use semver::Version;
use serde::{Serialize, Serializer};

use crate::component::{self, MAX_BYTES, ReadError};

pub use oci::{LogIn, LogInError, OciError, Reference, ReferenceError};

/// The suffix of a detached signature, as minisign names it.
const SIGNATURE: &str = ".minisig";
/// The maximum length of a signature, in bytes.
const LONGEST_SIGNATURE: usize = 16 << 10;

/// The source of a plugin's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// A web address.
    Web(Url),
    /// An artifact in a registry (OCI distribution).
    Registry(Box<Reference>),
}

/// The error for a text that is not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The address is invalid.
    #[error("{0:?} is not an address that anything is fetched from: {1}")]
    Url(String, UrlError),
    /// The reference is invalid.
    #[error("{0:?} is not a reference of a registry: {1}")]
    Reference(String, ReferenceError),
}

/// The reason why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The file cannot be read.
    #[error("{path} cannot be read ({cause}); give the path of a plugin's file{}", meant(path, cause), path = path.escaped())]
    NoFile {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// The file cannot be a plugin's.
    #[error(transparent)]
    File(#[from] ReadError),
    /// The download failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The registry did not deliver it.
    #[error(transparent)]
    Registry(#[from] OciError),
    /// The signature next to the file cannot be read.
    #[error("the signature {path} cannot be read: {cause}", path = path.escaped())]
    Signature {
        /// The signature's path.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
}

/// The result of a download.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The redirects on the way, in order.
    pub redirects: Vec<Url>,
    /// The registry that it was pulled from, for further requests.
    pulled: Option<oci::Pulled>,
}

/// A file other than a component, with its signatures, which are not checked yet.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The detached signatures next to it.
    pub signatures: Vec<String>,
}

impl Source {
    /// Parses a source. A relative path is resolved against `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, SourceError> {
        let shown = || shown(text);
        if let Some(reference) = text.strip_prefix("oci://") {
            let reference: Reference = reference.parse().map_err(|error| SourceError::Reference(shown(), error))?;
            return Ok(Self::Registry(Box::new(reference)));
        }
        // `http://` counts as an address too, so that its error says why it is refused.
        if text.contains("://") {
            return text.parse().map(Self::Web).map_err(|error| SourceError::Url(shown(), error));
        }
        Ok(Self::File(folder.join(text)))
    }

    /// Returns whether it is on this machine.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Returns whether both are in registries, and in the same one.
    pub fn has_registry_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Registry(one), Self::Registry(other)) => one.has_server_of(other),
            _ => false,
        }
    }

    /// Fetches the file. `login` is used if a registry requires a log-in.
    pub fn fetch(&self, login: &LogIn) -> Result<Downloaded, DownloadError> {
        match self {
            Self::File(path) => {
                let bytes = component::read(path).map_err(|error| match error {
                    ReadError::File { path, cause } => DownloadError::NoFile { path, cause },
                    error @ ReadError::TooLarge { .. } => error.into(),
                })?;
                Ok(Downloaded { bytes, redirects: Vec::new(), pulled: None })
            }
            Self::Web(url) => {
                let answer = https::get(url, &[], MAX_BYTES)?.ok()?;
                Ok(Downloaded { bytes: answer.body, redirects: answer.redirects, pulled: None })
            }
            Self::Registry(reference) => {
                let (bytes, pulled) = oci::pull(reference, login)?;
                Ok(Downloaded { bytes, redirects: pulled.redirects.clone(), pulled: Some(pulled) })
            }
        }
    }

    /// Fetches a file of at most `most` bytes that is not a component, with the detached signatures next to it. Returns
    /// `None` for a registry, which has only components.
    pub fn fetch_signed(&self, most: usize) -> Result<Option<Signed>, DownloadError> {
        let bytes = match self {
            Self::File(path) => component::read(path)?,
            Self::Web(url) => https::get(url, &[], most)?.ok()?.body,
            Self::Registry(_) => return Ok(None),
        };
        let fetched = Downloaded { bytes, redirects: Vec::new(), pulled: None };
        let signatures = self.signatures(&fetched)?;
        Ok(Some(Signed { bytes: fetched.bytes, signatures }))
    }

    /// Returns the versions newer than this one, the newest first, each with its source; `None` if the source cannot
    /// tell. `login` is used as in [`Self::fetch`].
    pub fn newer(&self, than: &Version, login: &LogIn) -> Option<Vec<(Version, Self)>> {
        match self {
            Self::File(_) | Self::Web(_) => None,
            Self::Registry(reference) => {
                let newer = reference.newer(than, login)?;
                let source = |reference| Self::Registry(Box::new(reference));
                Some(newer.into_iter().map(|(version, reference)| (version, source(reference))).collect())
            }
        }
    }

    /// Fetches the detached signatures of a fetched file: the one next to the file or address, or those that refer to
    /// an artifact.
    pub fn signatures(&self, fetched: &Downloaded) -> Result<Vec<String>, DownloadError> {
        match self {
            Self::File(path) => Ok(beside(path)?.into_iter().collect()),
            Self::Web(url) => {
                // A server that can withhold a signature can also remove it, so a missing one is not an error. The
                // owner's rule decides what follows from it.
                match https::get(&url.with_ending(SIGNATURE), &[], LONGEST_SIGNATURE) {
                    // No signature is that long.
                    Err(FetchError::TooLarge { .. }) => Ok(Vec::new()),
                    Ok(answer) if matches!(answer.status, 403 | 404 | 410) || is_page(&answer) => Ok(Vec::new()),
                    answer => Ok(vec![String::from_utf8_lossy(&answer?.ok()?.body).into_owned()]),
                }
            }
            Self::Registry(_) => {
                fetched.pulled.as_ref().map_or_else(|| Ok(Vec::new()), |pulled| Ok(pulled.signatures()?))
            }
        }
    }
}

/// Returns whether the answer is a web page: many servers answer every unknown path with one.
fn is_page(answer: &Answer) -> bool {
    let is_html = |kind: &str| kind.trim_start().get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
    answer.status == 200
        // A signature begins like this, with any content type.
        && !answer.body.starts_with(b"untrusted comment:")
        && (answer.header("content-type").is_some_and(is_html) || answer.body.trim_ascii_start().starts_with(b"<"))
}

/// Returns an address as an error shows it.
fn shown(text: &str) -> String {
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", discreet(rest)),
        None => text.to_owned(),
    };
    shown.chars().take(200).collect()
}

/// Removes the passwords from the addresses in a text.
pub fn without_passwords(text: &str) -> String {
    let mut addresses = text.split("://");
    let mut shown = addresses.next().unwrap_or_default().to_owned();
    for rest in addresses {
        let (address, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        shown.extend(["://", &discreet(address), after]);
    }
    shown
}

/// Hides the user name and password of an address without its scheme. They end at the last `@`, even if the password
/// contains characters that would end the authority and should have been encoded. A port before such a character is not
/// a password.
fn discreet(address: &str) -> Cow<'_, str> {
    let server = &address[..address.find(['/', '?', '#']).unwrap_or(address.len())];
    let is_no_port = |after: &str| !after.ends_with(']') && !after.bytes().all(|digit| digit.is_ascii_digit());
    let is_cut = server.rsplit_once(':').is_some_and(|(_, after)| is_no_port(after));
    let at = server.rfind('@').or_else(|| address.rfind('@').filter(|_| is_cut));
    at.map_or(Cow::Borrowed(address), |at| format!("…{}", &address[at..]).into())
}

/// Suggests the meaning of a path that is not a file: an address without its scheme.
fn meant(path: &Path, cause: &io::Error) -> String {
    let host = path.components().next().and_then(|first| first.as_os_str().to_str()).unwrap_or_default();
    let is_host = !host.starts_with('.') && (host.contains(['.', ':']) || host == "localhost");
    let Some(text) = path.to_str().filter(|_| is_host && cause.kind() == ErrorKind::NotFound) else {
        return String::new();
    };
    let scheme = if path.extension().is_some_and(|ending| ending == "wasm") { "https" } else { "oci" };
    match Source::parse(&format!("{scheme}://{text}"), Path::new("")) {
        Ok(source) if text.contains('/') => format!(", or write {source} if it comes from there"),
        Ok(_) | Err(_) => String::new(),
    }
}

/// Reads the signature next to a file, if there is one.
fn beside(path: &Path) -> Result<Option<String>, DownloadError> {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE);
    let path = PathBuf::from(name);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.is_file() && found.len() > LONGEST_SIGNATURE as u64 => {
            let cause = format!("it has more than {LONGEST_SIGNATURE} bytes, which no signature has");
            return Err(DownloadError::Signature { path, cause });
        }
        Ok(_) | Err(_) => {}
    }
    let bytes = component::read(&path).map_err(|error| DownloadError::Signature { path, cause: error.to_string() })?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.escaped().fmt(f),
            Self::Web(url) => url.fmt(f),
            Self::Registry(reference) => write!(f, "oci://{reference}"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_an_address_or_a_reference() {
        let of = |text: &str| Source::parse(text, Path::new("/etc/parlor"));
        assert_eq!(of("a/b.wasm"), Ok(Source::File("/etc/parlor/a/b.wasm".into())));
        assert_eq!(of("/a/b.wasm"), Ok(Source::File("/a/b.wasm".into())));
        for text in ["https://example.org/x.wasm", "oci://example.org/a/b:1"] {
            assert_eq!(of(text).unwrap().to_string(), text);
        }
        let error = of("http://example.org/x.wasm").unwrap_err().to_string();
        assert!(error.contains("nothing goes over the web without TLS"), "{error}");
        assert!(of("oci://example.org").is_err() && of("ftp://example.org/x").is_err());
        for text in [
            "https://me:s3cr3t@example.org/x",
            "oci://me:s3cr3t@example.org/x:1",
            "ftp://me:s3cr3t@example.org/x",
            "ftp://me:my s3cr3t@example.org/x",
            "ftp://me:a#s3cr3t@example.org/x",
            "https://me:a/s3cr3t@example.org/x",
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains("://…@example.org/x") && !error.contains("s3cr3t"), "{error}");
        }
        for plain in ["ftp://example.org:80/x@1", "ftp://example.org/a:b@1", "ftp://[::1]/x@1"] {
            assert_eq!(without_passwords(plain), plain);
        }
    }

    #[test]
    fn a_registry_is_the_same_if_its_server_is() {
        let of = |text: &str| Source::parse(text, Path::new("/etc/parlor")).unwrap();
        let is_same = |one: &str, other: &str| of(one).has_registry_of(&of(other));
        assert!(is_same("oci://example.org/a/b:1", "oci://example.org/c:2"));
        assert!(is_same("oci://docker.io/a/b", "oci://index.docker.io/a/b"));
        for other in ["oci://example.net/a/b:1", "oci://example.org:5000/a/b:1", "https://example.org/a", "a/b"] {
            assert!(!is_same("oci://example.org/a/b:1", other), "{other}");
        }
        assert!(!is_same("https://example.org/a", "https://example.org/a"));
    }
}
