//! The calls of `disco`.

use parlor_sdk::prelude::*;

use super::{arg, text, unknown};
use crate::json::option;

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    Ok(match function {
        "own-features-add" => disco::own_features_add(text(args, "name")?).await?.into(),
        "own-features-get" => disco::own_features_get()?.into(),
        "own-identities-add" => {
            let (category, kind, name) = (text(args, "category")?, text(args, "kind")?, text(args, "name")?);
            let lang = arg::<Option<String>>(args, "lang")?;
            disco::own_identities_add(category, kind, name, lang.as_deref()).await?.into()
        }
        "own-identities-get" => disco::own_identities_get()?.iter().map(identity).collect(),
        "own-identities-clear" => disco::own_identities_clear().await.map(Value::from)?,
        "get-identity" => {
            let (category, kind, jid) = (text(args, "category")?, text(args, "kind")?, text(args, "jid")?);
            option(disco::get_identity(category, kind, jid).await?, identity)
        }
        "supports" => {
            let support = disco::supports(text(args, "feature")?, text(args, "jid")?).await?;
            let feature = option(support.feature, |one| json!({ "var": one.var, "entity": one.entity }));
            json!({ "supported": support.supported, "feature": feature })
        }
        "last-activity" => {
            let activity = disco::last_activity(text(args, "jid")?).await?;
            json!({ "seconds": activity.seconds, "status": activity.status })
        }
        "time" => {
            let clock = disco::time(text(args, "jid")?).await?;
            json!({ "utc": clock.utc, "offset": clock.offset })
        }
        "version" => {
            let software = disco::version(text(args, "jid")?).await?;
            json!({ "name": software.name, "version": software.version, "os": software.os })
        }
        _ => return Err(unknown(function)),
    })
}

fn identity(one: &disco::Identity) -> Value {
    json!({ "category": one.category, "kind": one.kind, "name": one.name, "lang": one.lang })
}
