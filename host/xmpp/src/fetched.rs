//! Fetches log-in data from the web: a password, or a BOSH session that another program began.
//!
//! It uses TLS only, limits the size, and follows no redirects. Neither the address nor the answer is ever shown.

use std::path::Path;
use std::time::Duration;

use jid::{FullJid, Jid};
use parlor_config::LinkSettings;
use parlor_config::url::Url;
use parlor_https as https;
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::ConnectError;
use super::password::Password;

/// The maximum length of an answer, in bytes.
const MOST: usize = 16 << 10;
/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A BOSH session that another program began.
pub(super) struct Session {
    pub(super) jid: FullJid,
    pub(super) sid: Zeroizing<String>,
    /// The id of the next request.
    pub(super) rid: u64,
}

/// The JSON that `credentials_url` provides.
#[derive(Deserialize)]
struct WrittenCredentials {
    jid: Option<String>,
    password: String,
}

/// The JSON that `prebind_url` provides.
#[derive(Deserialize)]
struct WrittenSession {
    jid: String,
    sid: String,
    rid: WrittenNumber,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenNumber {
    Number(u64),
    Text(String),
}

/// Fetches the account's password from the address in the setting `credentials_url`.
pub(super) async fn credentials(settings: &LinkSettings, url: &Url) -> Result<Password, ConnectError> {
    let setting = "credentials_url";
    let WrittenCredentials { jid, password } = fetch(setting, settings.ca_file.as_deref(), url).await?;
    let password = Password::of(password);
    if let Some(jid) = jid {
        let jid = Jid::new(&jid).map_err(|_| wrong(setting, "its jid is none"))?;
        ours(setting, settings, &jid)?;
    }
    if password.expose().is_empty() {
        return Err(wrong(setting, "its password is empty"));
    }
    Ok(password)
}

/// Fetches a session from the address in the setting `prebind_url`.
pub(super) async fn session(settings: &LinkSettings, url: &Url) -> Result<Session, ConnectError> {
    let setting = "prebind_url";
    let WrittenSession { jid, sid, rid } = fetch(setting, settings.ca_file.as_deref(), url).await?;
    let sid = Zeroizing::new(sid);
    let jid = FullJid::new(&jid).map_err(|_| wrong(setting, "its jid is not a full one"))?;
    ours(setting, settings, &jid)?;
    let rid = match rid {
        WrittenNumber::Number(rid) => Some(rid),
        WrittenNumber::Text(text) => text.trim().parse().ok(),
    };
    let rid = rid.ok_or_else(|| wrong(setting, "its rid is no number"))?;
    Ok(Session { jid, sid, rid })
}

/// Rejects data for another account: an answer must not change which account this is.
fn ours(setting: &'static str, settings: &LinkSettings, jid: &Jid) -> Result<(), ConnectError> {
    if jid.to_bare() == settings.jid.to_bare() {
        return Ok(());
    }
    Err(wrong(setting, "it is for another account than this one"))
}

async fn fetch<T: for<'de> Deserialize<'de>>(
    setting: &'static str,
    ca_file: Option<&Path>,
    url: &Url,
) -> Result<T, ConnectError> {
    let cannot = |cause: String| ConnectError::NotFetched { setting, cause, temporary: true };
    let fetched = tokio::time::timeout(PATIENCE, https::fetch(url, ca_file, MOST)).await;
    let mut bytes = fetched
        .map_err(|_| cannot("nothing came in time".to_owned()))?
        .map_err(|error| cannot(error.without_address()))?;
    // The parser's error would quote parts of the text, so it is not shown. The failure is temporary, since the text
    // may be a page saying that the right one comes later.
    let read = serde_json::from_slice(&bytes).map_err(|_| cannot("it is not the JSON that it has to be".to_owned()));
    bytes.zeroize();
    read
}

fn wrong(setting: &'static str, cause: &str) -> ConnectError {
    ConnectError::NotFetched { setting, cause: cause.to_owned(), temporary: false }
}
