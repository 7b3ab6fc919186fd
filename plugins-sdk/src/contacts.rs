//! The roster (RFC 6121). Needs `contacts.read`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! wait_until("rosterContactsFetched").await?;
//! let awake = contacts::get_all()?.into_iter().filter(|contact| contact.chat_status == "online").count();
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::contacts;
use crate::error::{Error, Result};
use crate::types::owned;

pub use crate::types::Contact;

/// The contact of this address; a resource is ignored. None: not in the roster.
pub fn get(jid: impl AsRef<str>) -> Result<Option<Contact>> {
    contacts::get(jid.as_ref()).map_err(Error::from)
}

/// Several, in the same order.
pub fn get_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Option<Contact>>> {
    contacts::get_many(&owned(jids)).map_err(Error::from)
}

/// All, ordered by JID.
pub fn get_all() -> Result<Vec<Contact>> {
    contacts::get_all().map_err(Error::from)
}
