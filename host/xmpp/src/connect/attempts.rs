//! Facts that log-ins of one account learn for later ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_config::{ChannelBinding, LinkSettings};
use parlor_stanza::stream_error::words;

use crate::dialer::{Dial, Dialer};
use crate::error::ConnectError;
use crate::pins::{Carrier, Pins, Refused};
use crate::reach::Finder;
use crate::sasl::{Binding, Choice, Demand, may_be_about_binding};

/// The conditions of a server that gets the flag `y` and does offer channel binding: that of RFC 5802, section 7, and that
/// of Prosody alone (0.12, `util/sasl/scram.lua`). Somebody has then changed its offer on the way.
const NOTICED: [&str; 2] = ["server-does-support-channel-binding", "malformed-request"];

/// Facts from earlier attempts.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Finds the servers of the account's domain.
    pub(super) finder: Finder,
    /// Whether the last attempt got far enough to request a session.
    pub(super) has_asked: AtomicBool,
    /// The log-in that is now tried without these, since the server refused the one before. Only if this one succeeds,
    /// they were the reason, and not the password.
    on_trial: Mutex<Option<Refused>>,
    /// The carriers over which log-ins were bound, and the log-ins that the server refuses.
    pins: Pins,
    /// The opener of connections instead of the network, if there is one.
    dial: Option<Arc<dyn Dial>>,
}

impl Attempts {
    /// Creates the state before the first attempt; `pins` are known from before.
    pub(crate) fn begun(pins: Pins, dialer: &Dialer) -> Self {
        let (mut dial, mut finder) = (None, Finder::default());
        match dialer {
            Dialer::Network | Dialer::Local(_) => {}
            Dialer::Resolving(resolver) => finder = Finder::with(Arc::clone(resolver)),
            Dialer::Through(through) => dial = Some(Arc::clone(through)),
        }
        Self { finder, pins, dial, ..Self::default() }
    }

    /// Returns the opener of connections instead of the network.
    pub(crate) fn dial(&self) -> Option<&dyn Dial> {
        self.dial.as_deref()
    }

    /// Returns a random number in [0, 1), which decides where a wait lies within its bounds.
    pub(crate) fn jitter(&self) -> f64 {
        self.dial().map_or_else(rand::random, Dial::draw)
    }

    /// Returns whether the last attempt requested a session, so that the server may still assign it to a lost
    /// connection.
    pub(crate) fn have_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Begins a log-in with nothing on trial.
    pub(super) fn begin(&self) {
        self.finder.begin();
        *self.on_trial() = None;
    }

    /// Returns the channel binding that the next log-in over the carrier `used` requires. A pin on the carrier that the
    /// owner chose counts as well: otherwise a server could evade the pin with a redirect.
    pub(super) fn demand(&self, settings: &LinkSettings, used: Option<Carrier>) -> Demand {
        let is_pinned = [Carrier::of(settings), used].into_iter().flatten().any(|carrier| self.pins.has(carrier));
        match settings.channel_binding {
            ChannelBinding::Never => Demand::Never,
            ChannelBinding::Required => Demand::Always,
            ChannelBinding::Auto if is_pinned => Demand::AsBefore,
            ChannelBinding::Auto => Demand::IfPossible(self.on_trial().unwrap_or_else(|| self.pins.refused())),
        }
    }

    /// Records that a log-in with this choice succeeded over this carrier.
    pub(super) fn worked(&self, settings: &LinkSettings, used: Option<Carrier>, choice: &Choice) {
        match used {
            _ if settings.channel_binding == ChannelBinding::Never => self.pins.forget(),
            Some(carrier) if choice.binding.is_bound() => self.pins.add(carrier),
            _ => {}
        }
        if let Some(refused) = self.on_trial().take().filter(|_| !choice.binding.is_bound()) {
            self.pins.set_refused(refused);
        }
    }

    /// Records that a log-in with this choice failed, and returns the error to report.
    pub(super) fn failed(&self, error: ConnectError, choice: &Choice, demand: Demand, domain: &str) -> ConnectError {
        let Some(subject) = Subject::of(&error) else { return error };
        match (&choice.binding, demand.reason()) {
            (Binding::Exporter(_) | Binding::EndPoint(_), Some(why)) => {
                let unbound = |cause| ConnectError::NoChannelBinding { domain: domain.to_owned(), cause, why };
                match (subject, error) {
                    (Subject::Binding { .. }, ConnectError::LoginRefused { condition, text, .. }) => {
                        let said = words(text.as_deref());
                        unbound(format!("the server refused the bound log-in: {condition}{said}").into())
                    }
                    // Nothing shows whether the password was the reason.
                    (Subject::Password, _) if choice.is_guess => {
                        unbound("the server names no way to bind it, and refused the usual one or the password".into())
                    }
                    // A binding that the server announces is seldom the reason.
                    (Subject::Password | Subject::Binding { .. }, error) => error,
                }
            }
            (Binding::Exporter(_) | Binding::EndPoint(_), None) => {
                if choice.is_guess && choice.has_other {
                    self.try_without(Refused { guess: true, ..self.pins.refused() });
                }
                error
            }
            (Binding::Unsupported, _) => {
                if subject == (Subject::Binding { is_noticed: false }) {
                    self.try_without(Refused { could_flag: true, ..self.pins.refused() });
                }
                error
            }
            (Binding::None, _) => error,
        }
    }

    /// Returns whether the log-in should be retried at once, without the features that the server has just refused.
    pub(super) fn has_trial(&self) -> bool {
        self.on_trial().is_some()
    }

    fn try_without(&self, refused: Refused) {
        *self.on_trial() = Some(refused);
    }

    fn on_trial(&self) -> MutexGuard<'_, Option<Refused>> {
        self.on_trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The possible reason for which a server refuses a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The password. Many servers send the same condition for a channel binding.
    Password,
    /// The channel binding, or the lack of one.
    Binding {
        /// The server says that it would have offered channel binding.
        is_noticed: bool,
    },
}

impl Subject {
    /// Returns `None` if the error is not a refusal, or is about neither.
    fn of(error: &ConnectError) -> Option<Self> {
        match error {
            ConnectError::NotAuthorized { .. } => Some(Self::Password),
            ConnectError::LoginRefused { condition, text, temporary: false } => {
                let is_noticed = NOTICED.contains(&condition.as_str());
                may_be_about_binding(condition, text.as_deref()).then_some(Self::Binding { is_noticed })
            }
            _ => None,
        }
    }
}
