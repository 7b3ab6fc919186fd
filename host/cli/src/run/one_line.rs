//! Keeps an event of the log on one line, with any content. A field may hold untrusted text, such as a room's reason to
//! refuse entry, and the library writes it unescaped.

use std::fmt;

use parlor_base::escape::Reader;
use tracing_subscriber::fmt::format::Writer;

/// The longest line, in bytes; the rest is truncated.
const LONGEST: usize = 128 << 10;

/// A line of the log that is being written.
pub(super) struct OneLine<'w> {
    to: Writer<'w>,
    reader: Reader,
    /// Allows escape characters, which colours consist of. Text from XML cannot contain any.
    has_colours: bool,
    /// A line break was written. It ends the line only if nothing follows.
    is_over: bool,
    /// How many bytes may still follow.
    left: usize,
}

impl<'w> OneLine<'w> {
    /// Starts an empty line.
    pub(super) fn begin(to: Writer<'w>, has_colours: bool) -> Self {
        Self { to, reader: Reader::default(), has_colours, is_over: false, left: LONGEST }
    }

    /// Ends the line.
    pub(super) fn end(mut self) -> fmt::Result {
        self.to.write_char('\n')
    }

    fn put(&mut self, one: char) -> fmt::Result {
        if self.reader.is_harmful(one) && !(self.has_colours && one == '\x1b') {
            write!(self.to, "{}", one.escape_unicode())
        } else {
            self.to.write_char(one)
        }
    }
}

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for one in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            if std::mem::replace(&mut self.is_over, one == '\n') {
                self.put('\n')?;
            }
            if one != '\n' {
                self.put(one)?;
            }
            self.left = self.left.saturating_sub(one.len_utf8());
            if self.left == 0 {
                self.to.write_char('…')?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::Format;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::run::Lined;

    fn line(parts: &[&str], has_colours: bool) -> String {
        let mut text = String::new();
        let mut line = OneLine::begin(Writer::new(&mut text), has_colours);
        for part in parts {
            line.write_str(part).unwrap();
        }
        line.end().unwrap();
        text
    }

    #[test]
    fn only_the_last_end_of_a_line_ends_it() {
        assert_eq!(line(&["a room", " is shut", "\n"], false), "a room is shut\n");
        assert_eq!(line(&["a\nb\n", "\n", "c", "\n"], false), "a\\u{a}b\\u{a}\\u{a}c\n");
        assert_eq!(line(&["a\u{9b}2J\u{202e}b\u{2067}\r"], false), "a\\u{9b}2J\\u{202e}b\\u{2067}\\u{d}\n");
        assert_eq!(line(&["\u{1b}[2m", "a"], true), "\u{1b}[2ma\n");
        assert_eq!(line(&["\u{1b}[2m", "a"], false), "\\u{1b}[2ma\n");
    }

    #[test]
    fn a_line_is_no_longer_than_anybody_reads() {
        let text = line(&["é".repeat(LONGEST).as_str(), "more", "\n"], false);
        assert_eq!(text.len(), LONGEST + "…\n".len());
        assert!(text.ends_with("é…\n"));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A room's reason to refuse entry is its own text.
    #[test]
    fn nobody_writes_a_line_of_the_log_by_what_he_is_quoted_with() {
        let said = "forbidden: go\n2026-11-22T06:24:00Z ERROR account failed\u{9b}2J";
        for (has_colours, expected) in [(false, " WARN "), (true, "WARN")] {
            let written = Written::default();
            let to = written.clone();
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(move || to.clone())
                .with_ansi(has_colours)
                .event_format(Lined::new(Format::default().without_time(), has_colours));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::warn!(error = %said, "a room cannot be entered");
            });
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{text:?}");
            assert!(text.contains(expected) && text.contains("a room cannot be entered"), "{text:?}");
            assert!(text.contains("go\\u{a}2026") && text.contains("failed\\u{9b}2J"), "{text:?}");
        }
    }
}
