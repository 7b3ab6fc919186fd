//! Indexes: signed lists of plugins, which an owner adds, searches and installs from.
//!
//! An index lists the location of each version of a plugin, its digest, its requests, and the key that signs it. It
//! grants nothing: its words are a stranger's, and the component decides what is asked for. Only a file whose signature
//! was checked is parsed as an index.

mod error;
mod known;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use parlor_base::atomic::folder_of;
use parlor_base::document::{Document, DocumentError, Node, Section};
use parlor_base::escape::has_harmful;
use parlor_base::id::{Digest, PluginId};
use parlor_base::permission::Permission;
use parlor_config::url::Url;
use semver::Version;
use toml::Value;

use crate::component::ReadError;
use crate::listing::IndexName;
use crate::signature::PublisherKey;
use crate::source::{DownloadError, Signed, Source};

pub use error::IndexError;
pub use known::{Found, Indexes, Known, Refreshed};
pub use search::{Hit, search};

/// The format of the file. Another number means that this program cannot read it.
const FORMAT: i64 = 1;
/// The maximum size of an index, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// The maximum number of plugins in an index.
pub const MAX_PLUGINS: usize = 2_000;
/// The maximum number of versions of one plugin.
const MAX_VERSIONS: usize = 20;
/// The maximum number of permissions of one version.
const MAX_PERMISSIONS: usize = 100;
/// The maximum length of a description, in bytes.
const LONGEST_DESCRIPTION: usize = 500;
/// The maximum length of the name of a language or of a permission, in bytes.
const LONGEST_WORD: usize = 64;
/// The maximum length of a source, in bytes.
const LONGEST_SOURCE: usize = 2_000;

/// An index whose signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// The name that its publisher gave it.
    pub name: IndexName,
    /// The number of this issue. Each issue has a higher one, so that an older one is noticed.
    pub serial: u64,
    /// The publisher's description, which is untrusted text.
    pub description: String,
    /// The publisher's page about it.
    pub homepage: Option<Url>,
    /// The plugins in it.
    pub plugins: BTreeMap<PluginId, Listed>,
}

/// A plugin in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its description, which is untrusted text.
    pub description: String,
    /// The language that it is written in, which is untrusted text.
    pub language: Option<String>,
    /// The page about it.
    pub homepage: Option<Url>,
    /// The key that signs its files.
    pub key: PublisherKey,
    /// Its versions.
    pub versions: BTreeMap<Version, Release>,
}

/// A version of a plugin in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The digest of the component.
    pub digest: Digest,
    /// The source as the index has it: an address, or a path that begins at the index.
    pub source: String,
    /// The permissions that it asks for.
    pub permissions: BTreeSet<Permission>,
    /// The permissions that this program does not know, so that the version cannot be for it.
    pub unknown: BTreeSet<String>,
}

impl Listed {
    /// Returns the newest version that is for this program: of those that are finished, if there are any.
    pub fn newest(&self) -> Option<(&Version, &Release)> {
        let fit = self.versions.iter().filter(|(_, release)| release.unknown.is_empty());
        fit.max_by_key(|(version, _)| (version.pre.is_empty(), *version))
    }
}

impl Release {
    /// Returns the source of the component, for an index from `base`. An index from the web may refer only to the web.
    /// An index in a folder may also refer to files below that folder.
    pub fn source(&self, base: &Source) -> Result<Source, String> {
        if self.source.contains("://") {
            return Source::parse(&self.source, Path::new("")).map_err(|error| error.to_string());
        }
        match base {
            Source::Web(url) => url.to(&self.source).map(Source::Web).map_err(|error| error.to_string()),
            Source::File(path) => {
                let below = Path::new(&self.source);
                if below.components().any(|part| !matches!(part, Component::Normal(_))) {
                    return Err("it leads out of the folder of the index".to_owned());
                }
                Ok(Source::File(folder_of(path).join(below)))
            }
            Source::Registry(_) => Err("an index is not in a registry".to_owned()),
        }
    }
}

/// A fetched index, before any check.
#[derive(Debug)]
pub struct Fetched {
    source: Source,
    file: Signed,
}

impl Fetched {
    /// Fetches an index with its signature.
    pub fn get(source: &Source) -> Result<Self, IndexError> {
        let file = source.fetch_signed(MAX_BYTES).map_err(|error| match error {
            // Its words are about a plugin's file.
            DownloadError::File(ReadError::File { path, cause }) => IndexError::NoFile { path, cause },
            error => error.into(),
        })?;
        let file = file.ok_or_else(|| IndexError::Registry(source.clone().into()))?;
        Self::of(source.clone(), file)
    }

    fn of(source: Source, file: Signed) -> Result<Self, IndexError> {
        if file.bytes.len() > MAX_BYTES {
            return Err(IndexError::TooLong(source.into()));
        }
        // An index without a signature is always refused.
        if file.signatures.is_empty() {
            return Err(IndexError::Unsigned(source.into()));
        }
        Ok(Self { source, file })
    }

    /// Returns the key that the file says it is signed by. The owner decides whether to believe that.
    pub fn claimed_key(&self) -> Result<PublisherKey, IndexError> {
        let text = self.text()?;
        let read = || {
            let document = Document::parse(text)?;
            publisher_key(&document.root())
        };
        read().map_err(|error| self.invalid(error))
    }

    /// Parses the index, if this key signed it.
    pub fn verified(&self, key: &PublisherKey) -> Result<Index, IndexError> {
        if !key.signed(&self.file.bytes, &self.file.signatures) {
            return Err(IndexError::Signature { from: self.from(), key: key.clone().into() });
        }
        let index = Index::parse(self.text()?, key).map_err(|error| self.invalid(error))?;
        // An invalid source is the publisher's mistake, and is found before the index is used.
        for (name, listed) in &index.plugins {
            for (version, release) in &listed.versions {
                if let Err(cause) = release.source(&self.source) {
                    let what = format!("{name} {version}");
                    return Err(IndexError::Source { from: self.from(), what, cause });
                }
            }
        }
        Ok(index)
    }

    fn text(&self) -> Result<&str, IndexError> {
        std::str::from_utf8(&self.file.bytes).map_err(|_| IndexError::NotText(self.from()))
    }

    fn invalid(&self, error: DocumentError) -> IndexError {
        IndexError::Invalid { from: self.from(), error }
    }

    #[expect(clippy::unnecessary_box_returns, reason = "errors hold it so")]
    fn from(&self) -> Box<Source> {
        self.source.clone().into()
    }
}

impl Index {
    /// Parses a text that this key signed.
    fn parse(text: &str, key: &PublisherKey) -> Result<Self, DocumentError> {
        let document = Document::parse(text)?;
        let root = document.root();
        // The format comes first: another one may have other keys.
        let format = root.require("format", "write `format = 1`")?;
        if integer(&format)? != FORMAT {
            return Err(format.error("this index has a format that this parlor does not know; a newer parlor may"));
        }
        root.allow(&["description", "format", "homepage", "key", "name", "plugin", "serial"])?;
        let claimed = root.require("key", "write the second line of your minisign.pub")?;
        let says = publisher_key(&root)?;
        if says != *key {
            return Err(claimed.error(format!("the index says that {says} signs it, but {key} did")));
        }
        let serial = root.require("serial", "write a whole number, a higher one in each issue")?;
        let number = u64::try_from(integer(&serial)?).ok().filter(|number| *number > 0);
        let mut plugins = BTreeMap::new();
        if let Some(section) = root.section("plugin")? {
            for (count, node) in section.entries().enumerate() {
                if count == MAX_PLUGINS {
                    return Err(node.error(format!("there are more than {MAX_PLUGINS} plugins")));
                }
                plugins.insert(node.parse_key()?, listed(&node.section()?, key)?);
            }
        }
        Ok(Self {
            name: root.require("name", "write a short name for the index")?.parse()?,
            serial: number.ok_or_else(|| serial.wants("a whole number, at least 1"))?,
            description: root.require("description", "say what is in the index")?.sentence(LONGEST_DESCRIPTION)?,
            homepage: root.get("homepage").map(|node| node.parse()).transpose()?,
            plugins,
        })
    }
}

fn publisher_key(root: &Section<'_>) -> Result<PublisherKey, DocumentError> {
    root.require("key", "write the second line of your minisign.pub")?.parse()
}

fn integer(node: &Node<'_>) -> Result<i64, DocumentError> {
    match node.value()? {
        Value::Integer(number) => Ok(number),
        _ => Err(node.wants("a whole number")),
    }
}

fn listed(section: &Section<'_>, of_index: &PublisherKey) -> Result<Listed, DocumentError> {
    section.allow(&["description", "homepage", "key", "language", "version"])?;
    let node = section.require("version", "write [plugin.NAME.version.\"1.0.0\"]")?;
    let mut versions = BTreeMap::new();
    for (count, node) in node.section()?.entries().enumerate() {
        if count == MAX_VERSIONS {
            return Err(node.error(format!("there are more than {MAX_VERSIONS} versions; leave out the oldest")));
        }
        versions.insert(node.parse_key()?, release(&node.section()?)?);
    }
    if versions.is_empty() {
        return Err(node.error("there is no version; write [plugin.NAME.version.\"1.0.0\"]"));
    }
    Ok(Listed {
        description: section.require("description", "say what the plugin does")?.sentence(LONGEST_DESCRIPTION)?,
        language: section.get("language").map(|node| node.sentence(LONGEST_WORD)).transpose()?,
        homepage: section.get("homepage").map(|node| node.parse()).transpose()?,
        key: section.get("key").map_or_else(|| Ok(of_index.clone()), |node| node.parse())?,
        versions,
    })
}

fn release(section: &Section<'_>) -> Result<Release, DocumentError> {
    section.allow(&["digest", "permissions", "source"])?;
    let node = section.require("permissions", "list what the component asks for, [] if that is nothing")?;
    let (mut permissions, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for name in node.strings(MAX_PERMISSIONS)? {
        let is_name =
            |name: &str| name.bytes().all(|one| one.is_ascii_lowercase() || matches!(one, b'.' | b'-' | b'_'));
        if name.is_empty() || name.len() > LONGEST_WORD || !is_name(name) {
            return Err(node.wants("a list of names of permissions, such as \"messages.read\""));
        }
        if let Ok(permission) = name.parse::<Permission>() {
            permissions.insert(permission);
        } else {
            // A later contract may have it.
            unknown.insert(name.to_owned());
        }
    }
    let source = section.require("source", "write an address, or a path that begins at the index")?;
    let written = source.sentence(LONGEST_SOURCE)?;
    if has_harmful(&written) {
        return Err(source.wants("without control characters and characters that nobody sees"));
    }
    let digest = section.require("digest", "`parlor plugin inspect FILE` prints it")?.parse()?;
    Ok(Release { digest, source: written, permissions, unknown })
}

#[cfg(test)]
mod tests;
