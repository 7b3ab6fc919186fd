//! Splits written data for transports on which each element must be complete in itself: WebSocket and BOSH. Pure.

use xmpp_parsers::ns;

/// A part of the stream, as written for TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written<'a> {
    /// The header of the stream, with its attributes.
    Begin(&'a str),
    /// The footer of the stream.
    End,
    /// An element, with the namespaces that the header declares over TCP.
    Element(String),
}

/// Classifies a piece of the stream; returns `None` if there is nothing to send.
pub(super) fn written(element: &str) -> Option<Written<'_>> {
    let element = element.trim();
    if element.is_empty() || element.starts_with("<?") {
        return None;
    }
    if element.starts_with("</") {
        return Some(Written::End);
    }
    let end = element.find(['>', '/', ' ', '\t', '\n']).unwrap_or(element.len());
    let (name, rest) = element.split_at(end);
    if name == "<stream:stream" {
        return Some(Written::Begin(&rest[..rest.find('>').unwrap_or(rest.len())]));
    }
    // The library declares a default namespace directly behind the name or not at all. A similar text further on is an
    // id or nickname that somebody chose.
    let default = if rest.starts_with(" xmlns=") { String::new() } else { format!(" xmlns='{}'", ns::JABBER_CLIENT) };
    // The library declares this prefix only in the header, and uses it for every element in that namespace. An
    // unnecessary declaration, for text that only looks like the prefix, changes nothing.
    let prefix = if element.contains("stream:") { format!(" xmlns:stream='{}'", ns::STREAM) } else { String::new() };
    Some(Written::Element(format!("{name}{default}{prefix}{rest}")))
}

#[cfg(test)]
mod tests {
    use minidom::Element;
    use xmpp_parsers::presence::Presence;

    use super::*;

    fn element(text: &str) -> String {
        match written(text) {
            Some(Written::Element(element)) => element,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_element_says_its_namespaces() {
        assert_eq!(
            element("<message to='a'><body>x</body></message>"),
            "<message xmlns='jabber:client' to='a'><body>x</body></message>"
        );
        assert_eq!(element("<r xmlns='urn:xmpp:sm:3'/>"), "<r xmlns='urn:xmpp:sm:3'/>");
        let error = element("<stream:error><reset xmlns='x'/></stream:error>");
        assert!(error.parse::<Element>().unwrap().is("error", ns::STREAM), "{error}");
        let mut away = Presence::available();
        away.set_status("en", "stream: on");
        let away = element(&parlor_stanza::stream::written(&away).unwrap());
        assert!(away.parse::<Element>().unwrap().is("presence", ns::JABBER_CLIENT), "{away}");
        let inside = element("<message><stream:x stream:y='z'/></message>").parse::<Element>().unwrap();
        assert!(inside.is("message", ns::JABBER_CLIENT) && inside.has_child("x", ns::STREAM), "{inside:?}");
    }

    #[test]
    fn what_somebody_chose_is_not_taken_for_a_namespace() {
        for (text, name) in [
            ("<iq type='result' id=' xmlns='/>", "iq"),
            ("<message to='a@b/x xmlns=y'/>", "message"),
            ("<presence to='a@b/x xmlns:stream=y stream:z'/>", "presence"),
        ] {
            let framed = element(text);
            assert!(framed.parse::<Element>().unwrap().is(name, ns::JABBER_CLIENT), "{framed}");
        }
    }

    #[test]
    fn a_streams_header_and_footer_are_told_from_elements() {
        assert_eq!(written("<?xml version='1.0'?>"), None);
        assert_eq!(written(" "), None);
        assert_eq!(written("</stream:stream>"), Some(Written::End));
        let header = "<stream:stream xmlns='jabber:client' to='a'>";
        assert_eq!(written(header), Some(Written::Begin(" xmlns='jabber:client' to='a'")));
    }
}
