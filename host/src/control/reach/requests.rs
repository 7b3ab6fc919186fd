//! The requests of sessions of the window that reach some accounts alone: each is checked before anything is done, and its answer
//! is narrowed. A request that is not named here is refused to them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use parlor_base::escape::escape_untrusted;
use serde_json::Value;

use super::Reach;
use crate::control::INCOMPLETE_HEADER;
use crate::control::audit::Audit;
use crate::control::http::{self, Answer, JSON, json};
use crate::control::refusal::Refusal;
use crate::control::request::{Request, plugin};
use crate::control::show;
use crate::control::views::{Plugin, Status};
use crate::host::Host;

/// The most of a name that is shown, in bytes.
const LONGEST: usize = 256;
/// The value of [`INCOMPLETE_HEADER`]: the nodes of the cluster are the business of those who run it.
const INCOMPLETE: HeaderValue = HeaderValue::from_static("a%20part%20of%20the%20host%20did%20not%20answer");

/// How often the log says what a session was refused. Sessions decide how often they ask, and the log has more to say.
const SAYS: Duration = Duration::from_mins(1);
/// When the log last said that.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

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
    /// A plugin on each of its accounts.
    Plugin(String),
    /// The possessions of a plugin on each of its accounts.
    OfPlugin(String),
    /// The possessions of a plugin on one account, which the query names.
    OfPluginOn(String),
    /// A plugin on all of its accounts at once.
    WholePlugin(String),
}

impl About {
    /// Returns the subject of a request.
    fn of(method: &Method, path: &[&str]) -> Self {
        match (method, path) {
            (&Method::GET, ["v1", "status"]) => Self::Status,
            (&Method::GET, ["v1", "audit"]) => Self::Audit,
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
            (&Method::POST, ["v1", "plugins", id, "restart"]) => Self::WholePlugin((*id).to_owned()),
            _ => Self::Host,
        }
    }
}

/// The part of an answer that a session of the window may see if it reaches some accounts alone.
#[derive(Debug)]
pub(in crate::control) struct Limits {
    reach: Reach,
    about: About,
}

impl Limits {
    /// Checks a request before anything is done. None: it is of somebody who controls the whole host.
    pub(in crate::control) async fn of(host: &Host, request: &Request) -> Result<Option<Self>, Refusal> {
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
        Ok(Some(Self { reach, about }))
    }

    /// Leaves out of an answer what is not of the accounts. Faults of the host name its files and nodes, so only its log says more of
    /// these.
    pub(in crate::control) async fn narrowed(&self, answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        let answer = answer.map_err(|refusal| {
            let told = match &refusal {
                Refusal::Cluster(_) => not_now(),
                other if other.status().is_server_error() => no_answer(),
                _ => return refusal,
            };
            if is_news(&SAID, Instant::now()) {
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

    fn narrow(&self, body: &[u8]) -> Result<Answer, Refusal> {
        match &self.about {
            About::Host => Err(whole_host()),
            // The request was checked to be about an account of theirs.
            About::Account(_) => Ok(http::answer(StatusCode::OK, JSON, body.to_vec())),
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
                for entry in &mut audit.entries {
                    // All entries of the host are counted together, and its files are in folders of others.
                    (entry.id, entry.node, entry.file) = (0, None, None);
                    // A change at another node has its name there, too.
                    entry.way.truncate(entry.way.find(" at node ").unwrap_or(entry.way.len()));
                }
                audit.counts.retain(|count| self.reach.has(&count.account));
                audit.names.retain(|name| self.reach.has(&name.account));
                json(&audit)
            }
            About::Plugin(id) => {
                let mut plugins: Vec<Plugin> = read(body)?;
                self.reach.narrow_plugins(&mut plugins);
                if plugins.is_empty() { Err(no_plugin(id)) } else { json(&plugins) }
            }
        }
    }
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
    let About::WholePlugin(id) = about else { return Ok(()) };
    let id = plugin(id)?;
    reach.may_change(&id, &show::plugin(host, &id).await).map_err(Refusal::Beyond)
}

/// Refuses a request that is not about the accounts alone. Things of others are answered like those that do not exist.
fn check(reach: &Reach, about: &About, request: &Request) -> Result<(), Refusal> {
    // Nodes are those of the host.
    if *about == About::Host || request.query.contains_key("at") {
        return Err(whole_host());
    }
    let (account, plugin) = match about {
        About::Account(name) => (name.as_deref(), None),
        About::Plugin(id) | About::OfPlugin(id) | About::OfPluginOn(id) | About::WholePlugin(id) => (None, Some(id)),
        About::Host | About::Status | About::Accounts | About::Audit => (None, None),
    };
    let named = request.value("account");
    if let Some(other) = [named, account].into_iter().flatten().find(|name| !reach.has(name)) {
        return Err(no_account(other));
    }
    if let Some(other) = plugin.filter(|id| !reach.sees(id)) {
        return Err(no_plugin(other));
    }
    // An entry has a number among all those of the host.
    if *about == About::Audit && ["before", "after"].iter().any(|number| request.query.contains_key(*number)) {
        let says = "pages of the audit are for sessions of the whole host; `since` and `kinds` choose entries";
        return Err(Refusal::Beyond(says.to_owned()));
    }
    let needs_one = matches!(about, About::Account(_) | About::Audit | About::OfPluginOn(_));
    if needs_one && named.or(account).is_none() {
        return Err(unnamed(&reach.accounts));
    }
    Ok(())
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
mod tests {
    use hyper::body::Bytes;
    use serde_json::json as value;

    use super::super::tests::{plugin, reach};
    use super::*;

    fn request(line: &str) -> Request {
        let (method, target) = line.split_once(' ').unwrap();
        let head = hyper::Request::builder().method(method).uri(target);
        Request::of(&head.body(()).unwrap().into_parts().0).unwrap()
    }

    fn about(request: &Request) -> About {
        About::of(&request.method, &request.path.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Checks a request of somebody who has the accounts `red` and `rose`, and not `blue`.
    fn asked(line: &str) -> Result<(), String> {
        let request = request(line);
        check(&reach(), &about(&request), &request).map_err(|refusal| refusal.to_string())
    }

    /// Returns an answer as the session gets it.
    async fn narrowed(line: &str, body: &Value) -> Result<Value, String> {
        let limits = Limits { about: about(&request(line)), reach: reach() };
        let narrowed = limits.narrowed(json(body)).await.map_err(|refusal| refusal.to_string())?;
        Ok(serde_json::from_slice(&bytes(narrowed).await).unwrap())
    }

    async fn bytes(answer: Answer) -> Bytes {
        let Ok(body) = answer.into_body().collect().await;
        body.to_bytes()
    }

    /// The requests that a session of some accounts may make. All others are about the whole host.
    fn expected(line: &str) -> About {
        let (id, name) = ("ID".to_owned(), "NAME".to_owned());
        match line {
            "GET /v1/status" => About::Status,
            "GET /v1/audit" => About::Audit,
            "GET /v1/rooms" | "GET /v1/contacts" | "GET /v1/keys" | "GET /v1/schedules" => About::Accounts,
            "GET /v1/rooms/show"
            | "POST /v1/rooms/join"
            | "POST /v1/rooms/leave"
            | "POST /v1/contacts/accept"
            | "POST /v1/contacts/deny" => About::Account(None),
            "GET /v1/accounts/NAME/keys"
            | "POST /v1/accounts/NAME/keys/trust"
            | "POST /v1/accounts/NAME/keys/distrust"
            | "POST /v1/accounts/NAME/keys/verify"
            | "POST /v1/accounts/NAME/keys/answer"
            | "POST /v1/accounts/NAME/keys/reset" => About::Account(Some(name)),
            "GET /v1/plugins/ID" => About::Plugin(id),
            "GET /v1/plugins/ID/webhooks" | "GET /v1/plugins/ID/schedules" => About::OfPlugin(id),
            "POST /v1/plugins/ID/webhooks/drop"
            | "POST /v1/plugins/ID/webhooks/replay"
            | "POST /v1/plugins/ID/webhooks/rotate"
            | "POST /v1/plugins/ID/schedules/pause"
            | "POST /v1/plugins/ID/schedules/resume" => About::OfPluginOn(id),
            "POST /v1/plugins/ID/restart" => About::WholePlugin(id),
            "GET /v1/plugins/ID/explain"
            | "GET /v1/logs"
            | "GET /v1/cluster"
            | "POST /v1/say"
            | "POST /v1/cluster/drain"
            | "POST /v1/web/link"
            | "POST /v1/reload"
            | "POST /v1/configure"
            | "POST /v1/plugins/ID/data/import"
            | "POST /v1/plugins/ID/data/forget" => About::Host,
            new => panic!("{new} is for no session of some accounts until this test says what it is about"),
        }
    }

    #[test]
    fn each_request_of_the_control_socket_has_a_subject() {
        let table = include_str!("../mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let lines: Vec<_> = table.filter_map(|line| line.split(['`', '?']).next()).collect();
        assert!(lines.len() > 30, "{lines:?}");
        for line in lines {
            assert_eq!(about(&request(line)), expected(line), "{line}");
        }
        for line in ["PUT /v1/status", "POST /v1/status", "GET /v1/rooms/join", "GET /v2/status", "GET /v1/plugins"] {
            assert_eq!(about(&request(line)), About::Host, "{line}");
        }
    }

    #[test]
    fn a_session_of_some_accounts_asks_about_these_alone() {
        for line in [
            "GET /v1/status",
            "GET /v1/rooms",
            "GET /v1/rooms?account=red",
            "GET /v1/audit?account=rose&lines=51",
            "POST /v1/rooms/join?room=hall@rooms.example.org&account=red",
            "GET /v1/accounts/red/keys",
            "POST /v1/accounts/rose/keys/reset",
            "GET /v1/plugins/both",
            "GET /v1/plugins/own/schedules",
            "POST /v1/plugins/every/schedules/pause?schedule=daily&account=red",
            "POST /v1/plugins/own/restart",
        ] {
            assert_eq!(asked(line), Ok(()), "{line}");
        }
        let whole = whole_host().to_string();
        for line in ["GET /v1/logs?plugin=own", "GET /v1/cluster", "POST /v1/reload", "GET /v1/status?at=two"] {
            assert_eq!(asked(line), Err(whole.clone()), "{line}");
        }
        // Accounts and plugins of others are told apart from those that there are not by nothing.
        for name in ["blue", "green"] {
            for line in [
                format!("GET /v1/rooms?account={name}"),
                format!("GET /v1/audit?account={name}"),
                format!("POST /v1/rooms/join?room=hall@rooms.example.org&account={name}"),
                format!("GET /v1/accounts/{name}/keys"),
                format!("POST /v1/accounts/red/keys/reset?account={name}"),
                format!("POST /v1/plugins/both/webhooks/rotate?webhook=one&account={name}"),
            ] {
                assert_eq!(asked(&line), Err(no_account(name).to_string()), "{line}");
            }
        }
        for id in ["bobs", "nothing", "nowhere"] {
            for line in [
                format!("GET /v1/plugins/{id}"),
                format!("GET /v1/plugins/{id}/webhooks"),
                format!("POST /v1/plugins/{id}/schedules/pause?schedule=daily&account=red"),
                format!("POST /v1/plugins/{id}/restart"),
            ] {
                assert_eq!(asked(&line), Err(no_plugin(id).to_string()), "{line}");
            }
        }
        for line in [
            "GET /v1/audit",
            "GET /v1/rooms/show?room=hall@rooms.example.org",
            "POST /v1/contacts/accept?jid=juliet@example.org&account=",
            "POST /v1/plugins/both/webhooks/rotate?webhook=one",
        ] {
            assert_eq!(asked(line), Err("name the account with --account: red, rose".to_owned()), "{line}");
        }
        for line in ["GET /v1/audit?account=red&before=7", "GET /v1/audit?account=red&after=0&wait=true"] {
            assert!(asked(line).unwrap_err().contains("`since`"), "{line}");
        }
    }

    #[tokio::test]
    async fn answers_have_only_entries_of_the_accounts() {
        let of = |account: &str| value!({ "account": account, "node": "two", "room": "hall@rooms.example.org" });
        let rooms = narrowed("GET /v1/rooms", &value!([of("blue"), of("red"), { "room": "x" }])).await.unwrap();
        assert_eq!(rooms, value!([{ "account": "red", "room": "hall@rooms.example.org" }]));
        let schedules = value!([{ "plugin": "both", "account": "blue" }, { "plugin": "both", "account": "rose" }]);
        let schedules = narrowed("GET /v1/plugins/both/schedules", &schedules).await.unwrap();
        assert_eq!(schedules, value!([{ "plugin": "both", "account": "rose" }]));
        let entry = |id: i64, account: Option<&str>| {
            value!({
                "id": id, "node": "two", "at": "", "kind": "run", "plugin": null, "account": account, "who": "uid:1", "file": "/home/bob/parlor.toml",
                "way": "parlor web at node two", "what": "", "old": null, "new": null
            })
        };
        let count = |account: &str| value!({ "plugin": "both", "account": account, "name": "sent", "count": 1 });
        let audit = value!({
            "entries": [entry(1, Some("blue")), entry(2, None), entry(3, Some("red"))], "counts": [count("blue"), count("red")], "names": []
        });
        let audit = narrowed("GET /v1/audit?account=red", &audit).await.unwrap();
        assert_eq!(audit["entries"].as_array().unwrap().len(), 1);
        assert_eq!((&audit["entries"][0]["id"], &audit["entries"][0]["file"]), (&value!(0), &Value::Null));
        assert_eq!((&audit["entries"][0]["node"], &audit["entries"][0]["way"]), (&Value::Null, &value!("parlor web")));
        assert_eq!(audit["counts"], value!([count("red")]));
    }

    #[test]
    fn the_log_says_once_a_minute_what_a_session_was_refused() {
        let (said, begin) = (Mutex::new(None), Instant::now());
        for minute in 0..3 {
            let now = begin + SAYS * minute;
            assert_eq!((0..1_000).filter(|_| is_news(&said, now)).count(), 1, "{minute}");
        }
        assert!(!is_news(&said, begin), "the clock was not read in order");
    }

    #[tokio::test]
    async fn faults_of_the_host_are_not_told_and_refusals_are() {
        let limits = Limits { about: About::Accounts, reach: reach() };
        let fault = || Refusal::Passing("node two does not answer".to_owned());
        let of_node =
            http::answer(StatusCode::INTERNAL_SERVER_ERROR, JSON, br#"{"error":"/srv/audit.db is full"}"#.to_vec());
        for answer in [Err(fault()), Ok(of_node)] {
            let told = limits.narrowed(answer).await.err().unwrap();
            assert_eq!((told.status(), told.to_string()), (StatusCode::SERVICE_UNAVAILABLE, no_answer().to_string()));
        }
        let of_nodes = Refusal::Cluster("the request is too large for node two".to_owned());
        let told = limits.narrowed(Err(of_nodes)).await.err().unwrap();
        assert_eq!((told.status(), told.to_string()), (StatusCode::CONFLICT, not_now().to_string()));
        let refused = limits.narrowed(Err(Refusal::NoRoom("r@rooms".to_owned()))).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        let of_node = http::answer(StatusCode::CONFLICT, JSON, b"{}".to_vec());
        assert_eq!(limits.narrowed(Ok(of_node)).await.unwrap().status(), StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn a_plugin_is_shown_where_it_runs_on_the_accounts() {
        let places = |accounts: &[&str]| {
            let all: Vec<_> = accounts.iter().map(|account| plugin("both", Some(*account))).collect();
            serde_json::to_value(all).unwrap()
        };
        let shown = narrowed("GET /v1/plugins/both", &places(&["blue", "red"])).await.unwrap();
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]["account"]), (1, &value!("red")));
        let refused = narrowed("GET /v1/plugins/both", &places(&["blue"])).await.unwrap_err();
        assert_eq!(refused, "there is no plugin both on your accounts");
        let mut incomplete = json(&places(&["red"])).unwrap();
        incomplete.headers_mut().insert(INCOMPLETE_HEADER, HeaderValue::from_static("node%20two"));
        let limits = Limits { about: About::Plugin("both".to_owned()), reach: reach() };
        let answer = limits.narrowed(Ok(incomplete)).await.unwrap();
        assert_eq!(answer.headers()[INCOMPLETE_HEADER], INCOMPLETE);
    }
}
