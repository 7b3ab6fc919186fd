//! The calls of `chats` and `chatviews`.

use parlor_sdk::bindings::parlor::plugin;
use parlor_sdk::prelude::*;

use super::{arg, outgoing, raw_json, text, texts, unknown};
use crate::json::{chat, each, option, view};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    Ok(match function {
        "get" => option(chats::get(text(args, "jid")?)?, chat),
        "get-many" => chats::get_many(texts(args, "jids")?)?.into_iter().map(|one| option(one, chat)).collect(),
        "get-all" => chats::get_all()?.iter().map(chat).collect(),
        "open" => chat(&chats::open(text(args, "jid")?).await?),
        "open-many" => each(chats::open_many(texts(args, "jids")?).await?, |one| chat(&one)),
        "close" => chats::close(text(args, "jid")?).await.map(Value::from)?,
        "close-many" => each(chats::close_many(texts(args, "jids")?).await?, Value::from),
        "focus" => chats::focus(text(args, "jid")?).await.map(Value::from)?,
        "show" => chats::show(text(args, "jid")?).await.map(Value::from)?,
        "maximize" => chats::maximize(text(args, "jid")?).await.map(Value::from)?,
        "minimize" => chats::minimize(text(args, "jid")?).await.map(Value::from)?,
        "get-attribute" => chats::get_attribute::<Value>(text(args, "jid")?, text(args, "name")?)?.into(),
        "set-attribute" => {
            let (jid, name, value) = (text(args, "jid")?, text(args, "name")?, arg::<Value>(args, "value")?);
            match raw_json(&value) {
                Some(raw) => plugin::chats::set_attribute(jid, name, raw).await?.into(),
                None => chats::set_attribute(jid, name, value).await.map(Value::from)?,
            }
        }
        "initiate-otr" => chats::initiate_otr(text(args, "jid")?).await.map(Value::from)?,
        "end-otr" => chats::end_otr(text(args, "jid")?).await.map(Value::from)?,
        "send" => chats::send(text(args, "jid")?, outgoing(args)?).await.map(Value::from)?,
        _ => return Err(unknown(function)),
    })
}

pub(super) fn call_views(function: &str, args: &Value) -> Result<Value> {
    Ok(match function {
        "get" => option(chatviews::get(text(args, "jid")?)?, view),
        "get-many" => chatviews::get_many(texts(args, "jids")?)?.into_iter().map(|one| option(one, view)).collect(),
        _ => return Err(unknown(function)),
    })
}
