//! The calls of `webhooks`. They bypass the SDK, which answers only requests that it heard.

use parlor_sdk::bindings::parlor::plugin::webhooks::{self, Response};
use parlor_sdk::prelude::*;
use parlor_sdk::types::Header;

use super::{arg, text, unknown};

/// As bytes, the bodies would be lists of numbers in JSON: they are texts here.
pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    match function {
        "answer" => {
            let headers = arg::<Option<Vec<(String, String)>>>(args, "headers")?.unwrap_or_default();
            let response = Response {
                status: arg::<Option<u16>>(args, "status")?.unwrap_or(200),
                headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
                body: arg::<Option<String>>(args, "body")?.unwrap_or_default().into_bytes(),
            };
            webhooks::answer(text(args, "id")?, response).await.map_err(Error::from).map(Value::from)
        }
        "address" => webhooks::address(text(args, "name")?).await.map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}
