//! Carbons: copies of the messages that other clients of the account send and receive (XEP-0280).

use std::time::Duration;

use parlor_stanza::error::CallError;
use parlor_stanza::types::Ask;

use crate::deadlines::{DeadlineKey, Late};
use crate::disco::Discovery;
use crate::iq::{PATIENCE, Waiting};
use crate::turn::{Link, Turn};

/// The feature of a server that copies messages to all clients of an account.
const CARBONS: &str = "urn:xmpp:carbons:2";
/// Delay before they are requested again, after the server could not switch them.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// Switching carbons.
#[derive(Debug, Default)]
pub(super) struct Carbons {
    /// The timer for another attempt, after the server could not do it.
    again: Option<DeadlineKey>,
}

impl Carbons {
    /// Enables carbons, if the server supports them: copies of the messages that other clients of this account send and
    /// receive (XEP-0280, section 4).
    pub(super) fn enable(features: &[String], turn: &mut Turn<'_>) {
        if turn.settings.message_carbons && features.iter().any(|feature| feature == CARBONS) {
            turn.ask(None, Ask::EnableCarbons, Waiting::Carbons, PATIENCE);
        }
    }

    /// Switches carbons after the setting changed (XEP-0280, section 5). If the features of the server are not known
    /// yet, they are switched once they are.
    pub(super) fn switch(disco: &Discovery, turn: &mut Turn<'_>) {
        if disco.can(&turn.server(), CARBONS, turn) == Some(true) {
            let ask = if turn.settings.message_carbons { Ask::EnableCarbons } else { Ask::DisableCarbons };
            turn.ask(None, ask, Waiting::Carbons, PATIENCE);
        }
    }

    /// Enables carbons once more when the account is available again. `MongooseIM` disables them with an unavailable presence.
    pub(super) fn enable_again(disco: &Discovery, turn: &mut Turn<'_>) {
        if turn.settings.message_carbons {
            Self::switch(disco, turn);
        }
    }

    /// Retries if the server may be able to switch carbons later. Nothing else depends on it.
    pub(super) fn answered(&mut self, outcome: Result<(), CallError>, turn: &mut Turn<'_>) {
        if outcome.is_err_and(|error| error.may_pass()) {
            self.put_off(turn);
        }
    }

    fn put_off(&mut self, turn: &mut Turn<'_>) {
        turn.deadlines.replace(&mut self.again, Some((ASK_AGAIN, Late::CarbonsAgain)));
    }

    /// Requests during a lost connection would all be sent when it is over.
    pub(super) fn ask_again(&mut self, disco: &Discovery, turn: &mut Turn<'_>) {
        if turn.link == Link::Suspended {
            return self.put_off(turn);
        }
        Self::switch(disco, turn);
    }
}
