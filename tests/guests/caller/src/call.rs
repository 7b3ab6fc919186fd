//! Makes a call from its name and its JSON arguments, and converts the result to JSON.

mod archive;
mod chats;
mod commands;
mod connection;
mod contacts;
mod dialogs;
mod disco;
mod files;
mod hooks;
mod http;
mod iq;
mod parts;
mod plugins;
mod pubsub;
mod rooms;
mod schedules;
mod storage;
mod user;
mod vcard;
mod webhooks;

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;

use parlor_sdk::bindings::parlor::plugin;
use parlor_sdk::listen::Listen;
use parlor_sdk::log::{self, Level};
use parlor_sdk::prelude::*;
use parlor_sdk::stanza::{self, Element, ns};
use parlor_sdk::types::{Extensions, Fallback, File, LinkPreview, Moderated, Reactions, Reply};
use serde::de::DeserializeOwned;

use crate::json::{event, option, payload};
use crate::{NOTED, SET, Set, heard};

/// Makes the call. `n` is the order's number, for subscriptions and timers that outlive the order.
pub(crate) async fn call(n: u64, name: &str, args: &Value) -> Result<Value> {
    let (grouping, function) = name.split_once('.').ok_or_else(|| unknown(name))?;
    match grouping {
        "api" => call_api(function, args).await,
        "archive" => archive::call(n, function, args).await,
        "chats" => chats::call(function, args).await,
        "chatviews" => chats::call_views(function, args),
        "commands" => commands::call(n, function, args).await,
        "connection" => connection::call(function).await,
        "contacts" => contacts::call(function, args).await,
        "dialogs" => dialogs::call(n, function, args).await,
        "disco" => disco::call(function, args).await,
        "files" => files::call(function, args).await,
        "hooks" => hooks::call(function, args).await,
        "http" => http::call(function, args).await,
        "iq" => iq::call(function, args).await,
        "listen" => call_listen(n, function, args),
        "log" => call_log(function, args),
        "plugins" => plugins::call(function, args).await,
        "promises" => call_promises(function, args).await,
        "pubsub" => pubsub::call(function, args).await,
        "rooms" => rooms::call(function, args).await,
        "schedules" => schedules::call(function, args).await,
        "settings" => call_settings(function, args).await,
        "timers" => call_timers(n, function, args).await,
        "storage" => storage::call(function, args).await,
        "tokens" => call_tokens(function, args),
        "user" => user::call(function, args).await,
        "vcard" => vcard::call(function, args).await,
        "webhooks" => webhooks::call(function, args).await,
        "action" => action(n, function, args).await,
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Error {
    Error::other(format_args!("no such call: {name}"))
}

/// Returns the text of `{"$raw": …}`: invalid JSON, which the SDK would never write.
fn raw_json(value: &Value) -> Option<String> {
    value.get("$raw").and_then(Value::as_str).map(str::to_owned)
}

/// Serializes a value as JSON, or returns its raw text.
fn json_text(value: &Value) -> String {
    raw_json(value).unwrap_or_else(|| value.to_string())
}

/// Parses settings with their values.
fn settings_of(args: &Value) -> Result<Vec<(String, String)>> {
    let values = arg::<Vec<(String, Value)>>(args, "values")?;
    Ok(values.into_iter().map(|(key, value)| (key, json_text(&value))).collect())
}

/// Parses an argument; a missing one reads as `null`.
fn arg<T: DeserializeOwned>(args: &Value, name: &str) -> Result<T> {
    T::deserialize(args.get(name).unwrap_or(&Value::Null))
        .map_err(|error| Error::other(format_args!("{name}: {error}")))
}

fn text(args: &Value, name: &str) -> Result<String> {
    arg(args, name)
}

fn texts(args: &Value, name: &str) -> Result<Vec<String>> {
    arg(args, name)
}

async fn call_api(function: &str, args: &Value) -> Result<Value> {
    match function {
        "emit" => {
            let (name, payload) = (text(args, "name")?, arg::<Value>(args, "payload")?);
            match raw_json(&payload) {
                Some(raw) => plugin::api::emit(name, Some(raw)).await.map_err(Error::from).map(Value::from),
                None => emit(name, payload).await.map(Value::from),
            }
        }
        "send" => api::send(text(args, "stanza")?).await.map(Value::from),
        "send-iq" => api::send_iq(text(args, "iq")?).await.map(Value::from),
        "wait-until" => wait_until(text(args, "promise")?).await.map(|one| payload(&one)),
        _ => Err(unknown(function)),
    }
}

fn call_listen(n: u64, function: &str, args: &Value) -> Result<Value> {
    let subscription = match function {
        "on" => filtered(args)?.run(move |one: Event| heard(n, event(&one)))?,
        "once" => filtered(args)?.once(move |one: Event| heard(n, event(&one)))?,
        // Reports the event, and returns only when the promise is settled.
        "on-and-wait" => {
            let promise = text(args, "promise")?;
            filtered(args)?.run(move |one: Event| {
                let promise = promise.clone();
                async move {
                    heard(n, event(&one)).await?;
                    wait_until(promise).await.map(drop)
                }
            })?
        }
        // Gives this verdict at once, and then reports the event.
        "on-and-judge" => {
            let verdict = arg::<Value>(args, "verdict")?;
            filtered(args)?.run(move |one: Event| {
                let verdict = verdict.clone();
                async move {
                    hooks::judge(&one, &verdict).await?;
                    heard(n, event(&one)).await
                }
            })?
        }
        // Unsubscribes by the number that the host uses.
        "not" if args.get("subscription").is_some() => {
            return plugin::listen::not(arg(args, "subscription")?).map_err(Error::from).map(Value::from);
        }
        "not" => return end(arg(args, "order")?).map(Value::from),
        _ => return Err(unknown(function)),
    };
    SET.with_borrow_mut(|set| set.insert(n, Set::Subscription(subscription)));
    Ok(Value::Null)
}

/// Ends the subscription or timer that this order set. It stays known, so that the host can refuse a second end.
fn end(order: u64) -> Result<()> {
    match SET.with_borrow(|set| set.get(&order).copied()) {
        Some(Set::Subscription(subscription)) => subscription.end(),
        Some(Set::Timer(timer)) => timer.cancel(),
        None => Err(Error::other(format_args!("order {order} set nothing"))),
    }
}

fn filtered(args: &Value) -> Result<Listen> {
    let mut listen = on(text(args, "name")?);
    if let Some(from) = arg::<Option<String>>(args, "from")? {
        listen = listen.from(from);
    }
    if let Some(room) = arg::<Option<String>>(args, "room")? {
        listen = listen.room(room);
    }
    if let Some(kind) = arg::<Option<String>>(args, "kind")? {
        listen = listen.kind(kind);
    }
    if let Some(prefix) = arg::<Option<String>>(args, "prefix")? {
        listen = listen.prefix(prefix);
    }
    if let Some(webhook) = arg::<Option<String>>(args, "webhook")? {
        listen = listen.webhook(webhook);
    }
    if let Some(schedule) = arg::<Option<String>>(args, "schedule")? {
        listen = listen.schedule(schedule);
    }
    let wants = |name| arg::<Option<bool>>(args, name).map(Option::unwrap_or_default);
    if wants("own")? {
        listen = listen.with_own();
    }
    if wants("delayed")? {
        listen = listen.with_delayed();
    }
    if wants("xml")? {
        listen = listen.with_xml();
    }
    Ok(listen)
}

fn call_log(function: &str, args: &Value) -> Result<Value> {
    let level = match text(args, "level")?.as_str() {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warn" => Level::Warn,
        "error" => Level::Error,
        "fatal" => Level::Fatal,
        other => return Err(unknown(other)),
    };
    if function != "write" {
        return Err(unknown(function));
    }
    for _ in 0..arg::<Option<u32>>(args, "times")?.unwrap_or(1) {
        log::write(level, &text(args, "message")?);
    }
    Ok(Value::Null)
}

async fn call_promises(function: &str, args: &Value) -> Result<Value> {
    match function {
        "add" => promises::add(text(args, "name")?).await.map(Value::from),
        "add-all" => promises::add_all(texts(args, "names")?).await.map(Value::from),
        "reject" => promises::reject(text(args, "name")?, text(args, "reason")?).await.map(Value::from),
        _ => Err(unknown(function)),
    }
}

/// Builds a message from `body`, `subject`, `thread` and the fields of `extensions`.
fn outgoing(args: &Value) -> Result<Outgoing> {
    let carried = args.get("extensions").map(extensions).transpose()?;
    Ok(Outgoing {
        body: arg(args, "body")?,
        subject: arg(args, "subject")?,
        thread: arg(args, "thread")?,
        extensions: carried,
        encryption: arg(args, "encryption")?,
    })
}

fn extensions(args: &Value) -> Result<Extensions> {
    // The id alone, or with the author, as a list or by name.
    let reply = match args.get("reply") {
        Some(Value::String(id)) => Some(Reply { id: id.clone(), to: None }),
        Some(named @ Value::Object(_)) => Some(Reply { id: text(named, "id")?, to: arg(named, "to")? }),
        _ => arg::<Option<(String, Option<String>)>>(args, "reply")?.map(|(id, to)| Reply { id, to }),
    };
    let reactions = match args.get("reactions") {
        Some(named @ Value::Object(_)) => Some((text(named, "id")?, texts(named, "emojis")?)),
        _ => arg::<Option<(String, Vec<String>)>>(args, "reactions")?,
    };
    let reactions = reactions.map(|(id, emojis)| Reactions { id, emojis });
    let fallback = arg::<Option<Vec<(Option<String>, Option<(u32, u32)>)>>>(args, "fallback")?.unwrap_or_default();
    let list = |name| arg::<Option<Vec<Value>>>(args, name).map(Option::unwrap_or_default);
    let (files, previews) = (list("files")?, list("previews")?);
    Ok(Extensions {
        thread_parent: arg(args, "thread-parent")?,
        reply,
        fallback: fallback.into_iter().map(|(feature, part)| Fallback { feature, part }).collect(),
        replace: arg(args, "replace")?,
        retract: arg(args, "retract")?,
        moderated: args.get("moderated").filter(|one| !one.is_null()).map(moderated).transpose()?,
        reactions,
        receipt_requested: arg::<Option<bool>>(args, "receipt-requested")?.unwrap_or_default(),
        receipt: arg(args, "receipt")?,
        markable: arg::<Option<bool>>(args, "markable")?.unwrap_or_default(),
        marker: arg(args, "marker")?,
        marked: arg(args, "marked")?,
        chat_state: arg(args, "chat-state")?,
        hints: arg::<Option<Vec<String>>>(args, "hints")?.unwrap_or_default(),
        files: files.iter().map(file).collect::<Result<_>>()?,
        unstyled: arg::<Option<bool>>(args, "unstyled")?.unwrap_or_default(),
        spoiler: arg(args, "spoiler")?,
        previews: previews.iter().map(preview).collect::<Result<_>>()?,
    })
}

fn moderated(args: &Value) -> Result<Moderated> {
    Ok(Moderated {
        id: text(args, "id")?,
        by: arg(args, "by")?,
        occupant_id: arg(args, "occupant-id")?,
        reason: arg(args, "reason")?,
    })
}

fn preview(args: &Value) -> Result<LinkPreview> {
    Ok(LinkPreview {
        url: text(args, "url")?,
        title: arg(args, "title")?,
        description: arg(args, "description")?,
        image: arg(args, "image")?,
    })
}

fn file(args: &Value) -> Result<File> {
    Ok(File {
        url: text(args, "url")?,
        name: arg(args, "name")?,
        media_type: arg(args, "media-type")?,
        size: arg(args, "size")?,
    })
}

async fn call_settings(function: &str, args: &Value) -> Result<Value> {
    match function {
        "get" => Ok(settings::get::<Value>(text(args, "key")?)?.map_or(Value::Null, |value| json!({ "value": value }))),
        "get-in" => {
            let value = settings::get_in::<Value>(text(args, "room")?, text(args, "key")?)?;
            Ok(value.map_or(Value::Null, |value| json!({ "value": value })))
        }
        "set" => {
            let (key, value) = (text(args, "key")?, arg::<Value>(args, "value")?);
            match raw_json(&value) {
                Some(raw) => plugin::settings::set(key, raw).await.map_err(Error::from).map(Value::from),
                None => settings::set(key, value).await.map(Value::from),
            }
        }
        "set-many" => plugin::settings::set_many(settings_of(args)?).await.map_err(Error::from).map(Value::from),
        "update" => plugin::settings::update(settings_of(args)?).await.map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}

async fn call_timers(n: u64, function: &str, args: &Value) -> Result<Value> {
    let time = || arg(args, "milliseconds").map(Duration::from_millis);
    let fired = move || heard(n, json!({ "name": "timer" }));
    let timer = match function {
        "sleep" => {
            timers::sleep(time()?).await;
            return Ok(Value::Null);
        }
        "after" => timers::after(time()?, fired)?,
        "every" => timers::every(time()?, fired)?,
        "cancel" if args.get("timer").is_some() => {
            return plugin::timers::cancel(arg(args, "timer")?).map_err(Error::from).map(Value::from);
        }
        "cancel" => return end(arg(args, "order")?).map(Value::from),
        _ => return Err(unknown(function)),
    };
    SET.with_borrow_mut(|set| set.insert(n, Set::Timer(timer)));
    Ok(Value::Null)
}

fn call_tokens(function: &str, args: &Value) -> Result<Value> {
    match function {
        "get" => Ok(option(tokens::get(text(args, "name")?)?, |token| token.as_str().into())),
        _ => Err(unknown(function)),
    }
}

/// Performs actions that are more than one call, for tests of limits.
async fn action(n: u64, function: &str, args: &Value) -> Result<Value> {
    let times = arg::<Option<u32>>(args, "times")?.unwrap_or(1);
    match function {
        // Waits for the promise this often at once, and counts each outcome.
        "wait-until" => {
            let promise = text(args, "promise")?;
            Ok(counted(all((0..times).map(|_| wait_until(&promise)).collect()).await))
        }
        // Alternates between computing and waiting.
        "work" => {
            for round in 0..times {
                for step in 0..2_000_000_u64 {
                    black_box(step ^ u64::from(round));
                }
                timers::sleep(Duration::ZERO).await;
            }
            Ok(n.into())
        }
        // Sends an IQ this often without waiting for the answers, and counts how many were accepted.
        "ask-and-give-up" => {
            let iq = text(args, "iq")?;
            let mut outcomes = Vec::new();
            for _ in 0..times {
                outcomes.push(for_a_moment(api::send_iq(&iq)).await);
            }
            Ok(counted(outcomes))
        }
        // Sends this many messages at once. Returns how many were sent, and why the others were not.
        "send" => {
            let jid = text(args, "jid")?;
            let length = arg::<Option<usize>>(args, "length")?.unwrap_or(0);
            let sends = (0..times).map(|number| parlor_sdk::chats::send(&jid, format!("{number:0length$}"))).collect();
            Ok(counted(all(sends).await))
        }
        // Fires this many events at once. Returns how many were fired, and why the others were not.
        "emit" => {
            let name = text(args, "name")?;
            Ok(counted(all((0..times).map(|number| emit(&name, number)).collect()).await))
        }
        // Sends a stanza that the builder makes from these texts.
        "build" => {
            let body = Element::new("body").text(text(args, "body")?);
            let message = stanza::message().to(text(args, "jid")?).attr("type", "chat").attr("id", text(args, "id")?);
            api::send(message.child(Element::new("attention").ns(ns::ATTENTION)).child(body)).await.map(Value::from)
        }
        "noted" => Ok(NOTED.with_borrow(Clone::clone).into()),
        "panic" => panic!("told to"),
        // Waits this often at once, and never returns.
        "sleep" => {
            let sleeps = (0..times).map(|_| async {
                timers::sleep(Duration::from_hours(1)).await;
                Ok(())
            });
            Ok(counted(all(sleeps.collect()).await))
        }
        // Searches its memory for these words. They are masked byte by byte, so that the order itself does not contain
        // them.
        "search" => Ok(crate::memory::found(&arg::<Vec<Vec<u8>>>(args, "masked")?).into()),
        _ => Err(unknown(function)),
    }
}

/// Returns how many calls succeeded, how many failed, and the first error.
fn counted<T>(outcomes: Vec<Result<T>>) -> Value {
    let total = outcomes.len();
    let mut errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    let failed = errors.len();
    let error = errors.drain(..).next();
    json!({ "came": total - failed, "failed": failed, "error": option(error, crate::json::error) })
}

/// Gives up a call that does not end at once.
async fn for_a_moment<T>(call: impl Future<Output = Result<T>>) -> Result<()> {
    let (mut call, mut moment) = (pin!(call), pin!(timers::sleep(Duration::from_millis(100))));
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result.map(drop)),
        Poll::Pending => moment.as_mut().poll(context).map(Ok),
    })
    .await
}

/// Polls all futures until each has completed.
async fn all<T>(waits: Vec<impl Future<Output = Result<T>>>) -> Vec<Result<T>> {
    let mut waits: Vec<_> = waits.into_iter().map(|wait| (Box::pin(wait), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (wait, outcome) in &mut waits {
            if outcome.is_none() {
                match wait.as_mut().poll(context) {
                    Poll::Ready(result) => *outcome = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    waits.into_iter().filter_map(|(_, outcome)| outcome).collect()
}
