//! Visiting cards (XEP-0054): reading them needs `vcard.read`, changing the own one `vcard.write`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # use parlor_sdk::vcard::{self, CardData};
//! # async fn example() -> Result<()> {
//! let card = vcard::get("juliet@example.org").await?;
//! info!("Juliet calls herself {}", card.nickname.unwrap_or_default());
//!
//! vcard::set(CardData { nickname: Some("parlor".to_owned()), ..CardData::default() }).await?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::vcard;
use crate::error::Result;
use crate::failure::of_call;

pub use vcard::{Card, CardData};

/// The card of this address, as it is known; fetched where it is not. An occupant of a room is named by room and nickname.
pub async fn get(jid: impl AsRef<str>) -> Result<Card> {
    vcard::get(jid.as_ref().to_owned(), false).await.map_err(of_call("vcard.get", &jid))
}

/// The card of this address, fetched anew.
pub async fn get_again(jid: impl AsRef<str>) -> Result<Card> {
    vcard::get(jid.as_ref().to_owned(), true).await.map_err(of_call("vcard.get", &jid))
}

/// Changes the own card. What is not given stays as it is; an empty text takes it away.
pub async fn set(data: CardData) -> Result<()> {
    vcard::set(data).await.map_err(of_call("vcard.set", ""))
}

/// Lets a contact, chat or occupant of this address show its card, and fires `vcardUpdated`.
pub async fn update(jid: impl AsRef<str>) -> Result<()> {
    vcard::update(jid.as_ref().to_owned(), false).await.map_err(of_call("vcard.update", &jid))
}

/// The same, fetched anew.
pub async fn update_again(jid: impl AsRef<str>) -> Result<()> {
    vcard::update(jid.as_ref().to_owned(), true).await.map_err(of_call("vcard.update", &jid))
}
