//! The calls of `user`.

use parlor_sdk::prelude::*;
use parlor_sdk::user;

use super::{arg, text, unknown};
use crate::json::status;

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    match function {
        "jid" => Ok(user::jid().into()),
        "bare-jid" => Ok(user::bare_jid().into()),
        "get-status" => Ok(status(&user::get_status()?)),
        "set-status" => {
            let message = arg::<Option<String>>(args, "message")?;
            user::set_status(text(args, "value")?, message.as_deref()).await.map(Value::from)
        }
        "set-status-message" => user::set_status_message(text(args, "message")?).await.map(Value::from),
        "login" => match arg::<Option<String>>(args, "jid")? {
            None => user::login().await.map(Value::from),
            Some(jid) => user::login_with(jid, text(args, "password")?).await.map(Value::from),
        },
        "logout" => user::logout().await.map(Value::from),
        _ => Err(unknown(function)),
    }
}
