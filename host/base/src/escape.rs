//! Untrusted text, escaped for one line of a log or a status.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use crate::id::Digest;

/// Escapes a text to one line that moves no cursor and reads in one direction, truncated after `longest` bytes.
pub fn escape_untrusted(text: &str, longest: usize) -> String {
    escape(text, longest).0
}

/// Escapes a text as [`escape_untrusted`] does. If it is truncated, the digest of the whole text follows, so that texts that
/// begin alike can be told apart: at most 90 bytes more.
pub fn escape_distinct(text: &str, longest: usize) -> String {
    let (mut line, is_whole) = escape(text, longest);
    if !is_whole {
        // Writing into a String cannot fail.
        let _ = write!(line, " {}", Digest::of(text.as_bytes()));
    }
    line
}

/// Puts words of somebody else between quotation marks, escaped as [`escape_untrusted`] does. They have no such marks themselves: nobody
/// seems to go on in the host's name behind them, such as with an address to log in at.
pub fn quoted_untrusted(words: &str, longest: usize) -> String {
    let words = escape_untrusted(words, longest).replace(['“', '”', '„', '‟', '«', '»'], "'");
    format!("“{words}”")
}

/// Returns the escaped text, and whether it is whole.
fn escape(text: &str, longest: usize) -> (String, bool) {
    let mut line = String::with_capacity(text.len().min(longest));
    let mut reader = Reader::default();
    for one in text.chars() {
        if line.len() >= longest {
            line.push('…');
            return (line, false);
        }
        if reader.is_harmful(one) {
            line.extend(one.escape_unicode());
        } else {
            line.push(one);
        }
    }
    (line, true)
}

/// Returns whether anything in the text would be escaped.
pub fn has_harmful(text: &str) -> bool {
    let mut reader = Reader::default();
    text.chars().any(|one| reader.is_harmful(one))
}

/// Paths as messages show them.
pub trait EscapedPath {
    /// Displays the path on one line, with harmful characters escaped: a file name may hold every byte but NUL and `/`.
    ///
    /// `Path::display` shows a line break as one, so a file name could imitate parlor's own output. Do not escape a
    /// path that is written into a file or read by a program: use `to_string_lossy` there.
    fn escaped(&self) -> Escaped<'_>;
}

impl EscapedPath for Path {
    fn escaped(&self) -> Escaped<'_> {
        Escaped(self)
    }
}

/// A path that displays as [`EscapedPath::escaped`] describes.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(&'a Path);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape_untrusted(&self.0.to_string_lossy(), usize::MAX))
    }
}

/// Quotes a text as one word for a shell, which expands nothing in it: a resource may hold any character. A text with
/// harmful characters is quoted so that the word is the same and all of it is visible (`$'…'`, which bash, zsh and
/// POSIX.1-2024 support).
pub fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&byte);
    if text.bytes().all(is_plain) {
        return text.to_owned();
    }
    if !has_harmful(text) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let (mut word, mut reader) = ("$'".to_owned(), Reader::default());
    for one in text.chars() {
        if reader.is_harmful(one) || matches!(one, '\'' | '\\') {
            for byte in one.encode_utf8(&mut [0; 4]).bytes() {
                // Writing into a String cannot fail.
                let _ = write!(word, "\\{byte:03o}");
            }
        } else {
            word.push(one);
        }
    }
    word + "'"
}

/// Reads a text character by character. The character before decides whether a joiner, a selector or a tag is harmless.
#[derive(Debug, Default)]
pub struct Reader {
    /// The character before, unless it was harmful.
    before: Option<char>,
}

impl Reader {
    /// Returns whether the next character ends a line, moves a cursor, reverses the text after it, is invisible, or
    /// looks like a space.
    pub fn is_harmful(&mut self, one: char) -> bool {
        let is_harmful = one.is_control()
            || is_direction(one)
            || is_odd_space(one)
            || matches!(one, '\u{2028}' | '\u{2029}')
            || self.hides(one);
        self.before = Some(one).filter(|_| !is_harmful);
        is_harmful
    }

    /// Returns whether the character is invisible, so that two words with and without it look the same. Persian, many
    /// emoji and some flags need such characters, which are allowed only there.
    fn hides(&self, one: char) -> bool {
        let behind = |is: fn(char) -> bool| self.before.is_some_and(is);
        match one {
            // ZWNJ and ZWJ (the property `Join_Control`).
            '\u{200c}' => !behind(is_joined),
            '\u{200d}' => !behind(|before| is_joined(before) || is_emoji(before) || before == '\u{fe0f}'),
            // The text and emoji selectors (`Variation_Selector`). A digit has both forms as well, but they look the
            // same.
            '\u{fe0e}' | '\u{fe0f}' => !behind(is_emoji),
            // The tags that name the flag of a region.
            '\u{e0020}'..='\u{e007f}' => !behind(|before| matches!(before, '\u{1f3f4}' | '\u{e0020}'..='\u{e007e}')),
            _ => is_invisible(one),
        }
    }
}

/// Returns whether it is a space other than ASCII's (`General_Category=Space_Separator`): these look alike.
pub fn is_odd_space(one: char) -> bool {
    matches!(one, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Returns whether it changes the direction of the text after it (`Bidi_Control`).
fn is_direction(one: char) -> bool {
    matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether it is a letter after which a joiner changes how a word looks. These are the scripts with a
/// `Joining_Type` (Arabic, Syriac, `N’Ko`, Mandaic, Mongolian), and those of India with their viramas
/// (`Indic_Syllabic_Category=Virama`), as in RFC 5892, appendix A.
fn is_joined(one: char) -> bool {
    let joins =
        matches!(one, '\u{620}'..='\u{77f}' | '\u{7ca}'..='\u{7ff}' | '\u{840}'..='\u{8ff}' | '\u{1820}'..='\u{18aa}');
    let is_of_india = matches!(one, '\u{900}'..='\u{dff}');
    let is_virama = is_of_india && (u32::from(one) & 0x7f == 0x4d || one == '\u{dca}');
    is_virama || ((joins || is_of_india) && one.is_alphabetic())
}

/// Returns whether it is a picture (`Extended_Pictographic`) or a skin colour (`Emoji_Modifier`), by the blocks that
/// have them.
fn is_emoji(one: char) -> bool {
    matches!(
        one,
        '\u{a9}'
            | '\u{ae}'
            | '\u{203c}'
            | '\u{2049}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2194}'..='\u{21aa}'
            | '\u{231a}'..='\u{23ff}'
            | '\u{24c2}'
            | '\u{25aa}'..='\u{27bf}'
            | '\u{2934}'..='\u{2935}'
            | '\u{2b05}'..='\u{2b55}'
            | '\u{3030}'
            | '\u{303d}'
            | '\u{3297}'
            | '\u{3299}'
            | '\u{1f000}'..='\u{1faff}'
    )
}

/// Returns whether it shows nothing. These are the characters with `Default_Ignorable_Code_Point`, except those that
/// are judged by the character before; format characters of scripts (`General_Category=Format`) that are invisible on
/// their own; and the blanks that Unicode does not classify as spaces (Braille, Egyptian, Khitan and music).
fn is_invisible(one: char) -> bool {
    matches!(
        one,
        '\u{ad}'
            | '\u{34f}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{13442}'
            | '\u{16fe4}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Makes another program's text safe for logs and terminals: short, and nothing but text.
pub fn printable(text: &str) -> String {
    escape_untrusted(text, 200)
}

/// Describes in plain words why a connection failed. For an end without close notification, the TLS library's message
/// talks about its own interface and links to a page for programmers.
pub fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side closed the connection without a word".to_owned(),
        _ => error.to_string(),
    }
}

/// Stands for a line end within one log entry, since the log writes each entry on one line.
pub const LINE_END: &str = "\\u{a}";

/// Restores the line ends and tabs of a log entry. The log writes an entry on one line, a stack trace as well, and
/// escapes them.
pub fn with_line_ends(line: &str) -> String {
    line.replace(LINE_END, "\n").replace("\\u{9}", "    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(escape_untrusted("a\x1b[2Jb\nc", 99), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(escape_untrusted("x\u{202e}y\u{61c}", 99), "x\\u{202e}y\\u{61c}");
        assert_eq!(escape_untrusted("größe ✓", 99), "größe ✓");
    }

    #[test]
    fn words_of_others_stay_between_their_quotation_marks() {
        assert_eq!(quoted_untrusted("what sang?", 99), "“what sang?”");
        assert_eq!(quoted_untrusted("a”\nlog in at «b» „c“ ‟", 99), "“a'\\u{a}log in at 'b' 'c' '”");
        assert_eq!(quoted_untrusted("abcd", 2), "“ab…”");
    }

    #[test]
    fn texts_that_begin_alike_are_told_apart_by_the_digest_of_the_whole() {
        assert_eq!(escape_distinct("abc", 3), "abc", "it is whole");
        let digest = Digest::of(b"ab\ncd");
        assert_eq!(escape_distinct("ab\ncd", 3), format!("ab\\u{{a}}… {digest}"));
        assert_ne!(escape_distinct("abcd", 3), escape_distinct("abce", 3));
        let longest = escape_distinct(&"\u{e0fff}".repeat(99), 100);
        assert!(longest.len() <= 100 + 90, "{} bytes", longest.len());
    }

    #[test]
    fn what_takes_up_no_room_is_shown_where_nobody_writes_with_it() {
        assert_eq!(escape_untrusted("pay\u{200b}pal\u{feff}", 99), "pay\\u{200b}pal\\u{feff}");
        assert_eq!(escape_untrusted("\u{2060}a\u{ad}", 99), "\\u{2060}a\\u{ad}");
        let flag = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        for written in [
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ശ്\u{200c}ശ",
            "ᠠ\u{200d}",
            "👩\u{200d}💻",
            "👩🏽\u{200d}💻",
            "❤\u{fe0f}",
            "❤\u{fe0f}\u{200d}🔥",
            flag,
        ] {
            assert_eq!(escape_untrusted(written, 99), written);
        }
    }

    #[test]
    fn no_two_names_look_alike_by_a_sign_that_nobody_sees() {
        for sign in [
            '\u{3164}',
            '\u{2800}',
            '\u{115f}',
            '\u{1160}',
            '\u{34f}',
            '\u{ffa0}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180e}',
            '\u{70f}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{2061}',
            '\u{206a}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{13430}',
            '\u{13441}',
            '\u{16fe4}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{61c}',
            '\u{202e}',
            '\u{2066}',
        ] {
            let name = format!("ec{sign}ho");
            assert!(has_harmful(&name), "{}", sign.escape_unicode());
            assert_eq!(escape_untrusted(&name, 99), format!("ec{}ho", sign.escape_unicode()));
        }
        assert!(!has_harmful("größe ✓ 日本語 한국어"));
    }

    /// A joiner or a selector is invisible after most letters of any script, and after itself.
    #[test]
    fn joiners_and_selectors_hide_behind_letters_that_need_none() {
        for letter in ["漢", "カ", "ก", "한", "ש", "é", "1", "٣", "؟", "১", "।", "ی\u{200c}"] {
            for sign in ['\u{200c}', '\u{200d}', '\u{fe00}', '\u{fe0e}', '\u{fe0f}', '\u{e0100}'] {
                let name = format!("{letter}{sign}x");
                assert_eq!(escape_untrusted(&name, 99), format!("{letter}{}x", sign.escape_unicode()));
            }
        }
        assert_eq!(escape_untrusted("👩\u{200c}💻\u{fe00}", 99), "👩\\u{200c}💻\\u{fe00}");
    }

    #[test]
    fn only_the_space_of_ascii_is_one() {
        let odd = (0x80..=0x10_ffff_u32).filter_map(char::from_u32).filter(|one| one.is_whitespace());
        let odd: Vec<_> = odd.collect();
        // `White_Space` beyond ASCII: U+0085, U+2028, U+2029 and the `Space_Separator`s.
        assert_eq!(odd.len(), 19);
        for one in odd {
            assert_eq!(escape_untrusted(&format!("a{one}b"), 99), format!("a{}b", one.escape_unicode()));
        }
        assert_eq!(escape_untrusted("a b", 99), "a b");
    }

    #[test]
    fn a_path_is_one_line_and_one_word() {
        let path = Path::new("t/a\nparlor: 12 passed.chat");
        assert_eq!(path.escaped().to_string(), "t/a\\u{a}parlor: 12 passed.chat");
        assert_eq!(shell_word("my plugin's"), r"'my plugin'\''s'");
        let word = shell_word("it's\na\\b\u{3164}");
        assert_eq!(word, r"$'it\047s\012a\134b\343\205\244'");
        let printed = std::process::Command::new("bash").args(["-c", &format!("printf %s {word}")]).output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), "it's\na\\b\u{3164}");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(escape_untrusted(&"ä".repeat(100_000), 4096).len() < 4096 + 8);
    }

    /// The TLS library refers to its own manual.
    #[test]
    fn an_end_without_notice_is_described_in_plain_words() {
        let library =
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual/";
        let ended = io::Error::new(io::ErrorKind::UnexpectedEof, library);
        assert_eq!(io_words(&ended), "the other side closed the connection without a word");
        let refused = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer");
        assert_eq!(io_words(&refused), "connection reset by peer");
    }

    #[test]
    fn a_stack_is_read_line_by_line_with_its_tabs() {
        let stack = escape_untrusted("main.answer()\n\tplugin.go:23", 99);
        assert_eq!(with_line_ends(&stack), "main.answer()\n    plugin.go:23");
    }
}
