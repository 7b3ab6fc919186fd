//! The calls of `storage`. Values are texts here, and are returned as they are.

use parlor_sdk::bindings::parlor::plugin::storage as contract;
use parlor_sdk::prelude::*;
use parlor_sdk::storage;

use super::{arg, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let bytes = |name: &str| arg::<Option<String>>(args, name).map(|text| text.map(String::into_bytes));
    // Bypasses the SDK, which cannot express a lifetime of zero.
    let expires = || arg::<Option<u64>>(args, "expires");
    Ok(match function {
        "get" => storage::get_bytes(text(args, "key")?)
            .await?
            .map(|value| String::from_utf8_lossy(&value).into_owned())
            .into(),
        "set" => {
            contract::set(text(args, "key")?, text(args, "value")?.into_bytes(), expires()?).await.map(Value::from)?
        }
        // Stores a value of this length, which would not fit in an order.
        "set-long" => {
            storage::set_bytes(text(args, "key")?, vec![b'x'; arg(args, "length")?], None).await.map(Value::from)?
        }
        "delete" => storage::delete(text(args, "key")?).await?.into(),
        "list" => {
            let page = storage::list(text(args, "prefix")?, arg(args, "after")?, arg(args, "limit")?).await?;
            json!({ "keys": page.keys, "next": page.next })
        }
        "entries" => {
            let page = contract::entries(text(args, "prefix")?, arg(args, "after")?, arg(args, "limit")?).await?;
            let shown = |one: contract::Entry| json!([one.key, String::from_utf8_lossy(&one.value)]);
            json!({ "entries": page.entries.into_iter().map(shown).collect::<Vec<_>>(), "next": page.next })
        }
        "keys" => storage::keys(text(args, "prefix")?).await?.into(),
        "compare-and-set" => {
            contract::compare_and_set(text(args, "key")?, bytes("expected")?, bytes("value")?, expires()?).await?.into()
        }
        _ => return Err(unknown(function)),
    })
}
