//! Keeps the peace in rooms: see the README. `book` is what is known of people, and what follows from it.

mod book;

use std::cell::RefCell;
use std::rc::Rc;

use book::{Book, Rules, Sentence};
use parlor_sdk::prelude::*;

/// The commands, with their arguments and help.
const COMMANDS: [(&str, &str, &str); 5] = [
    ("kick", "Puts somebody out of the room", "NICK [REASON]"),
    ("ban", "Puts somebody out of the room for good", "NICK [REASON]"),
    ("mute", "Takes somebody's voice", "NICK"),
    ("voice", "Gives somebody a voice", "NICK"),
    ("pardon", "Forgets what somebody did", "NICK"),
];

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    let book = Rc::new(RefCell::new(Book::default()));
    let listening = Rc::clone(&book);
    on("message").kind("groupchat").run(move |message| judge(Rc::clone(&listening), message))?;
    for (name, help, usage) in COMMANDS {
        let book = Rc::clone(&book);
        commands::add(name, help, usage, move |command| obey(Rc::clone(&book), command)).await?;
    }
    Ok(())
}

/// The rules as the settings are now.
fn rules() -> Result<Rules> {
    Ok(Rules {
        forbidden: settings::get_or("forbidden", Vec::new())?,
        warnings: settings::get_or("warnings", 2)?,
        kicks: settings::get_or("kicks", 2)?,
        messages: settings::get_or("messages", 8)?,
        seconds: settings::get_or("seconds", 10)?,
    })
}

/// Returns the occupant of the room with this nickname.
fn occupant(room: &str, nick: &str) -> Result<Option<Occupant>> {
    Ok(rooms::occupants(room)?.into_iter().find(|one| one.nick == nick))
}

/// By what somebody is known, whatever the nickname, as far as the room says it.
fn person(occupant: &Occupant) -> &str {
    let address = occupant.jid.as_deref().map(bare);
    address.or(occupant.occupant_id.as_deref()).unwrap_or(&occupant.nick)
}

fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// Looks at what somebody said, and does what follows from it.
async fn judge(book: Rc<RefCell<Book>>, message: Message) -> Result<()> {
    let Some(body) = message.body.as_deref() else { return Ok(()) };
    let Some(speaker) = rooms::occupant_of(&message)?.filter(|one| one.role != "moderator") else { return Ok(()) };
    let nick = &speaker.nick;
    let at = message.time()?;
    // Not borrowed while it waits.
    let verdict = book.borrow_mut().hear(&rules()?, (&message.chat, person(&speaker)), body, at);
    let Some((offence, sentence)) = verdict else { return Ok(()) };
    match sentence {
        Sentence::Warning { nth, of } => {
            rooms::send(&message.chat, format!("{nick}: {offence} ({nth} of {of})")).await.map(drop)
        }
        Sentence::Kick => rooms::kick(&message.chat, nick, Some(&offence)).await,
        Sentence::Ban => ban(&message.chat, &speaker, &offence).await,
    }
}

async fn ban(room: &str, who: &Occupant, reason: &str) -> Result<()> {
    match who.jid.as_deref() {
        Some(jid) => rooms::ban(room, bare(jid), Some(reason)).await,
        // The room does not say who it is.
        None => rooms::kick(room, &who.nick, Some(reason)).await,
    }
}

/// Does what a moderator says.
async fn obey(book: Rc<RefCell<Book>>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)?.filter(|one| one.role == Role::Moderator) else {
        return Ok(());
    };
    let (room, by) = (&by.room, by.nick);
    let Some((nick, reason)) = command.args.split_first() else {
        return rooms::send(room, format!("{by}: whom?")).await.map(drop);
    };
    let Some(who) = occupant(room, nick)? else {
        return rooms::send(room, format!("{by}: nobody is called {nick} here")).await.map(drop);
    };
    let reason = if reason.is_empty() { format!("{by} says so") } else { reason.join(" ") };
    let done = match command.name.as_str() {
        "kick" => rooms::kick(room, nick, Some(&reason)).await,
        "ban" => ban(room, &who, &reason).await,
        "mute" => rooms::set_role(room, nick, Role::Visitor, Some(&reason)).await,
        "voice" => rooms::set_role(room, nick, Role::Participant, None).await,
        _ => {
            book.borrow_mut().forget((room, person(&who)));
            rooms::send(room, format!("{nick}: all is forgotten")).await.map(drop)
        }
    };
    match done {
        // The room may not let the bot.
        Err(error) => rooms::send(room, format!("{by}: {error}")).await.map(drop),
        Ok(()) => Ok(()),
    }
}
