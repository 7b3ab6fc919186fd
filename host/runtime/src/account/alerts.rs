//! Alerts: messages by which the host notifies the owners of an account, so that they need not check. The account's own
//! task sends them, within the bounds that the settings `alerts` and `alerts_per_hour` set.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use parlor_config::{AccountName, Settings};
use tokio::time::Instant;

/// The time for which alerts are counted, and in which no two are of one kind about the same.
const HOUR: Duration = Duration::from_hours(1);
/// Maximum number of alerts that wait until the account is connected.
const MOST_WAITING: usize = 16;

/// The kind of an alert. The setting `alerts` has the list of those that an owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// An account is not connected, or is again.
    Away,
    /// A certificate ends soon, or has ended.
    Certificate,
    /// A plugin is denied often.
    Denied,
    /// A person has a new device, or another key. These alerts have separate limits, since other people decide how
    /// often they occur.
    Keys,
    /// The account is out of a room against its will.
    Kicked,
    /// A plugin is quarantined.
    Quarantined,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Away, Self::Certificate, Self::Denied, Self::Keys, Self::Kicked, Self::Quarantined];

    /// Returns its name in the setting `alerts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Certificate => "certificate",
            Self::Denied => "denied",
            Self::Keys => "keys",
            Self::Kicked => "kicked",
            Self::Quarantined => "quarantined",
        }
    }

    /// Returns whether the owner wants alerts of this kind.
    pub fn is_wanted(self, settings: &Settings) -> bool {
        settings.alerts_per_hour > 0 && settings.alerts.iter().any(|name| name == self.name())
    }
}

/// Something that owners should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The kind.
    pub kind: AlertKind,
    /// The subject, such as a room or a plugin. A second alert of this kind about the same within an hour is not sent.
    pub about: String,
    /// The text, in one sentence, escaped, and without secrets and words of messages: it is encrypted only if the chat with the owner is.
    pub text: String,
}

/// The alerts about rooms of one account, until the host has looked whether they hold for other accounts, too.
#[derive(Debug, Default)]
pub struct RoomAlerts(Mutex<Vec<Alert>>);

impl RoomAlerts {
    /// Adds an alert. Returns it if too many wait.
    pub(super) fn put(&self, alert: Alert) -> Result<(), Alert> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING {
            return Err(alert);
        }
        waiting.push(alert);
        Ok(())
    }

    /// Takes those that wait.
    pub fn take(&self) -> Vec<Alert> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The alerts of one account.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// The texts that are to be sent, the oldest first.
    waiting: VecDeque<String>,
    /// The alerts of the last hour.
    recent: VecDeque<(Instant, AlertKind, String)>,
    /// The number of alerts that were not sent since the last one that was.
    withheld: u64,
}

impl Alerts {
    /// Adds an alert, unless the owner does not want it, or there were too many.
    pub(super) fn add(&mut self, alert: Alert, account: &AccountName, settings: &Settings, now: Instant) {
        let Alert { kind, about, text } = alert;
        if !kind.is_wanted(settings) {
            return;
        }
        while self.recent.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= HOUR) {
            self.recent.pop_front();
        }
        let was_told = self.recent.iter().any(|(_, other, subject)| *other == kind && *subject == about);
        let most = usize::try_from(settings.alerts_per_hour).unwrap_or(usize::MAX);
        // Other people decide how often an account is kicked, and plugins how often they are denied. Neither may hide the rest.
        let of_kind = self.recent.iter().filter(|(_, other, _)| *other == kind).count();
        let are_enough = self.recent.len() >= most || of_kind >= most.div_ceil(2);
        if was_told || are_enough || self.waiting.len() >= MOST_WAITING {
            self.withheld += 1;
            return;
        }
        self.recent.push_back((now, kind, about));
        let more = match std::mem::take(&mut self.withheld) {
            0 => String::new(),
            1 => " (1 more alert was not sent; `parlor logs` says what happened)".to_owned(),
            more => format!(" ({more} more alerts were not sent; `parlor logs` says what happened)"),
        };
        self.waiting.push_back(format!("parlor, account {account}: {text}{more}"));
    }

    /// Takes what is to be sent, if the account can send now.
    pub(super) fn due(&mut self, can_send: bool) -> VecDeque<String> {
        if can_send { std::mem::take(&mut self.waiting) } else { VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::ALERTS;
    use serde_json::json;

    use super::*;

    fn alert(kind: AlertKind, about: &str) -> Alert {
        Alert { kind, about: about.to_owned(), text: format!("{} {about}", kind.name()) }
    }

    fn main() -> AccountName {
        "main".parse().unwrap()
    }

    #[test]
    fn the_setting_names_each_kind() {
        assert_eq!(AlertKind::ALL.map(AlertKind::name), ALERTS);
    }

    #[test]
    fn what_waits_is_sent_once_the_account_can_send() {
        let (mut alerts, settings, now) = (Alerts::default(), Settings::default(), Instant::now());
        for number in 0..MOST_WAITING + 5 {
            let settings = settings.with("alerts_per_hour", json!(1_000)).unwrap();
            alerts.add(alert(AlertKind::Kicked, &number.to_string()), &main(), &settings, now);
        }
        assert!(alerts.due(false).is_empty());
        let sent = alerts.due(true);
        assert_eq!((sent.len(), sent[0].as_str()), (MOST_WAITING, "parlor, account main: kicked 0"));
        assert!(alerts.due(true).is_empty());
    }

    #[test]
    fn as_many_alerts_about_rooms_wait_for_the_host_as_may_and_the_next_one_is_given_back() {
        let alerts = RoomAlerts::default();
        let numbered = |number: usize| alert(AlertKind::Kicked, &number.to_string());
        assert!((0..MOST_WAITING).all(|number| alerts.put(numbered(number)).is_ok()));
        assert_eq!(alerts.put(numbered(MOST_WAITING)), Err(numbered(MOST_WAITING)));
        let taken = alerts.take();
        assert_eq!((taken.len(), taken.first()), (MOST_WAITING, Some(&numbered(0))));
        assert!(alerts.take().is_empty());
    }

    #[test]
    fn alerts_have_a_rate_and_the_next_one_says_how_many_were_not_sent() {
        let settings = Settings::default().with("alerts_per_hour", json!(3)).unwrap();
        let (mut alerts, begin) = (Alerts::default(), Instant::now());
        let mut sent_at = |seconds: u64, kind, about: &str| {
            alerts.add(alert(kind, about), &main(), &settings, begin + Duration::from_secs(seconds));
            alerts.due(true).pop_front()
        };
        assert!(sent_at(0, AlertKind::Kicked, "a").is_some());
        assert!(sent_at(1, AlertKind::Kicked, "a").is_none(), "that was told");
        assert!(sent_at(2, AlertKind::Denied, "a").is_some(), "another kind");
        assert!(sent_at(3, AlertKind::Kicked, "b").unwrap().contains("kicked b"));
        assert!(sent_at(4, AlertKind::Kicked, "c").is_none(), "one too many");
        let later = sent_at(3_600, AlertKind::Kicked, "a").unwrap();
        assert_eq!(
            later,
            "parlor, account main: kicked a (1 more alert was not sent; `parlor logs` says what happened)"
        );
    }

    #[test]
    fn one_kind_leaves_room_for_the_others() {
        let (mut alerts, settings, now) = (Alerts::default(), Settings::default(), Instant::now());
        let half = usize::try_from(settings.alerts_per_hour).unwrap().div_ceil(2);
        let mut add = |kind, about: &str| {
            alerts.add(alert(kind, about), &main(), &settings, now);
            alerts.due(true).pop_front()
        };
        let kicks = (0..1_000).filter_map(|room| add(AlertKind::Kicked, &format!("{room}@muc.example.org"))).count();
        assert_eq!(kicks, half);
        for kind in [AlertKind::Quarantined, AlertKind::Certificate, AlertKind::Away] {
            let told = add(kind, "x").unwrap();
            assert_eq!(told.contains("994 more alerts were not sent"), kind == AlertKind::Quarantined, "{told}");
        }
        // With a limit of one, that one is sent.
        let one = Settings::default().with("alerts_per_hour", json!(1)).unwrap();
        let mut alerts = Alerts::default();
        alerts.add(alert(AlertKind::Kicked, "a"), &main(), &one, now);
        assert_eq!(alerts.due(true).len(), 1);
    }

    #[test]
    fn an_owner_who_wants_none_gets_none() {
        let off = Settings::default().with("alerts_per_hour", json!(0)).unwrap();
        let some = Settings::default().with("alerts", json!(["away"])).unwrap();
        for (settings, kind, is_sent) in
            [(&off, AlertKind::Away, false), (&some, AlertKind::Kicked, false), (&some, AlertKind::Away, true)]
        {
            let mut alerts = Alerts::default();
            alerts.add(alert(kind, "a"), &main(), settings, Instant::now());
            assert_eq!((alerts.due(true).len(), kind.is_wanted(settings)), (usize::from(is_sent), is_sent), "{kind:?}");
        }
    }
}
