//! The calls of `dialogs`. The end of a question that was begun is reported like an event.

use parlor_sdk::bindings::parlor::plugin;
use parlor_sdk::dialogs::{Answer, Question, begin, begin_in_room};
use parlor_sdk::prelude::*;

use super::{arg, text, texts, unknown};
use crate::heard;

pub(super) async fn call(n: u64, function: &str, args: &Value) -> Result<Value> {
    match function {
        "ask" => dialogs::ask(text(args, "to")?, question(args)?).await.map(|answer| shown(&answer)),
        "ask-in-room" => {
            let (room, nick) = (text(args, "room")?, text(args, "nick")?);
            dialogs::ask_in_room(room, nick, question(args)?).await.map(|answer| shown(&answer))
        }
        "begin" => {
            begin(text(args, "to")?, question(args)?, move |end| ended(n, end)).await?;
            Ok(Value::Null)
        }
        "begin-in-room" => {
            let (room, nick) = (text(args, "room")?, text(args, "nick")?);
            begin_in_room(room, nick, question(args)?, move |end| ended(n, end)).await?;
            Ok(Value::Null)
        }
        "take" => plugin::dialogs::take(arg(args, "dialog")?).map_err(Error::from).map(|answer| shown(&answer)),
        "wait" => plugin::dialogs::wait(arg(args, "dialog")?).await.map_err(Error::from).map(|answer| shown(&answer)),
        "cancel" => plugin::dialogs::cancel(arg(args, "dialog")?).map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}

fn question(args: &Value) -> Result<Question> {
    let choices = if args.get("choices").is_some() { texts(args, "choices")? } else { Vec::new() };
    Ok(Question { text: text(args, "text")?, choices, timeout: arg(args, "timeout")? })
}

fn shown(answer: &Answer) -> Value {
    json!({ "text": answer.text, "choice": answer.choice })
}

async fn ended(n: u64, end: Result<Answer>) -> Result<()> {
    let end = end.map_or_else(|error| json!(error.to_string()), |answer| shown(&answer));
    heard(n, json!({ "name": "dialog", "end": end })).await
}
