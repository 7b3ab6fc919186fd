//! Programs that parlor starts, such as compilers and the owner's commands, and the part of its environment that they
//! inherit.
//!
//! Every program is started by [`command`], so none inherits a secret by oversight, or runs in a stranger's folder by
//! accident: many programs read files of their current folder, and some run them. The host's compiler process
//! (`plugins/compiler`) inherits nothing at all.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The prefix of the variables that are meant for parlor alone. Among them are passwords (`PARLOR_PASSWORD_MAIN`) and
/// addresses with tokens (`PARLOR_SETTING_CREDENTIALS_URL`).
const OWN: &[u8] = b"PARLOR_";

/// The variables that a service manager sets for this process alone (`sd_notify(3)`). A child process that took them for
/// its own would speak for the host, and could stop it with `STOPPING=1`.
const SERVICE_MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The variables that this process's configurations name as the source of a password. They may have any name, and their
/// values are in the environment of the whole process, so code that starts programs must know them.
static SECRET: Mutex<BTreeSet<OsString>> = Mutex::new(BTreeSet::new());

/// The folder of a program that needs none. It holds no files of strangers.
pub const NOWHERE: &str = "/";

/// Prepares a program that runs in a folder and inherits the environment without the variables meant for parlor alone.
pub fn command(program: impl AsRef<OsStr>, folder: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in env::vars_os().filter(|(name, _)| is_withheld(name)) {
        command.env_remove(name);
    }
    command
}

/// Withholds a variable that holds a password from all programs that are started from now on.
pub fn withhold(variable: &str) {
    SECRET.lock().unwrap_or_else(PoisonError::into_inner).insert(variable.into());
}

fn is_withheld(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OWN)
        || SERVICE_MANAGER.iter().any(|own| name == *own)
        || SECRET.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_parlor_alone_is_not_passed_on() {
        let own = ["PARLOR_PASSWORD_MAIN", "PARLOR_SETTING_CREDENTIALS_URL", "PARLOR_DATA", "NOTIFY_SOCKET"];
        for name in own {
            assert!(is_withheld(name.as_ref()), "{name}");
        }
        for name in ["PASSWORD", "PATH", "MY_PARLOR_PASSWORD_MAIN", "FRIENDS_SECRET_OF_A_TEST"] {
            assert!(!is_withheld(name.as_ref()), "{name}");
        }
        withhold("FRIENDS_SECRET_OF_A_TEST");
        assert!(is_withheld("FRIENDS_SECRET_OF_A_TEST".as_ref()));
    }

    /// Cargo sets this variable for each test.
    #[test]
    fn a_program_is_started_without_it() {
        let removed = || {
            let prepared = command("true", NOWHERE);
            prepared.get_envs().any(|(name, value)| name == "CARGO_PKG_NAME" && value.is_none())
        };
        assert!(env::var_os("CARGO_PKG_NAME").is_some() && !removed());
        withhold("CARGO_PKG_NAME");
        assert!(removed());
    }
}
