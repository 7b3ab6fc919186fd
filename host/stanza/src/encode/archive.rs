//! Writes requests to archives (XEP-0313, XEP-0059, XEP-0441).

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use xmpp_parsers::ns;

use super::{clean, name, text};
use crate::types::{ArchivePreferences, ArchiveQuery, Cursor, MAM};

/// The longest time that is no millisecond.
const ALMOST_A_MILLISECOND: SignedDuration = SignedDuration::from_nanos(999_999);

/// Returns the request for one page of an archive (XEP-0313, section 4.1).
pub(super) fn query(query: ArchiveQuery) -> Element {
    let ArchiveQuery { queryid, with, start, end, max, cursor } = query;
    let fields = [
        ("with", with.map(|with| with.to_string())),
        ("start", start.map(moment)),
        // Rounded up: what came at that moment is part of the page.
        ("end", end.map(|end| moment(end.checked_add(ALMOST_A_MILLISECOND).unwrap_or(end)))),
    ];
    let fields: Vec<_> = fields.into_iter().filter_map(|(var, value)| Some(field(var, value?, None))).collect();
    let form = (!fields.is_empty()).then(|| {
        Element::builder("x", ns::DATA_FORMS)
            .attr(name("type"), "submit")
            .append(field("FORM_TYPE", MAM.to_owned(), Some("hidden")))
            .append_all(fields)
            .build()
    });
    let place = match cursor {
        Cursor::Start => None,
        Cursor::After(id) => Some(text("after", ns::RSM, id)),
        Cursor::Before(id) if id.is_empty() => Some(Element::bare("before", ns::RSM)),
        Cursor::Before(id) => Some(text("before", ns::RSM, id)),
        Cursor::Index(index) => Some(text("index", ns::RSM, index.to_string())),
    };
    let set = Element::builder("set", ns::RSM).append(text("max", ns::RSM, max.to_string())).append_all(place);
    Element::builder("query", MAM).attr(name("queryid"), clean(queryid)).append_all(form).append(set.build()).build()
}

/// Writes a time, rounded down to the millisecond: Tigase reads all digits of a fraction as a number of milliseconds, so that
/// nine of them are up to eleven days.
fn moment(at: Timestamp) -> String {
    let is_whole = at.subsec_millisecond() == 0;
    at.strftime(if is_whole { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%3fZ" }).to_string()
}

fn field(var: &'static str, value: String, kind: Option<&'static str>) -> Element {
    Element::builder("field", ns::DATA_FORMS)
        .attr(name("var"), var)
        .attr(name("type"), kind)
        .append(text("value", ns::DATA_FORMS, value))
        .build()
}

/// Returns the request to set the preferences of an archive (XEP-0441). Both lists are always written, since an omitted
/// list would be lost.
pub(super) fn preferences(preferences: ArchivePreferences) -> Element {
    let ArchivePreferences { default, always, never } = preferences;
    let list = |element: &'static str, jids: Vec<jid::Jid>| {
        let jids = jids.into_iter().map(|jid| text("jid", MAM, jid.to_string()));
        Element::builder(element, MAM).append_all(jids).build()
    };
    Element::builder("prefs", MAM)
        .attr(name("default"), clean(default))
        .append(list("always", always))
        .append(list("never", never))
        .build()
}
