//! Bounds on waits for the queue of the connection to NATS.
//!
//! The library puts all that it sends into a queue, and waits while that is full. It bounds how long it waits for an answer, but not for a
//! place there: nothing leaves the queue while NATS is away, or takes nothing.

use std::time::Duration;

use tokio::time::timeout;

use crate::answer::ANSWER;

/// How long the library may take for something that it asks NATS. It gives an answer 5 s, and may ask twice.
const ASKING: Duration = Duration::from_secs(20);

/// Waits for a place in the queue, no longer than for an answer. Returns `None` if there is none for so long, and if the connection has
/// ended for good. Nothing is sent then.
pub(crate) async fn queued<T, E>(sending: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(ANSWER, sending).await.ok()?.ok()
}

/// Waits for something that the library asks NATS, but not for ever. Returns why it failed.
pub(crate) fn asked<T, E: ToString>(
    asking: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, String>> {
    // The futures of the library are large.
    let answer = timeout(ASKING, Box::pin(asking));
    async move {
        match answer.await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("NATS takes no requests".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stays_full_is_not_waited_for_without_end() {
        let began = Instant::now();
        assert_eq!(queued(pending::<Result<(), String>>()).await, None);
        assert_eq!(began.elapsed(), ANSWER);
        assert_eq!(queued(ready(Ok::<_, String>(1))).await, Some(1));
        assert_eq!(queued(ready(Err::<(), _>("gone"))).await, None);
        let began = Instant::now();
        assert_eq!(asked(pending::<Result<(), String>>()).await, Err("NATS takes no requests".to_owned()));
        assert_eq!(began.elapsed(), ASKING);
        assert_eq!(asked(ready(Ok::<_, String>(1))).await, Ok(1));
        assert_eq!(asked(ready(Err::<(), _>("gone"))).await, Err("gone".to_owned()));
    }
}
