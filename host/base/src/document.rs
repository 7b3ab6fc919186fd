//! Reads TOML by hand, so that every error names its line, its key and the nearest known key.
//!
//! The configuration, policies and manifests are read with it, and define the keys. No message repeats a value, or the
//! line that holds it, since a value may be a secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::{fmt, ops::Range, str::FromStr};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
    value::Datetime,
};

use crate::escape::escape_untrusted;
use crate::nearest::nearest;

/// The most of a key that is shown, in bytes.
const LONGEST_KEY: usize = 1_000;

/// The reason why a file that should hold TOML cannot be read.
pub enum ReadError {
    /// It could not be read.
    Unreadable(io::Error),
    /// The file is longer than the caller allows.
    TooLong,
}

/// Reads a file of at most `most` bytes as text; none if there is no file.
pub fn read(path: &Path, most: u64) -> Result<Option<String>, ReadError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::Unreadable(error)),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed, to detect a file that is too long.
    file.take(most + 1).read_to_end(&mut bytes).map_err(ReadError::Unreadable)?;
    if bytes.len() as u64 > most {
        return Err(ReadError::TooLong);
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let Position { line, column } = Position::of(&good, good.len());
        let cause = format!("line {line}, column {column} is not UTF-8");
        ReadError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, cause))
    })
}

/// An error in a TOML text, with its place; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct DocumentError {
    /// The line of the error.
    /// The line, counted from 1.
    pub line: usize,
    /// The character in that line.
    /// The column, counted from 1.
    pub column: usize,
    /// The error, and how to correct it.
    pub message: String,
}

/// A line, and the character in that line, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

/// A text, and where its lines begin. Counting lines again for each place would take quadratic time.
#[derive(Clone, Copy)]
struct Lines<'d> {
    text: &'d str,
    begin: &'d [usize],
}

impl Lines<'_> {
    fn position(self, offset: usize) -> Position {
        let line = self.begin.partition_point(|begin| *begin <= offset).max(1);
        let begin = self.begin.get(line - 1).copied().unwrap_or(0);
        Position { line, column: self.text.get(begin..offset).unwrap_or_default().chars().count() + 1 }
    }

    fn error(self, offset: usize, message: &impl fmt::Display) -> DocumentError {
        let Position { line, column } = self.position(offset);
        DocumentError { line, column, message: message.to_string() }
    }
}

impl DocumentError {
    fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let Position { line, column } = Position::of(text, offset);
        Self { line, column, message: message.into() }
    }
}

/// A TOML text with the places of its parts.
pub struct Document<'t> {
    text: &'t str,
    /// The position at which each line begins.
    lines: Vec<usize>,
    root: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Parses TOML.
    pub fn parse(text: &'t str) -> Result<Self, DocumentError> {
        match DeTable::parse(text) {
            Ok(root) => {
                let lines = text.match_indices('\n').map(|(newline, _)| newline + 1);
                Ok(Self { text, lines: std::iter::once(0).chain(lines).collect(), root })
            }
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let message = match error.message() {
                    "duplicate key" => written_twice(text, error.span()),
                    // Only the first line: the parser may append a line of the file, which may hold a secret.
                    other => other.lines().next().unwrap_or("this is not TOML").to_owned(),
                };
                Err(DocumentError::at(text, offset, message))
            }
        }
    }

    /// Returns the outermost table.
    pub fn root(&self) -> Section<'_> {
        let lines = Lines { text: self.text, begin: &self.lines };
        Section { lines, path: String::new(), span: self.root.span(), table: self.root.get_ref() }
    }
}

/// Returns the message for a key that occurs twice, with the line of the first one if that is a table header.
fn written_twice(text: &str, span: Option<Range<usize>>) -> String {
    let span = span.unwrap_or_default();
    let key = text.get(span.clone()).unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default();
    let (before, _) = text.split_at(before.rfind('\n').map_or(0, |newline| newline + 1));
    let header = text[before.len()..].lines().next().unwrap_or_default();
    let first = first_header(before, header)
        .map(|offset| format!("; the first is in line {}", Position::of(text, offset).line))
        .unwrap_or_default();
    // The key is shown as the file has it, with its quotes.
    format!("`{}` is there twice{first}; keep one of them, or rename one", escape_untrusted(key, LONGEST_KEY))
}

/// Finds the earlier place that opened the same table as `header`.
fn first_header(before: &str, header: &str) -> Option<usize> {
    if !header.trim_start().starts_with('[') {
        return None;
    }
    let (header, before) = (DeTable::parse(header).ok()?, DeTable::parse(before).ok()?);
    let (mut path, mut table, mut found) = (header.get_ref(), before.get_ref(), None);
    while let Some((key, inner)) = path.iter().next() {
        let (first, value) = table.iter().find(|(candidate, _)| candidate.get_ref() == key.get_ref())?;
        found = Some(first.span().start);
        match (inner.get_ref().as_table(), value.get_ref().as_table()) {
            (Some(inner), Some(value)) => (path, table) = (inner, value),
            _ => break,
        }
    }
    found
}

/// Returns as much of a path of keys as an error shows. Its author may have made it as long as the file.
fn shown(path: &str) -> std::str::EscapeDebug<'_> {
    path[..path.floor_char_boundary(LONGEST_KEY)].escape_debug()
}

/// A table of the document.
#[derive(Clone)]
pub struct Section<'d> {
    lines: Lines<'d>,
    path: String,
    span: Range<usize>,
    table: &'d DeTable<'d>,
}

/// A value, with the path to it.
pub struct Node<'d> {
    lines: Lines<'d>,
    path: String,
    key: &'d str,
    /// The place of the key.
    span: Range<usize>,
    value_span: Range<usize>,
    value: &'d DeValue<'d>,
}

impl<'d> Section<'d> {
    /// Returns an error about this table.
    pub fn error(&self, message: impl fmt::Display) -> DocumentError {
        self.lines.error(self.span.start, &message)
    }

    /// Refuses every key that is not in `known`.
    pub fn allow(&self, known: &[&str]) -> Result<(), DocumentError> {
        match self.entries().find(|node| !known.contains(&node.key)) {
            None => Ok(()),
            Some(node) => Err(node.error(match nearest(node.key, known.iter().copied()) {
                Some(near) => format!("unknown key `{}`; did you mean `{near}`?", shown(&node.path)),
                None => format!("unknown key `{}`; known are {}", shown(&node.path), known.join(", ")),
            })),
        }
    }

    /// Returns the entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = Node<'d>> + use<'_, 'd> {
        let mut nodes: Vec<_> = self.table.iter().map(|(key, value)| self.node(key, value)).collect();
        // In the order of the file, so that the first mistake is reported.
        nodes.sort_by_key(|node| node.span.start);
        nodes.into_iter()
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<Node<'d>> {
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key);
        found.map(|(name, value)| self.node(name, value))
    }

    fn node(&self, key: &'d Spanned<DeString<'d>>, value: &'d Spanned<DeValue<'d>>) -> Node<'d> {
        let path = match self.path.as_str() {
            "" => key.get_ref().to_string(),
            path => format!("{path}.{}", key.get_ref()),
        };
        let (span, value_span) = (key.span(), value.span());
        Node { lines: self.lines, path, key: key.get_ref(), span, value_span, value: value.get_ref() }
    }

    /// Returns the value of a required key. `remedy` tells the reader what to write.
    pub fn require(&self, key: &str, remedy: &str) -> Result<Node<'d>, DocumentError> {
        self.get(key).ok_or_else(|| {
            let place = if self.path.is_empty() { String::new() } else { format!("[{}] has ", shown(&self.path)) };
            self.error(format!("{place}no `{key}`; {remedy}"))
        })
    }

    /// Returns the table of this name, if there is one.
    pub fn section(&self, key: &str) -> Result<Option<Section<'d>>, DocumentError> {
        self.get(key).map(|node| node.section()).transpose()
    }
}

impl<'d> Node<'d> {
    /// Returns its key.
    pub fn key(&self) -> &'d str {
        self.key
    }

    /// Returns the position of its key.
    pub fn position(&self) -> Position {
        self.lines.position(self.span.start)
    }

    /// Returns the position of its value.
    pub fn value_position(&self) -> Position {
        self.lines.position(self.value_span.start)
    }

    /// Returns the value as it was written.
    pub fn written(&self) -> &'d DeValue<'d> {
        self.value
    }

    /// Returns an error about this value.
    pub fn error(&self, message: impl fmt::Display) -> DocumentError {
        self.lines.error(self.span.start, &message)
    }

    /// Returns an error that points at the value itself.
    pub fn value_error(&self, message: impl fmt::Display) -> DocumentError {
        self.lines.error(self.value_span.start, &message)
    }

    /// Returns the error for a value of the wrong type or form.
    pub fn wants(&self, what: &str) -> DocumentError {
        self.error(format!("`{}` has to be {what}", shown(&self.path)))
    }

    /// Returns its text.
    pub fn string(&self) -> Result<&'d str, DocumentError> {
        self.value.as_str().ok_or_else(|| self.wants("a text in quotes"))
    }

    /// Returns a text of at most `most` bytes that is not empty.
    pub fn sentence(&self, most: usize) -> Result<String, DocumentError> {
        let text = self.string()?.trim();
        match text.len() {
            0 => Err(self.wants("a text that is not empty")),
            length if length > most => Err(self.wants(&format!("at most {most} bytes long, not {length}"))),
            _ => Ok(text.to_owned()),
        }
    }

    /// Parses the text as `T`.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, DocumentError> {
        self.string()?.parse().map_err(|error| self.error(format!("`{}`: {error}", shown(&self.path))))
    }

    /// Parses the key itself as `T`.
    pub fn parse_key<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, DocumentError> {
        self.key.parse().map_err(|error| self.error(error))
    }

    /// Returns its boolean.
    pub fn boolean(&self) -> Result<bool, DocumentError> {
        self.value.as_bool().ok_or_else(|| self.wants("true or false"))
    }

    /// Returns a list of at most `most` texts.
    pub fn strings(&self, most: usize) -> Result<Vec<&'d str>, DocumentError> {
        let texts = || self.wants("a list of texts: [\"…\", \"…\"]");
        let array = self.value.as_array().ok_or_else(texts)?;
        if array.len() > most {
            return Err(self.wants(&format!("a list of at most {most}, not {}", array.len())));
        }
        array.iter().map(|item| item.get_ref().as_str().ok_or_else(texts)).collect()
    }

    /// Returns its table.
    pub fn section(&self) -> Result<Section<'d>, DocumentError> {
        match self.value.as_table() {
            Some(table) => Ok(Section { lines: self.lines, path: self.path.clone(), span: self.span.clone(), table }),
            None => Err(self.wants("a table")),
        }
    }

    /// Returns this table; none if the value is not a table.
    pub fn as_section(&self) -> Option<Section<'d>> {
        self.section().ok()
    }

    /// Returns it as a value of TOML.
    pub fn value(&self) -> Result<toml::Value, DocumentError> {
        owned(self.value).ok_or_else(|| self.wants("made of numbers that fit into 64 bits"))
    }

    /// Returns the value as JSON. A date is an error, since JSON has none.
    pub fn json(&self) -> Result<serde_json::Value, DocumentError> {
        json(self.value, |_| None)
            .ok_or_else(|| self.wants("a text, a number, true, false, or a list or table of those"))
    }
}

/// Copies a value. The TOML reader bounds the depth of a value, and with it this recursion.
fn owned(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => toml::Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(boolean) => toml::Value::Boolean(*boolean),
        DeValue::Datetime(datetime) => toml::Value::Datetime(*datetime),
        DeValue::Array(array) => {
            toml::Value::Array(array.iter().map(|item| owned(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(key, item)| Some((key.get_ref().to_string(), owned(item.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// Returns the value as JSON, which has no dates: `date` converts one. None if a number has no JSON form.
///
/// See `owned` for the depth.
pub fn json(value: &DeValue<'_>, date: fn(&Datetime) -> Option<serde_json::Value>) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Number(serde_json::Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(when) => date(when)?,
        DeValue::Array(list) => {
            Value::Array(list.iter().map(|item| json(item.get_ref(), date)).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, item)| Some((key.get_ref().to_string(), json(item.get_ref(), date)?)))
                .collect::<Option<_>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Document::parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_table_that_is_there_twice_is_named_with_both_lines() {
        assert_eq!(
            refusal("[plugin.echo]\na = 1\n\n[plugin.echo]\n"),
            "4:9: `echo` is there twice; the first is in line 1; keep one of them, or rename one"
        );
        assert_eq!(refusal("[x]\na = 1\na = 2\n"), "3:1: `a` is there twice; keep one of them, or rename one");
        let quoted = "3:1: `\"a.b\"` is there twice; keep one of them, or rename one";
        assert_eq!(refusal("[x]\n\"a.b\" = 1\n\"a.b\" = 2\n"), quoted);
    }

    #[test]
    fn an_error_points_at_the_key_or_at_the_value() {
        let document = Document::parse("[a]\n[a.b]\nkind = \"x\"\n").unwrap();
        let table = document.root().section("a").unwrap().unwrap().section("b").unwrap().unwrap();
        let node = table.get("kind").unwrap();
        assert_eq!(node.error("no").to_string(), "3:1: no");
        assert_eq!(node.value_error("no").to_string(), "3:8: no");
    }

    #[test]
    fn broken_text_names_its_line() {
        assert!(refusal("a = 1\nb = \n").starts_with("2:"), "{}", refusal("a = 1\nb = \n"));
        assert!(refusal(&"[".repeat(100_000)).starts_with("1:"));
    }

    #[test]
    fn a_place_is_the_same_by_the_lines_as_by_counting() {
        let text = "a = 1\r\n# ä\n\n[b]\nc = \"öö\"  # ü\n";
        let document = Document::parse(text).unwrap();
        let lines = document.root().lines;
        for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
            assert_eq!(lines.position(offset), Position::of(text, offset), "{offset}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let document = Document::parse("[plugin]\nsuorce = 1\n").unwrap();
        let section = document.root().section("plugin").unwrap().unwrap();
        let error = section.allow(&["source", "digest"]).unwrap_err();
        assert_eq!(error.to_string(), "2:1: unknown key `plugin.suorce`; did you mean `source`?");
        let error = section.allow(&["enabled"]).unwrap_err();
        assert_eq!(error.message, "unknown key `plugin.suorce`; known are enabled");
    }

    #[test]
    fn an_error_does_not_show_all_of_a_long_key() {
        let text = format!("[{0}]\n{0} = 1\n", "x".repeat(1 << 20));
        let document = Document::parse(&text).unwrap();
        let (root, known) = (document.root(), ["plugin"]);
        let section = root.entries().next().unwrap().section().unwrap();
        let node = section.entries().next().unwrap();
        let missing = section.require("kind", "write it").err().unwrap();
        let errors = [root.allow(&known).unwrap_err(), node.wants("true"), node.string().unwrap_err(), missing];
        for DocumentError { message, .. } in errors {
            assert!(message.len() < 1_100, "{} bytes", message.len());
        }
    }

    #[test]
    fn values_become_json_but_dates_do_not() {
        let document =
            Document::parse("a = [1, 0x10, 2.5, true, \"x\"]\nb = { c = 1 }\nd = 2024-01-01\ne = nan\n").unwrap();
        let root = document.root();
        assert_eq!(root.get("a").unwrap().json().unwrap(), serde_json::json!([1, 16, 2.5, true, "x"]));
        assert_eq!(root.get("b").unwrap().json().unwrap(), serde_json::json!({ "c": 1 }));
        assert!(root.get("d").unwrap().json().is_err());
        assert!(root.get("e").unwrap().json().is_err());
    }
}
