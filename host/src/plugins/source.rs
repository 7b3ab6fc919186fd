//! Where plugins come from: a file, an address of the web, a registry. What comes from there is bytes, judged elsewhere.

mod oci;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Serialize, Serializer};

use super::build;
use super::component::MAX_BYTES;
use super::store::{self, Unfit};
use crate::harmless::{EscapedPath as _, shell_word};
use crate::https::{self, Answer, FetchError, Url, UrlError};

pub use oci::{LogIn, LogInError, OciError, Reference, ReferenceError};

/// The ending of a detached signature, as minisign names it.
const SIGNATURE: &str = ".minisig";
/// How long a signature may be, in bytes.
const LONGEST_SIGNATURE: usize = 16 << 10;

/// Where a plugin's file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// An address of the web.
    Web(Url),
    /// An artifact of a registry (OCI distribution).
    Registry(Box<Reference>),
}

/// Why a text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Its address is none.
    #[error("{0:?} is not an address that a plugin can come from: {1}")]
    Url(String, UrlError),
    /// Its reference is none.
    #[error("{0:?} is not a reference of a registry: {1}")]
    Reference(String, ReferenceError),
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The file cannot be read.
    #[error("{path} cannot be read ({cause}); give the path of a plugin's file{}", meant(path, cause), path = path.escaped())]
    NoFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// It is none that could be a plugin's.
    #[error(transparent)]
    File(#[from] Unfit),
    /// The download failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] OciError),
    /// The signature beside it cannot be read.
    #[error("the signature {path} cannot be read: {cause}", path = path.escaped())]
    Signature {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
}

/// What came.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Whereto one was sent on the way, in order.
    pub redirects: Vec<Url>,
    /// The registry that it came from, which may be asked for more.
    pulled: Option<oci::Pulled>,
}

impl Source {
    /// Reads a source; a relative path begins at `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, SourceError> {
        let shown = || shown(text);
        if let Some(reference) = text.strip_prefix("oci://") {
            let reference: Reference = reference.parse().map_err(|error| SourceError::Reference(shown(), error))?;
            return Ok(Self::Registry(Box::new(reference)));
        }
        // `http://`, too, so that its refusal says why.
        if text.contains("://") {
            return text.parse().map(Self::Web).map_err(|error| SourceError::Url(shown(), error));
        }
        Ok(Self::File(folder.join(text)))
    }

    /// Whether it is on this machine.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Fetches the file; a registry that wants a log-in is given this one.
    pub fn fetch(&self, login: &LogIn) -> Result<Downloaded, DownloadError> {
        match self {
            Self::File(path) => {
                let bytes = store::read(path).map_err(|error| match error {
                    Unfit::File { path, cause } => DownloadError::NoFile { path, cause },
                    error => error.into(),
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

    /// The versions that are newer than this one, the newest first, and where each comes from; none: nobody there says. A login is
    /// given as to [`Self::fetch`].
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

    /// Fetches the detached signatures of what was fetched: the one beside the file or address, those that refer to an artifact.
    pub fn signatures(&self, fetched: &Downloaded) -> Result<Vec<String>, DownloadError> {
        match self {
            Self::File(path) => Ok(beside(path)?.into_iter().collect()),
            Self::Web(url) => {
                // Whoever keeps a signature back could as well cut it off: what follows from none is the owner's rule.
                match https::get(&url.with_ending(SIGNATURE), &[], LONGEST_SIGNATURE) {
                    // No signature is as long as that.
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

/// Whether it is a page for people: many servers have one for every path under which there is nothing.
fn is_page(answer: &Answer) -> bool {
    let is_html = |kind: &str| kind.trim_start().get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
    answer.status == 200
        // Whatever its server takes it for, this is how a signature begins.
        && !answer.body.starts_with(b"untrusted comment:")
        && (answer.header("content-type").is_some_and(is_html) || answer.body.trim_ascii_start().starts_with(b"<"))
}

/// An address as an error shows it.
fn shown(text: &str) -> String {
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", discreet(rest)),
        None => text.to_owned(),
    };
    shown.chars().take(200).collect()
}

/// A text without the passwords that somebody wrote into its addresses.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut addresses = text.split("://");
    let mut shown = addresses.next().unwrap_or_default().to_owned();
    for rest in addresses {
        let (address, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        shown.extend(["://", &discreet(address), after]);
    }
    shown
}

/// An address behind its scheme. What stands before its last `@` is a name and a password also where that has what would end it
/// if it were encoded, as it has to be; a port does not make it one.
fn discreet(address: &str) -> Cow<'_, str> {
    let server = &address[..address.find(['/', '?', '#']).unwrap_or(address.len())];
    let is_no_port = |after: &str| !after.ends_with(']') && !after.bytes().all(|digit| digit.is_ascii_digit());
    let is_cut = server.rsplit_once(':').is_some_and(|(_, after)| is_no_port(after));
    let at = server.rfind('@').or_else(|| address.rfind('@').filter(|_| is_cut));
    at.map_or(Cow::Borrowed(address), |at| format!("…{}", &address[at..]).into())
}

/// What else may be meant by the path of what is no file: the folder that one is made of, an address without what it begins with.
fn meant(path: &Path, cause: &io::Error) -> String {
    if build::is_plugin(path) {
        let command = format!("`parlor plugin build {}`", shell_word(&path.to_string_lossy()));
        return match build::made_of(path) {
            Some(file) if file.is_file() => format!(": {}, which {command} has made", file.escaped()),
            Some(file) => format!(", which {command} makes first: {}", file.escaped()),
            None => format!(", which {command} makes first, and names"),
        };
    }
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

/// The signature beside a file.
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
    let bytes = store::read(&path).map_err(|error| DownloadError::Signature { path, cause: error.to_string() })?;
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
    fn who_names_a_plugins_folder_is_told_of_the_file_that_is_made_of_it() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("my parrot");
        std::fs::create_dir(&folder).unwrap();
        let said = || Source::File(folder.clone()).fetch(&LogIn::Kept).unwrap_err().to_string();
        assert!(said().ends_with("(it is not a file); give the path of a plugin's file"), "{}", said());
        let manifest = "[plugin]\nname = \"parrot\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Repeats\"\n";
        std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
        std::fs::write(folder.join("Cargo.toml"), "[package]\nname = \"parrot\"\n").unwrap();
        let command = format!("`parlor plugin build '{}'`", folder.display());
        let told = format!("a plugin's file, which {command} makes first, and names");
        assert!(said().ends_with(&told), "{}", said());
        std::fs::rename(folder.join("Cargo.toml"), folder.join("plugin.py")).unwrap();
        let file = folder.join("parrot.wasm");
        let told = format!("a plugin's file, which {command} makes first: {}", file.display());
        assert!(said().ends_with(&told), "{}", said());
        std::fs::write(&file, "component").unwrap();
        let told = format!("a plugin's file: {}, which {command} has made", file.display());
        assert!(said().ends_with(&told), "{}", said());
    }

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
}
