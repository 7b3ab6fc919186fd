//! Changes what plugins stored in a cluster. The node that has an account makes the change: no other program can write what it keeps.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use parlor::control::client::{Client, ClientError, escaped};
use parlor::control::views::{DataChange, DataEntry};
use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config};
use parlor_store::StoredValue;

/// How long an account may go from one node to another, and how long nodes may take to apply a `plugins.toml`.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is tried again meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
/// The size of the entries in a request, in bytes. An entry with the longest value is smaller.
const PART: usize = 700 << 10;
/// The size of the names of fields, and of the rest of an entry without its key and value.
const FIELDS: usize = 64;
/// How many accounts an error names.
const NAMED: usize = 5;

/// Writes entries, in place of those with the same keys. Each request of an account counts by itself: what was imported before a failure
/// stays.
pub(super) fn import(
    host: &Client,
    plugin: &PluginId,
    quota: u64,
    all: impl Iterator<Item = (AccountName, Vec<StoredValue>)>,
) -> anyhow::Result<()> {
    let mut done = 0;
    for (account, entries) in all {
        let target = format!("/v1/plugins/{plugin}/data/import?account={}&quota={quota}", escaped(account.as_str()));
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let part = next_part(&mut entries);
            let body = serde_json::to_vec(&part)?;
            let asked = patiently(|| host.post_secret::<Vec<DataChange>>(&target, &body));
            asked.with_context(|| {
                format!("account {account}: {done} entries were imported before this; import the file again, which changes nothing else")
            })?;
            done += part.len();
        }
    }
    Ok(())
}

/// Takes as many entries as fit into a request, and one at least.
fn next_part(entries: &mut Peekable<impl Iterator<Item = StoredValue>>) -> Vec<DataEntry> {
    // JSON writes some characters of a key as two bytes.
    let length = |entry: &StoredValue| 2 * (entry.key.len() + entry.value.len()) + FIELDS;
    let (mut part, mut size) = (Vec::new(), 0);
    while let Some(entry) = entries.next_if(|next| part.is_empty() || size + length(next) <= PART) {
        size += length(&entry);
        let StoredValue { key, value, expires } = entry;
        part.push(DataEntry { key, hex: hex::encode(value), expires });
    }
    part
}

/// Asks again for a while if the account goes to another node, or its node does not answer.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if may_pass(&error) && Instant::now() < until => sleep(PAUSE),
            asked => return asked,
        }
    }
}

/// Returns whether the host has said that the request may be done soon.
fn may_pass(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 503, .. })
}

/// Removes all that a plugin stored, on all configured accounts. Returns whether it had stored anything. The plugin must be installed
/// no more.
pub(super) fn forget(host: &Client, config: &Config, plugin: &PluginId) -> anyhow::Result<bool> {
    let (target, until) = (format!("/v1/plugins/{plugin}/data/forget"), Instant::now() + PATIENCE);
    let mut had = false;
    loop {
        let (there, reason) = match host.post::<Vec<DataChange>>(&target) {
            Ok(done) => {
                had |= done.iter().any(|one| one.entries > 0);
                (done.into_iter().map(|one| one.account).collect(), host.incomplete())
            }
            Err(error @ ClientError::Refused { .. }) => (BTreeSet::new(), Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        // In one pass: an account that a node with the plugin has taken meanwhile is not counted.
        let left = left(config.accounts.keys(), &there);
        if left.is_none() && reason.is_none() {
            return Ok(had);
        }
        if Instant::now() >= until {
            let on = left.unwrap_or_else(|| "some account".to_owned());
            let reason = reason.unwrap_or_else(|| "no node has that account now".to_owned());
            bail!("what {plugin} stored on {on} may not be removed: {reason}");
        }
        sleep(PAUSE);
    }
}

/// Names accounts that no node has answered for; `None` if there are none.
fn left<'a>(all: impl Iterator<Item = &'a AccountName>, there: &BTreeSet<String>) -> Option<String> {
    let left: Vec<_> = all.map(AccountName::as_str).filter(|name| !there.contains(*name)).collect();
    let named = left.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match left.len() {
        0 => None,
        count if count > NAMED => Some(format!("{named} and {} more accounts", count - NAMED)),
        _ => Some(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, length: usize) -> StoredValue {
        StoredValue { key: key.to_owned(), value: vec![0xff; length], expires: Some(i64::MIN) }
    }

    /// The host refuses bodies of more than 768 KiB.
    #[test]
    fn entries_are_split_into_requests_that_fit() {
        let key = "\"".repeat(parlor_store::LONGEST_KEY);
        let long = || entry(&key, parlor_store::LONGEST_VALUE);
        let mut all = vec![entry("a", 1), long(), long(), entry("b", 100 << 10)];
        all.extend((0..9_000).map(|number| entry(&number.to_string(), 0)));
        let mut entries = all.clone().into_iter().peekable();
        let (mut sizes, mut found) = (Vec::new(), Vec::new());
        while entries.peek().is_some() {
            let part = next_part(&mut entries);
            assert!(serde_json::to_vec(&part).unwrap().len() <= 768 << 10);
            sizes.push(part.len());
            found.extend(part.into_iter().map(|one| (one.key, hex::decode(one.hex).unwrap())));
        }
        assert_eq!(found, all.into_iter().map(|one| (one.key, one.value)).collect::<Vec<_>>());
        assert_eq!(sizes[0], 2, "{sizes:?}");
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let refused = |status| ClientError::Refused { status, reason: "no".to_owned() };
        assert!(may_pass(&refused(503)));
        for status in [400, 404, 409, 500] {
            let mut count = 0;
            let asked = patiently(|| {
                count += 1;
                Err::<(), _>(refused(status))
            });
            assert!(asked.is_err() && count == 1, "{status}: {count}");
        }
    }

    #[test]
    fn accounts_without_an_answer_are_named() {
        let names: Vec<AccountName> = (0..8).map(|number| format!("bot-{number}").parse().unwrap()).collect();
        let there = |count: usize| names.iter().take(count).map(ToString::to_string).collect();
        assert_eq!(left(names.iter(), &there(8)), None);
        assert_eq!(left(names.iter(), &there(6)).as_deref(), Some("bot-6, bot-7"));
        assert_eq!(
            left(names.iter(), &there(0)).as_deref(),
            Some("bot-0, bot-1, bot-2, bot-3, bot-4 and 3 more accounts")
        );
    }
}
