//! Spoilers, and the hint that a text has no markup.

use super::*;
use crate::types::MAX_SPOILER;

fn hint(content: &str) -> Option<String> {
    message("from='a@b/c' type='chat'", content).extensions.and_then(|found| found.spoiler)
}

/// XEP-0382: the hint is optional.
#[test]
fn a_spoiler_has_a_hint_on_one_line() {
    assert_eq!(hint("<body>they die</body><spoiler xmlns='urn:xmpp:spoiler:0'/>").as_deref(), Some(""));
    assert_eq!(hint("<spoiler xmlns='urn:xmpp:spoiler:0'> the\nend\u{85}</spoiler>").as_deref(), Some("the end"));
    let long = format!("<spoiler xmlns='urn:xmpp:spoiler:0'>{}</spoiler>", "ö".repeat(MAX_SPOILER));
    assert_eq!(hint(&long).map(|hint| hint.len()), Some(MAX_SPOILER));
    for other in ["<spoiler xmlns='urn:x'>a</spoiler>", "<other xmlns='urn:xmpp:spoiler:0'>a</other>", "<body>a</body>"]
    {
        assert_eq!(hint(other), None, "{other}");
    }
}

#[test]
fn of_several_hints_the_one_in_the_language_of_the_text_counts() {
    let one =
        |lang: &str, text: &str| format!("<spoiler xmlns='urn:xmpp:spoiler:0' xml:lang='{lang}'>{text}</spoiler>");
    let both = one("en", "end") + &one("de", "Ende");
    assert_eq!(hint(&format!("<body xml:lang='de'>tot</body>{both}")).as_deref(), Some("Ende"));
    assert_eq!(hint(&format!("<body xml:lang='en'>dead</body>{both}")).as_deref(), Some("end"));
    assert_eq!(hint(&format!("<body>?</body>{both}")).as_deref(), Some("end"), "else the first");
}

/// XEP-0393.
#[test]
fn a_text_may_have_no_markup() {
    let is_unstyled =
        |content: &str| message("from='a@b/c' type='chat'", content).extensions.is_some_and(|found| found.unstyled);
    assert!(is_unstyled("<body>2*3*4</body><unstyled xmlns='urn:xmpp:styling:0'/>"));
    assert!(!is_unstyled("<body>2*3*4</body><unstyled xmlns='urn:x'/>"));
    assert!(!is_unstyled("<body>2*3*4</body>"));
}
