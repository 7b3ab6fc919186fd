//! Bold, quotes and other markup in the text of a message (XEP-0393), which clients show as such.
//!
//! The markup is signs in the text, as in `*bold*`, and XEP-0393 has no way to write such a sign as itself. So text from
//! elsewhere goes through [`escape`] first, or into [`monospace`] or [`code_block`], which take it as it is. For a
//! text that is all from elsewhere, [`Outgoing::unstyled`](crate::types::Outgoing::unstyled) turns markup off.
//!
//! ```
//! use parlor_sdk::styling::{bold, code_block, escape, quote};
//!
//! let name = "_Juliet_";
//! let text = format!("{} says\n{}\n{}", bold(escape(name)), quote("But soft!"), code_block("a *= 2"));
//! assert_eq!(text, "*\u{2060}_Juliet_* says\n> But soft!\n```\na *= 2\n```");
//! ```

/// The signs that begin and end markup within a line.
const SIGNS: [char; 4] = ['*', '_', '~', '`'];
/// The sign at the beginning of a line that is quoted.
const QUOTED: char = '>';
/// The line around a block of code.
const FENCE: &str = "```";
/// An invisible character that is no white space: a sign behind it begins nothing.
const JOINER: char = '\u{2060}';

/// Makes a text bold. Lines are bold each by itself, since markup ends with its line. A line with a `*` in it stays as it is:
/// there is no way to write one in bold.
pub fn bold(text: impl AsRef<str>) -> String {
    spans('*', text.as_ref(), str::to_owned)
}

/// Makes a text italic, as [`bold`] does, with `_`.
pub fn italic(text: impl AsRef<str>) -> String {
    spans('_', text.as_ref(), str::to_owned)
}

/// Strikes a text out, as [`bold`] does, with `~`.
pub fn strike(text: impl AsRef<str>) -> String {
    spans('~', text.as_ref(), str::to_owned)
}

/// Shows a text as it is, in letters of one width: a name of a program, or anything from elsewhere. A line with a `` ` `` in it is only
/// escaped.
pub fn monospace(text: impl AsRef<str>) -> String {
    spans('`', text.as_ref(), escaped)
}

/// Quotes each line of a text. The quotation ends with its line: put a line break behind it.
pub fn quote(text: impl AsRef<str>) -> String {
    each_line(text.as_ref(), |line| format!("{QUOTED} {line}"))
}

/// Shows the lines of a text as they are, in letters of one width. It begins and ends with a line of its own: put a line break
/// before and behind it.
pub fn code_block(text: impl AsRef<str>) -> String {
    let inside = each_line(text.as_ref(), |line| {
        // Such a line would end the block.
        if line.trim_start().starts_with(FENCE) { format!("{JOINER}{line}") } else { line.to_owned() }
    });
    format!("{FENCE}\n{inside}\n{FENCE}")
}

/// Escapes a text such that nothing in it is markup: an invisible U+2060 (word joiner) goes before each sign that would
/// begin some.
pub fn escape(text: impl AsRef<str>) -> String {
    escaped(text.as_ref())
}

fn escaped(text: &str) -> String {
    let (mut escaped, mut before) = (String::new(), '\n');
    for sign in text.chars() {
        let begins = SIGNS.contains(&sign) && (before.is_whitespace() || SIGNS.contains(&before));
        if begins || (sign == QUOTED && before == '\n') {
            escaped.push(JOINER);
        }
        escaped.push(sign);
        before = sign;
    }
    escaped
}

/// Puts the sign around each line, without the white space at its ends. Lines with the sign in them are for `otherwise`.
fn spans(sign: char, text: &str, otherwise: impl Fn(&str) -> String) -> String {
    let span = |line: &str| {
        let inside = line.trim();
        if inside.is_empty() || inside.contains(sign) {
            return otherwise(line);
        }
        let start = line.len() - line.trim_start().len();
        format!("{}{sign}{inside}{sign}{}", &line[..start], &line[start + inside.len()..])
    };
    text.split('\n').map(span).collect::<Vec<_>>().join("\n")
}

/// Changes each line; a line break at the end of the text begins none.
fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
    text.strip_suffix('\n').unwrap_or(text).split('\n').map(change).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
