//! The element in an IQ: requests in namespaces that the host does not know, and answers of plugins.

use std::fmt;

use minidom::Element;
use xmpp_parsers::ns;

use crate::error::CallError;
use crate::raw::{check_shape, weight};

/// The name of the argument in errors.
const ARGUMENT: &str = "xml";
/// The maximum length of an element from a plugin, in bytes, both as received and as written again. The stanza around
/// it repeats an id and an address of the other side, and must stay below the 256 KiB at which servers end the stream.
pub const MAX_BYTES: usize = 224 << 10;

/// The one element in an IQ, opaque outside of this package. It prints nothing of itself, so that no log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct IqPayload(Element);

impl fmt::Debug for IqPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IqPayload(..)")
    }
}

impl IqPayload {
    pub(crate) fn of(element: Element) -> Self {
        Self(element)
    }

    pub(crate) fn into_element(self) -> Element {
        self.0
    }

    /// Parses the element that a plugin answers with. It is checked and written again like every stanza of a plugin. It
    /// needs a namespace, and none of those of stanzas and streams.
    pub fn parse(xml: &str) -> Result<Self, CallError> {
        if xml.len() > MAX_BYTES {
            return Err(too_long(xml.len()));
        }
        let xml = xml.trim_matches([' ', '\t', '\r', '\n']);
        check_shape(xml).map_err(|error| match error {
            CallError::Invalid { reason, .. } => invalid(reason),
            other => other,
        })?;
        // The second pass builds the tree; the first has shown that it is not too deep and that nothing follows it.
        let element = Element::from_reader_with_prefixes(xml.as_bytes(), ns::JABBER_CLIENT.to_owned())
            .map_err(|error| invalid(format!("not well-formed: {error}")))?;
        let namespace = element.ns();
        if namespace.is_empty() || [ns::JABBER_CLIENT, "jabber:server", ns::STREAM].contains(&namespace.as_str()) {
            return Err(invalid(
                "the element needs a namespace of its own (xmlns), and not that of stanzas or streams",
            ));
        }
        let payload = Self(element);
        let length = payload.to_xml().len();
        if length > MAX_BYTES { Err(too_long(length)) } else { Ok(payload) }
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> String {
        self.0.ns()
    }

    /// Returns its name without a prefix.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        weight(&self.0)
    }

    /// Returns it as XML.
    pub fn to_xml(&self) -> String {
        String::from(&self.0)
    }
}

fn invalid(reason: impl Into<String>) -> CallError {
    CallError::invalid(ARGUMENT, reason)
}

fn too_long(length: usize) -> CallError {
    invalid(format!("{length} bytes are more than {MAX_BYTES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_element_of_a_namespace_that_is_not_that_of_stanzas() {
        let payload = IqPayload::parse("\n <temperature xmlns='urn:example:weather'>7</temperature> ").unwrap();
        assert_eq!((payload.namespace().as_str(), payload.name()), ("urn:example:weather", "temperature"));
        assert_eq!(IqPayload::parse(&payload.to_xml()), Ok(payload.clone()));
        assert_eq!(format!("{payload:?}"), "IqPayload(..)");
        let deep = format!("<a xmlns='urn:x'>{}{}</a>", "<b>".repeat(70), "</b>".repeat(70));
        let long = format!("<a xmlns='urn:x'>{}</a>", "x".repeat(MAX_BYTES));
        // Half as long as is allowed, until its signs are written as XML has them.
        let grows = format!("<a xmlns='urn:x' b=\"{}\"/>", "'".repeat(MAX_BYTES / 2));
        for xml in [
            "",
            "text",
            "<a/>",
            "<message xmlns='jabber:client'/>",
            "<a xmlns='http://etherx.jabber.org/streams'/>",
            "<a xmlns='urn:x'/><b xmlns='urn:x'/>",
            "<a xmlns='urn:x'>",
            "<?xml version='1.0'?><a xmlns='urn:x'/>",
            &deep,
            &long,
        ] {
            match IqPayload::parse(xml) {
                Err(CallError::Invalid { argument, .. }) => assert_eq!(argument, "xml"),
                other => panic!("{xml:.40}: {other:?}"),
            }
        }
        assert!(IqPayload::parse(&grows).is_err(), "what is written counts as well");
    }
}
