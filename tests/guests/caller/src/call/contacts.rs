//! The calls of `contacts`.

use parlor_sdk::contacts::{self, Report};
use parlor_sdk::prelude::*;

use super::{arg, text, texts, unknown};
use crate::json::{contact, option};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    Ok(match function {
        "get" => option(contacts::get(text(args, "jid")?)?, contact),
        "get-many" => contacts::get_many(texts(args, "jids")?)?.into_iter().map(|one| option(one, contact)).collect(),
        "get-all" => contacts::get_all()?.iter().map(contact).collect(),
        // The roster may be too large for an answer, so only the count of each read and the last contact are returned.
        "count-all" => {
            let mut counts = Vec::new();
            let mut last = None;
            for _ in 0..arg::<Option<u32>>(args, "times")?.unwrap_or(1) {
                let all = contacts::get_all()?;
                counts.push(all.len());
                last = all.last().map(contact);
                timers::sleep(Duration::ZERO).await;
            }
            json!({ "counts": counts, "last": last })
        }
        "get-attribute" => {
            let found = contacts::get(text(args, "jid")?)?;
            found.and_then(|one| one.get(&text(args, "name").ok()?)).into()
        }
        "add" => {
            let fullname = arg::<Option<String>>(args, "fullname")?;
            contact(&contacts::add(text(args, "jid")?, fullname.as_deref()).await?)
        }
        "remove" => contacts::remove(text(args, "jid")?).await.map(Value::from)?,
        "rename" => contacts::rename(text(args, "jid")?, text(args, "fullname")?).await.map(Value::from)?,
        "set-groups" => contacts::set_groups(text(args, "jid")?, texts(args, "groups")?).await.map(Value::from)?,
        "accept" => contacts::accept(text(args, "jid")?).await.map(Value::from)?,
        "deny" => contacts::deny(text(args, "jid")?).await.map(Value::from)?,
        "block" => contacts::block(text(args, "jid")?, report(args)?).await.map(Value::from)?,
        "unblock" => contacts::unblock(text(args, "jid")?).await.map(Value::from)?,
        "blocked" => contacts::blocked().await?.into_iter().map(Value::from).collect(),
        _ => return Err(unknown(function)),
    })
}

/// Builds a report if any of its fields is given.
fn report(args: &Value) -> Result<Option<Report>> {
    let kind = arg::<Option<String>>(args, "kind")?;
    let remark = arg(args, "text")?;
    let stanza_ids = arg::<Option<Vec<(String, String)>>>(args, "stanza-ids")?.unwrap_or_default();
    Ok(kind.map(|kind| Report { kind, text: remark, stanza_ids }))
}
