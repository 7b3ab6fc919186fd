//! The files that one entry of a scope covers: of a media type or all, up to a size or of any.

use std::fmt;

use super::error::BadScope;
use super::size::{parse_size, size};

/// An entry of a scope of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePattern {
    kind: Kind,
    /// The largest size in bytes; none = any.
    most: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Every media type.
    All,
    /// The types with this prefix, such as `image/`.
    Of(Box<str>),
    /// This one.
    One(Box<str>),
}

impl FilePattern {
    /// Returns the entry for every file.
    pub(super) fn all() -> Self {
        Self { kind: Kind::All, most: None }
    }

    pub(super) fn parse(entry: &str) -> Result<Self, BadScope> {
        let bad =
            |reason: &str| BadScope::NoFile { entry: entry.chars().take(128).collect(), reason: reason.to_owned() };
        if entry.trim().is_empty() {
            return Err(bad("it is empty; * covers every file"));
        }
        let (first, rest) = entry.trim().split_once(' ').unwrap_or((entry.trim(), ""));
        let kind = match first {
            "*" => Some(Kind::All),
            kind => kind.contains('/').then(|| kind_of(kind)).transpose().map_err(bad)?,
        };
        let (kind, rest) = match kind {
            Some(kind) => (kind, rest.trim()),
            None if first.starts_with(|c: char| c.is_ascii_digit()) => (Kind::All, entry.trim()),
            None => return Err(bad("it begins with neither a media type nor a size")),
        };
        let most = if rest.is_empty() { None } else { Some(parse_size(rest)?) };
        Ok(Self { kind, most })
    }

    /// Returns whether it covers a file of this media type and size.
    pub(super) fn covers(&self, media_type: &str, bytes: u64) -> bool {
        let is_of = match &self.kind {
            Kind::All => true,
            Kind::Of(begin) => media_type.starts_with(&**begin),
            Kind::One(kind) => **kind == *media_type,
        };
        is_of && self.most.is_none_or(|most| bytes <= most)
    }

    /// Returns whether it covers everything that the other one covers.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let has_kind = match (&self.kind, &other.kind) {
            (Kind::All, _) => true,
            (Kind::Of(begin), Kind::Of(other) | Kind::One(other)) => other.starts_with(&**begin),
            (Kind::One(one), Kind::One(other)) => one == other,
            (Kind::Of(_) | Kind::One(_), Kind::All) | (Kind::One(_), Kind::Of(_)) => false,
        };
        has_kind && self.most.is_none_or(|most| other.most.is_some_and(|other| other <= most))
    }
}

fn kind_of(text: &str) -> Result<Kind, &'static str> {
    let text = text.to_ascii_lowercase();
    match text.strip_suffix('*') {
        Some(begin) if begin.ends_with('/') && is_media_type(&format!("{begin}x")) => Ok(Kind::Of(begin.into())),
        None if is_media_type(&text) => Ok(Kind::One(text.into())),
        Some(_) | None => Err("it is no media type"),
    }
}

fn is_media_type(text: &str) -> bool {
    parlor_stanza::files::is_media_type(text)
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.most) {
            (Kind::All, None) => f.write_str("*"),
            (Kind::All, Some(most)) => f.write_str(&size(most)),
            (Kind::Of(begin), None) => write!(f, "{begin}*"),
            (Kind::One(kind), None) => f.write_str(kind),
            (Kind::Of(begin), Some(most)) => write!(f, "{begin}* {}", size(most)),
            (Kind::One(kind), Some(most)) => write!(f, "{kind} {}", size(most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = String> {
        let kind = prop_oneof![Just(""), Just("*"), Just("image/*"), Just("image/png"), Just("text/plain")];
        let most = prop_oneof![Just(""), Just("1 B"), Just("10 MiB"), Just("1 GiB")];
        (kind, most).prop_map(|(kind, most)| format!("{kind} {most}").trim().to_owned())
    }

    proptest! {
        #[test]
        fn entries_are_written_as_they_are_read_and_include_what_they_cover(one in entries(), other in entries()) {
            prop_assume!(!one.is_empty() && !other.is_empty());
            let (one, other) = (FilePattern::parse(&one).unwrap(), FilePattern::parse(&other).unwrap());
            prop_assert_eq!(FilePattern::parse(&one.to_string()).unwrap(), one.clone());
            let files = ["image/png", "image/gif", "text/plain", "video/mp4"];
            let covered = |pattern: &FilePattern, bytes: u64| files.map(|kind| pattern.covers(kind, bytes));
            if one.includes(&other) {
                for bytes in [0, 1, 2, 10 << 20, (10 << 20) + 1, 1 << 30, u64::MAX] {
                    for (ours, theirs) in covered(&one, bytes).into_iter().zip(covered(&other, bytes)) {
                        prop_assert!(ours || !theirs, "{} {}", one, other);
                    }
                }
            }
        }
    }

    #[test]
    fn an_entry_is_a_kind_a_size_or_both() {
        for entry in ["*", "image/*", "image/png", "10 MiB", "image/png 5 MiB", "application/vnd.ms-excel"] {
            assert_eq!(FilePattern::parse(entry).unwrap().to_string(), entry);
        }
        for entry in ["", "image", "*/png", "image/p*", "image/png png", "a b/c"] {
            assert!(FilePattern::parse(entry).is_err(), "{entry:?}");
        }
        let error = |entry: &str| FilePattern::parse(entry).unwrap_err().to_string();
        for entry in ["textplain 1 MiB", "image", "MiB 5"] {
            let reason = format!("{entry:?} is no kind of files (it begins with neither a media type nor a size)");
            assert!(error(entry).starts_with(&reason), "{}", error(entry));
        }
        assert!(error("10 mb").starts_with("\"10 mb\" is no size"), "{}", error("10 mb"));
        assert!(FilePattern::parse("Image/PNG").unwrap().covers("image/png", 1));
        assert!(!FilePattern::parse("image/* 1 KiB").unwrap().covers("image/png", 1_025));
    }
}
