//! The audit on the control socket: its entries, and the activity of plugins in numbers. All untrusted text was escaped
//! when it was stored.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use parlor_config::AccountName;
use parlor_store::{AuditEntry, AuditKind, AuditQuery, By, Count, KeptTally, NewAuditEntry};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::reach::reached;
use super::refusal::Refusal;
use super::request::{Request, Session};
use super::switching::on_each;
use crate::host::{Host, actions, audit};

/// The most entries of one response.
pub const MOST_ENTRIES: u32 = 10_000;
/// How long a response waits for an entry.
const WAIT: Duration = Duration::from_secs(5);
/// The way of somebody who uses the control socket.
const WAY: &str = "control socket";

/// A part of the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The entries, the oldest first.
    pub entries: Vec<Entry>,
    /// The counts of plugins.
    pub counts: Vec<Counted>,
    /// The recipients, servers, requests and denied calls of one plugin, the last first.
    pub names: Vec<Name>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, on the node where it is.
    pub id: i64,
    /// The node of a cluster where it happened; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When, RFC 3339.
    pub at: String,
    /// Its subject, such as `grant`.
    pub kind: String,
    /// The plugin that it is about.
    pub plugin: Option<String>,
    /// The account that it is about.
    pub account: Option<String>,
    /// The author, such as `uid:1000`.
    pub who: String,
    /// The absolute path of the file, if somebody edited one, and it is known which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The way, such as `parlor plugin grant`.
    pub way: String,
    /// The change in a few words.
    pub what: String,
    /// How it was before.
    pub old: Option<String>,
    /// How it is now.
    pub new: Option<String>,
    /// The sentences about it that an owner reads before agreeing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// A count of a plugin on an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The plugin.
    pub plugin: String,
    /// The account.
    pub account: String,
    /// The name of the count.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// How often a plugin did something with one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The account.
    pub account: String,
    /// The kind of the name: `recipient`, `server`, `request`, `webhook` or `denial`.
    pub kind: String,
    /// The name.
    pub what: String,
    /// The first time, RFC 3339.
    pub first: String,
    /// The last time, RFC 3339.
    pub last: String,
    /// How often.
    pub count: u64,
    /// The bytes that the host sent, for requests.
    pub sent: Option<u64>,
    /// The bytes that it received, for requests.
    pub received: Option<u64>,
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, kind, plugin, account, who, file, way, what, old, new, said } = entry;
        Self { id, node: None, at: time(at), kind, plugin, account, who, file, way, what, old, new, said }
    }
}

impl Entry {
    /// Returns the author for people, with the path of an edited file.
    pub fn author(&self) -> String {
        self.file.as_ref().map_or_else(|| self.who.clone(), |file| format!("{} ({file})", self.who))
    }
}

impl Audit {
    /// Returns what was read, for display.
    pub fn of(entries: Vec<AuditEntry>, (counts, names): (Vec<Count>, Vec<KeptTally>)) -> Self {
        let count = |Count { plugin, account, name, count }: Count| Counted { plugin, account, name, count };
        let name = |KeptTally { account, kind, what, first, last, count, traffic }: KeptTally| Name {
            account,
            kind,
            what,
            first: time(first),
            last: time(last),
            count,
            sent: traffic.map(|bytes| bytes.sent),
            received: traffic.map(|bytes| bytes.received),
        };
        Self {
            entries: entries.into_iter().map(Entry::from).collect(),
            counts: counts.into_iter().map(count).collect(),
            names: names.into_iter().map(name).collect(),
        }
    }
}

/// Returns the user behind a request, with the session in the browser that it is made for, or the owner in a chat.
pub(super) fn user(request: &Request, uid: u32) -> By {
    let of = |session: &Session| match session.in_chat() {
        Some(owner) => By::owner(owner.as_str()),
        None => By::session(uid, &session.name, session.jid.as_ref().map(|jid| jid.as_str())),
    };
    let by = request.by.as_ref().map_or_else(|| By::user(uid, WAY), of);
    match &request.passed_by {
        Some(node) => By { way: format!("{} at node {node}", by.way), ..by },
        None => by,
    }
}

fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string()
}

/// Reads the part of the audit that a request names.
pub(super) async fn read(host: &Host, request: &Request, waiting: &Arc<Semaphore>) -> Result<Audit, Refusal> {
    let query = query(request)?;
    let audit = audit::of(host);
    // The numbers include everything until now.
    audit::count_on(host, &reached(host, request)).await;
    // Subscribed before it is read, so that no entry between the two is missed.
    let mut news = audit.news();
    news.mark_unchanged();
    let mut entries = audit.entries(query.clone()).await.map_err(Refusal::Store)?;
    if entries.is_empty() && request.value("wait") == Some("true") {
        let _place = waiting.try_acquire().map_err(|_| Refusal::Followers)?;
        let until = Instant::now() + WAIT;
        while entries.is_empty() && timeout_at(until, news.changed()).await.is_ok_and(|changed| changed.is_ok()) {
            entries = audit.entries(query.clone()).await.map_err(Refusal::Store)?;
        }
        if entries.is_empty() {
            // Commands add their own entries.
            entries = audit.entries(query.clone()).await.map_err(Refusal::Store)?;
        }
    }
    let AuditQuery { plugin, account, since, .. } = query;
    let activity = if query.after.is_some() {
        (Vec::new(), Vec::new())
    } else {
        audit.activity(plugin, account, since).await.map_err(Refusal::Store)?
    };
    Ok(Audit::of(entries, activity))
}

fn query(request: &Request) -> Result<AuditQuery, Refusal> {
    let number = |name: &str| {
        let number = request.value(name).map(str::parse::<i64>).transpose();
        number.map_err(|_| Refusal::Value(format!("`{name}` is a whole number")))
    };
    let kinds = request.value("kinds").unwrap_or_default().split(',').filter(|kind| !kind.is_empty());
    let kinds = kinds.map(str::parse::<AuditKind>).collect::<Result<_, _>>().map_err(Refusal::Value)?;
    Ok(AuditQuery {
        plugin: request.value("plugin").map(str::to_owned),
        account: request.value("account").map(str::to_owned),
        since: number("since")?,
        kinds,
        after: number("after")?,
        before: number("before")?,
        most: lines(request)?,
    })
}

/// Returns how many entries a request asks for.
pub(super) fn lines(request: &Request) -> Result<u32, Refusal> {
    let most = request.lines(100_i64)?;
    Ok(u32::try_from(most.clamp(0, MOST_ENTRIES.into())).unwrap_or(MOST_ENTRIES))
}

/// Does the same as [`recorded`] for one account, with these words in the entry: only the handler knows what the request comes to.
pub(super) async fn recorded_as<T>(
    host: &Host,
    request: &Request,
    by: &By,
    account: &AccountName,
    what: &str,
    change: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let entries = entries(request, by, &[account]).into_iter();
    let entries = entries.map(|entry| NewAuditEntry { what: what.to_owned(), ..entry }).collect();
    actions::recorded(&audit::of(host), entries, change).await
}

/// Has a change that a request asks for carried out once its entries are on disk: one for each account that it is about, or one
/// alone. If they cannot be written, it is not begun. A handler checks the request before, so that a slip is not recorded.
pub(super) async fn recorded<T>(
    host: &Host,
    request: &Request,
    by: &By,
    accounts: &[&AccountName],
    change: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    actions::recorded(&audit::of(host), entries(request, by, accounts), change).await
}

/// Returns the entries about a request that is about these accounts.
fn entries(request: &Request, by: &By, accounts: &[&AccountName]) -> Vec<NewAuditEntry> {
    entry(request, by).map_or_else(Vec::new, |entry| on_each(entry, accounts))
}

/// Returns the entry about a request, without an account; none for one that changes nothing, that follows a command which has
/// recorded its change, or that is recorded where it is carried out, as decisions about keys are.
fn entry(request: &Request, by: &By) -> Option<NewAuditEntry> {
    if request.method != Method::POST {
        return None;
    }
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let named = |name: &str| request.value(name).unwrap_or_default();
    let (kind, plugin, what) = match path[..] {
        ["v1", "configure"] => (AuditKind::Host, None, "the files were read again".to_owned()),
        ["v1", "cluster", "drain"] => {
            let done = if request.value("off") == Some("true") { "takes accounts again" } else { "is drained" };
            (AuditKind::Host, None, format!("the node {} of the cluster {done}", named("node")))
        }
        ["v1", "plugins", id, "restart"] => (AuditKind::Run, Some(id), "restarted".to_owned()),
        ["v1", "plugins", id, "webhooks", "rotate"] => {
            (AuditKind::Webhook, Some(id), format!("webhook {} has another address", named("webhook")))
        }
        ["v1", "plugins", id, "webhooks", "replay"] => {
            (AuditKind::Webhook, Some(id), format!("request {} is told once more", named("request")))
        }
        ["v1", "plugins", id, "webhooks", "drop"] => {
            (AuditKind::Webhook, Some(id), format!("request {} is dropped", named("request")))
        }
        ["v1", "plugins", id, "schedules", "pause"] => {
            (AuditKind::Run, Some(id), format!("schedule {} pauses", named("schedule")))
        }
        ["v1", "plugins", id, "schedules", "resume"] => {
            (AuditKind::Run, Some(id), format!("schedule {} goes on", named("schedule")))
        }
        ["v1", "plugins", id, "data", "import"] => {
            (AuditKind::Run, Some(id), "entries were imported for it".to_owned())
        }
        ["v1", "plugins", id, "data", "forget"] => (AuditKind::Run, Some(id), "what it stored is removed".to_owned()),
        ["v1", "rooms", "join"] => (AuditKind::Account, None, format!("the room {} was entered", named("room"))),
        ["v1", "rooms", "leave"] => (AuditKind::Account, None, format!("the room {} was left", named("room"))),
        ["v1", "contacts", step @ ("accept" | "deny")] => {
            let done = if step == "accept" { "accepted" } else { "denied" };
            (AuditKind::Account, None, format!("the request of {} to be a contact was {done}", named("jid")))
        }
        ["v1", "say"] => (AuditKind::Account, None, format!("it was made to write to {}", named("to"))),
        ["v1", "web", "link"] => {
            let asked = if request.value("asked") == Some("true") { ", for somebody on the log-in page" } else { "" };
            let what =
                format!("a link to log in to the window was sent to {} as {}{asked}", named("to"), named("role"));
            (AuditKind::Host, None, what)
        }
        _ => return None,
    };
    Some(NewAuditEntry { plugin: plugin.map(str::to_owned), ..NewAuditEntry::new(kind, by, &what) })
}

#[cfg(test)]
mod tests {
    use hyper::header::HOST;

    use super::*;

    fn request(method: &str, target: &str) -> Request {
        let head = hyper::Request::builder().method(method).uri(target).header(HOST, "x");
        Request::of(&head.body(()).unwrap().into_parts().0).unwrap()
    }

    /// Returns the entry about a change that a user asks for.
    fn entry_of(target: &str) -> Option<NewAuditEntry> {
        let request = request("POST", target);
        entry(&request, &user(&request, 1_000))
    }

    #[test]
    fn what_changes_something_has_an_entry_with_the_user() {
        for (target, what) in [
            ("/v1/configure", "the files were read again"),
            ("/v1/cluster/drain?node=one", "the node one of the cluster is drained"),
            ("/v1/cluster/drain?node=one&off=true", "the node one of the cluster takes accounts again"),
            ("/v1/plugins/echo/restart", "restarted"),
            ("/v1/plugins/echo/webhooks/rotate?webhook=ci&account=main", "webhook ci has another address"),
            ("/v1/plugins/echo/webhooks/replay?request=7", "request 7 is told once more"),
            ("/v1/plugins/echo/webhooks/drop?request=7", "request 7 is dropped"),
            ("/v1/plugins/echo/schedules/pause?schedule=daily", "schedule daily pauses"),
            ("/v1/plugins/echo/schedules/resume?schedule=daily", "schedule daily goes on"),
            ("/v1/plugins/echo/data/import?account=main&quota=9", "entries were imported for it"),
            ("/v1/plugins/echo/data/forget", "what it stored is removed"),
        ] {
            let entry = entry_of(target).unwrap();
            assert_eq!((entry.what.as_str(), entry.by.who.as_str()), (what, "uid:1000"));
        }
        for (target, kind, what) in [
            ("/v1/rooms/join?room=r@m&account=main", AuditKind::Account, "the room r@m was entered"),
            ("/v1/rooms/leave?room=r@m&account=main", AuditKind::Account, "the room r@m was left"),
            (
                "/v1/contacts/accept?jid=a@b&account=main",
                AuditKind::Account,
                "the request of a@b to be a contact was accepted",
            ),
            ("/v1/say?to=a@b&text=secret&account=main", AuditKind::Account, "it was made to write to a@b"),
            (
                "/v1/web/link?to=a@b&role=viewer&account=main",
                AuditKind::Host,
                "a link to log in to the window was sent to a@b as viewer",
            ),
            (
                "/v1/web/link?to=a@b&role=owner&asked=true&account=main",
                AuditKind::Host,
                "a link to log in to the window was sent to a@b as owner, for somebody on the log-in page",
            ),
        ] {
            let entry = entry_of(target).unwrap();
            assert_eq!((entry.kind, entry.what.as_str()), (kind, what));
        }
        assert_eq!(entry_of("/v1/reload"), None, "commands record their changes before");
        let decides = "/v1/accounts/main/keys/trust?jid=a@b&fingerprint=01";
        assert_eq!(entry_of(decides), None, "it is recorded where it is carried out");
        assert_eq!(entry(&request("GET", "/v1/status"), &By::user(1_000, WAY)), None);
    }

    #[test]
    fn an_entry_has_the_account_that_acts_and_not_the_one_that_was_asked_for() {
        let [main, second] = ["main", "second"].map(|name| name.parse::<AccountName>().unwrap());
        let by = By::user(1_000, WAY);
        let of = |target: &str, accounts: &[&AccountName]| {
            let entries = entries(&request("POST", target), &by, accounts);
            entries.into_iter().map(|entry| entry.account).collect::<Vec<_>>()
        };
        let names = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(of("/v1/say?to=a@b&text=x", &[&main]), names(&["main"]));
        let rotates = "/v1/plugins/echo/webhooks/rotate?webhook=ci";
        assert_eq!(of(rotates, &[&main, &second]), names(&["main", "second"]));
        assert_eq!(of("/v1/plugins/echo/restart", &[]), [None::<String>]);
        assert_eq!(of("/v1/plugins/echo/restart", &[&main, &second]), names(&["main", "second"]));
        assert!(of("/v1/reload", &[&main]).is_empty());
    }

    #[test]
    fn a_session_in_the_browser_stands_beside_the_user() {
        let of = |by: &str| {
            let head = hyper::Request::builder().method("POST").uri("/v1/plugins/echo/restart").header(HOST, "x");
            Request::of(&head.header("parlor-by", by).body(()).unwrap().into_parts().0)
        };
        let by = user(&of("ann.laptop").unwrap(), 1_000);
        assert_eq!((by.who.as_str(), by.way.as_str()), ("uid:1000 web:ann.laptop", "parlor web"));
        let by = user(&of("ann juli%C3%A9t@example.org").unwrap(), 1_000);
        assert_eq!(by.who, "uid:1000 web:ann jid:juliét@example.org");
        for wrong in [
            "",
            "ann uid:0",
            "a,b",
            &"x".repeat(33),
            " a@b",
            "ann a@b/c",
            "ann a@b jid:c@d",
            "ann a%20uid:0@b",
            "ann B",
            "ann ",
        ] {
            assert!(matches!(of(wrong), Err(Refusal::Value(_))), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_bounded_and_checked() {
        let of = |target: &str| query(&request("GET", target));
        let all = of("/v1/audit?plugin=echo&kinds=grant,run&since=5&before=9&lines=99999999").unwrap();
        assert_eq!((all.after, all.before), (None, Some(9)));
        assert_eq!((all.plugin.as_deref(), all.since, all.most), (Some("echo"), Some(5), MOST_ENTRIES));
        assert_eq!(all.kinds, [AuditKind::Grant, AuditKind::Run]);
        for wrong in
            ["/v1/audit?kinds=x", "/v1/audit?since=x", "/v1/audit?lines=x", "/v1/audit?after=x", "/v1/audit?before=x"]
        {
            assert!(matches!(of(wrong), Err(Refusal::Value(_))), "{wrong}");
        }
    }
}
