//! How an instance ended, and the reason as a sentence for the owner.

use std::time::Duration;

use parlor_base::escape::escape_untrusted;
use parlor_base::quantity;
use parlor_session::router::MailReceiver;
use tokio::sync::oneshot;
use wasmtime_wasi::I32Exit;

use super::detail::{detail, is_full_stack};
use super::mail::Backlog;
use crate::ceiling::Exceeded;
use crate::instance::{Handed, Instance, LONGEST_REASON, at_what};
use crate::watchdog::Overrun;

/// The error when a handler took longer than its owner allows.
#[derive(Debug, thiserror::Error)]
#[error("a handler of {} did not return within {} (limit `handler`)", .0, quantity::show_duration(*.1))]
pub(super) struct SlowHandler(pub(super) Handed, pub(super) Duration);

/// The part of an instance without a guest that its next run continues with.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) mailbox: MailReceiver,
    /// Receives the events that it has not handled, as soon as it is asked to stop.
    pub(crate) rest: oneshot::Sender<Backlog>,
}

/// The way in which an instance ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was asked to stop, and did.
    Stopped,
    /// It had nothing to do for long enough, so that its plugin is parked.
    Parked(Option<Remains>),
    /// Its `initialize` returned an error, with this text.
    Declined(String),
    /// Other plugins use up the kernel resources of the process. This is not the plugin's fault.
    NoRoom {
        /// The reason, in one sentence.
        why: String,
        /// The part that the next run continues with, if its guest has not begun.
        remains: Option<Remains>,
    },
    /// It trapped, or hit a limit.
    Failed {
        /// The reason, in one sentence.
        why: String,
        /// wasmtime's description of the error, with the guest's backtrace.
        detail: String,
    },
}

impl Ended {
    /// Returns the way in which an instance ended that trapped, or hit a limit.
    pub(super) fn by(error: wasmtime::Error, instance: &Instance) -> Self {
        let error = Exceeded::named(error, &instance.limits);
        // A slow handler is already named in the error.
        let at_what = if error.is::<SlowHandler>() { String::new() } else { at_what(instance) };
        let detail = detail(&error);
        let why = if is_full_stack(&detail) {
            FULL_STACK.to_owned()
        } else if instance.taken.is_full() && (error.is::<wasmtime::Trap>() || error.is::<I32Exit>()) {
            // It was refused more memory, and could not continue without it.
            Exceeded::Memory(instance.limits.memory).to_string()
        } else {
            reason(&error)
        };
        Self::Failed { why: why + &at_what, detail }
    }

    /// Takes the part that the next run continues with.
    pub(crate) fn take_remains(&mut self) -> Option<Remains> {
        match self {
            Self::Parked(remains) | Self::NoRoom { remains, .. } => remains.take(),
            Self::Stopped | Self::Declined(_) | Self::Failed { .. } => None,
        }
    }
}

/// The reason for a plugin whose calls nest too deep.
const FULL_STACK: &str = "it used up its stack";

/// Returns the reason as a sentence for the owner.
pub(super) fn reason(error: &wasmtime::Error) -> String {
    if let Some(overrun) = error.downcast_ref::<Overrun>() {
        return overrun.to_string();
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if let Some(slow) = error.downcast_ref::<SlowHandler>() {
        return slow.to_string();
    }
    // The exit status is not shown: the adapter maps all failures to the same one.
    if error.is::<I32Exit>() {
        return "it called exit".to_owned();
    }
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return match trap {
            wasmtime::Trap::StackOverflow => FULL_STACK.into(),
            wasmtime::Trap::UnreachableCodeReached => "it panicked or aborted".into(),
            trap => format!("it trapped: {trap}"),
        };
    }
    // The outer context says where it happened, which belongs to the detail.
    escape_untrusted(&error.root_cause().to_string(), LONGEST_REASON)
}
