//! The rules about what passes between the stream of a component and one of its addresses: what a server would do for the
//! address, or refuse.

use jid::{BareJid, Jid};
use parlor_stanza::addressed::set_sender;
use parlor_stanza::decode::Arrived;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType};

use super::answers::{Answers, answer, unsubscribed};
use super::seat::Seat;

/// Passes a stanza to an address, unless it is for another client, or about what only a server does. Returns what its sender
/// gets instead, if anything.
pub(super) fn offer(seat: &mut Seat, arrived: Arrived, to: &Jid) -> Option<Stanza> {
    let asked = match heard(seat, &arrived, to) {
        Heard::Yes { asked } => asked,
        Heard::No { back } => return back.map(|back| *back),
    };
    let Some(arrived) = seat.receive(arrived) else {
        if let Some((from, id)) = asked {
            seat.asked(from, id);
        }
        return None;
    };
    tracing::debug!(account = %seat.own, "a stanza is not delivered: too many wait for this address");
    let (kind, condition) = (ErrorType::Wait, DefinedCondition::ResourceConstraint);
    arrived.refused(kind, condition, "too much waits for this address; try again later")
}

/// Passes the stanzas to an address that came before its account was there. Returns what their senders get instead, if anything.
/// The number of these stanzas and of their bytes is bounded.
pub(super) fn catch_up(seat: &mut Seat, stanzas: impl Iterator<Item = Arrived>) -> Vec<Stanza> {
    let mut all_back = Vec::new();
    for arrived in stanzas {
        // Those without a recipient were refused before.
        let Some(to) = arrived.recipient().cloned() else { continue };
        match heard(seat, &arrived, &to) {
            Heard::No { back } => all_back.extend(back.map(|back| *back)),
            Heard::Yes { asked } => {
                seat.catch_up(arrived);
                if let Some((from, id)) = asked {
                    seat.asked(from, id);
                }
            }
        }
    }
    all_back
}

/// Returns whether a presence of this type is about who sees whom, which only a server with a roster knows.
pub(super) fn is_about_subscription(kind: &Type) -> bool {
    !matches!(kind, Type::None | Type::Unavailable | Type::Error)
}

/// Whether an account hears of a stanza.
enum Heard {
    Yes {
        /// The sender and the id, if it is a request to the bare address.
        asked: Option<(Jid, String)>,
    },
    No {
        /// The answer to its sender, if it gets one.
        back: Option<Box<Stanza>>,
    },
}

/// Returns whether the account of an address hears of a stanza to it.
fn heard(seat: &Seat, arrived: &Arrived, to: &Jid) -> Heard {
    let is_for_client = *to == seat.own;
    let mut asked = None;
    if let Arrived::Read(stanza) = arrived {
        match &**stanza {
            Stanza::Presence(presence) if !to.is_bare() && !is_for_client => {
                tracing::debug!(kind = ?presence.type_, "a presence for another client of an address is ignored");
                return Heard::No { back: None };
            }
            Stanza::Presence(presence) if is_about_subscription(&presence.type_) => {
                // There is no roster, and so nobody is told of changes later: to say yes would be a lie.
                let asks = presence.type_ == Type::Subscribe;
                return Heard::No { back: asks.then(|| Box::new(unsubscribed(presence))) };
            }
            Stanza::Iq(iq @ (Iq::Get { .. } | Iq::Set { .. })) if to.is_bare() => {
                // The account answers for its address as well.
                asked = iq.from().map(|from| (from.clone(), iq.id().to_owned()));
            }
            Stanza::Iq(Iq::Get { .. } | Iq::Set { .. }) if !is_for_client => {
                let (kind, condition) = (ErrorType::Cancel, DefinedCondition::ServiceUnavailable);
                return Heard::No { back: arrived.refused(kind, condition, "there is no such client").map(Box::new) };
            }
            Stanza::Iq(_) | Stanza::Message(_) | Stanza::Presence(_) => {}
        }
    }
    Heard::Yes { asked }
}

/// Takes a stanza of an account. Requests to its own server or account are answered here.
pub(super) fn take(seat: &mut Seat, mut stanza: Stanza, outlives: bool, domain: &BareJid) {
    let mut sender = Jid::from(seat.own.clone());
    let account = Jid::from(seat.own.to_bare());
    match &mut stanza {
        Stanza::Message(message) => {
            // RFC 6120, section 10.3.1.
            message.to.get_or_insert(account);
        }
        Stanza::Presence(presence) => match (&presence.type_, &presence.to) {
            (Type::Unavailable, None) => return seat.disappear(),
            // Nobody sees it without a roster.
            (_, None) => return,
            (Type::None, Some(to)) if !seat.appears_to(to) => {
                if seat.is_to_say_full() {
                    tracing::warn!(account = %seat.own, "presence is not sent: the address is available to too many others");
                }
                return;
            }
            (Type::Unavailable, Some(to)) => seat.leaves(to),
            (kind, Some(_)) if is_about_subscription(kind) => {
                tracing::debug!(account = %seat.own, "a presence about subscriptions is not sent: there is no roster");
                return;
            }
            (_, Some(_)) => {}
        },
        Stanza::Iq(iq @ (Iq::Get { .. } | Iq::Set { .. })) => {
            let by = match iq.to() {
                None => Some(Answers::Account),
                Some(to) if *to == account => Some(Answers::Account),
                Some(to) if *to == *domain => Some(Answers::Domain),
                Some(_) => None,
            };
            if let Some(answer) = by.and_then(|by| answer(iq, by)) {
                return seat.answer(answer);
            }
        }
        Stanza::Iq(iq @ (Iq::Result { .. } | Iq::Error { .. })) => {
            if seat.was_asked(iq.to(), iq.id()) {
                sender = account;
            }
        }
    }
    set_sender(&mut stanza, sender);
    seat.put(&stanza, outlives);
}
