//! The calls of `plugins`. They bypass the SDK, which answers only requests that it heard.

use parlor_sdk::bindings::parlor::plugin::plugins;
use parlor_sdk::prelude::*;

use super::{json_text, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let value = json_text(&args["value"]);
    match function {
        "call" => {
            let answer = plugins::call(text(args, "plugin")?, text(args, "name")?, value).await.map_err(Error::from)?;
            answer.parse().map_err(Error::other)
        }
        "answer" => plugins::answer(text(args, "id")?, value).await.map_err(Error::from).map(Value::from),
        "refuse" => plugins::refuse(text(args, "id")?, text(args, "text")?).await.map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}
