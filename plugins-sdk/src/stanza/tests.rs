//! Tests that stanzas read back as they were written, for any value.

use minidom::Element as Minidom;
use proptest::prelude::*;

use super::*;

fn by_minidom(element: &Element) -> Minidom {
    Minidom::from_reader_with_prefixes(element.to_string().as_bytes(), ns::CLIENT.to_owned()).expect("well-formed")
}

#[test]
fn a_quote_does_not_end_an_attribute() {
    let parsed = by_minidom(&message().to("a' from='evil@example.org").text("x"));
    assert_eq!(parsed.attr("to"), Some("a' from='evil@example.org"));
    assert_eq!(parsed.attr("from"), None);
}

#[test]
fn a_closing_tag_in_text_stays_text() {
    let text = "</body></message><presence/>]]>&amp;";
    let parsed = by_minidom(&message().child(Element::new("body").text(text)));
    assert_eq!(parsed.children().count(), 1);
    assert_eq!(parsed.get_child("body", ns::CLIENT).expect("a body").text(), text);
}

#[test]
fn an_attribute_given_twice_is_written_once() {
    assert_eq!(iq(IqKind::Get).attr("type", "set").to_string(), "<iq type='set'/>");
}

#[test]
fn a_namespace_counts_for_the_elements_inside() {
    let parsed = by_minidom(&iq(IqKind::Set).child(Element::new("query").ns(ns::ROSTER).child(Element::new("item"))));
    assert!(parsed.get_child("query", ns::ROSTER).expect("a query").has_child("item", ns::ROSTER));
}

#[test]
fn what_comes_is_read_with_its_namespaces() {
    let answer = parse(
        " <iq type=\"result\" id = '1'><query xmlns='urn:a'>\n<one b='&lt;&#x1F355;&#38;&odd;'/>text<x:two xmlns='urn:b' ><one/></x:two\n></query></iq>\n",
    )
    .unwrap();
    assert_eq!((answer.attribute("id"), answer.namespace.as_deref()), (Some("1"), None));
    let query = answer.find("query", "urn:a").unwrap();
    assert_eq!(query.text, "\ntext");
    assert_eq!(query.find("one", "urn:a").unwrap().attribute("b"), Some("<\u{1f355}&&odd;"));
    assert!(query.find("one", "urn:b").is_none());
    assert!(query.find("x:two", "urn:b").unwrap().find("one", "urn:b").is_some());
}

#[test]
fn what_is_no_xml_is_an_error_that_says_why() {
    for (text, reason) in [
        ("", "does not begin with an element"),
        ("<>", "lacks a name"),
        ("<a", "lacks a name"),
        ("<a b>", "has an attribute without a value"),
        ("<a b=c>", "has an attribute whose value is not quoted"),
        ("<a b='c>", "ends in the midst of an attribute"),
        ("<a>", "ends in the midst of an element"),
        ("<a></b>", "ends an element that is not open"),
        ("<a/><b/>", "goes on behind its element"),
        (&"<a>".repeat(10_000), "has too many elements inside of each other"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("invalid xml: {reason}"), "{text:.20}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in "\\PC*", text in "[\\PC\\t\\n\\r]*") {
        let element = presence().attr("id", value.clone()).child(Element::new("status").text(text.clone()).ns("urn:x"));
        let read = parse(&element.to_string()).unwrap();
        prop_assert_eq!(read.attribute("id"), Some(value.as_str()));
        prop_assert_eq!(&read.find("status", "urn:x").unwrap().text, &text);
    }

    #[test]
    fn nothing_at_all_breaks_the_reader(text in any::<String>(), xml in "[<>/='a&;# ]*") {
        let _ = (parse(&text), parse(&xml));
    }

    #[test]
    fn any_value_reads_back(value in "\\PC*", text in "[\\PC\\t\\n\\r]*") {
        let parsed = by_minidom(&presence().attr("id", value.clone()).child(Element::new("status").text(text.clone())));
        prop_assert_eq!(parsed.attr("id"), Some(value.as_str()));
        prop_assert_eq!(parsed.get_child("status", ns::CLIENT).expect("a status").text(), text);
    }

    #[test]
    fn any_characters_at_all_stay_well_formed(value in any::<String>()) {
        let parsed = by_minidom(&message().attr("id", value.clone()).text(value));
        prop_assert_eq!(parsed.children().count(), 0);
    }
}

/// Authors find a namespace by the name that it has in another language.
#[test]
fn every_language_has_the_same_namespaces_by_the_same_names() {
    let others = [
        (include_str!("../../python/parlor/stanza.py"), "", ""),
        (include_str!("../../javascript/parlor.js"), "", ":"),
        (include_str!("../../javascript/parlor.d.ts"), "", ":"),
        (include_str!("../../go/stanza.go"), "ns", ""),
        (include_str!("../../c/parlor.h"), "parlorns", ""),
    ];
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let here = include_str!("../stanza.rs").lines();
    let here = here.filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": &str = "));
    let mut count = 0;
    for (name, value) in here {
        let value = value.trim_end_matches(';');
        for (source, before, behind) in others {
            let word = format!("{before}{}{behind}", plain(name));
            let names_it = |line: &str| line.contains(value) && plain(line).split_whitespace().any(|one| one == word);
            assert!(source.lines().any(names_it), "{word} is not {value}");
        }
        count += 1;
    }
    assert!(count > 20, "{count} namespaces");
}
