//! The calls of `commands`.

use parlor_sdk::bindings::parlor::plugin::commands::{self as raw, Argument, Declaration, Kind, People};
use parlor_sdk::prelude::*;

use super::{arg, text, unknown};
use crate::heard;
use crate::json::payload;

/// Makes a call. A command that people give is reported under the number of the order that added it.
pub(super) async fn call(n: u64, function: &str, args: &Value) -> Result<Value> {
    match function {
        "add" => {
            let (help, usage) = (arg::<Option<String>>(args, "help")?, arg::<Option<String>>(args, "usage")?);
            let told = move |command: Command| report(n, command);
            commands::add(text(args, "name")?, help.unwrap_or_default(), usage.unwrap_or_default(), told)
                .await
                .map(Value::from)
        }
        "declare" => declare(n, args).await.map(Value::from),
        // Without the SDK, which answers only forms that it heard of.
        "answer" => {
            let (form, said) = (text(args, "form")?, text(args, "text")?);
            let more = arg::<Option<bool>>(args, "more")?.unwrap_or_default();
            raw::answer(form, said, more).await.map_err(Error::from).map(Value::from)
        }
        "remove" => commands::remove(text(args, "name")?).await.map(Value::from),
        _ => Err(unknown(function)),
    }
}

async fn report(n: u64, command: Command) -> Result<()> {
    heard(n, json!({ "name": "command", "payload": payload(&Payload::Command(command)) })).await
}

/// Bypasses the SDK, which could not say everything that is wrong.
async fn declare(n: u64, args: &Value) -> Result<()> {
    let wanted = declaration(args)?;
    let short = wanted.name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let subscription = on("command").run(move |command: Command| {
        let is_meant = command.name == short;
        async move { if is_meant { report(n, command).await } else { Ok(()) } }
    })?;
    if let Err(error) = raw::declare(wanted).await {
        subscription.end()?;
        return Err(error.into());
    }
    Ok(())
}

fn declaration(args: &Value) -> Result<Declaration> {
    let (arguments, allow) = (list(args, "arguments")?, list(args, "allow")?);
    Ok(Declaration {
        name: text(args, "name")?,
        help: arg::<Option<_>>(args, "help")?.unwrap_or_default(),
        aliases: arg::<Option<_>>(args, "aliases")?.unwrap_or_default(),
        arguments: arguments.iter().map(argument).collect::<Result<_>>()?,
        allow: allow.iter().map(people).collect::<Result<_>>()?,
        person_cooldown: arg::<Option<_>>(args, "person-cooldown")?.unwrap_or_default(),
        room_cooldown: arg::<Option<_>>(args, "room-cooldown")?.unwrap_or_default(),
        place: arg(args, "place")?,
    })
}

fn list(args: &Value, name: &str) -> Result<Vec<Value>> {
    Ok(arg::<Option<_>>(args, name)?.unwrap_or_default())
}

fn argument(args: &Value) -> Result<Argument> {
    Ok(Argument {
        name: text(args, "name")?,
        kind: kind(args)?,
        optional: arg::<Option<_>>(args, "optional")?.unwrap_or_default(),
        default: arg(args, "default")?,
        named: arg::<Option<_>>(args, "named")?.unwrap_or_default(),
        help: arg::<Option<_>>(args, "help")?.unwrap_or_default(),
        page: arg(args, "page")?,
    })
}

/// The kind is `text` and the like, or has its bounds or words: `integer: [1, 6]`, `choice: ["red"]`.
fn kind(args: &Value) -> Result<Kind> {
    if let Some(bounds) = arg::<Option<_>>(args, "integer")? {
        return Ok(Kind::Integer(bounds));
    }
    if let Some(bounds) = arg::<Option<_>>(args, "number")? {
        return Ok(Kind::Number(bounds));
    }
    if let Some(words) = arg::<Option<_>>(args, "choice")? {
        return Ok(Kind::Choice(words));
    }
    match arg::<Option<String>>(args, "kind")?.as_deref() {
        None | Some("text") => Ok(Kind::Text),
        Some("duration") => Ok(Kind::Duration),
        Some("date") => Ok(Kind::Date),
        Some("time") => Ok(Kind::Time),
        Some("jid") => Ok(Kind::Jid),
        Some("flag") => Ok(Kind::Flag),
        Some("rest") => Ok(Kind::Rest),
        Some(other) => Err(unknown(other)),
    }
}

/// People are `contacts` or `owners`, or `[group, NAME]` and the like.
fn people(one: &Value) -> Result<People> {
    let word = |at: usize| one.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    match one.as_str().unwrap_or(&word(0)) {
        "contacts" => Ok(People::Contacts),
        "owners" => Ok(People::Owners),
        "group" => Ok(People::Group(word(1))),
        "jid" => Ok(People::Jid(word(1))),
        "role" => Ok(People::Role(word(1))),
        "affiliation" => Ok(People::Affiliation(word(1))),
        other => Err(unknown(other)),
    }
}
