//! Opening the file: whose it is, what is in it, and what becomes of one that cannot be used.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{Health, OpenError, added, data, pins, position, roster, session};
use crate::harmless::EscapedPath as _;

/// Says in the file's header that it is ours: "prlr".
const APPLICATION: i32 = 0x7072_6c72;
/// The version of the tables. One that is newer was written by a newer parlor.
const VERSION: i32 = 1;
/// How long a reader from outside, such as a backup, may hold up a write.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many files may have been set aside.
const ASIDE: u32 = 1_000;
/// How long the header of a database is, and where in it two numbers are: see section 1.3 of <https://sqlite.org/fileformat2.html>.
const HEADER: u64 = 100;
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// Somebody else's.
    #[error("it is not one of parlor's")]
    Foreign,
    /// What it would be written to is somewhere else.
    #[error("it is a symbolic link")]
    Link,
    /// It knows more than this program.
    #[error("it was written by a newer parlor (version {0} of its tables, this one knows {VERSION})")]
    Newer(i32),
    /// `SQLite` does not use it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system does not open it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Unfit {
    /// Whether nothing will ever be read out of it here. A disk that is full, a file that is locked or not ours to read, and what a
    /// newer parlor wrote are all as good as they were: whoever put them out of view would lose what plugins were told is kept.
    fn is_for_good(&self) -> bool {
        match self {
            Self::Foreign | Self::Link => true,
            Self::Sqlite(error) => is_broken(error),
            Self::Newer(_) | Self::Io(_) => false,
        }
    }

    /// What to do about one that may be used later.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Newer(_) => "run that parlor, or move the file away to begin without what plugins have kept",
            _ => "make room on its disk, make it the host's own, or let whoever writes to it finish",
        }
    }
}

/// Opens the file, a fresh one if need be. One that is broken is set aside; any other that cannot be used is left as it is.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let result = try_open(path).or_else(|why| {
        if !why.is_for_good() {
            return Err(why);
        }
        set_aside(path, &why.to_string());
        try_open(path)
    });
    result.map_err(|cause| OpenError { path: path.to_owned(), remedy: cause.remedy(), cause })
}

/// The same in a house that stands: where nothing can be opened, what is kept from now on lives in memory alone.
pub(super) fn open_anew(path: &Path) -> Connection {
    open(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "the store cannot be used; what it keeps from now on is lost at the end");
        in_memory()
    })
}

/// Why [`open`] would leave the file as it is, and not use it, if it would. Nothing is written, and nothing set aside.
pub(super) fn look(path: &Path) -> Result<(), OpenError> {
    let cause = match numbers_in(path) {
        Ok((APPLICATION, version)) if version > VERSION => Unfit::Newer(version),
        Err(cause) if !cause.is_for_good() => cause,
        Ok(_) | Err(_) => return Ok(()),
    };
    Err(OpenError { path: path.to_owned(), remedy: cause.remedy(), cause })
}

/// A second connection, which only reads, so that no reader waits for a write to reach the disk.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Whether what is kept there is gone with the process.
pub(super) fn is_in_memory(connection: &Connection) -> bool {
    connection.path().is_none_or(str::is_empty)
}

/// A store that is gone with the process.
pub(super) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("SQLite opens a database in memory");
    make_tables(&connection).expect("tables can be made in an empty database");
    connection
}

pub(super) fn try_open(path: &Path) -> Result<Connection, Unfit> {
    // Made here, so that nobody but the owner ever reads it; SQLite gives its other files the same mode.
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
    // One that read first and writes then would be refused at once if another process wrote in between, and not be waited for.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let present = numbers(&connection)?;
    match present {
        (APPLICATION, version) if version > VERSION => return Err(Unfit::Newer(version)),
        (APPLICATION, _) => {}
        (0, 0) if objects == 0 => {}
        _ => return Err(Unfit::Foreign),
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // A process that is killed loses nothing that was committed; only a machine that loses power may lose the last moments.
    connection.pragma_update(None, "synchronous", "normal")?;
    make_tables(&connection)?;
    // Nothing is written to a file that has it all: somebody may be writing a long import.
    if present != (APPLICATION, VERSION) {
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(connection)
}

/// Whose a database says that it is, and the version of its tables.
fn numbers(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// The same of a file that nobody is to touch; zeros where there is none.
fn numbers_in(path: &Path) -> Result<(i32, i32), Unfit> {
    let kind = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
        found => found?.file_type(),
    };
    if kind.is_symlink() {
        return Err(Unfit::Link);
    }
    // Who opens a pipe waits for whoever writes into it.
    if !kind.is_file() {
        return Err(std::io::Error::other("it is no file").into());
    }
    // What was written last is there, until somebody carries it over.
    if beside(path, "-wal").exists() {
        return Ok(numbers(&open_to_read(path)?)?);
    }
    // SQLite would leave such files there, even of one that it only reads.
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
    connection.execute_batch(data::TABLES)
}

/// The file of the same name with more behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Moves a file that cannot be used out of the way, with what `SQLite` keeps beside it.
pub(super) fn set_aside(path: &Path, why: &str) {
    let beside = |suffix: &str| beside(path, suffix);
    let free = (1..ASIDE).map(|number| format!(".broken-{number}")).find(|aside| !beside(aside).exists());
    let aside = free.unwrap_or_else(|| ".broken-1".to_owned());
    // What was written last lies there. It goes first: it would be taken for the new file's.
    let _ = std::fs::rename(beside("-wal"), beside(&format!("{aside}-wal")));
    // Only an index of that, which is made again from it.
    let _ = std::fs::remove_file(beside("-shm"));
    let aside = beside(&aside);
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::warn!(
            path = %path.escaped(), aside = %aside.escaped(), reason = why,
            "the store could not be used, and was begun anew"
        ),
        Err(error) => tracing::warn!(
            path = %path.escaped(), reason = why, %error, "the store cannot be used, and not be moved out of the way"
        ),
    }
}

/// Whether what a job met says that the file is broken.
pub(super) fn health<T>(result: &rusqlite::Result<T>) -> Health {
    match result {
        Err(error) if is_broken(error) => Health::Broken,
        Ok(_) | Err(_) => Health::Fine,
    }
}

/// Whether nothing is left to be done with the file but to begin it anew.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
