//! Parses the first line of a step: something that happens in a test.

mod beside;
mod file;
mod forms;
mod iqs;
mod rooms;
mod sealed;
mod spoiler;
mod web;

use std::num::NonZeroUsize;
use std::time::Duration;

use jid::{BareJid, FullJid};
use jiff::Timestamp;
use parlor_base::id::PluginId;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_base::quantity;
use parlor_plugins::policy::hooks::OrderName;
use parlor_runtime::account::web::WebAnswer;
use parlor_session::permissions;
use serde_json::Value;

use super::names;
use super::rows::{ACTIONS, STEPS};
use super::server::{About, FormAct, How, Rank, RoomKind, Said};

/// The longest time that one step may let pass.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Something that can happen in a test.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each case is a line of `STEPS`")]
pub enum Act {
    Clock(Timestamp),
    Host {
        key: String,
        value: Value,
    },
    Room {
        room: BareJid,
        kind: RoomKind,
        occupants: Vec<(FullJid, Option<Rank>)>,
    },
    NoArchive,
    /// Another plugin is on the account, from this folder or file.
    Beside(String),
    /// The plugins of this order are hooks.
    Order {
        order: OrderName,
        plugins: Vec<PluginId>,
    },
    Contact {
        jid: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    },
    Set {
        key: String,
        value: Value,
    },
    Deny(Permission),
    Grant {
        permission: Permission,
        scope: Option<toml::Value>,
    },
    Start,
    Restart,
    RestartHost,
    Say(Said),
    Enters(FullJid),
    Leaves(FullJid),
    Renames {
        who: FullJid,
        nick: String,
    },
    Ranks {
        who: FullJid,
        rank: Rank,
    },
    Is {
        who: FullJid,
        show: String,
        status: Option<String>,
    },
    Invites {
        who: FullJid,
        room: BareJid,
        reason: Option<String>,
    },
    AsksToSee(FullJid),
    /// A visitor asks for voice, or a moderator gives it to the account.
    Voice {
        who: FullJid,
        gives: bool,
    },
    After(Duration),
    Cut,
    Back,
    /// `by` removes the account from the room, permanently if `bans` is set.
    PutsOut {
        by: FullJid,
        bans: bool,
        reason: Option<String>,
    },
    Destroyed {
        room: BareJid,
        reason: Option<String>,
    },
    Bounces {
        who: FullJid,
        begins: String,
        condition: String,
    },
    /// Somebody answers an IQ with `xml`, or it is such an IQ, which is `refused` by a condition.
    Answers {
        who: BareJid,
        xml: String,
        refused: Option<String>,
    },
    Xml(String),
    /// Somebody does something with a form.
    Form {
        who: FullJid,
        does: FormAct,
    },
    /// `answer` is none if the server cannot be reached.
    Web {
        method: String,
        url: String,
        answer: Option<WebAnswer>,
    },
    /// Requests are shown with these headers from here on.
    Shows(Vec<String>),
    /// A request comes to a webhook of the plugin.
    Webhook(Hooked),
}

/// A request to a webhook of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooked {
    pub method: String,
    pub name: String,
    /// The part of the path below the address, as it is written.
    pub path: Option<String>,
    pub query: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Act {
    /// Returns whether the step must come before the plugin starts.
    pub fn is_preparation(&self) -> bool {
        matches!(
            self,
            Self::Clock(_)
                | Self::Host { .. }
                | Self::Room { .. }
                | Self::NoArchive
                | Self::Beside(_)
                | Self::Order { .. }
        )
    }

    /// Returns whether the step may come before the plugin starts and does not start it.
    pub fn may_prepare(&self) -> bool {
        self.is_preparation()
            || matches!(
                self,
                Self::Contact { .. }
                    | Self::Set { .. }
                    | Self::Deny(_)
                    | Self::Grant { .. }
                    | Self::Web { .. }
                    | Self::Shows(_)
                    | Self::Answers { .. }
            )
    }

    /// Returns whether people may do this before the plugin starts, in a test with an explicit `start`.
    pub fn may_come_before(&self) -> bool {
        matches!(self, Self::Enters(_) | Self::Leaves(_) | Self::Renames { .. } | Self::Ranks { .. } | Self::Is { .. })
    }
}

/// Parses one step and its continuation lines.
pub fn act(text: &str, more: &[String]) -> Result<Act, String> {
    let (first, rest) = quoted(text).or_else(|| text.split_once(' ')).unwrap_or((text, ""));
    let rest = rest.trim();
    if let Some(said) = rest.strip_prefix(':').filter(|_| quoted(text).is_some()) {
        return say(first, said.trim(), more);
    }
    if let Some(speaker) = first.strip_suffix(':').filter(|speaker| !speaker.is_empty()) {
        return say(speaker, rest, more);
    }
    if let Some((hint, said)) = spoiler::spoiler(rest) {
        return Ok(spoiler::hidden(say(first, said, more)?, hint?));
    }
    if let Some((media_type, url)) = file::file(rest) {
        return file::marked(say(first, url, more)?, media_type);
    }
    if let Some((sealed, said)) = sealed::sealed(rest) {
        return Ok(sealed::marked(say(first, said, more)?, sealed?));
    }
    let is_of_the_web = METHODS.contains(&first) || rest.starts_with("http");
    if !more.is_empty() && !is_of_the_web && !SPEAKING.iter().any(|verb| rest.starts_with(verb)) {
        return Err("only a message, and a body of the web, continue on the next line".to_owned());
    }
    let bare = |act: Act| if rest.is_empty() { Ok(act) } else { Err(format!("nothing follows `{first}`")) };
    match first {
        "start" => bare(Act::Start),
        "restart" if rest == "host" => Ok(Act::RestartHost),
        "restart" => bare(Act::Restart),
        "cut" => bare(Act::Cut),
        "back" => bare(Act::Back),
        "xml" => Ok(Act::Xml(rest.to_owned())),
        "no" if rest == "archive" => Ok(Act::NoArchive),
        "clock" => rest.parse().map(Act::Clock).map_err(|_| "write a time such as 2026-03-01T09:00:00Z".to_owned()),
        "after" => after(rest),
        "deny" => permissions::permission(rest).map(Act::Deny).map_err(|error| error.to_string()),
        "grant" => grant(rest),
        "set" => pair(rest).map(|(key, value)| Act::Set { key, value: json(&value) }),
        "host" => pair(rest).map(|(key, value)| Act::Host { key, value: json(&value) }),
        "contact" => contact(rest),
        "show" => web::shows(rest).map(Act::Shows),
        "beside" => beside::beside(rest).map(Act::Beside),
        "order" => beside::order(rest).map(|(order, plugins)| Act::Order { order, plugins }),
        "room" => rooms::room(rest).map(|(room, kind, occupants)| Act::Room { room, kind, occupants }),
        method if rest.starts_with("http") && method.bytes().all(|letter| letter.is_ascii_uppercase()) => {
            web::answered(method, rest, more)
        }
        method if METHODS.contains(&method) => web::hooked(method, rest, more),
        subject => forms::act(subject, rest).unwrap_or_else(|| somebody(subject, rest, more)),
    }
}

/// Splits a quoted subject, which may contain spaces, from the rest: `"garden/Al Ice": hello`.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

/// Verbs whose text may continue on further lines.
const SPEAKING: [&str; 3] = ["whispers:", "replies ", "corrects "];

/// The methods of requests to a webhook. Their bodies and those of answers may continue on further lines.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn say(speaker: &str, text: &str, more: &[String]) -> Result<Act, String> {
    Ok(Act::Say(said(speaker, body(speaker, text, more)?, None)?))
}

/// Joins a text and its continuation lines.
fn body(speaker: &str, text: &str, more: &[String]) -> Result<String, String> {
    let body = joined(text, more);
    if body.is_empty() { Err(format!("{speaker} says nothing")) } else { Ok(body) }
}

fn joined(text: &str, more: &[String]) -> String {
    std::iter::once(text).chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
}

/// Builds a message to a chat or a room.
fn said(speaker: &str, body: String, about: Option<About>) -> Result<Said, String> {
    match names::occupant(speaker) {
        Some(occupant) => Ok(Said { about, ..Said::by(occupant?, true, body) }),
        None => Ok(Said { about, ..Said::by(names::person(speaker)?, false, body) }),
    }
}

/// Parses `👍 to "Pizza"` or `👍 to 1st "Pizza"`. The message's beginning is between the first and the last quotation
/// mark.
fn reacts(subject: &str, rest: &str) -> Result<Act, String> {
    let how_to = || format!("write: {subject} reacts 👍 to \"Pizza\"");
    let (before, begins) = rest.strip_suffix('"').and_then(|rest| rest.split_once('"')).ok_or_else(how_to)?;
    let before = format!(" {before}");
    let (emojis, which) = before.rsplit_once(" to ").ok_or_else(how_to)?;
    let emojis = emojis.split_whitespace().map(str::to_owned).collect();
    let about = about(How::Reaction(emojis), which, begins).ok_or_else(how_to)?;
    Ok(Act::Say(said(subject, String::new(), Some(about))?))
}

/// Parses `to "Pizza": yes` or `2nd "helo": hello`.
fn speaks_of(how: How, subject: &str, verb: &str, rest: &str, more: &[String]) -> Result<Act, String> {
    let how_to = || format!("write: {subject} {verb} \"Pizza\": yes");
    let object = if how == How::Reply { rest.strip_prefix("to ") } else { Some(rest) };
    let (which, quoted) = object.and_then(|object| object.split_once('"')).ok_or_else(how_to)?;
    let (begins, text) = quoted.split_once("\":").ok_or_else(how_to)?;
    let about = about(how, which, begins).ok_or_else(how_to)?;
    Ok(Act::Say(said(subject, body(subject, text.trim(), more)?, Some(about))?))
}

/// Parses `"hello"` or `2nd "hello"`.
fn retracts(subject: &str, rest: &str) -> Result<Act, String> {
    let how_to = || format!("write: {subject} retracts \"hello\"");
    let (which, begins) = rest.strip_suffix('"').and_then(|rest| rest.split_once('"')).ok_or_else(how_to)?;
    let about = about(How::Retraction, which, begins).ok_or_else(how_to)?;
    Ok(Act::Say(said(subject, String::new(), Some(about))?))
}

/// Builds a reference to an earlier message: the last one that begins with this text, or the `1st`, `2nd` and so on.
fn about(how: How, which: &str, begins: &str) -> Option<About> {
    let which = match which.trim() {
        "" => None,
        ordinal => {
            let number = ["st", "nd", "rd", "th"].iter().find_map(|end| ordinal.strip_suffix(*end))?;
            let number: NonZeroUsize = number.parse().ok()?;
            Some(number.get())
        }
    };
    Some(About { how, begins: unescaped(begins), which })
}

/// Replaces the escapes that a log uses for characters, such as `\u{a}` for a line end.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("\\u{") {
        plain += before;
        let spelt = after.split_once('}').and_then(|(digits, after)| {
            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some((character, after))
        });
        if let Some((character, after)) = spelt {
            plain.push(character);
            rest = after;
        } else {
            plain += "\\u{";
            rest = after;
        }
    }
    plain + rest
}

/// The words before a new nickname.
const CALLED: &str = "is now called";

fn somebody(subject: &str, rest: &str, more: &[String]) -> Result<Act, String> {
    let (verb, object) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "reacts" => return reacts(subject, object),
        "replies" => return speaks_of(How::Reply, subject, "replies to", object, more),
        "corrects" => return speaks_of(How::Correction, subject, verb, object, more),
        "bounces" => return bounces(subject, object),
        "retracts" => return retracts(subject, object),
        "answers:" => return iqs::answers(subject, object),
        "refuses" => return iqs::refuses(subject, object),
        _ => {}
    }
    let (object, words) = match object.split_once(':') {
        Some((object, words)) => (object.trim(), Some(words.trim().to_owned())),
        None => (object.trim(), None),
    };
    let occupant = |verb: &str| {
        let none = || format!("say in which room: garden/{subject} {verb}");
        names::occupant(subject).ok_or_else(none)?
    };
    match verb {
        "kicks" | "bans" if object == US => {
            Ok(Act::PutsOut { by: occupant(verb)?, bans: verb == "bans", reason: words })
        }
        "is" if object == "destroyed" => Ok(Act::Destroyed { room: names::room(subject)?, reason: words }),
        "enters" if object.is_empty() => Ok(Act::Enters(occupant(verb)?)),
        "leaves" if object.is_empty() => Ok(Act::Leaves(occupant(verb)?)),
        "whispers:" => {
            let body =
                std::iter::once(rest.trim_start_matches("whispers:").trim()).chain(more.iter().map(String::as_str));
            let body = body.collect::<Vec<_>>().join("\n");
            Ok(Act::Say(Said::by(occupant(verb)?, false, body)))
        }
        "is" if rest.starts_with(CALLED) => {
            let nick = rest[CALLED.len()..].trim().trim_matches('"').to_owned();
            if nick.is_empty() {
                return Err(format!("say what: {subject} {CALLED} al"));
            }
            Ok(Act::Renames { who: occupant("is now called al")?, nick })
        }
        "is" if names::occupant(subject).is_some() => {
            let who = occupant(verb)?;
            let rank = Rank::of(object).filter(|_| words.is_none());
            let rank = rank.ok_or_else(|| format!("{subject} can be {}", Rank::WORDS.join(", ")))?;
            Ok(Act::Ranks { who, rank })
        }
        "is" => {
            const SHOWS: [&str; 6] = ["online", "offline", "away", "xa", "dnd", "chat"];
            if !SHOWS.contains(&object) {
                return Err(format!("{subject} can be {}", SHOWS.join(", ")));
            }
            Ok(Act::Is { who: names::person(subject)?, show: object.to_owned(), status: words })
        }
        "invites" => {
            let name = object.strip_prefix("to ").ok_or("write: alice invites to garden")?;
            Ok(Act::Invites { who: names::person(subject)?, room: names::room(name)?, reason: words })
        }
        "asks" if object == "for voice" => Ok(Act::Voice { who: occupant("asks for voice")?, gives: false }),
        "gives" if object == "voice to bot" => Ok(Act::Voice { who: occupant("gives voice to bot")?, gives: true }),
        "asks" if object == "to be a contact" => Ok(Act::AsksToSee(names::person(subject)?)),
        _ => Err(unknown(subject, verb)),
    }
}

/// The node of the plugin's account, which every address of it has.
const US: &str = "bot";

/// Parses `"hello": item-not-found`. Without a condition, the recipient is unavailable.
fn bounces(subject: &str, rest: &str) -> Result<Act, String> {
    let how_to = || format!("write: {subject} bounces \"hello\"");
    let (begins, rest) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or_else(how_to)?;
    let condition = match rest.trim().strip_prefix(':').map(str::trim) {
        None if rest.trim().is_empty() => "service-unavailable",
        Some(condition) if !condition.is_empty() => condition,
        _ => return Err(how_to()),
    };
    let (begins, condition) = (unescaped(begins), iqs::condition(condition)?);
    Ok(Act::Bounces { who: names::person(subject)?, begins, condition })
}

fn unknown(first: &str, verb: &str) -> String {
    if ACTIONS.iter().any(|row| row.example.split(' ').next() == Some(first)) {
        return format!("what the plugin does is indented, below what happens: two spaces before `{first}`");
    }
    let words = || STEPS.iter().map(|row| row.word);
    let near = nearest(first, words()).or_else(|| nearest(verb, words()));
    let example = STEPS.iter().find(|row| Some(row.word) == near).map_or("alice: hello", |row| row.example);
    format!("nobody knows what this is; perhaps: {example}")
}

fn after(text: &str) -> Result<Act, String> {
    let time = quantity::duration(text).map_err(|error| error.to_string())?;
    if time > LONGEST {
        return Err("a year is the longest that a test waits".to_owned());
    }
    Ok(Act::After(time))
}

/// Parses `key = value`, as in TOML.
fn pair(text: &str) -> Result<(String, toml::Value), String> {
    let table: toml::Table = text.parse().map_err(|_| "write as in TOML: key = \"value\"".to_owned())?;
    let mut entries = table.into_iter();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry),
        _ => Err("write one setting in a line".to_owned()),
    }
}

fn json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn grant(text: &str) -> Result<Act, String> {
    let (name, scope) = text.split_once('=').map_or((text, None), |(name, scope)| (name, Some(scope)));
    let name = permissions::permission(name.trim().trim_matches('"')).map_err(|error| error.to_string())?;
    let scope = scope.map(|scope| pair(&format!("scope = {scope}")).map(|(_, value)| value)).transpose()?;
    Ok(Act::Grant { permission: name, scope })
}

/// Parses `alice`, `alice "Alice A."` or `alice "Alice A." in friends, office`.
fn contact(text: &str) -> Result<Act, String> {
    let (who, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let (name, groups) = match quoted(rest) {
        Some((name, groups)) => (Some(name), groups.trim()),
        None if rest.is_empty() || rest.starts_with("in ") => (None, rest),
        None => (Some(rest), ""),
    };
    let how_to = || format!("write: contact {who} \"Alice\" in friends, office");
    let groups: Vec<String> = match groups.strip_prefix("in ") {
        Some(groups) => groups.split(',').map(|group| group.trim().to_owned()).collect(),
        None if groups.is_empty() => Vec::new(),
        None => return Err(how_to()),
    };
    if groups.iter().any(String::is_empty) {
        return Err(how_to());
    }
    Ok(Act::Contact { jid: names::person(who)?.to_bare(), name: name.map(str::to_owned), groups })
}

#[cfg(test)]
mod tests;
