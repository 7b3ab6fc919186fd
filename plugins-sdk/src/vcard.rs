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
use crate::failure::{located, of_call};
use crate::types::Entity;

pub use vcard::{Card, CardData};

/// The card of this address, contact, chat or occupant, as it is known; fetched where it is not. The address of an occupant is
/// that of the room with the nickname.
#[track_caller]
pub fn get(entity: impl Entity) -> impl Future<Output = Result<Card>> {
    located(async move {
        let jid = entity.address();
        vcard::get(jid.clone(), false).await.map_err(of_call("vcard.get", &jid))
    })
}

/// The same, fetched again.
#[track_caller]
pub fn get_again(entity: impl Entity) -> impl Future<Output = Result<Card>> {
    located(async move {
        let jid = entity.address();
        vcard::get(jid.clone(), true).await.map_err(of_call("vcard.get", &jid))
    })
}

/// Changes the own card. A field that is not given stays as it is; an empty text removes it.
#[track_caller]
pub fn set(data: CardData) -> impl Future<Output = Result<()>> {
    located(async move { vcard::set(data).await.map_err(of_call("vcard.set", "")) })
}

/// Lets the contact, open chat or occupant of this address show its card, and fires `vcardUpdated`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # use parlor_sdk::vcard;
/// # async fn example() -> Result<()> {
/// let chat = chats::open("juliet@example.org").await?;
/// vcard::update(&chat).await?;
/// let picture = chats::get(&chat.jid)?.and_then(|chat| chat.image);
/// # let _ = picture;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn update(entity: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = entity.address();
        vcard::update(jid.clone(), false).await.map_err(of_call("vcard.update", &jid))
    })
}

/// The same, fetched again.
#[track_caller]
pub fn update_again(entity: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = entity.address();
        vcard::update(jid.clone(), true).await.map_err(of_call("vcard.update", &jid))
    })
}
