//! Makes the calls of `tests/suite/languages/calls` in Rust: those that few plugins make. A message names one, and its result
//! is sent to Alice.

mod entities;
mod people;

use std::cell::RefCell;
use std::collections::BTreeMap;

use parlor_sdk::commands::People;
use parlor_sdk::files::Upload;
use parlor_sdk::http::{Exchange, Part};
use parlor_sdk::prelude::*;
use parlor_sdk::pubsub::{NodeItem, NodeOptions};
use parlor_sdk::stanza::Element;
use parlor_sdk::types::File;

const NEWS: &str = "news@example.org";
const NODE: &str = "urn:example:news";
const ALICE: &str = "alice@example.org";
/// More bytes than the host takes of a body at once.
const MUCH: usize = (1 << 20) + 5;

thread_local! {
    /// The last request to a webhook.
    static LAST: RefCell<Option<Webhook>> = const { RefCell::new(None) };
}

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(told)?;
    on("message").kind("groupchat").prefix("rude").run(|message: Message| async move {
        let id = message.stanza_id.unwrap_or_default();
        match rooms::retract(&message.chat, id, Some("so it is")).await {
            Ok(()) => Ok(()),
            Err(error) => tell(error.to_string()).await,
        }
    })?;
    on("webhook").webhook("ask").run(|hook: Webhook| async move {
        let kind = hook.header("X-Kind").unwrap_or("-").to_owned();
        let (query, body) = (or_none(hook.query.as_deref()), hook.text());
        let text = if hook.path.as_deref() == Some("fields") {
            let of_body = |name: &str| webhooks::field(&*body, name).unwrap_or_else(|| "-".to_owned());
            let room = webhooks::field(hook.query.as_deref(), "room").unwrap_or_default();
            format!("{room}: {}, {}", of_body("payload"), of_body("none"))
        } else {
            format!("{} {} {query} {kind}: {body}", hook.method, or_none(hook.path.as_deref()))
        };
        let answer = webhooks::Answer::text(text).status(201).header("etag", "v1");
        LAST.replace(Some(hook.clone()));
        webhooks::answer(&hook, answer).await
    })?;
    on("webhook")
        .webhook("books")
        .run(|hook: Webhook| async move { webhooks::answer(&hook, webhooks::Answer::json(&12)?).await })?;
    judge()?;
    people::listen()?;
    entities::listen()?;
    on("pubsub-item").from(NEWS).run(|said: PubsubItem| async move {
        let (id, publisher) = (or_none(said.id.as_deref()), or_none(said.publisher.as_deref()));
        let xml = or_none(said.xml.as_deref());
        tell(format!("{} {} {} {id} {publisher} {xml}", said.kind, said.service, said.node)).await
    })?;
    commands::declare("double", "Doubles a number")
        .integer("number", -100..=100)
        .run(|command: Command| async move {
            command.progress("doubling").await?;
            timers::sleep(Duration::from_secs(20)).await;
            command.answer((command.integer("number")? * 2).to_string()).await
        })
        .await?;
    commands::declare("when", "Says when")
        .date("day")
        .time("at")
        .default("9:00")
        .run(|command: Command| async move {
            command.answer(format!("{} {}", command.date("day")?, command.time("at")?)).await
        })
        .await?;
    commands::declare("topic", "Works in rooms").place(commands::Place::Room).run(here).await?;
    commands::declare("vote", "Works in private").place(commands::Place::Private).run(here).await?;
    commands::declare("enter", "Lets some in")
        .alias("go")
        .allow(People::Group("staff".to_owned()))
        .allow(People::Jid("eve@example.org".to_owned()))
        .allow(Role::Moderator)
        .allow(Affiliation::Member)
        .allow(People::Owners)
        .room_cooldown(Duration::from_mins(1))
        .run(here)
        .await?;
    let knock = commands::declare("knock", "Lets contacts in").allow(People::Contacts);
    knock.person_cooldown(Duration::from_secs(30)).run(here).await
}

async fn here(command: Command) -> Result<()> {
    command.answer("here").await
}

fn judge() -> Result<()> {
    hooks::outgoing(|hook: Hook| async move {
        Ok(match hook.message.body.as_deref() {
            Some(body) if body.contains("secret") => hooks::Outgoing::stop("it names a secret"),
            Some(body) => hooks::Outgoing::body(format!("{body} (signed)")),
            None => hooks::Outgoing::Allow,
        })
    })?;
    hooks::incoming(|hook: Hook| async move {
        Ok(match hook.message.body.as_deref().unwrap_or_default() {
            body if body.contains("casino") => hooks::Incoming::Hide,
            body if body.contains("label") => hooks::Incoming::Mark("advertisement".to_owned()),
            _ => hooks::Incoming::Allow,
        })
    })?;
    hooks::commands(|hook: Hook| async move {
        let refuses = hook.args == ["no such", "secret"];
        Ok(if refuses { hooks::Command::refuse("not that") } else { hooks::Command::Allow })
    })?;
    Ok(())
}

/// Sends a text to Alice.
async fn tell(text: String) -> Result<()> {
    chats::send(ALICE, text).await.map(drop)
}

async fn told(message: Message) -> Result<()> {
    for file in message.files() {
        outcome(open(&file.url).await.map(Some)).await?;
    }
    let body = message.body.as_deref().unwrap_or_default();
    if body == "label me" {
        let labels: Vec<_> = message.labels.iter().map(|label| format!("{}: {}", label.plugin, label.text)).collect();
        return tell(labels.join(", ")).await;
    }
    let (name, rest) = body.split_once(' ').unwrap_or((body, ""));
    outcome(call(name, rest).await).await
}

/// Sends what came of a call to Alice.
async fn outcome(outcome: Result<Option<String>>) -> Result<()> {
    match outcome {
        Ok(None) => Ok(()),
        Ok(Some(text)) => tell(text).await,
        Err(error) => tell(error.to_string()).await,
    }
}

/// Makes a call, and returns what is to be told of it.
async fn call(name: &str, rest: &str) -> Result<Option<String>> {
    let told = match name {
        "fetch" | "json" | "form" | "fields" | "exchange" | "much" | "missing" | "unreachable" => ask(name).await?,
        "upload" | "encrypted" | "short" | "picture" => return upload(name, rest).await,
        "open" => open(rest).await?,
        "again" => {
            let Some(hook) = LAST.take() else { return Ok(None) };
            webhooks::answer(&hook, webhooks::Answer::new(204)).await?;
            "it was answered again".to_owned()
        }
        "address" => webhooks::address(rest).await?,
        "keep" => keep(rest).await?,
        "price" => price().await,
        "size" => size(rest).await?,
        _ => return node(name, rest).await,
    };
    Ok(Some(told))
}

/// Fires an event with a number that JSON does not have.
async fn price() -> String {
    let fired = emit("price", BTreeMap::from([("low", f64::NAN)])).await;
    if fired.is_ok() { "it was sent" } else { "it was refused" }.to_owned()
}

/// Asks, and gives up after a while.
async fn size(when: &str) -> Result<String> {
    let mut question = Question::new("Which size?").choices(["small", "large"]);
    if when == "at once" {
        question = question.timeout(Duration::from_micros(200));
    }
    match timers::within(Duration::from_secs(10), dialogs::ask(ALICE, question)).await {
        Err(_) | Ok(Err(Error::TimedOut)) => Ok("too late".to_owned()),
        Ok(answer) => answer.map(|size| size.text),
    }
}

/// Keeps a text in the place of the one that is read first.
async fn keep(text: &str) -> Result<String> {
    let kept: Option<String> = storage::get("kept").await?;
    let changes = storage::Changes::new().expect("kept", &kept).set("kept", &text).add("times", 1);
    let is_made = storage::change_all(changes).await?;
    Ok(format!("{is_made}: {}", or_none(kept.as_deref())))
}

/// Makes a request over the web.
async fn ask(name: &str) -> Result<String> {
    let post = |path: &str| http::post(format!("https://api.example.org/{path}"));
    match name {
        "fetch" => {
            // The type that is given stays, and that of JSON does not come beside it.
            let request = post("old").header("content-type", "application/x-www-form-urlencoded").json(&0)?.body("a=1");
            let answer = request.follow(3).timeout(Duration::from_secs(5)).send().await?;
            let etag = or_none(answer.header("ETag"));
            Ok(format!("{} {} {etag}: {}", answer.status, answer.url, answer.text()))
        }
        "json" => {
            let answer = post("json").json(&json!({ "tëa": "<a & b>" }))?.send().await?;
            Ok(answer.status.to_string())
        }
        "form" => {
            let file = Part::file("file", "a\r\n\".txt", "text/plain\r\nx: y", "one\ntwo");
            let answer = post("form").multipart([Part::text("ti\"tle", "tëa 🍕"), file]).send().await?;
            Ok(answer.status.to_string())
        }
        "fields" => {
            let title = "tëa & \"pie\"=1+2 100%/~!'()* {{x}}";
            let request = post("songs?day=1").query("title", title).fields([("key", "5"), ("title", title)]);
            Ok(request.send().await?.status.to_string())
        }
        "exchange" => {
            let mut exchange = post("tea").open().await?;
            for part in ["one ", "tëa", " two"] {
                exchange.write(part).await?;
            }
            let head = exchange.answer().await?;
            let whole = exchange.read_all(64).await?;
            let etag = or_none(head.header("etag"));
            Ok(format!("{} {etag}: {}", head.status, String::from_utf8_lossy(&whole)))
        }
        "much" => {
            let mut exchange = post("much").open().await?;
            exchange.write("a".repeat(MUCH)).await?;
            answered(exchange).await
        }
        "missing" => {
            let mut exchange = post("tea").header("content-length", "5").open().await?;
            exchange.write("ab").await?;
            answered(exchange).await
        }
        _ => answered(post("none").body("lost").open().await?).await,
    }
}

/// Returns the status of the answer to a request.
async fn answered(mut exchange: Exchange) -> Result<String> {
    let status = exchange.answer().await?.status;
    exchange.close();
    Ok(status.to_string())
}

/// Uploads a file.
async fn upload(name: &str, text: &str) -> Result<Option<String>> {
    let size = text.len() as u64;
    let file = match name {
        "upload" => sent(files::upload("note.txt", "text/plain", size).await?, text).await?,
        "encrypted" => sent(files::upload_encrypted("note.txt", "text/plain", size).await?, text).await?,
        "short" => sent(files::upload("note.txt", "text/plain", 9).await?, text).await?,
        _ => sent(files::upload("dot.png", "image/png", 3).await?, "dot").await?,
    };
    let (named, media_type) = (or_none(file.name.as_deref()), or_none(file.media_type.as_deref()));
    tell(format!("{named} {media_type} {}", file.size.unwrap_or_default())).await?;
    if name == "upload" {
        chats::send(ALICE, file).await?;
    }
    Ok(None)
}

async fn sent(mut upload: Upload, text: &str) -> Result<File> {
    let (first, rest) = text.split_at(1);
    upload.write(first).await?;
    upload.write(rest).await?;
    upload.finish().await
}

async fn open(url: &str) -> Result<String> {
    let mut file = files::open(url).await?;
    let whole = file.read_all(64).await?;
    let (size, media_type) = (file.size.unwrap_or_default(), or_none(file.media_type.as_deref()));
    Ok(format!("{size} {media_type}: {}", String::from_utf8_lossy(&whole)))
}

/// Does something with the node, or makes a call of `people` or `entities`.
async fn node(name: &str, rest: &str) -> Result<Option<String>> {
    let given = Some(rest).filter(|rest| !rest.is_empty());
    let access = given.map(str::to_owned);
    match name {
        "publish" => {
            let entry = Element::new("entry").ns(NODE).text("tëa & 🍕");
            let (access, persist, max_items) = (Some("open".to_owned()), Some(true), Some(10));
            let options = NodeOptions { access, persist, max_items, ..NodeOptions::default() };
            return pubsub::publish(NEWS, NODE, entry, given, given.map(|_| options)).await.map(Some);
        }
        "items" => {
            let page = pubsub::items(NEWS, NODE, 2, given).await?;
            let items: Vec<_> = page.items.iter().map(shown).collect();
            return Ok(Some(format!("{}; {}", items.join(", "), or_none(page.last.as_deref()))));
        }
        "item" => {
            let item = pubsub::item(NEWS, NODE, rest).await?;
            return Ok(Some(item.as_ref().map_or_else(|| "none".to_owned(), shown)));
        }
        "subscribe" => return pubsub::subscribe(NEWS, NODE).await.map(|in_force| Some(in_force.to_string())),
        "retract" => pubsub::retract(NEWS, NODE, rest).await?,
        "create" => {
            let options = NodeOptions { access, title: Some("Tëa".to_owned()), ..NodeOptions::default() };
            pubsub::create(NEWS, NODE, Some(options)).await?;
        }
        "configure" => pubsub::configure(NEWS, NODE, NodeOptions { access, ..NodeOptions::default() }).await?,
        "purge" => pubsub::purge(NEWS, NODE).await?,
        "delete" => pubsub::delete(NEWS, NODE).await?,
        "unsubscribe" => pubsub::unsubscribe(NEWS, NODE).await?,
        _ => return people::call(name, rest).await,
    }
    Ok(Some("done".to_owned()))
}

fn shown(item: &NodeItem) -> String {
    format!("{} {} {}", item.id, or_none(item.publisher.as_deref()), or_none(item.xml.as_deref()))
}

/// Returns a text, or what stands for none.
fn or_none(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}
