//! The scripted server's archive of messages (XEP-0313): an honest one of any size, or one that a test defines.

use jid::{BareJid, FullJid, Jid};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::{Element, rxml::NcName};
use xmpp_parsers::ns;

use super::Request;

/// The namespace of archives.
pub const MAM: &str = "urn:xmpp:mam:2";

/// A request for one page.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The id of the request.
    pub id: String,
    /// The owner of the archive; `None` is the account.
    pub to: Option<Jid>,
    /// The query id, which the results must carry.
    pub queryid: String,
    /// The fields of the form: `with`, `start`, `end`.
    pub fields: Vec<(String, String)>,
    /// The elements of the result set: `max`, `before`, `after`, `index`.
    pub set: Vec<(String, String)>,
    /// The client that sent the request.
    pub client: FullJid,
}

/// A callback that returns the stanzas of the answer, as elements.
pub type Script = Box<dyn FnMut(&Asked) -> Vec<Element> + Send>;

impl Asked {
    /// Parses a request if it is one for a page.
    pub(super) fn read(request: &Request, client: &FullJid) -> Option<Self> {
        let Request { id, to, payload } = request;
        if !payload.is("query", MAM) {
            return None;
        }
        let form = payload.get_child("x", ns::DATA_FORMS).into_iter().flat_map(Element::children);
        let fields = form
            .filter_map(|field| {
                let value = field.get_child("value", ns::DATA_FORMS)?;
                Some((field.attr("var")?.to_owned(), value.text()))
            })
            .collect();
        let set = payload.get_child("set", ns::RSM).into_iter().flat_map(Element::children);
        Some(Self {
            id: id.clone(),
            to: to.clone(),
            queryid: payload.attr("queryid").unwrap_or_default().to_owned(),
            fields,
            set: set.map(|part| (part.name().to_owned(), part.text())).collect(),
            client: client.clone(),
        })
    }

    /// Returns one element of the result set.
    pub fn part(&self, name: &str) -> Option<&str> {
        self.set.iter().find(|(part, _)| part == name).map(|(_, value)| value.as_str())
    }

    /// Returns one field of the form.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Returns the number of messages that are requested.
    pub fn max(&self) -> u64 {
        self.part("max").and_then(|max| max.parse().ok()).unwrap_or(u64::MAX)
    }

    /// Returns the address of the archive: the account or a room.
    pub fn archive(&self) -> Jid {
        self.to.clone().unwrap_or_else(|| self.client.to_bare().into())
    }

    /// Returns the message with this number as a result from this address.
    pub fn result_from(&self, from: &Jid, number: u64) -> Element {
        let author = format!("juliet{}@localhost/balcony", number % 10);
        let body = Element::builder("body", ns::DEFAULT_NS).append(text(number)).build();
        let message = Element::builder("message", ns::DEFAULT_NS)
            .attr(name("from"), author)
            .attr(name("to"), self.client.to_bare().to_string())
            .attr(name("type"), "chat")
            .attr(name("id"), format!("by-{number}"))
            .append(body)
            .build();
        self.wrap(from, &id(number), message)
    }

    /// Returns a result of the requested archive.
    pub fn result(&self, number: u64) -> Element {
        self.result_from(&self.archive(), number)
    }

    /// Returns a result that contains any message.
    pub fn wrap(&self, from: &Jid, id: &str, message: Element) -> Element {
        let delay = Element::builder("delay", ns::DELAY).attr(name("stamp"), "2026-11-20T06:24:00Z").build();
        let forwarded = Element::builder("forwarded", ns::FORWARD).append(delay).append(message).build();
        let result = Element::builder("result", MAM)
            .attr(name("queryid"), self.queryid.as_str())
            .attr(name("id"), id)
            .append(forwarded)
            .build();
        Element::builder("message", ns::DEFAULT_NS)
            .attr(name("from"), from.to_string())
            .attr(name("to"), self.client.to_string())
            .append(result)
            .build()
    }

    /// Returns the end of a page that has these messages, if any.
    pub fn fin(&self, page: Option<(u64, u64)>, complete: bool, count: Option<u64>) -> Element {
        let part = |element: &'static str, value: String| Element::builder(element, ns::RSM).append(value).build();
        let set = Element::builder("set", ns::RSM)
            .append_all(page.map(|(first, _)| part("first", id(first))))
            .append_all(page.map(|(_, last)| part("last", id(last))))
            .append_all(count.map(|count| part("count", count.to_string())))
            .build();
        let fin = Element::builder("fin", MAM).attr(name("complete"), complete.then_some("true")).append(set).build();
        self.answer(fin)
    }

    /// Returns a successful answer with this payload.
    pub fn answer(&self, payload: Element) -> Element {
        let from = self.to.clone();
        Iq::Result { from, to: Some(self.client.clone().into()), id: self.id.clone(), payload: Some(payload) }.into()
    }

    /// Returns a permanent error.
    pub fn refuse(&self, condition: &'static str) -> Element {
        self.fail("cancel", condition)
    }

    /// Returns a temporary error.
    pub fn put_off(&self) -> Element {
        self.fail("wait", "resource-constraint")
    }

    fn fail(&self, kind: &str, condition: &'static str) -> Element {
        let error = Element::builder("error", ns::DEFAULT_NS)
            .attr(name("type"), kind)
            .append(Element::bare(condition, ns::XMPP_STANZAS))
            .build();
        Element::builder("iq", ns::DEFAULT_NS)
            .attr(name("type"), "error")
            .attr(name("id"), self.id.as_str())
            .attr(name("from"), self.to.as_ref().map(ToString::to_string))
            .append(error)
            .build()
    }
}

/// Returns the archive id of a message.
pub fn id(number: u64) -> String {
    format!("uid-{number}")
}

/// Returns the text of a message.
pub fn text(number: u64) -> String {
    format!("message {number}")
}

fn number(id: &str) -> Option<u64> {
    id.strip_prefix("uid-")?.parse().ok()
}

fn name(name: &'static str) -> NcName {
    NcName::try_from(name).expect("attribute names in this folder are valid")
}

/// An honest archive of this many messages, which reports their number and order.
pub fn honest(total: u64) -> Script {
    Box::new(move |asked| page(asked, total, Unknown::Refused))
}

/// An archive that returns its first page if the id in `after` is unknown, instead of an error.
pub fn careless(total: u64) -> Script {
    Box::new(move |asked| page(asked, total, Unknown::Ignored))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refused,
    Ignored,
}

fn page(asked: &Asked, total: u64, unknown: Unknown) -> Vec<Element> {
    let known = |part: &str| asked.part(part).map(|id| number(id).filter(|number| *number < total));
    if unknown == Unknown::Refused {
        let is_unknown = |part: &str| asked.part(part).is_some_and(|id| !id.is_empty()) && known(part) == Some(None);
        if is_unknown("after") || is_unknown("before") {
            return vec![asked.refuse("item-not-found")];
        }
    }
    let max = asked.max();
    let (begin, end) = match (known("before"), known("after")) {
        (Some(before), _) => {
            let end = before.unwrap_or(total);
            (end.saturating_sub(max), end)
        }
        (None, Some(Some(after))) => (after + 1, (after + 1).saturating_add(max).min(total)),
        (None, _) => (0, max.min(total)),
    };
    let mut stanzas: Vec<Element> = (begin..end).map(|number| asked.result(number)).collect();
    let complete = if asked.part("before").is_some() { begin == 0 } else { end == total };
    stanzas.push(asked.fin((begin < end).then(|| (begin, end - 1)), complete, Some(total)));
    stanzas
}

/// Returns the disco information of an entity of this kind, optionally with an archive.
pub(super) fn disco(category: &str, archive: bool) -> Element {
    let identity = Element::builder("identity", ns::DISCO_INFO)
        .attr(name("category"), category)
        .attr(name("type"), "text")
        .build();
    let feature = archive.then(|| Element::builder("feature", ns::DISCO_INFO).attr(name("var"), MAM).build());
    Element::builder("query", ns::DISCO_INFO).append(identity).append_all(feature).build()
}

/// Returns whether the address is a room of the scripted server.
pub(super) fn is_room(jid: &BareJid) -> bool {
    jid.domain().as_str().starts_with("rooms.")
}
