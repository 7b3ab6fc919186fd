//! The account's actions as plain data, for an observer.

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use parlor_stanza::decode;
use parlor_stanza::encode::{MODERATE, MUC_ADMIN, MUC_OWNER};
use parlor_stanza::types::{BLOCKING, Message, REPORTING, VOICE};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::nodes::{self, NodeRequest};
use super::rooms::Rooms;
use super::words::{REGISTERED_NICK, value};

/// An action of the account.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each case is one thing that can be done, with the words of its XEP")]
pub enum Action {
    /// It sent a message.
    Said(Box<Message>),
    /// It invited somebody to a room.
    Invited { room: BareJid, whom: Jid, reason: Option<String> },
    /// It declined the invitation of somebody to a room.
    Declined { room: BareJid, whom: Jid, reason: Option<String> },
    /// It changed its status.
    Status { show: String, text: String },
    /// It entered a room, or changed its nickname there.
    Entered { room: BareJid, nick: String },
    /// It left a room.
    Left { room: BareJid },
    /// It requested a presence subscription, or answered such a request: `subscribe`, `subscribed` and so on.
    Subscription { whom: BareJid, kind: &'static str },
    /// It changed a roster item.
    Contact { jid: String, name: Option<String>, groups: Vec<String>, removed: bool },
    /// It changed a user's role or affiliation in a room.
    Moderated { room: BareJid, whom: String, role: Option<String>, affiliation: Option<String>, reason: Option<String> },
    /// It had a room retract the message of this id.
    Retracted { room: BareJid, id: String, reason: Option<String> },
    /// It asked for voice in a room, or gave or refused it to the visitor with this nickname.
    Voice { room: BareJid, nick: Option<String>, allow: bool },
    /// It registered with a room under this nickname; without one, it ended that.
    Registered { room: BareJid, nick: Option<String> },
    /// It blocked an address, with a report if one was given, or ended that.
    Blocked { jid: String, ends: bool, report: Option<Reported> },
    /// It configured or destroyed a room.
    Room { room: BareJid, what: &'static str },
    /// A plugin made a request over the web, with these headers for credentials.
    Requested { method: String, url: String, headers: Vec<(String, String)>, body: String },
    /// A request to a webhook of the plugin was answered.
    Answered { webhook: String, status: u16, body: String },
    /// It answered a step of a form (XEP-0050).
    Form { to: Jid, shows: FormShown },
    /// It answered a request (IQ) that the test wrote out; without a payload, it only confirmed it.
    Replied { to: Option<Jid>, payload: Option<String> },
    /// It refused one.
    Refused { to: Option<Jid>, condition: String, text: Option<String> },
    /// It made a request about a node, of its own account unless a service is named.
    Node { at: Option<Jid>, node: String, request: NodeRequest },
    /// It sent a request.
    Asked { to: Option<Jid>, set: bool, name: String, namespace: String },
}

/// A report about somebody who is blocked (XEP-0377).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The reason, such as `spam`.
    pub kind: String,
    /// The remark for the operators of the server.
    pub text: Option<String>,
    /// The ids of the messages that it is about.
    pub ids: Vec<String>,
}

/// A form as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormShown {
    /// A page to fill in.
    Page {
        /// Its title.
        title: String,
        /// Its place, if there are several.
        step: Option<String>,
        /// Its fields, with their values.
        fields: Vec<(String, String)>,
        /// The mistakes in the last step, in words.
        wrong: Option<String>,
    },
    /// A text alone.
    Note {
        /// Whether the command is over.
        is_over: bool,
        /// Whether it failed.
        is_error: bool,
        /// The text.
        text: String,
    },
    /// The command was cancelled.
    Cancelled,
    /// The step was refused, by this condition.
    Refused(String),
}

/// Returns the action in an outgoing stanza; `None` for stanzas that every session sends automatically.
pub(super) fn of(stanza: &Stanza, of_a_plugin: bool, own: &FullJid, now: Timestamp) -> Option<Action> {
    match stanza {
        Stanza::Message(message) => {
            let to = message.to.clone()?;
            if let Some(invited) = message.payloads.iter().find_map(|payload| invited(payload, &to)) {
                return Some(invited);
            }
            if let Some(voice) = message.payloads.iter().find_map(|payload| voice(payload, &to)) {
                return Some(voice);
            }
            decode::leaving(stanza, own, now).map(|message| Action::Said(Box::new(message)))
        }
        Stanza::Presence(presence) => {
            let to = presence.to.as_ref();
            if let Some(whom) = to.map(Jid::to_bare) {
                let kind = match presence.type_ {
                    Type::Subscribe => "subscribe",
                    Type::Subscribed => "subscribed",
                    Type::Unsubscribe => "unsubscribe",
                    Type::Unsubscribed => "unsubscribed",
                    Type::Unavailable if whom.domain().as_str().starts_with("rooms.") => {
                        return Some(Action::Left { room: whom });
                    }
                    Type::None if presence.payloads.iter().any(|payload| payload.is("x", ns::MUC)) => {
                        let nick = to.and_then(|to| to.resource()).map(|nick| nick.as_str().to_owned());
                        return Some(Action::Entered { room: whom, nick: nick.unwrap_or_default() });
                    }
                    _ => return None,
                };
                return Some(Action::Subscription { whom, kind });
            }
            let show = match (&presence.type_, &presence.show) {
                (Type::None, None) => "online".to_owned(),
                (Type::None, Some(show)) => format!("{show:?}").to_lowercase(),
                _ => "offline".to_owned(),
            };
            Some(Action::Status { show, text: presence.statuses.values().next().cloned().unwrap_or_default() })
        }
        Stanza::Iq(Iq::Set { to, payload, .. }) => {
            let action = nodes::of(to.as_ref(), true, payload, own).or_else(|| set(to.as_ref(), payload));
            action.or_else(|| of_a_plugin.then(|| asked(to.as_ref(), true, payload)))
        }
        Stanza::Iq(Iq::Get { to, payload, .. }) => {
            let action = nodes::of(to.as_ref(), false, payload, own);
            action.or_else(|| of_a_plugin.then(|| asked(to.as_ref(), false, payload)))
        }
        Stanza::Iq(_) => None,
    }
}

fn asked(to: Option<&Jid>, set: bool, payload: &Element) -> Action {
    Action::Asked { to: to.cloned(), set, name: payload.name().to_owned(), namespace: payload.ns() }
}

fn invited(payload: &Element, to: &Jid) -> Option<Action> {
    if payload.is("x", "jabber:x:conference") {
        let room = payload.attr("jid")?.parse().ok()?;
        return Some(Action::Invited { room, whom: to.clone(), reason: payload.attr("reason").map(str::to_owned) });
    }
    if let Some(decline) = payload.get_child("decline", ns::MUC_USER) {
        let whom = decline.attr("to")?.parse().ok()?;
        return Some(Action::Declined { room: to.to_bare(), whom, reason: reason(decline) });
    }
    let invite = payload.get_child("invite", ns::MUC_USER)?;
    let whom = invite.attr("to")?.parse().ok()?;
    Some(Action::Invited { room: to.to_bare(), whom, reason: reason(invite) })
}

fn voice(payload: &Element, to: &Jid) -> Option<Action> {
    if !payload.is("x", ns::DATA_FORMS) || value(payload, "FORM_TYPE").as_deref() != Some(VOICE) {
        return None;
    }
    let allow = value(payload, "muc#request_allow").as_deref() == Some("true");
    Some(Action::Voice { room: to.to_bare(), nick: value(payload, "muc#roomnick"), allow })
}

fn reason(element: &Element) -> Option<String> {
    element.children().find(|child| child.name() == "reason").map(Element::text).filter(|text| !text.is_empty())
}

fn reported(report: &Element) -> Reported {
    let reason = report.attr("reason").unwrap_or_default();
    let ids = report.children().filter(|child| child.is("stanza-id", ns::SID));
    Reported {
        kind: reason.rsplit_once(':').map_or(reason, |(_, kind)| kind).to_owned(),
        text: report.get_child("text", REPORTING).map(Element::text),
        ids: ids.filter_map(|id| id.attr("id")).map(str::to_owned).collect(),
    }
}

fn set(to: Option<&Jid>, payload: &Element) -> Option<Action> {
    let item = payload.children().next();
    if payload.is("query", ns::ROSTER) {
        let item = item?;
        return Some(Action::Contact {
            jid: item.attr("jid")?.to_owned(),
            name: item.attr("name").map(str::to_owned),
            groups: item.children().map(Element::text).collect(),
            removed: item.attr("subscription") == Some("remove"),
        });
    }
    if payload.has_ns(BLOCKING) {
        let (item, ends) = (item?, payload.name() == "unblock");
        let report = item.get_child("report", REPORTING).map(reported);
        return Some(Action::Blocked { jid: item.attr("jid")?.to_owned(), ends, report });
    }
    let room = to?.to_bare();
    if payload.is("query", ns::REGISTER) && Rooms::are_at(to?) {
        let nick = payload.get_child("x", ns::DATA_FORMS).and_then(|form| value(form, REGISTERED_NICK));
        return Some(Action::Registered { nick, room });
    }
    if payload.is("query", MUC_ADMIN) {
        let item = item?;
        let attribute = |name: &str| item.attr(name).map(str::to_owned);
        return Some(Action::Moderated {
            whom: attribute("nick").or_else(|| attribute("jid"))?,
            role: attribute("role"),
            affiliation: attribute("affiliation"),
            reason: reason(item),
            room,
        });
    }
    if payload.is("moderate", MODERATE) {
        return Some(Action::Retracted { id: payload.attr("id")?.to_owned(), reason: reason(payload), room });
    }
    if payload.is("query", MUC_OWNER) {
        let is_destroyed = item.is_some_and(|item| item.name() == "destroy");
        // A form without fields accepts the default configuration, which the host does automatically.
        let is_configured = item.is_some_and(|item| item.children().next().is_some());
        let what = if is_destroyed { Some("destroys") } else { is_configured.then_some("configures") };
        return what.map(|what| Action::Room { room, what });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_reason_its_remark_and_its_messages() {
        let blocked = |inside: &str| {
            let xml = format!("<block xmlns='{BLOCKING}'><item jid='eve@example.org'>{inside}</item></block>");
            let Some(Action::Blocked { jid, ends: false, report }) = set(None, &xml.parse().unwrap()) else {
                panic!("somebody is blocked")
            };
            assert_eq!(jid, "eve@example.org");
            report
        };
        assert_eq!(blocked(""), None);
        let report = |inside: &str| {
            blocked(&format!("<report xmlns='{REPORTING}' reason='urn:xmpp:reporting:spam'>{inside}</report>"))
        };
        let spam = Reported { kind: "spam".to_owned(), text: None, ids: Vec::new() };
        assert_eq!(report(""), Some(spam.clone()));
        let id = format!("<stanza-id xmlns='{}' by='bot@example.org' id='7'/>", ns::SID);
        let whole = Reported { text: Some("it sells swords".to_owned()), ids: vec!["7".to_owned()], ..spam };
        assert_eq!(report(&format!("{id}<text>it sells swords</text>")), Some(whole));
    }
}
