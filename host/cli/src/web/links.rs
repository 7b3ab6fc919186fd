//! Links that an account sends to an owner: how they are made and sent, and how many somebody can have sent from the log-in page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor::control::client::{Client, escaped};
use parlor::control::views::Said;
use parlor_config::{AccountName, Config};
use parlor_window::{LinkRequest, Name, Role, Store};
use tokio::sync::mpsc;

use crate::target::{flag, with_account};

/// How many minutes a link can be used that somebody asked for on the log-in page.
pub(super) const MINUTES: u16 = 10;
/// The most links that are sent to one owner within an hour because somebody asked for them on the log-in page.
const MOST_EACH: usize = 3;
/// The time in which [`MOST_EACH`] counts links.
const HOUR: Duration = Duration::from_hours(1);
/// The most requests that wait to be carried out. Further ones are dropped.
const WAITING: usize = 8;

/// A link that is to be sent.
#[derive(Debug)]
pub(super) struct Letter<'l> {
    /// The address of the window, which a link begins with.
    pub(super) address: &'l str,
    pub(super) to: &'l BareJid,
    pub(super) role: Role,
    /// How long it can be used.
    pub(super) minutes: u16,
    /// The account that sends it. None: one that has this owner.
    pub(super) account: Option<&'l AccountName>,
    /// Whether somebody asked for it on the log-in page.
    pub(super) is_asked: bool,
}

impl Letter<'_> {
    /// Makes the link, and has the host send it. Returns the account that sent it, and the name that its session will have. One that is not
    /// sent is taken back.
    pub(super) fn send(&self, host: &Client, store: &Store) -> anyhow::Result<(Said, Name)> {
        let Self { address, to, role, minutes, account, is_asked } = self;
        let life = Duration::from_mins((*minutes).into());
        let (name, secret) = store.issue_to(to.as_str(), *role, life, Timestamp::now())?;
        let link = format!("{address}login/{}", secret.expose());
        let (to, asked) = (escaped(to.as_str()), flag("asked", *is_asked));
        let target = format!("/v1/web/link?to={to}&role={role}&minutes={minutes}{asked}");
        let target = with_account(&target, account.map(AccountName::as_str));
        let said = host.post_secret(&target, link.as_bytes()).inspect_err(|_| {
            // If that fails as well, it expires, and nobody has it.
            let _ = store.withdraw(&secret, Timestamp::now());
        })?;
        Ok((said, name))
    }
}

/// Says which accounts a session is limited to, after its role; empty if it is to none.
pub(super) fn for_accounts(accounts: Option<&BTreeMap<String, String>>) -> String {
    accounts.map(|accounts| format!(", for the accounts {}", names(accounts))).unwrap_or_default()
}

/// Returns the names of the accounts that a session is limited to.
pub(super) fn names(accounts: &BTreeMap<String, String>) -> String {
    accounts.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The requests of the log-in page for links. They are carried out one after the other, and apart from their answers, which
/// take no longer for owners than for others.
#[derive(Debug)]
pub(super) struct Requests {
    queue: mpsc::Sender<LinkRequest>,
    waiting: Mutex<Option<mpsc::Receiver<LinkRequest>>>,
    sent: Mutex<VecDeque<(Instant, BareJid)>>,
}

impl Default for Requests {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self { queue, waiting: Mutex::new(Some(waiting)), sent: Mutex::default() }
    }
}

impl Requests {
    /// Has a request carried out. Returns false if too many wait.
    pub(super) fn put(&self, request: LinkRequest) -> bool {
        self.queue.try_send(request).is_ok()
    }

    /// Takes the receiver of the requests. None: it was taken already.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<LinkRequest>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the owner to whom a link is to be sent, and counts it. None: the log says why nothing is sent.
    pub(super) fn owner(&self, config: &Config, request: &LinkRequest, now: Instant) -> Option<BareJid> {
        let jid = Jid::new(request.jid.trim()).map(Jid::into_bare);
        let is_owner = |jid: &BareJid| config.accounts.values().any(|account| account.has_owner(jid));
        // A stranger is not named: strangers would write the log.
        let Some(jid) = jid.ok().filter(is_owner) else {
            tracing::info!("somebody who is no owner asked for a link to the window");
            return None;
        };
        if !self.is_left(&jid, now) {
            tracing::warn!(owner = %jid, "an owner is sent no further link to the window: there were too many within an hour");
            return None;
        }
        Some(jid)
    }

    /// Counts a link for an owner. Returns false if there were too many.
    fn is_left(&self, jid: &BareJid, now: Instant) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= HOUR) {
            sent.pop_front();
        }
        if sent.iter().filter(|(_, to)| to == jid).count() >= MOST_EACH {
            return false;
        }
        sent.push_back((now, jid.clone()));
        true
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let account = |name: &str, more: &str| {
            format!(
                "[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n\
                 owners = [\"ann@example.org\", \"bob@example.org\"{more}]\n"
            )
        };
        let text = account("main", ", \"carl@example.org\"") + &account("second", "");
        std::fs::write(&path, text).unwrap();
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        Config::load(&path, &overrides).unwrap()
    }

    fn request(jid: &str) -> LinkRequest {
        LinkRequest { jid: jid.to_owned(), address: "http://127.0.0.1:8470/".to_owned() }
    }

    #[test]
    fn only_an_owner_is_sent_a_link_and_not_too_many() {
        let (requests, config, begin) = (Requests::default(), config(), Instant::now());
        let owner = |jid: &str, minutes: u64| {
            requests.owner(&config, &request(jid), begin + Duration::from_mins(minutes)).map(|jid| jid.to_string())
        };
        for other in
            ["mallory@example.org", "example.org", "", "@", "ann@example.org.evil.example", "ann", "<b>@example.org"]
        {
            assert_eq!(owner(other, 0), None, "{other}");
        }
        // However it is spelled, it is the same person.
        for spelled in ["ann@example.org", " ANN@Example.org ", "ann@example.org/phone"] {
            assert_eq!(owner(spelled, 1).as_deref(), Some("ann@example.org"));
        }
        assert_eq!(owner("ann@example.org", 2), None);
        // An owner of one account is sent one, too, whose session is for that account alone.
        for jid in ["bob@example.org", "carl@example.org"] {
            assert_eq!(owner(jid, 2).as_deref(), Some(jid));
        }
        assert_eq!(owner("ann@example.org", 60), None);
        assert_eq!(owner("ann@example.org", 61).as_deref(), Some("ann@example.org"));
    }

    #[test]
    fn requests_wait_within_bounds() {
        let requests = Requests::default();
        assert!((0..WAITING).all(|_| requests.put(request("ann@example.org"))));
        assert!(!requests.put(request("ann@example.org")));
        assert!(requests.take().is_some() && requests.take().is_none());
    }
}
