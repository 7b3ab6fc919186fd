//! The requests that show and change the entries that plugins stored on the accounts of this host. Sessions of some accounts read by
//! them. In a cluster, commands write by them: only the node that has an account can write what it keeps.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use parlor_store::{By, EntryHead, LONGEST_VALUE, Owner, PageOf, StoredValue, is_key};

use crate::control::audit;
use crate::control::http::{Answer, json};
use crate::control::refusal::Refusal;
use crate::control::request::{Request, Session};
use crate::control::views::{DataChange, DataEntry, DataHead, DataPage};
use crate::host::{Host, actions};

/// The most entries of one page.
const PAGE: usize = 100;

/// Shows a page of the entries of a plugin on an account.
pub(super) async fn list(host: &Host, id: &PluginId, request: &Request) -> Result<Answer, Refusal> {
    let account = present(host, request)?;
    let most = request.lines(PAGE)?.clamp(1, PAGE);
    let page = PageOf { after: request.value("after").map(str::to_owned), most, ..PageOf::default() };
    let page = account.data().heads(owner(&account, id), page).await.map_err(Refusal::Store)?;
    let head =
        |EntryHead { key, bytes, begins, expires }| DataHead { key, size: bytes, begins: hex::encode(begins), expires };
    let entries = page.found.into_iter().map(head).collect();
    json(&DataPage { account: account.name.to_string(), entries, next: page.next })
}

/// Shows one entry.
pub(super) async fn show(host: &Host, id: &PluginId, request: &Request) -> Result<Answer, Refusal> {
    let account = present(host, request)?;
    let key = request.value("key").ok_or_else(|| Refusal::Value("`key` is the key of an entry".to_owned()))?;
    let found = account.data().stored(owner(&account, id), key.to_owned()).await.map_err(Refusal::Store)?;
    let StoredValue { key, value, expires } = found.ok_or_else(|| Refusal::NoEntry(id.clone()))?;
    json(&DataEntry { key, hex: hex::encode(value), expires })
}

/// Returns the account that a request names. While its name goes to another address, there is neither the old account nor the new one.
pub(super) fn present(host: &Host, request: &Request) -> Result<Arc<Shared>, Refusal> {
    let account = account(host, request.value("account").unwrap_or_default())?;
    let written = host.config().accounts.get(&account.name).map(|written| written.link.jid.to_bare());
    if is_another(&account, written.as_ref(), request.by.as_ref()) {
        return Err(missing(&account.name, true));
    }
    Ok(account)
}

/// Returns whether an account that runs has another address than the configuration has for its name, or than the session was made for.
/// The node of the session has checked the session, but its accounts may have changed since.
fn is_another(account: &Shared, written: Option<&BareJid>, by: Option<&Session>) -> bool {
    let of_session = by.and_then(|by| by.accounts.as_ref()?.get(&account.name));
    [written, of_session].into_iter().flatten().any(|jid| *jid != account.own)
}

/// Imports entries for an account, or removes all that a plugin stored.
pub(super) async fn change(
    host: &Host,
    id: &PluginId,
    what: &str,
    request: &Request,
    by: &By,
) -> Result<Answer, Refusal> {
    if what == "import" { import(host, id, request, by).await } else { forget(host, id, request, by).await }
}

/// Writes the entries of the body, in place of those with the same keys: all of them or none.
async fn import(host: &Host, id: &PluginId, request: &Request, by: &By) -> Result<Answer, Refusal> {
    let account = account(host, request.value("account").unwrap_or_default())?;
    let quota = request.value("quota").and_then(|quota| quota.parse().ok());
    let quota = quota.ok_or_else(|| Refusal::Value("`quota` is a number of bytes".to_owned()))?;
    let entries = entries(&request.body)?;
    let done = DataChange { account: account.name.to_string(), node: None, entries: entries.len() };
    let importing = async {
        let is_within = account.data().import(owner(&account, id), quota, entries).await.map_err(Refusal::Store)?;
        let too_much =
            || format!("that is more than the {quota} bytes that {id} may keep, so these entries were not imported");
        if is_within { Ok(()) } else { Err(Refusal::Value(too_much())) }
    };
    audit::recorded(host, request, by, &[&account.name], importing).await?;
    json(&[done])
}

/// Removes all that a plugin stored on an account, or on each that this host has. The plugin must be installed no more: it could store
/// new data.
async fn forget(host: &Host, id: &PluginId, request: &Request, by: &By) -> Result<Answer, Refusal> {
    if actions::will_have_plugin(host, id).await {
        return Err(is_installed(id));
    }
    let accounts = match request.value("account") {
        Some(name) => vec![account(host, name)?],
        None => host.accounts(),
    };
    let (mut with, mut done) = (Vec::new(), Vec::new());
    for account in accounts {
        let keeps = account.data().keeps(owner(&account, id)).await.map_err(Refusal::Store)?;
        done.push(DataChange { account: account.name.to_string(), node: None, entries: usize::from(keeps) });
        if keeps {
            with.push(account);
        }
    }
    if with.is_empty() {
        return json(&done);
    }
    let names: Vec<_> = with.iter().map(|account| &account.name).collect();
    let forgetting = async {
        for account in &with {
            // It may be installed again meanwhile, and must not lose what it has stored since then.
            let forgotten = actions::without_plugin(host, id, account.data().forget(owner(account, id))).await;
            forgotten.ok_or_else(|| is_installed(id))?.map_err(Refusal::Store)?;
        }
        Ok::<_, Refusal>(())
    };
    audit::recorded(host, request, by, &names, forgetting).await?;
    json(&done)
}

fn is_installed(id: &PluginId) -> Refusal {
    Refusal::NotDone(format!(
        "{id} is still installed here, so what it stored was not removed: remove {id} from the plugins.toml of this node, and try again"
    ))
}

/// Returns an account of this host.
fn account(host: &Host, name: &str) -> Result<Arc<Shared>, Refusal> {
    let name = name.parse::<AccountName>().map_err(|error| Refusal::Value(error.to_string()))?;
    host.account(&name).ok_or_else(|| missing(&name, host.config().accounts.contains_key(&name)))
}

/// Returns the refusal for an account that this host does not have now. One of its configuration goes to another node of the cluster, or
/// starts here.
fn missing(name: &AccountName, is_configured: bool) -> Refusal {
    if is_configured {
        Refusal::Passing(format!("account {name} is not on this node at this moment; try again in a few seconds"))
    } else {
        Refusal::NoAccount(name.to_string())
    }
}

fn owner(account: &Shared, id: &PluginId) -> Owner {
    Owner { account: account.own.clone(), plugin: id.clone() }
}

/// Reads the entries of a body.
fn entries(body: &[u8]) -> Result<Vec<StoredValue>, Refusal> {
    let all: Option<Vec<DataEntry>> = serde_json::from_slice(body).ok();
    let all = all.and_then(|all| all.into_iter().map(entry).collect::<Option<_>>());
    all.ok_or_else(|| {
        Refusal::Value("the body is a list of entries with `key`, `hex` and perhaps `expires`".to_owned())
    })
}

/// Returns an entry as it is stored; `None` if no plugin could store it.
fn entry(DataEntry { key, hex, expires }: DataEntry) -> Option<StoredValue> {
    let value = hex::decode(hex).ok().filter(|value| value.len() <= LONGEST_VALUE)?;
    is_key(&key).then_some(StoredValue { key, value, expires })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Its log and the entries of plugins on it are the business of the one who had the name before.
    #[tokio::test]
    async fn an_account_whose_name_goes_to_another_one_is_not_that_one() {
        let folder = tempfile::tempdir().unwrap();
        let host = crate::host::tests::offline_host(folder.path()).await;
        let [own, other] = ["bot@example.org", "other@example.org"].map(|jid| jid.parse::<BareJid>().unwrap());
        let account = account(&host, "main").unwrap();
        let session = |jid: &BareJid| {
            let accounts = BTreeMap::from([(account.name.clone(), jid.clone())]);
            Session { name: "quiet-otter".to_owned(), jid: None, accounts: Some(accounts) }
        };
        let of = |written: Option<&BareJid>, by: Option<&BareJid>| {
            let by = by.map(&session);
            is_another(&account, written, by.as_ref())
        };
        assert_eq!([of(None, None), of(Some(&own), None), of(Some(&own), Some(&own))], [false; 3]);
        assert_eq!([of(Some(&other), None), of(Some(&own), Some(&other)), of(None, Some(&other))], [true; 3]);
        host.stop().await;
    }

    #[test]
    fn an_account_that_no_node_has_is_told_from_one_that_moves() {
        let name = "main".parse().unwrap();
        assert_eq!([true, false].map(|is_configured| missing(&name, is_configured).status().as_u16()), [503, 404]);
    }

    #[test]
    fn entries_that_no_plugin_could_store_are_refused() {
        let read = entries(br#"[{"key":"k","hex":"00ff","expires":7},{"key":"other","hex":""}]"#).unwrap();
        let entry =
            |key: &str, value: &[u8], expires| StoredValue { key: key.to_owned(), value: value.to_vec(), expires };
        assert_eq!(read, [entry("k", &[0, 255], Some(7)), entry("other", &[], None)]);
        let long = format!("[{{\"key\":\"k\",\"hex\":\"{}\"}}]", "00".repeat(LONGEST_VALUE + 1));
        for wrong in [
            "",
            "{}",
            "[{}]",
            r#"[{"key":"","hex":""}]"#,
            r#"[{"key":"k","hex":"0"}]"#,
            r#"[{"key":"a\nb","hex":""}]"#,
            &long,
        ] {
            assert!(matches!(entries(wrong.as_bytes()), Err(Refusal::Value(_))), "{wrong:.40}");
        }
    }
}
