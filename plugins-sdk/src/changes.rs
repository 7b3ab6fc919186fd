//! Arguments for calls of [`storage`](crate::storage): ranges and sets of changes. Also the conversion of data of
//! earlier versions.

use std::time::Duration;

use serde::Serialize;

use crate::as_json;
use crate::bindings::parlor::plugin::storage::{AddNumber, KeyChange, SetValue};
use crate::error::{Error, Result};
use crate::failure::located;
use crate::storage::{change_all, get_bytes, milliseconds, read};

/// The wanted entries and their order: by default those whose keys begin with a prefix.
#[derive(Debug, Clone, Default)]
pub struct Range {
    pub(crate) prefix: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) descending: bool,
    pub(crate) limit: Option<usize>,
}

impl Range {
    /// All entries whose keys begin with a prefix, which may be empty.
    #[must_use]
    pub fn of(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    /// None before this key, in the order of their bytes.
    #[must_use]
    pub fn from(mut self, key: impl Into<String>) -> Self {
        self.from = Some(key.into());
        self
    }

    /// Only those before this key, which is itself left out.
    #[must_use]
    pub fn to(mut self, key: impl Into<String>) -> Self {
        self.to = Some(key.into());
        self
    }

    /// The last one first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// At most this number of entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Several changes that [`change_all`](crate::storage::change_all) makes together: all of them, or none. At most 256, and 256 KiB of keys
/// and values, each key in one change and one expectation.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// let sale = storage::Changes::new().expect("seat/7", &"free").set("seat/7", &"juliet").add("sold", 1);
/// if !storage::change_all(sale).await? {
///     info!("somebody was faster");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing changes before `storage::change_all`"]
pub struct Changes {
    pub(crate) changes: Vec<KeyChange>,
    /// Why a value cannot be written as JSON.
    pub(crate) error: Option<Error>,
}

impl Changes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a value as JSON.
    pub fn set(self, key: impl Into<String>, value: &impl Serialize) -> Self {
        self.with_json(value, |value| set_value(key.into(), value, None))
    }

    /// Keeps a value as JSON for so long.
    pub fn set_for(self, key: impl Into<String>, value: &impl Serialize, time: Duration) -> Self {
        self.with_json(value, |value| set_value(key.into(), value, Some(time)))
    }

    /// Keeps bytes, perhaps only for so long.
    pub fn set_bytes(self, key: impl Into<String>, value: impl Into<Vec<u8>>, time: Option<Duration>) -> Self {
        self.with(set_value(key.into(), value.into(), time))
    }

    /// Adds to a number, as [`storage::add`](crate::storage::add) does.
    pub fn add(self, key: impl Into<String>, amount: i64) -> Self {
        self.with(add_number(key.into(), amount, None))
    }

    /// The same, and keeps the sum for so long from now.
    pub fn add_for(self, key: impl Into<String>, amount: i64, time: Duration) -> Self {
        self.with(add_number(key.into(), amount, Some(time)))
    }

    /// Deletes a key, if it exists.
    pub fn delete(self, key: impl Into<String>) -> Self {
        self.with(KeyChange::Delete(key.into()))
    }

    /// Demands that this value is kept, written as JSON as [`set`](Self::set) writes it, before anything is changed. `None`, such as
    /// [`get`](crate::storage::get) returns, demands that nothing is kept.
    pub fn expect(self, key: impl Into<String>, value: &impl Serialize) -> Self {
        self.with_json(value, |json| KeyChange::Expect((key.into(), (json != b"null").then_some(json))))
    }

    /// Demands that these bytes are kept; none = nothing.
    pub fn expect_bytes(self, key: impl Into<String>, value: Option<Vec<u8>>) -> Self {
        self.with(KeyChange::Expect((key.into(), value)))
    }

    fn with(mut self, change: KeyChange) -> Self {
        self.changes.push(change);
        self
    }

    fn with_json(mut self, value: &impl Serialize, change: impl FnOnce(Vec<u8>) -> KeyChange) -> Self {
        match as_json::bytes(value) {
            Ok(json) => self.with(change(json)),
            Err(error) => {
                self.error.get_or_insert_with(|| error.into());
                self
            }
        }
    }
}

fn add_number(key: String, amount: i64, time: Option<Duration>) -> KeyChange {
    KeyChange::Add(AddNumber { key, amount, expires: time.map(milliseconds) })
}

fn set_value(key: String, value: Vec<u8>, time: Option<Duration>) -> KeyChange {
    KeyChange::Set(SetValue { key, value, expires: time.map(milliseconds) })
}

/// Brings what an earlier version of the plugin has kept to the present. The number of the version is kept under a key, and is 0 where
/// there is none. For each version up to `version`, `step` is given the number and returns the changes that lead to the next one. They
/// are made together with the new number: a plugin that is ended meanwhile finds the one version or the other.
///
/// A step may read, and is called again if it was interrupted. It has at most 254 changes. To change more, write new
/// keys before them, which may happen twice.
///
/// [`Error::Invalid`] with the key as its argument: the data is of a newer version, or of none that a step expects.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// storage::migrate("version", 1, async |_| {
///     let points = storage::get::<i64>("score").await?.unwrap_or(0);
///     Ok(storage::Changes::new().set("points/all", &points).delete("score"))
/// })
/// .await?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn migrate<F>(key: impl AsRef<str>, version: u32, mut step: F) -> impl Future<Output = Result<()>>
where
    F: AsyncFnMut(u32) -> Result<Changes>,
{
    located(async move {
        let key = key.as_ref();
        loop {
            let kept = get_bytes(key).await?;
            let present: u32 = kept.as_deref().map_or(Ok(0), |json| read(key, json))?;
            if present > version {
                let newer = format!("the data is of version {present}, and this plugin knows {version}");
                return Err(Error::invalid(key, newer));
            }
            if present == version {
                return Ok(());
            }
            let changes = step(present).await?.expect_bytes(key, kept.clone()).set(key, &(present + 1));
            // Another handler may have done the same.
            if !change_all(changes).await? && get_bytes(key).await? == kept {
                let other = format!("the data of version {present} is not as its step expects");
                return Err(Error::invalid(key, other));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_expected_as_nothing() {
        let changes = Changes::new().expect("there", &Some(1)).expect("gone", &None::<u32>).changes;
        let expected: Vec<_> = changes
            .into_iter()
            .map(|change| match change {
                KeyChange::Expect(expected) => expected,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(expected, [("there".to_owned(), Some(b"1".to_vec())), ("gone".to_owned(), None)]);
    }

    #[test]
    fn a_number_among_several_changes_lasts_as_long_as_is_said() {
        let changes = Changes::new().add("seen", 1).add_for("today", 2, Duration::from_secs(3)).changes;
        let added: Vec<_> = changes
            .iter()
            .map(|change| match change {
                KeyChange::Add(number) => (number.key.as_str(), number.amount, number.expires),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(added, [("seen", 1, None), ("today", 2, Some(3_000))]);
    }
}
