//! From a line to its words, by a shell's simple rules. Whatever a line holds, it has words.

/// The words of a line. Quotes hold words together; a backslash takes the next character as it is, between `"` only another
/// `"` or backslash; a quote without a partner and a backslash at the end are characters like any other.
///
/// Where there are more than `most`, the last one holds what is left of the line as it was written.
pub(super) fn split(line: &str, most: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if words.len() + 1 == most && word(rest).1.trim_start() != "" {
            words.push(rest.to_owned());
            return words;
        }
        let (word, after) = word(rest);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// The first word, and what follows it.
fn word(line: &str) -> (String, &str) {
    let mut found = String::new();
    let mut rest = line;
    // A quote that has no partner now has none further on either.
    let mut may_quote = true;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            c if c.is_whitespace() => return (found, rest),
            '\'' if let Some((quoted, after)) = after.split_once('\'') => {
                found.push_str(quoted);
                after
            }
            '"' if may_quote => {
                if let Some((quoted, after)) = quoted(after) {
                    found.push_str(&quoted);
                    after
                } else {
                    may_quote = false;
                    found.push(c);
                    after
                }
            }
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

/// What stands before the next `"`, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((found, &text[at + 1..])),
            '\\' if let Some((_, next @ ('"' | '\\'))) = chars.peek().copied() => {
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
    fn words_are_split_as_a_shell_does() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t\n ", &[]),
            (" one  two\nthree ", &["one", "two", "three"]),
            ("'one two' three", &["one two", "three"]),
            ("\"one two\" three", &["one two", "three"]),
            ("a'b c'd\"e f\"g", &["ab cde fg"]),
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
