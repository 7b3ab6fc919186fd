//! The activity of plugins in numbers that outlive their instances: counts by day, and tallies by name of recipients,
//! servers, requests in both directions and denied uses.

use parlor_base::escape::escape_distinct;
use rusqlite::{Connection, params};

use super::super::column::add_column;
use super::super::edit::{Edit, Statement};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS audit_count (
    plugin TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    day INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (plugin, account, name, day)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS audit_tally (
    plugin TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sent INTEGER,
    received INTEGER,
    PRIMARY KEY (plugin, account, kind, what)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS audit_tally_last ON audit_tally (plugin, account, kind, last);
";

pub(super) const PUT: Statement = Statement::new(
    55,
    "INSERT INTO audit_tally (plugin, account, kind, what, first, last, count, sent, received)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (plugin, account, kind, what)
     DO UPDATE SET last = max(last, excluded.last), count = count + excluded.count,
     sent = min(sent + excluded.sent, ?10), received = min(received + excluded.received, ?10)",
);
pub(super) const COUNT: Statement = Statement::new(
    56,
    "INSERT INTO audit_count VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (plugin, account, name, day)
     DO UPDATE SET count = count + excluded.count",
);
pub(super) const FORGET: Statement =
    Statement::new(57, "DELETE FROM audit_tally WHERE plugin = ?1 AND account = ?2 AND kind = ?3 AND what = ?4");
pub(super) const ADD_UP: Statement = Statement::new(
    58,
    "INSERT INTO audit_count SELECT plugin, account, name, ?1, sum(count) FROM audit_count
     WHERE day > ?1 AND day < ?2 GROUP BY plugin, account, name
     ON CONFLICT (plugin, account, name, day) DO UPDATE SET count = count + excluded.count",
);
pub(super) const FORGET_DAYS: Statement = Statement::new(59, "DELETE FROM audit_count WHERE day > ?1 AND day < ?2");
pub(super) const FORGET_OLD: Statement = Statement::new(60, "DELETE FROM audit_tally WHERE last < ?1");

/// The milliseconds of a day.
pub(super) const DAY: i64 = 24 * 60 * 60 * 1_000;
/// The day of counts that are kept, while the days that they are from are not.
const EARLIER: i64 = 0;
/// The most names of one kind that are kept for a plugin on an account. The least recently seen ones are dropped first,
/// and a count sums up their uses.
pub const MOST_TALLIES: u32 = 1_000;
/// The longest name, in bytes.
const LONGEST: usize = 3_200;

/// Creates the tables. A file of before has no bytes of requests.
pub(super) fn make_tables(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(TABLES)?;
    add_column(file, "audit_tally", "sent", "INTEGER")?;
    add_column(file, "audit_tally", "received", "INTEGER")
}

/// The meaning of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TallyKind {
    /// Somebody, or a room, that the plugin may send to and did.
    Recipient,
    /// A server that it asked over the web.
    Server,
    /// A request that was sent over the web: the method, the server, and the class of the answer's status.
    Request,
    /// A request of others to one of its webhooks: the webhook, and whether the request was accepted.
    Webhook,
    /// A call that it was denied: the permission, and the target.
    Denial,
}

impl TallyKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Recipient, Self::Server, Self::Request, Self::Webhook, Self::Denial];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Server => "server",
            Self::Request => "request",
            Self::Webhook => "webhook",
            Self::Denial => "denial",
        }
    }

    /// Returns the name of the count for dropped names.
    pub fn others(self) -> &'static str {
        match self {
            Self::Recipient => "other recipients",
            Self::Server => "other servers",
            Self::Request => "other requests",
            Self::Webhook => "other requests to webhooks",
            Self::Denial => "other denials",
        }
    }
}

/// The bytes of requests and of their answers, without their heads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The bytes that the host sent.
    pub sent: u64,
    /// The bytes that the host received.
    pub received: u64,
}

impl Traffic {
    /// Adds further bytes.
    pub fn add(&mut self, more: Self) {
        self.sent = self.sent.saturating_add(more.sent);
        self.received = self.received.saturating_add(more.received);
    }
}

/// How often a plugin did something with one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The meaning of the name.
    pub kind: TallyKind,
    /// The name.
    pub what: String,
    /// The first time, in milliseconds since the Unix epoch.
    pub first: i64,
    /// The last time.
    pub last: i64,
    /// How often.
    pub count: u64,
    /// The bytes of all these times, for requests.
    pub traffic: Option<Traffic>,
}

/// The activity of a plugin on an account since its counts were last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The plugin.
    pub plugin: String,
    /// The account, by its name.
    pub account: String,
    /// Counts by name.
    pub counts: Vec<(String, u64)>,
    /// Its tallies by name.
    pub tallies: Vec<Tally>,
}

/// A count of a plugin on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The plugin.
    pub plugin: String,
    /// The account.
    pub account: String,
    /// The name of the count.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// A tally as it is kept. Its name is escaped for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTally {
    /// The account.
    pub account: String,
    /// The tally's kind, by its name.
    pub kind: String,
    /// The name.
    pub what: String,
    /// The first time, in milliseconds since the Unix epoch.
    pub first: i64,
    /// The last time.
    pub last: i64,
    /// How often.
    pub count: u64,
    /// The bytes of all these times, for requests.
    pub traffic: Option<Traffic>,
}

/// Adds to the counts of a plugin.
pub(super) fn count(edit: &Edit<'_>, today: i64, activity: &Activity) -> rusqlite::Result<()> {
    let Activity { plugin, account, counts, tallies } = activity;
    let whose = (plugin.as_str(), account.as_str());
    for (name, more) in counts.iter().filter(|(_, more)| *more > 0) {
        put(edit, whose, name, today, *more)?;
    }
    let mut add = edit.writing(PUT)?;
    for Tally { kind, what, first, last, count, traffic } in tallies {
        let what = escape_distinct(what, LONGEST);
        let (sent, received) = (traffic.map(|all| number(all.sent)), traffic.map(|all| number(all.received)));
        let count = number(*count);
        add.write(params![plugin, account, kind.as_str(), what, first, last, count, sent, received, i64::MAX])?;
    }
    for kind in TallyKind::ALL.into_iter().filter(|kind| tallies.iter().any(|tally| tally.kind == *kind)) {
        bound(edit, whose, kind, today)?;
    }
    Ok(())
}

fn put(edit: &Edit<'_>, (plugin, account): (&str, &str), name: &str, day: i64, more: u64) -> rusqlite::Result<()> {
    edit.write(COUNT, params![plugin, account, name, day, number(more)]).map(drop)
}

/// Removes names of a kind that are too many.
fn bound(edit: &Edit<'_>, (plugin, account): (&str, &str), kind: TallyKind, today: i64) -> rusqlite::Result<()> {
    let all = "SELECT count(*) FROM audit_tally WHERE plugin = ?1 AND account = ?2 AND kind = ?3";
    let all: u32 = edit.query_row(all, params![plugin, account, kind.as_str()], |row| row.get(0))?;
    let excess = all.saturating_sub(MOST_TALLIES);
    if excess == 0 {
        return Ok(());
    }
    let mut oldest = edit.prepare_cached(
        "SELECT what, count FROM audit_tally WHERE plugin = ?1 AND account = ?2 AND kind = ?3 ORDER BY last LIMIT ?4",
    )?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let oldest = oldest.query_map(params![plugin, account, kind.as_str(), excess], row)?;
    let mut times = 0;
    for (what, count) in oldest.collect::<rusqlite::Result<Vec<_>>>()? {
        edit.write(FORGET, params![plugin, account, kind.as_str(), what])?;
        times += u64::try_from(count).unwrap_or(0);
    }
    put(edit, (plugin, account), kind.others(), today, times)
}

/// Adds up the counts of days before this one, which are no longer kept by day.
pub(super) fn add_up(edit: &Edit<'_>, before: i64) -> rusqlite::Result<()> {
    edit.write(ADD_UP, params![EARLIER, before])?;
    edit.write(FORGET_DAYS, params![EARLIER, before])?;
    edit.write(FORGET_OLD, params![before.saturating_mul(DAY)])?;
    Ok(())
}

/// Returns the counts from a moment on, to the day; of one plugin also what it did by name, the last first.
pub(super) fn read(
    file: &Connection,
    plugin: Option<&str>,
    account: Option<&str>,
    since: Option<i64>,
) -> rusqlite::Result<(Vec<Count>, Vec<KeptTally>)> {
    let mut counts = file.prepare_cached(
        "SELECT plugin, account, name, sum(count) FROM audit_count
         WHERE (?1 IS NULL OR plugin = ?1) AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR day >= ?3)
         GROUP BY plugin, account, name ORDER BY plugin, account, name",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        let count = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        Ok(Count { plugin: row.get(0)?, account: row.get(1)?, name: row.get(2)?, count })
    };
    // Both are to the day: a name that was used earlier on the first one is part of the counts of that day.
    let day = since.map(|since| since.div_euclid(DAY));
    let counts = counts.query_map(params![plugin, account, day], row)?;
    let counts = counts.collect::<rusqlite::Result<_>>()?;
    let Some(plugin) = plugin else { return Ok((counts, Vec::new())) };
    let mut tallies = file.prepare_cached(
        "SELECT account, kind, what, first, last, count, sent, received FROM audit_tally
         WHERE plugin = ?1 AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR last >= ?3)
         ORDER BY account, kind, last DESC, what",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        let bytes = |at: usize| row.get::<_, Option<i64>>(at).map(|bytes| bytes.map(counted));
        Ok(KeptTally {
            account: row.get(0)?,
            kind: row.get(1)?,
            what: row.get(2)?,
            first: row.get(3)?,
            last: row.get(4)?,
            count: counted(row.get(5)?),
            traffic: bytes(6)?.zip(bytes(7)?).map(|(sent, received)| Traffic { sent, received }),
        })
    };
    let tallies = tallies.query_map(params![plugin, account, day.map(|day| day.saturating_mul(DAY))], row)?;
    Ok((counts, tallies.collect::<rusqlite::Result<_>>()?))
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counted(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
