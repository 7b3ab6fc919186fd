//! `muc#user` and direct invitations (XEP-0045, XEP-0249). Walked by hand: the library's types lack half of it.

use jid::Jid;
use minidom::Element;
use xmpp_parsers::ns;

use super::{bare_jid_attribute, jid_attribute};
use crate::stanza::{Invite, MucUser};

const DIRECT_INVITE: &str = "jabber:x:conference";
/// How many status codes of one presence are looked at.
const MAX_STATUS: usize = 16;

/// What a room says of an occupant.
pub(super) fn occupant(x: &Element) -> MucUser {
    let child = |name: &str| x.get_child(name, ns::MUC_USER);
    let item = child("item");
    let destroy = child("destroy");
    let attribute = |name: &str| item.and_then(|item| item.attr(name)).map(str::to_owned);
    MucUser {
        affiliation: attribute("affiliation").unwrap_or_else(|| "none".to_owned()),
        role: attribute("role").unwrap_or_else(|| "none".to_owned()),
        jid: item.and_then(|item| jid_attribute(item, "jid")),
        nick: attribute("nick"),
        reason: item.and_then(reason).or_else(|| destroy.and_then(reason)),
        status: x
            .children()
            .filter(|child| child.is("status", ns::MUC_USER))
            .filter_map(|status| status.attr("code")?.parse().ok())
            .take(MAX_STATUS)
            .collect(),
        destroyed: destroy.map(|destroy| bare_jid_attribute(destroy, "jid")),
    }
}

/// The invitation in this payload: sent on by the room (XEP-0045, section 7.8.2), or by the inviter (XEP-0249).
pub(super) fn invite(x: &Element, from: &Jid) -> Option<Invite> {
    if x.has_ns(DIRECT_INVITE) {
        return Some(Invite {
            room: bare_jid_attribute(x, "jid")?,
            from: from.clone(),
            reason: x.attr("reason").map(str::to_owned),
            password: x.attr("password").map(str::to_owned),
        });
    }
    let invite = x.get_child("invite", ns::MUC_USER).filter(|_| x.has_ns(ns::MUC_USER))?;
    // A room speaks for itself under its bare JID; from anybody else this would be an invitation in a stranger's name.
    if !from.is_bare() {
        return None;
    }
    Some(Invite {
        room: from.to_bare(),
        from: jid_attribute(invite, "from").unwrap_or_else(|| from.clone()),
        reason: reason(invite),
        password: x.get_child("password", ns::MUC_USER).map(Element::text),
    })
}

fn reason(element: &Element) -> Option<String> {
    element.get_child("reason", ns::MUC_USER).map(Element::text).filter(|reason| !reason.is_empty())
}
