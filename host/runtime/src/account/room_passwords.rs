//! The passwords of rooms in the settings: read where the owner keeps them, and given to the session.

use futures_util::future::join_all;
use parlor_base::escape::shell_word;
use parlor_session::{RoomPasswords, set_room_passwords};
use parlor_xmpp::read_room_password;

use super::order::Order;
use super::shared::Shared;
use super::worker::Worker;

/// Reads them: when the account begins, when its configuration changes, and before an owner has it enter a room. They stay in memory,
/// since a room may have to be entered again at any time.
pub(super) async fn read(worker: &mut Worker) {
    let mut reads = Vec::new();
    // The configuration bounds their number.
    for (room, place) in worker.written.room_passwords() {
        reads.push(async move { (room, read_room_password(place).await) });
    }
    let mut passwords = RoomPasswords::new();
    for (room, read) in join_all(reads).await {
        match read {
            Ok(password) => {
                passwords.insert(room.clone(), password);
            }
            Err(error) => {
                let account = &worker.shared.name;
                let remedy = format!("then run `parlor rooms join {}`", shell_word(room.as_str()));
                tracing::warn!(%account, %room, %error, remedy, "the password of a room cannot be read");
            }
        }
    }
    set_room_passwords(&mut worker.session, passwords, worker.shared.clock.now(), &mut worker.effects);
}

impl Shared {
    /// Reads the passwords of rooms again: the owner may have corrected one. A room that refused the one before is entered at once.
    pub async fn read_room_passwords(&self) {
        if !self.settings().room_passwords().is_empty() {
            self.tell(|done| Order::RoomPasswords { done }).await;
        }
    }
}
