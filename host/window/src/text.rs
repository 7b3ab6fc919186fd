//! Words in pages: those of strangers, addresses, and small pieces of HTML that pages share.

use std::fmt::Write as _;

use maud::{Markup, html};
use parlor_base::escape::escape_untrusted;

/// The most of one text of a stranger that is shown, in bytes.
const LONGEST: usize = 4 << 10;

/// Shows words that a stranger chose: marked as such, on one line, and without power over the text around them.
///
/// All of them go this way: names, reasons, nicknames, subjects, messages of the log and of errors.
pub fn stranger(text: &str) -> Markup {
    html! { span.stranger dir="auto" { bdi { (stranger_text(text)) } } }
}

/// Returns words that a stranger chose, for an attribute, which has no place for marks.
pub fn stranger_text(text: &str) -> String {
    escape_untrusted(text, LONGEST)
}

/// Encodes a text as one value of a query, or as one part of a path. The words of strangers belong into a query: browsers
/// take `..` in a path for the folder above, however it is encoded.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Shows the state of an account or a plugin, with a colour and a word: the colour is not needed to understand it.
pub fn state(word: &str) -> Markup {
    let class = match word {
        "running" | "connected" | "joined" | "parked" => "state state-good",
        "failed" | "quarantined" | "refused" | "retrying" | "backing-off" | "out" => "state state-bad",
        _ => "state state-wait",
    };
    html! { span class=(class) { (stranger_text(word)) } }
}

/// Wraps what may be wider than the screen, such as a table: the part scrolls by keyboard, too, and the page does not.
pub fn scroll(label: &str, content: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (content) } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the text between the marks, as a browser shows it.
    fn read(markup: &str) -> String {
        let inner = markup.strip_prefix("<span class=\"stranger\" dir=\"auto\"><bdi>").unwrap();
        let inner = inner.strip_suffix("</bdi></span>").unwrap();
        assert!(!inner.contains(['<', '>', '"']), "{inner}");
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
        entities.iter().fold(inner.to_owned(), |text, (entity, one)| text.replace(entity, one))
    }

    proptest! {
        #[test]
        fn strangers_words_are_text_and_nothing_else(
            text in "\\PC{0,60}|[<>&\"' a-z/=\\x00-\\x1f\u{202e}\u{2066}\u{200b}]{0,60}",
        ) {
            let shown = read(&stranger(&text).into_string());
            prop_assert_eq!(&shown, &escape_untrusted(&text, LONGEST));
            let turns = shown.contains(['\n', '\r', '\u{202e}', '\u{2066}']);
            prop_assert!(!turns, "{}", shown);
        }

        #[test]
        fn an_encoded_text_is_one_value(text in "\\PC{0,40}|[./%?#\\\\a-z]{0,20}") {
            let encoded = segment(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', '\\', '&', '"', '<', '=', '+', ' ']));
            let decoded = url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(name, _)| name.into_owned());
            prop_assert_eq!(decoded.unwrap_or_default(), text);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = stranger(&"x".repeat(1 << 20)).into_string();
        assert!(shown.len() < LONGEST + 100 && shown.contains('…'), "{}", shown.len());
    }
}
