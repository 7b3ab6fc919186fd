//! `parlor account remove`: takes an account out of the files, and on demand what the host keeps for it.

use std::path::Path;

use anyhow::bail;
use clap::Args;
use jid::BareJid;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{AccountName, Config, LinkSettings, PasswordSource, Selector};
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::edit::Change;
use parlor_store::DataFile;
use serde_json::json;

use super::{applied, changed, open, record};
use crate::ask::Terminal;
use crate::show::{Put as _, print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor account remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, the command asks whether to keep the account's data on this host: data of plugins, contacts, schedules, keys of encryption. The audit stays, and so does the account on its server. Comments in the files stay. In a cluster, NATS keeps the account's data: `parlor cluster remove` removes that, once the account is in no file of any node.\n\nExamples:\n  parlor account remove second\n  parlor account remove second --yes                keeps its data\n  parlor account remove second --yes --with-data    removes its data, too\n\nExit codes: 0 removed, 1 failed, 2 wrong usage, 3 not agreed to"
)]
pub struct RemoveArgs {
    /// The name of the account.
    account: AccountName,
    /// Remove also what the host keeps for it.
    #[arg(long)]
    with_data: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RemoveArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let name = &self.account;
        let Some(account) = config.accounts.get(name) else {
            return Err(target::no_account(&config, name));
        };
        // A node gets accounts from others, and a component when somebody writes to one of its addresses.
        let may_be_empty =
            config.cluster.as_ref().map_or(!config.new_addresses.is_empty(), |cluster| cluster.share_plugins);
        if config.accounts.len() == 1 && !may_be_empty {
            bail!("{name} is the only account in {}: a host needs one; add another one first", config.files());
        }
        let jid = &account.link.jid;
        if self.with_data && config.cluster.is_some() {
            bail!("{}", kept_in_the_cluster(name, &jid.to_bare()));
        }
        let others = others_of(&config, name);
        let with_data = self.agree(&config, jid.as_str(), &others)?;
        let file = open(&config, &config.file_with(name))?;
        let new = changed(&file, name, Change::Remove)?;
        record(&config, new.config(), &[name])?;
        file.write(&new)?;
        let host = applied(&config)?;
        if with_data && let Some(mut data) = DataFile::open(&config.data)? {
            data.forget_account(&jid.to_bare())?;
        }
        let named = named_by(&config, name);
        if self.json {
            return print_json(&json!({
                "account": name, "jid": jid.as_str(), "host": host.0, "with_data": with_data, "plugins": named,
            }));
        }
        let kept = match others.first() {
            Some(other) => format!("what the host kept for it stays, since {other} uses it"),
            None if with_data => "with what the host kept for it".to_owned(),
            None if config.cluster.is_some() => {
                let jid = jid.to_bare().to_string();
                format!("what the cluster keeps for it stays until `parlor cluster remove {} --yes`", shell_word(&jid))
            }
            None => "what the host kept for it stays".to_owned(),
        };
        let mut text = format!("{name} is removed from {}, {kept}; {}", file.named().escaped(), host.1);
        if let PasswordSource::File(file) = &account.link.password {
            text.push_str(&password_left(&config, name, file));
        }
        if let Some(component) = account.link.component()
            && config.new_addresses.get(component).is_some_and(|new| new.fits(&jid.to_bare()))
        {
            text.put(format_args!(
                "\nit comes back when somebody writes to {jid}, since a pattern of new_addresses of the component {component} fits"
            ));
        }
        for id in named {
            text.put(format_args!(
                "\nplugins.toml names {name} in the accounts of {id}: `parlor plugin inspect {id}` shows them"
            ));
        }
        print(&text)
    }

    /// Asks, and returns whether what is kept goes, too. It stays if these other accounts use it.
    fn agree(&self, config: &Config, jid: &str, others: &[&AccountName]) -> anyhow::Result<bool> {
        let name = &self.account;
        if self.with_data
            && let Some(other) = others.first()
        {
            bail!(
                "the account {other} has the same address but for its resource, and uses what the host keeps for {name}: \
                 nothing was changed; leave out --with-data"
            );
        }
        if self.yes {
            return Ok(self.with_data);
        }
        let terminal = Terminal::for_consent(self.json, &format!("remove {name} ({jid})"))?;
        terminal.consent(&format!("Really remove the account {name} ({jid}) from this host?"))?;
        if self.with_data || !others.is_empty() || config.cluster.is_some() {
            return Ok(self.with_data);
        }
        Ok(terminal
            .agrees("Remove what plugins keep for it and its keys of encryption, too? That cannot be undone.")?)
    }
}

/// Says where the password of a removed account stays, and what to do with it.
fn password_left(config: &Config, name: &AccountName, file: &Path) -> String {
    let is_same = |link: &LinkSettings| matches!(&link.password, PasswordSource::File(own) if own == file);
    let path = shell_word(&file.to_string_lossy());
    let account = config.accounts.values().find(|account| account.name != *name && is_same(&account.link));
    let component = config.components.iter().find(|(_, link)| is_same(link));
    let other = account.map(|account| account.name.to_string());
    match other.or_else(|| component.map(|(name, _)| format!("the component {name}"))) {
        Some(other) => format!("\nits password stays in {path}, which is also that of {other}"),
        None => format!(
            "\nits password stays in {path}: remove that file, or add the account again with --password-file {path}"
        ),
    }
}

/// Says how to remove what a cluster keeps for an account: the file of this host has nothing of it.
fn kept_in_the_cluster(name: &AccountName, jid: &BareJid) -> String {
    let jid = jid.to_string();
    format!(
        "the data of {name} is in the cluster, and nothing was changed: leave out --with-data, and once the account is in no file of any node, run `parlor cluster remove {} --yes`",
        shell_word(&jid)
    )
}

/// Returns the accounts that have the same address, each with a resource of its own. The host keeps what it keeps for all of them
/// together.
fn others_of<'a>(config: &'a Config, name: &AccountName) -> Vec<&'a AccountName> {
    let Some(bare) = config.accounts.get(name).map(|account| account.link.jid.to_bare()) else { return Vec::new() };
    let others = config.accounts.iter().filter(|(one, account)| *one != name && account.link.jid.to_bare() == bare);
    others.map(|(one, _)| one).collect()
}

/// Returns the plugins whose entries name this account.
fn named_by(config: &Config, name: &AccountName) -> Vec<String> {
    // Other checks report a policy that cannot be read.
    let policy = Policy::load(&config.plugins).unwrap_or_default();
    let name = Selector::Account(name.clone());
    let is_named = |accounts: &Option<Vec<Selector>>| accounts.as_ref().is_some_and(|all| all.contains(&name));
    let named = policy.plugins.iter().filter(|(_, entry)| is_named(&entry.accounts));
    named.map(|(id, _)| id.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    #[test]
    fn a_password_that_stays_is_said_to_be_in_the_way_unless_another_account_or_a_component_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let one = |name: &str, file: &str| {
            std::fs::write(folder.path().join(file), "secret\n").unwrap();
            format!("[account.{name}]\njid = \"{name}@b.example\"\npassword_file = \"{file}\"\n")
        };
        let component = "[component.bots]\ndomain = \"bots.b.example\"\npassword_file = \"four.password\"\n";
        let text = one("main", "shared.password")
            + &one("two", "two.password")
            + &one("three", "shared.password")
            + &one("four", "four.password")
            + component;
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::parse(&folder.path().join("parlor.toml"), &text, &overrides).unwrap();
        let left = |name: &str| {
            let account = &config.accounts[&name.parse().unwrap()];
            let PasswordSource::File(file) = &account.link.password else { panic!("{account:?}") };
            password_left(&config, &account.name, file)
        };
        let two = left("two");
        assert!(two.contains("two.password: remove that file, or ") && two.contains("--password-file "), "{two}");
        assert!(left("main").ends_with(", which is also that of three"), "{}", left("main"));
        assert!(left("four").ends_with(", which is also that of the component bots"), "{}", left("four"));
    }
}
