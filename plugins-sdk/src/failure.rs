//! Origins of errors, for the log: the failed call and its address, or the author's line whose data could not be read.
//!
//! Authors match an [`Error`] and show it to people. Its origin is noted separately, and the log names it when a
//! handler returns that error.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::bindings::parlor::plugin::types as wit;
use crate::error::{Error, Result};

/// How many are remembered: those of handlers that overlap.
const MOST: usize = 16;

type Line = &'static Location<'static>;

/// The origin of an error, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The call that failed, and its first argument; empty = it has none that helps.
    call: Option<(&'static str, String)>,
    /// The author's line.
    line: Line,
}

thread_local! {
    // A component has one thread, so these are the plugin's own; the newest comes last.
    static NOTED: RefCell<VecDeque<(Error, Origin)>> = const { RefCell::new(VecDeque::new()) };
}

/// Makes the error of a call, and notes the call's name, its first argument and the line that made it.
#[track_caller]
pub(crate) fn of_call(call: &'static str, argument: impl AsRef<str>) -> impl FnOnce(wit::Error) -> Error {
    let line = Location::caller();
    move |error| {
        let error = Error::from(error);
        note(&error, Origin { call: Some((call, argument.as_ref().to_owned())), line });
        error
    }
}

/// Notes the line that an error was made in.
pub(crate) fn at(error: Error, line: Line) -> Error {
    // Of a function that was handed on, such as in `map_err(Error::other)`, only the standard library's line is known.
    if !line.file().starts_with("/rustc/") {
        note(&error, Origin { call: None, line });
    }
    error
}

/// A call that knows the author's line. An `async fn` cannot: when it is polled, its caller is no longer known.
///
/// It allocates nothing, and does nothing unless the call fails.
#[must_use = "a call does nothing unless it is awaited"]
pub(crate) struct Located<F> {
    call: F,
    line: Line,
}

/// Has the error of a call name the line of the function's caller, in place of any line within the SDK.
#[track_caller]
pub(crate) fn located<T, F: Future<Output = Result<T>>>(call: F) -> Located<F> {
    Located { call, line: Location::caller() }
}

impl<T, F: Future<Output = Result<T>>> Future for Located<F> {
    type Output = Result<T>;

    #[expect(unsafe_code, reason = "reaching a pinned field; in an `async` block it would take its place twice")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let line = self.line;
        // SAFETY: `call` is pinned whenever `self` is: nothing moves it out, and there is no `Drop` and no `Unpin` by hand.
        let call = unsafe { self.map_unchecked_mut(|located| &mut located.call) };
        call.poll(context).map_err(|error| {
            relocate(&error, line);
            error
        })
    }
}

/// Makes the error of a function that is not a call name the line of the function's caller.
#[track_caller]
pub(crate) fn placed<T>(result: Result<T>) -> Result<T> {
    let line = Location::caller();
    result.inspect_err(|error| relocate(error, line))
}

/// Has an error name this line.
#[cold]
pub(crate) fn relocate(error: &Error, line: Line) {
    let is_known = NOTED.with_borrow_mut(|noted| {
        let found = noted.iter_mut().rev().find(|(one, _)| one == error);
        found.map(|(_, origin)| origin.line = line).is_some()
    });
    if !is_known {
        note(error, Origin { call: None, line });
    }
}

fn note(error: &Error, origin: Origin) {
    NOTED.with_borrow_mut(|noted| {
        if noted.len() == MOST {
            noted.pop_front();
        }
        noted.push_back((error.clone(), origin));
    });
}

/// Returns the origin of an error if it is known: the last one of several equal errors.
pub(crate) fn origin(error: &Error) -> Option<Origin> {
    NOTED.with_borrow(|noted| noted.iter().rev().find(|(one, _)| one == error).map(|(_, origin)| origin.clone()))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.call {
            Some((call, argument)) if argument.is_empty() => write!(f, "{call} ")?,
            Some((call, argument)) => write!(f, "{call} {argument:?} ")?,
            None => {}
        }
        write!(f, "at {}:{}", self.line.file(), self.line.line())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Waker;

    use super::*;

    fn told(error: &Error) -> Option<String> {
        origin(error).map(|origin| origin.to_string())
    }

    /// As each call of the SDK is made: of one that asks another one, too.
    #[track_caller]
    fn kick(answer: Result<(), wit::Error>) -> impl Future<Output = Result<()>> {
        located(async move {
            #[track_caller]
            fn within(answer: Result<(), wit::Error>) -> impl Future<Output = Result<()>> {
                located(async move { ready(answer).await.map_err(of_call("rooms.kick", "hall@rooms.example.org")) })
            }
            within(answer).await
        })
    }

    fn ended<T>(call: impl Future<Output = T>) -> T {
        match std::pin::pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn an_error_of_a_call_is_known_by_the_call_its_argument_and_the_authors_line() {
        let error = ended(async {
            let call = kick(Err(wit::Error::Offline));
            // It is not polled where it was made.
            call.await
        });
        let line = line!() - 4;
        assert_eq!(error, Err(Error::Offline));
        let place = format!("rooms.kick \"hall@rooms.example.org\" at {}:{line}", file!());
        assert_eq!(told(&Error::Offline), Some(place));
        let later = of_call("user.logout", "")(wit::Error::Offline);
        assert_eq!(told(&later), Some(format!("user.logout at {}:{}", file!(), line!() - 1)));
        assert_eq!(told(&Error::TimedOut), None);
    }

    #[test]
    fn an_error_without_a_call_is_known_by_the_line_that_waited_for_it() {
        let error = ended(located(ready(Err::<(), _>(Error::invalid("limit", "is no number"))))).unwrap_err();
        assert_eq!(told(&error), Some(format!("at {}:{}", file!(), line!() - 1)));
    }

    #[test]
    fn a_call_that_knows_its_line_takes_no_more_than_that_and_notes_nothing_when_all_is_well() {
        let call = pending::<Result<u8>>();
        let before = size_of_val(&call);
        assert_eq!(size_of_val(&located(call)), before + size_of::<Line>());
        assert_eq!(ended(kick(Ok(()))), Ok(()));
        assert_eq!(NOTED.with_borrow(VecDeque::len), 0);
        assert_eq!(NOTED.with_borrow(VecDeque::capacity), 0, "nothing was ever allocated for it");
    }

    #[test]
    fn an_error_that_a_question_mark_passes_on_is_known_by_its_line() {
        let sides = |text: &str| -> Result<u8> { Ok(text.parse()?) };
        let line = line!() - 1;
        let error = sides("six").unwrap_err();
        assert_eq!(error.to_string(), "invalid digit found in string");
        assert_eq!(told(&error), Some(format!("at {}:{line}", file!())));
        let own = Error::other("told to");
        assert_eq!(told(&own), Some(format!("at {}:{}", file!(), line!() - 1)));
        let broken: Result<(), &str> = Err("out");
        let failed: Result<()> = broken.map_err(Error::other);
        assert_eq!(told(&failed.unwrap_err()), None);
    }

    #[test]
    fn no_more_than_some_are_remembered() {
        for number in 0..=MOST {
            of_call("storage.get", number.to_string())(wit::Error::NotFound(number.to_string()));
        }
        assert_eq!(told(&Error::NotFound("0".into())), None);
        assert!(origin(&Error::NotFound("1".into())).is_some());
    }
}
