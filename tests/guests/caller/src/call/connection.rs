//! The calls of `connection`.

use parlor_sdk::connection;
use parlor_sdk::prelude::*;

use super::unknown;

pub(super) async fn call(function: &str) -> Result<Value> {
    match function {
        "connected" => Ok(connection::connected().into()),
        "disconnect" => connection::disconnect().await.map(Value::from),
        _ => Err(unknown(function)),
    }
}
