//! Makes accounts of addresses of components when somebody writes to them, as `new_addresses` of the component says. It writes
//! them into `accounts.toml`, so that they are accounts like others, also after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use jid::{BareJid, NodeRef};
use parlor_base::atomic::{self, Readers, alone_in, folder_of};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use parlor_config::{AccountName, Config, accounts_file, accounts_text};
use parlor_plugins::policy::edit::add_all_in;
use tokio::time::{Instant, sleep};
use toml::Table;

use super::accounts::read_configuration_again;
use super::{Host, claims};

/// How long addresses are gathered, to be written together.
const GATHERED: Duration = Duration::from_millis(300);
/// The share of time, as a divisor, that may go into writing and reading them: strangers choose how many there are.
const SHARE: u32 = 5;
/// How often messages that wait in vain are looked for.
const LOOKED: Duration = Duration::from_secs(5);
/// How often it is logged that addresses become no accounts.
const TOLD: Duration = Duration::from_mins(10);
/// How many addresses a line of the log names.
const NAMED: usize = 5;
/// The digits of the name of an account whose address gives no name that is free.
const DIGITS: usize = 28;

/// The text of an `accounts.toml` that is made here.
const HEAD: &str = "# Accounts and groups, beside those of parlor.toml.\n";

/// An address that is to become an account, with the name of its component.
type Newcomer = (AccountName, BareJid);

/// What became of newcomers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Made {
    /// The addresses that are accounts now.
    accounts: Vec<BareJid>,
    /// Those that are not, since their components have as many accounts as they may have.
    surplus: Vec<Newcomer>,
}

/// Makes accounts of addresses while the host runs. It never returns.
pub(super) async fn make_accounts(host: &Host) -> Infallible {
    let (mut told, mut wait) = (None, false);
    loop {
        tokio::select! {
            () = host.domains.arrivals() => sleep(GATHERED).await,
            () = sleep(LOOKED), if wait => {}
        }
        let newcomers = host.domains.newcomers();
        if !newcomers.is_empty() {
            let begin = Instant::now();
            if let Err(why) = make(host, newcomers).await
                && told.is_none_or(|told: Instant| told.elapsed() >= TOLD)
            {
                told = Some(Instant::now());
                tracing::warn!(reason = why, "somebody wrote to addresses of a component that do not become accounts");
            }
            sleep((begin.elapsed() * (SHARE - 1)).min(LOOKED)).await;
        }
        wait = host.domains.turn_away_overdue();
    }
}

/// Makes accounts of these addresses. Says why some become none.
async fn make(host: &Host, newcomers: Vec<Newcomer>) -> Result<(), String> {
    let config = host.config();
    let all = newcomers.clone();
    let written = tokio::task::spawn_blocking(move || write(&config, newcomers)).await;
    let Made { accounts, surplus } = match written.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(made) => made,
        Err(why) => {
            turn_away(host, &all);
            return Err(why);
        }
    };
    turn_away(host, &surplus);
    if !accounts.is_empty() {
        tracing::info!(
            accounts = accounts.len(),
            such_as = shown(accounts.iter()),
            "somebody wrote to addresses of a component; they are accounts now"
        );
        read_configuration_again(host).await.map_err(|error| error.to_string())?;
        claims::note_start(host);
    }
    match surplus.first() {
        None => Ok(()),
        Some((component, _)) => Err(format!(
            "the component {component} has as many accounts as new_addresses_limit allows: {}; raise it, or remove accounts",
            shown(surplus.iter().map(|(_, jid)| jid))
        )),
    }
}

fn turn_away(host: &Host, all: &[Newcomer]) {
    for (component, jid) in all {
        host.domains.turn_away(component, jid);
    }
}

/// Lists some of these.
fn shown<'a>(all: impl ExactSizeIterator<Item = &'a BareJid>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let text = all.take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Writes these addresses into `accounts.toml`, as far as there is room for them.
fn write(config: &Config, newcomers: Vec<Newcomer>) -> Result<Made, String> {
    let is_full = |now: &Config, component: &AccountName, more: usize| {
        let limit = now.new_addresses.get(component).map_or(0, |new| new.limit as usize);
        now.accounts.values().filter(|account| account.link.component() == Some(component)).count() + more >= limit
    };
    // A host that is full reads no files for strangers.
    if newcomers.iter().all(|(component, _)| is_full(config, component, 0)) {
        return Ok(Made { accounts: Vec::new(), surplus: newcomers });
    }
    let listed = accounts_file(&config.path)
        .ok_or_else(|| format!("there is no accounts.toml beside {}, which has that name", config.path.escaped()))?;
    // A link to the file stays one.
    let file = listed.canonicalize().unwrap_or_else(|_| listed.clone());
    let failed = |error: &dyn Display| format!("{}: {error}", listed.escaped());
    let _lock = alone_in(folder_of(&file), || ());
    // What others have written counts.
    let now = config.read_again().map_err(|error| error.to_string())?;
    let text = accounts_text(&config.path).map_err(|error| error.to_string())?.unwrap_or_else(|| HEAD.to_owned());
    let known: BTreeSet<_> = now.accounts.values().map(|account| account.link.jid.to_bare()).collect();
    let (mut made, mut entries, mut names) = (Made::default(), Vec::new(), BTreeSet::new());
    let mut added = BTreeMap::<AccountName, usize>::new();
    for (component, jid) in newcomers {
        if known.contains(&jid) {
            made.accounts.push(jid);
            continue;
        }
        if is_full(&now, &component, added.get(&component).copied().unwrap_or(0)) {
            made.surplus.push((component, jid));
            continue;
        }
        let name = name_of(&jid, |name| now.accounts.contains_key(name) || names.contains(name));
        entries.push((name.to_string(), entry(&now, &component, &jid)));
        names.insert(name);
        *added.entry(component).or_default() += 1;
        made.accounts.push(jid);
    }
    if !entries.is_empty() {
        let new = add_all_in("account", &text, &entries).map_err(|error| failed(&error))?;
        Config::draft(&config.path, &listed, &new, &config.overrides).map_err(|error| error.to_string())?;
        put(&file, &new).map_err(|error| failed(&format!("it cannot be written ({error})")))?;
    }
    Ok(made)
}

/// Writes the file. Only this user can read a new one.
fn put(file: &Path, text: &str) -> std::io::Result<()> {
    let readers = if file.exists() { Readers::Same } else { Readers::Owner };
    atomic::write(file, text.as_bytes(), readers)
}

/// Returns the table of an account.
fn entry(config: &Config, component: &AccountName, jid: &BareJid) -> Table {
    let mut entry = Table::new();
    entry.insert("jid".to_owned(), jid.as_str().into());
    entry.insert("component".to_owned(), component.as_str().into());
    if let Some(group) = config.new_addresses.get(component).and_then(|new| new.group.as_ref()) {
        entry.insert("group".to_owned(), group.as_str().into());
    }
    entry
}

/// Returns the part of an address before the `@`, if it can name an account and no other one has that name. Otherwise the name
/// follows from the address.
fn name_of(jid: &BareJid, is_taken: impl Fn(&AccountName) -> bool) -> AccountName {
    let own = jid.node().map(NodeRef::as_str).and_then(|node| node.parse().ok()).filter(|name| !is_taken(name));
    own.unwrap_or_else(|| {
        let digits = Digest::of(jid.as_str().as_bytes()).to_hex();
        let name = format!("a-{}", digits.get(..DIGITS).unwrap_or_default());
        name.parse().expect("a letter, a hyphen and digits are a name")
    })
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    const BOTS: &str = "[group.bots]\n[component.bots]\ndomain = \"bots.example.org\"\npassword_env = \"SECRET\"\n\
        new_addresses = [\"*@bots.example.org\"]\nnew_addresses_group = \"bots\"\n";

    fn overrides() -> Overrides {
        Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() }
    }

    /// A folder with this configuration.
    fn place(more: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        std::fs::write(&path, format!("{BOTS}{more}")).unwrap();
        let config = Config::load(&path, &overrides()).unwrap();
        (folder, config)
    }

    fn newcomer(jid: &str) -> Newcomer {
        ("bots".parse().unwrap(), jid.parse().unwrap())
    }

    fn text(folder: &tempfile::TempDir) -> String {
        std::fs::read_to_string(folder.path().join("accounts.toml")).unwrap()
    }

    #[test]
    fn addresses_become_accounts_of_their_component_and_group_once() {
        let (folder, config) = place("[account.help]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n");
        let coming = ["shop@bots.example.org", "help@bots.example.org", "o.neill@bots.example.org"].map(newcomer);
        let made = write(&config, coming.to_vec()).unwrap();
        assert_eq!((made.accounts.len(), made.surplus.len()), (3, 0));
        let new = config.read_again().unwrap();
        let of_component: Vec<_> = new.accounts.values().filter(|one| one.link.component().is_some()).collect();
        assert_eq!(of_component.len(), 3);
        assert!(of_component.iter().all(|one| one.group.as_ref().is_some_and(|group| group.as_str() == "bots")));
        assert_eq!(new.accounts[&"shop".parse().unwrap()].link.jid.as_str(), "shop@bots.example.org");
        assert_eq!(new.accounts[&"help".parse().unwrap()].link.jid.as_str(), "bot@example.org", "it keeps its name");
        let before = text(&folder);
        assert!(before.starts_with(HEAD), "{before}");
        let made = write(&config, coming.to_vec()).unwrap();
        assert_eq!(
            (made.accounts.len(), text(&folder)),
            (3, before),
            "an older configuration does not write them again"
        );
    }

    #[test]
    fn a_component_has_so_many_accounts_at_most_and_then_no_file_is_read() {
        let (folder, config) = place("new_addresses_limit = 2\n");
        let coming = ["one", "two", "three"].map(|name| newcomer(&format!("{name}@bots.example.org")));
        let made = write(&config, coming.to_vec()).unwrap();
        assert_eq!((made.accounts.len(), made.surplus), (2, vec![coming[2].clone()]));
        let full = config.read_again().unwrap();
        std::fs::write(folder.path().join("parlor.toml"), "no toml").unwrap();
        let made = write(&full, coming[2..].to_vec()).unwrap();
        assert_eq!(made, Made { accounts: Vec::new(), surplus: coming[2..].to_vec() });
    }

    #[test]
    fn what_others_wrote_stays_and_a_file_with_a_mistake_is_not_written() {
        let (folder, config) = place("");
        let file = folder.path().join("accounts.toml");
        std::fs::write(&file, "# Mine.\n[account.mine]\njid = \"mine@bots.example.org\"\ncomponent = \"bots\"\n")
            .unwrap();
        let coming = vec![newcomer("new@bots.example.org")];
        write(&config, coming.clone()).unwrap();
        let after = text(&folder);
        assert!(after.starts_with("# Mine.\n[account.mine]") && after.contains("[account.new]"), "{after}");
        std::fs::write(&file, "[account.mine").unwrap();
        assert!(write(&config, coming).unwrap_err().contains("accounts.toml"));
        assert_eq!(text(&folder), "[account.mine");
    }
}
