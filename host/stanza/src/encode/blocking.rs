//! Writes requests about blocked addresses (XEP-0191), with reports (XEP-0377).

use jid::Jid;
use minidom::{Element, ElementBuilder};
use xmpp_parsers::ns;

use super::{name, text, with_id};
use crate::types::{BLOCKING, REPORTING, Report};

/// Returns the request to block an address, with the report for which it is blocked.
pub(super) fn block(jid: &Jid, report: Option<Report>) -> Element {
    Element::builder("block", BLOCKING).append(item(jid).append_all(report.map(reported)).build()).build()
}

/// Returns the request to unblock an address. Without an address it would unblock all.
pub(super) fn unblock(jid: &Jid) -> Element {
    Element::builder("unblock", BLOCKING).append(item(jid).build()).build()
}

fn item(jid: &Jid) -> ElementBuilder {
    Element::builder("item", BLOCKING).attr(name("jid"), jid.to_string())
}

fn reported(report: Report) -> Element {
    let ids = report.stanza_ids.into_iter();
    let ids = ids.map(|(by, id)| with_id("stanza-id", ns::SID, id).attr(name("by"), by.to_string()).build());
    Element::builder("report", REPORTING)
        .attr(name("reason"), report.kind.reason())
        .append_all(ids)
        .append_all(report.text.map(|remark| text("text", REPORTING, remark)))
        .build()
}
