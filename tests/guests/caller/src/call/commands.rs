//! The calls of `commands`.

use parlor_sdk::prelude::*;

use super::{arg, text, unknown};
use crate::heard;
use crate::json::payload;

/// Makes a call. A command that people give is reported under the number of the order that added it.
pub(super) async fn call(n: u64, function: &str, args: &Value) -> Result<Value> {
    match function {
        "add" => {
            let (help, usage) = (arg::<Option<String>>(args, "help")?, arg::<Option<String>>(args, "usage")?);
            let told = move |command: Command| {
                heard(n, json!({ "name": "command", "payload": payload(&Payload::Command(command)) }))
            };
            commands::add(text(args, "name")?, help.unwrap_or_default(), usage.unwrap_or_default(), told)
                .await
                .map(Value::from)
        }
        "remove" => commands::remove(text(args, "name")?).await.map(Value::from),
        _ => Err(unknown(function)),
    }
}
