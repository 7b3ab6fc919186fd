//! Nodes of publish-subscribe services (XEP-0060) and of accounts (PEP, XEP-0163): `pubsub.publish`, `pubsub.read` and
//! `pubsub.configure`, each for the nodes in its scope.
//!
//! A service is named by its bare JID: `pubsub.example.org`, or that of an account.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! pubsub::subscribe("pubsub.example.org", "news").await?;
//! on("pubsub-item").from("pubsub.example.org").run(|item: PubsubItem| async move {
//!     info!("{} {}: {}", item.kind, item.id.unwrap_or_default(), item.xml.unwrap_or_default());
//!     Ok(())
//! })?;
//!
//! let entry = Element::new("entry").ns("urn:example:news").text("The play begins at eight.");
//! let id = pubsub::publish("pubsub.example.org", "news", entry, None, None).await?;
//! # drop(id);
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::pubsub;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::stanza::Element;
use crate::types::Entity;

pub use crate::types::PubsubItem;
pub use pubsub::{NodeItem, NodeOptions, NodePage};

/// Publishes an item, and returns its id. An item of the same id is replaced; without an id the service makes one up.
/// With options, a node that does not exist is created with them, if the service creates nodes automatically, as
/// accounts do.
#[track_caller]
pub fn publish(
    service: impl Entity,
    node: impl AsRef<str>,
    payload: Element,
    id: Option<&str>,
    options: Option<NodeOptions>,
) -> impl Future<Output = Result<String>> {
    located(async move {
        let (service, node, id) = (service.address(), node.as_ref().to_owned(), id.map(str::to_owned));
        let published = pubsub::publish(service, node.clone(), payload.to_string(), id, options).await;
        published.map_err(of_call("pubsub.publish", &node))
    })
}

/// Takes an item back.
#[track_caller]
pub fn retract(service: impl Entity, node: impl AsRef<str>, id: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::retract(service, node.clone(), id.as_ref().to_owned()).await.map_err(of_call("pubsub.retract", &node))
    })
}

/// Asks for items of a node, 1 to 10,000 of them. `after` is the `last` of the page before.
///
/// A service without pages returns the newest items: if as many came as you asked for and `last` is none, ask for more at once.
///
/// [`Error::Unsupported`](crate::Error::Unsupported): the service gives no pages after the first.
#[track_caller]
pub fn items(
    service: impl Entity,
    node: impl AsRef<str>,
    max: u32,
    after: Option<&str>,
) -> impl Future<Output = Result<NodePage>> {
    located(async move {
        let (service, node, after) = (service.address(), node.as_ref().to_owned(), after.map(str::to_owned));
        pubsub::items(service, node.clone(), max, after).await.map_err(of_call("pubsub.items", &node))
    })
}

/// Asks for one item by its id. None: the item does not exist.
#[track_caller]
pub fn item(
    service: impl Entity,
    node: impl AsRef<str>,
    id: impl AsRef<str>,
) -> impl Future<Output = Result<Option<NodeItem>>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::item(service, node.clone(), id.as_ref().to_owned()).await.map_err(of_call("pubsub.item", &node))
    })
}

/// Subscribes the account to a node until the plugin ends, so subscribe on every start. Returns whether the
/// subscription is active; if not, it needs approval first.
#[track_caller]
pub fn subscribe(service: impl Entity, node: impl AsRef<str>) -> impl Future<Output = Result<bool>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::subscribe(service, node.clone()).await.map_err(of_call("pubsub.subscribe", &node))
    })
}

/// Ends a subscription.
///
/// [`Error::NotFound`](crate::Error::NotFound): this plugin is not subscribed.
#[track_caller]
pub fn unsubscribe(service: impl Entity, node: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::unsubscribe(service, node.clone()).await.map_err(of_call("pubsub.unsubscribe", &node))
    })
}

/// Creates a node.
#[track_caller]
pub fn create(
    service: impl Entity,
    node: impl AsRef<str>,
    options: Option<NodeOptions>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::create(service, node.clone(), options).await.map_err(of_call("pubsub.create", &node))
    })
}

/// Changes the given options of a node.
#[track_caller]
pub fn configure(
    service: impl Entity,
    node: impl AsRef<str>,
    options: NodeOptions,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::configure(service, node.clone(), options).await.map_err(of_call("pubsub.configure", &node))
    })
}

/// Takes all items of a node back. The node and its subscribers stay.
#[track_caller]
pub fn purge(service: impl Entity, node: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::purge(service, node.clone()).await.map_err(of_call("pubsub.purge", &node))
    })
}

/// Deletes a node with all its items.
#[track_caller]
pub fn delete(service: impl Entity, node: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let (service, node) = (service.address(), node.as_ref().to_owned());
        pubsub::delete(service, node.clone()).await.map_err(of_call("pubsub.delete", &node))
    })
}
