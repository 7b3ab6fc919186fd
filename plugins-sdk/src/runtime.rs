//! The layer inside a plugin between the host's calls and the author's closures: it finds the handler of each
//! subscription.
//!
//! It imports only `log.write` from the host, so that it adds no permission to any plugin.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::bindings::exports::parlor::plugin::guest::Guest;
use crate::error::{Error, Result};
use crate::failure::origin;
use crate::listen::Event;
use crate::log::{Level, write};
use crate::turns::of_one_handler;
use crate::types::Payload;

/// The remedy in the error of a plugin whose start needs a connection.
const TOO_EARLY: &str = "a plugin starts before its account is logged in; wait for `initialized`, or use on_ready";

/// The future that handles an event.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<()>>>>;

/// The handler of a subscription or timer.
pub(crate) enum Handler {
    /// Each event of it.
    Always(Rc<dyn Fn(Event) -> Work>),
    /// The next one.
    Once(Box<dyn FnOnce(Event) -> Work>),
}

thread_local! {
    // A component has one thread, so this is the plugin's own table; ids are never used twice.
    static HANDLERS: RefCell<BTreeMap<u64, Handler>> = const { RefCell::new(BTreeMap::new()) };
    static AT_STOP: RefCell<Vec<Box<dyn FnOnce() -> Work>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `closure` when the host stops the plugin: the moment to say good-bye. The host waits two seconds at most.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// on_stop(|| async {
///     info!("good-bye");
///     Ok(())
/// });
/// ```
pub fn on_stop<W: Future<Output = Result<()>> + 'static>(closure: impl FnOnce() -> W + 'static) {
    AT_STOP.with_borrow_mut(|closures| closures.push(Box::new(|| Box::pin(closure()))));
}

/// Runs `work` independently, beyond the end of the handler that started it. Its error is written to the log.
pub fn spawn(work: impl Future<Output = Result<()>> + 'static) {
    wit_bindgen::spawn_local(of_one_handler(async { report(format_args!("a task"), work.await) }));
}

/// Remembers who handles a subscription.
pub(crate) fn handle(subscription: u64, handler: Handler) {
    HANDLERS.with_borrow_mut(|handlers| handlers.insert(subscription, handler));
}

/// Forgets who handles a subscription.
pub(crate) fn forget(subscription: u64) {
    // Dropped outside of the borrow: values that a closure holds may end subscriptions when they are dropped.
    let _ended = HANDLERS.with_borrow_mut(|handlers| handlers.remove(&subscription));
}

/// Counts as the use of a plugin's code on targets that export nothing.
#[doc(hidden)]
pub const fn check<P: Guest>() {}

#[doc(hidden)]
pub async fn initialize(start: impl Future<Output = Result<()>>) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| write(Level::Fatal, &panic.to_string())));
    of_one_handler(start).await.map_err(|error| {
        // The owner reads why; the author reads where.
        if origin(&error).is_some() {
            write(Level::Error, &format!("it does not start: {}", told(&error)));
        }
        match error {
            Error::Offline => format!("{error}: {TOO_EARLY}"),
            error => error.to_string(),
        }
    })
}

/// Has an event handled. An error: some handler failed, and the log says how.
#[doc(hidden)]
pub async fn dispatch(event: Event) -> Result<(), ()> {
    let name = named(&event);
    let mut outcome = Ok(());
    let mut work: Vec<Work> = event.subscriptions.iter().filter_map(|id| begin(*id, &event)).collect();
    drop(event);
    // Several subscriptions to one event overlap like several events do.
    of_one_handler(poll_fn(|context| {
        work.retain_mut(|work| match work.as_mut().poll(context) {
            Poll::Ready(result) => {
                if result.is_err() {
                    outcome = Err(());
                }
                report(format_args!("a handler of {name}"), result);
                false
            }
            Poll::Pending => true,
        });
        if work.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }))
    .await;
    outcome
}

#[doc(hidden)]
pub async fn stop() {
    of_one_handler(async {
        for closure in AT_STOP.take() {
            report(format_args!("a handler of stop"), closure().await);
        }
    })
    .await;
}

/// Calls the handler of this subscription. None: it ended while the event was on its way.
fn begin(subscription: u64, event: &Event) -> Option<Work> {
    let always = HANDLERS.with_borrow_mut(|handlers| match handlers.get(&subscription)? {
        Handler::Always(handler) => Some(Ok(Rc::clone(handler))),
        Handler::Once(_) => match handlers.remove(&subscription)? {
            Handler::Once(handler) => Some(Err(handler)),
            Handler::Always(handler) => Some(Ok(handler)),
        },
    })?;
    // Outside of the borrow, since the closure may subscribe to more.
    Some(match always {
        Ok(handler) => handler(event.clone()),
        Err(handler) => handler(event.clone()),
    })
}

/// Returns the name of an event for the log. For a command, a webhook, a schedule or a request, it names which one.
fn named(event: &Event) -> String {
    match &event.payload {
        Payload::Command(command) => format!("{} {}", event.name, command.name),
        Payload::Webhook(hook) => format!("{} {}", event.name, hook.name),
        Payload::Schedule(due) => format!("{} {}", event.name, due.name),
        Payload::IqRequest(request) => format!("{} {}", event.name, request.name),
        Payload::PluginRequest(request) => format!("{} {}", event.name, request.name),
        _ => event.name.clone(),
    }
}

fn report(what: fmt::Arguments<'_>, result: Result<()>) {
    if let Err(error) = result {
        write(Level::Error, &format!("{what} failed: {}", told(&error)));
    }
}

/// An error with the place that it comes from, as far as that is known.
fn told(error: &Error) -> String {
    origin(error).map_or_else(|| error.to_string(), |place| format!("{error} ({place})"))
}

#[cfg(test)]
mod tests;
