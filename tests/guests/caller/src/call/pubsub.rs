//! The calls of `pubsub`. They bypass the SDK, which has elements in place of XML.

use parlor_sdk::bindings::parlor::plugin::pubsub;
use parlor_sdk::prelude::*;
use parlor_sdk::pubsub::{NodeItem, NodeOptions};

use super::{arg, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let (service, node) = (text(args, "service")?, text(args, "node")?);
    let answer = match function {
        "publish" => {
            let (xml, id) = (text(args, "xml")?, arg(args, "id")?);
            pubsub::publish(service, node, xml, id, options(args)?).await.map(Value::from)
        }
        "retract" => pubsub::retract(service, node, text(args, "id")?).await.map(Value::from),
        "items" => {
            let page = pubsub::items(service, node, arg(args, "max")?, arg(args, "after")?).await;
            page.map(|page| json!({ "items": page.items.iter().map(item).collect::<Vec<_>>(), "last": page.last }))
        }
        "item" => {
            let found = pubsub::item(service, node, text(args, "id")?).await;
            found.map(|found| found.as_ref().map_or(Value::Null, item))
        }
        "subscribe" => pubsub::subscribe(service, node).await.map(Value::from),
        "unsubscribe" => pubsub::unsubscribe(service, node).await.map(Value::from),
        "create" => pubsub::create(service, node, options(args)?).await.map(Value::from),
        "configure" => pubsub::configure(service, node, options(args)?.unwrap_or_default()).await.map(Value::from),
        "purge" => pubsub::purge(service, node).await.map(Value::from),
        "delete" => pubsub::delete(service, node).await.map(Value::from),
        _ => return Err(unknown(function)),
    };
    answer.map_err(Error::from)
}

fn options(args: &Value) -> Result<Option<NodeOptions>> {
    let options = NodeOptions {
        access: arg(args, "access")?,
        publishers: arg(args, "publishers")?,
        persist: arg(args, "persist")?,
        max_items: arg(args, "max-items")?,
        title: arg(args, "title")?,
    };
    Ok(Some(options).filter(|options| *options != NodeOptions::default()))
}

fn item(one: &NodeItem) -> Value {
    json!({ "id": one.id, "publisher": one.publisher, "xml": one.xml, "cut": one.cut })
}
