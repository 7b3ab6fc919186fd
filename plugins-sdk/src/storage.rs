//! Data that the plugin keeps on the host's machine, separately for each account. Needs `storage`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # use std::time::Duration;
//! # async fn example() -> Result<()> {
//! storage::set("greeted/juliet@example.org", &true).await?;
//! let greeted: Option<bool> = storage::get("greeted/juliet@example.org").await?;
//! storage::set_for("cooldown", &json!({ "by": "romeo" }), Duration::from_secs(60)).await?;
//! for key in storage::keys("greeted/").await? {
//!     storage::delete(key).await?;
//! }
//! # Ok(()) }
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::as_json;
use crate::bindings::parlor::plugin::storage::{self, AddNumber, KeyRange};
use crate::error::{Error, Result};
use crate::failure::{located, of_call};
use crate::timers;
use crate::turns::in_turn;

pub use crate::bindings::parlor::plugin::storage::{EntriesPage, Entry, Page};
pub use crate::changes::{Changes, Range, migrate};

/// The value of a key, as JSON. None: there is none, or it has expired.
///
/// [`Error::Invalid`] with the key as its argument: the stored value is not a `T`.
#[track_caller]
pub fn get<T: DeserializeOwned>(key: impl AsRef<str>) -> impl Future<Output = Result<Option<T>>> {
    located(async move {
        let key = key.as_ref();
        get_bytes(key).await?.map(|json| read(key, &json)).transpose()
    })
}

/// Keeps a value as JSON. When this returns it is on disk.
#[track_caller]
pub fn set(key: impl AsRef<str>, value: &impl Serialize) -> impl Future<Output = Result<()>> {
    located(async move { set_bytes(key, as_json::bytes(value)?, None).await })
}

/// Keeps a value as JSON for so long.
#[track_caller]
pub fn set_for(key: impl AsRef<str>, value: &impl Serialize, time: Duration) -> impl Future<Output = Result<()>> {
    located(async move { set_bytes(key, as_json::bytes(value)?, Some(time)).await })
}

/// The bytes that are kept under a key.
#[track_caller]
pub fn get_bytes(key: impl AsRef<str>) -> impl Future<Output = Result<Option<Vec<u8>>>> {
    located(async move {
        let key = key.as_ref();
        in_turn(|| storage::get(key.to_owned())).await.map_err(of_call("storage.get", key))
    })
}

/// Keeps bytes, perhaps only for so long.
#[track_caller]
pub fn set_bytes(
    key: impl AsRef<str>,
    value: impl Into<Vec<u8>>,
    time: Option<Duration>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let (key, value, expires) = (key.as_ref(), value.into(), time.map(milliseconds));
        in_turn(|| storage::set(key.to_owned(), value.clone(), expires)).await.map_err(of_call("storage.set", key))
    })
}

/// Forgets a key. False: there was none.
#[track_caller]
pub fn delete(key: impl AsRef<str>) -> impl Future<Output = Result<bool>> {
    located(async move {
        let key = key.as_ref();
        in_turn(|| storage::delete(key.to_owned())).await.map_err(of_call("storage.delete", key))
    })
}

/// All keys that begin with a prefix, in order.
#[track_caller]
pub fn keys(prefix: impl AsRef<str>) -> impl Future<Output = Result<Vec<String>>> {
    located(async move {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = list(prefix.as_ref(), after, 1_000).await?;
            all.extend(page.keys);
            match page.next {
                None => return Ok(all),
                next => after = next,
            }
        }
    })
}

/// At most `limit` keys that begin with a prefix, after one of them.
#[track_caller]
pub fn list(prefix: impl AsRef<str>, after: Option<String>, limit: u32) -> impl Future<Output = Result<Page>> {
    located(async move {
        let prefix = prefix.as_ref();
        in_turn(|| storage::list(prefix.to_owned(), after.clone(), limit))
            .await
            .map_err(of_call("storage.list", prefix))
    })
}

/// All values whose keys begin with a prefix, with their keys, in the order of the keys. One call returns as many
/// entries as fit into a page, so this is faster than a [`get`] for each key.
///
/// [`Error::Invalid`] with the key as its argument: the stored value is not a `T`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// for (name, points) in storage::entries::<u32>("points/").await? {
///     info!("{name}: {points}");
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn entries<T: DeserializeOwned>(prefix: impl AsRef<str>) -> impl Future<Output = Result<Vec<(String, T)>>> {
    located(async move {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = entries_page(prefix.as_ref(), after, 1_000).await?;
            for Entry { key, value } in page.entries {
                let value = read(&key, &value)?;
                all.push((key, value));
            }
            match page.next {
                None => return Ok(all),
                next => after = next,
            }
        }
    })
}

/// At most `limit` entries whose keys begin with a prefix, after a key, with their values as bytes.
#[track_caller]
pub fn entries_page(
    prefix: impl AsRef<str>,
    after: Option<String>,
    limit: u32,
) -> impl Future<Output = Result<EntriesPage>> {
    located(async move {
        let prefix = prefix.as_ref();
        in_turn(|| storage::entries(prefix.to_owned(), after.clone(), limit))
            .await
            .map_err(of_call("storage.entries", prefix))
    })
}

/// The values of a range with their keys, in the order that it says.
///
/// [`Error::Invalid`] with the key as its argument: the stored value is not a `T`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// let newest = storage::Range::of("notes/").descending().limit(5);
/// for (key, note) in storage::range::<String>(newest).await? {
///     info!("{key}: {note}");
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn range<T: DeserializeOwned>(range: Range) -> impl Future<Output = Result<Vec<(String, T)>>> {
    located(async move {
        let Range { prefix, from, to, descending, limit } = range;
        let (wanted, limit) = (KeyRange { prefix, from, to, descending }, limit.unwrap_or(usize::MAX));
        let (mut all, mut after) = (Vec::new(), None);
        while all.len() < limit {
            let most = u32::try_from(limit - all.len()).map_or(1_000, |left| left.min(1_000));
            let call = || storage::range(wanted.clone(), after.clone(), most);
            let page = in_turn(call).await.map_err(of_call("storage.range", &wanted.prefix))?;
            for Entry { key, value } in page.entries {
                let value = read(&key, &value)?;
                all.push((key, value));
            }
            match page.next {
                None => break,
                next => after = next,
            }
        }
        Ok(all)
    })
}

/// Adds to a number, and returns the sum; a negative number subtracts. A missing key counts as 0, and an expiry is
/// kept. Handlers that add at the same time lose nothing. [`get`] reads it, as an `i64`.
///
/// [`Error::Invalid`]: the stored value is not a whole number, or the sum has more than 64 bits.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// let visits = storage::add("visits", 1).await?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn add(key: impl AsRef<str>, amount: i64) -> impl Future<Output = Result<i64>> {
    located(async move { sum(key.as_ref(), amount, None).await })
}

/// The same, and keeps the sum for so long from now.
#[track_caller]
pub fn add_for(key: impl AsRef<str>, amount: i64, time: Duration) -> impl Future<Output = Result<i64>> {
    located(async move { sum(key.as_ref(), amount, Some(time)).await })
}

async fn sum(key: &str, amount: i64, time: Option<Duration>) -> Result<i64> {
    let expires = time.map(milliseconds);
    let call = || storage::add(AddNumber { key: key.to_owned(), amount, expires });
    in_turn(call).await.map_err(of_call("storage.add", key))
}

/// Makes several changes together, and returns when they are on disk. False: something is not as they expect, and nothing has changed.
///
/// [`Error::OverLimit`]: the grant does not allow this amount. [`Error::Invalid`]: there are none, too many or too long
/// ones, a key is there twice, or a number cannot be added to. Nothing has changed then, either.
#[track_caller]
pub fn change_all(changes: Changes) -> impl Future<Output = Result<bool>> {
    located(async move {
        let Changes { changes, error } = changes;
        match error {
            Some(error) => Err(error),
            None => in_turn(|| storage::change(changes.clone())).await.map_err(of_call("storage.change", "")),
        }
    })
}

/// Replaces the value by the result of a function, and returns it; none = no value, for both. Concurrent changes, such
/// as those of another handler, are not lost: the function is then called again, with the changed value.
///
/// [`Error::Invalid`] with the key as its argument: the stored value is not a `T`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// let count = storage::change("count", |count: Option<u32>| Some(count.unwrap_or_default() + 1)).await?;
/// info!("counted up to {count:?}");
/// # Ok(()) }
/// ```
#[track_caller]
pub fn change<T: Serialize + DeserializeOwned>(
    key: impl AsRef<str>,
    change: impl FnMut(Option<T>) -> Option<T>,
) -> impl Future<Output = Result<Option<T>>> {
    located(async move { exchange(key.as_ref(), change, None).await })
}

/// The same, and keeps what the function makes for so long.
#[track_caller]
pub fn change_for<T: Serialize + DeserializeOwned>(
    key: impl AsRef<str>,
    change: impl FnMut(Option<T>) -> Option<T>,
    time: Duration,
) -> impl Future<Output = Result<Option<T>>> {
    located(async move { exchange(key.as_ref(), change, Some(time)).await })
}

async fn exchange<T: Serialize + DeserializeOwned>(
    key: &str,
    mut change: impl FnMut(Option<T>) -> Option<T>,
    time: Option<Duration>,
) -> Result<Option<T>> {
    loop {
        let kept = get_bytes(key).await?;
        let value = change(kept.as_deref().map(|json| read(key, json)).transpose()?);
        let json = value.as_ref().map(as_json::bytes).transpose()?;
        // Compare with the bytes that were read, in any form of JSON.
        if compare_and_set_bytes(key, kept, json, time).await? {
            return Ok(value);
        }
    }
}

/// Replaces a value, only if the stored one still reads as `expected`; `expected` none = if there is none, `value` none
/// = it is deleted. False: another change was faster, and nothing has changed; [`change`] retries automatically. A
/// `HashSet` is never read in the same order twice: keep a `BTreeSet`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// loop {
///     let count: Option<u32> = storage::get("count").await?;
///     let next = count.unwrap_or_default() + 1;
///     if storage::compare_and_set("count", count.as_ref(), Some(&next)).await? {
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn compare_and_set<T: Serialize + DeserializeOwned>(
    key: impl AsRef<str>,
    expected: Option<&T>,
    value: Option<&T>,
) -> impl Future<Output = Result<bool>> {
    located(async move { swap(key.as_ref(), expected, value, None).await })
}

/// The same, and keeps the value for so long.
#[track_caller]
pub fn compare_and_set_for<T: Serialize + DeserializeOwned>(
    key: impl AsRef<str>,
    expected: Option<&T>,
    value: &T,
    time: Duration,
) -> impl Future<Output = Result<bool>> {
    located(async move { swap(key.as_ref(), expected, Some(value), Some(time)).await })
}

async fn swap<T: Serialize + DeserializeOwned>(
    key: &str,
    expected: Option<&T>,
    value: Option<&T>,
    time: Option<Duration>,
) -> Result<bool> {
    let value = value.map(as_json::bytes).transpose()?;
    let Some(expected) = expected else { return compare_and_set_bytes(key, None, value, time).await };
    // The same value may have been written in another way: by an earlier version, or out of a map without an order.
    let Some(kept) = get_bytes(key).await? else { return Ok(false) };
    let present: T = read(key, &kept)?;
    if as_json::tree(&present)? != as_json::tree(expected)? {
        return Ok(false);
    }
    compare_and_set_bytes(key, Some(kept), value, time).await
}

/// As [`compare_and_set`] for bytes, perhaps only for so long.
#[track_caller]
pub fn compare_and_set_bytes(
    key: impl AsRef<str>,
    expected: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    time: Option<Duration>,
) -> impl Future<Output = Result<bool>> {
    located(async move {
        let (key, expires) = (key.as_ref(), time.map(milliseconds));
        let call = || storage::compare_and_set(key.to_owned(), expected.clone(), value.clone(), expires);
        in_turn(call).await.map_err(of_call("storage.compare-and-set", key))
    })
}

pub(crate) fn read<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::invalid(key, error))
}

/// Converts to milliseconds. A duration of zero becomes the shortest possible one.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    timers::milliseconds(time).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_lasts_a_millisecond_at_least() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_micros(1_500)), 2);
    }
}
