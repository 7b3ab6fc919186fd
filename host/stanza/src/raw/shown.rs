//! The XML of stanzas as plugins see it: without passwords.

use minidom::rxml;
use minidom::{Element, Node};
use xmpp_parsers::ns;

use super::{RawStanza, element};

/// The namespace of an invitation by the person who invites (XEP-0249).
const DIRECT_INVITE: &str = "jabber:x:conference";

/// Tells which passwords are left out.
struct Hiding {
    /// Returns whether the attribute `password` of an element is one.
    has_password: fn(&Element) -> bool,
    /// Returns whether an element is one as a whole.
    is_password: fn(&Element) -> bool,
}

/// The passwords of rooms and accounts: elements, attributes and form fields.
const ALL: Hiding = Hiding { has_password: |_| true, is_password };
/// The passwords of rooms in invitations, by a person or passed on by the room (XEP-0045, section 7.8.2).
const INVITATIONS: Hiding = Hiding {
    has_password: |element| element.is("x", DIRECT_INVITE),
    is_password: |element| element.is("password", ns::MUC_USER),
};

impl RawStanza {
    /// Returns the stanza as XML without its passwords, for plugins that may see outgoing stanzas.
    pub fn to_shown_xml(&self) -> String {
        self.xml_without(&ALL)
    }

    /// Returns a received stanza as XML, for plugins that may see it. It has no password of a room from an invitation: plugins get that
    /// by the event for the invitation, if they may enter the room. Other passwords are meant for those who read the stanza, such as
    /// the one in a form that a person has filled in.
    pub fn to_received_xml(&self) -> String {
        let xml = self.to_xml();
        // No name in XML can be written in another way.
        if xml.contains("password") { self.xml_without(&INVITATIONS) } else { xml }
    }

    fn xml_without(&self, hiding: &Hiding) -> String {
        let mut element = element(self.stanza());
        hide(&mut element, hiding);
        String::from(&element)
    }
}

/// Removes passwords from an element. The depth is bounded on input.
fn hide(element: &mut Element, hiding: &Hiding) {
    if (hiding.has_password)(element) {
        element.attrs_mut().remove(&rxml::Namespace::NONE, "password");
    }
    for node in element.take_nodes() {
        match node {
            Node::Element(child) if (hiding.is_password)(&child) => {}
            Node::Element(mut child) => {
                hide(&mut child, hiding);
                element.append_node(Node::Element(child));
            }
            text @ Node::Text(_) => element.append_node(text),
        }
    }
}

fn is_password(element: &Element) -> bool {
    let names = |name: &str| name.ends_with("password") || name.ends_with("roomsecret");
    element.name() == "password" || (element.name() == "field" && element.attr("var").is_some_and(names))
}
