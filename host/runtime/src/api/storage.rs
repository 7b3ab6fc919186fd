//! `storage`: data that a plugin keeps on this machine.

mod changes;

use parlor_base::clock::Clock;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_stanza::error::CallError;
use parlor_store::{LONGEST_KEY, LONGEST_PAGE, LONGEST_VALUE, Only, Owner, PageOf, StoreError, Write, Written, is_key};
use wasmtime::component::Accessor;

use super::pacing::pace_storage;
use super::{answer, caller};
use crate::bindings::parlor::plugin::storage::{
    AddNumber, EntriesPage, Entry, Host, HostWithStore, KeyChange, KeyRange, Page,
};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

/// Maximum number of keys on a page.
const LARGEST_PAGE: u32 = 1_000;
/// Minimum that a call counts against `storage_per_second`, in bytes: the disk writes no less.
pub(super) const CALL: usize = 512;
/// Bytes that a page of keys counts.
const LIST: usize = 16 << 10;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn get(accessor: &Accessor<T, Self>, key: String) -> Result<Option<Vec<u8>>, Error> {
        answer(
            async {
                let (instance, _open) = caller(accessor, CallName::StorageGet)?;
                get(&instance, key).await
            }
            .await,
        )
    }

    async fn set(accessor: &Accessor<T, Self>, key: String, value: Vec<u8>, expires: Option<u64>) -> Result<(), Error> {
        answer(write(accessor, CallName::StorageSet, key, Some(value), expires, Only::Always).await.map(drop))
    }

    async fn delete(accessor: &Accessor<T, Self>, key: String) -> Result<bool, Error> {
        let written = write(accessor, CallName::StorageDelete, key, None, None, Only::Always).await;
        answer(written.map(|written| written == Written::Replaced))
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::StorageList)?;
                let granted = call.granted(Target::None)?;
                let asked = asked(prefix, after, limit)?;
                let _held = instance.hold(LONGEST_PAGE)?;
                pace_storage(&instance, &granted, LIST).await?;
                let data = instance.data(&granted);
                let page = instance.in_turn(data.keys(owner(&instance), asked)).await;
                let page = page.map_err(|error| failed(&error))?;
                Ok(Page { keys: page.found, next: page.next })
            }
            .await,
        )
    }

    async fn entries(
        accessor: &Accessor<T, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<EntriesPage, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::StorageEntries)?;
                let granted = call.granted(Target::None)?;
                entries(&instance, &granted, asked(prefix, after, limit)?).await
            }
            .await,
        )
    }

    async fn compare_and_set(
        accessor: &Accessor<T, Self>,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        expires: Option<u64>,
    ) -> Result<bool, Error> {
        if expected.as_ref().is_some_and(|expected| expected.len() > LONGEST_VALUE) {
            return answer(Err(too_long("expected")));
        }
        let written = write(accessor, CallName::StorageCompareAndSet, key, value, expires, Only::If(expected)).await;
        answer(written.map(|written| written != Written::Otherwise))
    }

    async fn range(
        accessor: &Accessor<T, Self>,
        range: KeyRange,
        after: Option<String>,
        limit: u32,
    ) -> Result<EntriesPage, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::StorageRange)?;
                let granted = call.granted(Target::None)?;
                entries(&instance, &granted, asked_of(range, after, limit)?).await
            }
            .await,
        )
    }

    async fn add(accessor: &Accessor<T, Self>, number: AddNumber) -> Result<i64, Error> {
        answer(changes::add(accessor, number).await)
    }

    async fn change(accessor: &Accessor<T, Self>, changes: Vec<KeyChange>) -> Result<bool, Error> {
        answer(changes::change(accessor, changes).await)
    }
}

/// Maximum size of a page of entries, in bytes.
const LONGEST_ENTRIES: usize = LONGEST_VALUE + LONGEST_KEY;

fn asked(prefix: String, after: Option<String>, limit: u32) -> Result<PageOf, CallError> {
    page_of(PageOf { prefix, after, ..PageOf::default() }, "prefix", limit)
}

fn asked_of(range: KeyRange, after: Option<String>, limit: u32) -> Result<PageOf, CallError> {
    let KeyRange { prefix, from, to, descending } = range;
    let from = from.map(|from| check_key("range.from", from)).transpose()?;
    let to = to.map(|to| check_key("range.to", to)).transpose()?;
    page_of(PageOf { prefix, from, to, descending, after, most: 0 }, "range.prefix", limit)
}

/// Checks what each request for a page has. `argument` is the name of its prefix.
fn page_of(asked: PageOf, argument: &str, limit: u32) -> Result<PageOf, CallError> {
    let prefix = if asked.prefix.is_empty() { asked.prefix } else { check_key(argument, asked.prefix)? };
    let after = asked.after.map(|after| check_key("after", after)).transpose()?;
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(CallError::invalid("limit", format!("1 to {LARGEST_PAGE}")));
    }
    Ok(PageOf { prefix, after, most: limit as usize, ..asked })
}

async fn entries(instance: &Instance, granted: &Granted, asked: PageOf) -> Result<EntriesPage, CallError> {
    // Only the disk knows how long a page is: until it has been read, it counts as the longest.
    let _held = instance.hold(LONGEST_ENTRIES)?;
    pace_storage(instance, granted, CALL).await?;
    // A page costs its size. A caller that stops waiting pays for the longest page.
    let mut reading = Reading { instance, bytes: LONGEST_ENTRIES };
    let page = instance.in_turn(instance.data(granted).entries(owner(instance), asked)).await;
    let page = page.map_err(|error| failed(&error))?;
    reading.bytes = page.found.iter().map(|(key, value)| key.len() + value.len()).sum();
    let entries = page.found.into_iter().map(|(key, value)| Entry { key, value }).collect();
    Ok(EntriesPage { entries, next: page.next })
}

async fn get(instance: &Instance, key: String) -> Result<Option<Vec<u8>>, CallError> {
    let granted = instance.granted(CallName::StorageGet, Target::None)?;
    let key = check_key("key", key)?;
    pace_storage(instance, &granted, CALL).await?;
    let mut reading = Reading { instance, bytes: LONGEST_VALUE };
    let reads = instance.data(&granted).get_held(owner(instance), key, instance.held());
    let Some((value, held)) = instance.in_turn(reads).await.map_err(|error| failed(&error))? else {
        reading.bytes = 0;
        return Ok(None);
    };
    let _held = held.ok_or_else(|| instance.holds_too_much())?;
    reading.bytes = value.len();
    Ok(Some(value))
}

/// A read in progress. Only the disk knows its length; a caller that stops waiting pays for the longest.
struct Reading<'a> {
    instance: &'a Instance,
    bytes: usize,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // The minimum of each call was taken before.
        owe(self.instance, self.bytes.saturating_sub(CALL));
    }
}

async fn write<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    key: String,
    value: Option<Vec<u8>>,
    expires: Option<u64>,
    only: Only,
) -> Result<Written, CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    let quota = quota(&instance)?;
    let key = check_key("key", key)?;
    if value.as_ref().is_some_and(|value| value.len() > LONGEST_VALUE) {
        return Err(too_long("value"));
    }
    let expires = expires.map(|after| check_expires("expires", after, instance.account.clock)).transpose()?;
    let expected = if let Only::If(Some(expected)) = &only { expected.len() } else { 0 };
    let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
    let held = instance.hold(bytes + expected)?;
    pace_storage(&instance, &granted, bytes.max(CALL)).await?;
    // Both together may exceed what a second allows, and then waiting would never succeed.
    owe(&instance, expected);
    let write = Write { key, value, expires, only };
    let writes = instance.data(&granted).write_held(owner(&instance), quota, write, Some(held));
    let written = instance.in_turn(writes).await;
    match written.map_err(|error| failed(&error))? {
        Written::TooMuch => Err(over_quota(quota)),
        written => Ok(written),
    }
}

/// Counts bytes that were not known before, or not waited for. Most calls have none, and need no look at the clock.
#[expect(clippy::cast_precision_loss, reason = "no call has so many bytes")]
fn owe(instance: &Instance, bytes: usize) {
    if bytes > 0 {
        instance.lasting.budgets.stored().owe(bytes as f64);
    }
}

/// Returns how much the plugin may keep.
fn quota(instance: &Instance) -> Result<u64, CallError> {
    instance.quota().ok_or_else(|| instance.deny(Permission::Storage, None))
}

fn over_quota(quota: u64) -> CallError {
    CallError::OverLimit(format!("{quota} bytes of storage; delete some, or let the owner grant more"))
}

pub(super) fn owner(instance: &Instance) -> Owner {
    Owner { account: instance.account.own.clone(), plugin: instance.plugin.clone() }
}

/// Checks that a text can be a key.
fn check_key(argument: &str, key: String) -> Result<String, CallError> {
    if is_key(&key) {
        return Ok(key);
    }
    Err(CallError::invalid(argument, format!("1 to {LONGEST_KEY} bytes without control characters")))
}

fn too_long(argument: &str) -> CallError {
    CallError::invalid(argument, format!("longer than {LONGEST_VALUE} bytes"))
}

/// Returns the time at which an entry with this lifetime expires.
fn check_expires(argument: &str, milliseconds: u64, clock: Clock) -> Result<i64, CallError> {
    if milliseconds == 0 {
        return Err(CallError::invalid(argument, "1 millisecond at least; `delete` forgets at once"));
    }
    let now = clock.now().as_millisecond();
    Ok(now.saturating_add(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
}

pub(super) fn failed(error: &StoreError) -> CallError {
    match error {
        StoreError::Ended | StoreError::Log(_) => CallError::Stopped,
        StoreError::File { .. } => {
            tracing::error!(%error, "what a plugin keeps was not read or written");
            CallError::Other("the host's disk failed; its log says more".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// Otherwise each open call would make the host read a page of the longest values.
    #[tokio::test]
    async fn pages_of_entries_that_wait_count_against_what_the_host_holds() {
        let mut limits = Limits::default();
        limits.set("host_memory", &"1 MiB".into()).unwrap();
        let (instance, _mailbox) = disconnected_instance("storage = [\"1 MiB\"]", limits);
        let page = || entries(&instance, &Granted::HOST, asked(String::new(), None, 10).unwrap());
        let mut waiting = Vec::new();
        let refused = loop {
            let mut call = Box::pin(page());
            match poll!(call.as_mut()) {
                Poll::Ready(Err(error)) => break error,
                // It was read at once.
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => waiting.push(call),
            }
        };
        assert!(matches!(&refused, CallError::OverLimit(what) if what.contains("1 MiB")), "{refused:?}");
        assert_eq!(waiting.len(), (1 << 20) / LONGEST_ENTRIES);
        waiting.clear();
        assert!(page().await.is_ok());
    }

    /// One thread reads for all plugins.
    #[tokio::test]
    async fn what_is_read_counts_as_what_is_written_does_also_if_nobody_waits_for_it() {
        let mut limits = Limits::default();
        limits.set("storage_per_second", &"512 KiB".into()).unwrap();
        for waits in [true, false] {
            let (instance, _mailbox) = disconnected_instance("storage = [\"1 MiB\"]", limits.clone());
            let value = Some(vec![0; LONGEST_VALUE]);
            let write = Write { key: "long".to_owned(), value, expires: None, only: Only::Always };
            instance.account.data().write(owner(&instance), 1 << 20, write).await.unwrap();
            assert!(instance.lasting.budgets.stored().used() < 1.0, "only calls count");
            let mut call = Box::pin(get(&instance, "long".to_owned()));
            if waits {
                assert_eq!(call.await.map(|value| value.map(|value| value.len())), Ok(Some(LONGEST_VALUE)));
            } else {
                let _ = poll!(call.as_mut());
                drop(call);
            }
            // Half of the limit for a second.
            assert!(
                instance.lasting.budgets.stored().used() > 100_000.0,
                "{waits}: {}",
                instance.lasting.budgets.stored().used()
            );
        }
    }
}
