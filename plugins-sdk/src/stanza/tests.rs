//! What is written reads back, whatever the values are.

use minidom::Element as Parsed;
use proptest::prelude::*;

use super::*;

fn parse(element: &Element) -> Parsed {
    Parsed::from_reader_with_prefixes(element.to_string().as_bytes(), ns::CLIENT.to_owned()).expect("well-formed")
}

#[test]
fn a_quote_does_not_end_an_attribute() {
    let parsed = parse(&message().to("a' from='evil@example.org").text("x"));
    assert_eq!(parsed.attr("to"), Some("a' from='evil@example.org"));
    assert_eq!(parsed.attr("from"), None);
}

#[test]
fn a_closing_tag_in_text_stays_text() {
    let text = "</body></message><presence/>]]>&amp;";
    let parsed = parse(&message().child(Element::new("body").text(text)));
    assert_eq!(parsed.children().count(), 1);
    assert_eq!(parsed.get_child("body", ns::CLIENT).expect("a body").text(), text);
}

#[test]
fn an_attribute_given_twice_is_written_once() {
    assert_eq!(iq(IqKind::Get).attr("type", "set").to_string(), "<iq type='set'/>");
}

#[test]
fn a_namespace_counts_for_the_elements_inside() {
    let parsed = parse(&iq(IqKind::Set).child(Element::new("query").ns(ns::ROSTER).child(Element::new("item"))));
    assert!(parsed.get_child("query", ns::ROSTER).expect("a query").has_child("item", ns::ROSTER));
}

proptest! {
    #[test]
    fn any_value_reads_back(value in "\\PC*", text in "[\\PC\\t\\n\\r]*") {
        let parsed = parse(&presence().attr("id", value.clone()).child(Element::new("status").text(text.clone())));
        prop_assert_eq!(parsed.attr("id"), Some(value.as_str()));
        prop_assert_eq!(parsed.get_child("status", ns::CLIENT).expect("a status").text(), text);
    }

    #[test]
    fn any_characters_at_all_stay_well_formed(value in any::<String>()) {
        let parsed = parse(&message().attr("id", value.clone()).text(value));
        prop_assert_eq!(parsed.children().count(), 0);
    }
}
