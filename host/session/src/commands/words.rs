//! Splitting a line into words. People mostly type text, and use the quoting of a shell only on purpose. Every line can
//! be split.

/// The characters that are read as quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quotes {
    single: fn(char) -> bool,
    double: fn(char) -> bool,
}

/// The quotes of a keyboard.
const PLAIN: Quotes = Quotes { single: |c| c == '\'', double: |c| c == '"' };
/// These, and those that phones write in their place.
pub(super) const SMART: Quotes = Quotes {
    single: |c| matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}'),
    double: |c| matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}'),
};

/// Splits a line into words. A quote at the beginning of a word groups words. `"` ends at the next one. `'` ends at one
/// that ends a word, since inside a word it is an apostrophe. A backslash makes the next character literal; between `"`
/// it applies only to `"` and the backslash, between `'` to nothing. An unpaired quote and a backslash at the end are
/// literal characters.
///
/// If there are more than `most` words, the last one holds the rest of the line as it was written.
pub(super) fn split(line: &str, most: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    // A quote without a partner here has none later in the line, either.
    let mut may_pair = true;
    while !rest.is_empty() {
        let (word, after) = first(rest, PLAIN, &mut may_pair);
        if words.len() + 1 == most && after.trim_start() != "" {
            words.push(rest.to_owned());
            return words;
        }
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Returns the first word, and the text after it. `may_pair` is false if no single quote from here on has a partner.
pub(super) fn first<'l>(line: &'l str, quotes: Quotes, may_pair: &mut bool) -> (String, &'l str) {
    let opened = match line.strip_prefix(quotes.single) {
        Some(inside) if *may_pair => {
            let found = apostrophised(inside, quotes);
            *may_pair = found.is_some();
            found
        }
        Some(_) => None,
        None => line.strip_prefix(quotes.double).and_then(|inside| quoted(inside, quotes)),
    };
    let (mut found, mut rest) = opened.unwrap_or((String::new(), line));
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            c if c.is_whitespace() => return (found, rest),
            '\\' if let Some(next) = after.chars().next() => {
                found.push(next);
                &after[next.len_utf8()..]
            }
            c => {
                found.push(c);
                after
            }
        };
    }
    (found, rest)
}

/// Returns the text before the next `'` that ends a word, and the text after it.
fn apostrophised(text: &str, quotes: Quotes) -> Option<(String, &str)> {
    let ends = |after: &str| after.chars().next().is_none_or(char::is_whitespace);
    let mut parts = text.match_indices(quotes.single).map(|(at, sign)| (&text[..at], &text[at + sign.len()..]));
    parts.find(|(_, after)| ends(after)).map(|(before, after)| (before.to_owned(), after))
}

/// Returns the text before the next `"`, and the text after it.
fn quoted(text: &str, quotes: Quotes) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if (quotes.double)(c) => return Some((found, &text[at + c.len_utf8()..])),
            '\\' if let Some((_, next)) =
                chars.peek().copied().filter(|(_, next)| *next == '\\' || (quotes.double)(*next)) =>
            {
                found.push(next);
                chars.next();
            }
            c => found.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn apostrophes_within_words_are_text() {
        assert_eq!(split("I don't know what it can't do", 99), ["I", "don't", "know", "what", "it", "can't", "do"]);
        assert_eq!(split("'I can't do it' now", 99), ["I can't do it", "now"]);
        assert_eq!(split("rock 'n' roll, 'tis can't", 99), ["rock", "n", "roll,", "'tis", "can't"]);
        assert_eq!(split("size 5\" or 6\"", 99), ["size", "5\"", "or", "6\""]);
    }

    #[test]
    fn words_are_split_as_a_shell_does_where_a_word_begins_with_a_quote() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t\n ", &[]),
            (" one  two\nthree ", &["one", "two", "three"]),
            ("'one two' three", &["one two", "three"]),
            ("\"one two\" three", &["one two", "three"]),
            ("a'b c'd\"e f\"g", &["a'b", "c'd\"e", "f\"g"]),
            ("\"Where to?\", \"Verona\"", &["Where to?,", "Verona"]),
            ("'' \"\" x", &["", "", "x"]),
            (r#""say \"hi\" \\ \n""#, &[r#"say "hi" \ \n"#]),
            (r"'no \ escape' one\ two \'", &[r"no \ escape", "one two", "'"]),
            ("don't panic", &["don't", "panic"]),
            ("say \"hi there", &["say", "\"hi", "there"]),
            ("end\\", &["end\\"]),
            ("\"a\\", &["\"a\\"]),
            ("'a \"b", &["'a", "\"b"]),
            ("ünï 'çödé x'", &["ünï", "çödé x"]),
        ] {
            assert_eq!(split(line, 99), words, "{line:?}");
        }
    }

    #[test]
    fn the_last_of_many_holds_the_rest_as_it_was_written() {
        assert_eq!(split("a 'b c'  d", 2), ["a", "'b c'  d"]);
        assert_eq!(split("a 'b c' ", 2), ["a", "b c"]);
        assert_eq!(split("a", 1), ["a"]);
    }

    proptest! {
        #[test]
        fn whatever_is_said_has_words(line in ".{0,60}", quotes in r#"[ab '"\\]{0,40}"#) {
            for line in [line, quotes] {
                let words = split(&line, 8);
                prop_assert!(words.len() <= 8);
                prop_assert!(words.iter().map(String::len).sum::<usize>() <= line.len());
            }
        }

        #[test]
        fn what_is_quoted_comes_back(words in prop::collection::vec(r#"[a-c '"\\]{0,6}"#, 0..6)) {
            let quoted: Vec<_> =
                words.iter().map(|word| format!("\"{}\"", word.replace('\\', r"\\").replace('"', r#"\""#))).collect();
            prop_assert_eq!(split(&quoted.join(" "), 99), words);
        }
    }
}
