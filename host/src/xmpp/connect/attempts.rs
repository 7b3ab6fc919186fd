//! Facts that log-ins of one account learn for the next ones.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ConnectError;
use crate::config::{ChannelBinding, LinkSettings};
use crate::xmpp::pins::Pins;
use crate::xmpp::reach::Unheard;
use crate::xmpp::sasl::{Choice, Demand};

/// Facts from earlier attempts.
#[derive(Debug, Default)]
pub(in crate::xmpp) struct Attempts {
    /// The servers that are tried last.
    pub(super) unheard: Unheard,
    /// The last one came so far that it asked for a session.
    pub(super) has_asked: AtomicBool,
    /// The server refused a log-in that was bound to what it does not name.
    refused_guess: AtomicBool,
    /// The same, and nobody has logged in unbound since.
    tries_unbound: AtomicBool,
    /// The carriers over which log-ins were bound.
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

    /// Says what the next log-in has to be bound to.
    pub(super) fn demand(&self, settings: &LinkSettings) -> Demand {
        match settings.channel_binding {
            ChannelBinding::Never => Demand::Never,
            ChannelBinding::Required => Demand::Always,
            ChannelBinding::Auto if settings.carrier().is_some_and(|carrier| self.pins.has(carrier)) => {
                Demand::AsBefore
            }
            ChannelBinding::Auto if self.refused_guess.load(Ordering::Relaxed) => Demand::IfNamed,
            ChannelBinding::Auto => Demand::IfPossible,
        }
    }

    /// Notes that a log-in like this has worked.
    pub(super) fn worked(&self, settings: &LinkSettings, choice: &Choice) {
        match settings.carrier() {
            _ if settings.channel_binding == ChannelBinding::Never => self.pins.forget(),
            Some(carrier) if choice.binding.is_bound() => self.pins.add(carrier),
            _ => {}
        }
    }

    /// Notes that a log-in like this failed, and gives the error to report.
    pub(super) fn failed(&self, error: ConnectError, choice: &Choice, demand: Demand, domain: &str) -> ConnectError {
        let is_refusal =
            matches!(error, ConnectError::NotAuthorized { .. } | ConnectError::LoginRefused { temporary: false, .. });
        if !is_refusal || !choice.is_guess {
            return error;
        }
        match (demand.reason(), error) {
            // Nobody can tell whether it was the password.
            (Some(why), ConnectError::NotAuthorized { .. }) => ConnectError::NoChannelBinding {
                domain: domain.to_owned(),
                cause: "the server names no way to bind it, and refused the usual one or the password",
                why,
            },
            (None, error) if choice.has_other => {
                self.refused_guess.store(true, Ordering::Relaxed);
                self.tries_unbound.store(true, Ordering::Relaxed);
                error
            }
            (_, error) => error,
        }
    }

    /// Whether another log-in is to be tried at once, unbound. Says so once.
    pub(super) fn try_unbound(&self) -> bool {
        self.tries_unbound.swap(false, Ordering::Relaxed)
    }
}
