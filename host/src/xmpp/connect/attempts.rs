//! Facts that log-ins of one account learn for the next ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ConnectError;
use crate::config::{ChannelBinding, LinkSettings};
use crate::xmpp::pins::{Carrier, Pins, Refused};
use crate::xmpp::reach::Unheard;
use crate::xmpp::sasl::{Binding, Choice, Demand, may_be_about_binding};
use crate::xmpp::stream_error::words;

/// Prosody says this, and nothing else, to a client with the flag `y` if it offers to bind (0.12, `util/sasl/scram.lua`). So
/// somebody has changed its offer on the way.
const NOTICED: &str = "malformed-request";

/// Facts from earlier attempts.
#[derive(Debug, Default)]
pub(in crate::xmpp) struct Attempts {
    /// The servers that are tried last.
    pub(super) unheard: Unheard,
    /// The last one came so far that it asked for a session.
    pub(super) has_asked: AtomicBool,
    /// A log-in without these is tried now, since the server refused the one before. Only if it takes this one, they were the reason,
    /// and not the password.
    on_trial: Mutex<Option<Refused>>,
    /// The carriers over which log-ins were bound, and what the server refuses.
    pins: Pins,
}

impl Attempts {
    /// No attempt was made yet; `pins` are known from before.
    pub(in crate::xmpp) fn knowing(pins: Pins) -> Self {
        Self { pins, ..Self::default() }
    }

    /// Whether the last one asked for a session, so that the server may still give it to a connection that is gone.
    pub(in crate::xmpp) fn have_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A log-in begins, with nothing on trial.
    pub(super) fn begin(&self) {
        *self.on_trial() = None;
    }

    /// Says what the next log-in has to be bound to, which uses this carrier. A pin on the carrier that the owner chose counts as
    /// well: otherwise a server that sends us elsewhere would send us past it.
    pub(super) fn demand(&self, settings: &LinkSettings, used: Option<Carrier>) -> Demand {
        let is_pinned = [settings.carrier(), used].into_iter().flatten().any(|carrier| self.pins.has(carrier));
        match settings.channel_binding {
            ChannelBinding::Never => Demand::Never,
            ChannelBinding::Required => Demand::Always,
            ChannelBinding::Auto if is_pinned => Demand::AsBefore,
            ChannelBinding::Auto => Demand::IfPossible(self.on_trial().unwrap_or_else(|| self.pins.refused())),
        }
    }

    /// Notes that a log-in like this has worked over this carrier.
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

    /// Notes that a log-in like this failed, and gives the error to report.
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
                    // Nobody can tell whether it was the password.
                    (Subject::Password, _) if choice.is_guess => {
                        unbound("the server names no way to bind it, and refused the usual one or the password".into())
                    }
                    // A binding that the server names is seldom the reason.
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

    /// Whether the log-in is to be tried at once without what the server has just refused.
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

/// The thing that a server may mean when it refuses a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The password. Many servers say the same about a binding.
    Password,
    /// What the log-in is bound to, or that it is not.
    Binding {
        /// The server says that it would have offered to bind.
        is_noticed: bool,
    },
}

impl Subject {
    /// None if the error is no refusal, or one that is about neither.
    fn of(error: &ConnectError) -> Option<Self> {
        match error {
            ConnectError::NotAuthorized { .. } => Some(Self::Password),
            ConnectError::LoginRefused { condition, text, temporary: false } => {
                let is_noticed = condition == NOTICED;
                may_be_about_binding(condition, text.as_deref()).then_some(Self::Binding { is_noticed })
            }
            _ => None,
        }
    }
}
