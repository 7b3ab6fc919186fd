//! Opens the file: checks its owner and version, and sets it aside if it cannot be used.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parlor_base::escape::EscapedPath as _;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::edit::StoreFile;
use super::reader::open_to_read;
use super::{
    AuditKind, By, NewAuditEntry, NoLog, OpenError, PATIENCE, added, audit, data, encryption, health, marks, pins,
    place, position, roster, schedules, session, sleepers, webhooks,
};

/// Marks the file as parlor's in its header: "prlr".
const APPLICATION: i32 = 0x7072_6c72;
/// The version of the tables. A file with a higher one was written by a newer parlor, and is not opened. Raise it as
/// docs/contributing/adding.md says.
pub(super) const VERSION: i32 = 1;
/// The pause before a file that others are making is opened again.
const AGAIN: Duration = Duration::from_millis(5);
/// One more than the highest number in the name of a file that was set aside.
const ASIDE: u32 = 1_000;
/// The maximum memory for pages of an account's file; negative for KiB.
const CACHE: i32 = -512;
/// How many statements a file keeps compiled. To compile one takes longer than to execute it.
const STATEMENTS: usize = 64;
/// The length of a database header, and the offsets of two numbers in it: see section 1.3 of
/// <https://sqlite.org/fileformat2.html>.
const HEADER: u64 = 100;
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// The reason that a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// The file belongs to another program.
    #[error("it is not one of parlor's")]
    Foreign,
    /// The path is a symbolic link, so that writes would go elsewhere.
    #[error("it is a symbolic link")]
    Link,
    /// A newer parlor wrote the file.
    #[error("it was written by a newer parlor (version {0} of its tables, this one knows {VERSION})")]
    Newer(i32),
    /// `SQLite` cannot use the file.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A snapshot is not what this parlor makes.
    #[error("it is no snapshot of an account: {0}")]
    Snapshot(String),
    /// The system cannot open the file.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Unfit {
    /// Returns whether the file can never be used. A file on a full disk, a locked or unreadable one, and one of a
    /// newer parlor are still good. Setting them aside would lose data that plugins were told is stored.
    fn is_for_good(&self) -> bool {
        match self {
            Self::Foreign | Self::Link => true,
            Self::Sqlite(error) => health::is_broken(error),
            Self::Newer(_) | Self::Snapshot(_) | Self::Io(_) => false,
        }
    }

    /// Returns whether the system refuses the file to this user.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    /// Returns the advice for a file that may be usable later.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Newer(_) => "run that parlor, or move the file away to begin without what plugins have kept",
            Self::Snapshot(_) => "take the account from a backup",
            _ => "make room on its disk, make it the host's own, or let whoever writes to it finish",
        }
    }
}

/// Opens the file, or creates it. A broken file is set aside, which the audit of the new one says; any other unusable file
/// is not changed.
pub(super) fn open(path: &Path) -> Result<StoreFile, OpenError> {
    let served = |connection| StoreFile::new(connection, NoLog);
    let unusable = |cause| OpenError::new(path.to_owned(), cause);
    let why = match try_open(path) {
        Ok(connection) => return Ok(served(connection)),
        Err(why) if why.is_for_good() => why.to_string(),
        Err(why) => return Err(unusable(why)),
    };
    let aside = set_aside(path, &why);
    let mut file = try_open(path).map(served).map_err(unusable)?;
    record_aside(&mut file, path, aside.as_deref(), &why);
    Ok(file)
}

/// Opens the file of an account, or creates it. A broken file is removed: all of it is in the account's log.
pub(super) fn open_logged(path: &Path) -> Result<Connection, OpenError> {
    let result = try_open_logged(path).or_else(|why| {
        if !why.is_for_good() {
            return Err(why);
        }
        tracing::warn!(path = %path.escaped(), reason = %why, "the file of an account is made again from its log");
        remove(path)?;
        try_open_logged(path)
    });
    result.map_err(|cause| OpenError::new(path.to_owned(), cause))
}

/// Opens or creates a file that notes its place in a log.
pub(super) fn try_open_logged(path: &Path) -> Result<Connection, Unfit> {
    let connection = try_open(path)?;
    place::make_table(&connection)?;
    // There may be thousands of accounts, of which most do little.
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.set_prepared_statement_cache_capacity(0);
    connection.execute_batch("PRAGMA shrink_memory")?;
    Ok(connection)
}

/// Removes a file, with those that `SQLite` keeps next to it.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Sets the file of a running host aside, and opens or creates another one, whose audit says so. If none can be opened, later
/// data is kept in memory only.
pub(super) fn open_anew(path: &Path, why: &str) -> StoreFile {
    let aside = set_aside(path, why);
    let mut file = open(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "the store cannot be used; what it keeps from now on is lost at the end");
        StoreFile::new(in_memory(), NoLog)
    });
    record_aside(&mut file, path, aside.as_deref(), why);
    file
}

/// Records in the audit of a new file that the one before was set aside: the earlier entries are in that one.
fn record_aside(file: &mut StoreFile, path: &Path, aside: Option<&Path>, why: &str) {
    let Some(aside) = aside else { return };
    let what =
        format!("the store was set aside with the audit in it, and begun anew, since it could not be used: {why}");
    let shown = |path: &Path| Some(path.escaped().to_string());
    let entry = NewAuditEntry {
        old: shown(path),
        new: shown(aside),
        ..NewAuditEntry::new(AuditKind::Host, &By::host("store"), &what)
    };
    if let Err(error) = audit::add_first(file, &entry) {
        tracing::warn!(path = %path.escaped(), %error, "the audit does not say that the store was set aside");
    }
}

/// Returns the error with which [`open`] would leave the file as it is, if any. Nothing is written or set aside.
pub(super) fn look(path: &Path) -> Result<(), OpenError> {
    let cause = match numbers_in(path) {
        Ok((APPLICATION, version)) if version > VERSION => Unfit::Newer(version),
        Err(cause) if !cause.is_for_good() => cause,
        Ok(_) | Err(_) => return Ok(()),
    };
    Err(OpenError::new(path.to_owned(), cause))
}

/// Returns the reason why [`open`] would set the file aside, as far as its beginning shows. Nothing is written or set aside.
pub(super) fn reason_to_set_aside(path: &Path) -> Option<String> {
    match numbers_in(path) {
        Ok((APPLICATION, _)) => None,
        // An empty file becomes a store.
        Ok(_) => path.metadata().is_ok_and(|found| found.len() > 0).then(|| Unfit::Foreign.to_string()),
        Err(cause) => cause.is_for_good().then(|| cause.to_string()),
    }
}

/// Returns the files that [`set_aside`] has put beside this one, without those that `SQLite` keeps next to them.
pub(super) fn all_set_aside(path: &Path) -> Vec<PathBuf> {
    (1..ASIDE).map(|number| beside(path, &format!(".broken-{number}"))).filter(|aside| aside.exists()).collect()
}

/// Returns whether the data is lost at the end of the process.
pub(super) fn is_in_memory(connection: &Connection) -> bool {
    connection.path().is_none_or(str::is_empty)
}

/// Opens a store in memory, which is lost at the end of the process.
pub(super) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("SQLite opens a database in memory");
    make_tables(&connection).expect("tables can be made in an empty database");
    connection
}

/// Same as [`in_memory`], with a place in a log.
#[cfg(test)]
pub(super) fn logged_in_memory() -> Connection {
    let connection = in_memory();
    place::make_table(&connection).expect("a table can be made in memory");
    connection
}

pub(super) fn try_open(path: &Path) -> Result<Connection, Unfit> {
    let began = Instant::now();
    loop {
        match try_once(path) {
            // SQLite does not wait to change the mode of a new file while another process looks at it: both might wait for
            // each other.
            Err(Unfit::Sqlite(error)) if is_busy(&error) && began.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn try_once(path: &Path) -> Result<Connection, Unfit> {
    // The file is created here, so that only its owner can ever read it; SQLite gives its side files the same mode.
    let mut made = OpenOptions::new();
    made.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    match made.open(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(Unfit::Link),
        opened => drop(opened?),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // The folder may be reached over a symbolic link; the file itself may not be one.
    let mut connection = Connection::open_with_flags(path.canonicalize()?, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A deferred transaction that reads before it writes would fail at once, instead of waiting, if another process
    // wrote in between.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let is_complete = match is_complete(&connection) {
        // Another process may have made the tables between two of these reads, which it does once.
        Err(Unfit::Foreign) => is_complete(&connection)?,
        found => found?,
    };
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // A killed process loses nothing that was committed; only a power failure may lose the last moments.
    connection.pragma_update(None, "synchronous", "normal")?;
    // States of encryption that are over leave nothing in the file where that costs no further write.
    connection.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
    // A complete file is not written to: another process may be busy with a long import.
    if is_complete {
        make_tables(&connection)?;
        return Ok(connection);
    }
    // In one step: another process that opens the file at the same moment must not find tables without the numbers.
    let change = connection.transaction()?;
    if !self::is_complete(&change)? {
        make_tables(&change)?;
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(connection)
}

/// Returns whether a file has all tables of this version. It fails if it is neither one of parlor's nor empty.
fn is_complete(connection: &Connection) -> Result<bool, Unfit> {
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match numbers(connection)? {
        (APPLICATION, version) if version > VERSION => Err(Unfit::Newer(version)),
        (APPLICATION, version) => Ok(version == VERSION),
        (0, 0) if objects == 0 => Ok(false),
        _ => Err(Unfit::Foreign),
    }
}

/// Reads the application id and the version of the tables.
fn numbers(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Reads the same numbers without touching the file. Returns zeros if there is no file.
fn numbers_in(path: &Path) -> Result<(i32, i32), Unfit> {
    let kind = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
        found => found?.file_type(),
    };
    if kind.is_symlink() {
        return Err(Unfit::Link);
    }
    // Opening a pipe would block until somebody writes to it.
    if !kind.is_file() {
        return Err(std::io::Error::other("it is no file").into());
    }
    // The newest changes are in the WAL until they are copied into the file.
    if beside(path, "-wal").exists() {
        return Ok(numbers(&open_to_read(path)?)?);
    }
    // SQLite would create side files even for a database that it only reads, so the header is parsed here.
    let mut header = Vec::new();
    File::open(path)?.take(HEADER).read_to_end(&mut header)?;
    let number = |at: usize| {
        let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes))
    };
    Ok((number(APPLICATION_ID), number(USER_VERSION)))
}

fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(roster::TABLES)?;
    session::make_table(connection)?;
    connection.execute_batch(position::TABLES)?;
    connection.execute_batch(added::TABLES)?;
    connection.execute_batch(pins::TABLES)?;
    webhooks::make_tables(connection)?;
    connection.execute_batch(schedules::TABLES)?;
    audit::make_tables(connection)?;
    encryption::make_tables(connection)?;
    connection.execute_batch(marks::TABLES)?;
    connection.execute_batch(sleepers::TABLES)?;
    connection.execute_batch(data::TABLES)
}

/// Appends a suffix to the name of the file.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Moves an unusable file out of the way, with the files that `SQLite` keeps next to it. Returns its new path; `None` if it
/// could not be moved.
pub(super) fn set_aside(path: &Path, why: &str) -> Option<PathBuf> {
    let beside = |suffix: &str| beside(path, suffix);
    let free = (1..ASIDE).map(|number| format!(".broken-{number}")).find(|aside| !beside(aside).exists());
    let aside = free.unwrap_or_else(|| ".broken-1".to_owned());
    // The WAL holds the newest changes. It is moved first, since SQLite would apply it to the new file.
    let _ = std::fs::rename(beside("-wal"), beside(&format!("{aside}-wal")));
    // This file is only an index of the WAL and can be rebuilt from it.
    let _ = std::fs::remove_file(beside("-shm"));
    let aside = beside(&aside);
    if let Err(error) = std::fs::rename(path, &aside) {
        tracing::warn!(
            path = %path.escaped(), reason = why, %error, "the store cannot be used, and not be moved out of the way"
        );
        return None;
    }
    tracing::warn!(
        path = %path.escaped(), aside = %aside.escaped(), reason = why, "the store could not be used, and was begun anew"
    );
    Some(aside)
}

/// Returns the triggers and views of a file, which act without being asked.
pub(super) fn programs(file: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut select =
        file.prepare_cached("SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY name")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
