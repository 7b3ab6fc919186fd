//! Passes the account's password from the owner's storage only to the log-in, and passwords of rooms to the session.
//!
//! The value can be read only inside this folder, prints as nothing, and is wiped when dropped. It is read again for
//! each log-in, so a changed password needs no restart, and none is held while the connection lasts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use parlor_base::escape::EscapedPath as _;
use parlor_base::shell::{ASKS_NOBODY, Shell};
use parlor_config::{Hidden, PasswordSource, RoomPasswordPlace};
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// The time limit for a password command.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// More than any password needs, less than a disk image given by mistake.
const MAX_BYTES: u64 = 64 * 1024;
/// The maximum length of a supplied password, and of one of a room, in bytes.
const MAX_SUPPLIED: usize = 1_024;
/// The maximum length of the quoted output of a failed command, in characters.
const MAX_COMPLAINT: usize = 200;

/// A password. It prints as nothing and is wiped when dropped.
pub(super) struct Password(Zeroizing<String>);

impl Password {
    /// Reads the password from where the owner stores it.
    pub(super) async fn read(source: &PasswordSource) -> Result<Self, PasswordError> {
        match source {
            PasswordSource::File(path) => read_file(path).await,
            PasswordSource::Command(command) => read_command(command).await,
            PasswordSource::Environment(name) => read_environment(name),
            // A web source is fetched by the caller, which knows the rest of the log-in.
            PasswordSource::Web(_) | PasswordSource::Nowhere => Err(PasswordError::Nowhere),
        }
    }

    /// Takes ownership of the string, so that no copy is left behind.
    pub(super) fn of(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// Returns the value, for the log-in alone.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Takes the first line of the bytes, without its line end.
    fn first_line(bytes: &[u8], origin: &Origin) -> Result<Self, PasswordError> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Err(_) => Err(PasswordError::NotText { origin: origin.clone() }),
            Ok("") => Err(PasswordError::Empty { origin: origin.clone() }),
            Ok(line) => Ok(Self(Zeroizing::new(line.to_owned()))),
        }
    }
}

/// Reads the password of a room from where the owner stores it. The room gets it within each stanza that enters it.
pub async fn read_room_password(place: &RoomPasswordPlace) -> Result<Hidden<String>, PasswordError> {
    let password = match place {
        RoomPasswordPlace::File(path) => read_plain(path).await?,
        RoomPasswordPlace::Environment(name) => read_environment(name)?,
    };
    let value = password.expose();
    if value.len() > MAX_SUPPLIED || value.chars().any(char::is_control) {
        let origin = match place {
            RoomPasswordPlace::File(path) => Origin::File(path.clone()),
            RoomPasswordPlace::Environment(name) => Origin::Environment(name.clone()),
        };
        return Err(PasswordError::NotForARoom { origin });
    }
    Ok(Hidden(value.to_owned()))
}

/// A password that replaces the configured one for one log-in and the reconnects that follow. It is opaque outside this
/// folder, prints as nothing, and is wiped when its link ends.
#[derive(Debug)]
pub struct Supplied(Password);

impl Supplied {
    /// Takes ownership of the string, so that no copy is left behind.
    pub fn new(password: String) -> Self {
        Self(Password::of(password))
    }

    /// Returns whether a server could accept the password: 1 to 1,024 bytes, none of them NUL (RFC 4616, section 2).
    pub fn is_usable(&self) -> bool {
        let value = self.0.expose();
        (1..=MAX_SUPPLIED).contains(&value.len()) && !value.contains('\0')
    }

    /// Returns the password, for the log-in alone.
    pub(super) fn password(&self) -> &Password {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The source of a password, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// `password_command`. The command itself is not shown, since it may hold a secret.
    Command,
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the password file {}", path.escaped()),
            Self::Command => f.write_str("password_command"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// An error from reading the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No source is configured.
    #[error(
        "the account has no password; name a password_file, or credentials_url, or let a plugin log in with one of its own"
    )]
    Nowhere,
    /// The file or variable does not exist.
    #[error("{origin} does not exist; create it or correct its name")]
    Missing {
        /// The source of the password.
        origin: Origin,
    },
    /// The source holds an empty password.
    #[error("{origin} gave an empty password; its first line must be the password")]
    Empty {
        /// The source of the password.
        origin: Origin,
    },
    /// The password is not UTF-8.
    #[error("{origin} gave something that is not UTF-8 text; its first line must be the password")]
    NotText {
        /// The source of the password.
        origin: Origin,
    },
    /// No stanza can have it.
    #[error(
        "{origin} gave a password that is longer than {MAX_SUPPLIED} bytes or has control characters; its first line must be the password"
    )]
    NotForARoom {
        /// The source of the password.
        origin: Origin,
    },
    /// The source cannot be read.
    #[error("{origin} cannot be read ({cause}); check its owner and mode")]
    Unreadable {
        /// The source of the password.
        origin: Origin,
        /// The error from the system.
        cause: String,
    },
    /// The command failed.
    #[error("password_command ended with {status}{}; run it by hand to see why", complaint.as_deref().map(|line| format!(" and said \"{line}\"")).unwrap_or_default())]
    CommandFailed {
        /// The exit status of the command.
        status: String,
        /// The first line that the command wrote to stderr.
        complaint: Option<String>,
    },
    /// The command did not end in time.
    #[error("password_command did not end within {} s; {ASKS_NOBODY}", COMMAND_LIMIT.as_secs())]
    CommandTimedOut,
}

async fn read_file(path: &Path) -> Result<Password, PasswordError> {
    read_opened(path, tokio::fs::File::open(path)).await
}

/// Reads a plain file. The account waits meanwhile, and the file is read again and again: a pipe without a writer would hold up both
/// the account and a thread, and one with a writer gives its text once.
async fn read_plain(path: &Path) -> Result<Password, PasswordError> {
    let plain = path.to_owned();
    let opening = async move {
        let opened = tokio::task::spawn_blocking(move || parlor_base::atomic::open_plain(&plain, 0)).await;
        opened.map_err(std::io::Error::other)?.map(tokio::fs::File::from_std)
    };
    read_opened(path, opening).await
}

async fn read_opened(
    path: &Path,
    opening: impl Future<Output = std::io::Result<tokio::fs::File>>,
) -> Result<Password, PasswordError> {
    let origin = Origin::File(path.to_owned());
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => PasswordError::Missing { origin: origin.clone() },
        _ => PasswordError::Unreadable { origin: origin.clone(), cause: error.to_string() },
    };
    // The file may be a pipe without a writer, or be on a file system that does not answer.
    let reading = tokio::time::timeout(COMMAND_LIMIT, async {
        let mut file = opening.await?;
        read_bounded(&mut file).await
    });
    let cause = || format!("nothing came within {} s", COMMAND_LIMIT.as_secs());
    let late = |_| PasswordError::Unreadable { origin: origin.clone(), cause: cause() };
    let bytes = reading.await.map_err(late)?.map_err(unreadable)?;
    Password::first_line(&bytes, &origin)
}

async fn read_command(command: &str) -> Result<Password, PasswordError> {
    let unreadable =
        |error: std::io::Error| PasswordError::Unreadable { origin: Origin::Command, cause: error.to_string() };
    let mut shell = Shell::run(command, Stdio::piped()).map_err(unreadable)?;
    let mut stdout = shell.child.stdout.take().expect("stdout was asked to be a pipe");
    let mut stderr = shell.child.stderr.take().expect("stderr was asked to be a pipe");
    // Both pipes are read up to a bound and then closed, so that a verbose command ends instead of waiting for a
    // reader.
    let outcome = tokio::time::timeout(COMMAND_LIMIT, async {
        let (output, complaint) = tokio::join!(
            async {
                let bytes = read_bounded(&mut stdout).await;
                drop(stdout);
                bytes
            },
            async {
                let bytes = read_bounded(&mut stderr).await;
                drop(stderr);
                bytes
            }
        );
        Ok::<_, std::io::Error>((output?, complaint?, shell.child.wait().await?))
    })
    .await;
    let (output, complaint, status) = match outcome {
        Err(_) => return Err(PasswordError::CommandTimedOut),
        Ok(read) => read.map_err(unreadable)?,
    };
    if !status.success() {
        return Err(PasswordError::CommandFailed {
            status: status.to_string(),
            complaint: first_complaint(&complaint),
        });
    }
    Password::first_line(&output, &Origin::Command)
}

fn read_environment(name: &str) -> Result<Password, PasswordError> {
    let origin = Origin::Environment(name.to_owned());
    let value = std::env::var_os(name).ok_or_else(|| PasswordError::Missing { origin: origin.clone() })?;
    let value = Zeroizing::new(value.into_encoded_bytes());
    Password::first_line(&value, &origin)
}

/// Reads up to the bound. The buffer is allocated once, since growing it would leave unwiped copies behind.
async fn read_bounded(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES).expect("64 KiB fit") + 1));
    from.take(MAX_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Returns one printable line of what a command wrote to stderr.
fn first_complaint(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.lines().find(|line| !line.trim().is_empty())?.trim().chars().take(MAX_COMPLAINT).collect();
    Some(line.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use parlor_base::shell::tests::given_up;

    use super::*;

    async fn read_text(text: &[u8]) -> Result<String, PasswordError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, text).unwrap();
        Password::read(&PasswordSource::File(path)).await.map(|password| password.expose().to_owned())
    }

    async fn run(command: &str) -> Result<String, PasswordError> {
        let source = PasswordSource::Command(command.to_owned());
        Password::read(&source).await.map(|password| password.expose().to_owned())
    }

    #[tokio::test]
    async fn a_file_gives_its_first_line_and_only_the_line_end_is_cut() {
        assert_eq!(read_text(b" two words \r\nsecond line\n").await.unwrap(), " two words ");
        assert_eq!(read_text("pässword".as_bytes()).await.unwrap(), "pässword");
    }

    #[tokio::test]
    async fn a_password_of_a_room_fits_into_a_stanza() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("den.password");
        let place = RoomPasswordPlace::File(path.clone());
        let longest = "x".repeat(MAX_SUPPLIED);
        for (text, is_well) in
            [("open sesame\n", true), (&*longest, true), (&*format!("{longest}x"), false), ("ca\u{1}nary", false)]
        {
            std::fs::write(&path, text).unwrap();
            let read = read_room_password(&place).await;
            assert!(!format!("{read:?}").contains("sesame"), "{read:?}");
            match read {
                Ok(Hidden(password)) => assert_eq!((password.as_str(), is_well), (text.trim_end(), true)),
                Err(error) => {
                    let says = error.to_string();
                    assert!(!is_well && says.contains("den.password") && !says.contains("nary"), "{says}");
                }
            }
        }
    }

    /// The account does not wait for a writer.
    #[tokio::test]
    async fn a_pipe_is_no_file_with_a_password_of_a_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("den.password");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = read_room_password(&RoomPasswordPlace::File(path)).await.unwrap_err().to_string();
        assert!(error.contains("den.password cannot be read (it is not a file)"), "{error}");
    }

    #[tokio::test]
    async fn a_file_without_a_password_is_named() {
        let missing = Password::read(&PasswordSource::File("/nowhere/password".into())).await.unwrap_err();
        assert!(matches!(missing, PasswordError::Missing { .. }));
        assert!(missing.to_string().contains("/nowhere/password"));
        assert!(matches!(read_text(b"\nsecret\n").await, Err(PasswordError::Empty { .. })));
        assert!(matches!(read_text(b"").await, Err(PasswordError::Empty { .. })));
        assert!(matches!(read_text(b"\xff\xfe").await, Err(PasswordError::NotText { .. })));
        assert!(matches!(
            Password::read(&PasswordSource::File("/".into())).await,
            Err(PasswordError::Unreadable { .. })
        ));
    }

    /// Otherwise the account would hang without a message.
    #[tokio::test(start_paused = true)]
    async fn a_pipe_into_which_nobody_writes_is_waited_for_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let source = PasswordSource::File(path.clone());
        // The paused clock does not advance automatically while another thread works.
        let (read, ()) = tokio::join!(Password::read(&source), tokio::time::advance(COMMAND_LIMIT * 2));
        let error = read.unwrap_err();
        // The thread that waits for a writer gets one, so that it ends.
        drop(std::fs::File::options().write(true).open(&path));
        assert!(matches!(&error, PasswordError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("nothing came within"), "{error}");
    }

    #[tokio::test]
    async fn a_command_gives_its_first_line() {
        assert_eq!(run("printf 'secret\\nmore'").await.unwrap(), "secret");
        assert_eq!(run("true").await, Err(PasswordError::Empty { origin: Origin::Command }));
    }

    #[tokio::test]
    async fn a_failed_command_says_its_status_and_one_line() {
        let error = run("echo secret; printf 'no\\033 store\\nsecond\\n' >&2; exit 3").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no  store"), "{text}");
        assert!(!text.contains("second") && !text.contains("secret") && !text.contains('\u{1b}'), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_end_is_ended() {
        let late = run("exec sleep 1000").await.unwrap_err();
        assert_eq!(late, PasswordError::CommandTimedOut);
        assert!(late.to_string().contains("it can ask nobody, not on a terminal either: unlock"), "{late}");
    }

    /// Otherwise their number would grow each minute.
    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_end_is_ended_with_all_that_it_has_started() {
        assert_eq!(given_up(async |line| run(&line).await).await, Err(PasswordError::CommandTimedOut));
    }

    #[tokio::test]
    async fn an_unset_variable_is_named() {
        let error = Password::read(&PasswordSource::Environment("PARLOR_NEVER_SET".to_owned())).await.unwrap_err();
        assert!(error.to_string().contains("PARLOR_NEVER_SET"));
        assert!(Password::read(&PasswordSource::Environment("PATH".to_owned())).await.is_ok());
    }

    #[test]
    fn a_password_prints_as_nothing() {
        let password = Password(Zeroizing::new("canary".to_owned()));
        assert!(!format!("{password:?} {password} {password:#?}").contains("canary"));
        let supplied = Supplied::new("canary".to_owned());
        assert!(!format!("{supplied:?} {supplied:#?}").contains("canary"));
        assert!(supplied.is_usable());
        for odd in ["", "a\0b", &"x".repeat(1_025)] {
            assert!(!Supplied::new(odd.to_owned()).is_usable());
        }
    }
}
