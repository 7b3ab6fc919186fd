//! Where errors come from, for the log: which call failed and whom it was about, or which line of the author's could read nothing.
//!
//! An [`Error`] is what authors match and show to people, and says what went wrong. Where it comes from is noted beside it, and the
//! log names it when a handler returns that error.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::Location;

use crate::bindings::parlor::plugin::types as wit;
use crate::error::Error;

/// How many are remembered: those of handlers that overlap.
const MOST: usize = 16;

thread_local! {
    // A component has one thread, so these are the plugin's own; the newest comes last.
    static NOTED: RefCell<VecDeque<(Error, String)>> = const { RefCell::new(VecDeque::new()) };
}

/// Makes the error of a call, and notes the call's name and its first argument.
pub(crate) fn of_call(call: &'static str, argument: impl AsRef<str>) -> impl FnOnce(wit::Error) -> Error {
    move |error| {
        let error = Error::from(error);
        let argument = argument.as_ref();
        note(&error, if argument.is_empty() { call.to_owned() } else { format!("{call} {argument:?}") });
        error
    }
}

/// Notes the line that an error was made in.
pub(crate) fn at(error: Error, place: &Location<'_>) -> Error {
    // Of a function that was handed on, such as in `map_err(Error::other)`, only the standard library's line is known.
    if !place.file().starts_with("/rustc/") {
        note(&error, format!("at {}:{}", place.file(), place.line()));
    }
    error
}

fn note(error: &Error, place: String) {
    NOTED.with_borrow_mut(|noted| {
        if noted.len() == MOST {
            noted.pop_front();
        }
        noted.push_back((error.clone(), place));
    });
}

/// Where an error comes from, as far as that is known: of several that are alike, the last one.
pub(crate) fn origin(error: &Error) -> Option<String> {
    NOTED.with_borrow(|noted| noted.iter().rev().find(|(one, _)| one == error).map(|(_, place)| place.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;

    #[test]
    fn an_error_of_a_call_is_known_by_the_call_and_its_argument() {
        let error = of_call("rooms.kick", "hall@rooms.example.org")(wit::Error::Offline);
        assert_eq!(error, Error::Offline);
        assert_eq!(origin(&error).unwrap(), "rooms.kick \"hall@rooms.example.org\"");
        let later = of_call("user.logout", "")(wit::Error::Offline);
        assert_eq!(origin(&later).unwrap(), "user.logout");
        assert_eq!(origin(&Error::TimedOut), None);
    }

    #[test]
    fn an_error_that_a_question_mark_passes_on_is_known_by_its_line() {
        let sides = |text: &str| -> Result<u8> { Ok(text.parse()?) };
        let line = line!() - 1;
        let error = sides("six").unwrap_err();
        assert_eq!(error.to_string(), "invalid digit found in string");
        assert_eq!(origin(&error), Some(format!("at {}:{line}", file!())));
        let own = Error::other("told to");
        assert_eq!(origin(&own), Some(format!("at {}:{}", file!(), line!() - 1)));
        let broken: Result<(), &str> = Err("out");
        let failed: Result<()> = broken.map_err(Error::other);
        assert_eq!(origin(&failed.unwrap_err()), None);
    }

    #[test]
    fn no_more_than_some_are_remembered() {
        for number in 0..=MOST {
            of_call("storage.get", number.to_string())(wit::Error::NotFound(number.to_string()));
        }
        assert_eq!(origin(&Error::NotFound("0".into())), None);
        assert!(origin(&Error::NotFound("1".into())).is_some());
    }
}
