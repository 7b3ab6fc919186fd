//! The calls of `http`.

use parlor_sdk::bindings::parlor::plugin::http;
use parlor_sdk::prelude::*;

use super::{arg, text, unknown};

/// As bytes, the bodies would be lists of numbers in JSON: they are texts here.
pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    if function != "fetch" {
        return Err(unknown(function));
    }
    let headers = arg::<Option<Vec<(String, String)>>>(args, "headers")?.unwrap_or_default();
    let answer = http::fetch(http::Request {
        method: arg::<Option<String>>(args, "method")?.unwrap_or_else(|| "GET".to_owned()),
        url: text(args, "url")?,
        headers: headers.into_iter().map(|(name, value)| http::Header { name, value }).collect(),
        body: arg::<Option<String>>(args, "body")?.map(String::into_bytes),
        credentials: arg::<Option<Vec<String>>>(args, "credentials")?.unwrap_or_default(),
        follow: arg::<Option<u8>>(args, "follow")?.unwrap_or_default(),
        timeout: arg(args, "timeout")?,
    })
    .await?;
    let headers = answer.headers.iter().map(|one| json!([one.name, one.value])).collect::<Vec<_>>();
    // An event carries 256 KiB.
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(10_000)]);
    let size = answer.body.len();
    Ok(json!({ "status": answer.status, "url": answer.url, "headers": headers, "body": body, "size": size }))
}
