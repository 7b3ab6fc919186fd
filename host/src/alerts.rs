//! Alerts about the host as a whole: an account is away, a plugin is quarantined or denied often, a certificate ends.
//!
//! This looks at the host from time to time, and gathers what accounts say about their rooms. The accounts send the alerts, at a
//! limited rate.

mod gathered;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
/// Maximum number of alerts that wait until an account is connected that can send them.
const MOST_WAITING: usize = 16;
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

/// Sends alerts about accounts, and returns those that no account can send now. While an account is not connected, another one sends
/// the alert to its own owners, since each owner may see the whole host.
fn tell(host: &Host, config: &Config, alerts: Vec<(AccountName, Alert)>) -> Vec<(AccountName, Alert)> {
    if config.accounts.values().all(|account| account.owners.is_empty()) {
        return Vec::new();
    }
    let mut waiting = Vec::new();
    for (about, alert) in alerts {
        let own = host.account(&about).filter(|own| can_send(own) && !owners(config, &about).is_empty());
        match own.or_else(|| messenger(host, config, &about)) {
            Some(messenger) => alerting::send(&messenger, alert),
            None => waiting.push((about, alert)),
        }
    }
    // The newest ones say how it is now.
    waiting.drain(..waiting.len().saturating_sub(MOST_WAITING));
    waiting
}

fn can_send(account: &Shared) -> bool {
    matches!(*account.connection().borrow(), Connection::Connected(_))
}

fn owners<'c>(config: &'c Config, account: &AccountName) -> &'c [BareJid] {
    config.accounts.get(account).map_or(&[][..], |account| account.owners.as_slice())
}

/// Returns a connected account that has owners: one with an owner of this account, if there is one.
fn messenger(host: &Host, config: &Config, about: &AccountName) -> Option<Arc<Shared>> {
    let wanted = owners(config, about);
    let of = |account: &Shared| owners(config, &account.name);
    let mut all: Vec<_> = host.accounts().into_iter().filter(|one| can_send(one) && !of(one).is_empty()).collect();
    let has_one = |one: &Arc<Shared>| of(one).iter().any(|owner| wanted.contains(owner));
    let at = all.iter().position(has_one).unwrap_or_default();
    if all.is_empty() { None } else { Some(all.swap_remove(at)) }
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
        let alert = |(account, file): (AccountName, PathBuf)| {
            let end: Timestamp = parlor_web::expiry(&file)?.parse().ok()?;
            Some((account, ending(&file, end, now)?))
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
    #[test]
    fn what_is_so_on_many_accounts_is_one_message_for_the_same_owners() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let mut look = |seconds: u64, state: Connection| {
            let states = (0..30).map(|number| (name(&format!("a{number:02}")), state.clone()));
            let alerts = seen.accounts(states.collect(), begin + Duration::from_secs(seconds));
            // Two of them have another owner.
            let owners = |account: &AccountName| {
                let owner = if account.as_str() < "a02" { "ann@example.org" } else { "bob@example.org" };
                vec![owner.parse::<BareJid>().unwrap()]
            };
            together(alerts, owners)
        };
        let away = || Connection::Retrying("no route".to_owned());
        assert!(look(0, away()).is_empty());
        let told = look(300, away());
        let texts: Vec<_> = told.iter().map(|(account, alert)| (account.as_str(), alert.text.as_str())).collect();
        let [(first, of_ann), (second, of_bob)] = texts[..] else { panic!("{texts:?}") };
        assert!(first == "a00" && of_ann.ends_with("; the same holds for 1 more on this host: a01"), "{of_ann}");
        assert!(second == "a02" && of_bob.contains("account a02 is not connected for more than 5 minutes"), "{of_bob}");
        assert!(
            of_bob.contains("; the same holds for 27 more on this host: a03, ")
                && of_bob.ends_with(", a12 and 17 others")
        );
        assert_eq!(look(360, Connection::Connected("bot@example.org/parlor".parse().unwrap())).len(), 2);
        // A plugin on both, and another one.
        let quarantined = |about: &str, text: &str| Alert {
            kind: AlertKind::Quarantined,
            about: about.to_owned(),
            text: text.to_owned(),
        };
        let alerts = ["a", "ab", "b"].map(|account| (name(account), quarantined("abc", "abc is bad")));
        let other = (name("a"), quarantined("bc", "bc is bad"));
        let told = together(alerts.into_iter().chain([other]).collect(), |_| Vec::new());
        let texts: Vec<_> = told.iter().map(|(_, alert)| alert.text.as_str()).collect();
        assert_eq!(texts, ["abc is bad; the same holds for 2 more on this host: ab, b", "bc is bad"]);
        // Of the same subject, nothing is sent for an hour: what holds for others, too, is another one.
        let subjects: Vec<_> = told.iter().map(|(_, alert)| alert.about.as_str()).collect();
        assert_eq!(subjects, ["abc; the same holds for 2 more on this host: ab, b", "bc"]);
    }

    fn plugin(state: State, denials: u64) -> PluginHealth {
        PluginHealth { id: "guard".parse().unwrap(), account: name("main"), state, denials }
    }

    /// Returns the texts about these plugins, as seen so many minutes after the first look.
    fn seen_at(seen: &mut Seen, begin: Instant, minutes: u64, all: &[PluginHealth]) -> Vec<String> {
        let alerts = seen.plugins(all, begin + Duration::from_mins(minutes));
        alerts.into_iter().map(|(_, alert)| alert.text).collect()
    }

    #[test]
    fn owners_are_told_once_that_a_plugin_is_quarantined_and_again_if_that_comes_again() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let bad = || [plugin(State::Quarantined("it trapped \u{1b}[2J".to_owned()), 0)];
        let mut look = |minutes, all: &[PluginHealth]| seen_at(&mut seen, begin, minutes, all);
        assert!(look(0, &[plugin(State::Running, 0)]).is_empty());
        let told = look(1, &bad());
        assert!(told.len() == 1 && told[0].starts_with("plugin guard is quarantined"), "{told:?}");
        assert!(told[0].contains("`parlor plugin restart guard`") && !told[0].contains('\u{1b}'), "{told:?}");
        assert!(look(2, &bad()).is_empty());
        assert!(look(3, &[plugin(State::Running, 0)]).is_empty());
        assert_eq!(look(4, &bad()).len(), 1);
    }

    #[test]
    fn owners_are_told_of_a_hundred_denied_calls_in_any_hour_and_once_in_it() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let mut look = |minutes, denials| seen_at(&mut seen, begin, minutes, &[plugin(State::Running, denials)]);
        // They lie before and after a full hour since the first look.
        assert!(look(0, 0).is_empty() && look(50, 60).is_empty());
        assert_eq!(
            look(70, 110),
            ["plugin guard was denied 110 calls within an hour; `parlor explain guard` says which"]
        );
        // It goes on, and nothing is said of it for an hour.
        assert!((71..130).all(|minute| look(minute, 110 + minute * 1_000).is_empty()));
        assert_eq!(look(130, 131_000).len(), 1);
        // A few now and then are usual.
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let mut look = |minutes, denials| seen_at(&mut seen, begin, minutes, &[plugin(State::Running, denials)]);
        assert!((0..600).all(|minute| look(minute, minute).is_empty()));
    }

    #[test]
    fn denied_calls_are_counted_over_another_instance_and_a_new_record() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let mut look = |minutes, all: &[PluginHealth]| seen_at(&mut seen, begin, minutes, all);
        let one = |denials| plugin(State::Running, denials);
        assert!(look(0, &[one(90)]).is_empty());
        // While it is replaced it is listed twice, then not at all, and then with the record that it had.
        let leaving = plugin(State::Stopping, 80);
        assert!(look(1, &[one(90), leaving.clone()]).is_empty() && look(2, &[leaving, one(90)]).is_empty());
        assert!(look(3, &[]).is_empty() && look(4, &[]).is_empty());
        assert!(look(5, &[one(90)]).is_empty());
        // One that fails after every few calls begins a new record each time.
        assert!(look(6, &[one(9)]).is_empty());
        assert_eq!(look(7, &[one(10)]).len(), 1);
    }

    #[test]
    fn a_certificate_is_news_two_weeks_before_its_end_and_behind_it() {
        let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let says = |end: &str| {
            let alert = ending(Path::new("a\n.pem"), end.parse().unwrap(), now)?;
            assert_eq!(alert.kind, AlertKind::Certificate);
            Some(alert.text)
        };
        assert_eq!(says("2026-12-04T08:00:00Z"), None);
        assert_eq!(says("2099-01-01T00:00:00Z"), None);
        let soon = says("2026-12-04T07:59:59Z").unwrap();
        assert!(soon.contains(" ends on 2026-12-04T07:59:59Z: renew it") && !soon.contains('\n'), "{soon}");
        assert!(says("2026-11-20T07:59:59Z").unwrap().contains(" has ended on "));
    }
}
