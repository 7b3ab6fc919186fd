//! A tokenizer for languages with C-like comments and strings, sufficient to find names in a source.

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name or a keyword.
    Word(&'t str),
    /// The text between quotation marks.
    Text(&'t str),
    /// Any other character.
    Sign(char),
}

/// Returns the tokens of a text with their positions, without comments. It cannot distinguish a regular expression in
/// JavaScript from a division, or a lifetime in Rust from a string, and these may hide what follows.
pub(super) fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    read(text, |rest| {
        if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else {
            let comment = rest.strip_prefix("/*")?;
            Some(comment.find("*/").map_or(rest.len(), |end| end + "/**/".len()))
        }
    })
}

/// Does the same for Python. A string in three quotation marks counts as a comment: most are documentation.
pub(super) fn python_tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    read(text, |rest| {
        if rest.starts_with('#') {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        let marks = ["\"\"\"", "'''"].into_iter().find(|marks| rest.starts_with(marks))?;
        Some(rest[marks.len()..].find(marks).map_or(rest.len(), |end| end + 2 * marks.len()))
    })
}

/// Reads the tokens of a text. `comment` returns the length of the comment that a text begins with.
fn read(text: &str, comment: impl Fn(&str) -> Option<usize>) -> Vec<(usize, Token<'_>)> {
    let is_of_name = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '$');
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(sign) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if let Some(length) = comment(rest) {
            length
        } else if matches!(sign, '"' | '\'' | '`') {
            let length = quoted(rest, sign);
            found.push((at, Token::Text(rest[1..length].trim_end_matches(sign))));
            length
        } else if is_of_name(sign) {
            let length = rest.find(|sign: char| !is_of_name(sign)).unwrap_or(rest.len());
            found.push((at, Token::Word(&rest[..length])));
            length
        } else {
            if !sign.is_whitespace() {
                found.push((at, Token::Sign(sign)));
            }
            sign.len_utf8()
        };
        at += length;
    }
    found
}

/// Returns the length of a string with its quotation marks. Most kinds end at the end of the line at the latest.
fn quoted(rest: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' if mark != '`' => return at,
            _ if sign == mark => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_comments_and_texts_is_no_name() {
        let text = "/* a\n b */ c.d('e', \"f\\\" g\") // h\n`i\nj`";
        let found: Vec<_> = tokens(text).into_iter().map(|(at, token)| (&text[at..=at], token)).collect();
        let sign = |sign: &'static str| (sign, Token::Sign(sign.chars().next().unwrap()));
        let expected = [
            ("c", Token::Word("c")),
            sign("."),
            ("d", Token::Word("d")),
            sign("("),
            ("'", Token::Text("e")),
            sign(","),
            ("\"", Token::Text("f\\\" g")),
            sign(")"),
            ("`", Token::Text("i\nj")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn in_python_a_hash_and_three_quotation_marks_begin_a_comment() {
        let text = "\"\"\"a 'b\nc\"\"\" d // # e\n'''f\" ''' \"g # h\" '''i";
        let found: Vec<_> = python_tokens(text).into_iter().map(|(_, token)| token).collect();
        assert_eq!(found, [Token::Word("d"), Token::Sign('/'), Token::Sign('/'), Token::Text("g # h")]);
    }
}
