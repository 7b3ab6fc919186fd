//! The calls of `rooms`.

use parlor_sdk::bindings::parlor::plugin;
use parlor_sdk::prelude::*;
use parlor_sdk::rooms::{Attributes, Bookmark, ConfigValue, History, Invitation};

use super::{arg, outgoing, raw_json, text, texts, unknown};
use crate::json::{each, occupant, option, room};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let jid = || text(args, "jid");
    let reason = arg::<Option<String>>(args, "reason")?;
    let reason = reason.as_deref();
    Ok(match function {
        "get" => option(rooms::get(jid()?)?, room),
        "get-many" => rooms::get_many(texts(args, "jids")?)?.into_iter().map(|one| option(one, room)).collect(),
        "get-all" => rooms::get_all()?.iter().map(room).collect(),
        "get-or-create" => {
            let create = arg::<Option<bool>>(args, "create")?.unwrap_or_default();
            option(rooms::get_with(jid()?, attributes(args)?, create).await?, room)
        }
        "open" => room(&rooms::open(jid()?, attributes(args)?).await?),
        "open-many" => each(rooms::open_many(texts(args, "jids")?, attributes(args)?).await?, |one| room(&one)),
        "close" => rooms::close(jid()?).await.map(Value::from)?,
        "close-many" => each(rooms::close_many(texts(args, "jids")?).await?, Value::from),
        "send" => rooms::send(jid()?, outgoing(args)?).await.map(Value::from)?,
        "occupants" => rooms::occupants(jid()?)?.iter().map(occupant).collect(),
        "focus" => rooms::focus(jid()?).await.map(Value::from)?,
        "show" => rooms::show(jid()?).await.map(Value::from)?,
        "maximize" => rooms::maximize(jid()?).await.map(Value::from)?,
        "minimize" => rooms::minimize(jid()?).await.map(Value::from)?,
        "get-attribute" => rooms::get_attribute::<Value>(jid()?, text(args, "name")?)?.unwrap_or_default(),
        "set-attribute" => {
            let (name, value) = (text(args, "name")?, arg::<Value>(args, "value")?);
            match raw_json(&value) {
                Some(raw) => plugin::rooms::set_attribute(jid()?, name, raw).await?.into(),
                None => rooms::set_attribute(jid()?, name, value).await.map(Value::from)?,
            }
        }
        "set-subject" => rooms::set_subject(jid()?, text(args, "subject")?).await.map(Value::from)?,
        "set-role" => {
            // Bypasses the SDK, whose types cannot express an invalid role.
            let (nick, role, reason) = (text(args, "nick")?, text(args, "role")?, reason.map(str::to_owned));
            plugin::rooms::set_role(jid()?, nick, role, reason).await?.into()
        }
        "set-affiliation" => {
            let (user, affiliation) = (text(args, "user")?, text(args, "affiliation")?);
            plugin::rooms::set_affiliation(jid()?, user, affiliation, reason.map(str::to_owned)).await?.into()
        }
        "affiliations" => {
            let people = plugin::rooms::affiliations(jid()?, text(args, "affiliation")?).await?;
            let shown = people.iter().map(
                |one| json!({ "jid": one.jid, "affiliation": one.affiliation, "nick": one.nick, "reason": one.reason }),
            );
            shown.collect()
        }
        "kick" => rooms::kick(jid()?, text(args, "nick")?, reason).await.map(Value::from)?,
        "ban" => rooms::ban(jid()?, text(args, "user")?, reason).await.map(Value::from)?,
        "retract" => rooms::retract(jid()?, text(args, "id")?, reason).await.map(Value::from)?,
        "invite" => {
            let invitation = Invitation {
                reason: reason.map(str::to_owned),
                direct: arg::<Option<bool>>(args, "direct")?.unwrap_or_default(),
                password: arg(args, "password")?,
            };
            rooms::invite(jid()?, text(args, "user")?, invitation).await.map(Value::from)?
        }
        "decline" => rooms::decline(jid()?, text(args, "inviter")?, reason).await.map(Value::from)?,
        "configure" => rooms::configure(jid()?, fields(args, "fields")?).await.map(Value::from)?,
        "destroy" => {
            let alternative = arg::<Option<String>>(args, "alternative")?;
            rooms::destroy(jid()?, reason, alternative.as_deref()).await.map(Value::from)?
        }
        "bookmarks" => rooms::bookmarks()?.iter().map(bookmark).collect(),
        "set-bookmark" => {
            let bookmark = Bookmark {
                jid: jid()?,
                name: arg(args, "name")?,
                autojoin: arg::<Option<bool>>(args, "autojoin")?.unwrap_or_default(),
                nick: arg(args, "nick")?,
                password: arg(args, "password")?,
            };
            rooms::set_bookmark(bookmark).await.map(Value::from)?
        }
        "remove-bookmark" => rooms::remove_bookmark(jid()?).await.map(Value::from)?,
        _ => return standing(function, args).await,
    })
}

/// Makes a call about voice or registration.
async fn standing(function: &str, args: &Value) -> Result<Value> {
    let jid = || text(args, "jid");
    Ok(match function {
        "request-voice" => rooms::request_voice(jid()?).await.map(Value::from)?,
        "answer-voice" => {
            let allow = arg::<Option<bool>>(args, "allow")?.unwrap_or_default();
            rooms::answer_voice(jid()?, text(args, "nick")?, allow).await.map(Value::from)?
        }
        "register" => rooms::register(jid()?, text(args, "nick")?, fields(args, "fields")?).await.map(Value::from)?,
        "unregister" => rooms::unregister(jid()?).await.map(Value::from)?,
        "reserved-nick" => rooms::reserved_nick(jid()?).await?.into(),
        _ => return Err(unknown(function)),
    })
}

fn attributes(args: &Value) -> Result<Attributes> {
    let flag = |name| arg::<Option<bool>>(args, name).map(Option::unwrap_or_default);
    let history = args.get("history").filter(|history| !history.is_null());
    Ok(Attributes {
        nick: arg(args, "nick")?,
        password: arg(args, "password")?,
        history: history.map(past).transpose()?,
        auto_configure: flag("auto-configure")?,
        roomconfig: fields(args, "roomconfig")?,
        maximize: flag("maximize")?,
        bring_to_foreground: flag("bring-to-foreground")?,
    })
}

fn past(args: &Value) -> Result<History> {
    Ok(History {
        max_chars: arg(args, "max-chars")?,
        max_stanzas: arg(args, "max-stanzas")?,
        seconds: arg(args, "seconds")?,
        since: arg(args, "since")?,
    })
}

/// Parses fields of a configuration: `[[name, true | "text" | ["several", "texts"]], …]`.
fn fields(args: &Value, name: &str) -> Result<Vec<(String, ConfigValue)>> {
    let fields = arg::<Option<Vec<(String, Value)>>>(args, name)?.unwrap_or_default();
    let value = |value| match value {
        Value::Bool(flag) => Ok(ConfigValue::Flag(flag)),
        Value::String(text) => Ok(ConfigValue::Text(text)),
        other => arg(&json!({ "value": other }), "value").map(ConfigValue::Texts),
    };
    fields.into_iter().map(|(name, given)| Ok((name, value(given)?))).collect()
}

fn bookmark(one: &Bookmark) -> Value {
    json!({
        "jid": one.jid, "name": one.name, "autojoin": one.autojoin, "nick": one.nick, "password": one.password,
    })
}
