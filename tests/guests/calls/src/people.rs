//! The calls of `schedules.chat`, `iq.chat`, `requests.chat`, `questions.chat`, `people.chat` and `sealed.chat`.

use std::cell::{Cell, RefCell};

use parlor_sdk::archive::Time;
use parlor_sdk::contacts::Report;
use parlor_sdk::dialogs::Answer;
use parlor_sdk::prelude::*;

use super::{ALICE, entities, or_none, tell};

const GARDEN: &str = "garden@rooms.example.org";
const ZONE: &str = "Europe/Berlin";
const WEATHER: &str = "urn:example:weather";

thread_local! {
    /// Whether the next due time fails.
    static FAILS: Cell<bool> = const { Cell::new(false) };
    /// The last request (IQ).
    static LAST: RefCell<Option<IqRequest>> = const { RefCell::new(None) };
    /// The id of the last message that offers something, in the archive.
    static BOUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Subscribes to the events.
pub(super) fn listen() -> Result<()> {
    on("schedule").run(wake)?;
    on("iq").run(weather)?;
    on("request").run(requested)?;
    on("message").kind("groupchat").prefix("pizza").run(|message: Message| async move {
        let question = Question::new("Which size?").choices(["small", "large"]).timeout(Duration::from_mins(1));
        let nick = message.nick.unwrap_or_default();
        dialogs::begin_in_room(message.chat, nick, question, sized).await.map(drop)
    })?;
    on("message").kind("chat").prefix("buy").run(|message: Message| async move {
        BOUGHT.replace(message.stanza_id);
        Ok(())
    })?;
    on("voiceRequest").run(|visitor: Occupant| async move {
        rooms::answer_voice(&visitor.room, &visitor.nick, visitor.nick == "bob").await
    })?;
    on("message").kind("chat").prefix("sealed").run(|message: Message| async move {
        let (encryption, trust) = (or_none(message.encryption.as_deref()), or_none(message.device_trust.as_deref()));
        tell(format!("{encryption} {trust}")).await
    })?;
    on("undecryptable").run(|message: Undecryptable| async move {
        let Undecryptable { chat, from, kind, encryption, reason, id, .. } = message;
        tell(format!("{chat} {from} {kind} {encryption} {reason} {}", or_none(id.as_deref()))).await
    })?;
    Ok(())
}

/// Makes a call, and returns what is to be told of it. None: there is nothing to tell.
pub(super) async fn call(name: &str, rest: &str) -> Result<Option<String>> {
    let told = match name {
        "cron" | "every" | "cancel" | "when" => schedule(name, rest).await?,
        "fail" => {
            FAILS.set(true);
            return Ok(None);
        }
        "answer" => {
            let Some(request) = LAST.take() else { return Ok(None) };
            iq::answer(&request, None).await?;
            "it was answered again".to_owned()
        }
        "request" => {
            let (name, value) = rest.split_once(' ').unwrap_or((rest, "null"));
            let value: Value = value.parse()?;
            plugins::call::<Value>("partner", name, value).await?.to_string()
        }
        "idle" | "clock" | "software" => program(name, rest).await?,
        "block" | "report" | "unblock" | "blocked" => block(name, rest).await?,
        "voice" | "register" | "unregister" | "reserved" => room(name, rest).await?,
        "require" => {
            chats::send(ALICE, Outgoing::new(rest).encrypted()).await?;
            return Ok(None);
        }
        "plain" => {
            chats::send(ALICE, Outgoing::new(rest).unencrypted()).await?;
            return Ok(None);
        }
        "otr" => {
            chats::open(ALICE).await?;
            match rest {
                "begin" => chats::initiate_otr(ALICE).await?,
                _ => chats::end_otr(ALICE).await?,
            }
            "done".to_owned()
        }
        _ => return entities::call(name, rest).await,
    };
    Ok(Some(told))
}

async fn schedule(name: &str, rest: &str) -> Result<String> {
    match name {
        "cron" => shown(schedules::cron("work", rest, ZONE).await?),
        "every" => {
            let seconds: u64 = rest.parse().map_err(Error::other)?;
            shown(schedules::every("tick", Duration::from_secs(seconds)).await?)
        }
        "cancel" => Ok(schedules::cancel(rest).await?.to_string()),
        _ => {
            let there = schedules::to_local(schedules::parse(rest, ZONE)?, ZONE)?;
            let day = format!("{:04}-{:02}-{:02}", there.year, there.month, there.day);
            let time = format!("{:02}:{:02}:{:02}", there.hour, there.minute, there.second);
            Ok(format!("{day} {time} {} {} {}", there.weekday, there.offset, there.abbreviation))
        }
    }
}

/// Writes a moment such that each language writes the same.
fn shown(moment: impl Time) -> Result<String> {
    schedules::format(moment, "UTC", "%F %H:%M:%S")
}

async fn wake(due: DueTime) -> Result<()> {
    if FAILS.replace(false) {
        return Err(Error::other("it is too early"));
    }
    let (moment, late) = (shown(due.time()?)?, due.late / 1000);
    tell(format!("{} {moment} {late} {} {}", due.name, due.missed, due.attempt)).await
}

async fn weather(request: IqRequest) -> Result<()> {
    LAST.replace(Some(request.clone()));
    if request.kind != "get" {
        return iq::refuse(&request, "not-allowed", Some("it can only be read")).await;
    }
    if request.name == "nothing" {
        return iq::answer(&request, None).await;
    }
    let IqRequest { from, kind, namespace, name, xml, .. } = &request;
    let said = Element::new("said").ns(WEATHER).text(format!("{from} {kind} {namespace} {name} {xml}"));
    iq::answer(&request, Some(said)).await
}

async fn requested(request: PluginRequest) -> Result<()> {
    if request.name == "closed" {
        return plugins::refuse(&request, format!("{} has to wait", request.plugin)).await;
    }
    let value: Value = request.json()?;
    plugins::answer(&request, json!({ "name": request.name, "value": value })).await
}

/// Says in the room what somebody there has answered.
async fn sized(size: Result<Answer>) -> Result<()> {
    match size {
        Ok(Answer { text, choice }) => {
            rooms::send(GARDEN, format!("{}: {text}", choice.unwrap_or_default())).await.map(drop)
        }
        Err(error) => tell(error.to_string()).await,
    }
}

async fn program(name: &str, jid: &str) -> Result<String> {
    Ok(match name {
        "idle" => {
            let idle = disco::last_activity(jid).await?;
            format!("{} {}", idle.seconds, or_none(idle.status.as_deref()))
        }
        "clock" => {
            let clock = disco::time(jid).await?;
            format!("{} {}", shown(clock.utc)?, clock.offset)
        }
        _ => {
            let found = disco::version(jid).await?;
            let (name, version) = (or_none(found.name.as_deref()), or_none(found.version.as_deref()));
            format!("{name} {version} {}", or_none(found.os.as_deref()))
        }
    })
}

async fn block(name: &str, jid: &str) -> Result<String> {
    match name {
        "block" => contacts::block(jid, None).await?,
        "report" => {
            let ids = BOUGHT.with_borrow(|id| id.iter().map(|id| (user::bare_jid(), id.clone())).collect());
            let text = Some("it sells swords".to_owned());
            contacts::block(jid, Some(Report { kind: "spam".to_owned(), text, stanza_ids: ids })).await?;
        }
        "unblock" => contacts::unblock(jid).await?,
        _ => {
            let blocked = contacts::blocked().await?;
            return Ok(if blocked.is_empty() { "nobody".to_owned() } else { blocked.join(", ") });
        }
    }
    Ok("done".to_owned())
}

async fn room(name: &str, nick: &str) -> Result<String> {
    match name {
        "voice" => rooms::request_voice(GARDEN).await?,
        "register" => rooms::register(GARDEN, nick, Vec::new()).await?,
        "unregister" => rooms::unregister(GARDEN).await?,
        _ => return Ok(rooms::reserved_nick(GARDEN).await?.unwrap_or_else(|| "none".to_owned())),
    }
    Ok("done".to_owned())
}
