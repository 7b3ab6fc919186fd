//! The calls of `iq`. They bypass the SDK, which answers only requests that it heard.

use parlor_sdk::bindings::parlor::plugin::iq;
use parlor_sdk::prelude::*;

use super::{arg, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let id = text(args, "id")?;
    match function {
        "answer" => iq::answer(id, arg(args, "xml")?).await.map_err(Error::from).map(Value::from),
        "refuse" => {
            let (condition, words) = (text(args, "condition")?, arg(args, "text")?);
            iq::refuse(id, condition, words).await.map_err(Error::from).map(Value::from)
        }
        _ => Err(unknown(function)),
    }
}
