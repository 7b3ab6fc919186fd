//! Counts the work of a plugin by the names of others: recipients, servers, requests, denied calls. They are collected in
//! memory until the host writes them into the audit.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Mutex, PoisonError};

use jid::Jid;
use jiff::Timestamp;
use parlor_base::escape::escape_distinct;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Target};
use parlor_store::{Activity, Tally, TallyKind, Traffic};

/// The most names of one kind that wait to be written: as many as the audit keeps (`MOST_TALLIES`). With fewer, a name
/// could be dropped here that the audit has room for.
const MOST: usize = 1_000;
/// The longest name, in bytes, without the digest of one that is cut. A plugin chooses some of them.
const LONGEST: usize = 512;

/// The names of one plugin on one account. It takes no memory while there are none.
///
/// Each kind has a bound of its own. A plugin chooses the targets of denied calls, and would otherwise hide behind
/// made-up ones whom it wrote to.
#[derive(Debug, Default)]
pub(super) struct Named(Mutex<Option<Box<Kinds>>>);

type Kinds = BTreeMap<TallyKind, Names>;

/// The names of one kind.
#[derive(Debug, Default)]
struct Names {
    /// The names. Each allowed call that sends looks one up.
    all: HashMap<Box<str>, Times>,
    /// How often any name was used, also dropped ones.
    uses: u64,
    /// How often the dropped names were used.
    others: u64,
}

#[derive(Debug)]
struct Times {
    first: i64,
    last: i64,
    count: u64,
    traffic: Option<Traffic>,
    /// The value of [`Names::uses`] at the last use. Unlike the time, it never repeats or goes back.
    used: u64,
}

impl Names {
    /// Counts a use of a name. If there are too many names, the one that was unused for the longest time is dropped, as
    /// the audit does on disk.
    fn note(&mut self, name: &str, at: i64, traffic: Option<Traffic>) {
        self.uses += 1;
        let used = self.uses;
        if let Some(times) = self.all.get_mut(name) {
            times.last = at;
            times.count += 1;
            times.used = used;
            if let Some(more) = traffic {
                times.traffic.get_or_insert_default().add(more);
            }
            return;
        }
        if self.all.len() >= MOST {
            self.drop_oldest();
        }
        self.all.insert(name.into(), Times { first: at, last: at, count: 1, traffic, used });
    }

    /// Takes back a name that could not be written. Any name that was used since then is newer, so none of these is dropped for it.
    fn give_back(&mut self, lost: &Tally) {
        if let Some(times) = self.all.get_mut(lost.what.as_str()) {
            times.first = times.first.min(lost.first);
            times.count += lost.count;
            if let Some(more) = lost.traffic {
                times.traffic.get_or_insert_default().add(more);
            }
        } else if self.all.len() >= MOST {
            self.others += lost.count;
        } else {
            let Tally { kind: _, what, first, last, count, traffic } = lost.clone();
            self.all.insert(what.into_boxed_str(), Times { first, last, count, traffic, used: 0 });
        }
    }

    /// Drops the name that was unused for the longest time. It searches at most [`MOST`] names.
    fn drop_oldest(&mut self) {
        // Names that were taken back have no use of their own: the time decides among them.
        let oldest = self.all.iter().min_by_key(|(_, times)| (times.used, times.last)).map(|(name, _)| name.clone());
        if let Some(times) = oldest.and_then(|name| self.all.remove(&name)) {
            self.others += times.count;
        }
    }
}

impl Named {
    /// Notes that something was done once with this name, and how many bytes that took, if it was a request.
    pub(super) fn note(&self, kind: TallyKind, name: &str, at: Timestamp, traffic: Option<Traffic>) {
        let name = if name.len() > LONGEST { Cow::Owned(escape_distinct(name, LONGEST)) } else { Cow::Borrowed(name) };
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.get_or_insert_default();
        kinds.entry(kind).or_default().note(&name, at.as_millisecond(), traffic);
    }

    /// Takes back names, and counts without one, that could not be written.
    pub(super) fn give_back(&self, activity: &Activity) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.get_or_insert_default();
        for kind in TallyKind::ALL {
            if let Some((_, others)) = activity.counts.iter().find(|(name, _)| name == kind.others()) {
                kinds.entry(kind).or_default().others += others;
            }
        }
        let mut lost: Vec<_> = activity.tallies.iter().collect();
        // If there is no room for all, the last ones stay.
        lost.sort_by_key(|tally| Reverse(tally.last));
        for tally in lost {
            kinds.entry(tally.kind).or_default().give_back(tally);
        }
    }

    /// Takes the recorded tallies, and the counts that have no name.
    pub(super) fn take(&self) -> (Vec<Tally>, Vec<(String, u64)>) {
        let kinds = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut tallies, mut others) = (Vec::new(), Vec::new());
        for (kind, names) in kinds.map(|kinds| *kinds).unwrap_or_default() {
            if names.others > 0 {
                others.push((kind.others().to_owned(), names.others));
            }
            let tally = |(name, times): (Box<str>, Times)| {
                let Times { first, last, count, traffic, used: _ } = times;
                Tally { kind, what: name.into_string(), first, last, count, traffic }
            };
            tallies.extend(names.all.into_iter().map(tally));
        }
        (tallies, others)
    }
}

/// Returns whom an allowed call sends to. A server is noted with the request to it: one request may take many calls.
pub(super) fn reached(call: CallName, target: Target<'_>) -> Option<(TallyKind, &str)> {
    use Permission::{FilesSend, MessagesSend, RoomsSend, StanzaSend};
    match target {
        _ if !matches!(call.rule().permission, Some(MessagesSend | RoomsSend | StanzaSend | FilesSend)) => None,
        Target::Jid(jid) | Target::Stanza { to: Some(jid), .. } => Some((TallyKind::Recipient, bare(jid))),
        Target::Room(room) => Some((TallyKind::Recipient, room.as_str())),
        _ => None,
    }
}

/// Returns an address without its resource. No other part has a `/`.
fn bare(jid: &Jid) -> &str {
    jid.as_str().split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use parlor_base::id::Digest;
    use parlor_store::MOST_TALLIES;

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

    /// A plugin makes up the targets of denied calls. It must not hide behind them whom it wrote to, before or after.
    #[test]
    fn denials_take_the_place_of_no_other_names() {
        let named = Named::default();
        let at = Timestamp::from_second(1).unwrap();
        let granted = TallyKind::ALL.into_iter().filter(|kind| *kind != TallyKind::Denial);
        for kind in granted.clone() {
            named.note(kind, "before", at, None);
        }
        for number in 0..MOST + 7 {
            named.note(TallyKind::Denial, &format!("messages.send p{number}@example.org"), at, None);
        }
        for kind in granted.clone() {
            named.note(kind, "after", at, None);
        }
        let (tallies, others) = named.take();
        for kind in granted {
            let of_kind = tallies.iter().filter(|tally| tally.kind == kind);
            let mut found: Vec<_> = of_kind.map(|tally| tally.what.as_str()).collect();
            found.sort_unstable();
            assert_eq!(found, ["after", "before"], "{kind:?}");
        }
        let denials = tallies.iter().filter(|tally| tally.kind == TallyKind::Denial).count();
        assert_eq!((denials, others), (MOST, vec![("other denials".to_owned(), 7)]));
    }

    #[test]
    fn names_that_differ_after_they_are_cut_are_counted_apart() {
        let named = Named::default();
        let at = Timestamp::from_second(1).unwrap();
        let name = |end: &str| format!("{}@{end}", "x".repeat(LONGEST));
        for end in ["example.org", "example.net", "example.org"] {
            named.note(TallyKind::Recipient, &name(end), at, None);
        }
        let (tallies, _) = named.take();
        let count = |end: &str| {
            let digest = Digest::of(name(end).as_bytes()).to_string();
            tallies.iter().find(|tally| tally.what.ends_with(&format!("x… {digest}"))).map(|tally| tally.count)
        };
        assert_eq!((tallies.len(), count("example.org"), count("example.net")), (2, Some(2), Some(1)), "{tallies:?}");
    }

    #[test]
    fn the_name_that_was_unused_for_the_longest_time_is_dropped_and_not_the_newest() {
        let named = Named::default();
        let at = Timestamp::from_second(1).unwrap();
        let send = |to: &str| named.note(TallyKind::Recipient, to, at, None);
        send("juliet@example.org");
        for number in 1..MOST {
            send(&format!("p{number}@example.org"));
        }
        send("p1@example.org");
        send("juliet@example.org");
        send("nurse@example.org");
        send("romeo@example.org");
        let (tallies, others) = named.take();
        let count = |name: &str| tallies.iter().find(|tally| tally.what == name).map(|tally| tally.count);
        let newest = ["juliet@example.org", "nurse@example.org", "romeo@example.org"].map(count);
        assert_eq!(newest, [Some(2), Some(1), Some(1)]);
        let oldest = ["p1@example.org", "p2@example.org", "p3@example.org", "p4@example.org"].map(count);
        assert_eq!(oldest, [Some(2), None, None, Some(1)]);
        assert_eq!((tallies.len(), others), (MOST, vec![("other recipients".to_owned(), 2)]));
    }

    /// A plugin that floods the audit on a full disk takes no more memory, and does not displace newer names.
    #[test]
    fn names_that_are_taken_back_are_bounded_and_older_than_all_others() {
        let named = Named::default();
        let send = |to: &str, second| {
            named.note(TallyKind::Recipient, to, Timestamp::from_second(second).unwrap(), None);
        };
        for number in 0..MOST {
            send(&format!("p{number}@example.org"), i64::try_from(number).unwrap());
        }
        let (tallies, counts) = named.take();
        send("juliet@example.org", 1);
        named.give_back(&Activity { plugin: "a".to_owned(), account: "b".to_owned(), counts, tallies });
        send("nurse@example.org", 2);
        let (tallies, counts) = named.take();
        let has = |name: &str| tallies.iter().any(|tally| tally.what == name);
        let found = ["juliet@example.org", "nurse@example.org", "p2@example.org", "p1@example.org", "p0@example.org"];
        assert_eq!(found.map(has), [true, true, true, false, false]);
        assert_eq!(tallies.len(), MOST);
        assert_eq!(counts, [("other recipients".to_owned(), 2)]);
        named.give_back(&Activity { plugin: "a".to_owned(), account: "b".to_owned(), counts, tallies: Vec::new() });
        assert_eq!(named.take(), (Vec::new(), vec![("other recipients".to_owned(), 2)]));
    }

    #[test]
    fn as_many_names_wait_as_the_audit_keeps() {
        assert_eq!(MOST, usize::try_from(MOST_TALLIES).unwrap());
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
        assert!(tallies.iter().all(|tally| tally.what.len() <= LONGEST + 90));
        assert_eq!(others, [("other denials".to_owned(), 7)]);
    }
}
