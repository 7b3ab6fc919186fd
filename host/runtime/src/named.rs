//! Counts the work of a plugin by the names of others: recipients, servers, requests, denied calls. They are collected in
//! memory until the host writes them into the audit.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jid::Jid;
use jiff::Timestamp;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Target};
use parlor_store::{Tally, TallyKind, Traffic};

/// The most names that wait to be written. Further ones are counted without a name.
const MOST: usize = 256;
/// The longest name, in bytes. A plugin chooses some of them.
const LONGEST: usize = 512;

/// The names of one plugin on one account. It takes no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Named(Mutex<Option<Box<Collected>>>);

#[derive(Debug, Default)]
struct Collected {
    /// By kind, of which there are few: each allowed call that sends looks it up.
    names: BTreeMap<TallyKind, HashMap<Box<str>, Times>>,
    count: usize,
    /// How often something was done with a name that found no place.
    others: BTreeMap<TallyKind, u64>,
}

#[derive(Debug)]
struct Times {
    first: i64,
    last: i64,
    count: u64,
    traffic: Option<Traffic>,
}

impl Named {
    /// Notes that something was done once with this name, and how many bytes that took, if it was a request.
    pub(super) fn note(&self, kind: TallyKind, name: &str, at: Timestamp, traffic: Option<Traffic>) {
        let at = at.as_millisecond();
        let name = if name.len() > LONGEST { Cow::Owned(escape_untrusted(name, LONGEST)) } else { Cow::Borrowed(name) };
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let collected = collected.get_or_insert_default();
        let names = collected.names.entry(kind).or_default();
        if let Some(times) = names.get_mut(&*name) {
            times.last = at;
            times.count += 1;
            if let Some(more) = traffic {
                times.traffic.get_or_insert_default().add(more);
            }
        } else if collected.count < MOST {
            names.insert(name.into(), Times { first: at, last: at, count: 1, traffic });
            collected.count += 1;
        } else {
            *collected.others.entry(kind).or_default() += 1;
        }
    }

    /// Takes the recorded tallies, and the counts that have no name.
    pub(super) fn take(&self) -> (Vec<Tally>, Vec<(String, u64)>) {
        let Some(collected) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return (Vec::new(), Vec::new());
        };
        let Collected { names, others, count: _ } = *collected;
        let all =
            names.into_iter().flat_map(|(kind, names)| names.into_iter().map(move |(name, times)| (kind, name, times)));
        let tally = |(kind, name, Times { first, last, count, traffic }): (TallyKind, Box<str>, Times)| Tally {
            kind,
            what: name.into_string(),
            first,
            last,
            count,
            traffic,
        };
        let others = others.into_iter().map(|(kind, count)| (kind.others().to_owned(), count));
        (all.map(tally).collect(), others.collect())
    }
}

/// Returns whom an allowed call sends to, or which server it asks.
pub(super) fn reached(call: CallName, target: Target<'_>) -> Option<(TallyKind, Cow<'_, str>)> {
    use Permission::{FilesSend, MessagesSend, RoomsSend, StanzaSend};
    match target {
        Target::Web { address, .. } => Some((TallyKind::Server, Cow::Owned(address.origin()))),
        _ if !matches!(call.rule().permission, Some(MessagesSend | RoomsSend | StanzaSend | FilesSend)) => None,
        Target::Jid(jid) | Target::Stanza { to: Some(jid), .. } => {
            Some((TallyKind::Recipient, Cow::Borrowed(bare(jid))))
        }
        Target::Room(room) => Some((TallyKind::Recipient, Cow::Borrowed(room.as_str()))),
        _ => None,
    }
}

/// Returns an address without its resource. No other part has a `/`.
fn bare(jid: &Jid) -> &str {
    jid.as_str().split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_until_they_are_taken() {
        let named = Named::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        named.note(TallyKind::Recipient, "juliet@example.org", at(1), None);
        named.note(TallyKind::Recipient, "juliet@example.org", at(3), None);
        named.note(TallyKind::Server, "juliet@example.org", at(2), None);
        for (sent, received) in [(1, 20), (0, 4)] {
            named.note(TallyKind::Webhook, "forge accepted", at(2), Some(Traffic { sent, received }));
        }
        let (mut tallies, others) = named.take();
        tallies.sort_by_key(|tally| tally.kind);
        let juliet = Tally {
            kind: TallyKind::Recipient,
            what: "juliet@example.org".to_owned(),
            first: 1_000,
            last: 3_000,
            count: 2,
            traffic: None,
        };
        assert_eq!((tallies.len(), &tallies[0], others.len()), (3, &juliet, 0));
        assert_eq!((tallies[2].count, tallies[2].traffic), (2, Some(Traffic { sent: 1, received: 24 })));
        assert_eq!(named.take(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn names_that_a_plugin_makes_up_take_bounded_memory() {
        let named = Named::default();
        let at = Timestamp::from_second(1).unwrap();
        for number in 0..MOST + 7 {
            named.note(TallyKind::Denial, &format!("{number}{}", "x".repeat(9_000)), at, None);
        }
        let (tallies, others) = named.take();
        assert_eq!(tallies.len(), MOST);
        assert!(tallies.iter().all(|tally| tally.what.len() <= LONGEST + 3));
        assert_eq!(others, [("other denials".to_owned(), 7)]);
    }
}
