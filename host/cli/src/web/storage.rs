//! The data that a plugin stores, on this machine or in the cluster: its keys, page by page, and each value.

use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, html};
use parlor::control::client::{Client, escaped};
use parlor::control::views::{DataEntry, DataHead, DataPage};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config};
use parlor_store::{DataFile, Owner, StoredValue};
use parlor_window::{Page, Problem, Reply, Role, Routes, segment, stranger};

use super::host::{Host, Visit, account_names, ask, look, plugin};
use super::parts::{cell, choice, rows, table, when, whole};
use crate::Ended;
use crate::show::size;

/// The keys of one page.
const PAGE: usize = 100;
/// How much of a value the list shows, in bytes.
const BEGINNING: usize = 60;
/// How much of a value its own page shows, in bytes.
const LONGEST: usize = 32 << 10;
/// The most lines of a text that its page shows.
const MOST_LINES: usize = 1_000;
/// Maximum number of bytes that the page of a binary value shows.
const LONGEST_BYTES: usize = 4 << 10;

/// Adds the pages.
///
/// They need an operator: a plugin may keep what people wrote to it.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .page("/plugins/{id}/storage", Role::Operator.of_accounts(), list)
        .page("/plugins/{id}/storage/value", Role::Operator.of_accounts(), value)
        .page("/plugins/{id}/storage/download", Role::Operator.of_accounts(), download)
}

/// An entry of the list.
#[derive(Debug)]
struct Kept {
    key: String,
    bytes: usize,
    begins: String,
    expires: Option<i64>,
}

/// A page of the list.
#[derive(Debug)]
struct Listing {
    /// The names of all accounts.
    accounts: Vec<String>,
    account: String,
    entries: Vec<Kept>,
    /// The key behind which the next page begins, if there is one.
    next: Option<String>,
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let id = plugin(&visit)?;
    let account = visit.query("account").unwrap_or_default().to_owned();
    let after = visit.query("after").filter(|key| !key.is_empty()).map(str::to_owned);
    let is_first = after.is_none();
    let of = id.clone();
    let listing = if visit.is_limited() {
        ask(&visit, move |client| asked(client, &of, account, after.as_deref())).await?
    } else {
        look(&visit, move |config, _| listing(config, &of, &account, after.as_deref())).await?
    };
    let link = |path: &str| visit.link(path);
    Ok(Page::new(format!("Storage of {id}"), content(&link, &id, &listing, is_first)).into())
}

/// Asks the host for a page of the list, for a session of some accounts. It begins with the first of these.
fn asked(client: &Client, id: &PluginId, account: String, after: Option<&str>) -> anyhow::Result<Listing> {
    let accounts = account_names(client)?;
    let account = if account.is_empty() { accounts.first().cloned().unwrap_or_default() } else { account };
    let behind = after.map(|key| format!("&after={}", escaped(key))).unwrap_or_default();
    let target = format!("/v1/plugins/{id}/data?account={}&lines={PAGE}{behind}", escaped(&account));
    let DataPage { account, entries, next } = client.get(&target)?;
    let kept = |DataHead { key, size, begins, expires }| {
        let begins = String::from_utf8_lossy(&hex::decode(begins).unwrap_or_default()).into_owned();
        Kept { key, bytes: usize::try_from(size).unwrap_or(usize::MAX), begins, expires }
    };
    let entries = entries.into_iter().map(kept).collect();
    Ok(Listing { accounts, account, entries, next })
}

/// Returns the account of this name, or the first one.
fn account<'c>(config: &'c Config, name: &str) -> anyhow::Result<(&'c AccountName, &'c AccountConfig)> {
    let found = config.accounts.iter().find(|(known, _)| name.is_empty() || known.as_str() == name);
    let unknown = || Ended::Usage(format!("there is no account {}", escape_untrusted(name, BEGINNING)));
    Ok(found.ok_or_else(unknown)?)
}

/// Passes what a plugin keeps on an account to `with`, in the order of the keys, until `with` has enough.
fn each(
    config: &Config,
    id: &PluginId,
    account: &AccountConfig,
    mut with: impl FnMut(StoredValue) -> bool,
) -> anyhow::Result<()> {
    #[cfg(feature = "cluster")]
    if config.cluster.is_some() {
        return crate::plugin::clustered::each_on(config, id, account, with);
    }
    let Some(file) = DataFile::open(&config.data)? else { return Ok(()) };
    let owner = Owner { account: account.link.jid.to_bare(), plugin: id.clone() };
    // Ending early is not a failure.
    let _ = file.each(&owner, |kept| if with(kept) { Ok(()) } else { Err(()) })?;
    Ok(())
}

fn listing(config: &Config, id: &PluginId, name: &str, after: Option<&str>) -> anyhow::Result<Listing> {
    let (name, account) = account(config, name)?;
    let (mut entries, mut has_more) = (Vec::<Kept>::new(), false);
    each(config, id, account, |StoredValue { key, value, expires }| {
        if after.is_some_and(|after| key.as_str() <= after) {
            return true;
        }
        has_more = entries.len() == PAGE;
        if !has_more {
            let begins = String::from_utf8_lossy(&value[..value.len().min(BEGINNING)]).into_owned();
            entries.push(Kept { key, bytes: value.len(), begins, expires });
        }
        !has_more
    })?;
    let accounts = config.accounts.keys().map(ToString::to_string).collect();
    let next = entries.last().filter(|_| has_more).map(|last| last.key.clone());
    Ok(Listing { accounts, account: name.to_string(), entries, next })
}

/// Returns the address of a page of the storage.
fn address(id: &PluginId, page: &str, account: &str, (name, key): (&str, &str)) -> String {
    format!("/plugins/{id}/storage{page}?account={}&{name}={}", segment(account), segment(key))
}

fn content(link: &dyn Fn(&str) -> String, id: &PluginId, listing: &Listing, is_first: bool) -> Markup {
    let Listing { accounts, account, entries, next } = listing;
    let options: Vec<_> = accounts.iter().map(|name| (name.clone(), name.clone())).collect();
    let row = |kept: &Kept| {
        let path = address(id, "/value", account, ("key", &kept.key));
        html! {
            tr {
                th scope="row" { a href=(link(&path)) { (cell(&kept.key)) } }
                td { (size(u64::try_from(kept.bytes).unwrap_or(u64::MAX))) }
                td { (cell(&kept.begins)) }
                td { (until(kept.expires)) }
            }
        }
    };
    let shown = rows(entries, row);
    // Entries that did not fit are on the next page.
    let last = shown.shown.checked_sub(1).and_then(|last| entries.get(last)).map(|last| last.key.as_str());
    let next = if shown.shown < entries.len() { last } else { next.as_deref() };
    let storage = format!("/plugins/{id}/storage");
    html! {
        @if accounts.len() > 1 {
            form method="get" action=(link(&storage)) {
                (choice("account", "Account", &options, account))
                button type="submit" { "Show" }
            }
        }
        @if entries.is_empty() {
            p {
                @if next.is_some() { "Nothing but entries that are kept no longer is on this page." }
                @else if is_first { "It keeps nothing on " (stranger(account)) "." }
                @else { "Nothing follows." }
            }
        } @else {
            (table("Entries, by key", &["Key", "Size", "Begins with", "Kept until"], &shown.followed()))
        }
        @if !is_first || next.is_some() {
            nav aria-label="Pages of the storage" {
                @if !is_first { a href=(link(&format!("{storage}?account={}", segment(account)))) { "The first ones" } " " }
                @if let Some(next) = next {
                    a rel="next" href=(link(&address(id, "", account, ("after", next)))) { "Next ones" }
                }
            }
        }
        p { a href=(link(&format!("/plugins/{id}"))) { "The plugin " (id.as_str()) } }
    }
}

/// Shows when an entry ends.
fn until(expires: Option<i64>) -> Markup {
    let at = expires.map(|expires| Timestamp::from_millisecond(expires).unwrap_or_default().to_string());
    html! { @if let Some(at) = at { (when(&at)) } @else { "it is removed" } }
}

/// Reads the value that a request names.
async fn read(visit: &Visit, id: PluginId) -> Result<StoredValue, Problem> {
    let name = visit.query("account").unwrap_or_default().to_owned();
    let key = visit.query("key").filter(|key| !key.is_empty()).ok_or_else(|| Problem::wrong("name the key"))?;
    let key = key.to_owned();
    if visit.is_limited() {
        let target = format!("/v1/plugins/{id}/data/show?account={}&key={}", escaped(&name), escaped(&key));
        let DataEntry { key, hex, expires } = ask(visit, move |client| Ok(client.get(&target)?)).await?;
        let value = hex::decode(hex).map_err(|_| Problem::new(503, "the answer of the host cannot be read"))?;
        return Ok(StoredValue { key, value, expires });
    }
    let found = look(visit, move |config, _| find(config, &id, &name, &key)).await?;
    found.ok_or_else(|| Problem::missing("there is no such key, or it is kept no longer"))
}

fn find(config: &Config, id: &PluginId, name: &str, key: &str) -> anyhow::Result<Option<StoredValue>> {
    let (_, account) = account(config, name)?;
    let mut found = None;
    each(config, id, account, |kept| {
        if kept.key == key {
            found = Some(kept);
        }
        found.is_none()
    })?;
    Ok(found)
}

async fn value(visit: Visit) -> Result<Reply, Problem> {
    let id = plugin(&visit)?;
    let kept = read(&visit, id.clone()).await?;
    let account = visit.query("account").unwrap_or_default();
    let download = visit.link(&address(&id, "/download", account, ("key", &kept.key)));
    let list = visit.link(&format!("/plugins/{id}/storage?account={}", segment(account)));
    Ok(Page::new(format!("A value of {id}"), one(&kept, &download, &list)).into())
}

fn one(kept: &StoredValue, download: &str, list: &str) -> Markup {
    html! {
        dl.facts {
            dt { "Key" } dd { (stranger(&kept.key)) }
            dt { "Size" } dd { (size(u64::try_from(kept.value.len()).unwrap_or(u64::MAX))) }
            dt { "Kept until" } dd { (until(kept.expires)) }
        }
        h2 { "Value" }
        (shown(&kept.value))
        p { a href=(download) { "Download all of it" } }
        p { a href=(list) { "All keys" } }
    }
}

/// Shows a value: a text by its lines, and other bytes as hexadecimal digits.
fn shown(value: &[u8]) -> Markup {
    let Ok(text) = std::str::from_utf8(value) else {
        let lines = value[..value.len().min(LONGEST_BYTES)].chunks(32);
        return html! {
            p { "It is no text." @if value.len() > LONGEST_BYTES { " This is its beginning." } }
            pre.log { @for line in lines { (hex::encode(line)) "\n" } }
        };
    };
    let cut = text.floor_char_boundary(LONGEST);
    let lines = text[..cut].split('\n').take(MOST_LINES);
    let is_cut = cut < text.len() || text.split('\n').nth(MOST_LINES).is_some();
    html! {
        @if is_cut { p { "This is its beginning." } }
        pre.log { @for line in lines { (whole(line)) "\n" } }
    }
}

async fn download(visit: Visit) -> Result<Reply, Problem> {
    let id = plugin(&visit)?;
    let kept = read(&visit, id.clone()).await?;
    Ok(Reply::download(format!("{id}-value.bin"), "application/octet-stream", kept.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>";

    fn kept(key: &str) -> Kept {
        Kept { key: key.to_owned(), bytes: 7, begins: EVIL.to_owned(), expires: None }
    }

    fn page(accounts: &[&str], entries: Vec<Kept>, has_more: bool, is_first: bool) -> String {
        let accounts: Vec<_> = accounts.iter().map(|name| (*name).to_owned()).collect();
        let next = entries.last().filter(|_| has_more).map(|last| last.key.clone());
        let listing = Listing { account: accounts[0].clone(), accounts, entries, next };
        content(&|path| format!("/base{path}"), &"echo".parse().unwrap(), &listing, is_first).into_string()
    }

    #[test]
    fn keys_are_listed_page_by_page() {
        let text = page(&["main"], vec![kept("a b"), kept("c&d")], true, true);
        assert!(text.contains("/base/plugins/echo/storage/value?account=main&amp;key=a%20b"), "{text}");
        assert!(text.contains("/base/plugins/echo/storage?account=main&amp;after=c%26d"), "{text}");
        assert!(!text.contains("The first ones") && !text.contains("<select"), "{text}");
        let text = page(&["main", "second"], vec![kept("a")], false, false);
        assert!(text.contains("The first ones") && !text.contains("Next ones") && text.contains("<select"), "{text}");
        assert!(page(&["main"], Vec::new(), false, true).contains("It keeps nothing on "));
        assert!(page(&["main"], Vec::new(), false, false).contains("Nothing follows."));
    }

    #[test]
    fn long_keys_and_values_fit_on_a_page() {
        let all = (0..100).map(|number| kept(&format!("{number:03}{}", "\"".repeat(2_000)))).collect();
        let text = page(&["main"], all, false, true);
        assert!(text.len() < 128 << 10 && text.contains("Next ones"), "{} bytes", text.len());
        let long = ["\"".repeat(1 << 20), "\n".repeat(1 << 20)];
        for value in long {
            let text = shown(value.as_bytes()).into_string();
            assert!(text.len() < 256 << 10 && text.contains("This is its beginning."), "{} bytes", text.len());
        }
        let bytes = shown(&vec![0xff; 1 << 20]).into_string();
        assert!(bytes.len() < 16 << 10 && bytes.contains("It is no text. This is its beginning."), "{}", bytes.len());
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let stored = StoredValue { key: EVIL.to_owned(), value: EVIL.as_bytes().to_vec(), expires: Some(0) };
        let shown = one(&stored, "/a", "/b").into_string();
        assert!(shown.contains("1970-01-01 00:00:00</time>"), "{shown}");
        for text in [page(&[EVIL, EVIL], vec![kept(EVIL)], true, false), shown] {
            assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        }
    }
}
