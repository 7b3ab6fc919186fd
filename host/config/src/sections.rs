//! The sections of `parlor.toml`, with the errors of a configuration. [`parlor_base::document`] does the parsing and finds
//! the places.

use std::path::Path;
use std::sync::Arc;

use parlor_base::document::{self, Node, Position};
use parlor_base::nearest::nearest;
use serde_json::Value;
use toml::de::DeValue;

use super::error::{ConfigError, FilePosition};

/// A parsed configuration file.
pub(crate) struct Document<'a> {
    file: Arc<Path>,
    read: document::Document<'a>,
    is_of_nodes: bool,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(file: &Path, text: &'a str) -> Result<Self, ConfigError> {
        let file: Arc<Path> = file.into();
        let read = document::Document::parse(text).map_err(|error| ConfigError::Syntax {
            at: FilePosition { file: Arc::clone(&file), line: error.line, column: error.column },
            reason: error.message,
        })?;
        Ok(Self { file, read, is_of_nodes: false })
    }

    /// Returns the same for a file that nodes of a cluster share: this one may lack files with passwords that others have.
    pub(crate) fn of_nodes(self) -> Self {
        Self { is_of_nodes: true, ..self }
    }

    pub(crate) fn top(&self) -> Section<'_> {
        let at = FilePosition { file: Arc::clone(&self.file), line: 1, column: 1 };
        let (file, read, is_of_nodes) = (Arc::clone(&self.file), self.read.root(), self.is_of_nodes);
        Section { file, path: String::new(), at, read, is_of_nodes, under: None }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Written<T> {
    pub value: T,
    pub at: FilePosition,
}

/// One table of the file, perhaps over another one, which has what this one lacks.
#[derive(Clone)]
pub struct Section<'a> {
    file: Arc<Path>,
    /// Its path, such as `account.main`, short enough for display; empty at the top.
    path: String,
    /// The place where it begins.
    pub at: FilePosition,
    read: document::Section<'a>,
    /// Whether nodes of a cluster share the file.
    is_of_nodes: bool,
    /// The table below.
    under: Option<Box<Section<'a>>>,
}

impl<'a> Section<'a> {
    /// Returns the same over another table.
    #[must_use]
    pub fn over(self, under: Section<'a>) -> Self {
        Self { under: Some(Box::new(under)), ..self }
    }

    /// Returns the tables that it is over, the lowest first, and then itself: each for what is its own.
    pub fn layers(&self) -> Vec<&Section<'a>> {
        let mut layers = self.under.as_ref().map_or_else(Vec::new, |under| under.layers());
        layers.push(self);
        layers
    }

    /// Returns whether the file is one that nodes of a cluster share.
    pub fn is_of_nodes(&self) -> bool {
        self.is_of_nodes
    }

    /// Refuses every key of its own that is not in `known`.
    pub fn allow_only(&self, known: &'static [&'static str]) -> Result<(), ConfigError> {
        let Some(node) = self.read.entries().find(|node| !known.contains(&node.key())) else { return Ok(()) };
        Err(ConfigError::Unknown {
            at: self.place(node.position()),
            key: node.key().chars().take(64).collect(),
            within: if self.path.is_empty() { "at the top of the file".into() } else { format!("in [{}]", self.path) },
            nearest: nearest(node.key(), known.iter().copied())
                .and_then(|name| known.iter().copied().find(|&known| known == name)),
            known,
        })
    }

    /// Returns the value of this key, which must be a string that is not empty.
    pub fn text(&self, key: &str) -> Result<Option<Written<&'a str>>, ConfigError> {
        self.value(key, |value| value.as_str().filter(|text| !text.is_empty()), "a string")
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        Ok(self.value(key, DeValue::as_bool, "true or false")?.map(|written| written.value))
    }

    /// Returns the table of this key. If both tables have it, it is over that of the one below.
    pub fn section(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        let under = match &self.under {
            Some(under) => under.section(key)?,
            None => None,
        };
        match (self.read.get(key), under) {
            (None, under) => Ok(under),
            (Some(node), None) => self.inner(&node).map(Some),
            (Some(node), Some(under)) => Ok(Some(self.inner(&node)?.over(under))),
        }
    }

    /// Returns everything of its own, each with its name. Each must be a table.
    pub fn sections(&self) -> Result<Vec<(Written<&'a str>, Section<'a>)>, ConfigError> {
        let one = |node: Node<'a>| {
            let name = Written { value: node.key(), at: self.place(node.position()) };
            Ok((name, self.inner(&node)?))
        };
        self.read.entries().map(one).collect()
    }

    /// Returns the place of this key, if it is present.
    pub fn place_of(&self, key: &str) -> Option<FilePosition> {
        let own = self.read.get(key).map(|node| self.place(node.position()));
        own.or_else(|| self.under.as_ref()?.place_of(key))
    }

    /// Returns the place of this key, if its value is a string.
    pub fn place_of_text(&self, key: &str) -> Option<FilePosition> {
        let node = self.read.get(key)?;
        node.written().as_str().map(|_| self.place(node.position()))
    }

    /// Returns the first key of its own that is not in `known`.
    pub fn other_than(&self, known: &[&str]) -> Option<(&'a str, FilePosition)> {
        let node = self.read.entries().find(|node| !known.contains(&node.key()))?;
        Some((node.key(), self.place(node.position())))
    }

    /// Returns all values, as JSON: first those of the table below, over which the others go.
    pub fn json(&self) -> Result<Vec<(&'a str, Written<Value>)>, ConfigError> {
        let one = |node: Node<'a>| {
            let at = self.place(node.value_position());
            match document::json(node.written(), |date| Some(Value::from(date.to_string()))) {
                Some(value) => Ok((node.key(), Written { value, at })),
                None => Err(ConfigError::WrongType {
                    at,
                    key: self.path_of(node.key()),
                    expected: "a value that JSON has",
                    found: "a number that is too large or none",
                }),
            }
        };
        let mut all = self.under.as_ref().map_or(Ok(Vec::new()), |under| under.json())?;
        for node in self.read.entries() {
            all.push(one(node)?);
        }
        Ok(all)
    }

    fn inner(&self, node: &Node<'a>) -> Result<Section<'a>, ConfigError> {
        match node.as_section() {
            Some(read) => Ok(Section {
                file: Arc::clone(&self.file),
                path: self.path_of(node.key()),
                at: self.place(node.value_position()),
                read,
                is_of_nodes: self.is_of_nodes,
                under: None,
            }),
            None => Err(self.wrong(node, "a table")),
        }
    }

    fn value<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<Written<T>>, ConfigError> {
        let Some(node) = self.read.get(key) else {
            return self.under.as_ref().map_or(Ok(None), |under| under.value(key, read, expected));
        };
        match read(node.written()) {
            Some(value) => Ok(Some(Written { value, at: self.place(node.value_position()) })),
            None => Err(self.wrong(&node, expected)),
        }
    }

    fn wrong(&self, node: &Node<'_>, expected: &'static str) -> ConfigError {
        let at = self.place(node.value_position());
        ConfigError::WrongType { at, key: self.path_of(node.key()), expected, found: a(node.written()) }
    }

    fn path_of(&self, key: &str) -> String {
        let key: String = key.chars().take(64).collect();
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn place(&self, Position { line, column }: Position) -> FilePosition {
        FilePosition { file: Arc::clone(&self.file), line, column }
    }
}

fn a(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty one",
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
