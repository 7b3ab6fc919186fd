//! Turns the HTML that some clients with off-the-record messaging write into plain text.
//!
//! The protocol does not say which of the two a text is. Pidgin and Adium write HTML, in which even `a & b` is
//! `a &amp; b`; most other clients write plain text. So only a text that is HTML from its beginning to its end is
//! changed: a sentence with `<` or `&` of its own stays as it is.

/// The tags that these clients write. All but the void ones have to be closed, in order.
const TAGS: [&str; 20] = [
    "a", "b", "body", "br", "code", "div", "em", "font", "hr", "html", "i", "img", "p", "pre", "s", "span", "strike",
    "strong", "sub", "u",
];
/// Tags without an end.
const VOID: [&str; 3] = ["br", "hr", "img"];
/// Tags whose content has lines of its own.
const BLOCKS: [&str; 3] = ["div", "p", "pre"];
/// Maximum depth of tags.
const MAX_DEPTH: usize = 64;
/// Maximum number of digits of a character reference.
const MAX_DIGITS: usize = 7;

/// Returns the plain text of a text that is HTML as a whole, and any other text unchanged. It never gets longer. The
/// result is not read once more: `&amp;lt;` is the text `&lt;`.
pub(super) fn plain(text: String) -> String {
    read(&text).filter(|plain| !plain.trim().is_empty()).unwrap_or(text)
}

/// Returns the plain text of HTML; `None` if the text is something else.
fn read(text: &str) -> Option<String> {
    let (mut plain, mut open, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    let mut is_html = false;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (before, mark) = rest.split_at(at);
        plain.push_str(before);
        rest = if let Some(tag) = mark.strip_prefix('<') {
            let (tag, behind) = tag.split_once('>')?;
            pass(tag, &mut open, &mut plain)?;
            behind
        } else {
            let (name, behind) = mark.strip_prefix('&')?.split_once(';')?;
            plain.push(character(name)?);
            behind
        };
        is_html = true;
    }
    if !is_html || !open.is_empty() {
        return None;
    }
    plain.push_str(rest);
    plain.truncate(plain.trim_end_matches('\n').len());
    Some(plain)
}

/// Passes a tag, which is written here without `<` and `>`. Returns `None` if these clients do not write it.
fn pass(tag: &str, open: &mut Vec<&'static str>, plain: &mut String) -> Option<()> {
    let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
    let name = tag.split([' ', '\t', '\n', '/']).next()?;
    let attributes = tag.strip_prefix(name)?.trim();
    let name = TAGS.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let is_tag = matches!(attributes, "" | "/") || (!is_end && attributes.contains('='));
    if !is_tag {
        return None;
    }
    if BLOCKS.contains(&name) && !plain.is_empty() && !plain.ends_with('\n') {
        plain.push('\n');
    }
    if is_end {
        return (open.pop()? == name).then_some(());
    }
    if VOID.contains(&name) {
        if name != "img" {
            plain.push('\n');
        }
        return Some(());
    }
    open.push(name);
    (open.len() <= MAX_DEPTH).then_some(())
}

/// Returns the character of a reference, which is written here without `&` and `;`.
fn character(name: &str) -> Option<char> {
    match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        "nbsp" => return Some(' '),
        _ => {}
    }
    let number = name.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    (!character.is_control() || matches!(character, '\n' | '\t')).then_some(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        plain(text.to_owned())
    }

    #[test]
    fn what_clients_write_as_html_is_read_as_text() {
        for (html, expected) in [
            ("<FONT FACE=\"Sans\" COLOR=\"#000000\">!help</FONT>", "!help"),
            ("<HTML><BODY BGCOLOR=\"#ffffff\"><FONT SIZE=\"3\">!help me</FONT></BODY></HTML>", "!help me"),
            ("say <b>hello</b> to <i>all</i>", "say hello to all"),
            ("a &lt;b&gt; &amp; &quot;c&quot;, it&apos;s &#39;d&#x27;", "a <b> & \"c\", it's 'd'"),
            ("one<br>two<BR/>three<br />", "one\ntwo\nthree"),
            ("<div>one</div><div>two<p>three</p></div>four", "one\ntwo\nthree\nfour"),
            (
                "<a href=\"https://example.org/?a=1&amp;b=2\">https://example.org/?a=1&amp;b=2</a>",
                "https://example.org/?a=1&b=2",
            ),
            ("&#128512;&nbsp;&#x1F600;", "\u{1f600} \u{1f600}"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
        ] {
            assert_eq!(of(html), expected, "{html}");
        }
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        for text in [
            "",
            "!help",
            "a < b",
            "a > b",
            "fish & chips",
            "AT&T; and &lt;",
            "what does <br> do & why",
            "fn first<T>(all: Vec<T>) -> &T",
            "<script>alert(1)</script>",
            "<b>not closed",
            "closed</b>",
            "<b><i>out of order</b></i>",
            "<b is a letter>x</b>",
            "<b",
            "&",
            "&#0;",
            "&#1;",
            "&#xd800;",
            "&#99999999;",
            "&#;",
            "&eacute;",
            "<font></font>",
            "<img src=\"x\">",
        ] {
            assert_eq!(of(text), text);
        }
        let (deep, deeper) = (MAX_DEPTH, MAX_DEPTH + 1);
        assert_eq!(of(&format!("{}x{}", "<b>".repeat(deep), "</b>".repeat(deep))), "x");
        assert!(of(&format!("{}x{}", "<b>".repeat(deeper), "</b>".repeat(deeper))).starts_with('<'));
    }

    /// Writes a text as Pidgin does.
    fn escaped(text: &str) -> String {
        let mut html = String::new();
        for character in text.chars() {
            match character {
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '&' => html.push_str("&amp;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                '\n' => html.push_str("<br>"),
                other => html.push(other),
            }
        }
        html
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_from_html(text in "[a-z<>&;\"'\n ]{0,40}[a-z]", is_bold: bool) {
            let html = escaped(&text);
            prop_assert_eq!(of(&format!("<span>{html}</span>")), text.clone());
            let html = if is_bold { format!("<FONT COLOR=\"red\"><B>{html}</B></FONT>") } else { html };
            prop_assert_eq!(of(&html), text);
        }

        #[test]
        fn no_text_gets_longer_or_empty(text in "([a-z<>&;#/ =0-9\n]|<b>|</b>|<br>|<p>|</p>|&lt;|&#[0-9]{1,4};){1,40}") {
            let plain = of(&text);
            prop_assert!(plain.len() <= text.len());
            prop_assert_eq!(plain.trim().is_empty(), text.trim().is_empty());
        }

        #[test]
        fn a_text_without_marks_is_not_touched(text in "[^<&]*") {
            prop_assert_eq!(of(&text), text);
        }
    }
}
