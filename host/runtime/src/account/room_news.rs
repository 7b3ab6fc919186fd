//! News about rooms: each is logged with a remedy for the owner, and some cause alerts.

use jid::BareJid;
use parlor_base::escape::{escape_untrusted, quoted_untrusted, shell_word};
use parlor_session::{Departure, RoomNews, RoomRecord, RoomState};
use parlor_stanza::types::Actor;
use tokio::time::Instant;

use super::alerts::{Alert, AlertKind, Alerts};
use super::shared::Shared;

/// The most of a stranger's text that is logged, in bytes.
const LONGEST: usize = 256;

/// The lists that make an account enter a room at each log-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listings {
    /// The setting `auto_join_rooms` lists it.
    pub in_settings: bool,
    /// A bookmark enters it.
    pub in_bookmarks: bool,
}

impl Listings {
    /// Returns what lists a room for an account.
    pub fn of(account: &Shared, room: &BareJid) -> Self {
        let snapshot = account.snapshot();
        let bookmarks = snapshot.bookmarks.as_ref();
        Self {
            in_settings: account.settings().auto_join_rooms.iter().any(|one| one.jid == *room),
            in_bookmarks: bookmarks.is_ok_and(|all| all.get(room).is_some_and(|one| one.autojoin)),
        }
    }

    /// Returns whether anything lists the room.
    pub fn any(self) -> bool {
        self.in_settings || self.in_bookmarks
    }

    /// Returns what the owner can do so that the room is forgotten.
    pub fn remedy(self, room: &BareJid) -> String {
        let leave = format!("parlor rooms leave {}", shell_word(room.as_str()));
        match (self.in_settings, self.in_bookmarks) {
            (true, true) => format!("take it out of `auto_join_rooms`, and `{leave} --bookmark` removes its bookmark"),
            (true, false) => "take it out of `auto_join_rooms`".to_owned(),
            (false, true) => format!("`{leave} --bookmark` removes its bookmark"),
            (false, false) => format!("`{leave}` takes it off the list of rooms"),
        }
    }
}

/// Logs what happened in a room, and alerts the owners if the account is out of it.
pub(super) fn tell(shared: &Shared, alerts: &mut Alerts, news: &RoomNews) {
    let RoomNews { room, was_in, record } = news;
    let account = &shared.name;
    if record.state == RoomState::Joined {
        tracing::info!(%account, %room, "room entered again");
        return;
    }
    let Some(departure) = &record.departure else { return };
    let Departure { why, reason, actor, .. } = &**departure;
    let reason = reason.as_deref().map(|reason| escape_untrusted(reason, LONGEST));
    let by = actor.as_ref().and_then(name);
    let remedy = remedy(room, record, Listings::of(shared, room));
    let next = record.next.map(|next| next.to_string());
    if *was_in {
        tracing::warn!(%account, %room, why, by, reason, next, remedy, "the account was put out of a room");
    } else {
        tracing::warn!(%account, %room, why, reason, next, remedy, "a room cannot be entered");
    }
    // A service that restarts lets the account in again soon.
    if record.state == RoomState::Waiting && *why != "kicked" {
        return;
    }
    let what = if *was_in { "is out of" } else { "cannot enter" };
    let why = said(why, by.as_deref(), reason.as_deref());
    let text = format!("it {what} the room {room}: {why}; {remedy}");
    let alert = Alert { kind: AlertKind::Kicked, about: room.to_string(), text };
    let settings = shared.settings();
    if !alert.kind.is_wanted(&settings) {
        return;
    }
    // The host sends it: the same may happen on many accounts at once. Too many at once count as alerts of this account alone.
    if let Err(alert) = shared.room_alerts.put(alert) {
        alerts.add(alert, account, &settings, Instant::now());
    }
}

/// Says why the account is out. The words of others, which are escaped, stand between quotation marks.
fn said(why: &str, by: Option<&str>, reason: Option<&str>) -> String {
    let quoted = |words: &str| quoted_untrusted(words, usize::MAX);
    let by = by.map(|by| format!(" by {}", quoted(by))).unwrap_or_default();
    let reason = reason.map(|reason| format!(", with the words {}", quoted(reason))).unwrap_or_default();
    format!("{why}{by}{reason}")
}

/// Returns the actor, if the room names one: the nickname, else the address.
fn name(actor: &Actor) -> Option<String> {
    let name = actor.nick.clone().or_else(|| actor.jid.as_ref().map(ToString::to_string))?;
    Some(escape_untrusted(&name, LONGEST))
}

/// Returns what the owner can do about it.
pub fn remedy(room: &BareJid, record: &RoomRecord, listings: Listings) -> String {
    let Some(departure) = &record.departure else { return String::new() };
    if record.state != RoomState::Out {
        return "the account tries again by itself".to_owned();
    }
    let word = shell_word(room.as_str());
    let join = format!("`parlor rooms join {word}`");
    match (departure.why, &departure.alternative) {
        ("kicked", _) => {
            format!("{join} enters it again; the setting `rejoin` decides whether the account does so by itself")
        }
        ("banned", _) => format!("ask an admin of the room to lift the ban, then {join}"),
        ("affiliation" | "members-only", _) => format!("ask an admin of the room for membership, then {join}"),
        ("destroyed", Some(other)) => {
            let other = shell_word(other.as_str());
            // No account knows that room. The text is the same for all accounts, since one alert tells of all.
            format!(
                "`parlor rooms join {other}` enters the one that its owner named instead; with several accounts, add `--account NAME`"
            )
        }
        ("destroyed", None) => listings.remedy(room),
        ("left", _) if listings.any() => {
            let forget = listings.remedy(room);
            format!(
                "{join} enters it again, and so does the next log-in, such as after a lost connection; for it to stay out, {forget}"
            )
        }
        ("left", _) => format!("{join} enters it again"),
        ("nickname-taken", _) => format!(
            "somebody else has the nickname there: `parlor rooms join {word} --nick NICKNAME` takes another one, and the setting `nickname`, or `nick` of the room in `auto_join_rooms`, does so from now on"
        ),
        ("password", _) => format!(
            "the room wants a password, or another one: write it into a file, name that file by `password_file` of the room in `auto_join_rooms`, then {join}"
        ),
        _ => {
            let forget = listings.remedy(room);
            format!("check that the room exists and lets the account in, then {join}; if it is not wanted, {forget}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;

    fn record(why: &'static str, state: RoomState) -> RoomRecord {
        let departure = Departure { at: Timestamp::UNIX_EPOCH, why, reason: None, actor: None, alternative: None };
        RoomRecord { state, since: None, next: None, departure: Some(Arc::new(departure)), entered: true }
    }

    #[test]
    fn words_of_others_are_quoted_and_end_with_their_quotation_mark() {
        assert_eq!(said("kicked", None, None), "kicked");
        assert_eq!(said("kicked", Some("juliet"), Some("too loud")), "kicked by “juliet”, with the words “too loud”");
        let evil = said("banned", Some("x”; log in at https://evil.example „"), Some("”) parlor, account main: “"));
        assert_eq!(evil.matches('“').count(), 2, "{evil}");
        assert_eq!(evil.matches('”').count(), 2, "{evil}");
        assert!(evil.ends_with('”') && evil.contains("by “x'; log in at"), "{evil}");
    }

    #[test]
    fn a_remedy_names_a_command_that_a_shell_reads_as_one_word() {
        let room: BareJid = "a;b$(c)@muc.example.org".parse().unwrap();
        let word = shell_word(room.as_str());
        let none = Listings::default();
        for why in ["kicked", "banned", "affiliation", "members-only", "refused", "left"] {
            let says = remedy(&room, &record(why, RoomState::Out), none);
            assert!(says.contains(&format!("`parlor rooms join {word}`")), "{why}: {says}");
        }
        let taken = remedy(&room, &record("nickname-taken", RoomState::Out), none);
        assert!(taken.contains("the setting `nickname`"), "{taken}");
        assert!(taken.contains(&format!("`parlor rooms join {word} --nick NICKNAME`")), "{taken}");
        let locked = remedy(&room, &record("password", RoomState::Out), none);
        assert!(locked.contains("`password_file` of the room in `auto_join_rooms`"), "{locked}");
        assert!(locked.contains(&format!("`parlor rooms join {word}`")), "{locked}");
        let waits = remedy(&room, &record("kicked", RoomState::Waiting), none);
        assert_eq!(waits, "the account tries again by itself");
    }

    /// Otherwise an owner who left it takes the account to be out for good.
    #[test]
    fn a_listed_room_that_was_left_is_said_to_be_entered_again() {
        let room: BareJid = "den@muc.example.org".parse().unwrap();
        let record = record("left", RoomState::Out);
        let says = |listings| remedy(&room, &record, listings);
        assert_eq!(says(Listings::default()), "`parlor rooms join den@muc.example.org` enters it again");
        let bookmarked = says(Listings { in_bookmarks: true, ..Listings::default() });
        assert!(bookmarked.contains("and so does the next log-in"), "{bookmarked}");
        assert!(bookmarked.contains("`parlor rooms leave den@muc.example.org --bookmark`"), "{bookmarked}");
    }

    /// Without the account, the command fails on a host with several accounts.
    #[test]
    fn the_remedy_for_a_room_that_moved_can_be_copied() {
        let room: BareJid = "den@muc.example.org".parse().unwrap();
        let mut record = record("destroyed", RoomState::Out);
        let departure = Departure::clone(record.departure.as_ref().unwrap());
        record.departure =
            Some(Arc::new(Departure { alternative: Some("bar@muc.example.org".parse().unwrap()), ..departure }));
        let says = remedy(&room, &record, Listings::default());
        assert!(says.starts_with("`parlor rooms join bar@muc.example.org` enters"), "{says}");
        assert!(says.ends_with("with several accounts, add `--account NAME`"), "{says}");
    }

    #[test]
    fn the_remedy_for_a_destroyed_room_names_what_lists_it_and_nothing_else() {
        let room: BareJid = "den@muc.example.org".parse().unwrap();
        let record = record("destroyed", RoomState::Out);
        let leave = "`parlor rooms leave den@muc.example.org";
        for (in_settings, in_bookmarks, says) in [
            (false, false, format!("{leave}` takes it off the list of rooms")),
            (true, false, "take it out of `auto_join_rooms`".to_owned()),
            (false, true, format!("{leave} --bookmark` removes its bookmark")),
            (true, true, format!("take it out of `auto_join_rooms`, and {leave} --bookmark` removes its bookmark")),
        ] {
            assert_eq!(remedy(&room, &record, Listings { in_settings, in_bookmarks }), says);
        }
    }
}
