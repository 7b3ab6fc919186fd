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
        "entries" => shown(contract::entries(text(args, "prefix")?, arg(args, "after")?, arg(args, "limit")?).await?),
        "range" => {
            let range = contract::KeyRange {
                prefix: text(args, "prefix")?,
                from: arg(args, "from")?,
                to: arg(args, "to")?,
                descending: arg::<Option<bool>>(args, "descending")?.unwrap_or_default(),
            };
            shown(contract::range(range, arg(args, "after")?, arg(args, "limit")?).await?)
        }
        "add" => {
            let number =
                contract::AddNumber { key: text(args, "key")?, amount: arg(args, "amount")?, expires: expires()? };
            contract::add(number).await?.into()
        }
        "change" => contract::change(changes(args)?).await?.into(),
        "keys" => storage::keys(text(args, "prefix")?).await?.into(),
        "compare-and-set" => {
            contract::compare_and_set(text(args, "key")?, bytes("expected")?, bytes("value")?, expires()?).await?.into()
        }
        _ => return Err(unknown(function)),
    })
}

fn shown(page: contract::EntriesPage) -> Value {
    let shown = |one: contract::Entry| json!([one.key, String::from_utf8_lossy(&one.value)]);
    json!({ "entries": page.entries.into_iter().map(shown).collect::<Vec<_>>(), "next": page.next })
}

/// Parses changes such as `["set", KEY, TEXT, EXPIRES]`, `["long", KEY, LENGTH]`, `["add", KEY, AMOUNT, EXPIRES]`,
/// `["delete", KEY]` and `["expect", KEY, TEXT]`.
fn changes(args: &Value) -> Result<Vec<contract::KeyChange>> {
    let given: Vec<Value> = arg(args, "changes")?;
    given
        .iter()
        .map(|one| {
            let read = |at: usize| &one[at];
            let text = |at| read(at).as_str().map(str::to_owned);
            let key = text(1).ok_or_else(|| Error::other("a change has no key"))?;
            let expires = read(3).as_u64();
            Ok(match read(0).as_str() {
                Some("set") => {
                    let value = text(2).unwrap_or_default().into_bytes();
                    contract::KeyChange::Set(contract::SetValue { key, value, expires })
                }
                Some("long") => {
                    let length = read(2).as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                    contract::KeyChange::Set(contract::SetValue { key, value: vec![b'x'; length], expires })
                }
                Some("add") => {
                    let amount = read(2).as_i64().unwrap_or_default();
                    contract::KeyChange::Add(contract::AddNumber { key, amount, expires })
                }
                Some("delete") => contract::KeyChange::Delete(key),
                Some("expect") => contract::KeyChange::Expect((key, text(2).map(String::into_bytes))),
                _ => return Err(Error::other("no such change")),
            })
        })
        .collect()
}
