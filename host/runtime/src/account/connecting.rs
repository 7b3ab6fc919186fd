//! Starts log-ins, for the host or for a plugin.

use parlor_config::{Authentication, PasswordSource};
use parlor_session::Answer;
use parlor_stanza::error::CallError;
use parlor_xmpp::{Left, Link, LogIn};
use tokio::time::Instant;

use super::connection::{Connection, Credentials};
use super::logins::Logins;
use super::worker::Worker;

impl Worker {
    /// Begins to log in. There must be no link.
    pub(super) fn connect(&mut self, credentials: Option<Credentials>) {
        let after = self.logins.begin(Instant::now());
        let mut settings = self.settings.clone();
        let fits = |left: &Left| settings.jid.is_bare() || settings.jid == left.jid;
        let may_go_on = credentials.is_none() && self.shared.settings().keepalive;
        let left = self.keepers.left.take().filter(|left| may_go_on && fits(left));
        let password = credentials.map(|Credentials { jid, password }| {
            if !jid.is_bare() {
                settings.jid = jid;
            }
            password
        });
        self.session.connecting();
        self.logins.of_a_plugin = false;
        let tokens = self.shared.tokens.clone();
        let (pins, dialer) = (self.keepers.pins.pins(), self.dialer.clone());
        let turns = self.shared.place.log_ins.clone();
        let mut link = Link::log_in(settings, LogIn { password, after, left, tokens, pins, dialer, turns });
        if self.is_draining {
            link.acknowledge_no_more();
        }
        self.link = Some(link);
        self.published.connection(Connection::Connecting);
    }

    /// Returns why a log-in with these or the configured credentials is impossible, if it is.
    pub(super) fn cannot_log_in(&self, credentials: Option<&Credentials>) -> Option<&'static str> {
        if self.settings.component().is_some() {
            return credentials
                .map(|_| "the account is an address of a component, which has no password; leave it out");
        }
        let has_none = self.settings.password == PasswordSource::Nowhere && self.settings.prebind.is_none();
        match self.shared.settings().authentication {
            Authentication::Login if has_none && credentials.is_none() => Some(
                "the account has no password, and no credentials_url or prebind_url; name one, or bring a password",
            ),
            Authentication::Prebind if self.settings.prebind.is_none() => {
                Some("the setting authentication is prebind, and no session is named; set prebind_url, or sid and rid")
            }
            Authentication::Prebind if credentials.is_some() => {
                Some("the setting authentication is prebind, which takes no password; set it to login")
            }
            Authentication::Login | Authentication::External | Authentication::Anonymous | Authentication::Prebind => {
                None
            }
        }
    }

    /// Handles a plugin's request to log in.
    pub(super) fn log_in(&mut self, credentials: Option<Credentials>, answer: Answer<()>) {
        if let Some(why) = self.cannot_log_in(credentials.as_ref()) {
            return answer.give(Err(CallError::Unsupported(why.to_owned())));
        }
        let is_connected = self.published.is_connected();
        match (&self.link, credentials) {
            (Some(_), None) if is_connected => answer.give(Ok(())),
            (Some(_), None) => self.logins.wait(answer),
            (Some(_), Some(_)) if is_connected => {
                let why = "this account is logged in already; log out first".to_owned();
                answer.give(Err(CallError::Other(why)));
            }
            (link, credentials) => {
                if link.is_some() {
                    // Another password replaces the attempt in progress.
                    self.link = None;
                    self.session.closed(self.now(), &mut self.effects);
                    self.answer_logins(Logins::ended, &Err(CallError::Stopped));
                }
                self.connect(credentials);
                self.logins.of_a_plugin = true;
                self.logins.wait(answer);
            }
        }
    }
}
