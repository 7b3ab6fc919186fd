//! Whether NATS has lost a record that a node knows.

use std::time::Duration;

use parlor_cluster::{Key, Revision};

use crate::answer::{LEASE_ANSWER, Last};
use crate::state::State;

/// How often a record that NATS seems to have lost is looked for, and how long after each other.
const LOOKS: u32 = 3;
const AGAIN: Duration = Duration::from_millis(50);

/// Returns whether NATS has lost the record of a session or an account that had this revision: what it has now is earlier, or there is
/// none. This shows a loss whatever number NATS has given to its last write since then.
///
/// If several servers keep the state, one that led them may be cut off from the others, or may have just begun to lead. It then refuses
/// writes and answers reads by the little that it has. So the record is looked for again after a write that most of the servers took.
pub(crate) async fn has_lost(state: &State, key: &Key, expected: Revision) -> bool {
    if expected == 0 {
        return false;
    }
    let (stream, subject) = (state.cluster.state_stream(), state.cluster.subject(key));
    for _ in 0..LOOKS {
        match state.link.last(&stream, &subject, LEASE_ANSWER).await {
            Ok(Last::None) => {}
            Ok(Last::Stored(stored)) if stored.revision < expected => {}
            Ok(Last::Stored(_) | Last::TooLarge | Last::Strange | Last::Failed(_)) | Err(_) => return false,
        }
        if state.link.touch(&stream, state.cluster.pulse_subject(), LEASE_ANSWER).await.is_err() {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    true
}
