//! The names of indexes, and of the plugins that they list.

use std::fmt;
use std::str::FromStr;

use parlor_base::id::{PluginId, PluginIdError};
use semver::Version;
use serde::{Serialize, Serializer};

/// The name of an index, of the same characters as a plugin's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexName(PluginId);

impl IndexName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for IndexName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let wrong = "an index's name is 1 to 64 of a-z, 0-9, _ and -, the first one a letter or a digit";
        name.parse().map(Self).map_err(|error| match error {
            PluginIdError::Reserved(_) => "the host keeps that name for itself; choose another",
            _ => wrong,
        })
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for IndexName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A plugin in an index, written `INDEX/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listing {
    /// The index.
    pub index: IndexName,
    /// The plugin's name in it.
    pub plugin: PluginId,
}

impl FromStr for Listing {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write it as INDEX/NAME, such as `examples/echo`";
        let (index, plugin) = text.split_once('/').ok_or(wrong)?;
        Ok(Self { index: index.parse()?, plugin: plugin.parse().map_err(|_| wrong)? })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.plugin)
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A request to the indexes: `NAME` or `INDEX/NAME`, and `@VERSION` after it for one that is not the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The index; without it, the only one that has the plugin.
    pub index: Option<IndexName>,
    /// The plugin's name.
    pub plugin: PluginId,
    /// The version; without it, the newest.
    pub version: Option<Version>,
}

impl From<Listing> for Wanted {
    fn from(Listing { index, plugin }: Listing) -> Self {
        Self { index: Some(index), plugin, version: None }
    }
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write it as NAME, INDEX/NAME or INDEX/NAME@VERSION";
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse().map_err(|_| wrong)?)),
            None => (text, None),
        };
        let (index, plugin) = match name.split_once('/') {
            Some((index, plugin)) => (Some(index.parse()?), plugin),
            None => (None, name),
        };
        Ok(Self { index, plugin: plugin.parse().map_err(|_| wrong)?, version })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = &self.index {
            write!(f, "{index}/")?;
        }
        write!(f, "{}", self.plugin)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_ids_and_nothing_that_leads_elsewhere() {
        for text in ["echo", "examples/echo", "examples/echo@0.1.0", "echo@1.0.0-rc.1"] {
            assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
        }
        for text in
            ["", "/", "a/", "/a", "a/b/c", "../echo", "./echo", "echo.wasm", "Echo", "echo@", "echo@one", "a@b@c"]
        {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
        assert_eq!("examples/echo".parse::<Listing>().unwrap().to_string(), "examples/echo");
        assert!("echo".parse::<Listing>().is_err() && "../echo".parse::<Listing>().is_err());
        let refused = |name: &str| name.parse::<IndexName>().unwrap_err();
        assert!(refused("none").contains("keeps that name") && refused("No").contains("of a-z"), "{}", refused("none"));
    }
}
