//! Reads what a plugin keeps, key and value together, one page at a time.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::StoreError;
use super::data::{LONGEST_VALUE, LOOKED_AT, Owner, PluginData};
use super::work::Lane;

/// How many bytes of keys and values one page has, unless its first entry alone has more.
const PAGE: usize = LONGEST_VALUE;

/// Some of the entries of a plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct EntriesPage {
    /// Keys with their values, in the order of the keys' bytes.
    pub entries: Vec<(String, Vec<u8>)>,
    /// The key after which the next page begins; none: this page is the last one.
    pub next: Option<String>,
}

impl PluginData {
    /// Reads at most `most` entries whose keys begin with `prefix`, after the key `after`.
    pub async fn entries(
        &self,
        owner: Owner,
        prefix: String,
        after: Option<String>,
        most: usize,
    ) -> Result<EntriesPage, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        let lane = Lane::Plugin(Arc::clone(&owner));
        self.read(lane, move |file| entries(file, &owner, &prefix, after.as_deref(), most, now)).await
    }
}

fn entries(
    file: &Connection,
    owner: &Owner,
    prefix: &str,
    after: Option<&str>,
    most: usize,
    now: i64,
) -> rusqlite::Result<EntriesPage> {
    let mut statement = file.prepare(
        "SELECT key, expires IS NULL OR expires > ?5, value FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND key >= ?3 AND key > ?4
         ORDER BY key",
    )?;
    let after = after.unwrap_or_default();
    let mut rows = statement.query(params![owner.account.as_str(), owner.plugin.as_str(), prefix, after, now])?;
    let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
    for looked_at in 0.. {
        let Some(row) = rows.next()? else { break };
        let (key, is_there): (String, bool) = (row.get(0)?, row.get(1)?);
        // Keys are ordered by their bytes, so those with the prefix stand together.
        if !key.starts_with(prefix) {
            break;
        }
        let value = row.get_ref(2)?.as_blob()?;
        bytes += if is_there { key.len() + value.len() } else { 0 };
        let is_full = entries.len() == most || (bytes > PAGE && !entries.is_empty());
        if is_full || looked_at == LOOKED_AT {
            return Ok(EntriesPage { entries, next: last });
        }
        if is_there {
            entries.push((key.clone(), value.to_vec()));
        }
        last = Some(key);
    }
    Ok(EntriesPage { entries, next: None })
}

#[cfg(test)]
mod tests {
    use super::super::{Only, Store, Write};
    use super::*;
    use crate::clock::Clock;

    fn owner() -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: "a".parse().unwrap() }
    }

    async fn keep(data: &PluginData, key: &str, value: &[u8], expires: Option<i64>) {
        let write = Write { key: key.to_owned(), value: Some(value.to_vec()), expires, only: Only::Always };
        data.write(owner(), 16 << 20, write).await.unwrap();
    }

    /// All pages of a prefix: how many entries each has, and the keys of all.
    async fn pages(data: &PluginData, prefix: &str, most: usize) -> (Vec<usize>, Vec<String>) {
        let (mut sizes, mut keys, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = data.entries(owner(), prefix.to_owned(), after, most).await.unwrap();
            let bytes: usize = page.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(bytes <= PAGE || page.entries.len() == 1, "{bytes} bytes in one page");
            sizes.push(page.entries.len());
            keys.extend(page.entries.into_iter().map(|(key, _)| key));
            match page.next {
                None => return (sizes, keys),
                next => after = next,
            }
        }
    }

    #[tokio::test]
    async fn entries_come_with_their_values_and_without_those_that_have_expired() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for (key, expires) in [("p/1", None), ("p/2", Some(1)), ("p/3", None), ("q", None)] {
            keep(&data, key, key.as_bytes(), expires).await;
        }
        let page = data.entries(owner(), "p/".to_owned(), None, 10).await.unwrap();
        let entry = |key: &str| (key.to_owned(), key.as_bytes().to_vec());
        assert_eq!(page, EntriesPage { entries: vec![entry("p/1"), entry("p/3")], next: None });
        let other = Owner { plugin: "b".parse().unwrap(), ..owner() };
        assert!(data.entries(other, String::new(), None, 10).await.unwrap().entries.is_empty());
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

    /// One thread reads for all plugins, so that a page must not take long.
    #[tokio::test]
    async fn a_page_looks_at_so_many_entries_however_many_have_expired() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for number in 0..=LOOKED_AT {
            keep(&data, &format!("{number:04}"), b"", Some(1)).await;
        }
        keep(&data, "z", b"z", None).await;
        let page = data.entries(owner(), String::new(), None, 10).await.unwrap();
        assert_eq!((page.entries.len(), page.next.as_deref()), (0, Some("1999")));
        let page = data.entries(owner(), String::new(), page.next, 10).await.unwrap();
        assert_eq!((page.entries.len(), page.next), (1, None));
    }
}
