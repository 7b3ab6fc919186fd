//! The calls of `vcard`.

use parlor_sdk::prelude::*;
use parlor_sdk::vcard::{self, Card, CardData};

use super::{arg, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let force = arg::<Option<bool>>(args, "force")?.unwrap_or_default();
    match function {
        "get" if force => vcard::get_again(text(args, "jid")?).await.map(|one| card(&one)),
        "get" => vcard::get(text(args, "jid")?).await.map(|one| card(&one)),
        "set" => vcard::set(data(args)?).await.map(Value::from),
        "update" if force => vcard::update_again(text(args, "jid")?).await.map(Value::from),
        "update" => vcard::update(text(args, "jid")?).await.map(Value::from),
        _ => Err(unknown(function)),
    }
}

fn card(card: &Card) -> Value {
    json!({
        "fn": card.fn_, "nickname": card.nickname, "url": card.url, "role": card.role, "email": card.email,
        "image": card.image, "image-type": card.image_type, "vcard-updated": card.vcard_updated,
    })
}

fn data(args: &Value) -> Result<CardData> {
    Ok(CardData {
        jid: arg(args, "jid")?,
        fn_: arg(args, "fn")?,
        nickname: arg(args, "nickname")?,
        url: arg(args, "url")?,
        role: arg(args, "role")?,
        email: arg(args, "email")?,
        image: arg(args, "image")?,
        image_type: arg(args, "image-type")?,
    })
}
