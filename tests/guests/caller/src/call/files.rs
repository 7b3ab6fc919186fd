//! The calls of `files`. They bypass the SDK, which closes by itself what an order leaves open.

use parlor_sdk::bindings::parlor::plugin::files;
use parlor_sdk::prelude::*;

use super::{arg, parts, text, unknown};
use crate::json::file;

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let transfer = || arg::<u64>(args, "transfer");
    match function {
        "upload" => {
            let upload = files::upload(text(args, "name")?, text(args, "media-type")?, arg(args, "size")?);
            upload.await.map_err(Error::from).map(Value::from)
        }
        "upload-encrypted" => {
            let upload = files::upload_encrypted(text(args, "name")?, text(args, "media-type")?, arg(args, "size")?);
            upload.await.map_err(Error::from).map(Value::from)
        }
        "write" => {
            let transfer = transfer()?;
            parts::write(args, |part| files::write(transfer, part)).await
        }
        "finish" => Ok(file(&files::finish(transfer()?).await?)),
        "open" => {
            let opened = files::open(text(args, "url")?).await?;
            Ok(json!({ "transfer": opened.transfer, "size": opened.size, "media-type": opened.media_type }))
        }
        "read" => {
            let transfer = transfer()?;
            parts::read(args, || files::read(transfer)).await
        }
        "close" => files::close(transfer()?).map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}
