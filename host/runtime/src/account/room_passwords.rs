//! The passwords of rooms in the settings: read where the owner keeps them, and given to the session.

use std::future::pending;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use parlor_base::escape::shell_word;
use parlor_config::{AccountName, RoomPasswordPlaces};
use parlor_session::{RoomPasswords, await_room_passwords, set_room_passwords};
use parlor_xmpp::read_room_password;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::order::Order;
use super::shared::Shared;
use super::worker::Worker;

/// How long the account waits for them. A file system that does not answer then keeps the account out of these rooms alone.
const PROMPT: Duration = Duration::from_millis(250);

/// The passwords that are being read.
#[derive(Default)]
pub(super) struct Reading {
    read: Option<BoxFuture<'static, RoomPasswords>>,
    /// The requests that end once they are read.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Reading {
    /// Returns the passwords once they are read; never, if none are being read.
    pub(super) async fn next(&mut self) -> RoomPasswords {
        let Some(read) = &mut self.read else { return pending().await };
        let passwords = read.await;
        self.read = None;
        passwords
    }

    /// Begins to read, in place of what is being read, and returns the passwords unless that takes too long.
    async fn begin(&mut self, read: BoxFuture<'static, RoomPasswords>) -> Option<RoomPasswords> {
        self.read = Some(read);
        timeout(PROMPT, self.next()).await.ok()
    }
}

/// Reads them: when the account begins, when its configuration changes, and before an owner has it enter a room. They stay in memory,
/// since a room may have to be entered again at any time. `done` hears when they are read.
pub(super) async fn read(worker: &mut Worker, done: Option<oneshot::Sender<()>>) {
    let (account, places) = (worker.shared.name.clone(), worker.written.room_passwords().clone());
    await_room_passwords(&mut worker.session, places.keys().cloned().collect());
    worker.room_passwords.waiting.extend(done);
    let Some(passwords) = worker.room_passwords.begin(Box::pin(read_all(account, places))).await else {
        let account = &worker.shared.name;
        tracing::warn!(%account, "files with passwords of rooms do not answer; the account goes on, and enters these rooms later");
        return;
    };
    give(worker, passwords);
}

async fn read_all(account: AccountName, places: RoomPasswordPlaces) -> RoomPasswords {
    let mut reads = Vec::new();
    // The configuration bounds their number.
    for (room, place) in &places {
        reads.push(async move { (room, read_room_password(place).await) });
    }
    let mut passwords = RoomPasswords::new();
    for (room, read) in join_all(reads).await {
        match read {
            Ok(password) => {
                passwords.insert(room.clone(), password);
            }
            Err(error) => {
                let remedy = format!("then run `parlor rooms join {}`", shell_word(room.as_str()));
                tracing::warn!(%account, %room, %error, remedy, "the password of a room cannot be read");
            }
        }
    }
    passwords
}

/// Gives the session the passwords that were read.
pub(super) fn give(worker: &mut Worker, passwords: RoomPasswords) {
    set_room_passwords(&mut worker.session, passwords, worker.shared.clock.now(), &mut worker.effects);
    for done in worker.room_passwords.waiting.drain(..) {
        // Its sender may wait no longer.
        let _ = done.send(());
    }
}

impl Shared {
    /// Reads the passwords of rooms again: the owner may have corrected one. A room that refused the one before is entered at once.
    pub async fn read_room_passwords(&self) {
        if !self.settings().room_passwords().is_empty() {
            self.tell(|done| Order::RoomPasswords { done }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use parlor_config::Hidden;

    use super::*;

    /// A file may be on a network file system whose server is down.
    #[tokio::test(start_paused = true)]
    async fn an_account_does_not_wait_for_a_file_that_does_not_answer() {
        let den = BareJid::new("den@muc.example.org").unwrap();
        let passwords = RoomPasswords::from([(den, Hidden("sesame".to_owned()))]);
        let (mut reading, read) = (Reading::default(), passwords.clone());
        assert_eq!(reading.begin(Box::pin(async { read })).await, Some(passwords.clone()));
        let (answer, answered) = oneshot::channel();
        let late = async { answered.await.unwrap_or_default() };
        let began = tokio::time::Instant::now();
        assert_eq!(reading.begin(Box::pin(late)).await, None);
        assert!(began.elapsed() <= PROMPT * 2, "{:?}", began.elapsed());
        assert_eq!(timeout(PROMPT, reading.next()).await.ok(), None, "it goes on");
        answer.send(passwords.clone()).unwrap();
        assert_eq!(reading.next().await, passwords);
        assert_eq!(timeout(PROMPT, reading.next()).await.ok(), None, "nothing is being read any more");
    }
}
