//! Tests of previews: what strangers claim about links, and what is written of them.

use proptest::prelude::*;
use xmpp_parsers::stanza::Stanza;

use super::*;
use crate::decode::decode;
use crate::draft::check_draft;
use crate::types::{Draft, Extensions, Incoming};

const LINK: &str = "https://h/a";

fn previews(payloads: &str) -> Vec<LinkPreview> {
    let xml = format!("<message xmlns='jabber:client' from='a@b/c' type='chat'><body>x</body>{payloads}</message>");
    let element: Element = xml.parse().unwrap();
    let own = "me@house/here".parse().unwrap();
    match decode(Stanza::try_from(element).unwrap(), &own, jiff::Timestamp::UNIX_EPOCH) {
        Incoming::Message(message) => {
            assert_eq!(message.body.as_deref(), Some("x"), "nothing else is lost");
            message.extensions.as_ref().map(|all| all.previews.clone()).unwrap_or_default()
        }
        other => panic!("expected a message, found {other:?}"),
    }
}

fn about(url: &str, inside: &str) -> String {
    format!("<rdf:Description xmlns:rdf='{RDF}' xmlns:og='{OPEN_GRAPH}' rdf:about='{url}'>{inside}</rdf:Description>")
}

fn titled(url: &str, title: &str) -> LinkPreview {
    LinkPreview { url: url.to_owned(), title: Some(title.to_owned()), ..LinkPreview::default() }
}

#[test]
fn what_an_author_says_of_a_link_is_read() {
    let inside = "<og:title> The\n page </og:title><og:description>\nOf a <b xmlns='urn:x'/>kind \n</og:description>\
                  <og:image>cid:sha1+00@bob.xmpp.org</og:image><og:image>https://h/i.png</og:image><og:title>2</og:title>\
                  <og:url>https://elsewhere</og:url><title>other</title>";
    let expected = LinkPreview {
        url: LINK.to_owned(),
        title: Some("The  page".to_owned()),
        description: Some("Of a kind".to_owned()),
        image: Some("https://h/i.png".to_owned()),
    };
    assert_eq!(previews(&about(LINK, inside)), [expected]);
    let title = "<og:title>t</og:title>";
    let several =
        about("https://h/1", title) + &about("http://h/2", title) + &about("https://h/1", "<og:title>2</og:title>");
    assert_eq!(
        previews(&several),
        [titled("https://h/1", "t"), titled("http://h/2", "t")],
        "the first of one link counts"
    );
}

#[test]
fn what_is_no_preview_is_left_out_and_all_that_is_kept_is_bounded() {
    let title = "<og:title>t</og:title>";
    let long = format!("https://h/{}", "a".repeat(MAX_ADDRESS));
    for odd in [
        about("javascript:alert(1)", title),
        about("xmpp:a@b", title),
        about("", title),
        about("https://user@h/", title),
        about(&long, title),
        about(LINK, ""),
        about(LINK, "<og:title> \n </og:title><og:description> </og:description><og:image>file:///etc</og:image>"),
        about(LINK, "<title xmlns='urn:x'>t</title>"),
        about(LINK, title).replace("rdf:about", "about"),
        about(LINK, title).replace(RDF, "urn:x"),
        about(LINK, title).replace(OPEN_GRAPH, "urn:x"),
    ] {
        assert!(previews(&odd).is_empty(), "{odd:.200}");
    }
    let many: String = (0..100).map(|number| about(&format!("https://h/{number}"), title)).collect();
    assert_eq!(previews(&many).len(), MAX_PREVIEWS);
    let long = "ö".repeat(10_000);
    let inside =
        format!("<og:title>{long}</og:title><og:description>{long}</og:description><og:image>{long}</og:image>");
    let read = previews(&about(LINK, &inside));
    let [LinkPreview { title, description, image, .. }] = &read[..] else { panic!("expected one, found {read:?}") };
    assert_eq!(title.as_ref().map(String::len), Some(MAX_TITLE));
    assert_eq!(description.as_ref().map(String::len), Some(MAX_DESCRIPTION));
    assert_eq!(*image, None);
    // Control characters of a stranger must not get into an answer with it, which would be refused.
    let odd = previews(&about(LINK, "<og:description>a\u{85}b</og:description><og:title>\u{85}a</og:title>"));
    assert_eq!((odd[0].title.as_deref(), odd[0].description.as_deref()), (Some("a"), Some("a\u{fffd}b")));
}

#[test]
fn a_preview_is_of_a_link_in_the_text() {
    let written = element(titled(LINK, "t"));
    assert!(!is_of_no_link_in(&written, "see https://h/a, please"));
    assert!(is_of_no_link_in(&written, "see https://h/b"));
    let other: Element = "<Description xmlns='urn:x'/>".parse().unwrap();
    assert!(!is_of_no_link_in(&other, ""), "it is none");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        path in "[a-z?&<>'\"=]{0,20}",
        texts in prop::array::uniform2(prop::option::of("[!-~é&<>]{1,9}( [!-~]{1,9})?")),
        has_image: bool,
    ) {
        let [title, description] = texts;
        let url = format!("https://h/{path}");
        let preview = LinkPreview { image: has_image.then(|| url.clone()), url, title, description };
        let says_something = preview.title.is_some() || preview.description.is_some() || has_image;
        // Read from text, since data gets lost in serialisation.
        let read = previews(&String::from(&element(preview.clone())));
        prop_assert_eq!(read, if says_something { vec![preview] } else { Vec::new() });
    }

    #[test]
    fn whatever_is_read_may_be_sent(url in "\\PC{0,40}", inside in "\\PC{0,40}") {
        let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('\'', "&apos;")];
        let escaped = |text: &str| escapes.iter().fold(text.to_owned(), |text, (sign, escape)| text.replace(*sign, escape));
        let inside = escaped(&inside);
        let parts = ["title", "description", "image"].map(|part| format!("<og:{part}>{inside}</og:{part}>")).concat();
        for url in [escaped(&url), format!("https://{}", escaped(&url))] {
            let extensions = Extensions { previews: previews(&about(&url, &parts)), ..Extensions::default() };
            let extensions = Some(Box::new(extensions));
            let draft = Draft { body: Some("x".to_owned()), extensions, ..Draft::default() };
            prop_assert!(check_draft(&draft).is_ok(), "{:?}", draft);
        }
    }
}
