//! Settings, as anything that `serde` reads from JSON. A plugin's own are free; the host's need `settings.read` and
//! `settings.write`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let greeting = settings::get_or("greeting", "Hello".to_owned())?;
//! let limit: Option<u32> = settings::get("limit")?;
//! settings::set("limit", 12).await?;
//! // The owner may change them, too, and a plugin that listens need not restart for it.
//! on("settingsChanged").run(|Json(changed): Json<Value>| async move {
//!     info!("different now: {changed}");
//!     Ok(())
//! })?;
//! # Ok(()) }
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::as_json;
use crate::bindings::parlor::plugin::settings;
use crate::error::{Error, Result};
use crate::failure::{located, of_call, placed};
use crate::types::Entity;

/// The value of a setting. None: the setting does not exist, or is a secret of another plugin.
///
/// [`Error::Invalid`] with the key as its argument: the value is not a `T`.
#[track_caller]
pub fn get<T: DeserializeOwned>(key: impl AsRef<str>) -> Result<Option<T>> {
    let key = key.as_ref();
    match settings::get(key).map_err(of_call("settings.get", key))? {
        None => Ok(None),
        Some(json) => placed(serde_json::from_str(&json).map_err(|error| Error::invalid(key, error))),
    }
}

/// The value of a setting in a room, at any time: that of the owner for the room, else the one for everywhere. [`get`] returns it
/// only while a handler handles an event of the room, which timers and schedules do not.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// for room in rooms::get_all()? {
///     let feeds: Vec<String> = settings::get_in(&room, "feeds")?.unwrap_or_default();
///     info!("{}: {feeds:?}", room.jid);
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn get_in<T: DeserializeOwned>(room: impl Entity, key: impl AsRef<str>) -> Result<Option<T>> {
    let (room, key) = (room.address(), key.as_ref());
    match settings::get_in(&room, key).map_err(of_call("settings.get-in", key))? {
        None => Ok(None),
        Some(json) => placed(serde_json::from_str(&json).map_err(|error| Error::invalid(key, error))),
    }
}

/// The value of a setting, or `default` where there is none.
#[track_caller]
pub fn get_or<T: DeserializeOwned>(key: impl AsRef<str>, default: T) -> Result<T> {
    Ok(get(key)?.unwrap_or(default))
}

/// A setting whose type is `duration`. None: it has no value.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// let pause = settings::duration("pause")?.unwrap_or(Duration::from_secs(240));
/// timers::sleep(pause).await;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn duration(key: impl AsRef<str>) -> Result<Option<Duration>> {
    let key = key.as_ref();
    let seconds = get(key)?.map(Duration::try_from_secs_f64).transpose();
    placed(seconds.map_err(|error| Error::invalid(key, error)))
}

/// Changes a setting for this account, until the process ends. Settings of the host need `settings.write`.
#[track_caller]
pub fn set(key: impl AsRef<str>, value: impl Serialize) -> impl Future<Output = Result<()>> {
    located(async move {
        let json = as_json::text(&value)?;
        settings::set(key.as_ref().to_owned(), json).await.map_err(of_call("settings.set", &key))
    })
}

/// Changes all of them, or none.
#[track_caller]
pub fn set_many(
    values: impl IntoIterator<Item = (impl AsRef<str>, impl Serialize)>,
) -> impl Future<Output = Result<()>> {
    located(async move { settings::set_many(written(values)?).await.map_err(of_call("settings.set-many", "")) })
}

/// Adds settings, and new defaults for existing ones. Values from the operator, the owner or [`set`] still take
/// precedence.
#[track_caller]
pub fn update(values: impl IntoIterator<Item = (impl AsRef<str>, impl Serialize)>) -> impl Future<Output = Result<()>> {
    located(async move { settings::update(written(values)?).await.map_err(of_call("settings.update", "")) })
}

fn written(values: impl IntoIterator<Item = (impl AsRef<str>, impl Serialize)>) -> Result<Vec<(String, String)>> {
    values.into_iter().map(|(key, value)| Ok((key.as_ref().to_owned(), as_json::text(&value)?))).collect()
}
