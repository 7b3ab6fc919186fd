//! `parlor account remove`: takes accounts out of the files, and on demand what the host keeps for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jid::BareJid;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{AccountConfig, AccountName, Config, GroupName, LinkSettings, PasswordSource, Pattern, Selector};
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::edit::remove_all_in;
use parlor_store::DataFile;
use serde_json::json;

use super::{GROUP, applied, open, record};
use crate::ask::Terminal;
use crate::fleet::{check_group, first};
use crate::show::{Put as _, print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor account remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, the command asks whether to keep the accounts' data on this host: data of plugins, contacts, schedules, keys of encryption. The audit stays, and so do the accounts on their servers. Comments in the files stay. The files with their passwords stay, too: the command names them. In a cluster, NATS keeps the accounts' data: `parlor cluster remove` removes that, once an account is in no file of any node.\n\nExamples:\n  parlor account remove second\n  parlor account remove second third --yes          keeps their data\n  parlor account remove second --yes --with-data    removes its data, too\n  parlor account remove --group support             all accounts of a group\n  parlor account remove --match 'support-*'\n\nExit codes: 0 removed, 1 failed, 2 wrong usage, 3 not agreed to"
)]
pub struct RemoveArgs {
    /// The names of the accounts.
    #[arg(required_unless_present_any = ["group", "pattern"])]
    account: Vec<AccountName>,
    /// All accounts of this group.
    #[arg(long, value_name = "NAME", conflicts_with = "account")]
    group: Option<GroupName>,
    /// All accounts with names like this, such as support-*.
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "account")]
    pattern: Option<Pattern>,
    /// Remove also what the host keeps for them.
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

/// The accounts that are removed.
struct Removal<'c> {
    config: &'c Config,
    accounts: Vec<&'c AccountConfig>,
}

impl RemoveArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let removal = self.chosen(&config)?;
        removal.leaves_one()?;
        if self.with_data {
            removal.has_data_alone()?;
        }
        let with_data = self.agree(&removal)?;
        let files = removal.take_out()?;
        let host = applied(&config)?;
        if with_data && let Some(mut data) = DataFile::open(&config.data)? {
            for account in &removal.accounts {
                data.forget_account(&account.link.jid.to_bare())?;
            }
        }
        let plugins = removal.plugins();
        if self.json {
            let one = |account: &&AccountConfig| json!({ "account": account.name, "jid": account.link.jid.as_str() });
            let files: Vec<_> = removal.unused_files().into_iter().map(Path::to_string_lossy).collect();
            return print_json(&json!({
                "accounts": removal.accounts.iter().map(one).collect::<Vec<_>>(), "host": host.0, "with_data": with_data,
                "plugins": plugins.keys().collect::<Vec<_>>(), "password_files": files,
            }));
        }
        let (all, are) = (removal.named(), if removal.is_one() { "is" } else { "are" });
        let mut text = format!("{all} {are} removed from {files}, {}; {}", removal.kept(with_data), host.1);
        text.push_str(&removal.passwords_left());
        text.push_str(&removal.coming_back());
        for (id, names) in plugins {
            text.put(format_args!(
                "\nplugins.toml names {} in the accounts of {id}: `parlor plugin inspect {id}` shows them",
                some(&names)
            ));
        }
        print(&text)
    }

    /// Returns the accounts that the names or the flags pick.
    fn chosen<'c>(&self, config: &'c Config) -> anyhow::Result<Removal<'c>> {
        if let Some(name) = self.account.iter().find(|name| !config.accounts.contains_key(*name)) {
            return Err(target::no_account(config, name));
        }
        if let Some(group) = &self.group {
            check_group(group, config, [])?;
        }
        let is_picked = |account: &&AccountConfig| {
            let is_named = self.account.is_empty() || self.account.contains(&account.name);
            let is_in_group = self.group.is_none() || self.group == account.group;
            is_named
                && is_in_group
                && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(account.name.as_str()))
        };
        let accounts: Vec<_> = config.accounts.values().filter(is_picked).collect();
        if accounts.is_empty() {
            bail!("--group and --match pick no account of {}, so nothing was changed", config.files());
        }
        Ok(Removal { config, accounts })
    }

    /// Asks, and returns whether what is kept goes, too. It stays if other accounts use it.
    fn agree(&self, removal: &Removal<'_>) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(self.with_data);
        }
        let all = removal.described();
        let terminal = Terminal::for_consent(self.json, &format!("remove {all}"))?;
        let word = if removal.is_one() { "the account " } else { "" };
        terminal.consent(&format!("Really remove {word}{all} from this host?"))?;
        if self.with_data || removal.other().is_some() || removal.config.cluster.is_some() {
            return Ok(self.with_data);
        }
        let [them, their] = if removal.is_one() { ["it", "its"] } else { ["them", "their"] };
        Ok(terminal.agrees(&format!(
            "Remove what plugins keep for {them} and {their} keys of encryption, too? That cannot be undone."
        ))?)
    }
}

impl<'c> Removal<'c> {
    fn is_one(&self) -> bool {
        self.accounts.len() == 1
    }

    fn names(&self) -> Vec<&'c AccountName> {
        self.accounts.iter().map(|account| &account.name).collect()
    }

    /// Names the accounts in a sentence: the name of the only one, or their number.
    fn named(&self) -> String {
        match self.accounts.as_slice() {
            [account] => account.name.to_string(),
            all => format!("{} accounts", all.len()),
        }
    }

    /// Names the accounts in a question.
    fn described(&self) -> String {
        match self.accounts.as_slice() {
            [account] => format!("{} ({})", account.name, account.link.jid),
            all => format!("{} accounts ({})", all.len(), some(&self.names())),
        }
    }

    /// Fails if the host would have no account then, and needs one.
    fn leaves_one(&self) -> anyhow::Result<()> {
        let config = self.config;
        // A node gets accounts from others, and a component when somebody writes to one of its addresses.
        let may_be_empty =
            config.cluster.as_ref().map_or(!config.new_addresses.is_empty(), |cluster| cluster.share_plugins);
        if self.accounts.len() < config.accounts.len() || may_be_empty {
            return Ok(());
        }
        let (all, files) = (self.named(), config.files());
        if self.is_one() {
            bail!("{all} is the only account in {files}: a host needs one; add another one first");
        }
        bail!("these {all} are all that are in {files}: a host needs one; keep one, or add another one first");
    }

    /// Fails if what is kept for the accounts is not on this host, or if other accounts use it.
    fn has_data_alone(&self) -> anyhow::Result<()> {
        let Some(first) = self.accounts.first() else { return Ok(()) };
        if self.config.cluster.is_some() {
            bail!("{}", kept_in_the_cluster(&first.name, &first.link.jid.to_bare()));
        }
        if let Some((name, other)) = self.other() {
            bail!(
                "the account {other} has the same address but for its resource, and uses what the host keeps for {name}: \
                 nothing was changed; leave out --with-data"
            );
        }
        Ok(())
    }

    /// Returns an account with another one that has the same address, each with a resource of its own, and stays. The host keeps what it
    /// keeps for both together.
    fn other(&self) -> Option<(&'c AccountName, &'c AccountName)> {
        let bare = |account: &AccountConfig| account.link.jid.to_bare();
        let removed: BTreeMap<_, _> = self.accounts.iter().map(|account| (bare(account), &account.name)).collect();
        self.staying().find_map(|other| Some((*removed.get(&bare(other))?, &other.name)))
    }

    /// Returns the accounts that are not removed.
    fn staying(&self) -> impl Iterator<Item = &'c AccountConfig> {
        let names: BTreeSet<_> = self.names().into_iter().collect();
        self.config.accounts.values().filter(move |account| !names.contains(&account.name))
    }

    /// Takes the accounts out of the files. Returns the files that had some. One is written after the other, since a change of one is
    /// read together with the other.
    fn take_out(&self) -> anyhow::Result<String> {
        let config = self.config;
        let mut by_file = BTreeMap::<_, Vec<&AccountName>>::new();
        for name in self.names() {
            by_file.entry(config.file_with(name)).or_default().push(name);
        }
        let mut done = Vec::new();
        for (path, names) in by_file {
            let written = (|| {
                let file = open(config, &path)?;
                let ids = names.iter().map(|name| name.as_str()).collect();
                let text = remove_all_in(GROUP, file.text().unwrap_or_default(), &ids);
                let new = file.draft(text.map_err(|error| anyhow!("{}: {error}", path.escaped()))?)?;
                record(config, new.config(), &names)?;
                Ok::<_, anyhow::Error>(file.write(&new)?)
            })();
            if let Some(before) = done.first() {
                written.with_context(|| {
                    format!("the accounts of {before} are removed, and those of {} are not", path.escaped())
                })?;
            } else {
                written?;
            }
            done.push(path.escaped().to_string());
        }
        Ok(done.join(" and "))
    }

    /// Says what becomes of that which is kept for the accounts.
    fn kept(&self, with_data: bool) -> String {
        let them = if self.is_one() { "it" } else { "them" };
        match (self.other(), self.accounts.as_slice()) {
            (Some((_, other)), [_]) => format!("what the host kept for it stays, since {other} uses it"),
            _ if with_data => format!("with what the host kept for {them}"),
            (_, [account]) if self.config.cluster.is_some() => {
                let jid = account.link.jid.to_bare().to_string();
                format!("what the cluster keeps for it stays until `parlor cluster remove {} --yes`", shell_word(&jid))
            }
            _ if self.config.cluster.is_some() => {
                "what the cluster keeps for them stays until `parlor cluster remove JID --yes` for each".to_owned()
            }
            _ => format!("what the host kept for {them} stays"),
        }
    }

    /// Returns the files with the passwords of the accounts that nobody else uses.
    fn unused_files(&self) -> Vec<&'c Path> {
        let users = self.users();
        let files = self.accounts.iter().filter_map(|account| password_file(&account.link));
        let unused: BTreeSet<_> = files.filter(|file| !users.contains_key(file)).collect();
        unused.into_iter().collect()
    }

    /// Returns the accounts and components that stay and have their passwords in files, by these files.
    fn users(&self) -> BTreeMap<&'c Path, String> {
        let components = self.config.components.iter().map(|(name, link)| (link, format!("the component {name}")));
        let accounts = self.staying().map(|account| (&account.link, account.name.to_string()));
        components.chain(accounts).filter_map(|(link, name)| Some((password_file(link)?, name))).collect()
    }

    /// Says which files with passwords stay, and what to do with them.
    fn passwords_left(&self) -> String {
        let word = |file: &Path| shell_word(&file.to_string_lossy());
        if let [account] = self.accounts.as_slice() {
            let Some(file) = password_file(&account.link) else { return String::new() };
            let path = word(file);
            return match self.users().get(file) {
                Some(other) => format!("\nits password stays in {path}, which is also that of {other}"),
                None => format!(
                    "\nits password stays in {path}: remove that file, or add the account again with --password-file {path}"
                ),
            };
        }
        let files = self.unused_files();
        if files.is_empty() {
            return String::new();
        }
        let files: Vec<_> = files.into_iter().map(word).collect();
        let files = files.join("\n  ");
        format!(
            "\ntheir passwords stay in these files, which nobody else uses: remove them, or add the accounts again with them\n  {files}"
        )
    }

    /// Says which accounts come back when somebody writes to their addresses.
    fn coming_back(&self) -> String {
        let mut back = BTreeMap::<_, Vec<_>>::new();
        for account in &self.accounts {
            let jid = &account.link.jid;
            if let Some(component) = account.link.component()
                && self.config.new_addresses.get(component).is_some_and(|new| new.fits(&jid.to_bare()))
            {
                back.entry(component).or_default().push(jid);
            }
        }
        let mut text = String::new();
        for (component, jids) in back {
            let [it, comes] = if self.is_one() { ["it", "comes"] } else { ["some", "come"] };
            text.put(format_args!(
                "\n{it} {comes} back when somebody writes to {}, since a pattern of new_addresses of the component {component} fits",
                some(&jids)
            ));
        }
        text
    }

    /// Returns the plugins whose entries name some of the accounts, with their names.
    fn plugins(&self) -> BTreeMap<String, Vec<&'c AccountName>> {
        // Other checks report a policy that cannot be read.
        let policy = Policy::load(&self.config.plugins).unwrap_or_default();
        let names: BTreeSet<_> = self.names().into_iter().collect();
        let entries = policy.plugins.into_iter().map(|(id, entry)| {
            let of = |selector: Selector| match selector {
                Selector::Account(name) => names.get(&name).copied(),
                Selector::Group(_) | Selector::Pattern(_) => None,
            };
            (id.to_string(), entry.accounts.into_iter().flatten().filter_map(of).collect::<Vec<_>>())
        });
        entries.filter(|(_, names)| !names.is_empty()).collect()
    }
}

/// Returns the file with the password of a log-in.
fn password_file(link: &LinkSettings) -> Option<&Path> {
    if let PasswordSource::File(file) = &link.password { Some(file) } else { None }
}

/// Names some of these, and how many more there are.
fn some(all: &[impl Display]) -> String {
    let (shown, more) = first(all.iter().map(ToString::to_string));
    let mut text = shown.join(", ");
    if more > 0 {
        text.put(format_args!(" and {more} more"));
    }
    text
}

/// Says how to remove what a cluster keeps for an account: the file of this host has nothing of it.
fn kept_in_the_cluster(name: &AccountName, jid: &BareJid) -> String {
    let jid = jid.to_string();
    format!(
        "the data of {name} is in the cluster, and nothing was changed: leave out --with-data, and once the account is in no file of any node, run `parlor cluster remove {} --yes`",
        shell_word(&jid)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parlor_config::Overrides;

    use super::*;

    /// Writes a configuration with these tables in its two files, and reads it.
    fn written(folder: &Path, own: &str, beside: &str) -> Config {
        let path = folder.join("parlor.toml");
        fs::write(&path, own).unwrap();
        fs::write(folder.join("accounts.toml"), beside).unwrap();
        Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
    }

    fn one(folder: &Path, name: &str, file: &str) -> String {
        fs::write(folder.join(file), "secret\n").unwrap();
        format!("[account.{name}]\njid = \"{name}@b.example\"\npassword_file = \"{file}\"\n")
    }

    #[derive(Debug, clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        args: RemoveArgs,
    }

    fn args(folder: &Path, words: &[&str]) -> RemoveArgs {
        let config = folder.join("parlor.toml");
        let all = [&["remove"][..], words, &["--yes", "--config", config.to_str().unwrap()]].concat();
        <Parsed as clap::Parser>::try_parse_from(all).unwrap().args
    }

    #[test]
    fn a_password_that_stays_is_said_to_be_in_the_way_unless_another_account_or_a_component_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let one = |name: &str, file: &str| one(folder.path(), name, file);
        let component = "[component.bots]\ndomain = \"bots.b.example\"\npassword_file = \"four.password\"\n";
        let text = one("main", "shared.password")
            + &one("two", "two.password")
            + &one("three", "shared.password")
            + &one("four", "four.password")
            + component;
        let config = written(folder.path(), &text, "");
        let left = |names: &[&str]| {
            let accounts = names.iter().map(|name| &config.accounts[&name.parse().unwrap()]).collect();
            Removal { config: &config, accounts }.passwords_left()
        };
        let two = left(&["two"]);
        assert!(two.contains("two.password: remove that file, or ") && two.contains("--password-file "), "{two}");
        assert!(left(&["main"]).ends_with(", which is also that of three"), "{}", left(&["main"]));
        assert!(left(&["four"]).ends_with(", which is also that of the component bots"), "{}", left(&["four"]));
        let many = left(&["main", "two", "four"]);
        assert!(many.contains("\n  ") && many.ends_with("two.password") && many.lines().count() == 3, "{many}");
        assert!(left(&["main", "three"]).ends_with("shared.password"), "nobody uses it then");
    }

    #[test]
    fn accounts_are_removed_by_names_by_their_group_and_by_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let one = |name: &str| one(folder.path(), name, &format!("{name}.password"));
        let grouped = |name: &str| one(name) + "group = \"shop\"\n";
        let own = format!("# Mine.\n[group.shop]\n\n{}\n# The first.\n{}", one("main"), grouped("a-1"));
        let beside = format!("# Shared.\n{}{}{}", grouped("a-2"), one("a-3"), one("b-1"));
        let left = |words: &[&str]| {
            written(folder.path(), &own, &beside);
            let done = args(folder.path(), words).run().map_err(|error| error.to_string());
            let overrides = Overrides { environment: |_| None, ..Overrides::default() };
            let config = Config::load(&folder.path().join("parlor.toml"), &overrides).unwrap();
            done.map(|()| config.accounts.keys().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(left(&["a-1", "b-1", "a-1"]).unwrap(), "a-2 a-3 main");
        assert_eq!(left(&["--group", "shop"]).unwrap(), "a-3 b-1 main");
        assert_eq!(left(&["--match", "a-*"]).unwrap(), "b-1 main");
        assert_eq!(left(&["--match", "*", "--group", "shop"]).unwrap(), "a-3 b-1 main");
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text("parlor.toml"), format!("# Mine.\n[group.shop]\n\n{}\n# The first.\n", one("main")));
        assert!(text("accounts.toml").starts_with("# Shared.\n[account.a-3]\n"), "{}", text("accounts.toml"));
        for (words, says) in [
            (&["a-1", "a-9"][..], "there is no account a-9"),
            (&["--group", "shp"][..], "there is no group shp"),
            (&["--match", "c-*"][..], "--group and --match pick no account"),
            (&["--match", "*"][..], "these 5 accounts are all that are in "),
        ] {
            let error = left(words).unwrap_err();
            assert!(error.contains(says), "{words:?}: {error}");
            assert_eq!(text("parlor.toml") + &text("accounts.toml"), own.clone() + &beside);
        }
    }

    #[test]
    fn a_question_about_several_accounts_has_their_number_and_some_names() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (10..25).map(|number| one(folder.path(), &format!("a{number}"), "a.password")).collect();
        let config = written(folder.path(), &text, "");
        let removal =
            |count: usize| Removal { config: &config, accounts: config.accounts.values().take(count).collect() };
        assert_eq!(removal(1).described(), "a10 (a10@b.example)");
        assert_eq!(removal(2).described(), "2 accounts (a10, a11)");
        assert!(removal(14).described().ends_with(", a18, a19 and 4 more)"), "{}", removal(14).described());
    }
}
