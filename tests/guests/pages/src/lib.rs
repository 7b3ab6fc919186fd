//! The examples on the pages of docs/reference/api, and of docs/author/moderation.md. Each page shows the part between its two marks.

use std::cell::RefCell;
use std::rc::Rc;

use parlor_sdk::archive::Options;
use parlor_sdk::contacts::Report;
use parlor_sdk::log::{self, Level};
use parlor_sdk::moderation::{Judge, Offence, Rules, Said};
use parlor_sdk::prelude::*;
use parlor_sdk::pubsub::NodeOptions;
use parlor_sdk::rooms::Bookmark;
use parlor_sdk::stanza::{IqKind, ns};
use parlor_sdk::vcard::CardData;

parlor_sdk::plugin!(start);

const ROOM: &str = "hall@rooms.example.org";
const JULIET: &str = "juliet@example.org";

async fn start() -> Result<()> {
    add_commands().await?;
    listens()?;
    hears_requests()?;
    wakes().await?;
    answers()?;
    answers_plugins()?;
    judges()?;
    moderates()?;
    asks_people().await?;
    on_ready(asks)?;
    on_ready(reads)?;
    on_ready(chatting)?;
    on_ready(views)?;
    on_ready(befriends)?;
    on_ready(looks)?;
    on_ready(shares)?;
    on_ready(asks_the_web)?;
    on_ready(keeps)?;
    on_ready(enters)?;
    on_ready(publishes)?;
    on_ready(waits)?;
    on_ready(knows)
}

async fn asks() -> Result<()> {
    // == api
    emit("libraryOpen", json!({ "books": 12 })).await?;
    let opened = wait_until("libraryOpen").await?;
    api::send(stanza::presence().to(JULIET)).await?;
    let iq = || stanza::iq(IqKind::Get).to("example.org").child(Element::new("query").ns(ns::VERSION));
    let answer = api::send_iq(iq()).await?;
    let version = api::ask(iq()).await?; // the same, and the answer is read
    // ==
    info!("{opened:?} {answer} {version:?}");
    Ok(())
}

async fn reads() -> Result<()> {
    // == archive
    let newest = archive::query(Options::with(JULIET).newest().max(10)).await?;
    let older = newest.rsm.previous(10);
    let newer = newest.rsm.next(10);
    let mut messages = archive::query_all(Options::with(JULIET).start("2026-11-01")).await?;
    while let Some(archived) = messages.next().await? {
        info!("{} said {:?}", archived.message.from, archived.message.body);
    }
    // ==
    info!("{older:?} {newer:?}");
    Ok(())
}

async fn chatting() -> Result<()> {
    // == chats
    let id = chats::send(JULIET, "But soft!").await?;
    let chat = chats::open(JULIET).await?;
    chats::open_many([JULIET, "romeo@example.org"]).await?;
    let open = chats::get(JULIET)?;
    let both = chats::get_many([JULIET, "romeo@example.org"])?;
    let all = chats::get_all()?;
    chats::set_attribute(&chat.jid, "height", 400).await?;
    let height: Option<u32> = chats::get_attribute(&chat.jid, "height")?;
    // For a front end:
    chats::focus(&chat.jid).await?;
    chats::show(&chat.jid).await?;
    chats::maximize(&chat.jid).await?;
    chats::minimize(&chat.jid).await?;
    // Off the record, with the person of an open chat:
    chats::initiate_otr(&chat.jid).await?;
    chats::end_otr(&chat.jid).await?;
    chats::close(&chat.jid).await?;
    chats::close_many([JULIET, "romeo@example.org"]).await?;
    // ==
    info!("{id} {open:?} {both:?} {all:?} {height:?}");
    Ok(())
}

async fn views() -> Result<()> {
    // == chatviews
    let view = chatviews::get(JULIET)?;
    let views = chatviews::get_many([JULIET, "romeo@example.org"])?;
    let is_small = view.is_some_and(|view| view.minimized);
    // ==
    info!("{is_small} {views:?}");

    // == connection
    if !connection::connected() {
        info!("nobody hears us yet");
    }
    connection::disconnect().await?;
    // ==
    Ok(())
}

async fn befriends() -> Result<()> {
    // == contacts
    let contact = contacts::add(JULIET, Some("Juliet")).await?;
    contacts::rename(&contact.jid, "Juliet Capulet").await?;
    contacts::set_groups(&contact.jid, ["friends"]).await?;
    let known = contacts::get(JULIET)?;
    let both = contacts::get_many([JULIET, "romeo@example.org"])?;
    let all = contacts::get_all()?;
    on("contactRequest").run(|asking: Contact| async move {
        if asking.jid == JULIET { contacts::accept(&asking.jid).await } else { contacts::deny(&asking.jid).await }
    })?;
    contacts::remove("romeo@example.org").await?;

    let report = Report { kind: "spam".to_owned(), text: Some("it sells swords".to_owned()), stanza_ids: Vec::new() };
    contacts::block("tybalt@example.org", Some(report)).await?;
    let blocked = contacts::blocked().await?;
    contacts::unblock("tybalt@example.org").await?;
    // ==
    info!("{known:?} {both:?} {all:?} {blocked:?}");
    Ok(())
}

async fn looks() -> Result<()> {
    // == disco
    disco::own_features_add("urn:example:weather:1").await?;
    disco::own_identities_add("automation", "weather", "Weather for Verona", None).await?;
    let features = disco::own_features_get()?;
    let identities = disco::own_identities_get()?;
    disco::own_identities_clear().await?;
    let support = disco::supports("urn:xmpp:ping", "example.org").await?;
    let server = disco::get_identity("server", "im", "example.org").await?;
    let clock = disco::time("example.org").await?;
    let software = disco::version("example.org").await?;
    let idle = disco::last_activity(JULIET).await?;
    // ==
    info!("{features:?} {identities:?} {} {server:?}", support.supported);
    info!("{} {:?} {}", clock.utc, software.name, idle.seconds);

    // == log
    info!("ready");
    warn!("{JULIET} is not there");
    log::write(Level::Info, "ready"); // the same, with a text as it is
    // ==
    Ok(())
}

async fn shares() -> Result<()> {
    // == files
    let text = "But soft!";
    let mut upload = files::upload("note.txt", "text/plain", text.len() as u64).await?;
    upload.write(text).await?;
    chats::send(JULIET, upload.finish().await?).await?;

    // For an encrypted chat:
    let mut upload = files::upload_encrypted("note.txt", "text/plain", text.len() as u64).await?;
    upload.write(text).await?;
    chats::send(JULIET, Outgoing::from(upload.finish().await?).encrypted()).await?;

    on_message(|message| async move {
        for file in message.files() {
            let mut download = files::open(&file.url).await?;
            while let Some(part) = download.read().await? {
                info!("{} bytes", part.len());
            }
            download.close(); // as dropping it does
        }
        Ok(())
    })?;
    // ==
    Ok(())
}

async fn asks_the_web() -> Result<()> {
    // == http
    let weather = http::get("https://api.example.org/weather?city=Verona")
        .header("authorization", "Bearer {{api_key}}")
        .credential("api_key")
        .follow(3)
        .send()
        .await?
        .success()?
        .json::<Value>()?;
    let note = http::post("https://api.example.org/notes").json(&json!({ "text": "But soft!" }))?.send().await?;

    // A body of any size goes in parts:
    let mut exchange = http::put("https://api.example.org/log").open().await?;
    exchange.write("But soft! ").await?;
    exchange.write("What light?").await?;
    let head = exchange.answer().await?.success()?;
    while let Some(part) = exchange.read().await? {
        info!("{} bytes", part.len());
    }
    exchange.close(); // as dropping it does
    // ==
    info!("{weather} {} {}", note.status, head.status);
    Ok(())
}

async fn keeps() -> Result<()> {
    // == promises
    promises::add("libraryOpen").await?;
    promises::add_all(["booksSorted", "lampsLit"]).await?;
    // … and once they are:
    emit("libraryOpen", json!({ "books": 12 })).await?;
    promises::reject("lampsLit", "there is no oil").await?;
    // ==

    // == settings
    let greeting: Option<String> = settings::get("greeting")?;
    // In a timer or schedule, which handle no event of the room:
    let in_hall: Option<String> = settings::get_in("hall@rooms.example.org", "greeting")?;
    settings::set("greeting", "Good evening").await?;
    settings::set_many([("greeting", "Good evening")]).await?;
    // A new setting, and its default:
    settings::update([("colour", "red")]).await?;
    // ==
    info!("{greeting:?} {in_hall:?}");

    // == storage
    storage::set("points/juliet", &3).await?;
    storage::set_for("cooldown", &true, Duration::from_mins(1)).await?;
    let points: Option<u32> = storage::get("points/juliet").await?;
    storage::change("points/juliet", |points: Option<u32>| Some(points.unwrap_or(0) + 1)).await?;
    let is_mine = storage::compare_and_set("points/juliet", points.as_ref(), Some(&4)).await?;
    for (name, points) in storage::entries::<u32>("points/").await? {
        info!("{name}: {points}");
    }
    let best = storage::range::<u32>(storage::Range::of("points/").descending().limit(5)).await?;
    let visits = storage::add("visits", 1).await?;
    let sale = storage::Changes::new().expect("seat/7", &"free").set("seat/7", &"juliet").add("sold", 1);
    let is_sold = storage::change_all(sale).await?;
    let page = storage::list("points/", None, 100).await?;
    storage::delete("points/juliet").await?;
    // ==
    info!("{is_mine} {best:?} {visits} {is_sold} {:?}", page.keys);
    Ok(())
}

async fn enters() -> Result<()> {
    const BALL: &str = "ball@rooms.example.org";
    const GARDEN: &str = "garden@rooms.example.org";
    // == rooms
    let room = rooms::open(ROOM, rooms::nick("bot")).await?;
    rooms::open_many([GARDEN, BALL], rooms::nick("bot")).await?;
    rooms::get_or_create(BALL, rooms::nick("bot")).await?;
    rooms::configure(BALL, [("membersonly", true)]).await?;
    rooms::send(&room.jid, "Good evening").await?;

    let there = rooms::get(ROOM)?;
    let both = rooms::get_many([ROOM, BALL])?;
    let all = rooms::get_all()?;
    let people = rooms::occupants(ROOM)?;

    // As a moderator, an admin or an owner:
    rooms::set_subject(ROOM, "The feast").await?;
    rooms::set_role(ROOM, "romeo", Role::Visitor, Some("enough for today")).await?;
    rooms::set_affiliation(ROOM, JULIET, Affiliation::Member, None).await?;
    let members = rooms::affiliations(ROOM, Affiliation::Member).await?;
    rooms::invite(ROOM, JULIET, rooms::because("You are expected.")).await?;
    rooms::kick(ROOM, "romeo", Some("not on the list")).await?;
    rooms::ban(ROOM, "tybalt@example.org", Some("no duels")).await?;
    rooms::retract(ROOM, "the stanza-id of a message", Some("no duels")).await?;
    on("voiceRequest").run(|visitor: Occupant| async move {
        rooms::answer_voice(&visitor.room, &visitor.nick, visitor.affiliation == Affiliation::Member).await
    })?;
    // As a visitor, and as somebody who wants to be known there:
    rooms::request_voice(GARDEN).await?;
    rooms::register(GARDEN, "bot", Vec::new()).await?;
    let reserved = rooms::reserved_nick(GARDEN).await?;
    rooms::unregister(GARDEN).await?;
    on("roomInviteReceived")
        .run(|invite: Invite| async move { rooms::decline(&invite.room, &invite.from, Some("another time")).await })?;

    let bookmark = Bookmark {
        jid: ROOM.to_owned(),
        name: Some("The hall".to_owned()),
        autojoin: true,
        nick: None,
        password: None,
    };
    rooms::set_bookmark(bookmark).await?;
    let bookmarks = rooms::bookmarks()?;
    rooms::remove_bookmark(ROOM).await?;

    // For a front end:
    rooms::set_attribute(ROOM, "height", 400).await?;
    let height: Option<u32> = rooms::get_attribute(ROOM, "height")?;
    rooms::focus(ROOM).await?;
    rooms::show(ROOM).await?;
    rooms::maximize(ROOM).await?;
    rooms::minimize(ROOM).await?;

    rooms::close(ROOM).await?;
    rooms::close_many([GARDEN]).await?;
    rooms::destroy(BALL, Some("the ball is over"), None).await?;
    // ==
    info!("{there:?} {both:?} {all:?} {people:?} {members:?} {reserved:?} {bookmarks:?} {height:?}");
    Ok(())
}

async fn waits() -> Result<()> {
    // == timers
    timers::sleep(Duration::from_millis(500)).await;
    let tick = timers::every(Duration::from_mins(1), || async {
        info!("another minute");
        Ok(())
    })?;
    timers::after(Duration::from_mins(10), move || async move { tick.cancel() })?;
    // ==
    Ok(())
}

async fn knows() -> Result<()> {
    // == tokens
    let rid = tokens::get("rid")?;
    let sid = tokens::get("sid")?;
    // ==
    info!("{rid:?} {sid:?}");

    // == user
    user::set_status("dnd", Some("reading")).await?;
    user::set_status_message("reading a sonnet").await?;
    let status = user::get_status()?;
    let own = user::bare_jid();
    let full = user::jid();
    user::logout().await?;
    user::login().await?;
    // ==
    info!("{own} {full} {}", status.value);

    // == vcard
    let card = vcard::get(JULIET).await?;
    vcard::set(CardData { nickname: Some("bot".to_owned()), ..CardData::default() }).await?;
    vcard::update(JULIET).await?; // so that the contact, chat or occupant shows it
    // ==
    info!("{:?}", card.nickname);
    Ok(())
}

async fn add_commands() -> Result<()> {
    // == commands
    commands::add("weather", "Says what the weather will be", "CITY [DAY]", |command: Command| async move {
        let city = command.args.first().map_or("Verona", String::as_str);
        command.message.reply(format!("Sunshine in {city}")).await.map(drop)
    })
    .await?;
    on("logout").run(|_: Event| commands::remove("weather"))?;

    // One whose arguments the host reads:
    commands::declare("roll", "Rolls dice")
        .integer("count", 1..=100)
        .default("1")
        .choice("sides", ["6", "20"])
        .default("6")
        .flag("secret")
        .allow(Role::Participant)
        .person_cooldown(Duration::from_secs(10))
        .run(|command: Command| async move {
            let (count, sides) = (command.integer("count")?, command.text("sides")?);
            let dice = format!("{count} dice with {sides} sides");
            if command.flag("secret") {
                chats::reply(&command.message, dice).await.map(drop)
            } else {
                // In the form, if the command was given by one.
                command.answer(dice).await
            }
        })
        .await?;
    // ==
    Ok(())
}

fn listens() -> Result<()> {
    // == listen
    let service = on("message")
        .room(ROOM)
        .prefix("bot:")
        .run(|message: Message| async move { rooms::reply(&message, "at your service").await.map(drop) })?;
    on("disconnected").once(move |_: Event| async move { service.end() })?;
    // ==
    Ok(())
}

fn hears_requests() -> Result<()> {
    // == webhooks
    on("webhook").webhook("github").run(|hook: Webhook| async move {
        if hook.header("x-github-event") == Some("push") {
            let push: Value = hook.json()?;
            let commit = push["after"].as_str().unwrap_or("nothing");
            rooms::send(ROOM, format!("The repository is at {commit}")).await?;
        }
        webhooks::answer(&hook, webhooks::Answer::new(204)).await // in the mode `answer`
    })?;
    on_ready(|| async {
        // Not into the log: the address is a secret.
        chats::send(JULIET, format!("Give GitHub {}", webhooks::address("github").await?)).await.map(drop)
    })?;
    // ==
    Ok(())
}

async fn wakes() -> Result<()> {
    // == schedules
    const ZONE: &str = "Europe/Berlin";
    on("schedule").schedule("standup").run(|due: DueTime| async move {
        let time = schedules::format(due.time()?, ZONE, "%A, %H:%M")?;
        rooms::send(ROOM, format!("{time}: the standup begins")).await.map(drop)
    })?;
    schedules::cron("standup", "0 9 * * MON-FRI", ZONE).await?;
    schedules::every("backup", Duration::from_hours(6)).await?;
    let noon = schedules::parse("tomorrow 12:00", ZONE)?;
    if schedules::to_local(noon, ZONE)?.weekday < 6 && schedules::at("lunch", noon).await? {
        info!("lunch is at {noon}");
    }
    for schedule in schedules::list().await?.iter().filter(|one| one.name.starts_with("old-")) {
        schedules::cancel(&schedule.name).await?;
    }
    // ==
    Ok(())
}

fn answers() -> Result<()> {
    // == iq
    on("iq").run(|request: IqRequest| async move {
        if request.kind != "get" {
            return iq::refuse(&request, "not-allowed", Some("it can only be read")).await;
        }
        let degrees = Element::new("temperature").ns("urn:example:weather").text("7");
        iq::answer(&request, Some(degrees)).await
    })?;
    // ==
    Ok(())
}

fn answers_plugins() -> Result<()> {
    // == plugins
    on("request").run(|request: PluginRequest| async move {
        let currency: String = request.json()?;
        match plugins::call::<f64>("bank", "price", &currency).await {
            Ok(price) => plugins::answer(&request, json!({ "rate": price * 1.02 })).await,
            Err(Error::Rejected(_)) => plugins::refuse(&request, format!("{currency} is no currency")).await,
            Err(error) => Err(error),
        }
    })?;
    // ==
    Ok(())
}

fn judges() -> Result<()> {
    // == hooks
    on("hookOutgoing").run(|hook: Hook| async move {
        match hook.message.body.as_deref() {
            Some(body) if body.contains("secret") => hooks::stop(&hook, Some("it names a secret")).await,
            Some(body) => hooks::alter(&hook, Some(&format!("{body} (a bot)")), None).await,
            None => hooks::allow(&hook).await,
        }
    })?;
    on("hookIncoming").run(|hook: Hook| async move {
        let body = hook.message.body.as_deref().unwrap_or_default();
        if body.contains("casino") { hooks::mark(&hook, "advertisement").await } else { hooks::allow(&hook).await }
    })?;
    // A function that returns the verdict does the same.
    hooks::commands(|hook: Hook| async move {
        let has_code = hook.args.last().is_some_and(|code| code == "123456");
        Ok(if has_code { hooks::Command::Allow } else { hooks::Command::refuse("Add your code.") })
    })?;
    // ==
    Ok(())
}

async fn asks_people() -> Result<()> {
    // == dialogs
    commands::add("order", "Orders a pizza", "", |order: Command| async move {
        let size = Question::new("Which size?").choices(["small", "large"]).timeout(Duration::from_mins(1));
        match order.message.ask(size).await {
            Ok(size) => order.message.reply(format!("A {} pizza it is.", size.text)).await.map(drop),
            Err(Error::TimedOut | Error::Rejected(_)) => order.message.reply("No pizza, then.").await.map(drop),
            Err(Error::Stopped | Error::NotFound(_)) => Ok(()), // another order took its place, or they left the room
            Err(error) => Err(error),
        }
    })
    .await?;
    // ==
    Ok(())
}

async fn publishes() -> Result<()> {
    // == pubsub
    const SERVICE: &str = "pubsub.example.org";
    on("pubsub-item").from(SERVICE).run(|item: PubsubItem| async move {
        info!("{} {}: {:?}", item.node, item.kind, item.xml);
        Ok(())
    })?;
    if pubsub::subscribe(SERVICE, "weather").await.is_err() {
        pubsub::create(SERVICE, "weather", None).await?;
        let options = NodeOptions { access: Some("open".to_owned()), max_items: Some(10), ..NodeOptions::default() };
        pubsub::configure(SERVICE, "weather", options).await?;
    }
    let degrees = Element::new("temperature").ns("urn:example:weather").text("7");
    pubsub::publish(SERVICE, "weather", degrees, Some("Verona"), None).await?;
    let page = pubsub::items(SERVICE, "weather", 10, None).await?;
    if page.items.len() > 1 && pubsub::item(SERVICE, "weather", "Padua").await?.is_some() {
        pubsub::retract(SERVICE, "weather", "Padua").await?;
    }
    if page.last.is_some() {
        pubsub::purge(SERVICE, "weather").await?;
    }
    on_stop(|| async {
        pubsub::unsubscribe(SERVICE, "weather").await?;
        pubsub::delete(SERVICE, "weather").await
    });
    // ==
    Ok(())
}

fn moderates() -> Result<()> {
    // == moderation
    let judge = Rc::new(RefCell::new(Judge::default()));
    on("message").kind("groupchat").run(move |message: Message| {
        let judge = Rc::clone(&judge);
        async move {
            let Some(author) = rooms::occupant_of(&message)? else { return Ok(()) };
            if moderation::is_spared(&author) {
                return Ok(());
            }
            let (key, said) = (moderation::key(&author), Said::of(&message));
            let verdict = judge.borrow_mut().hear(&Rules::default(), &message.chat, &key, said, now());
            match (verdict.offence, message.stanza_id.as_deref()) {
                (Some(Offence::Link), Some(id)) => rooms::retract(&message.chat, id, Some("no links yet")).await,
                _ => Ok(()),
            }
        }
    })?;
    // ==
    Ok(())
}
