//! Guards rooms: see the README. `parlor_sdk::moderation` remembers and decides, `act` retracts and kicks, `orders` and
//! `sweep` are the commands, and `patterns` are of names that are banned.

mod act;
mod orders;
mod patterns;
mod sweep;

use std::rc::Rc;

use parlor_sdk::moderation::{Offence, Rules, Said, is_spared, key};
use parlor_sdk::prelude::*;

use act::{Kit, Offending, Settings, kick, punish, stored};

/// How long somebody who is silent stays known as no newcomer.
const SETTLED_FOR: Duration = Duration::from_hours(90 * 24);

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    let kit = Rc::new(Kit::default());
    *kit.settings.borrow_mut() = read()?;
    orders::add(&kit).await?;
    sweep::add(&kit).await?;
    let given = Rc::clone(&kit);
    on("message").kind("groupchat").run(move |message| heard(Rc::clone(&given), message))?;
    let given = Rc::clone(&kit);
    on("undecryptable").kind("groupchat").run(move |message| sealed(Rc::clone(&given), message))?;
    let given = Rc::clone(&kit);
    on("occupantJoined").run(move |occupant| joined(Rc::clone(&given), occupant))?;
    let given = Rc::clone(&kit);
    on("occupantChanged").run(move |occupant: Occupant| {
        meet(&given, &occupant);
        let given = Rc::clone(&given);
        // With another nickname.
        async move { sweep::put_out(&given, &occupant).await.map(drop) }
    })?;
    let given = Rc::clone(&kit);
    on("roomLeft").run(move |room: Room| {
        given.judge.borrow_mut().leave(&room.jid);
        async { Ok(()) }
    })?;
    on("settingsChanged").run(move |_: Event| {
        let read = read().map(|settings| *kit.settings.borrow_mut() = settings);
        async { read }
    })?;
    Ok(())
}

/// Reads the settings.
fn read() -> Result<Settings> {
    let usual = Rules::default();
    let rules = Rules {
        joins: settings::get_or("joins", usual.joins)?,
        join_window: settings::duration("join_window")?.unwrap_or(usual.join_window),
        messages: settings::get_or("messages", usual.messages)?,
        message_window: settings::duration("message_window")?.unwrap_or(usual.message_window),
        repeats: settings::get_or("repeats", usual.repeats)?,
        crowd_repeats: settings::get_or("crowd_repeats", usual.crowd_repeats)?,
        unreadable: settings::get_or("unreadable", usual.unreadable)?,
        repeat_window: settings::duration("repeat_window")?.unwrap_or(usual.repeat_window),
        newcomer: settings::duration("newcomer")?.unwrap_or(usual.newcomer),
    };
    Ok(Settings {
        rules,
        strikes: settings::get_or("strikes", 3)?,
        strike_time: settings::duration("strike_time")?.unwrap_or(Duration::from_hours(1)),
        log_room: settings::get("log_room")?,
    })
}

/// Notes who somebody in a room is. Returns the key, and whether the person is spared.
fn meet(kit: &Kit, occupant: &Occupant) -> (String, bool) {
    let (key, is_spared) = (key(occupant), is_spared(occupant));
    kit.judge.borrow_mut().meet(&occupant.room, &key, moderation::nick(&occupant.nick), is_spared, now());
    (key, is_spared)
}

/// Returns whether somebody said something here long enough ago to be no newcomer, by memory or by storage.
async fn is_settled(kit: &Kit, room: &str, key: &str) -> bool {
    let remembered = kit.judge.borrow().is_settled(room, key);
    if let Some(is_settled) = remembered {
        return is_settled;
    }
    let Some(stored) = stored("settled", room, key) else { return false };
    let is_settled = match storage::get::<bool>(&stored).await {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => {
            warn!("whether somebody is a newcomer is unknown: {error}");
            false
        }
    };
    kit.judge.borrow_mut().settle(room, key, is_settled, now());
    if is_settled {
        keep_settled(room, key).await;
    }
    is_settled
}

/// Stores that somebody is no newcomer. Only people who speak again after a while are stored, so that a flood cannot
/// fill the storage.
async fn keep_settled(room: &str, key: &str) {
    let Some(stored) = stored("settled", room, key) else { return };
    if let Err(error) = storage::set_for(stored, &true, SETTLED_FOR).await {
        warn!("somebody in {room} is a newcomer again after a restart: {error}");
    }
}

/// Counts somebody who enters, and kicks the newcomers of a flood.
async fn joined(kit: Rc<Kit>, occupant: Occupant) -> Result<()> {
    let (key, is_spared) = meet(&kit, &occupant);
    let room = occupant.room.as_str();
    if sweep::put_out(&kit, &occupant).await? {
        return Ok(());
    }
    if is_spared || is_settled(&kit, room, &key).await {
        return Ok(());
    }
    let rules = kit.settings.borrow().rules.clone();
    let flood = kit.judge.borrow_mut().join(&rules, room, &key, now());
    for key in flood {
        kick(&kit, room, &key, "too many people enter at once, please come back later").await?;
    }
    Ok(())
}

/// Judges a message that can be read.
async fn heard(kit: Rc<Kit>, message: Message) -> Result<()> {
    let (Some(_), Some(nick)) = (message.body.as_deref(), message.nick.as_deref()) else { return Ok(()) };
    let author = rooms::occupant_of(&message)?;
    judge(&kit, &message.chat, nick, author, Said::of(&message)).await
}

/// Judges a message that is encrypted, or says so. Its text is not known here, and may be in the open for others.
async fn sealed(kit: Rc<Kit>, message: Undecryptable) -> Result<()> {
    let Some(nick) = message.nick.as_deref() else { return Ok(()) };
    let author = act::occupants(&message.chat)?.into_iter().find(|one| one.nick == nick);
    judge(&kit, &message.chat, nick, author, Said::unreadable(&message)).await
}

/// Judges what somebody with this nickname said, and does what follows from it.
async fn judge(kit: &Rc<Kit>, room: &str, nick: &str, author: Option<Occupant>, said: Said) -> Result<()> {
    let nick = moderation::nick(nick);
    let author = match author {
        Some(occupant) => Some(meet(kit, &occupant)),
        // Rules also apply to an author who left right after writing.
        None => kit.judge.borrow().absent(room, &nick),
    };
    let Some((key, false)) = author else { return Ok(()) };
    is_settled(kit, room, &key).await;
    let id = said.id.clone();
    let rules = kit.settings.borrow().rules.clone();
    let verdict = kit.judge.borrow_mut().hear(&rules, room, &key, said, now());
    if verdict.has_settled {
        keep_settled(room, &key).await;
    }
    let why = match verdict.offence {
        None => return Ok(()),
        Some(Offence::Early(pause)) => format!("slow mode is on: one message in {} s", pause.as_secs()),
        Some(Offence::Flood) => "too many messages at once".to_owned(),
        Some(Offence::Link) => "newcomers may not send links yet".to_owned(),
        Some(Offence::Repeat) => "this was said too often".to_owned(),
        Some(Offence::Sealed) => "newcomers may not send encrypted messages yet".to_owned(),
        Some(Offence::Unreadable) => "too many encrypted messages".to_owned(),
    };
    punish(kit, &Offending { room, key: &key, nick: &nick, id: id.as_deref(), why: &why }).await
}
