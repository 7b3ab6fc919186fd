//! The files of a command that a signal ends before it is done, such as Ctrl-C at a question. They would be in the way of
//! the next try.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a signal: 128 and the number of SIGINT, as shells count it.
const ENDED: i32 = 130;

/// Removes files if a signal ends the command. Dropping it leaves them to the command.
#[derive(Debug)]
pub(super) struct Unfinished(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    drafts: Vec<PathBuf>,
    /// The file with the password of an account.
    secret: Option<PathBuf>,
    /// The account is registered with that password, or may be.
    is_needed: bool,
}

impl Unfinished {
    /// Waits for signals. `drafts` need not exist yet; `secret` is a file with a password.
    pub(super) fn begin(drafts: Vec<PathBuf>, secret: Option<PathBuf>) -> anyhow::Result<Self> {
        let files = Arc::new(Mutex::new(Files { drafts, secret, is_needed: false }));
        let runtime = Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupt, mut terminate, mut hang_up] = {
            let _entered = runtime.enter();
            let [interrupt, terminate, hang_up] = kinds.map(signal);
            let cause = "signals cannot be listened to";
            [interrupt.context(cause)?, terminate.context(cause)?, hang_up.context(cause)?]
        };
        let own = Arc::clone(&files);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
            });
            end(&own, || std::process::exit(ENDED));
        });
        Ok(Self(files))
    }

    /// Says whether the account needs the password, so that its file stays.
    pub(super) fn needs_secret(&self, is_needed: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_needed = is_needed;
    }
}

/// Removes the files, and ends the command. Until it has ended, the command can neither keep a password that is gone nor go on as if
/// it were done.
fn end(files: &Mutex<Files>, exit: impl FnOnce()) {
    let files = files.lock().unwrap_or_else(PoisonError::into_inner);
    files.remove();
    exit();
    drop(files);
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Files::default();
    }
}

impl Files {
    fn remove(&self) {
        let secret = self.secret.iter().filter(|_| !self.is_needed);
        for path in self.drafts.iter().chain(secret) {
            // One that was not written yet is not there.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It would write a configuration that names a password that is gone.
    #[test]
    fn a_command_does_not_go_on_between_the_removal_and_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("bot.password");
        fs::write(&secret, "x").unwrap();
        let files = Mutex::new(Files { secret: Some(secret.clone()), ..Files::default() });
        let mut is_held = false;
        end(&files, || is_held = !secret.exists() && files.try_lock().is_err());
        assert!(is_held);
    }

    #[test]
    fn the_draft_goes_and_so_does_the_password_unless_the_account_was_made_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, secret) = (folder.path().join("draft"), folder.path().join("bot.password"));
        let mut files = Files { drafts: vec![draft.clone()], secret: Some(secret.clone()), is_needed: true };
        for is_kept in [true, false] {
            fs::write(&draft, "x").unwrap();
            fs::write(&secret, "x").unwrap();
            files.is_needed = is_kept;
            files.remove();
            assert_eq!((draft.exists(), secret.exists()), (false, is_kept));
        }
        // The files of a command that is done stay.
        fs::write(&secret, "x").unwrap();
        let shared = Arc::new(Mutex::new(files));
        drop(Unfinished(Arc::clone(&shared)));
        shared.lock().unwrap().remove();
        assert!(secret.exists());
    }
}
