//! The views of open private chats, for front ends. Needs `chats.read`; [`chats`](crate::chats) has the
//! calls that change it.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # fn example() -> Result<()> {
//! on("chatBoxToggled").run(|event: Event| async move {
//!     if let Payload::Chat(chat) = &event.payload
//!         && let Some(view) = chatviews::get(&chat.jid)?
//!     {
//!         info!("{} is {}", view.jid, if view.minimized { "small" } else { "large" });
//!     }
//!     Ok(())
//! })?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::chatviews;
use crate::error::Result;
use crate::failure::of_call;
use crate::types::{Entity, addresses};

pub use crate::types::View;

/// The view of the open private chat with this address; none: not open.
#[track_caller]
pub fn get(jid: impl Entity) -> Result<Option<View>> {
    let jid = jid.address();
    chatviews::get(&jid).map_err(of_call("chatviews.get", &jid))
}

/// Several, in the same order.
#[track_caller]
pub fn get_many(jids: impl IntoIterator<Item = impl Entity>) -> Result<Vec<Option<View>>> {
    chatviews::get_many(&addresses(jids)).map_err(of_call("chatviews.get-many", ""))
}
