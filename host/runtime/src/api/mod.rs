//! The private API as plugins call it: one file for each grouping of `wit/`, under the same name.
//!
//! Each call parses its arguments, checks the grants, and then reads the account's snapshot or sends it a command. A
//! plugin's mistake is an error value; nothing here traps.

#[expect(clippy::module_inception, reason = "each grouping is one file of its own name, and this one is called api")]
mod api;
pub mod archive;
mod chats;
mod chatviews;
pub mod commands;
mod connection;
mod contacts;
mod dialogs;
mod disco;
pub(crate) mod files;
mod hooks;
pub(crate) mod http;
mod iq;
pub mod listen;
pub mod log;
mod pacing;
mod plugins;
mod promises;
mod pubsub;
mod rooms;
mod schedules;
mod settings;
mod storage;
mod timers;
mod tokens;
mod types;
mod user;
mod vcard;
mod webhooks;

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::join_all;
use jid::{BareJid, Jid};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use parlor_session::event::EventName;
use parlor_session::permissions::{CallName, event};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::{is_sendable, is_sendable_time, no_jid};
use parlor_stanza::types::{LONGEST_ADDRESS, NoAddress, address};
use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, Accessor};

use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Grouping, Instance, OpenCall, room_of_handler};

pub use self::api::acts_for;

/// Returns the calling instance, with the call counted as open.
fn caller<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
) -> Result<(Arc<Instance>, OpenCall), CallError> {
    let instance = accessor.with(|mut access| Arc::clone(&access.get().instance));
    let open = instance.open_call(call)?;
    Ok((instance, open))
}

/// Returns the room of the event in whose handler a call is made, for a plugin whose settings differ by room. It is known
/// only before the call waits for anything.
fn room_of_caller<T: 'static>(instance: &Instance, access: &mut Access<'_, T, Grouping>) -> Option<BareJid> {
    if !instance.settings.differ_by_room() {
        return None;
    }
    let task = access.as_context_mut().async_call_stack().ok().and_then(Iterator::last);
    room_of_handler(instance, task)
}

/// Checks whether the plugin may get this event, or the promise of its name, at all. The router checks each occurrence.
fn may_hear(instance: &Instance, name: &str) -> Result<(), CallError> {
    match event(name).and_then(|event| event.permission) {
        Some(permission) if !instance.mailbox.grants().has(permission) => Err(instance.deny(permission, None)),
        Some(_) | None => Ok(()),
    }
}

/// Checks whether the plugin may fire an event, or own a promise, of this name.
fn may_fire(instance: &Instance, name: &EventName) -> Result<(), CallError> {
    if instance.account.names.may_fire(name, &instance.plugin) {
        return Ok(());
    }
    Err(CallError::NotOwner(format!("{name}, which another plugin declares")))
}

/// Maximum total length of a call's addresses, in bytes. They are held until the last one is done, and parsing them
/// occupies a thread.
const MOST_ADDRESSES: usize = 64 << 10;

/// Parses an address that a plugin passed.
fn jid(argument: &str, text: &str) -> Result<Jid, CallError> {
    // A final dot does not belong to a domain (RFC 7622, section 3.2), even if the parser accepts it.
    let resource = text.find('/').unwrap_or(text.len());
    let undotted = match text[..resource].strip_suffix('.') {
        Some(without) if without.ends_with('.') => {
            return Err(CallError::invalid(argument, no_jid(text, &"its domain ends in an empty label")));
        }
        Some(without) => Cow::Owned(format!("{without}{}", &text[resource..])),
        None => Cow::Borrowed(text),
    };
    let read = |one: &str| {
        address(one).map_err(|error| match error {
            NoAddress::TooLong => CallError::invalid(argument, error.to_string()),
            NoAddress::Odd(error) => CallError::invalid(argument, no_jid(text, &error)),
        })
    };
    let jid = read(&undotted)?;
    // The parser folds some letters before it removes their diacritics, so it may read its own result differently.
    if undotted.is_ascii() { Ok(jid) } else { read(jid.as_str()) }
}

/// Parses an address whose resource does not matter.
fn bare_jid(argument: &str, text: &str) -> Result<BareJid, CallError> {
    jid(argument, text).map(|jid| jid.to_bare())
}

/// Parses several addresses to look up. An invalid one matches nothing, and the others are still looked up.
fn bare_jids(argument: &str, texts: &[String]) -> Result<Vec<Option<BareJid>>, CallError> {
    let lengths = bounded(argument, texts)?.iter().map(String::len);
    // Texts that are longer than any address are not parsed.
    not_too_long(argument, lengths.filter(|length| *length <= LONGEST_ADDRESS))?;
    Ok(texts.iter().map(|text| bare_jid(argument, text).ok()).collect())
}

/// Parses a point in time in ISO 8601; without an offset it is UTC.
fn time(argument: &str, written: &str) -> Result<Timestamp, CallError> {
    /// Maximum length, in bytes.
    const LONGEST: usize = 64;
    const EXPECTED: &str = "write it as ISO 8601 does, such as 2026-11-20T06:24:00Z";
    let written = text(argument, written, LONGEST)?;
    let time = written.parse::<Timestamp>().or_else(|error| {
        // A date alone means the beginning of the day.
        written.parse::<DateTime>().and_then(|local| TimeZone::UTC.to_timestamp(local)).map_err(|_| error)
    });
    let time = time.map_err(|error| CallError::invalid(argument, format!("{error}; {EXPECTED}")))?;
    if !is_sendable_time(time) {
        return Err(CallError::invalid(argument, format!("is before the year 0; {EXPECTED}")));
    }
    Ok(time)
}

/// Checks that a plugin's list is not longer than the host is willing to process.
fn bounded<'a, T>(argument: &str, list: &'a [T]) -> Result<&'a [T], CallError> {
    const LONGEST: usize = 1_000;
    if list.len() > LONGEST {
        return Err(CallError::invalid(argument, format!("more than {LONGEST} of them")));
    }
    Ok(list)
}

/// Checks that the host is willing to hold a list of addresses until the last one is done.
fn addresses<'a>(argument: &str, list: &'a [String]) -> Result<&'a [String], CallError> {
    not_too_long(argument, bounded(argument, list)?.iter().map(String::len))?;
    Ok(list)
}

/// Checks that addresses of these lengths do not exceed the limit of a call.
fn not_too_long(argument: &str, lengths: impl Iterator<Item = usize>) -> Result<(), CallError> {
    let bytes: usize = lengths.sum();
    if bytes > MOST_ADDRESSES {
        return Err(CallError::invalid(argument, format!("has {bytes} bytes; at most {MOST_ADDRESSES} are allowed")));
    }
    Ok(())
}

/// Checks that a plugin's text is not longer than the host is willing to carry.
fn text<'a>(argument: &str, text: &'a str, longest: usize) -> Result<&'a str, CallError> {
    if text.len() > longest {
        return Err(CallError::invalid(argument, format!("longer than {longest} bytes")));
    }
    Ok(text)
}

/// Checks that a stanza can carry a text as it is.
fn words<'a>(argument: &str, words: &'a str, longest: usize) -> Result<&'a str, CallError> {
    text(argument, words, longest)?;
    if !is_sendable(words) {
        return Err(CallError::invalid(argument, "contains a control character, or what XML cannot carry"));
    }
    Ok(words)
}

/// Renames the argument in an error, for a call that uses another name.
fn renamed(error: CallError, argument: &str) -> CallError {
    match error {
        CallError::Invalid { reason, .. } => CallError::invalid(argument, reason),
        other => other,
    }
}

/// Returns the results of calls, in their order. They are started a few at a time: a waiting call needs a hundred times
/// the memory of its address, and hundreds of lists may wait.
async fn each<C, R>(mut calls: impl Iterator<Item = C>) -> Vec<Result<R, Error>>
where
    C: Future<Output = Result<R, CallError>>,
{
    /// As many as a plugin may have rooms by default.
    const AT_ONCE: usize = 100;
    let mut results = Vec::new();
    loop {
        let some: Vec<_> = calls.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return results;
        }
        results.extend(join_all(some).await.into_iter().map(answer));
    }
}

/// Checks whether a plugin can hold all of these at once, as far as the host can tell. Too many would end it; this way
/// it gets an error.
fn fits(instance: &Instance, what: &str, remedy: &str, sizes: impl Iterator<Item = usize>) -> Result<(), CallError> {
    let (count, bytes) = sizes.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one));
    let most = instance.limits.memory;
    if bytes > most.as_usize() {
        return Err(CallError::OverLimit(format!(
            "{count} {what} take {} KiB, and the limit `memory` is {most}; {remedy}, or let the owner raise it",
            bytes >> 10
        )));
    }
    Ok(())
}

/// Converts a call's result into that of the contract.
fn answer<R>(result: Result<R, CallError>) -> Result<R, Error> {
    result.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_stays_the_same_however_often_it_is_read(
            text in "([a-zA-Z0-9äß.é_-]{1,9}@)?[a-zA-Z0-9.-]{1,9}(/[ -~äß👍]{1,9})?|\\PC{0,30}",
        ) {
            let Ok(read) = jid("jid", &text) else { return Ok(()) };
            prop_assert_eq!(&jid("jid", read.as_str()).unwrap(), &read);
            let bare = bare_jid("jid", &text).unwrap();
            prop_assert_eq!(&bare, &read.to_bare());
            prop_assert_eq!(bare_jid("jid", &format!("{bare}/elsewhere")).unwrap(), bare);
            prop_assert_eq!(read.resource().is_some(), text.contains('/'));
        }
    }

    proptest! {
        /// RFC 7622, sections 3.2 to 3.4: case matters only in resources.
        #[test]
        fn addresses_are_the_same_whatever_the_capitals_but_for_resources(
            node in "[a-zäéß0-9._-]{1,9}",
            domain in "[a-z0-9]{1,9}(\\.[a-z]{2,5})?",
            resource in "[a-z]{1,9}",
        ) {
            let read = |text: String| jid("jid", &text).unwrap();
            let one = read(format!("{node}@{domain}/{resource}"));
            let capital: String = node.chars().map(|c| if c == 'ß' { c } else { c.to_uppercase().next().unwrap() }).collect();
            prop_assert_eq!(&read(format!("{capital}@{}/{resource}", domain.to_uppercase())), &one);
            prop_assert_ne!(&read(format!("{node}@{domain}/{}", resource.to_uppercase())), &one);
            prop_assert_eq!(read(format!("{node}@{domain}")), Jid::from(one.to_bare()));
        }

        /// The host accepts every point in time that it writes.
        #[test]
        fn stamps_that_are_given_are_taken(at in -62_135_596_800_000_i64..253_402_207_200_000) {
            let at = Timestamp::from_millisecond(at).unwrap();
            prop_assert_eq!(time("start", &types::date_time(at)), Ok(at));
        }
    }

    #[test]
    fn the_final_dot_of_a_domain_is_no_part_of_it() {
        for (text, meant) in [("a@b.", "a@b"), ("a@b", "a@b"), ("a@b./c", "a@b/c"), ("b.", "b")] {
            assert_eq!(jid("jid", text).unwrap().as_str(), meant, "{text}");
        }
        assert!(jid("jid", "a@b..").is_err());
    }

    #[test]
    fn what_is_no_address_is_shown() {
        let reason = |text: &str| jid("jid", text).unwrap_err().to_string();
        assert_eq!(reason("no one"), "invalid jid: \"no one\" is not a JID: domain doesn’t pass idna validation");
        assert_eq!(reason("a@b.."), "invalid jid: \"a@b..\" is not a JID: its domain ends in an empty label");
        let wild = reason(&format!("@\u{1b}[2J{}", "x".repeat(1_000)));
        assert!(wild.starts_with(r#"invalid jid: "@\u{1b}[2Jxxx"#) && wild.len() < 250, "{wild}");
    }

    /// Parsing an address takes long for its length, and occupies its thread meanwhile.
    #[test]
    fn no_call_has_more_addresses_read_than_are_soon_done() {
        let address = |length: usize| format!("{}@b", "é".repeat(length / 2 - 1));
        assert_eq!(bare_jids("jids", &vec![address(64); 1_000]).map(|read| read.len()), Ok(1_000));
        let refused = bare_jids("jids", &vec![address(1_000); 1_000]).unwrap_err();
        assert_eq!(refused, CallError::invalid("jids", "has 1000000 bytes; at most 65536 are allowed"));
        // Texts that are not parsed do not count.
        assert_eq!(bare_jids("jids", &vec![address(10_000); 100]), Ok(vec![None; 100]));
    }

    /// When a thousand calls wait, most are not even started.
    #[tokio::test(start_paused = true)]
    async fn a_list_is_worked_through_a_few_at_a_time_and_in_its_order() {
        let (under_way, most, left) = (Cell::new(0), Cell::new(0), 1_000_u32);
        let results = each((0..left).map(async |number| {
            under_way.set(under_way.get() + 1);
            most.set(under_way.get().max(most.get()));
            // Later calls of the list finish sooner.
            tokio::time::sleep(Duration::from_secs((left - number).into())).await;
            under_way.set(under_way.get() - 1);
            if number == 7 { Err(CallError::Stopped) } else { Ok(number) }
        }))
        .await;
        assert_eq!(most.get(), 100);
        let came: Vec<_> = results.into_iter().map(Result::ok).collect();
        assert_eq!(came, (0..left).map(|number| (number != 7).then_some(number)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_address_names_the_argument() {
        let long = format!("{}@example.org", "x".repeat(1 << 20));
        for text in ["", "@", "@@", "a@", "@b", "a b@c", "a@b/", "a@b\n", "a\u{0}@b", "a\u{202e}@b", &long] {
            match jid("peer", text) {
                Err(CallError::Invalid { argument, .. }) => assert_eq!(argument, "peer"),
                other => panic!("{text:.20}: {other:?}"),
            }
        }
    }
}
