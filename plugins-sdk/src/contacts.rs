//! The roster (RFC 6121), and addresses that the server blocks (XEP-0191): reading needs `contacts.read`, changing
//! `contacts.write`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! wait_until("rosterContactsFetched").await?;
//! let awake = contacts::get_all()?.into_iter().filter(|contact| contact.chat_status == "online").count();
//! info!("{awake} of them are awake");
//!
//! let juliet = contacts::add("juliet@example.org", Some("Juliet")).await?;
//! contacts::set_groups(&juliet, ["Verona", "Capulet"]).await?;
//!
//! on("contactRequest").run(|event: Event| async move {
//!     if let Payload::Contact(contact) = event.payload {
//!         contacts::accept(&contact).await?;
//!     }
//!     Ok(())
//! })?;
//! # Ok(()) }
//! ```
//!
//! Until the roster has come, every call answers [`Error::NotReady`](crate::Error::NotReady). A call that changes something returns when the server
//! has answered: a [`get`] that follows sees the change.

use crate::bindings::parlor::plugin::contacts;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::types::{Entity, addresses, owned};

pub use crate::bindings::parlor::plugin::contacts::Report;
pub use crate::types::Contact;

/// The contact of this address; a resource is ignored. None: not in the roster.
#[track_caller]
pub fn get(jid: impl Entity) -> Result<Option<Contact>> {
    let jid = jid.address();
    contacts::get(&jid).map_err(of_call("contacts.get", &jid))
}

/// Several, in the same order.
#[track_caller]
pub fn get_many(jids: impl IntoIterator<Item = impl Entity>) -> Result<Vec<Option<Contact>>> {
    contacts::get_many(&addresses(jids)).map_err(of_call("contacts.get-many", ""))
}

/// All, ordered by JID.
#[track_caller]
pub fn get_all() -> Result<Vec<Contact>> {
    contacts::get_all().map_err(of_call("contacts.get-all", ""))
}

/// Puts somebody into the roster, and asks to see their presence.
///
/// The default name is the JID. An existing contact keeps its groups, and its name if none is
/// given.
#[track_caller]
pub fn add(jid: impl Entity, fullname: Option<&str>) -> impl Future<Output = Result<Contact>> {
    located(async move {
        let jid = jid.address();
        contacts::add(jid.clone(), fullname.map(str::to_owned)).await.map_err(of_call("contacts.add", &jid))
    })
}

/// Removes a contact from the roster, and ends both subscriptions.
#[track_caller]
pub fn remove(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::remove(jid.clone()).await.map_err(of_call("contacts.remove", &jid))
    })
}

/// Renames a contact; an empty name means the JID.
#[track_caller]
pub fn rename(jid: impl Entity, fullname: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::rename(jid.clone(), fullname.as_ref().to_owned()).await.map_err(of_call("contacts.rename", &jid))
    })
}

/// Puts a contact into these groups and no others.
#[track_caller]
pub fn set_groups(
    jid: impl Entity,
    groups: impl IntoIterator<Item = impl AsRef<str>>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::set_groups(jid.clone(), owned(groups)).await.map_err(of_call("contacts.set-groups", &jid))
    })
}

/// Accepts a request to see our presence. To see theirs in turn, [`add`] them.
#[track_caller]
pub fn accept(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::accept(jid.clone()).await.map_err(of_call("contacts.accept", &jid))
    })
}

/// Refuses a request to see our presence.
#[track_caller]
pub fn deny(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::deny(jid.clone()).await.map_err(of_call("contacts.deny", &jid))
    })
}

/// Has the server let nothing through from this address, nor to it. A JID with a resource is blocked alone.
///
/// ```no_run
/// # use parlor_sdk::{contacts::Report, prelude::*};
/// # async fn example(message: &Message) -> Result<()> {
/// let report = Report { kind: "spam".to_owned(), text: None, stanza_ids: Vec::new() };
/// if let Err(Error::Unsupported(_)) = contacts::block(&message.chat, Some(report)).await {
///     contacts::block(&message.chat, None).await?;
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn block(jid: impl Entity, report: Option<Report>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::block(jid.clone(), report).await.map_err(of_call("contacts.block", &jid))
    })
}

/// Unblocks this address.
#[track_caller]
pub fn unblock(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        contacts::unblock(jid.clone()).await.map_err(of_call("contacts.unblock", &jid))
    })
}

/// Asks the server for the blocked addresses.
#[track_caller]
pub fn blocked() -> impl Future<Output = Result<Vec<String>>> {
    located(async move { contacts::blocked().await.map_err(of_call("contacts.blocked", "")) })
}
