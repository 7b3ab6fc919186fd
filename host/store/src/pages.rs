//! Reads the data of a plugin one page at a time: keys alone, or keys with values.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::StoreError;
use super::change::Owner;
use super::data::{LONGEST_VALUE, PluginData, size_in};
use super::work::Lane;

/// The maximum bytes of keys in one page, unless the first key alone is longer.
pub const LONGEST_PAGE: usize = 64 << 10;
/// The maximum bytes of keys and values together in one page.
const LONGEST_ENTRIES: usize = LONGEST_VALUE;
/// The maximum number of entries that one page examines. Expired entries are skipped, and one thread reads for all
/// plugins.
const LOOKED_AT: usize = 2_000;

/// A page of a plugin's data, in the byte order of the keys, or in the opposite one.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The keys or entries of the page.
    pub found: Vec<T>,
    /// The key after which the next page begins; `None` on the last page.
    pub next: Option<String>,
}

/// An entry without most of its value.
#[derive(Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The key of the entry.
    pub key: String,
    /// The length of its value, in bytes.
    pub bytes: u64,
    /// The first bytes of its value, at most 60.
    pub begins: Vec<u8>,
    /// When the entry expires, in milliseconds since the Unix epoch.
    pub expires: Option<i64>,
}

/// The request for a page.
#[derive(Debug, Clone, Default)]
pub struct PageOf {
    /// The prefix that all keys must have.
    pub prefix: String,
    /// The least key, in the order of the bytes; `None` begins with the first.
    pub from: Option<String>,
    /// The key behind the last one; `None` ends with the last.
    pub to: Option<String>,
    /// Whether the last key comes first.
    pub descending: bool,
    /// The key after which the page begins, in its order; `None` for the first page.
    pub after: Option<String>,
    /// The maximum number of entries in the page.
    pub most: usize,
}

impl PluginData {
    /// Reads keys.
    pub async fn keys(&self, owner: Owner, page: PageOf) -> Result<Page<String>, StoreError> {
        self.page(owner, page, "", LONGEST_PAGE, |key, _| Ok((key.len(), key))).await
    }

    /// Reads keys with their values.
    pub async fn entries(&self, owner: Owner, page: PageOf) -> Result<Page<(String, Vec<u8>)>, StoreError> {
        self.page(owner, page, ", value", LONGEST_ENTRIES, |key, row| {
            let value: Vec<u8> = row.get(2)?;
            Ok((key.len() + value.len(), (key, value)))
        })
        .await
    }

    /// Reads keys with the beginnings of their values.
    pub async fn heads(&self, owner: Owner, page: PageOf) -> Result<Page<EntryHead>, StoreError> {
        let columns = ", length(value), ifnull(substr(value, 1, 60), x''), expires";
        self.page(owner, page, columns, LONGEST_PAGE, |key, row| {
            let begins: Vec<u8> = row.get(3)?;
            let weight = key.len() + begins.len();
            Ok((weight, EntryHead { key, bytes: size_in(row, 2)?, begins, expires: row.get(4)? }))
        })
        .await
    }

    async fn page<T: Send + 'static>(
        &self,
        owner: Owner,
        page: PageOf,
        columns: &'static str,
        longest: usize,
        read: fn(String, &Row<'_>) -> rusqlite::Result<(usize, T)>,
    ) -> Result<Page<T>, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        let lane = Lane::Plugin(Arc::clone(&owner));
        self.read(lane, move |file| walk(file, &owner, &page, now, columns, longest, read)).await
    }
}

/// Walks over the keys of a range. `columns` includes values only if the caller wants them, since they would be read
/// from the disk.
fn walk<T>(
    file: &Connection,
    owner: &Owner,
    page: &PageOf,
    now: i64,
    columns: &str,
    longest: usize,
    read: fn(String, &Row<'_>) -> rusqlite::Result<(usize, T)>,
) -> rusqlite::Result<Page<T>> {
    // With one bound at each end, the walk begins at the first row of the page. A further bound would be compared with
    // each row instead, and the rows of all pages before would be read again.
    let (after, behind) = (page.after.as_deref(), behind(&page.prefix));
    let from = page.from.as_deref().unwrap_or_default().max(&page.prefix);
    let (from, is_behind) = match after.filter(|_| !page.descending) {
        Some(after) if after >= from => (after, ">"),
        _ => (from, ">="),
    };
    let end = after.filter(|_| page.descending);
    let to = [behind.as_deref(), page.to.as_deref(), end].into_iter().flatten().min();
    let is_before = if to.is_some() { "AND key < ?4" } else { "" };
    let order = if page.descending { "DESC" } else { "ASC" };
    let mut statement = file.prepare(&format!(
        "SELECT key, expires IS NULL OR expires > ?5{columns} FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND key {is_behind} ?3 {is_before}
         ORDER BY key {order}"
    ))?;
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    let mut rows = statement.query(params![whose.0, whose.1, from, to, now])?;
    let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
    for looked_at in 0.. {
        let Some(row) = rows.next()? else { break };
        let (key, is_there): (String, bool) = (row.get(0)?, row.get(1)?);
        if found.len() == page.most || looked_at == LOOKED_AT {
            return Ok(Page { found, next: last });
        }
        if is_there {
            let (weight, one) = read(key.clone(), row)?;
            bytes += weight;
            if bytes > longest && !found.is_empty() {
                return Ok(Page { found, next: last });
            }
            found.push(one);
        }
        last = Some(key);
    }
    Ok(Page { found, next: None })
}

/// Returns the first text behind all that begin with this one; `None`: there is none. The order of texts by their bytes
/// is that of their characters, so keys with the same prefix are adjacent.
fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use parlor_base::clock::Clock;

    use super::super::{Only, Store, Write};
    use super::*;

    fn owner() -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: "a".parse().unwrap() }
    }

    async fn keep(data: &PluginData, key: &str, value: &[u8], expires: Option<i64>) {
        let write = Write { key: key.to_owned(), value: Some(value.to_vec()), expires, only: Only::Always };
        data.write(owner(), 16 << 20, write).await.unwrap();
    }

    fn first(prefix: &str, most: usize) -> PageOf {
        PageOf { prefix: prefix.to_owned(), most, ..PageOf::default() }
    }

    /// Reads all pages of a prefix. Returns the number of entries in each page, and all keys.
    async fn pages(data: &PluginData, prefix: &str, most: usize) -> (Vec<usize>, Vec<String>) {
        let (mut sizes, mut keys, mut asked) = (Vec::new(), Vec::new(), first(prefix, most));
        loop {
            let page = data.entries(owner(), asked.clone()).await.unwrap();
            assert_eq!(data.keys(owner(), asked.clone()).await.unwrap().found[0], page.found[0].0);
            let bytes: usize = page.found.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(bytes <= LONGEST_ENTRIES || page.found.len() == 1, "{bytes} bytes in one page");
            sizes.push(page.found.len());
            keys.extend(page.found.into_iter().map(|(key, _)| key));
            match page.next {
                None => return (sizes, keys),
                next => asked.after = next,
            }
        }
    }

    #[tokio::test]
    async fn keys_come_page_by_page_in_their_order() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for key in (0..25).map(|number| format!("p/{number:02}")).chain(["o".to_owned(), "p0".to_owned()]) {
            keep(&data, &key, b"", None).await;
        }
        let (mut all, mut asked) = (Vec::new(), first("p/", 10));
        loop {
            let page = data.keys(owner(), asked.clone()).await.unwrap();
            all.extend(page.found);
            match page.next {
                None => break,
                next => asked.after = next,
            }
        }
        assert_eq!(all, (0..25).map(|number| format!("p/{number:02}")).collect::<Vec<_>>());
        let none = Page { found: vec![], next: None };
        assert_eq!(data.keys(owner(), first("p/9", 10)).await.unwrap(), none);
    }

    #[tokio::test]
    async fn a_page_of_keys_is_bounded_by_bytes() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for number in 0..200 {
            keep(&data, &format!("{number:0500}"), b"", None).await;
        }
        let page = data.keys(owner(), first("", 1_000)).await.unwrap();
        assert_eq!((page.found.len(), page.next.is_some()), (LONGEST_PAGE / 500, true));
    }

    #[tokio::test]
    async fn entries_come_with_their_values_and_without_those_that_have_expired() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for (key, expires) in [("p/1", None), ("p/2", Some(1)), ("p/3", None), ("q", None)] {
            keep(&data, key, key.as_bytes(), expires).await;
        }
        let page = data.entries(owner(), first("p/", 10)).await.unwrap();
        let entry = |key: &str| (key.to_owned(), key.as_bytes().to_vec());
        assert_eq!(page, Page { found: vec![entry("p/1"), entry("p/3")], next: None });
        let other = Owner { plugin: "b".parse().unwrap(), ..owner() };
        assert!(data.entries(other, first("", 10)).await.unwrap().found.is_empty());
    }

    #[tokio::test]
    async fn entries_are_listed_with_their_sizes_and_beginnings() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        keep(&data, "long", &[7; 100], None).await;
        keep(&data, "none", b"", Some(i64::MAX)).await;
        keep(&data, "past", b"x", Some(1)).await;
        let page = data.heads(owner(), first("", 10)).await.unwrap();
        let head = |key: &str, bytes, begins: &[u8], expires| EntryHead {
            key: key.to_owned(),
            bytes,
            begins: begins.to_vec(),
            expires,
        };
        assert_eq!(page.found, [head("long", 100, &[7; 60], None), head("none", 0, b"", Some(i64::MAX))]);
        let one = data.stored(owner(), "long".to_owned()).await.unwrap().unwrap();
        assert_eq!((one.key.as_str(), one.value.len(), one.expires), ("long", 100, None));
        assert_eq!(data.stored(owner(), "past".to_owned()).await.unwrap(), None);
        let other = Owner { account: "other@example.org".parse().unwrap(), ..owner() };
        assert!(data.heads(other.clone(), first("", 10)).await.unwrap().found.is_empty());
        assert_eq!(data.stored(other, "long".to_owned()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_page_is_bounded_by_a_number_and_by_bytes_and_holds_the_longest_value() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for number in 0..9 {
            keep(&data, &format!("p/{number}"), &vec![0; 100 << 10], None).await;
        }
        keep(&data, "p/long", &vec![0; LONGEST_VALUE], None).await;
        let (sizes, keys) = pages(&data, "p/", 1_000).await;
        assert_eq!(sizes, [2, 2, 2, 2, 1, 1]);
        assert_eq!(keys.len(), 10);
        assert_eq!(pages(&data, "p/", 1).await, (vec![1; 10], keys));
    }

    /// One thread reads for all plugins, so a page must not take long.
    #[tokio::test]
    async fn a_page_looks_at_so_many_entries_however_many_have_expired() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for number in 0..=LOOKED_AT {
            keep(&data, &format!("{number:04}"), b"", Some(1)).await;
        }
        keep(&data, "z", b"z", None).await;
        let page = data.entries(owner(), first("", 10)).await.unwrap();
        assert_eq!((page.found.len(), page.next.as_deref()), (0, Some("1999")));
        let page = data.entries(owner(), PageOf { after: page.next, ..first("", 10) }).await.unwrap();
        assert_eq!((page.found.len(), page.next), (1, None));
        let page = data.keys(owner(), first("", 10)).await.unwrap();
        assert_eq!((page.found.len(), page.next.as_deref()), (0, Some("1999")));
    }
}
