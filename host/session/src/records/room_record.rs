//! The rooms of an account as its owner sees them: its state in each, and why it left.

use std::sync::Arc;

use imbl::OrdMap;
use jid::BareJid;
use jiff::Timestamp;
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::Actor;

/// Maximum number of rooms of which something is known, those that the account is out of included.
pub(crate) const MAX_RECORDS: usize = 1_500;
/// Why the account is out of a room that wants a password, or another one.
pub(crate) const WANTS_PASSWORD: &str = "password";
/// Maximum length of a reason that is kept, in bytes.
const MAX_REASON: usize = 1_024;

/// The state of an account in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomState {
    /// It is in it.
    Joined,
    /// It has asked to enter.
    Joining,
    /// It will enter automatically: at the time that the record names, or when the account is connected and visible.
    Waiting,
    /// It is out of it, and stays out.
    Out,
}

impl RoomState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Joined, Self::Joining, Self::Waiting, Self::Out];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Joining => "joining",
            Self::Waiting => "waiting",
            Self::Out => "out",
        }
    }
}

/// The account's last departure from a room, or its last attempt to enter that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// When that was.
    pub at: Timestamp,
    /// Why, in the words of the contract (`room.left` of `wit/types.wit`), `nickname-taken` or `password`.
    pub why: &'static str,
    /// The reason that was stated, or the error.
    pub reason: Option<String>,
    /// The person who did it, if the room says so.
    pub actor: Option<Actor>,
    /// The room to go to instead, if this one was destroyed.
    pub alternative: Option<BareJid>,
}

impl Departure {
    /// Returns the departure after an attempt to enter that failed with this error (XEP-0045, section 7.2).
    pub(crate) fn not_entered(error: &CallError, at: Timestamp) -> Self {
        let (why, stated, alternative) = match error {
            CallError::Stanza(error) => {
                let why = match error.condition.as_str() {
                    "forbidden" if is_of_policy(error) => "refused",
                    "forbidden" => "banned",
                    "gone" => "destroyed",
                    "registration-required" => "members-only",
                    // It wants a password, or another one (XEP-0045, section 7.2.5).
                    "not-authorized" => WANTS_PASSWORD,
                    _ if is_nickname_taken(error) => "nickname-taken",
                    _ => "refused",
                };
                (why, error.text.clone(), error.gone_to.clone())
            }
            _ => ("refused", None, None),
        };
        let reason = stated.unwrap_or_else(|| error.to_string());
        Self { at, why, reason: Some(cut(reason)), actor: None, alternative }
    }

    /// Returns whether somebody or something put the account out, or did not let it in.
    pub fn is_against_its_will(&self) -> bool {
        self.why != "left"
    }
}

/// Returns whether a room refuses us because our nickname is taken. Tigase uses another condition, which also means that creating rooms
/// is forbidden; only the text tells them apart.
pub(crate) fn is_nickname_taken(error: &StanzaError) -> bool {
    let says_so = || error.text.as_deref().is_some_and(|text| text.starts_with("Nickname already in use"));
    error.condition == "conflict" || (error.condition == "not-allowed" && says_so())
}

/// Returns whether the policy of a service keeps us out, and not a ban of the room. ejabberd and `MongooseIM` use the same condition for
/// both; only the text tells them apart.
fn is_of_policy(error: &StanzaError) -> bool {
    error.text.as_deref().is_some_and(|text| text.contains("denied by service policy"))
}

/// Cuts a reason to the length that is kept.
pub(crate) fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    reason
}

/// The owner's knowledge of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRecord {
    /// The account's state in it.
    pub state: RoomState,
    /// When it entered. A lost connection after which it returned does not count.
    pub since: Option<Timestamp>,
    /// When it will enter again.
    pub next: Option<Timestamp>,
    /// Its last departure, also while it is in again.
    pub departure: Option<Arc<Departure>>,
    /// Whether it was ever in it.
    pub entered: bool,
}

/// All rooms that the owner knows of. Cloning it copies a few pointers.
#[derive(Debug, Clone, Default)]
pub struct RoomRecords {
    /// The rooms by address.
    pub rooms: OrdMap<BareJid, Arc<RoomRecord>>,
    /// How often the account was put out of a room, or not let in, by the reason.
    pub departures: OrdMap<&'static str, u64>,
}

/// News about a room, for the log and for the owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomNews {
    /// The room.
    pub room: BareJid,
    /// Whether the account was in it: it was put out, and did not merely fail to enter.
    pub was_in: bool,
    /// The record of the room after that.
    pub record: Arc<RoomRecord>,
}

impl RoomRecords {
    fn change(&mut self, room: &BareJid, change: impl FnOnce(&mut RoomRecord)) {
        if !self.rooms.contains_key(room) {
            self.make_room();
            let new = RoomRecord { state: RoomState::Out, since: None, next: None, departure: None, entered: false };
            self.rooms.insert(room.clone(), Arc::new(new));
        }
        if let Some(record) = self.rooms.get_mut(room) {
            change(Arc::make_mut(record));
        }
    }

    /// Forgets the room that the account is out of for the longest time, if as many are known as may be.
    fn make_room(&mut self) {
        if self.rooms.len() < MAX_RECORDS {
            return;
        }
        let out = self.rooms.iter().filter(|(_, record)| record.state == RoomState::Out);
        let oldest = out.min_by_key(|(_, record)| record.departure.as_ref().map(|departure| departure.at));
        if let Some(oldest) = oldest.map(|(room, _)| room.clone()) {
            self.rooms.remove(&oldest);
        }
    }

    /// Notes that the account asks to enter.
    pub(crate) fn joining(&mut self, room: &BareJid) {
        self.change(room, |record| (record.state, record.next) = (RoomState::Joining, None));
    }

    /// Notes that the account has entered; `again`, after a lost stream, which did not end its stay.
    pub(crate) fn joined(&mut self, room: &BareJid, now: Timestamp, again: bool) {
        self.change(room, |record| {
            (record.state, record.next, record.entered) = (RoomState::Joined, None, true);
            record.since = record.since.filter(|_| again).or(Some(now));
        });
    }

    /// Notes that the account is out, and whether it will return automatically.
    pub(crate) fn out(&mut self, room: &BareJid, wanted: bool, departure: Departure) {
        if departure.is_against_its_will() {
            *self.departures.entry(departure.why).or_insert(0) += 1;
        }
        self.change(room, |record| {
            record.state = if wanted { RoomState::Waiting } else { RoomState::Out };
            (record.since, record.next) = (None, None);
            record.departure = Some(Arc::new(departure));
        });
    }

    /// Notes that the stream is lost, or the account hides, and it is to enter again.
    pub(crate) fn waits(&mut self, room: &BareJid) {
        self.change(room, |record| (record.state, record.next) = (RoomState::Waiting, None));
    }

    /// Notes when the account tries again.
    pub(crate) fn tries_at(&mut self, room: &BareJid, next: Option<Timestamp>) {
        self.change(room, |record| record.next = next);
    }

    /// Notes that the account has given up a room that it was not in. The record of a room that it never left is
    /// forgotten.
    pub(crate) fn given_up(&mut self, room: &BareJid) {
        let Some(record) = self.rooms.get(room) else { return };
        if record.departure.is_none() {
            self.rooms.remove(room);
            return;
        }
        self.change(room, |record| (record.state, record.since, record.next) = (RoomState::Out, None, None));
    }

    /// Forgets a room in which the account never was: its owner has corrected the address, or wants it no more.
    pub(crate) fn forget_unless_entered(&mut self, room: &BareJid) {
        if self.rooms.get(room).is_some_and(|record| !record.entered) {
            self.rooms.remove(room);
        }
    }

    /// Forgets a room that the account is out of: its owner has seen that.
    pub(crate) fn dismissed(&mut self, room: &BareJid) {
        if self.rooms.get(room).is_some_and(|record| record.state == RoomState::Out) {
            self.rooms.remove(room);
        }
    }

    /// Returns whether the account is out of a room against its will.
    pub(crate) fn is_put_out(&self, room: &BareJid) -> bool {
        let is_against_its_will = |record: &Arc<RoomRecord>| {
            record.since.is_none() && record.departure.as_ref().is_some_and(|one| one.is_against_its_will())
        };
        self.rooms.get(room).is_some_and(is_against_its_will)
    }

    /// Returns why the account is out of a room, if it does not return automatically.
    pub(crate) fn out_because(&self, room: &BareJid) -> Option<&'static str> {
        let record = self.rooms.get(room).filter(|record| record.state == RoomState::Out)?;
        record.departure.as_ref().map(|departure| departure.why)
    }

    /// Returns the news about a room.
    pub(crate) fn news(&self, room: &BareJid, was_in: bool) -> Option<RoomNews> {
        let record = Arc::clone(self.rooms.get(room)?);
        Some(RoomNews { room: room.clone(), was_in, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: usize) -> BareJid {
        format!("room{number}@muc.example.org").parse().unwrap()
    }

    fn departure(second: usize, why: &'static str) -> Departure {
        let at = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        Departure { at, why, reason: None, actor: None, alternative: None }
    }

    /// Someone may invite the account to room after room that refuses entry.
    #[test]
    fn so_many_rooms_are_known_and_the_oldest_departure_is_forgotten_first() {
        let mut records = RoomRecords::default();
        records.joined(&room(0), Timestamp::UNIX_EPOCH, false);
        for number in 1..=MAX_RECORDS {
            records.out(&room(number), false, departure(number, "refused"));
        }
        assert_eq!(records.rooms.len(), MAX_RECORDS);
        assert!(records.rooms.contains_key(&room(0)) && !records.rooms.contains_key(&room(1)));
        assert_eq!(records.departures.get("refused"), Some(&(MAX_RECORDS as u64)));
    }

    #[test]
    fn a_stay_goes_on_over_a_lost_stream_and_ends_with_a_departure() {
        let (mut records, room) = (RoomRecords::default(), room(1));
        let [first, second, third] = [1, 2, 3].map(|second| Timestamp::from_second(second).unwrap());
        records.joining(&room);
        records.joined(&room, first, false);
        records.waits(&room);
        records.joined(&room, second, true);
        assert_eq!(records.rooms[&room].since, Some(first));
        records.out(&room, true, departure(3, "kicked"));
        records.tries_at(&room, Some(third));
        let record = &records.rooms[&room];
        assert_eq!((record.state, record.since, record.next), (RoomState::Waiting, None, Some(third)));
        records.joined(&room, third, false);
        let record = &records.rooms[&room];
        assert_eq!((record.state, record.since, record.next), (RoomState::Joined, Some(third), None));
        assert_eq!(record.departure.as_ref().unwrap().why, "kicked", "the owner still sees it");
    }

    #[test]
    fn a_room_that_was_never_entered_is_forgotten_when_it_is_given_up() {
        let (mut records, room) = (RoomRecords::default(), room(1));
        records.joining(&room);
        records.given_up(&room);
        assert!(records.rooms.is_empty());
        records.out(&room, true, departure(1, "refused"));
        records.given_up(&room);
        assert_eq!(records.rooms[&room].state, RoomState::Out);
    }

    /// Returns why the account did not enter a room that refused it with this error.
    fn why(condition: &str, text: Option<&str>) -> &'static str {
        let (condition, text) = (condition.to_owned(), text.map(str::to_owned));
        let error = StanzaError { condition, kind: "cancel".to_owned(), text, gone_to: None, xml: String::new() };
        Departure::not_entered(&CallError::Stanza(Box::new(error)), Timestamp::UNIX_EPOCH).why
    }

    #[test]
    fn a_taken_nickname_is_told_from_other_refusals() {
        assert_eq!(why("conflict", None), "nickname-taken");
        assert_eq!(why("not-allowed", Some("Nickname already in use by bot@example.org")), "nickname-taken");
        assert_eq!(why("not-allowed", None), "refused");
        assert_eq!(why("not-authorized", Some("Nickname already in use")), "password");
    }

    #[test]
    fn the_policy_of_a_service_is_no_ban() {
        assert_eq!(why("forbidden", Some("Room creation is denied by service policy")), "refused");
        assert_eq!(why("forbidden", Some("Access denied by service policy")), "refused");
        assert_eq!(why("forbidden", Some("You have been banned from this room")), "banned");
        assert_eq!(why("forbidden", None), "banned");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let error = CallError::Other("ä".repeat(5_000));
        let departure = Departure::not_entered(&error, Timestamp::UNIX_EPOCH);
        assert_eq!(departure.why, "refused");
        assert!((MAX_REASON - 1..=MAX_REASON).contains(&departure.reason.unwrap().len()));
    }
}
