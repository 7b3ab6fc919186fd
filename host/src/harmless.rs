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

/// Whether a character ends a line, moves a cursor, turns around what follows or hides in it.
pub(crate) fn is_harmful(one: char) -> bool {
    one.is_control() || is_direction(one) || is_hidden(one) || matches!(one, '\u{2028}' | '\u{2029}')
}

/// Characters that change the direction of what follows.
fn is_direction(one: char) -> bool {
    matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Format characters that take up no room, so that two words with and without them look alike. The two joiners, U+200C and
/// U+200D, and the tags from U+E0020 on are none of them: Persian, many emoji and some flags are written with them.
fn is_hidden(one: char) -> bool {
    matches!(
        one,
        '\u{ad}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
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
    fn what_takes_up_no_room_is_shown_where_nobody_writes_with_it() {
        assert_eq!(harmless("pay\u{200b}pal\u{feff}", 99), "pay\\u{200b}pal\\u{feff}");
        assert_eq!(harmless("\u{2060}a\u{ad}", 99), "\\u{2060}a\\u{ad}");
        for written in ["می\u{200c}خواهم", "👩\u{200d}💻", "❤\u{fe0f}"] {
            assert_eq!(harmless(written, 99), written);
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(harmless(&"ä".repeat(100_000), 4096).len() < 4096 + 8);
    }
}
