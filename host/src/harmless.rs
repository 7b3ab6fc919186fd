//! Words of strangers, made fit for a line of a log or a status.

/// The text as one line that moves no cursor and reads in one direction, whatever was written; cut after so many bytes.
pub(crate) fn harmless(text: &str, longest: usize) -> String {
    let mut line = String::with_capacity(text.len().min(longest));
    for one in text.chars() {
        if line.len() >= longest {
            line.push('…');
            break;
        }
        if is_harmful(one) {
            line.extend(one.escape_unicode());
        } else {
            line.push(one);
        }
    }
    line
}

/// The text as one word for a shell, which finds nothing in it to obey: a resource may have anything.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&byte);
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Whether a character ends a line, moves a cursor or turns around what follows.
pub(crate) fn is_harmful(one: char) -> bool {
    one.is_control() || is_direction(one) || matches!(one, '\u{2028}' | '\u{2029}')
}

/// Characters that change the direction of what follows.
fn is_direction(one: char) -> bool {
    matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\x1b[2Jb\nc", 99), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(harmless("x\u{202e}y\u{61c}", 99), "x\\u{202e}y\\u{61c}");
        assert_eq!(harmless("größe ✓", 99), "größe ✓");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(harmless(&"ä".repeat(100_000), 4096).len() < 4096 + 8);
    }
}
