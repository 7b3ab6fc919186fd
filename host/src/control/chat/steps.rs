//! Commands that wait for their second step, each under an id that others can neither guess nor use.

use std::collections::VecDeque;
use std::time::Duration;

use jid::Jid;
use parlor_stanza::types::AdHocRefusal;
use tokio::time::Instant;

/// The most pending commands; the oldest is dropped first.
const MOST: usize = 16;
/// How long a command stays pending.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long after a line of the log about commands of plugins the next one may follow. A plugin can send any number of them.
const SILENCE: Duration = Duration::from_mins(1);

/// The pending commands of one account.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pending: VecDeque<Step>,
    /// When the log last said that a command may be a plugin's.
    refused: Option<Instant>,
}

#[derive(Debug)]
struct Step {
    session: String,
    by: Jid,
    node: &'static str,
    until: Instant,
}

/// Returns an id for a new command session.
pub(super) fn session() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

impl Steps {
    /// Adds a pending command.
    pub(super) fn begin(&mut self, session: String, by: Jid, node: &'static str, now: Instant) {
        if self.pending.len() == MOST {
            self.pending.pop_front();
        }
        self.pending.push_back(Step { session, by, node, until: now + PATIENCE });
    }

    /// Removes a command at its second step. It cannot be used again, even if the step fails.
    pub(super) fn end(&mut self, session: &str, by: &Jid, node: &str, now: Instant) -> Result<(), AdHocRefusal> {
        let is_it = |step: &Step| step.session == session && step.by == *by && step.node == node;
        // A command of another user stays pending.
        let at = self.pending.iter().position(is_it).ok_or(AdHocRefusal::BadSession)?;
        let step = self.pending.remove(at).ok_or(AdHocRefusal::BadSession)?;
        if now < step.until { Ok(()) } else { Err(AdHocRefusal::SessionExpired) }
    }

    /// Returns whether the log says that a command may be a plugin's, and notes it.
    pub(super) fn says_refused(&mut self, now: Instant) -> bool {
        let says = self.refused.is_none_or(|last| now.duration_since(last) >= SILENCE);
        if says {
            self.refused = Some(now);
        }
        says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(jid: &str) -> Jid {
        jid.parse().unwrap()
    }

    #[test]
    fn a_second_step_is_its_owners_once_and_for_a_while() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        let juliet = jid("juliet@example.org/balcony");
        let begin = |steps: &mut Steps| {
            let id = session();
            steps.begin(id.clone(), juliet.clone(), "disable", now);
            id
        };
        let id = begin(&mut steps);
        for (session, by, node) in [
            ("parlor", "juliet@example.org/balcony", "disable"),
            (id.as_str(), "juliet@example.org/chamber", "disable"),
            (id.as_str(), "romeo@example.org/balcony", "disable"),
            (id.as_str(), "juliet@example.org/balcony", "enable"),
        ] {
            assert_eq!(steps.end(session, &jid(by), node, now), Err(AdHocRefusal::BadSession), "{session} {by} {node}");
        }
        assert_eq!(steps.end(&id, &juliet, "disable", now), Ok(()));
        assert_eq!(steps.end(&id, &juliet, "disable", now), Err(AdHocRefusal::BadSession));
        let id = begin(&mut steps);
        assert_eq!(steps.end(&id, &juliet, "disable", now + PATIENCE), Err(AdHocRefusal::SessionExpired));
        assert_ne!(begin(&mut steps), begin(&mut steps));
    }

    #[test]
    fn a_plugin_that_sends_commands_without_end_writes_one_line_a_minute() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        let said = [0, 1, 59, 60, 61].map(|second| steps.says_refused(now + Duration::from_secs(second)));
        assert_eq!(said, [true, false, false, true, false]);
    }

    #[test]
    fn only_so_many_wait() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        let juliet = jid("juliet@example.org/balcony");
        for number in 0..100 {
            steps.begin(number.to_string(), juliet.clone(), "disable", now);
        }
        assert_eq!(steps.pending.len(), MOST);
        assert_eq!(steps.end("83", &juliet, "disable", now), Err(AdHocRefusal::BadSession));
        assert_eq!(steps.end("84", &juliet, "disable", now), Ok(()));
    }
}
