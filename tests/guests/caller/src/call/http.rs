//! The calls of `http`. They bypass the SDK, which closes by itself what an order leaves open.

use parlor_sdk::bindings::parlor::plugin::http;
use parlor_sdk::prelude::*;

use super::{arg, parts, text, unknown};

/// As bytes, the bodies would be lists of numbers in JSON: they are texts here.
pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let exchange = || arg::<u64>(args, "exchange");
    match function {
        "fetch" => {
            let answer = http::fetch(request(args)?).await?;
            // An event carries 256 KiB.
            let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(10_000)]);
            let (headers, size) = (shown(&answer.headers), answer.body.len());
            Ok(json!({ "status": answer.status, "url": answer.url, "headers": headers, "body": body, "size": size }))
        }
        "open" => http::open(request(args)?).await.map_err(Error::from).map(Value::from),
        "write" => {
            let exchange = exchange()?;
            parts::write(args, |part| http::write(exchange, part)).await
        }
        "answer" => {
            let head = http::answer(exchange()?).await?;
            Ok(json!({ "status": head.status, "headers": shown(&head.headers) }))
        }
        "read" => {
            let exchange = exchange()?;
            parts::read(args, || http::read(exchange)).await
        }
        "close" => http::close(exchange()?).map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}

fn request(args: &Value) -> Result<http::Request> {
    let headers = arg::<Option<Vec<(String, String)>>>(args, "headers")?.unwrap_or_default();
    Ok(http::Request {
        method: arg::<Option<String>>(args, "method")?.unwrap_or_else(|| "GET".to_owned()),
        url: text(args, "url")?,
        headers: headers.into_iter().map(|(name, value)| http::Header { name, value }).collect(),
        body: arg::<Option<String>>(args, "body")?.map(String::into_bytes),
        credentials: arg::<Option<Vec<String>>>(args, "credentials")?.unwrap_or_default(),
        follow: arg::<Option<u8>>(args, "follow")?.unwrap_or_default(),
        timeout: arg(args, "timeout")?,
    })
}

fn shown(headers: &[http::Header]) -> Value {
    headers.iter().map(|one| json!([one.name, one.value])).collect()
}
