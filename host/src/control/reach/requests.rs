//! The requests of sessions of the window that reach some accounts alone: each is checked before anything is done, and its answer
//! is narrowed. A request that is not named here is refused to them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use parlor_base::escape::escape_untrusted;
use parlor_config::AccountName;
use serde_json::Value;

use super::places::{Place, Places};
use super::rate::Changes;
use super::{Reach, only};
use crate::control::INCOMPLETE_HEADER;
use crate::control::audit::{Audit, lines};
use crate::control::follow;
use crate::control::http::{self, Answer, JSON, LINES, json};
use crate::control::refusal::Refusal;
use crate::control::request::{Request, plugin};
use crate::control::show;
use crate::control::views::{Plugin, Status};
use crate::host::{Host, audit};

/// The most of a name that is shown, in bytes.
const LONGEST: usize = 256;
/// The most entries of the audit that are passed over for an older one. Each of them is read for that.
const MOST_SHOWN: u32 = 2_000;
/// The value of [`INCOMPLETE_HEADER`]: the nodes of the cluster are the business of those who run it.
const INCOMPLETE: HeaderValue = HeaderValue::from_static("a%20part%20of%20the%20host%20did%20not%20answer");

/// How often the log says what a session was refused. Sessions decide how often they ask, and the log has more to say.
const SAYS: Duration = Duration::from_mins(1);
/// When the log last said that.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);
/// When the log last said why a request was not carried out. Refusals, which a session can have as often as it likes, hide none of that.
static SAID_WHY: Mutex<Option<Instant>> = Mutex::new(None);
/// The changes of plugins by sessions.
static CHANGES: Changes = Changes::new();
/// The requests of such sessions that are carried out now.
static PLACES: Places = Places::new();
/// Those that other nodes of the cluster have passed on. Each node has places of its own, and all of them may ask one.
#[cfg(feature = "cluster")]
static PASSED: Places = Places::new();

/// The subject of a request, as far as it decides who may make it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    /// The whole host, or nothing that there is.
    Host,
    /// The state of the host, as far as it is that of the accounts.
    Status,
    /// The accounts: each entry of the answer names its own. The request may name one.
    Accounts,
    /// One account, which the path names, or else the query.
    Account(Option<String>),
    /// The audit of one account.
    Audit,
    /// The log of a plugin on one account, both of which the query names.
    Log,
    /// A plugin on each of its accounts.
    Plugin(String),
    /// The webhooks or schedules of a plugin on each of its accounts.
    OfPlugin(String),
    /// The webhooks or schedules of a plugin on one account, which the query names.
    OfPluginOn(String),
    /// The entries that a plugin stores on one account, which the query names.
    Data(String),
    /// A plugin on all of its accounts at once.
    WholePlugin(String),
    /// The settings of a plugin, which count on all of its accounts.
    Settings(String),
}

impl About {
    /// Returns the subject of a request.
    fn of(method: &Method, path: &[&str]) -> Self {
        match (method, path) {
            (&Method::GET, ["v1", "status"]) => Self::Status,
            (&Method::GET, ["v1", "audit"]) => Self::Audit,
            (&Method::GET, ["v1", "logs"]) => Self::Log,
            (&Method::GET, ["v1", "rooms" | "contacts" | "keys" | "schedules"]) => Self::Accounts,
            (&Method::GET, ["v1", "rooms", "show"])
            | (&Method::POST, ["v1", "rooms", "join" | "leave"] | ["v1", "contacts", "accept" | "deny"]) => {
                Self::Account(None)
            }
            (&Method::GET, ["v1", "accounts", name, "keys"])
            | (&Method::POST, ["v1", "accounts", name, "keys", "trust" | "distrust" | "verify" | "answer" | "reset"]) => {
                Self::Account(Some((*name).to_owned()))
            }
            (&Method::GET, ["v1", "plugins", id]) => Self::Plugin((*id).to_owned()),
            (&Method::GET, ["v1", "plugins", id, "webhooks" | "schedules"]) => Self::OfPlugin((*id).to_owned()),
            (
                &Method::POST,
                ["v1", "plugins", id, "webhooks", "drop" | "replay" | "rotate"]
                | ["v1", "plugins", id, "schedules", "pause" | "resume"],
            ) => Self::OfPluginOn((*id).to_owned()),
            (&Method::GET, ["v1", "plugins", id, "data"] | ["v1", "plugins", id, "data", "show"]) => {
                Self::Data((*id).to_owned())
            }
            (&Method::GET, ["v1", "plugins", id, "settings"]) => Self::Settings((*id).to_owned()),
            (&Method::POST, ["v1", "plugins", id, "restart" | "enable" | "disable" | "settings"]) => {
                Self::WholePlugin((*id).to_owned())
            }
            _ => Self::Host,
        }
    }
}

/// The part of an answer that a session of the window may see if it reaches some accounts alone.
#[derive(Debug)]
pub(in crate::control) struct Limits {
    reach: Reach,
    about: About,
    /// How many of the newest entries of the audit were shown before.
    shown: usize,
    /// The moment from which the audit is about the present account, if another one had its name before.
    since: Option<i64>,
}

impl Limits {
    /// Checks a request before anything is done. A request for older entries of the audit also asks for those that were shown before,
    /// which the answer leaves out. None: the request is of somebody who controls the whole host.
    pub(in crate::control) async fn of(host: &Host, request: &mut Request) -> Result<Option<Self>, Refusal> {
        let Some(session) = &request.by else { return Ok(None) };
        let reach = Reach::of_session(host, session).await;
        if reach.is_whole() {
            return Ok(None);
        }
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let about = About::of(&request.method, &path);
        checked(host, &reach, &about, request).await.inspect_err(|refusal| {
            if is_news(&SAID, Instant::now()) {
                let path = request.path.join("/");
                tracing::warn!(session = %session.name, path, %refusal, "a session of the window is refused what is beyond its accounts");
            }
        })?;
        let (mut shown, mut since) = (0, None);
        if about == About::Audit {
            (shown, since) = (pass_over(request)?, begin_later(host, request).await?);
        }
        Ok(Some(Self { reach, about, shown, since }))
    }

    /// Leaves out of an answer what is not of the accounts. Faults of the host name its files and nodes, so only its log says more of
    /// these.
    pub(in crate::control) async fn narrowed(&self, answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        let answer = answer.map_err(|refusal| {
            let told = match &refusal {
                // A file that is not applied may name those of others, too.
                Refusal::Cluster(_) | Refusal::NotApplied(_) => not_now(),
                // The account is one of theirs and does not run now. The refusal may suggest one of others with a similar name.
                Refusal::NoAccount(_) => no_answer(),
                other if other.status().is_server_error() => no_answer(),
                _ => return refusal,
            };
            if is_news(&SAID_WHY, Instant::now()) {
                tracing::warn!(%refusal, "a request of a session of some accounts was not carried out");
            }
            told
        })?;
        if answer.status().is_server_error() {
            return Err(no_answer());
        }
        if answer.status() != StatusCode::OK {
            return Ok(answer);
        }
        let is_incomplete = answer.headers().contains_key(INCOMPLETE_HEADER);
        let Ok(body) = answer.into_body().collect().await;
        let mut narrowed = self.narrow(&body.to_bytes())?;
        if is_incomplete {
            narrowed.headers_mut().insert(INCOMPLETE_HEADER, INCOMPLETE);
        }
        Ok(narrowed)
    }

    /// Returns whether a moment is one of the present account. The numbers of names are to the day.
    fn is_since(&self, moment: &str) -> bool {
        let is_later = |since| moment.parse::<Timestamp>().is_ok_and(|moment| moment.as_millisecond() >= since);
        self.since.is_none_or(is_later)
    }

    fn narrow(&self, body: &[u8]) -> Result<Answer, Refusal> {
        match &self.about {
            About::Host => Err(whole_host()),
            // The request was checked to be about an account of theirs, or a plugin on no others.
            About::Account(_) | About::Data(_) | About::Settings(_) => {
                Ok(http::answer(StatusCode::OK, JSON, body.to_vec()))
            }
            About::Status | About::WholePlugin(_) => {
                let mut status: Status = read(body)?;
                self.reach.narrow(&mut status);
                json(&status)
            }
            About::Accounts | About::OfPlugin(_) | About::OfPluginOn(_) => {
                let mut entries: Vec<Value> = read(body)?;
                entries.retain(|entry| entry["account"].as_str().is_some_and(|account| self.reach.has(account)));
                for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("node");
                }
                json(&entries)
            }
            About::Audit => {
                let mut audit: Audit = read(body)?;
                audit.entries.retain(|entry| entry.account.as_ref().is_some_and(|account| self.reach.has(account)));
                let count = audit.entries.len();
                audit.entries.truncate(count.saturating_sub(self.shown));
                for (at, entry) in audit.entries.iter_mut().enumerate() {
                    // All entries of the host are counted together, and its files are in folders of others. The number is
                    // the place among those of the account, the newest first.
                    entry.id = i64::try_from(count - at).unwrap_or(i64::MAX);
                    (entry.node, entry.file) = (None, None);
                    // A change at another node has its name there, too.
                    entry.way.truncate(entry.way.find(" at node ").unwrap_or(entry.way.len()));
                }
                audit.counts.retain(|count| self.reach.has(&count.account));
                audit.names.retain(|name| self.reach.has(&name.account) && self.is_since(&name.first));
                json(&audit)
            }
            About::Log => {
                let mut text = Vec::new();
                for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    if let Some(own) = self.reach.line(read(line)?) {
                        follow::put(&mut text, &own).map_err(Refusal::Unwritable)?;
                    }
                }
                Ok(http::answer(StatusCode::OK, LINES, text))
            }
            About::Plugin(id) => {
                let mut plugins: Vec<Plugin> = read(body)?;
                self.reach.narrow_plugins(&mut plugins);
                if plugins.is_empty() { Err(no_plugin(id)) } else { json(&plugins) }
            }
        }
    }
}

/// Takes a place for a request of a session of some accounts, which is held until there is an answer. Nothing is looked up before: to
/// check a request may take long, too. None: the request is of somebody who controls the whole host.
pub(in crate::control) async fn place(host: &Host, request: &Request) -> Result<Option<Place>, Refusal> {
    place_among(&PLACES, host, request).await
}

/// Takes a place for a request that another node has passed on, in the same way.
#[cfg(feature = "cluster")]
pub(in crate::control) async fn place_of_passed(host: &Host, request: &Request) -> Result<Option<Place>, Refusal> {
    place_among(&PASSED, host, request).await
}

async fn place_among(places: &'static Places, host: &Host, request: &Request) -> Result<Option<Place>, Refusal> {
    let Some(own) = only(host, request) else { return Ok(None) };
    let accounts = own.iter().map(AccountName::as_str).collect::<Vec<_>>().join(" ");
    let place = places.take(accounts).await.ok_or_else(|| {
        let says = "too many requests of sessions of some accounts are being carried out: try again in a moment";
        Refusal::Passing(says.to_owned())
    });
    place.map(Some)
}

/// Returns whether the log is to say something once more.
fn is_news(said: &Mutex<Option<Instant>>, now: Instant) -> bool {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let is_news = said.is_none_or(|at| now.saturating_duration_since(at) >= SAYS);
    if is_news {
        *said = Some(now);
    }
    is_news
}

async fn checked(host: &Host, reach: &Reach, about: &About, request: &Request) -> Result<(), Refusal> {
    check(reach, about, request)?;
    let (About::WholePlugin(id) | About::Settings(id)) = about else { return Ok(()) };
    let id = plugin(id)?;
    reach.may_change(&id, &show::plugin(host, &id).await).map_err(Refusal::Beyond)?;
    // Only what they may change counts, so nobody uses up the changes of others.
    if matches!(about, About::WholePlugin(_)) && !CHANGES.are_left(id.as_str()) {
        return Err(Refusal::Passing(format!("plugin {id} was changed too often: try again in a minute")));
    }
    Ok(())
}

/// Refuses a request that is not about the accounts alone. Things of others are answered like those that do not exist.
fn check(reach: &Reach, about: &About, request: &Request) -> Result<(), Refusal> {
    // Nodes are those of the host.
    if *about == About::Host || request.query.contains_key("at") {
        return Err(whole_host());
    }
    let (account, plugin) = match about {
        About::Account(name) => (name.as_deref(), None),
        About::Plugin(id)
        | About::OfPlugin(id)
        | About::OfPluginOn(id)
        | About::Data(id)
        | About::Settings(id)
        | About::WholePlugin(id) => (None, Some(id.as_str())),
        // Lines about no plugin are about the host.
        About::Log => (None, Some(request.value("plugin").ok_or_else(whole_host)?)),
        About::Host | About::Status | About::Accounts | About::Audit => (None, None),
    };
    let named = request.value("account");
    if let Some(other) = [named, account].into_iter().flatten().find(|name| !reach.has(name)) {
        return Err(no_account(other));
    }
    if let Some(other) = plugin.filter(|id| !reach.sees(id)) {
        return Err(no_plugin(other));
    }
    // What is followed has no end, so it cannot be narrowed.
    if *about == About::Log && request.query.contains_key("follow") {
        return Err(Refusal::Beyond("the log is followed by those who run the host".to_owned()));
    }
    // An entry has a number among all those of the host.
    if *about == About::Audit && request.query.contains_key("after") {
        let says = "what follows is for sessions of the whole host; `since`, `kinds` and `before` choose entries";
        return Err(Refusal::Beyond(says.to_owned()));
    }
    let needs_one =
        matches!(about, About::Account(_) | About::Audit | About::Log | About::OfPluginOn(_) | About::Data(_));
    if needs_one && named.or(account).is_none() {
        return Err(unnamed(&reach.accounts));
    }
    Ok(())
}

/// Takes `before` out of a request for the audit, asks for as many entries more instead, and returns it. It is the place of an entry
/// among those of the account, where the newest has the place 1: numbers of the host would tell how much others do.
fn pass_over(request: &mut Request) -> Result<usize, Refusal> {
    let Some(before) = request.query.remove("before").filter(|before| !before.is_empty()) else { return Ok(0) };
    let shown = before.parse::<u32>().ok().filter(|shown| *shown <= MOST_SHOWN);
    let wrong = || {
        let says =
            format!("`before` is a number up to {MOST_SHOWN}; `since`, `kinds` and `plugin` choose other entries");
        Refusal::Value(says)
    };
    let shown = shown.ok_or_else(wrong)?;
    request.query.insert("lines".to_owned(), lines(request)?.saturating_add(shown).to_string());
    usize::try_from(shown).map_err(|_| wrong())
}

/// Makes a request for the audit of an account begin at the moment when no other address had its name any more, and returns that moment.
/// Earlier entries are the business of somebody else.
async fn begin_later(host: &Host, request: &mut Request) -> Result<Option<i64>, Refusal> {
    let since = audit::since(host, request.value("account").unwrap_or_default()).await.map_err(|error| {
        tracing::warn!(%error, "the audit cannot be read for a session of some accounts");
        no_answer()
    })?;
    if let Some(since) = since {
        put_later(request, since);
    }
    Ok(since)
}

/// Makes a request begin at this moment, unless it begins later. A `since` that is no number stays, and is refused like any other.
fn put_later(request: &mut Request, since: i64) {
    let is_earlier = |asked: &str| asked.parse::<i64>().is_ok_and(|asked| asked < since);
    if request.value("since").is_none_or(is_earlier) {
        request.query.insert("since".to_owned(), since.to_string());
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::Unwritable)
}

fn whole_host() -> Refusal {
    let says =
        "this is about the whole host, and the session is limited to some accounts: ask the people who run the host";
    Refusal::Beyond(says.to_owned())
}

fn no_answer() -> Refusal {
    let says = "the host could not do this: try again in a moment, or ask the people who run it";
    Refusal::Passing(says.to_owned())
}

fn not_now() -> Refusal {
    Refusal::NotDone("the host cannot do this as it is now: ask the people who run it".to_owned())
}

fn no_account(name: &str) -> Refusal {
    Refusal::Beyond(format!("the session is not for an account {}", escape_untrusted(name, LONGEST)))
}

fn no_plugin(id: &str) -> Refusal {
    Refusal::Beyond(format!("there is no plugin {} on your accounts", escape_untrusted(id, LONGEST)))
}

fn unnamed(accounts: &BTreeSet<String>) -> Refusal {
    let names: Vec<_> = accounts.iter().cloned().collect();
    Refusal::unnamed("name the account", &names)
}

#[cfg(test)]
mod tests;
