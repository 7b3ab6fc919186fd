//! Alerts about the host as a whole: an account is away, a plugin is quarantined or denied often, a certificate ends.
//!
//! This looks at the host from time to time. The accounts send the alerts, at a limited rate, and report rooms
//! themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config, Way};
use parlor_runtime::account::alerts::{Alert, AlertKind};
use parlor_runtime::account::{Connection, Shared, alerting};
use parlor_runtime::supervisor::State;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::host::{Host, PluginStatus};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(30);
/// How long an account may be away before owners are alerted.
const AWAY: Duration = Duration::from_mins(5);
/// The number of denied calls of a plugin within an hour that causes an alert.
const OFTEN: u64 = 100;
/// The time for which denied calls are counted.
const HOUR: Duration = Duration::from_hours(1);
/// The time between two looks at certificates.
const CERTIFICATES: Duration = Duration::from_hours(24);
/// How long before its expiry a certificate causes an alert.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Maximum length of a reason in an alert, in bytes.
const LONGEST: usize = 512;

/// Watches the host, and tells the owners. Never returns.
pub async fn watch(host: &Host) {
    let (mut seen, mut look) = (Seen::default(), interval(LOOK));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut certificates_at = None;
    loop {
        let now = look.tick().await;
        let states = host.accounts().into_iter().map(|one| (one.name.clone(), one.connection().borrow().clone()));
        for (about, alert) in seen.accounts(states.collect(), now) {
            tell(host, &about, alert);
        }
        for (account, alert) in seen.plugins(&host.status().await, now) {
            tell(host, &account, alert);
        }
        if certificates_at.is_none_or(|at| now.saturating_duration_since(at) >= CERTIFICATES) {
            certificates_at = Some(now);
            for (account, alert) in certificates(host).await {
                tell(host, &account, alert);
            }
        }
    }
}

/// Alerts the owners of an account. While it is not connected, the owners of another account get the alert, since each
/// owner may see the whole host.
fn tell(host: &Host, account: &AccountName, alert: Alert) {
    let own = host.account(account).filter(|_| has_owners(&host.config(), account));
    let now = own.clone().filter(|own| can_send(own)).or_else(|| messenger(host));
    // Otherwise it waits until the account is connected.
    if let Some(messenger) = now.or(own) {
        alerting::send(&messenger, alert);
    }
}

fn can_send(account: &Shared) -> bool {
    matches!(*account.connection().borrow(), Connection::Connected(_))
}

fn has_owners(config: &Config, account: &AccountName) -> bool {
    config.accounts.get(account).is_some_and(|account| !account.owners.is_empty())
}

/// Returns a connected account that has owners.
fn messenger(host: &Host) -> Option<Arc<Shared>> {
    let config = host.config();
    host.accounts().into_iter().find(|account| can_send(account) && has_owners(&config, &account.name))
}

/// The observations so far, with which new ones are compared.
#[derive(Debug, Default)]
struct Seen {
    away: BTreeMap<AccountName, Away>,
    quarantined: BTreeSet<(PluginId, AccountName)>,
    denied: BTreeMap<(PluginId, AccountName), Denials>,
}

/// An account that is not connected.
#[derive(Debug)]
struct Away {
    since: Instant,
    why: String,
    is_told: bool,
}

/// The denied calls of a plugin.
#[derive(Debug)]
struct Denials {
    /// When counting began.
    since: Instant,
    /// How many there were then.
    before: u64,
}

impl Seen {
    /// Returns the alerts about accounts.
    fn accounts(&mut self, states: Vec<(AccountName, Connection)>, now: Instant) -> Vec<(AccountName, Alert)> {
        self.away.retain(|name, _| states.iter().any(|(one, _)| one == name));
        let mut alerts = Vec::new();
        let mut tell = |name: AccountName, about: String, text: String| {
            alerts.push((name, Alert { kind: AlertKind::Away, about, text }));
        };
        for (name, state) in states {
            match state {
                Connection::Connecting => {}
                Connection::Offline => drop(self.away.remove(&name)),
                Connection::Connected(_) => {
                    if let Some(Away { since, why, is_told: true }) = self.away.remove(&name) {
                        let minutes = now.saturating_duration_since(since).as_secs() / 60;
                        let text = format!("account {name} is connected again, after {minutes} minutes ({why})");
                        tell(name.clone(), format!("{name} is back"), text);
                    }
                }
                Connection::Retrying(why) | Connection::Left(why) | Connection::Failed(why) => {
                    let why = escape_untrusted(&why, LONGEST);
                    let away = self.away.entry(name.clone());
                    let away = away.or_insert_with(|| Away { since: now, why: String::new(), is_told: false });
                    away.why = why;
                    let is_long = now.saturating_duration_since(away.since) >= AWAY;
                    if is_long && !away.is_told {
                        away.is_told = true;
                        let minutes = AWAY.as_secs() / 60;
                        let why = &away.why;
                        let text = format!(
                            "account {name} is not connected for more than {minutes} minutes: {why}; `parlor doctor` looks for the cause"
                        );
                        tell(name.clone(), format!("{name} is away"), text);
                    }
                }
            }
        }
        alerts
    }

    /// Returns the alerts about plugins.
    fn plugins(&mut self, all: &[PluginStatus], now: Instant) -> Vec<(AccountName, Alert)> {
        let mut alerts = Vec::new();
        let (mut quarantined, mut denied) = (BTreeSet::new(), BTreeMap::new());
        for one in all {
            let Some(account) = &one.account else { continue };
            let (id, key) = (&one.id, (one.id.clone(), account.clone()));
            if let State::Quarantined(why) = &one.state {
                if !self.quarantined.contains(&key) {
                    let why = escape_untrusted(why, LONGEST);
                    let text = format!(
                        "plugin {id} is quarantined, and is not started any more: {why}; `parlor logs {id}` says more, `parlor plugin restart {id}` starts it"
                    );
                    alerts.push((account.clone(), Alert { kind: AlertKind::Quarantined, about: id.to_string(), text }));
                }
                quarantined.insert(key.clone());
            }
            let count = one.record.as_ref().map_or(0, |record| record.denials);
            let begin = || Denials { since: now, before: count };
            let mut counted = self.denied.remove(&key).unwrap_or_else(begin);
            // The count of a new record may be lower.
            let new = count.saturating_sub(counted.before);
            if new >= OFTEN {
                let text =
                    format!("plugin {id} was denied {new} calls within an hour; `parlor explain {id}` says which");
                alerts.push((account.clone(), Alert { kind: AlertKind::Denied, about: id.to_string(), text }));
            }
            if new >= OFTEN || count < counted.before || now.saturating_duration_since(counted.since) >= HOUR {
                counted = begin();
            }
            denied.insert(key, counted);
        }
        (self.quarantined, self.denied) = (quarantined, denied);
        alerts
    }
}

/// Returns the alerts about certificates that end soon.
async fn certificates(host: &Host) -> Vec<(AccountName, Alert)> {
    let files = files(&host.config());
    // It waits for the disk.
    let ends = tokio::task::spawn_blocking(|| {
        let end = |(account, file): (AccountName, PathBuf)| {
            let end: Timestamp = parlor_web::expiry(&file)?.parse().ok()?;
            Some((account, file, end))
        };
        files.into_iter().filter_map(end).collect::<Vec<_>>()
    });
    let now = Timestamp::now();
    let soon = ends.await.unwrap_or_default().into_iter().filter(|(_, _, end)| end.duration_since(now) < SOON);
    let alert = |(account, file, end): (AccountName, PathBuf, Timestamp)| {
        let (file, ends) = (file.escaped().to_string(), if end < now { "has ended on" } else { "ends on" });
        let text = format!("the certificate {file} {ends} {end}: renew it, then `parlor reload`");
        (account, Alert { kind: AlertKind::Certificate, about: file, text })
    };
    soon.map(alert).collect()
}

/// Returns the certificates of the host, each with the account whose owners it concerns.
fn files(config: &Config) -> Vec<(AccountName, PathBuf)> {
    let of_account = |account: &AccountConfig| match &account.link.way {
        Way::Certificate { chain, .. } => Some((account.name.clone(), chain.clone())),
        Way::Password | Way::Anonymous | Way::Component(_) => None,
    };
    let mut files: Vec<_> = config.accounts.values().filter_map(of_account).collect();
    let of_web = config.web.certificate.as_ref().zip(config.accounts.keys().next());
    files.extend(of_web.map(|((chain, _), account)| (account.clone(), chain.clone())));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> AccountName {
        name.parse().unwrap()
    }

    #[test]
    fn owners_are_told_once_that_an_account_is_away_for_long_and_that_it_is_back() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let mut look = |seconds: u64, state: Connection| {
            let alerts = seen.accounts(vec![(name("main"), state)], begin + Duration::from_secs(seconds));
            alerts.into_iter().map(|(_, alert)| alert.text).collect::<Vec<_>>()
        };
        let away = || Connection::Retrying("no route".to_owned());
        let back = || Connection::Connected("bot@example.org/parlor".parse().unwrap());
        assert!(look(0, back()).is_empty());
        assert!(look(30, away()).is_empty() && look(60, back()).is_empty(), "a short cut is no news");
        assert!(look(90, away()).is_empty());
        assert!(look(389, away()).is_empty());
        let told = look(390, away());
        assert!(told.len() == 1 && told[0].contains("no route") && told[0].contains("main"), "{told:?}");
        assert!(look(420, away()).is_empty());
        assert!(look(450, Connection::Connecting).is_empty());
        assert_eq!(look(690, back()), ["account main is connected again, after 10 minutes (no route)"]);
        assert!(look(700, back()).is_empty());
    }
}
