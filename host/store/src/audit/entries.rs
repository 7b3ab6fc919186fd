//! The table of entries, and their retention.

use parlor_base::escape::escape_distinct;
use parlor_base::quantity::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::edit::{Edit, Statement};
use super::shared::ANY_AGE;
use super::tallies::DAY;
use super::{AuditEntry, AuditKind, AuditQuery, By, NewAuditEntry, Retention, Share};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS audit_entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    plugin TEXT,
    account TEXT,
    who TEXT NOT NULL,
    way TEXT NOT NULL,
    what TEXT NOT NULL,
    old TEXT,
    new TEXT,
    share TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_entry_share ON audit_entry (share, id);
CREATE INDEX IF NOT EXISTS audit_entry_plugin ON audit_entry (plugin, id);
CREATE TABLE IF NOT EXISTS audit_size (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_entry_stays BEFORE UPDATE ON audit_entry BEGIN
    SELECT RAISE(ABORT, 'entries of the audit do not change');
END;
CREATE TRIGGER IF NOT EXISTS audit_entry_added AFTER INSERT ON audit_entry BEGIN
    INSERT INTO audit_size VALUES (1, NEW.bytes) ON CONFLICT (one) DO UPDATE SET bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER IF NOT EXISTS audit_entry_cut AFTER DELETE ON audit_entry BEGIN
    UPDATE audit_size SET bytes = bytes - OLD.bytes;
END;
CREATE TABLE IF NOT EXISTS audit_said (
    entry INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_said_stays BEFORE UPDATE ON audit_said BEGIN
    SELECT RAISE(ABORT, 'entries of the audit do not change');
END;
CREATE TRIGGER IF NOT EXISTS audit_said_cut AFTER DELETE ON audit_entry BEGIN
    DELETE FROM audit_said WHERE entry = OLD.id;
END;
";

pub(super) const INSERT: Statement = Statement::new(
    50,
    "INSERT INTO audit_entry (at, kind, plugin, account, who, way, what, old, new, share, bytes)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
);
pub(super) const INSERT_SAID: Statement = Statement::new(63, "INSERT INTO audit_said VALUES (?1, ?2)");
/// Removes the oldest entries of a share.
pub(super) const CUT_SHARE: Statement = Statement::new(
    51,
    "DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE share = ?1 ORDER BY id LIMIT ?2)",
);
/// No longer executed: an entry from the future stopped it.
pub(super) const CUT_OLD: Statement =
    Statement::new(52, "DELETE FROM audit_entry WHERE id < (SELECT min(id) FROM audit_entry WHERE at >= ?1)");
pub(super) const CUT_SHARES: Statement = Statement::new(53, "DELETE FROM audit_entry WHERE share <> '' AND id <= ?1");
pub(super) const CUT_DECISIONS: Statement = Statement::new(54, "DELETE FROM audit_entry WHERE share = '' AND id <= ?1");

/// The longest text of an entry, in bytes. Grants with a thousand addresses are cut, and their digest follows.
const LONGEST: usize = 4 << 10;
/// The most sentences of an entry. Each is as long as a text at most.
const MOST_SAID: usize = 8;
/// The size of an entry in addition to its texts, in bytes: about that of its row and its places in the indexes.
const ROW: usize = 160;
/// The most entries of one share that has a bound.
pub(super) const MOST_OF_SHARE: u32 = 1_000;
/// How many of them stay when there are more.
const LEFT_OF_SHARE: u32 = 900;
/// The share of entries about cuts for size. Plugins cause them, so they must not take up the room of decisions.
const CUTS: &str = "cuts";

/// Adds an entry, removes what is too old or too much, and returns the entry's number.
pub(super) fn add(edit: &Edit<'_>, at: i64, entry: &NewAuditEntry, retention: Retention) -> rusqlite::Result<i64> {
    let share = match (entry.share, &entry.plugin, &entry.account) {
        (Share::Plugin, Some(plugin), _) => format!("plugin {plugin}"),
        (Share::Runs, Some(plugin), _) => format!("runs of {plugin}"),
        (Share::Connection, _, Some(account)) => format!("account {account}"),
        (Share::Customers, _, Some(account)) => format!("changes of {account}"),
        (Share::Customers, Some(plugin), None) => format!("changes of plugin {plugin}"),
        (Share::Decisions | Share::Customers | Share::Plugin | Share::Runs | Share::Connection, ..) => String::new(),
    };
    let id = insert(edit, at, entry, &share)?;
    if !share.is_empty() {
        bound(edit, at, entry, &share)?;
    }
    cut_old(edit, at, retention)?;
    cut_large(edit, at, retention)?;
    Ok(id)
}

fn insert(edit: &Edit<'_>, at: i64, entry: &NewAuditEntry, share: &str) -> rusqlite::Result<i64> {
    let NewAuditEntry { kind, plugin, account, by, what, old, new, said, share: _ } = entry;
    let fit = |text: &String| escape_distinct(text, LONGEST);
    let (mut who, way, what) = (fit(&by.who), fit(&by.way), fit(what));
    if let Some(file) = &by.file {
        // The path is a second line, which no escaped text has: a column of its own would need another version of the tables.
        who = format!("{who}\n{}", fit(&file.to_string_lossy().into_owned()));
    }
    let [plugin, account, old, new] = [plugin, account, old, new].map(|text| text.as_ref().map(fit));
    let texts = [Some(&who), Some(&way), Some(&what), plugin.as_ref(), account.as_ref(), old.as_ref(), new.as_ref()];
    // Escaped texts have no line ends, so these part them.
    let said = said.iter().take(MOST_SAID).map(fit).collect::<Vec<_>>().join("\n");
    let bytes: usize = ROW + said.len() + texts.into_iter().flatten().map(String::len).sum::<usize>();
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    edit.write(INSERT, params![at, kind.as_str(), plugin, account, who, way, what, old, new, share, bytes])?;
    let id = edit.last_insert_rowid();
    if !said.is_empty() {
        edit.write(INSERT_SAID, params![id, said])?;
    }
    Ok(id)
}

/// Removes the oldest entries of a share that has too many. Entries of all other shares stay.
fn bound(edit: &Edit<'_>, at: i64, entry: &NewAuditEntry, share: &str) -> rusqlite::Result<()> {
    let all: u32 = edit.query_row("SELECT count(*) FROM audit_entry WHERE share = ?1", [share], |row| row.get(0))?;
    if all <= MOST_OF_SHARE {
        return Ok(());
    }
    let count = edit.write(CUT_SHARE, params![share, all - LEFT_OF_SHARE])?;
    let way = format!("at most {MOST_OF_SHARE} of {share}");
    let cut = cut(count, &way);
    let cut = NewAuditEntry { plugin: entry.plugin.clone(), account: entry.account.clone(), ..cut };
    insert(edit, at, &cut, share).map(drop)
}

/// Removes entries that are too old. This is done once a day at most: it adds an entry itself.
///
/// They are removed by number, up to the last that is too old before the first that is not: the clock may have been wrong for
/// a while. Entries from the future say nothing about their age, and go with those that follow them.
fn cut_old(edit: &Edit<'_>, at: i64, retention: Retention) -> rusqlite::Result<()> {
    if retention.days == ANY_AGE {
        return Ok(());
    }
    let limit = at.saturating_sub(i64::from(retention.days) * DAY);
    let (mut last, mut is_due) = (0, false);
    {
        let mut oldest = edit.prepare_cached("SELECT id, at FROM audit_entry WHERE at <= ?1 ORDER BY id")?;
        let mut rows = oldest.query([at])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(1)?;
            if at >= limit {
                break;
            }
            last = row.get(0)?;
            is_due |= at < limit - DAY;
        }
    }
    if !is_due {
        return Ok(());
    }
    let count = edit.write(CUT_SHARES, params![last])? + edit.write(CUT_DECISIONS, params![last])?;
    insert(edit, at, &cut(count, &format!("older than {} d", retention.days)), "").map(drop)
}

/// Removes entries if all together are too large: the oldest of the largest shares, so that a share that takes little loses
/// nothing to one that takes much. Decisions are removed only if they alone are too large.
fn cut_large(edit: &Edit<'_>, at: i64, retention: Retention) -> rusqlite::Result<()> {
    let most = i64::try_from(retention.bytes).unwrap_or(i64::MAX);
    let size: i64 = edit.query_row("SELECT bytes FROM audit_size", [], |row| row.get(0)).optional()?.unwrap_or(0);
    if size <= most {
        return Ok(());
    }
    // A tenth more, so that this is rare.
    let left = most / 10 * 9;
    let shares = sizes(edit)?;
    let decisions = size - shares.iter().map(|(_, bytes)| bytes).sum::<i64>();
    let mut count = 0;
    match level(&shares, left - decisions) {
        0 => count += edit.write(CUT_SHARES, params![i64::MAX])?,
        level => {
            for (share, bytes) in shares.iter().filter(|(_, bytes)| *bytes > level) {
                count += free(edit, share, bytes - level)?;
            }
        }
    }
    if decisions > most {
        count += free(edit, "", decisions - left)?;
    }
    let cut = cut(count, &format!("more than {}", Bytes(retention.bytes)));
    insert(edit, at, &cut, CUTS)?;
    bound(edit, at, &cut, CUTS)
}

/// Returns the size of each share in bytes, except for that of decisions; the smallest first.
fn sizes(edit: &Edit<'_>) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut sizes = edit.prepare_cached(
        "SELECT share, sum(bytes) FROM audit_entry WHERE share > '' GROUP BY share ORDER BY sum(bytes)",
    )?;
    sizes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Returns the size that each share may have, so that all together have room.
fn level(shares: &[(String, i64)], mut room: i64) -> i64 {
    let mut others = i64::try_from(shares.len()).unwrap_or(i64::MAX);
    for (_, size) in shares {
        let fair = room.max(0) / others;
        if *size > fair {
            return fair;
        }
        room -= size;
        others -= 1;
    }
    i64::MAX
}

/// Removes the oldest entries of a share until `excess` bytes are free.
fn free(edit: &Edit<'_>, share: &str, mut excess: i64) -> rusqlite::Result<usize> {
    let mut count = 0;
    {
        let mut oldest = edit.prepare_cached("SELECT bytes FROM audit_entry WHERE share = ?1 ORDER BY id")?;
        let mut rows = oldest.query([share])?;
        while excess > 0
            && let Some(row) = rows.next()?
        {
            excess -= row.get::<_, i64>(0)?;
            count += 1;
        }
    }
    edit.write(CUT_SHARE, params![share, count])
}

/// Returns the entry that says that others were removed.
fn cut(count: usize, way: &str) -> NewAuditEntry {
    let what = if count == 1 { "1 entry was removed".to_owned() } else { format!("{count} entries were removed") };
    NewAuditEntry::new(AuditKind::Cut, &By::host(way), &what)
}

/// Returns entries, the oldest first.
pub(super) fn read(file: &Connection, query: &AuditQuery) -> rusqlite::Result<Vec<AuditEntry>> {
    let AuditQuery { plugin, account, since, kinds, after, before, most } = query;
    let kinds = kinds.iter().fold(String::new(), |all, kind| all + kind.as_str() + ",");
    let order = if after.is_some() { "ASC" } else { "DESC" };
    let mut select = file.prepare(&format!(
        "SELECT id, at, kind, plugin, account, who, way, what, old, new,
         (SELECT text FROM audit_said WHERE entry = audit_entry.id) FROM audit_entry
         WHERE (?1 IS NULL OR plugin = ?1) AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR at >= ?3)
         AND (?4 IS NULL OR id > ?4) AND (?5 = '' OR instr(',' || ?5, ',' || kind || ',') > 0)
         AND (?6 IS NULL OR id < ?6) ORDER BY id {order} LIMIT ?7"
    ))?;
    let rows = select.query_map(params![plugin, account, since, after, kinds, before, most], entry)?;
    let mut all = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if after.is_none() {
        all.reverse();
    }
    Ok(all)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let who: String = row.get(5)?;
    let (who, file) = who.split_once('\n').map_or((who.as_str(), None), |(who, file)| (who, Some(file.to_owned())));
    Ok(AuditEntry {
        id: row.get(0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        plugin: row.get(3)?,
        account: row.get(4)?,
        who: who.to_owned(),
        file,
        way: row.get(6)?,
        what: row.get(7)?,
        old: row.get(8)?,
        new: row.get(9)?,
        said: row.get::<_, Option<String>>(10)?.map_or_else(Vec::new, |said| said.lines().map(str::to_owned).collect()),
    })
}
