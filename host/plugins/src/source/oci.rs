//! Pulling a component from a registry (OCI distribution specification 1.1): the manifest, its single layer of wasm,
//! the signatures that refer to it, and the list of other versions.
//!
//! Requests are anonymous until the registry itself asks for a log-in. Then the log-in goes to the registry's token
//! service, and the token to the registry. Neither is sent along when a request is redirected.

mod challenge;
mod login;
mod referrers;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::Digest;
use parlor_config::Hidden;
use parlor_config::url::{Url, UrlError};
use parlor_https::{self as https, Answer, FetchError};
use serde::Deserialize;

use self::challenge::{Challenge, encoded};
use self::login::Credentials;
use crate::component::MAX_BYTES;

pub use login::{LogIn, LogInError};

/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media types of lists of manifests, of OCI and of Docker.
const INDEXES: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a layer that is a component, by the CNCF's guidance for Wasm.
const LAYER: &str = "application/wasm";
/// The suffix of the media types that other tools use: wasm-to-oci, wash of wasmCloud, the images of runwasi.
const WASM: &str = "+wasm";
/// The annotation with a layer's file name (image specification). Tools that push files without a media type set at
/// least that.
const TITLE: &str = "org.opencontainers.image.title";
/// The names of Docker Hub, and the server that answers for it.
const HUBS: [&str; 2] = ["docker.io", "index.docker.io"];
const HUB: &str = "registry-1.docker.io";
/// The maximum length of a manifest, in bytes. Registries must accept this length (section "Pushing manifests").
const LONGEST_MANIFEST: usize = 4 << 20;
/// The maximum length of an answer with a token, in bytes.
const LONGEST_TOKEN: usize = 64 << 10;
/// The maximum length of a registry's text as shown, and of a reason that may quote one, in bytes.
const SHOWN: usize = 200;
const LONGEST_REASON: usize = 2_000;

/// A reference `registry[:port]/name[:tag][@sha256:…]`. Without tag and digest it means the tag `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry as it is written.
    registry: Url,
    /// The server that is asked.
    server: Url,
    name: String,
    /// The repository's name on the server.
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The error for a text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It names no registry.
    #[error("write oci://registry.example.org/name:tag")]
    Shape,
    /// The registry is invalid.
    #[error("the registry is none: {0}")]
    Registry(UrlError),
    /// The name has a character that is not allowed.
    #[error("a name is of small letters, digits, ., _, - and /")]
    Name,
    /// The tag has a character that is not allowed.
    #[error("a tag is of 1 to 128 letters, digits, ., _ and -, the first one none of . and -")]
    Tag,
    /// The digest is invalid.
    #[error("{0}")]
    Digest(String),
}

/// The reason why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The download failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The repository has no such tag.
    #[error("{reference} is not there; of that name its registry has {known}")]
    NoTag {
        /// The reference that was requested.
        reference: String,
        /// Some of the tags that exist.
        known: String,
    },
    /// The registry requires a log-in.
    #[error(
        "{registry} gives {name} to nobody without a log-in: let `docker login {registry}`, or the same of podman or oras, keep one, or give --username and --password-file"
    )]
    Private {
        /// The registry.
        registry: String,
        /// The repository that was requested.
        name: String,
    },
    /// The registry refuses access with this log-in.
    #[error("{registry} does not give {name} to {which}; check the name and its password, and whether it may pull")]
    Refused {
        /// The registry.
        registry: String,
        /// The repository that was requested.
        name: String,
        /// The log-in that was used and its origin.
        which: String,
    },
    /// The registry redirected to another server, which requires a log-in.
    #[error("{registry} leads to {elsewhere}, which wants a log-in; none is sent to where a registry leads")]
    Elsewhere {
        /// The registry.
        registry: String,
        /// The other server.
        elsewhere: String,
    },
    /// The log-in cannot be read.
    #[error(transparent)]
    LogIn(#[from] LogInError),
    /// It cannot be determined whether there are signatures.
    #[error(
        "whether {reference} is signed cannot be seen: {cause}; try again later, and if it stays so, --unsigned takes it as if nobody had signed it"
    )]
    Unseen {
        /// The reference that was requested.
        reference: String,
        /// The reason.
        cause: Box<FetchError>,
    },
    /// The received bytes do not have the requested digest.
    #[error(
        "{reference} has the digest {found}, but {wanted} was asked for; whoever runs the registry changed it, or somebody is in between"
    )]
    Digest {
        /// The reference that was requested.
        reference: String,
        /// The digest of the received bytes.
        found: Digest,
        /// The digest that was requested.
        wanted: Digest,
    },
    /// The artifact is not a component, or is several things.
    #[error("{reference} is not a component: {why}")]
    Shape {
        /// The reference that was requested.
        reference: String,
        /// A description of its actual form.
        why: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// The artifact that this one refers to.
    subject: Option<Descriptor>,
}

/// A list of manifests. Some registries send `null` for an empty list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
}

/// A reference to content in a registry by its digest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    artifact_type: Option<String>,
    digest: String,
    size: u64,
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// Returns whether it claims to be a component. The content is checked after the download.
    fn is_wasm(&self) -> bool {
        let title = self.annotations.as_ref().and_then(|annotations| annotations.get(TITLE));
        self.media_type == LAYER
            || self.media_type.ends_with(WASM)
            || title.is_some_and(|title| Path::new(title).extension().is_some_and(|ending| ending == "wasm"))
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// A registry, for further requests about one repository.
#[derive(Debug, Clone)]
pub(super) struct Pulled {
    reference: Reference,
    /// The digest of the manifest that was pulled.
    manifest: Digest,
    /// The authorization header for this registry; `None` if it answers anonymous requests.
    authorization: Option<Hidden<String>>,
    /// The redirects to the component's bytes, in order.
    pub(super) redirects: Vec<Url>,
}

/// Pulls the component. `login` is used only if the registry requires one.
pub(super) fn pull(reference: &Reference, login: &LogIn) -> Result<(Vec<u8>, Pulled), OciError> {
    let shape = |why: String| OciError::Shape { reference: reference.to_string(), why };
    let (manifest, authorization) = reference.manifest(login)?;
    if let Some(wanted) = reference.digest {
        reference.is(&manifest, wanted)?;
    }
    let mut pulled =
        Pulled { reference: reference.clone(), manifest: Digest::of(&manifest), authorization, redirects: Vec::new() };
    pulled.is_one(&manifest)?;
    let manifest = pulled.read(&manifest)?;
    let mut layers = manifest.layers.into_iter().filter(Descriptor::is_wasm);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(shape(format!("it has not just one layer of the type {LAYER}")));
    };
    let Answer { body, redirects, .. } = pulled.blob(&layer, MAX_BYTES)?;
    pulled.redirects = redirects;
    Ok((body, pulled))
}

impl Pulled {
    /// Fetches a blob and checks its digest.
    fn blob(&self, blob: &Descriptor, most: usize) -> Result<Answer, OciError> {
        let digest = self.digest(blob)?;
        let what = format!("blobs/{digest}");
        if blob.size > most as u64 {
            return Err(FetchError::TooLarge { url: self.reference.url(&what).map_err(FetchError::from)?, most }.into());
        }
        let answer = self.get(&what, None, most)?.ok()?;
        self.reference.is(&answer.body, digest)?;
        Ok(answer)
    }

    fn get(&self, what: &str, accept: Option<&str>, most: usize) -> Result<Answer, FetchError> {
        let url = self.reference.url(what)?;
        get(&url, accept, self.authorization.as_ref(), most)
    }

    /// Refuses a list of manifests, since it does not say which one is meant.
    fn is_one(&self, bytes: &[u8]) -> Result<(), OciError> {
        // Bytes that do not parse as a list are not one.
        let Ok(Index { media_type, manifests }) = serde_json::from_slice(bytes) else { return Ok(()) };
        let is_index = media_type.is_none_or(|kind| INDEXES.contains(&kind.as_str()));
        let Some(all) = manifests.filter(|_| is_index) else { return Ok(()) };
        let first = all.iter().find_map(|one| one.digest.parse::<Digest>().ok());
        let such_as = first.map(|digest| {
            let first = Reference { tag: None, digest: Some(digest), ..self.reference.clone() };
            format!(", such as oci://{first}")
        });
        let count = all.len();
        let advice = format!("give one of them by its digest{}", such_as.unwrap_or_default());
        Err(self.shape(&format!("it is a list of {count} manifests; {advice}")))
    }

    fn read(&self, bytes: &[u8]) -> Result<Manifest, OciError> {
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| self.shape(&format!("its manifest cannot be read ({error})")))?;
        match manifest.media_type.as_ref().filter(|kind| *kind != MANIFEST) {
            Some(other) => Err(self.shape(&format!("its manifest is of the type {}", escape_untrusted(other, SHOWN)))),
            None => Ok(manifest),
        }
    }

    fn digest(&self, descriptor: &Descriptor) -> Result<Digest, OciError> {
        descriptor.digest.parse().map_err(|error| self.shape(&format!("{error}")))
    }

    /// Returns the error about an artifact. A parser's words may quote all that the registry sent.
    fn shape(&self, why: &str) -> OciError {
        OciError::Shape { reference: self.reference.to_string(), why: escape_untrusted(why, LONGEST_REASON) }
    }
}

impl Reference {
    /// Returns whether both are answered by the same server.
    pub(super) fn has_server_of(&self, other: &Self) -> bool {
        self.server.same_server(&other.server)
    }

    fn url(&self, what: &str) -> Result<Url, UrlError> {
        self.server.to(&format!("/v2/{}/{what}", self.repository))
    }

    fn is(&self, bytes: &[u8], wanted: Digest) -> Result<(), OciError> {
        let found = Digest::of(bytes);
        if found == wanted { Ok(()) } else { Err(OciError::Digest { reference: self.to_string(), found, wanted }) }
    }

    /// Fetches the manifest. Also returns the authorization header that was needed.
    fn manifest(&self, login: &LogIn) -> Result<(Vec<u8>, Option<Hidden<String>>), OciError> {
        let which = match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        };
        // Lists are accepted too: a registry that has a list at this reference would otherwise answer that it has
        // nothing.
        let accept = format!("{MANIFEST}, {}", INDEXES.join(", "));
        let (answer, authorization) =
            self.ask(&format!("manifests/{which}"), Some(&accept), LONGEST_MANIFEST, login)?;
        if answer.status == 404
            && self.digest.is_none()
            && let Some(known) = self.known(login)
        {
            let reference = Self { tag: Some(which), ..self.clone() }.to_string();
            return Err(OciError::NoTag { reference, known });
        }
        Ok((answer.ok()?.body, authorization))
    }

    /// Sends a request, with a log-in if the registry requires one. Also returns the authorization header that was
    /// needed.
    fn ask(
        &self,
        what: &str,
        accept: Option<&str>,
        most: usize,
        login: &LogIn,
    ) -> Result<(Answer, Option<Hidden<String>>), OciError> {
        let url = self.url(what).map_err(FetchError::from)?;
        let first = get(&url, accept, None, most)?;
        if first.status != 401 {
            return Ok((first, None));
        }
        let (registry, name) = (self.registry.authority(), self.name.clone());
        if !first.from.same_server(&self.server) {
            let elsewhere = first.from.authority();
            return Err(OciError::Elsewhere { registry, elsewhere });
        }
        let found = login.find(&registry, &self.name);
        // Many registries require a token of everyone, and give it to everyone. So a log-in that cannot be read only
        // matters if anonymous requests are refused.
        let known = found.as_ref().ok().and_then(Option::as_ref);
        let authorization = self.authorization(&first, known.map(|(credentials, _)| credentials))?;
        if let Some(authorization) = authorization {
            let answer = get(&url, accept, Some(&authorization), most)?;
            let refuses = matches!(answer.status, 401 | 403) || (found.is_err() && answer.status != 200);
            if !refuses {
                return Ok((answer, Some(authorization)));
            }
        }
        Err(match found {
            Ok(Some((_, which))) => OciError::Refused { registry, name, which },
            Ok(None) => OciError::Private { registry, name },
            Err(error) => error.into(),
        })
    }

    /// Returns the authorization header for a registry that requires one: a token from its token service, or the log-in
    /// itself.
    fn authorization(
        &self,
        refused: &Answer,
        credentials: Option<&Credentials>,
    ) -> Result<Option<Hidden<String>>, OciError> {
        let basic = |user: &str, password: &str| {
            Hidden(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
        };
        let challenges = refused.headers.iter().filter(|(name, _)| name == "www-authenticate");
        // A token is preferred if there are several ways, since it may be given to anonymous users.
        let challenge = challenges
            .flat_map(|(_, value)| Challenge::read(value))
            .min_by_key(|challenge| *challenge == Challenge::Basic);
        let (realm, service) = match challenge {
            Some(Challenge::Bearer { realm, service }) => (realm, service),
            Some(Challenge::Basic) => {
                return Ok(match credentials {
                    Some(Credentials::Password { user, password }) => Some(basic(user, password)),
                    Some(Credentials::Identity(_)) | None => None,
                });
            }
            None => return Ok(None),
        };
        let scope = format!("repository:{}:pull", self.repository);
        let service = service.map(|service| format!("&service={}", encoded(&service))).unwrap_or_default();
        let answer = if let Some(Credentials::Identity(token)) = credentials {
            let url: Url = realm.parse().map_err(FetchError::from)?;
            let token = encoded(token);
            let form =
                format!("grant_type=refresh_token&client_id=parlor&scope={scope}{service}&refresh_token={token}");
            https::post(&url, &form, LONGEST_TOKEN)?
        } else {
            let sign = if realm.contains('?') { '&' } else { '?' };
            let url: Url = format!("{realm}{sign}scope={scope}{service}").parse().map_err(FetchError::from)?;
            let header = match credentials {
                Some(Credentials::Password { user, password }) => {
                    let Hidden(value) = basic(user, password);
                    vec![("authorization", value)]
                }
                Some(Credentials::Identity(_)) | None => Vec::new(),
            };
            https::get_here(&url, &header, LONGEST_TOKEN)?
        };
        // A server that is broken or overloaded has not judged the log-in.
        let answer = if matches!(answer.status, 429 | 500..=599) { answer.ok()? } else { answer };
        if answer.status != 200 {
            return Ok(None);
        }
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        // Either of the two may be present but empty.
        let plain = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let token = token.and_then(|token| [token.token, token.access_token].into_iter().flatten().find(plain));
        Ok(token.map(|token| Hidden(format!("Bearer {token}"))))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.split('/').next().is_some_and(|registry| registry.contains('@')) {
            return Err(ReferenceError::Registry(UrlError::User));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|error| ReferenceError::Digest(format!("{error}")))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = rest.split_once('/').ok_or(ReferenceError::Shape)?;
        let (name, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
        if name.split('/').any(|part| !fits(part, 255, |one| one.is_ascii_lowercase()) || part.starts_with('.')) {
            return Err(ReferenceError::Name);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag);
        }
        let url = |host: &str| format!("https://{host}").parse::<Url>().map_err(ReferenceError::Registry);
        let registry = url(registry)?;
        let is_hub = HUBS.contains(&registry.authority().as_str());
        // Repositories without an owner belong to Docker itself.
        let library = if is_hub && !name.contains('/') { "library/" } else { "" };
        Ok(Self {
            server: if is_hub { url(HUB)? } else { registry.clone() },
            registry,
            name: name.to_owned(),
            repository: format!("{library}{name}"),
            tag: tag.map(str::to_owned),
            digest,
        })
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

fn fits(text: &str, most: usize, and: fn(char) -> bool) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(|one| one.is_ascii_digit() || "._-".contains(one) || and(one))
}

fn is_tag(text: &str) -> bool {
    fits(text, 128, |one| one.is_ascii_alphabetic()) && !text.starts_with(['.', '-'])
}

/// Sends a request. The authorization header is not sent along on a redirect to another server.
fn get(
    url: &Url,
    accept: Option<&str>,
    authorization: Option<&Hidden<String>>,
    most: usize,
) -> Result<Answer, FetchError> {
    let mut headers = Vec::new();
    headers.extend(accept.map(|accept| ("accept", accept.to_owned())));
    headers.extend(authorization.map(|Hidden(value)| ("authorization", value.clone())));
    https::get(url, &headers, most)
}

#[cfg(test)]
mod tests;
