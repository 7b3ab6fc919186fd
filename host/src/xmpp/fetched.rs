//! What is fetched from the web to log in with: a password, or a BOSH session that somebody else began.
//!
//! Within TLS alone, bounded, without redirects; and neither the address nor what comes from it is ever shown.

use std::path::Path;
use std::time::Duration;

use jid::{FullJid, Jid};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::connect::ConnectError;
use super::password::Password;
use crate::config::LinkSettings;
use crate::https::{self, Url};

/// How long an answer may be, in bytes.
const MOST: usize = 16 << 10;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session that somebody else began.
pub(super) struct Session {
    pub(super) jid: FullJid,
    pub(super) sid: Zeroizing<String>,
    /// The number of the next request.
    pub(super) rid: u64,
}

/// What is given at `credentials_url`.
#[derive(Deserialize)]
struct WrittenCredentials {
    jid: Option<String>,
    password: String,
}

/// What is given at `prebind_url`.
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

/// The account's password, from the address of the setting `credentials_url`.
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

/// A session, from the address of the setting `prebind_url`.
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

/// Nobody becomes another account by what an address says.
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
    // What the parser would say of a wrong text repeats parts of it. It may be a page that says that the right one comes later.
    let read = serde_json::from_slice(&bytes).map_err(|_| cannot("it is not the JSON that it has to be".to_owned()));
    bytes.zeroize();
    read
}

fn wrong(setting: &'static str, cause: &str) -> ConnectError {
    ConnectError::NotFetched { setting, cause: cause.to_owned(), temporary: false }
}
