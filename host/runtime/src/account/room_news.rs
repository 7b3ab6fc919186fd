//! News about rooms: each is logged with a remedy for the owner, and some cause alerts.

use jid::BareJid;
use parlor_base::escape::{escape_untrusted, shell_word};
use parlor_session::{Departure, RoomNews, RoomRecord, RoomState};
use parlor_stanza::types::Actor;
use tokio::time::Instant;

use super::alerts::{Alert, AlertKind, Alerts};
use super::shared::Shared;

/// The most of a stranger's text that is logged, in bytes.
const LONGEST: usize = 256;

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
    let remedy = remedy(room, record);
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
    alerts.add(alert, account, &shared.settings(), Instant::now());
}

/// Says why the account is out. The words of others stand between quotation marks, of which they have none: nobody seems to go on in
/// the host's name, such as with an address to log in at.
fn said(why: &str, by: Option<&str>, reason: Option<&str>) -> String {
    let quoted = |words: &str| format!("“{}”", words.replace(['“', '”', '„', '‟', '«', '»'], "'"));
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
pub fn remedy(room: &BareJid, record: &RoomRecord) -> String {
    let Some(departure) = &record.departure else { return String::new() };
    if record.state != RoomState::Out {
        return "the account tries again by itself".to_owned();
    }
    let join = format!("`parlor rooms join {}`", shell_word(room.as_str()));
    match (departure.why, &departure.alternative) {
        ("kicked", _) => {
            format!("{join} enters it again; the setting `rejoin` decides whether the account does so by itself")
        }
        ("banned", _) => format!("ask an admin of the room to lift the ban, then {join}"),
        ("affiliation" | "members-only", _) => format!("ask an admin of the room for membership, then {join}"),
        ("destroyed", Some(other)) => {
            let other = shell_word(other.as_str());
            format!("`parlor rooms join {other}` enters the one that its owner named instead")
        }
        ("destroyed", None) => "take it out of `auto_join_rooms` and the bookmarks, if it stands there".to_owned(),
        ("left", _) => format!("{join} enters it again"),
        ("nickname-taken", _) => format!(
            "somebody else has the nickname there: choose another one by the setting `nickname`, or by `nick` of the room in `auto_join_rooms`, then {join}"
        ),
        _ => format!("check that the room exists and lets the account in, then {join}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;

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
        let record = |why, state| RoomRecord {
            state,
            since: None,
            next: None,
            departure: Some(Arc::new(Departure {
                at: Timestamp::UNIX_EPOCH,
                why,
                reason: None,
                actor: None,
                alternative: None,
            })),
            entered: false,
        };
        let word = shell_word(room.as_str());
        for why in ["kicked", "banned", "affiliation", "members-only", "nickname-taken", "refused", "left"] {
            let says = remedy(&room, &record(why, RoomState::Out));
            assert!(says.contains(&format!("`parlor rooms join {word}`")), "{why}: {says}");
        }
        assert!(remedy(&room, &record("destroyed", RoomState::Out)).contains("auto_join_rooms"));
        let taken = remedy(&room, &record("nickname-taken", RoomState::Out));
        assert!(taken.contains("the setting `nickname`") && taken.contains("then `parlor rooms join"), "{taken}");
        let waits = remedy(&room, &record("kicked", RoomState::Waiting));
        assert_eq!(waits, "the account tries again by itself");
    }
}
