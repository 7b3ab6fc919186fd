//! Pulling a component from a registry (OCI distribution specification 1.1): the manifest, and its one layer of wasm.
//!
//! Only what is public can be pulled: the token that a registry hands to everybody is asked for, and no password is sent.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::harmless::harmless;
use crate::https::{self, Answer, FetchError, Url, UrlError};
use crate::plugins::component::MAX_BYTES;
use crate::plugins::id::Digest;

/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media types of a layer that is a component: the one of the CNCF's guidance for Wasm, and the one before it.
const LAYERS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// How long a manifest may be, in bytes; registries have to take as much (section "Pushing manifests").
const LONGEST_MANIFEST: usize = 4 << 20;
/// How long the answer with a token may be.
const LONGEST_TOKEN: usize = 64 << 10;
/// How much of a registry's words is shown, in bytes.
const SHOWN: usize = 200;

/// `registry[:port]/name[:tag][@sha256:…]`; without both it is the tag `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: Url,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no registry in it.
    #[error("write oci://registry.example.org/name:tag")]
    Shape,
    /// The registry cannot be one.
    #[error("the registry is none: {0}")]
    Registry(UrlError),
    /// The name has signs that no name has.
    #[error("a name is of small letters, digits, ., _, - and /")]
    Name,
    /// The tag has signs that no tag has.
    #[error("a tag is of 1 to 128 letters, digits, ., _ and -")]
    Tag,
    /// The digest is none.
    #[error("{0}")]
    Digest(String),
}

/// Why nothing was pulled.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The download failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The registry wants to know who asks.
    #[error(
        "{registry} gives {name} to nobody without a log-in, which parlor does not do: pull it with another tool, and install the file"
    )]
    Private {
        /// Which registry.
        registry: String,
        /// What was asked for.
        name: String,
    },
    /// What came is not what was meant.
    #[error(
        "{reference} has the digest {found}, but {wanted} was asked for; whoever runs the registry changed it, or somebody is in between"
    )]
    Digest {
        /// What was asked for.
        reference: String,
        /// What it is.
        found: Digest,
        /// What it should be.
        wanted: Digest,
    },
    /// It is no component, or several things.
    #[error("{reference} is not a component: {why}")]
    Shape {
        /// What was asked for.
        reference: String,
        /// What it is instead.
        why: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Pulls the component.
pub(super) fn pull(reference: &Reference) -> Result<Vec<u8>, OciError> {
    let shape = |why: String| OciError::Shape { reference: reference.to_string(), why };
    let (manifest, token) = reference.manifest()?;
    if let Some(wanted) = reference.digest {
        reference.is(&manifest, wanted)?;
    }
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| shape(format!("its manifest cannot be read ({error})")))?;
    if let Some(other) = manifest.media_type.filter(|kind| kind != MANIFEST) {
        return Err(shape(format!("its manifest is of the type {}", harmless(&other, SHOWN))));
    }
    let mut layers = manifest.layers.into_iter().filter(|layer| LAYERS.contains(&layer.media_type.as_str()));
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(shape(format!("it has not just one layer of the type {}", LAYERS[0])));
    };
    let digest: Digest = layer.digest.parse().map_err(|error| shape(format!("{error}")))?;
    let url = reference.url(&format!("blobs/{digest}")).map_err(FetchError::from)?;
    if layer.size > MAX_BYTES as u64 {
        return Err(FetchError::TooLarge { url, most: MAX_BYTES }.into());
    }
    let bytes = https::get(&url, &bearer(token.as_deref()), MAX_BYTES)?.ok()?.body;
    reference.is(&bytes, digest)?;
    Ok(bytes)
}

fn bearer(token: Option<&str>) -> Vec<(&'static str, String)> {
    token.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect()
}

impl Reference {
    fn url(&self, what: &str) -> Result<Url, UrlError> {
        self.registry.to(&format!("/v2/{}/{what}", self.name))
    }

    fn is(&self, bytes: &[u8], wanted: Digest) -> Result<(), OciError> {
        let found = Digest::of(bytes);
        if found == wanted { Ok(()) } else { Err(OciError::Digest { reference: self.to_string(), found, wanted }) }
    }

    /// The bytes of the manifest, and the token with which they were given.
    fn manifest(&self) -> Result<(Vec<u8>, Option<String>), OciError> {
        let which = match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        };
        let url = self.url(&format!("manifests/{which}")).map_err(FetchError::from)?;
        let ask = |token: Option<&str>| {
            let mut headers = bearer(token);
            headers.push(("accept", MANIFEST.to_owned()));
            https::get(&url, &headers, LONGEST_MANIFEST)
        };
        let first = ask(None)?;
        if first.status != 401 {
            return Ok((first.ok()?.body, None));
        }
        let private = || OciError::Private { registry: self.registry.authority(), name: self.name.clone() };
        let token = self.token(&first)?.ok_or_else(private)?;
        let answer = ask(Some(&token))?;
        match answer.status {
            401 | 403 => Err(private()),
            _ => Ok((answer.ok()?.body, Some(token))),
        }
    }

    /// The token that everybody gets where the registry sends us.
    fn token(&self, refused: &Answer) -> Result<Option<String>, OciError> {
        let Some(challenge) = refused.header("www-authenticate").and_then(|value| value.strip_prefix("Bearer ")) else {
            return Ok(None);
        };
        let parameter = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let Some(realm) = parameter("realm") else { return Ok(None) };
        let sign = if realm.contains('?') { '&' } else { '?' };
        let service = parameter("service").map(|service| format!("&service={service}")).unwrap_or_default();
        let url: Url =
            format!("{realm}{sign}scope=repository:{}:pull{service}", self.name).parse().map_err(FetchError::from)?;
        let answer = https::get(&url, &[], LONGEST_TOKEN)?;
        if answer.status != 200 {
            return Ok(None);
        }
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        let plain = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        Ok(token.and_then(|token| token.token.or(token.access_token)).filter(plain))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|error| ReferenceError::Digest(format!("{error}")))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = rest.split_once('/').ok_or(ReferenceError::Shape)?;
        let (name, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
        let fits = |text: &str, most: usize, and: fn(char) -> bool| {
            (1..=most).contains(&text.len())
                && text.chars().all(|one| one.is_ascii_digit() || "._-".contains(one) || and(one))
        };
        if name.split('/').any(|part| !fits(part, 255, |one| one.is_ascii_lowercase()) || part.starts_with('.')) {
            return Err(ReferenceError::Name);
        }
        if tag.is_some_and(|tag| !fits(tag, 128, |one| one.is_ascii_alphabetic())) {
            return Err(ReferenceError::Tag);
        }
        let registry = format!("https://{registry}").parse().map_err(ReferenceError::Registry)?;
        Ok(Self { registry, name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry.authority(), self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written() {
        let digest = Digest::of(b"");
        for text in ["example.org/a/b", "example.org:5000/a:v1.0_x", &format!("example.org/a@{digest}")] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "example.org",
            "example.org/",
            "example.org/../x",
            "example.org/A",
            "example.org/a:",
            "example.org/a:b c",
            "u@h/a",
            "example.org/a@sha256:0",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
