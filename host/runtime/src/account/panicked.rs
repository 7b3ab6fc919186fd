//! Keeps an account running after its task panicked. A panic is a bug in the host.
//!
//! A peer or a plugin may have found the bug, so the account must survive it: the input at fault is dropped, and a new
//! session with the server replaces all state that the panic left half changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::sleep;

use super::connection::Connection;
use super::room_passwords;
use super::worker::Worker;

/// Time between a panic and the next input, so that one that repeats keeps no processor busy.
const PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Runs the account's task, and continues after each panic.
    pub(super) async fn run_whatever_happens(mut self: Box<Self>) {
        let now = self.now();
        let Self { keepers, session, .. } = &mut *self;
        // Boxed, like the next one: they happen once, and this task lives as long as the account.
        Box::pin(keepers.load(session, now)).await;
        Box::pin(room_passwords::read(&mut self, None)).await;
        while AssertUnwindSafe(self.run()).catch_unwind().await.is_err() {
            tracing::error!(
                account = %self.shared.name,
                "the account begins a new session: a bug in the host stopped its task; please report it, with the panic in the log"
            );
            if catch_unwind(AssertUnwindSafe(|| self.begin_anew())).is_err() {
                self.link = None;
                let why = "a bug in the host stopped its task, and again when it began anew; restart the host";
                self.published.connection(Connection::Failed(why.to_owned()));
            }
            sleep(PAUSE).await;
        }
    }

    /// Drops what the panic interrupted, and replaces the session with the server.
    fn begin_anew(&mut self) {
        // The calls that wait for these answers get an error.
        self.effects.clear();
        self.confirming = None;
        if let Some(link) = &mut self.link {
            link.begin_anew();
        }
    }
}
