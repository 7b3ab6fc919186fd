//! `parlor web link`: sends an owner a link to log in to the window with.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use jid::BareJid;
use parlor_base::escape::EscapedPath as _;
use parlor_config::Config;
use parlor_window::{Role, Store};
use serde_json::json;

use super::links::Letter;
use super::{store, used_once};
use crate::show::{print, print_json};
use crate::target::{self, AccountRequest};

/// The arguments of `parlor web link`.
#[derive(Debug, Args)]
#[command(
    mut_arg("account", |account| account.help("The account that sends it; by default one that has this owner")),
    after_help = "An account sends the link as a message to one of its owners (`owners` of the account), encrypted if that chat is; nobody else is sent one. No plugin hears of it, and servers are asked not to keep it, so have a client online. The session is for the accounts of which they are an owner. The link is used up by a press of the button behind it, and not by a preview. Its session is called after the owner, whose JID stands beside it in the audit. `parlor web login --help` has the roles. `links` under [window] in parlor.toml turns it off.\n\nExamples:\n  parlor web link --to ann@example.org\n  parlor web link --to ann@example.org --role viewer --minutes 60\n  parlor web link --to ann@example.org --account main --json\n\nExit codes: 0 sent, 1 that is no owner, it cannot be sent, or `parlor web` does not run, 4 no host runs, 2 wrong usage"
)]
pub(super) struct LinkArgs {
    /// The owner.
    #[arg(long, value_name = "JID")]
    to: BareJid,
    /// The role of the session: viewer, operator or owner.
    #[arg(long, default_value = "owner")]
    role: Role,
    /// How many minutes the link can be used.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1440))]
    minutes: u16,
    #[command(flatten)]
    request: AccountRequest,
}

impl LinkArgs {
    /// Makes the link, and has the host send it.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let Self { to, role, minutes, request } = self;
        let (config, store) = store(&request.target)?;
        let address = address(&store, &config)?;
        let host = target::running(&config)?;
        let account = request.account.as_ref();
        let letter = Letter { address: &address, to, role: *role, minutes: *minutes, account, is_asked: false };
        let (said, name) = letter.send(&host, &store)?;
        let account = said.account;
        if request.json {
            return print_json(
                &json!({ "account": account, "to": said.to, "name": name, "role": role, "minutes": minutes }),
            );
        }
        print(&format!("account {account} sent {to} a link. {}", used_once(&name, role.as_str(), *minutes)))
    }
}

/// Returns the address of the window, as browsers know it.
pub(super) fn address(store: &Store, config: &Config) -> anyhow::Result<String> {
    store.address().ok_or_else(|| anyhow!(not_served(&config.data, &fs::read_dir(&config.data))))
}

/// Says why the window has no address. `looked`: the result of a look into the data folder.
fn not_served(data: &Path, looked: &io::Result<fs::ReadDir>) -> String {
    let data = data.escaped();
    match looked {
        // Another user cannot know whether the window is served.
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            format!("the data folder {data} cannot be used ({cause}): only the user that the host runs as may use it")
        }
        Ok(_) | Err(_) => format!("`parlor web` does not run with the data folder {data}: start it, and ask again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_is_not_told_that_the_window_does_not_run() {
        let says = |kind: ErrorKind| not_served(Path::new("/srv/data"), &Err(kind.into()));
        let denied = says(ErrorKind::PermissionDenied);
        assert!(
            denied.starts_with("the data folder /srv/data cannot be used (permission denied): only the user"),
            "{denied}"
        );
        assert!(says(ErrorKind::NotFound).starts_with("`parlor web` does not run with the data folder /srv/data"));
    }
}
