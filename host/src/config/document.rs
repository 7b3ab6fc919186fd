//! A TOML file as sections that know where each of their values stands, and which keys they may have.

use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Place};
use crate::nearest::nearest;

/// The text of a file, to tell where in it something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn parse(self) -> Result<DeTable<'a>, ConfigError> {
        DeTable::parse(self.text).map(Spanned::into_inner).map_err(|error| ConfigError::Syntax {
            at: self.place(error.span().map_or(0, |span| span.start)),
            // The message alone: what the parser shows with it is the line, and a password may stand there.
            reason: error.message().lines().next().unwrap_or("this is not TOML").to_owned(),
        })
    }

    pub(super) fn place(self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { file: self.file.to_owned(), line, column }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) at: Place,
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Section<'a> {
    document: Document<'a>,
    /// Its path, such as `account.main`; empty at the top.
    path: String,
    /// Where it begins.
    pub(super) at: Place,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn top(document: Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self { document, path: String::new(), at: document.place(0), table }
    }

    /// Refuses every key but these.
    pub(super) fn allow_only(&self, known: &'static [&'static str]) -> Result<(), ConfigError> {
        let Some(key) = self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) else { return Ok(()) };
        Err(ConfigError::Unknown {
            at: self.document.place(key.span().start),
            key: key.get_ref().chars().take(64).collect(),
            within: if self.path.is_empty() { "at the top of the file".into() } else { format!("in [{}]", self.path) },
            nearest: nearest(key.get_ref(), known.iter().copied())
                .and_then(|name| known.iter().copied().find(|&known| known == name)),
            known,
        })
    }

    /// A string that is not empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<Written<&'a str>>, ConfigError> {
        self.value(key, |value| value.as_str().filter(|text| !text.is_empty()), "a string")
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        Ok(self.value(key, DeValue::as_bool, "true or false")?.map(|written| written.value))
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        let found = self.value(key, DeValue::as_table, "a table")?;
        Ok(found.map(|Written { value: table, at }| Section {
            document: self.document,
            path: self.path_of(key),
            at,
            table,
        }))
    }

    fn path_of(&self, key: &str) -> String {
        let key: String = key.chars().take(64).collect();
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// Where this key stands, if it does.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.table.get_key_value(key).map(|(key, _)| self.document.place(key.span().start))
    }

    /// All that is in it, each of which must be a table, with its name.
    pub(super) fn sections(&self) -> Result<Vec<(Written<&'a str>, Section<'a>)>, ConfigError> {
        let one = |key: &'a Spanned<DeString<'a>>| {
            let name = Written { value: key.get_ref().as_ref(), at: self.document.place(key.span().start) };
            Ok(self.section(name.value)?.map(|section| (name, section)))
        };
        self.table.keys().filter_map(|key| one(key).transpose()).collect()
    }

    /// All values, as JSON.
    pub(super) fn json(&self) -> Result<Vec<(&'a str, Written<Value>)>, ConfigError> {
        let one = |(key, value): (&'a Spanned<DeString<'a>>, &Spanned<DeValue<'_>>)| {
            let key = key.get_ref();
            let at = self.document.place(value.span().start);
            match json(value.get_ref()) {
                Some(value) => Ok((key.as_ref(), Written { value, at })),
                None => Err(ConfigError::WrongType {
                    at,
                    key: self.path_of(key),
                    expected: "a value that JSON has",
                    found: "a number that is too large or none",
                }),
            }
        };
        self.table.iter().map(one).collect()
    }

    fn value<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<Written<T>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let at = self.document.place(value.span().start);
        match read(value.get_ref()) {
            Some(value) => Ok(Some(Written { value, at })),
            None => Err(ConfigError::WrongType { at, key: self.path_of(key), expected, found: a(value.get_ref()) }),
        }
    }
}

/// As JSON; none where a number has no JSON form.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Number(serde_json::Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(list) => Value::Array(list.iter().map(|entry| json(entry.get_ref())).collect::<Option<_>>()?),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().as_ref().to_owned(), json(value.get_ref())?)))
                .collect::<Option<Map<_, _>>>()?,
        ),
    })
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
