//! `parlor account`: adds, removes and lists the accounts in `parlor.toml` and `accounts.toml`, and keeps what people wrote
//! there.

mod import;
mod lines;
mod remove;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use jid::Jid;
use parlor::control::views::{Status, not_in_force};
use parlor::host::record_accounts;
use parlor_base::atomic::{self, PATIENCE, lock_beside};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{AccountConfig, AccountName, Config, ConfigFile, Draft, GroupName, PasswordSource, Way};
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::edit::{Change, edit_in};
use serde_json::json;
use toml::Table;

use super::Ended;
use super::ask::Terminal;
use super::fleet::{self, Filter, MANY};
use super::login::{Attempt, Given, Login, given_up, new_secret};
use super::show::{Put as _, print, print_json, table, width};
use super::status;
use super::target::{self, Target};

/// The group of tables in the file.
const GROUP: &str = "account";

/// The subcommands of `parlor account`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Exit codes: 0 done, 3 not agreed to, 1 failed, 2 wrong usage")]
pub enum AccountCommand {
    /// Show the accounts.
    List(ListArgs),
    /// Add an account, after testing its log-in.
    Add(AddArgs),
    /// Add many accounts from a file.
    Import(import::ImportArgs),
    /// Remove accounts.
    Remove(remove::RemoveArgs),
}

impl AccountCommand {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(),
            Self::Add(add) => add.run(),
            Self::Import(import) => import.run(),
            Self::Remove(remove) => remove.run(),
        }
    }
}

/// The arguments of `parlor account list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor account list\n  parlor account list --json\n  parlor account list --names      for scripts, and for what completes names in shells\n  parlor account list --group support --page 2\n  parlor account list --state away      those that the running host cannot connect\n\nWith more than 20 accounts it shows how many there are in each group and state; a flag, such as --page 1, shows each. --json and --names show all, unless flags pick some.\n\nExit codes: 0 shown, 1 failed, 2 wrong usage"
)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print only the names, one a line.
    #[arg(long, conflicts_with = "json")]
    names: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    target: Target,
}

impl ListArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load()?;
        self.filter.check(&config, [])?;
        // Only the host knows states.
        let status = self.filter.state.is_some().then(|| status::of(&config)).transpose()?;
        let known = status.into_iter().flat_map(|status| status.accounts);
        let connections: BTreeMap<_, _> = known.map(|one| (one.name, one.connection)).collect();
        let is_picked = |account: &&AccountConfig| {
            let state = connections.get(account.name.as_str()).map_or("unknown", String::as_str);
            self.filter.picks(account.name.as_str(), account.group.as_ref().map(GroupName::as_str), state)
        };
        let mut accounts: Vec<_> = config.accounts.values().filter(is_picked).collect();
        let is_for_people = !self.names && !self.json;
        if is_for_people && !self.filter.is_given() && accounts.len() > MANY {
            let status = status::of(&config)?;
            let text = fleet::summary(&status.accounts, "parlor account list", width());
            return print(&format!("{text}{}\n`parlor account list --page 1` shows each", other_accounts(&status)));
        }
        let others = if is_for_people || self.filter.is_paged() { self.filter.page(&mut accounts) } else { None };
        let owners = |account: &AccountConfig| account.owners.iter().map(ToString::to_string).collect::<Vec<_>>();
        if self.names {
            let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
            return print(&names.join("\n"));
        }
        if self.json {
            let one = |account: &&AccountConfig| {
                json!({
                    "name": account.name, "group": account.group.as_ref().map(GroupName::as_str),
                    "jid": account.link.jid.to_string(), "login": how(account), "owners": owners(account),
                })
            };
            return print_json(&accounts.iter().map(one).collect::<Vec<_>>());
        }
        let group =
            |account: &AccountConfig| account.group.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let row = |account: &&AccountConfig| {
            let (name, jid) = (account.name.to_string(), account.link.jid.to_string());
            vec![name, group(account), jid, how(account).to_owned(), owners(account).join(" ")]
        };
        let rows: Vec<_> = accounts.iter().map(row).collect();
        let mut text = table(&["ACCOUNT", "GROUP", "JID", "LOGIN", "OWNERS"], &rows);
        if let Some(others) = others {
            text.put(format_args!("\naccounts {others}\n"));
        }
        // The list is that of the files, whether a host answers or not.
        if let Ok(Some(host)) = target::host(&config)
            && let Ok(status) = host.get::<Status>("/v1/status")
        {
            text.push_str(&other_accounts(&status));
        }
        print(&text)
    }
}

/// Returns a line if the host has the accounts of an earlier configuration, since it refused the present one; otherwise nothing.
fn other_accounts(status: &Status) -> String {
    let Some(error) = &status.config_error else { return String::new() };
    format!("\n{}; `parlor status` shows the accounts that it has\n", not_in_force("configuration", error))
}

/// Says how an account logs in.
fn how(account: &AccountConfig) -> &'static str {
    let link = &account.link;
    match (&link.way, &link.password) {
        (Way::Certificate { .. }, _) => "certificate",
        (Way::Anonymous, _) => "anonymous",
        (Way::Component(_), _) => "component",
        (Way::Password, PasswordSource::File(_)) => "password file",
        (Way::Password, PasswordSource::Command(_)) => "password command",
        (Way::Password, PasswordSource::Environment(_)) => "password in the environment",
        (Way::Password, PasswordSource::Web(_)) => "credentials_url",
        (Way::Password, PasswordSource::Nowhere) => "no password",
    }
}

/// The arguments of `parlor account add`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, the command asks for values that no flag gives. It logs in once, and writes nothing if that fails. If there is a file accounts.toml beside parlor.toml, the account goes there. Comments stay. A running host logs in with the new account at once.\n\nExamples:\n  parlor account add second                                        asks\n  parlor account add second --jid second@example.org --register    makes it, too, and a password\n  pass show second | parlor account add second --jid second@example.org --password-stdin\n  parlor account add third --jid third@example.org --group support      with what the group says\n\nThe password goes into NAME.password beside parlor.toml. If that file exists, the command refuses, unless --password-file says that it is this account's.\n\nExit codes: 0 added, 1 failed and nothing was written, but for the password of an account that was made, or may have been, 2 wrong usage"
)]
pub struct AddArgs {
    /// The name of the account: 1 to 32 of a-z, 0-9, - and _.
    name: AccountName,
    /// The group that it is in: a table [group.NAME] of parlor.toml or accounts.toml, whose keys count for it.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    #[command(flatten)]
    login: Login,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl AddArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_add()?;
        let name = &self.name;
        if config.accounts.contains_key(name) {
            bail!("there is an account {name} in {} already: choose another name", config.file_with(name).escaped());
        }
        if let Some(group) = self.group.as_ref().filter(|group| !config.groups.contains(*group)) {
            let near = suggestion(nearest(group.as_str(), config.groups.iter().map(GroupName::as_str)));
            bail!(
                "there is no group {group} in {}: write a table [group.{group}] into {} first{near}",
                config.files(),
                config.file_for_accounts().escaped()
            );
        }
        let terminal = Terminal::open_unless(self.json).filter(|_| !self.login.password_stdin);
        let jid = self.login.account(terminal.as_ref())?;
        let jid = jid.ok_or_else(|| Ended::Usage("nobody can be asked here which account to add: say --jid".into()))?;
        if let Some(component) = component_of(&config, &jid) {
            let beside = "`parlor account import` adds it, with a column for the component";
            bail!("{jid} is an address of the component {component}, and has no password to log in with: {beside}");
        }
        let secret = secret_file(&config, name);
        let password = self.login.password(terminal.as_ref(), &secret)?;
        let password = password.ok_or_else(|| {
            Ended::Usage(
                "nobody can be asked here for the password: say --password-file, --password-command or --password-stdin"
                    .into(),
            )
        })?;
        let kept = match &password {
            Given::Text(text) => Some(new_secret(&secret, text)?),
            Given::Line(..) => None,
        };
        let mut attempt = Attempt::begin(Vec::new(), kept.clone())?;
        let result = self.entry(&jid, &password).and_then(|mut entry| {
            let file = open(&config, &config.file_for_accounts())?;
            let new = changed(&file, name, Change::Add(entry.clone()))?;
            let account = new.config().accounts.get(name).context("the configuration lacks the new account")?;
            let command = self.again(name);
            if !self.login.offline
                && let Some(server) = self.login.test(&command, &account.link, &jid, terminal.as_ref(), &mut attempt)?
            {
                entry.insert("server".to_owned(), server.to_string().into());
            }
            // The log-in takes a while, and somebody may have edited the other file meanwhile.
            let new = changed(&file, name, Change::Add(entry))?;
            attempt.succeeded();
            record(&config, new.config(), &[name])?;
            file.write(&new)?;
            Ok((file.named().to_owned(), plugins_on(new.config(), &[name])))
        });
        let (file, plugins) = match result {
            Ok(added) => added,
            Err(error) => return Err(given_up(error, kept, attempt.made, &jid)),
        };
        let host = applied(&config)?;
        if self.json {
            return print_json(&json!({ "account": name, "jid": jid, "host": host.0 }));
        }
        let mut text = format!("{name} is added to {}; {}{}", file.escaped(), host.1, running(&plugins));
        if let Some(kept) = kept {
            text.put(format_args!("\nits password is in {}", kept.escaped()));
            if config.cluster.is_some() {
                text.push_str("; copy it to the other nodes of the cluster, beside their parlor.toml");
            }
        }
        print(&text)
    }

    /// Returns the command that adds the account, without the flags of the log-in.
    fn again(&self, name: &AccountName) -> String {
        let mut command = format!("parlor account add {name}");
        if let Some(group) = &self.group {
            command.put(format_args!(" --group {group}"));
        }
        let Target { config, data, plugins } = &self.target;
        for (flag, path) in [("config", config), ("data", data), ("plugins", plugins)] {
            if let Some(path) = path {
                command.put(format_args!(" --{flag} {}", shell_word(&path.to_string_lossy())));
            }
        }
        command
    }

    /// Returns the table of the account.
    fn entry(&self, jid: &str, password: &Given) -> anyhow::Result<Table> {
        let mut entry = Table::new();
        entry.insert("jid".to_owned(), jid.into());
        if let Some(group) = &self.group {
            entry.insert("group".to_owned(), group.as_str().into());
        }
        match password {
            Given::Line(key, value) => entry.insert((*key).to_owned(), value.as_str().into()),
            // Paths in the file are relative to its folder.
            Given::Text(_) => entry.insert("password_file".to_owned(), format!("{}.password", self.name).into()),
        };
        if let Some(server) = &self.login.server {
            entry.insert("server".to_owned(), server.to_string().into());
        }
        if let Some(tls) = self.login.tls {
            entry.insert("tls".to_owned(), tls.as_str().into());
        }
        if let Some(file) = self.login.certificates()? {
            entry.insert("ca_file".to_owned(), file.to_string_lossy().into_owned().into());
        }
        Ok(entry)
    }
}

/// Counts on how many of these accounts each plugin runs that is enabled.
fn plugins_on(config: &Config, names: &[&AccountName]) -> BTreeMap<String, usize> {
    // A policy that cannot be read is somebody else's matter.
    let policy = Policy::load(&config.plugins).unwrap_or_default();
    let on = policy.plugins.into_iter().filter(|(_, entry)| entry.enabled).map(|(id, entry)| {
        let is_on = |name: &&&AccountName| config.is_chosen(name, entry.accounts.as_deref());
        (id.to_string(), names.iter().filter(is_on).count())
    });
    on.filter(|(_, count)| *count > 0).collect()
}

/// Says which plugins run on a new account, one a line.
fn running(plugins: &BTreeMap<String, usize>) -> String {
    if plugins.is_empty() {
        return "\nno plugin runs on it; `parlor plugin accounts ID --add NAME` lets one".to_owned();
    }
    let mut text = String::new();
    for id in plugins.keys() {
        text.put(format_args!("\n{id} runs on it, as its entry in plugins.toml says"));
    }
    text
}

/// Returns the file for the password of a new account. It is named as the configuration is, so without `./`.
fn secret_file(config: &Config, name: &AccountName) -> PathBuf {
    config.path.with_file_name(format!("{name}.password"))
}

/// Returns the component whose domain this address is of.
fn component_of<'c>(config: &'c Config, jid: &str) -> Option<&'c AccountName> {
    let jid = jid.parse::<Jid>().ok()?;
    config.components.iter().find(|(_, link)| link.jid.domain() == jid.domain()).map(|(name, _)| name)
}

/// Writes into the audit who adds or removes accounts, before it is done.
fn record(before: &Config, after: &Config, names: &[&AccountName]) -> anyhow::Result<()> {
    atomic::make_private_folder(&before.data)
        .with_context(|| format!("cannot make the folder {}", before.data.escaped()))?;
    record_accounts(before, after, names, &target::by()).context("nothing is written without an entry in the audit")
}

/// Lets the host read its files again, if one runs. Returns a word and a sentence about it.
fn applied(config: &Config) -> anyhow::Result<(&'static str, &'static str)> {
    let Some(host) = target::host(config)? else {
        return Ok(("stopped", "the host is stopped; it counts when it starts"));
    };
    // It reads the configuration whether or not it watches its files, and also one that is again as it was before the last change.
    let _: Status = host.post("/v1/configure")?;
    Ok(("applied", "the running host has applied it"))
}

/// Opens one of the files with accounts, and keeps other commands out.
fn open(config: &Config, named: &Path) -> anyhow::Result<ConfigFile> {
    let waits = || target::say_that_another_works_on(named);
    let file = ConfigFile::open(config, named, |beside| lock_beside(beside, PATIENCE, waits).map(Some))?;
    if file.text().is_none() {
        bail!(
            "somebody removed {} at the same moment, so nothing was written: the next try goes without it",
            named.escaped()
        );
    }
    Ok(file)
}

/// Returns the file as it is with a change of one account.
fn changed(file: &ConfigFile, name: &AccountName, change: Change) -> anyhow::Result<Draft> {
    let text = edit_in(GROUP, file.text().unwrap_or_default(), name.as_str(), &[change]);
    let text = text.map_err(|error| anyhow!("{}: {error}", file.named().escaped()))?;
    Ok(file.draft(text)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parlor_config::Overrides;

    use super::*;

    const FILE: &str = "# The accounts of this host.\n\n# data = \"data\"\n\n# One table each.\n[account.main]\njid = \"a@b.example\"   # the first\npassword_env = \"X\"\n\n[account.main.settings]\nnickname = \"a\"\n\n# Settings for all.\n[settings]\npriority = 1\n";

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    fn load(path: &Path) -> Config {
        Config::load(path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
    }

    #[test]
    fn an_account_is_added_and_removed_and_all_comments_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, FILE).unwrap();
        let config = load(&path);
        let entry = "jid = \"c@d.example\"\npassword_env = \"X\"\n".parse().unwrap();
        let file = open(&config, &config.file_for_accounts()).unwrap();
        file.write(&changed(&file, &name("second"), Change::Add(entry)).unwrap()).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{FILE}\n[account.second]\njid = \"c@d.example\"\npassword_env = \"X\"\n")
        );
        drop(file);
        let file = open(&config, &path).unwrap();
        let removed = changed(&file, &name("main"), Change::Remove).unwrap();
        file.write(&removed).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for comment in ["# The accounts of this host.", "# data = \"data\"", "# One table each.", "# Settings for all."]
        {
            assert!(text.contains(comment), "no {comment:?} in {text}");
        }
        assert!(!text.contains("a@b.example") && !text.contains("nickname"), "{text}");
    }

    #[test]
    fn a_new_account_says_which_plugins_run_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, FILE).unwrap();
        let entry = |id: &str, more: &str| {
            let digest = "0".repeat(64);
            format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"sha256:{digest}\"\n{more}\n")
        };
        let others = entry("off", "enabled = false") + &entry("other", "accounts = [\"second\"]");
        fs::write(folder.path().join("plugins.toml"), entry("echo", "") + &others).unwrap();
        let config = load(&path);
        let on = plugins_on(&config, &[&name("main")]);
        assert_eq!(running(&on), "\necho runs on it, as its entry in plugins.toml says");
        assert!(running(&BTreeMap::new()).starts_with("\nno plugin runs on it; "));
    }

    #[test]
    fn an_audit_that_cannot_be_written_is_told_of_with_what_was_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, FILE).unwrap();
        fs::create_dir_all(folder.path().join("data/parlor.db")).unwrap();
        let config = load(&path);
        let error = format!("{:#}", record(&config, &config, &[&name("main")]).unwrap_err());
        assert!(error.starts_with("nothing is written without an entry in the audit: "), "{error}");
    }

    #[test]
    fn an_address_of_a_component_is_known_before_a_password_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let component = "[component.bots]\ndomain = \"bots.b.example\"\npassword_env = \"SECRET\"\n";
        fs::write(&path, format!("{component}[account.main]\njid = \"a@b.example\"\npassword_env = \"NONE\"\n"))
            .unwrap();
        let config = load(&path);
        let component = |jid: &str| component_of(&config, jid).map(AccountName::as_str);
        let found = ["echo@bots.b.example", "echo@bots.b.example/here", "echo@b.example", "@"].map(component);
        assert_eq!(found, [Some("bots"), Some("bots"), None, None]);
    }

    #[test]
    fn an_account_is_removed_from_the_file_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join("accounts.toml"));
        let table = |name: &str| format!("[account.{name}]\njid = \"{name}@b.example\"\npassword_env = \"NONE\"\n");
        fs::write(&path, table("main")).unwrap();
        fs::write(&beside, format!("# shared\n{}", table("second"))).unwrap();
        let config = load(&path);
        let file = open(&config, &config.file_with(&name("second"))).unwrap();
        file.write(&changed(&file, &name("second"), Change::Remove).unwrap()).unwrap();
        assert!(fs::read_to_string(&beside).unwrap().starts_with("# shared"));
        assert_eq!(fs::read_to_string(&path).unwrap(), table("main"));
        assert_eq!(load(&path).accounts.len(), 1);
        drop(file);
        fs::remove_file(&beside).unwrap();
        let error = open(&config, &beside).unwrap_err().to_string();
        assert!(error.contains("somebody removed"), "it would be written with one account in it: {error}");
    }
}
