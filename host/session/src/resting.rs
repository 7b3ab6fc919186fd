//! The state that a session would lose, and the work that would be late, if its account ended now and began again with the next stanza.

use jiff::Timestamp;

use super::deadlines::Late;
use super::session::Session;

/// A reason why the account has to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// It is in a room, or about to enter one.
    #[error("it is in a room, or about to enter one")]
    Room,
    /// A plugin has subscribed it to a node of publish-subscribe.
    #[error("it is subscribed to a node")]
    Node,
    /// It is off the record with somebody, by keys that are in memory alone.
    #[error("it is off the record with somebody")]
    OffTheRecord,
    /// Somebody has to wait for a command, which is in memory alone.
    #[error("a cooldown of a command runs")]
    Cooldown,
    /// It has sent a link to log in with, by an id that is in memory alone. If the link came back, plugins would read it.
    #[error("it has sent a link to log in with within a day")]
    Secret,
    /// It waits for an answer, or does something later.
    #[error("it waits for an answer, or has something to do later")]
    Deadline,
}

/// Returns why the account has to go on, if it does.
pub fn unfinished(session: &Session, now: Timestamp) -> Option<Unfinished> {
    let (features, common) = (&session.features, &session.common);
    // These are asked anew after each log-in.
    let is_of_a_log_in =
        |late: &Late| matches!(late, Late::AccountAgain | Late::ServerAgain | Late::CarbonsAgain | Late::KeysCheck);
    if !features.rooms.shown.is_empty() {
        Some(Unfinished::Room)
    } else if !features.pubsub.is_empty() {
        Some(Unfinished::Node)
    } else if features.encryption.is_off_the_record() {
        Some(Unfinished::OffTheRecord)
    } else if features.commands.have_cooldowns(common.deadlines.elapsed_at(now)) {
        Some(Unfinished::Cooldown)
    } else if features.hushed.are_of_use(common.deadlines.elapsed_at(now)) {
        Some(Unfinished::Secret)
    } else if common.deadlines.has(|late| !is_of_a_log_in(late)) {
        Some(Unfinished::Deadline)
    } else {
        None
    }
}
