//! Log-ins that plugins request: the calls that wait for one, the pause between attempts, and the error that the caller
//! gets.

use std::time::Duration;

use parlor_session::Answer;
use parlor_stanza::error::{CallError, StanzaError};
use parlor_xmpp::ConnectError;
use tokio::time::Instant;

use super::connection::Credentials;

/// Minimum time between the starts of two log-ins. It doubles with each failure, since servers lock out clients that
/// guess.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum time between the starts of two log-ins.
const LONGEST: Duration = Duration::from_mins(1);

/// The calls that wait for the log-in in progress, and when the next one may begin.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Every plugin has had its chance to listen.
    pub(super) open: bool,
    /// Requests that arrived before that.
    early: Vec<(Option<Credentials>, Answer<()>)>,
    /// A plugin began the log-in in progress, so its failure is that plugin's and not the host's.
    pub(super) of_a_plugin: bool,
    waiting: Vec<Answer<()>>,
    began: Option<Instant>,
    failures: u32,
}

impl Logins {
    /// Begins a log-in and returns how long it must wait.
    pub(super) fn begin(&mut self, now: Instant) -> Duration {
        let interval = INTERVAL.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        let after = self.began.map_or(Duration::ZERO, |began| interval.saturating_sub(now - began));
        self.began = Some(now + after);
        after
    }

    /// Queues a request that arrived before every plugin could subscribe.
    pub(super) fn wait_for_plugins(&mut self, credentials: Option<Credentials>, answer: Answer<()>) {
        self.early.retain(|(_, answer)| !answer.is_abandoned());
        self.early.push((credentials, answer));
    }

    /// Takes the queued requests. Requests of plugins that have ended since must not log in and are dropped.
    pub(super) fn begin_early(&mut self) -> Vec<(Option<Credentials>, Answer<()>)> {
        std::mem::take(&mut self.early).into_iter().filter(|(_, answer)| !answer.is_abandoned()).collect()
    }

    pub(super) fn wait(&mut self, answer: Answer<()>) {
        self.waiting.retain(|answer| !answer.is_abandoned());
        self.waiting.push(answer);
    }

    /// Notes that the log-in succeeded, and returns the calls that waited for it.
    pub(super) fn succeeded(&mut self) -> Vec<Answer<()>> {
        self.failures = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Notes that the log-in failed, and returns the calls that waited for it.
    pub(super) fn failed(&mut self) -> Vec<Answer<()>> {
        self.failures = self.failures.saturating_add(1);
        std::mem::take(&mut self.waiting)
    }

    /// Notes that the log-in was given up, and returns the calls that waited for it.
    pub(super) fn ended(&mut self) -> Vec<Answer<()>> {
        let early = std::mem::take(&mut self.early).into_iter().map(|(_, answer)| answer);
        std::mem::take(&mut self.waiting).into_iter().chain(early).collect()
    }
}

/// Converts a failed log-in into the error for the plugin that requested it: the server's answer, and nothing about
/// this machine.
pub(super) fn failure(error: &ConnectError) -> CallError {
    let refused = |condition: &str| {
        CallError::Stanza(Box::new(StanzaError {
            condition: condition.to_owned(),
            kind: "auth".to_owned(),
            text: Some(error.to_string()),
            gone_to: None,
            xml: format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>"),
        }))
    };
    match error {
        ConnectError::NotAuthorized { .. } => refused("not-authorized"),
        ConnectError::AccountDisabled { .. } => refused("account-disabled"),
        ConnectError::TimedOut { .. } | ConnectError::Silent { .. } => CallError::TimedOut,
        ConnectError::Password(_) | ConnectError::Trust(_) | ConnectError::NotFetched { .. } => {
            CallError::Other("the host lacks what it needs to log in; its log says what".to_owned())
        }
        error => CallError::Other(format!("the log-in failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use jid::Jid;
    use parlor_https::trust::TrustError;

    use super::*;

    #[test]
    fn log_ins_are_never_closer_than_the_interval_and_failures_stretch_it() {
        let start = Instant::now();
        let mut logins = Logins::default();
        assert_eq!(logins.begin(start), Duration::ZERO);
        assert_eq!(logins.begin(start), INTERVAL);
        assert_eq!(logins.begin(start + INTERVAL), INTERVAL);
        let later = start + Duration::from_hours(1);
        let waits = (0..8).map(|_| {
            logins.began = Some(later);
            logins.failed();
            logins.begin(later).as_secs()
        });
        assert_eq!(waits.collect::<Vec<_>>(), [4, 8, 16, 32, 60, 60, 60, 60]);
        logins.succeeded();
        logins.began = Some(later);
        assert_eq!(logins.begin(later), INTERVAL);
    }

    #[test]
    fn what_a_plugin_hears_of_a_failure_names_no_file_of_this_machine() {
        let jid: Jid = "bot@example.org".parse().unwrap();
        let refused = failure(&ConnectError::NotAuthorized { jid });
        assert!(
            matches!(refused, CallError::Stanza(error) if error.condition == "not-authorized" && error.kind == "auth")
        );
        let path = "/home/somebody/ca.pem".into();
        let hidden = failure(&ConnectError::Trust(TrustError::CaFile { path, cause: "no".to_owned() }));
        assert!(!hidden.to_string().contains("somebody"), "{hidden}");
    }
}
