//! Alerts about the host as a whole: an account is away, a plugin is quarantined or denied often, a certificate ends.
//!
//! This looks at the host from time to time, and gathers what accounts say about their rooms. The accounts send the alerts, at a
//! limited rate.

mod gathered;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config, Way};
use parlor_runtime::account::alerts::{Alert, AlertKind};
use parlor_runtime::account::{Connection, Shared, alerting};
use parlor_runtime::supervisor::State;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::gathered::Gathered;
use crate::host::{Host, PluginHealth, health};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(30);
/// The time between two questions to the accounts for news about rooms, and for which none may have any before what they said is sent.
const GATHER: Duration = Duration::from_secs(2);
/// How long an account may be away before owners are alerted.
const AWAY: Duration = Duration::from_mins(5);
/// The number of denied calls of a plugin within an hour that causes an alert.
const OFTEN: u64 = 100;
/// The time for which denied calls are counted, and in which owners are told of those of a plugin once.
const HOUR: Duration = Duration::from_hours(1);
/// The parts of that time, to which denied calls are counted together.
const PART: Duration = Duration::from_mins(5);
/// The time between two looks at certificates.
const CERTIFICATES: Duration = Duration::from_hours(24);
/// How long before its expiry a certificate causes an alert.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Maximum number of alerts about one account that wait until an account is connected that can send them.
const MOST_WAITING: usize = 16;
/// Maximum number of all alerts that wait for that.
const MOST_WAITING_IN_ALL: usize = 1_024;
/// How many accounts are named in an alert that is about several.
const NAMED: usize = 10;
/// Maximum length of a reason in an alert, in bytes.
const LONGEST: usize = 512;

/// Watches the host, and tells the owners. Never returns.
pub async fn watch(host: &Host) {
    let (mut seen, mut gather) = (Seen::default(), interval(GATHER));
    gather.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut gathered, mut waiting) = (Gathered::default(), Vec::new());
    let (mut looked_at, mut certificates_at) = (None, None);
    loop {
        let now = gather.tick().await;
        let config = host.config();
        let said = host.accounts().into_iter();
        let said = said.flat_map(|one| one.room_alerts.take().into_iter().map(move |alert| (one.name.clone(), alert)));
        let said = said.filter(|(account, _)| !owners(&config, account).is_empty());
        let mut alerts = gathered.add(said.collect(), now);
        let is_due = |at: Option<Instant>, after| at.is_none_or(|at| now.saturating_duration_since(at) >= after);
        if is_due(looked_at, LOOK) {
            looked_at = Some(now);
            let states = host.accounts().into_iter().map(|one| (one.name.clone(), one.connection().borrow().clone()));
            alerts.extend(seen.accounts(states.collect(), now));
            alerts.extend(seen.plugins(&health(host).await, now));
        } else if alerts.is_empty() {
            continue;
        }
        if is_due(certificates_at, CERTIFICATES) {
            certificates_at = Some(now);
            alerts.extend(certificates(host).await);
        }
        waiting.extend(together(alerts, |account| owners(&config, account).to_vec()));
        waiting = tell(host, &config, waiting);
    }
}

/// Sends alerts about accounts, and returns those that no account can send now. While an account is not connected, another one of
/// the same owners sends the alert.
fn tell(host: &Host, config: &Config, alerts: Vec<(AccountName, Alert)>) -> Vec<(AccountName, Alert)> {
    let mut waiting = Vec::new();
    for (about, alert) in alerts {
        if owners(config, &about).is_empty() {
            continue;
        }
        let connected = |name: &AccountName| host.account(name).filter(|account| can_send(account));
        match connected(&about).or_else(|| messengers(config, &about).into_iter().find_map(connected)) {
            Some(messenger) => alerting::send(&messenger, alert),
            None => waiting.push((about, alert)),
        }
    }
    newest(waiting)
}

fn can_send(account: &Shared) -> bool {
    matches!(*account.connection().borrow(), Connection::Connected(_))
}

fn owners<'c>(config: &'c Config, account: &AccountName) -> &'c [BareJid] {
    config.accounts.get(account).map_or(&[][..], |account| account.owners.as_slice())
}

/// Returns the accounts whose owners are all owners of this one: those with most of them first. An account sends an alert to each of
/// its owners, and a person who does not own this account may be the customer of somebody else.
fn messengers<'c>(config: &'c Config, about: &AccountName) -> Vec<&'c AccountName> {
    let wanted = owners(config, about);
    let is_fit = |one: &&AccountConfig| {
        // Most accounts of a large host end here.
        let are_wanted = one.owners.iter().all(|owner| wanted.contains(owner));
        are_wanted && one.owners.iter().any(|owner| one.has_owner(owner))
    };
    let mut fit: Vec<_> = config.accounts.values().filter(is_fit).collect();
    fit.sort_by_key(|one| Reverse(one.owners.len()));
    fit.into_iter().map(|one| &one.name).collect()
}

/// Leaves the newest alerts about each account, which say how it is now: one with many takes no place of others.
fn newest(waiting: Vec<(AccountName, Alert)>) -> Vec<(AccountName, Alert)> {
    let mut counts = BTreeMap::<AccountName, usize>::new();
    let is_left = |(about, _): &(AccountName, Alert)| {
        let count = counts.entry(about.clone()).or_default();
        *count += 1;
        *count <= MOST_WAITING
    };
    let mut newest: Vec<_> = waiting.into_iter().rev().filter(is_left).take(MOST_WAITING_IN_ALL).collect();
    newest.reverse();
    newest
}

/// Puts alerts together that say the same of several accounts with the same owners. After a breakdown of a server, or an update of a
/// plugin that fails, owners would get as many messages as they have accounts.
fn together(
    alerts: Vec<(AccountName, Alert)>,
    owners: impl Fn(&AccountName) -> Vec<BareJid>,
) -> Vec<(AccountName, Alert)> {
    let mut groups = BTreeMap::<_, (AccountName, Alert, Vec<AccountName>)>::new();
    for (account, alert) in alerts {
        let is_of_account = alert.kind == AlertKind::Away;
        let subject = alert.about.strip_prefix(account.as_str()).filter(|_| is_of_account).unwrap_or(&alert.about);
        // Accounts are out of a room for different reasons, and in the words of different people.
        let subject = if alert.kind == AlertKind::Kicked { alert.text.as_str() } else { subject };
        let key = (alert.kind.name(), subject.to_owned(), owners(&account));
        match groups.entry(key) {
            Entry::Vacant(place) => {
                place.insert((account, alert, Vec::new()));
            }
            Entry::Occupied(mut place) => {
                // An account may be put out of a room twice.
                let (first, _, more) = place.get_mut();
                if *first != account && !more.contains(&account) {
                    more.push(account);
                }
            }
        }
    }
    let one = |(account, mut alert, more): (AccountName, Alert, Vec<AccountName>)| {
        let also = also(&more);
        // Owners who were told of the first account lately have not been told of the others.
        alert.about += &also;
        alert.text += &also;
        (account, alert)
    };
    groups.into_values().map(one).collect()
}

/// Returns the end of a sentence that holds for these accounts, too.
fn also(more: &[AccountName]) -> String {
    if more.is_empty() {
        return String::new();
    }
    let named: Vec<_> = more.iter().take(NAMED).map(AccountName::as_str).collect();
    let others = match more.len() - named.len() {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    format!("; the same holds for {} more on this host: {}{others}", more.len(), named.join(", "))
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
#[derive(Debug, Default)]
struct Denials {
    /// The number of all denials at the last look.
    all: u64,
    /// The numbers of denials within the last hour, each with its time.
    parts: VecDeque<(Instant, u64)>,
    /// When owners were told of them.
    told: Option<Instant>,
}

impl Denials {
    /// Takes note of the number in all. Returns the number of the last hour if owners are to be told of it.
    fn count(&mut self, all: u64, now: Instant) -> Option<u64> {
        // A new record begins at zero.
        let new = all.checked_sub(self.all).unwrap_or(all);
        self.all = all;
        while self.parts.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= HOUR) {
            self.parts.pop_front();
        }
        let is_open = self.parts.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) < PART);
        match self.parts.back_mut().filter(|_| is_open) {
            Some((_, count)) => *count += new,
            None if new > 0 => self.parts.push_back((now, new)),
            None => {}
        }
        let count = self.parts.iter().map(|(_, count)| count).sum::<u64>();
        let was_told = self.told.is_some_and(|at| now.saturating_duration_since(at) < HOUR);
        if count < OFTEN || was_told {
            return None;
        }
        self.told = Some(now);
        Some(count)
    }
}

impl Seen {
    /// Returns the alerts about accounts.
    fn accounts(&mut self, states: Vec<(AccountName, Connection)>, now: Instant) -> Vec<(AccountName, Alert)> {
        let names: BTreeSet<_> = states.iter().map(|(name, _)| name).collect();
        self.away.retain(|name, _| names.contains(name));
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
    fn plugins(&mut self, all: &[PluginHealth], now: Instant) -> Vec<(AccountName, Alert)> {
        let mut alerts = Vec::new();
        let (mut quarantined, mut denied) = (BTreeSet::new(), BTreeMap::new());
        for one in all {
            let (id, account, key) = (&one.id, &one.account, (one.id.clone(), one.account.clone()));
            // Most plugins are never denied anything, and nothing is kept of these.
            if one.denials > 0 || self.denied.contains_key(&key) {
                // A plugin that is being replaced is listed twice, with an older number.
                let most = denied.entry(key.clone()).or_insert(0);
                *most = one.denials.max(*most);
            }
            let State::Quarantined(why) = &one.state else { continue };
            if !self.quarantined.contains(&key) {
                let why = escape_untrusted(why, LONGEST);
                let text = format!(
                    "plugin {id} is quarantined, and is not started any more: {why}; `parlor logs {id}` says more, `parlor plugin restart {id}` starts it"
                );
                alerts.push((account.clone(), Alert { kind: AlertKind::Quarantined, about: id.to_string(), text }));
            }
            quarantined.insert(key);
        }
        self.quarantined = quarantined;
        // The numbers of a plugin that is not listed for a while stay: its record may, too.
        for ((id, account), count) in denied {
            let Some(new) = self.denied.entry((id.clone(), account.clone())).or_default().count(count, now) else {
                continue;
            };
            let text = format!("plugin {id} was denied {new} calls within an hour; `parlor explain {id}` says which");
            alerts.push((account, Alert { kind: AlertKind::Denied, about: id.to_string(), text }));
        }
        alerts
    }
}

/// Returns the alerts about certificates that end soon.
async fn certificates(host: &Host) -> Vec<(AccountName, Alert)> {
    let files = files(&host.config());
    let now = Timestamp::now();
    // It waits for the disk.
    let alerts = tokio::task::spawn_blocking(move || {
        let alert = |(account, file): (Option<AccountName>, PathBuf)| {
            let end: Timestamp = parlor_web::expiry(&file)?.parse().ok()?;
            let alert = ending(&file, end, now)?;
            tracing::warn!("{}", alert.text);
            Some((account?, alert))
        };
        files.into_iter().filter_map(alert).collect::<Vec<_>>()
    });
    alerts.await.unwrap_or_default()
}

/// Returns the alert about a certificate that ends then; none if that is not soon.
fn ending(file: &Path, end: Timestamp, now: Timestamp) -> Option<Alert> {
    if end.duration_since(now) >= SOON {
        return None;
    }
    let (file, ends) = (file.escaped().to_string(), if end < now { "has ended on" } else { "ends on" });
    let text = format!("the certificate {file} {ends} {end}: renew it, then `parlor reload`");
    Some(Alert { kind: AlertKind::Certificate, about: file, text })
}

/// Returns the certificates of the host, each with the account whose owners it concerns. That of `[web]` concerns those who own all
/// accounts, if there is such a person.
fn files(config: &Config) -> Vec<(Option<AccountName>, PathBuf)> {
    let of_account = |account: &AccountConfig| match &account.link.way {
        Way::Certificate { chain, .. } => Some((Some(account.name.clone()), chain.clone())),
        Way::Password | Way::Anonymous | Way::Component(_) => None,
    };
    let mut files: Vec<_> = config.accounts.values().filter_map(of_account).collect();
    if let Some((chain, _)) = &config.web.certificate {
        let is_of_host =
            |one: &&AccountConfig| !one.owners.is_empty() && one.owners.iter().all(|owner| config.is_owned_by(owner));
        let account = config.accounts.values().find(is_of_host).map(|one| one.name.clone());
        files.push((account, chain.clone()));
    }
    files
}
