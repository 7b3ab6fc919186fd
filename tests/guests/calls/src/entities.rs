//! The calls of `chats.chat`, `contacts.chat`, `announced.chat` and `members.chat`.

use parlor_sdk::prelude::*;
use parlor_sdk::rooms::Bookmark;

use super::{ALICE, or_none};

const BOB: &str = "bob@example.org";
const NOBODY: &str = "nobody@example.org";
const GARDEN: &str = "garden@rooms.example.org";
const HALL: &str = "hall@rooms.example.org";
const BALL: &str = "ball@rooms.example.org";
const FEATURE: &str = "urn:example:news";

/// Subscribes to the events.
pub(super) fn listen() -> Result<()> {
    on("contactRequest").run(|asking: Contact| async move {
        if asking.jid.starts_with("carol") {
            contacts::accept(&asking.jid).await
        } else {
            contacts::deny(&asking.jid).await
        }
    })?;
    on("roomInviteReceived")
        .run(|invite: Invite| async move { rooms::decline(&invite.room, &invite.from, Some("another time")).await })?;
    Ok(())
}

/// Makes a call, and returns what is to be told of it. None: it is no such call.
pub(super) async fn call(name: &str, what: &str) -> Result<Option<String>> {
    let told = match name {
        "chats" => chat(what).await?,
        "contacts" => contact(what).await?,
        "announce" | "announced" | "clear" | "server" => announce(name).await?,
        "members" => member(what).await?,
        "rooms" => room(what).await?,
        _ => return Ok(None),
    };
    Ok(Some(told))
}

fn done() -> String {
    "done".to_owned()
}

/// Shows which of them there are, by something of each.
fn listed<T>(some: &[Option<T>], of: impl Fn(&T) -> String) -> String {
    let some = some.iter().map(|one| one.as_ref().map_or_else(|| "-".to_owned(), &of));
    some.collect::<Vec<_>>().join(", ")
}

async fn chat(what: &str) -> Result<String> {
    match what {
        "open" => {
            let opened: Vec<_> = chats::open_many([ALICE, BOB]).await?.into_iter().map(Result::ok).collect();
            Ok(listed(&opened, |chat| chat.jid.clone()))
        }
        "get" => {
            let (one, two, all) = ([chats::get(BOB)?], chats::get_many([ALICE, NOBODY])?, chats::get_all()?);
            let (one, two) = (listed(&one, |chat| chat.jid.clone()), listed(&two, |chat| chat.jid.clone()));
            Ok(format!("{one}; {two}; {}", all.len()))
        }
        "show" => {
            chats::focus(BOB).await?;
            chats::show(BOB).await?;
            chats::maximize(BOB).await?;
            chats::minimize(BOB).await?;
            Ok(done())
        }
        _ => {
            chats::close(BOB).await?;
            Ok(chats::close_many([ALICE]).await?.len().to_string())
        }
    }
}

async fn contact(what: &str) -> Result<String> {
    if what == "get" {
        let (one, two, all) = ([contacts::get(ALICE)?], contacts::get_many([ALICE, NOBODY])?, contacts::get_all()?);
        let one = listed(&one, |contact| format!("{} {}", contact.fullname, contact.groups.join(" ")));
        let two = listed(&two, |contact| contact.jid.clone());
        return Ok(format!("{one}; {two}; {}", all.len()));
    }
    contacts::rename(ALICE, "Al").await?;
    contacts::set_groups(ALICE, ["family", "friends"]).await?;
    Ok(done())
}

async fn announce(name: &str) -> Result<String> {
    match name {
        "announce" => {
            let added = disco::own_features_add(FEATURE).await?;
            let named = disco::own_identities_add("automation", "weather", "Weather", None).await?;
            Ok(format!("{added} {named}"))
        }
        "announced" => {
            let is_there = disco::own_features_get()?.iter().any(|feature| feature == FEATURE);
            let names = disco::own_identities_get()?.into_iter();
            let names = names.map(|one| format!("{}/{} {}", one.category, one.kind, or_none(one.name.as_deref())));
            Ok(format!("{is_there}; {}", names.collect::<Vec<_>>().join(", ")))
        }
        "clear" => {
            disco::own_identities_clear().await?;
            Ok(done())
        }
        _ => {
            let server = disco::get_identity("server", "im", "example.org").await?;
            let ping = disco::supports("urn:xmpp:ping", "example.org").await?;
            let none = disco::supports("urn:example:none", "example.org").await?;
            let server = or_none(server.as_ref().map(|server| server.kind.as_str()));
            Ok(format!("{server} {} {}", ping.supported, none.supported))
        }
    }
}

async fn member(what: &str) -> Result<String> {
    match what {
        "list" => {
            let members = rooms::affiliations(GARDEN, Affiliation::Member).await?;
            let members: Vec<_> = members.into_iter().map(|member| member.jid).collect();
            return Ok(if members.is_empty() { "nobody".to_owned() } else { members.join(", ") });
        }
        "change" => {
            rooms::set_role(GARDEN, "bob", Role::Visitor, Some("enough")).await?;
            rooms::set_affiliation(GARDEN, BOB, Affiliation::Member, None).await?;
        }
        "invite" => rooms::invite(GARDEN, "carol@example.org", rooms::because("come")).await?,
        _ => rooms::ban(GARDEN, BOB, Some("spam")).await?,
    }
    Ok(done())
}

async fn room(what: &str) -> Result<String> {
    match what {
        "open" => Ok(rooms::open_many([HALL, BALL], rooms::nick("bot")).await?.len().to_string()),
        "get" => {
            let (one, two, all) = ([rooms::get(HALL)?], rooms::get_many([BALL, GARDEN])?, rooms::get_all()?);
            let (one, two) = (listed(&one, |room| room.nick.clone()), listed(&two, |room| room.jid.clone()));
            Ok(format!("{one}; {two}; {}", all.len()))
        }
        "show" => {
            rooms::focus(HALL).await?;
            rooms::show(HALL).await?;
            rooms::maximize(HALL).await?;
            rooms::minimize(HALL).await?;
            Ok(done())
        }
        "bookmark" => {
            let (jid, name) = (HALL.to_owned(), Some("The hall".to_owned()));
            rooms::set_bookmark(Bookmark { jid, name, autojoin: true, nick: None, password: None }).await?;
            let marked = rooms::bookmarks()?.into_iter();
            let marked: Vec<_> = marked.map(|one| format!("{} {}", one.jid, or_none(one.name.as_deref()))).collect();
            rooms::remove_bookmark(HALL).await?;
            Ok(format!("{}; {}", marked.join(", "), rooms::bookmarks()?.len()))
        }
        _ => {
            rooms::destroy(BALL, Some("it is over"), None).await?;
            Ok(rooms::close_many([HALL]).await?.len().to_string())
        }
    }
}
