//! `pubsub`: nodes of publish-subscribe services and of accounts.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::permission::Permission;
use parlor_session::permissions::nodes::{check_node, reserved_node};
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{ChangeNode, GetItems, NodeAction, PublishItem, SubscribeNode, UnsubscribeNode, WhichItems};
use parlor_stanza::error::CallError;
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::types::{MAX_ITEM_ID, MAX_NODE_ITEMS, NodeItem, NodeOptions, NodePage};
use wasmtime::component::Accessor;

use super::pacing::{request, request_for_much};
use super::{answer, caller, fits, jid, words};
use crate::bindings::parlor::plugin::pubsub::{
    Host, HostWithStore, NodeItem as WitItem, NodeOptions as WitOptions, NodePage as WitPage,
};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance, OpenCall};

/// The access models of a node (XEP-0060, section 4.5).
const ACCESS: [&str; 5] = ["open", "presence", "roster", "authorize", "whitelist"];
/// The publisher models of a node (section 16.4.3).
const PUBLISHERS: [&str; 3] = ["publishers", "subscribers", "open"];
/// The largest number of items to be kept that a plugin may name.
const MOST_KEPT: u32 = 10_000;
/// Maximum length of a title, in bytes.
const LONGEST_TITLE: usize = 1 << 10;
/// Size of an item in a plugin's memory without its texts, as the contract lays it out.
const RECORD: usize = 40;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn publish(
        accessor: &Accessor<T, Self>,
        service: String,
        node: String,
        xml: String,
        id: Option<String>,
        options: Option<WitOptions>,
    ) -> Result<String, Error> {
        answer(publish(accessor, &service, node, &xml, id, options).await)
    }

    async fn retract(accessor: &Accessor<T, Self>, service: String, node: String, id: String) -> Result<(), Error> {
        answer(retract(accessor, &service, node, id).await)
    }

    async fn items(
        accessor: &Accessor<T, Self>,
        service: String,
        node: String,
        max: u32,
        after: Option<String>,
    ) -> Result<WitPage, Error> {
        answer(items(accessor, &service, node, max, after).await)
    }

    async fn item(
        accessor: &Accessor<T, Self>,
        service: String,
        node: String,
        id: String,
    ) -> Result<Option<WitItem>, Error> {
        answer(item(accessor, &service, node, id).await)
    }

    async fn subscribe(accessor: &Accessor<T, Self>, service: String, node: String) -> Result<bool, Error> {
        answer(subscribe(accessor, &service, node).await)
    }

    async fn unsubscribe(accessor: &Accessor<T, Self>, service: String, node: String) -> Result<(), Error> {
        answer(unsubscribe(accessor, &service, node).await)
    }

    async fn create(
        accessor: &Accessor<T, Self>,
        service: String,
        node: String,
        options: Option<WitOptions>,
    ) -> Result<(), Error> {
        answer(create(accessor, &service, node, options).await)
    }

    async fn configure(
        accessor: &Accessor<T, Self>,
        service: String,
        node: String,
        options: WitOptions,
    ) -> Result<(), Error> {
        answer(configure(accessor, &service, node, options).await)
    }

    async fn purge(accessor: &Accessor<T, Self>, service: String, node: String) -> Result<(), Error> {
        answer(change(accessor, CallName::PubsubPurge, &service, node, || Ok(NodeAction::Purge)).await)
    }

    async fn delete(accessor: &Accessor<T, Self>, service: String, node: String) -> Result<(), Error> {
        answer(change(accessor, CallName::PubsubDelete, &service, node, || Ok(NodeAction::Delete)).await)
    }
}

/// A call for a node that the plugin may make.
struct Permitted {
    instance: Arc<Instance>,
    granted: Granted,
    service: BareJid,
    node: String,
    /// Counts the call as open.
    open: OpenCall,
}

/// Checks whether the plugin may make this call for this node.
fn permitted<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    service: &str,
    node: String,
) -> Result<Permitted, CallError> {
    let (instance, open) = caller(accessor, call)?;
    let Err(service) = jid("service", service)?.try_into_full() else {
        return Err(CallError::invalid("service", "has a resource; name the service by its bare JID"));
    };
    // In a scope these are words for others.
    if ["own", "contacts"].contains(&service.as_str()) {
        return Err(CallError::invalid("service", "has a name that no grant can mean"));
    }
    check_node(&node).map_err(|reason| CallError::invalid("node", reason))?;
    let is_own = service == instance.account.own;
    if let Some(why) = reserved_node(&node) {
        let scope = if is_own { format!("own/{node}") } else { format!("{service}/{node}") };
        let permission = call.rule().permission.unwrap_or(Permission::PubsubRead);
        return Err(instance.deny_for_good(permission, scope, format!("no grant helps: {why}; no plugin may have it")));
    }
    let granted = open.granted(Target::Node { service: &service, node: &node, is_own })?;
    Ok(Permitted { instance, granted, service, node, open })
}

async fn publish<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    xml: &str,
    id: Option<String>,
    options: Option<WitOptions>,
) -> Result<String, CallError> {
    let Permitted { instance, granted, service, node, open: _open } =
        permitted(accessor, CallName::PubsubPublish, service, node)?;
    id.as_deref().map(item_id).transpose()?;
    let options = given(options)?;
    let held = instance.hold(xml.len())?;
    let payload = IqPayload::parse(xml)?;
    drop(held);
    request(&instance, &granted, PublishItem { service, node, id, payload, options }).await
}

async fn retract<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    id: String,
) -> Result<(), CallError> {
    let action = || -> Result<NodeAction, CallError> {
        item_id(&id)?;
        Ok(NodeAction::Retract(id))
    };
    change(accessor, CallName::PubsubRetract, service, node, action).await
}

async fn create<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    options: Option<WitOptions>,
) -> Result<(), CallError> {
    change(accessor, CallName::PubsubCreate, service, node, || given(options).map(NodeAction::Create)).await
}

async fn configure<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    options: WitOptions,
) -> Result<(), CallError> {
    let action = || -> Result<NodeAction, CallError> {
        let options = given(Some(options))?;
        if options == NodeOptions::default() {
            return Err(CallError::invalid("options", "names nothing to be changed"));
        }
        Ok(NodeAction::Configure(options))
    };
    change(accessor, CallName::PubsubConfigure, service, node, action).await
}

/// Changes a node or its items.
async fn change<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    service: &str,
    node: String,
    action: impl FnOnce() -> Result<NodeAction, CallError>,
) -> Result<(), CallError> {
    let Permitted { instance, granted, service, node, open: _open } = permitted(accessor, call, service, node)?;
    let action = action()?;
    request(&instance, &granted, ChangeNode { service, node, action }).await
}

async fn items<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    max: u32,
    after: Option<String>,
) -> Result<WitPage, CallError> {
    let Permitted { instance, granted, service, node, open: _open } =
        permitted(accessor, CallName::PubsubItems, service, node)?;
    let most = usize::try_from(max).unwrap_or(usize::MAX);
    if !(1..=MAX_NODE_ITEMS).contains(&most) {
        return Err(CallError::invalid("max", format!("is not between 1 and {MAX_NODE_ITEMS}")));
    }
    if let Some(after) = &after {
        place("after", after)?;
    }
    let is_first = after.is_none();
    let which = WhichItems::Page { max, after };
    let mut page = request_for_much(&instance, &granted, GetItems { service, node, which }, weigh).await?;
    if !is_first && !page.is_paged {
        return Err(CallError::Unsupported("the service gives no pages of items (XEP-0059)".to_owned()));
    }
    // A service may give more than it was asked for.
    page.items.truncate(most);
    fit(&instance, &page)?;
    let shown = page.items.into_iter().filter_map(shown).collect();
    Ok(WitPage { items: shown, last: page.last })
}

async fn item<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
    id: String,
) -> Result<Option<WitItem>, CallError> {
    let Permitted { instance, granted, service, node, open: _open } =
        permitted(accessor, CallName::PubsubItem, service, node)?;
    item_id(&id)?;
    let which = WhichItems::One(id.clone());
    match request_for_much(&instance, &granted, GetItems { service, node, which }, weigh).await {
        // Services use different errors for a missing item.
        Err(CallError::Stanza(error)) if error.condition == "item-not-found" => Ok(None),
        Err(error) => Err(error),
        Ok(mut page) => {
            page.items.retain(|one| one.id.as_ref() == Some(&id));
            page.items.truncate(1);
            fit(&instance, &page)?;
            Ok(page.items.pop().and_then(shown))
        }
    }
}

async fn subscribe<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
) -> Result<bool, CallError> {
    let Permitted { instance, granted, service, node, open: _open } =
        permitted(accessor, CallName::PubsubSubscribe, service, node)?;
    let by = instance.id;
    request(&instance, &granted, SubscribeNode { by, service, node }).await
}

async fn unsubscribe<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    service: &str,
    node: String,
) -> Result<(), CallError> {
    let Permitted { instance, granted, service, node, open: _open } =
        permitted(accessor, CallName::PubsubUnsubscribe, service, node)?;
    let by = instance.id;
    request(&instance, &granted, UnsubscribeNode { by, service, node }).await
}

/// Checks the id of an item.
fn item_id(id: &str) -> Result<(), CallError> {
    place("id", id)
}

/// Checks a text that names an item or a place among items.
fn place(argument: &str, text: &str) -> Result<(), CallError> {
    if words(argument, text, MAX_ITEM_ID)?.is_empty() {
        return Err(CallError::invalid(argument, "is empty"));
    }
    Ok(())
}

/// Parses a node's options.
fn given(options: Option<WitOptions>) -> Result<NodeOptions, CallError> {
    let Some(WitOptions { access, publishers, persist, max_items, title }) = options else {
        return Ok(NodeOptions::default());
    };
    if max_items.is_some_and(|most| !(1..=MOST_KEPT).contains(&most)) {
        return Err(CallError::invalid("options.max-items", format!("is not between 1 and {MOST_KEPT}")));
    }
    if let Some(title) = &title {
        words("options.title", title, LONGEST_TITLE)?;
    }
    Ok(NodeOptions {
        access: access.map(|access| one_of("options.access", &access, &ACCESS)).transpose()?,
        publishers: publishers.map(|who| one_of("options.publishers", &who, &PUBLISHERS)).transpose()?,
        persist,
        max_items,
        keeps_all: false,
        title,
    })
}

fn one_of(argument: &str, word: &str, known: &[&'static str]) -> Result<&'static str, CallError> {
    let found = known.iter().copied().find(|one| *one == word);
    found.ok_or_else(|| CallError::invalid(argument, format!("{word:.32} is none of {}", known.join(", "))))
}

/// Returns how much memory the items of a page take.
fn weigh(page: &NodePage) -> usize {
    page.items.iter().map(NodeItem::weight).sum()
}

/// Checks whether a plugin can hold all of these items at once.
fn fit(instance: &Instance, page: &NodePage) -> Result<(), CallError> {
    fits(instance, "items", "ask for fewer", page.items.iter().map(|one| RECORD + one.weight()))
}

/// Converts an item. An item without an id cannot be requested again, and is left out.
fn shown(item: NodeItem) -> Option<WitItem> {
    let NodeItem { id, publisher, xml, is_cut } = item;
    Some(WitItem { id: id?, publisher: publisher.map(|jid| jid.to_string()), xml, cut: is_cut })
}
