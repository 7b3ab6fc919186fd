//! Guards rooms: see the README. `parlor_sdk::moderation` remembers and decides, `act` retracts and kicks, `orders` and
//! `sweep` are the commands, and `patterns` are of names that are banned.

mod act;
mod orders;
mod patterns;
mod sweep;

use std::rc::Rc;

use parlor_sdk::jiff::SignedDuration;
use parlor_sdk::moderation::{Offence, Rules, Said, is_spared, key};
use parlor_sdk::prelude::*;

use act::{Kit, Offending, Settings, kick, punish, stored};

/// How long somebody who is silent stays known as no newcomer.
const SETTLED_FOR: Duration = Duration::from_hours(90 * 24);
/// How long after a lost connection what happened meanwhile may still come, all at once.
const CATCHES_UP: SignedDuration = SignedDuration::from_secs(30);

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
    let given = Rc::clone(&kit);
    on("reconnected").run(move |_: Event| {
        given.reconnected.set(Some(now()));
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

/// Returns whether the connection was lost until a moment ago. Hours may come at once then, and their times are not known.
fn catches_up(kit: &Kit) -> bool {
    kit.reconnected.get().is_some_and(|since| now().duration_since(since).abs() < CATCHES_UP)
}

/// Returns whether guards tell in this room what they did. Nobody is judged there: guards of several accounts, which all write there,
/// would judge each other without end, and all of them enter at once when the server starts.
fn is_log_room(kit: &Kit, room: &str) -> bool {
    kit.settings.borrow().log_room.as_deref().is_some_and(|log| log.eq_ignore_ascii_case(room))
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
    if is_spared || catches_up(&kit) || is_log_room(&kit, room) || is_settled(&kit, room, &key).await {
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
    let Some(nick) = message.nick.as_deref() else { return Ok(()) };
    if message.body.is_none() && message.files().is_empty() {
        return Ok(());
    }
    let author = Author { nick, id: message.occupant_id.as_deref(), occupant: rooms::occupant_of(&message)? };
    judge(&kit, &message.chat, author, Said::of(&message)).await
}

/// Judges a message that is encrypted, or says so. Its text is not known here, and may be in the open for others.
async fn sealed(kit: Rc<Kit>, message: Undecryptable) -> Result<()> {
    let Some(nick) = message.nick.as_deref() else { return Ok(()) };
    let occupant = act::occupants(&message.chat)?.into_iter().find(|one| one.nick == nick);
    judge(&kit, &message.chat, Author { nick, id: None, occupant }, Said::unreadable(&message)).await
}

/// The author of a message, as far as the message and the room say.
struct Author<'a> {
    /// The nickname in the message.
    nick: &'a str,
    /// The occupant id in the message.
    id: Option<&'a str>,
    /// None: the author has left.
    occupant: Option<Occupant>,
}

/// Returns the key and the rank of an author who left right after writing: rules apply to such people, too. Somebody else may have
/// a nickname that looks the same.
fn absent(kit: &Kit, room: &str, author: &Author<'_>) -> Result<Option<(String, bool)>> {
    let name = moderation::nick(author.nick);
    let Some((found, is_spared)) = kit.judge.borrow().absent(room, &name) else { return Ok(None) };
    let looks_so = |one: &Occupant| key(one) == found && moderation::nick(&one.nick) == name;
    let is_author = match author.id {
        Some(id) => found == id,
        None => !act::occupants(room)?.iter().any(looks_so),
    };
    Ok(is_author.then_some((found, is_spared)))
}

/// Judges what somebody said, and does what follows from it.
async fn judge(kit: &Rc<Kit>, room: &str, author: Author<'_>, mut said: Said) -> Result<()> {
    if is_log_room(kit, room) {
        return Ok(());
    }
    let known = match &author.occupant {
        Some(occupant) => Some(meet(kit, occupant)),
        None => absent(kit, room, &author)?,
    };
    let (Some((key, false)), nick) = (known, moderation::nick(author.nick)) else { return Ok(()) };
    let was_settled = is_settled(kit, room, &key).await;
    let (id, has_link, is_unreadable) = (said.id.clone(), said.has_link, said.is_unreadable);
    let is_late = catches_up(kit);
    if is_late {
        // What is said from now on does not count together with it, either.
        said.texts.clear();
        said.is_unreadable &= !was_settled;
    }
    let rules = kit.settings.borrow().rules.clone();
    let verdict = kit.judge.borrow_mut().hear(&rules, room, &key, said, now());
    if verdict.has_settled {
        keep_settled(room, &key).await;
    }
    let is_newcomer = !was_settled && !verdict.has_settled;
    let why = match verdict.offence {
        None => return Ok(()),
        // Slow mode counts first, and its pause may have been kept.
        Some(Offence::Early(_)) if is_late && is_newcomer && has_link => why_not(Offence::Link),
        Some(Offence::Early(_)) if is_late && is_newcomer && is_unreadable => why_not(Offence::Sealed),
        Some(Offence::Early(_) | Offence::Flood | Offence::Unreadable) if is_late => return Ok(()),
        Some(offence) => why_not(offence),
    };
    punish(kit, &Offending { room, key: &key, nick: &nick, id: id.as_deref(), why: &why }).await
}

/// Returns the broken rule, for people to read.
fn why_not(offence: Offence) -> String {
    match offence {
        Offence::Early(pause) => format!("slow mode is on: one message in {} s", pause.as_secs()),
        Offence::Flood => "too many messages at once".to_owned(),
        Offence::Link => "newcomers may not send links yet".to_owned(),
        Offence::Repeat => "this was said too often".to_owned(),
        Offence::Sealed => "newcomers may not send encrypted messages yet".to_owned(),
        Offence::Unreadable => "too many encrypted messages".to_owned(),
    }
}
