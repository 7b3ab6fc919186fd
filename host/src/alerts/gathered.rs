//! The reports of accounts about their rooms, put together for a while: many accounts may be out of a room for the same reason.

use parlor_config::AccountName;
use parlor_runtime::account::alerts::Alert;
use tokio::time::Instant;

use super::LOOK;

/// The reports of accounts about their rooms, until they are sent.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    alerts: Vec<(AccountName, Alert)>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Gathered {
    /// Adds alerts. Returns all of them once no account has said more for a while, or the first one has waited for long: accounts of
    /// a group enter a room one after the other.
    pub(super) fn add(&mut self, said: Vec<(AccountName, Alert)>, now: Instant) -> Vec<(AccountName, Alert)> {
        let is_quiet = said.is_empty();
        self.alerts.extend(said);
        if self.alerts.is_empty() {
            return Vec::new();
        }
        let since = *self.since.get_or_insert(now);
        if !is_quiet && now.saturating_duration_since(since) < LOOK {
            return Vec::new();
        }
        self.since = None;
        std::mem::take(&mut self.alerts)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_runtime::account::alerts::AlertKind;

    use super::super::together;
    use super::*;

    /// A nickname for a whole group is taken in a room after some accounts.
    #[test]
    fn what_many_accounts_say_of_a_room_one_after_the_other_is_one_message() {
        let (mut gathered, begin) = (Gathered::default(), Instant::now());
        let said = |number: u64, text: &str| -> (AccountName, Alert) {
            let alert = Alert { kind: AlertKind::Kicked, about: "hall".to_owned(), text: text.to_owned() };
            (format!("a{number:02}").parse().unwrap(), alert)
        };
        let mut add = |seconds: u64, said: Vec<(AccountName, Alert)>| {
            let alerts = together(gathered.add(said, begin + Duration::from_secs(seconds)), |_| Vec::new());
            alerts.into_iter().map(|(_, alert)| alert.text).collect::<Vec<_>>()
        };
        assert!(add(0, Vec::new()).is_empty());
        for number in 0..12 {
            let mut both = vec![said(number, "out of hall: nickname-taken")];
            both.extend((number == 3).then(|| said(20, "out of hall: banned")));
            // It is put out twice.
            both.extend((number == 5).then(|| said(4, "out of hall: nickname-taken")));
            assert!(add(number * 2, both).is_empty(), "{number}");
        }
        let told = add(24, Vec::new());
        assert!(told.len() == 2 && told[0] == "out of hall: banned", "{told:?}");
        assert!(told[1].starts_with("out of hall: nickname-taken; the same holds for 11 more on this host: a01, "));
        assert!(add(26, Vec::new()).is_empty());
        // It goes on and on.
        let told: Vec<_> = (15..=30).map(|number| add(number * 2, vec![said(number, "out")]).len()).collect();
        assert_eq!((told.iter().sum::<usize>(), told.last()), (1, Some(&1)), "{told:?}");
    }
}
