//! How far somebody reaches who does not control the whole host: to the accounts that list this person in `owners`, or that a
//! session of the window is limited to, and to the plugins that run on no others. One host may run accounts of people who do not
//! trust each other. [`requests`] holds requests of sessions to it.

mod log;
mod places;
mod rate;
pub(super) mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config, Selector};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::policy::Policy;
use parlor_runtime::account::Shared;

use super::request::{Request, Session};
use super::views::{Plugin, Process, Status};
use crate::host::Host;

/// The reason of a plugin that also runs elsewhere, in place of one that may name files and plugins of others.
const UNTOLD: &str = "the people who run the host see why";

/// The part of the host that a person may see and control. The default is nothing.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Whether the person is an owner of each account.
    is_whole: bool,
    /// The accounts of which the person is an owner, unless that is each.
    accounts: BTreeSet<String>,
    /// The plugins that run on these accounts alone.
    plugins: BTreeSet<String>,
    /// The plugins that run on these accounts, and perhaps on others.
    present: BTreeSet<String>,
}

impl Reach {
    /// Returns the reach of a person at this moment.
    pub(super) async fn of(host: &Host, owner: &BareJid) -> Self {
        let config = host.config();
        let own = accounts_of_person(host, &config, owner);
        Self::read(config, own).await
    }

    /// Returns the reach of a session of the window at this moment: that of the person to whom its link was sent, or the accounts
    /// that its link was printed for. Another account that got the name of one of these is none of them.
    pub(super) async fn of_session(host: &Host, session: &Session) -> Self {
        let config = host.config();
        let own = accounts_of(host, &config, session);
        Self::read(config, own).await
    }

    /// Returns the reach of somebody who has these accounts. It waits for the disk. None: that of an owner of the whole host.
    async fn read(config: Arc<Config>, own: Option<BTreeSet<AccountName>>) -> Self {
        let Some(own) = own else { return Self { is_whole: true, ..Self::default() } };
        // A policy that cannot be read gives nobody a plugin.
        let reading = tokio::task::spawn_blocking(move || {
            let policy = PluginAdmin::new(&config).policy().unwrap_or_default();
            Self::part(&config, &policy, &|account| own.contains(&account.name))
        });
        reading.await.unwrap_or_default()
    }

    /// Returns the reach of somebody who has some accounts.
    fn part(config: &Config, policy: &Policy, is_own: &dyn Fn(&AccountConfig) -> bool) -> Self {
        let own = config.accounts.values().filter(|account| is_own(account));
        let accounts = own.map(|account| account.name.to_string()).collect();
        let is_within = |accounts: Option<&[Selector]>| {
            let mut chosen = config.chosen(accounts).peekable();
            chosen.peek().is_some() && chosen.all(is_own)
        };
        let named = |is_one: &dyn Fn(Option<&[Selector]>) -> bool| -> BTreeSet<String> {
            let found = policy.plugins.iter().filter(|(_, entry)| is_one(entry.accounts.as_deref()));
            found.map(|(id, _)| id.to_string()).collect()
        };
        let plugins = named(&is_within);
        let present = named(&|accounts| config.chosen(accounts).any(is_own));
        Self { is_whole: false, accounts, plugins, present }
    }

    /// Returns whether the person controls the whole host.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the accounts of the person. None: each.
    pub(super) fn own(&self) -> Option<BTreeSet<AccountName>> {
        (!self.is_whole).then(|| self.accounts.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns whether an account is one of the person's.
    pub(super) fn has(&self, account: &str) -> bool {
        self.is_whole || self.accounts.contains(account)
    }

    /// Returns whether a plugin runs, or may run, on an account of the person.
    pub(super) fn sees(&self, plugin: &str) -> bool {
        self.is_whole || self.present.contains(plugin)
    }

    /// Leaves out of the state of the host what is not the person's. Faults of files and of the host name accounts of others, and
    /// its memory and its tasks are those of all.
    pub(super) fn narrow(&self, status: &mut Status) {
        if self.is_whole {
            return;
        }
        (status.data, status.policy) = (PathBuf::new(), PathBuf::new());
        if let Some(Process { pid, memory, tasks, .. }) = &mut status.host {
            (*pid, *memory, *tasks) = (0, 0, 0);
        }
        (status.policy_error, status.config_error, status.webhooks_error) = (None, None, None);
        (status.node, status.cluster, status.nodes, status.nowhere) = (None, None, Vec::new(), Vec::new());
        status.components.clear();
        status.accounts.retain(|account| self.has(&account.name));
        for account in &mut status.accounts {
            account.node = None;
        }
        self.narrow_plugins(&mut status.plugins);
    }

    /// Leaves out places of plugins that are not the person's, and the nodes of the others. A plugin that also runs elsewhere may be
    /// granted and kept to rooms of others, come from a folder of theirs, and wait for their plugins.
    fn narrow_plugins(&self, plugins: &mut Vec<Plugin>) {
        plugins.retain(|plugin| self.shows(plugin));
        for plugin in plugins {
            plugin.node = None;
            if self.controls(&plugin.id) {
                continue;
            }
            (plugin.grants, plugin.rooms) = (None, None);
            plugin.source.clear();
            if plugin.is_behind() || ["waiting", "refused"].contains(&plugin.state.as_str()) {
                plugin.reason = Some(UNTOLD.to_owned());
            }
        }
    }

    /// Returns whether the person sees a plugin in this place. One that may not run at all has no account.
    pub(super) fn shows(&self, plugin: &Plugin) -> bool {
        let is_own = match &plugin.account {
            Some(account) => self.has(account),
            None => self.plugins.contains(&plugin.id),
        };
        self.is_whole || is_own
    }

    /// Returns whether the person may let a plugin run, keep it from running, or start it anew: that happens on all of its
    /// accounts at once.
    pub(super) fn controls(&self, plugin: &str) -> bool {
        self.is_whole || self.plugins.contains(plugin)
    }

    /// Refuses a change of a plugin that runs, or may run, on an account of somebody else. `running`: the plugin in each place
    /// where it is now, which differs from the policy until that is read again.
    pub(super) fn may_change(&self, id: &PluginId, running: &[Plugin]) -> Result<(), String> {
        if self.controls(id.as_str()) && running.iter().all(|plugin| self.shows(plugin)) {
            return Ok(());
        }
        if !running.iter().any(|plugin| self.shows(plugin)) {
            // This is also the answer for a plugin of others: its name is nobody else's business.
            return Err(format!("there is no plugin {id} on your accounts"));
        }
        Err(format!(
            "plugin {id} also runs, or may run, on accounts that are not yours, so you cannot change it from here. Ask the people who \
             run the host to install it once more for your accounts alone, under another id"
        ))
    }
}

/// Returns the accounts that a session of the window reaches at this moment, without waiting for the disk. None: it reaches the whole
/// host.
fn accounts_of(host: &Host, config: &Config, session: &Session) -> Option<BTreeSet<AccountName>> {
    match (&session.accounts, &session.jid) {
        (Some(named), _) => Some(own_accounts(host, config, &|account| is_named(named, account))),
        (None, Some(jid)) => accounts_of_person(host, config, jid),
        (None, None) => None,
    }
}

/// Returns the accounts of which somebody is an owner. None: the whole host is this person's.
fn accounts_of_person(host: &Host, config: &Config, owner: &BareJid) -> Option<BTreeSet<AccountName>> {
    let own = || own_accounts(host, config, &|account| account.owners.contains(owner));
    (!config.is_owned_by(owner)).then(own)
}

/// Returns the accounts of this host that the session of a request reaches: no other ones are asked anything for it.
pub(super) fn reached(host: &Host, request: &Request) -> Vec<Arc<Shared>> {
    match only(host, request) {
        Some(own) => own.iter().filter_map(|name| host.account(name)).collect(),
        None => host.accounts(),
    }
}

/// Returns the accounts that a session of some accounts reaches. None: the request is of somebody who controls the whole host.
pub(super) fn only(host: &Host, request: &Request) -> Option<BTreeSet<AccountName>> {
    request.by.as_ref().and_then(|session| accounts_of(host, &host.config(), session))
}

/// Returns the names of somebody's accounts. While the name of an account goes to another address, nobody has the account: the account
/// that runs under this name is still the former one.
fn own_accounts(host: &Host, config: &Config, is_own: &dyn Fn(&AccountConfig) -> bool) -> BTreeSet<AccountName> {
    let goes = |account: &AccountConfig| {
        let running = host.account(&account.name);
        is_another(running.as_ref().map(|running| &running.own), account)
    };
    let own = config.accounts.values().filter(|account| is_own(account) && !goes(account));
    own.map(|account| account.name.clone()).collect()
}

/// Returns whether the account that runs under the name of a configured account has another address. `running`: the address of the one
/// that runs here, if there is one.
fn is_another(running: Option<&BareJid>, account: &AccountConfig) -> bool {
    running.is_some_and(|running| *running != account.link.jid.to_bare())
}

/// Returns whether a session reaches some accounts alone. `is_of_all`: whether a person is an owner of each account.
pub(super) fn is_of_some(session: &Session, is_of_all: impl FnOnce(&BareJid) -> bool) -> bool {
    match (&session.accounts, &session.jid) {
        (Some(_), _) => true,
        (None, Some(jid)) => !is_of_all(jid),
        (None, None) => false,
    }
}

/// Returns whether an account is one of those that a session was made for.
fn is_named(own: &BTreeMap<AccountName, BareJid>, account: &AccountConfig) -> bool {
    own.get(&account.name).is_some_and(|jid| *jid == account.link.jid.to_bare())
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;
    use serde_json::json;

    use super::*;

    const ANN: &str = "ann@example.org";

    /// Returns the reach of Ann, who owns `red` and `rose`, on a host where Bob owns `blue`.
    pub(super) fn reach() -> Reach {
        let ann: BareJid = ANN.parse().unwrap();
        reach_of(&|account| account.owners.contains(&ann))
    }

    fn reach_of(is_own: &dyn Fn(&AccountConfig) -> bool) -> Reach {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let account = |name: &str, owner: &str| {
            format!(
                "[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\nowners = [\"{owner}@example.org\"]\n"
            )
        };
        let text = account("red", "ann") + &account("rose", "ann") + &account("blue", "bob");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap();
        let plugin = |id: &str, accounts: &str| {
            format!("[plugin.{id}]\nsource = \"a.wasm\"\ndigest = \"sha256:{}\"\n{accounts}\n", "0".repeat(64))
        };
        let policy = plugin("own", "accounts = [\"red\"]")
            + &plugin("both", "accounts = [\"red\", \"blue\"]")
            + &plugin("every", "")
            + &plugin("reds", "accounts = [\"r*\"]")
            + &plugin("nowhere", "accounts = [\"x*\"]")
            + &plugin("bobs", "accounts = [\"blue\"]");
        let file = folder.path().join("plugins.toml");
        std::fs::write(&file, policy).unwrap();
        Reach::part(&config, &Policy::load(&file).unwrap(), is_own)
    }

    #[test]
    fn an_account_that_got_the_name_of_a_former_one_is_another_one() {
        let of = |red: &str| {
            let own: BTreeMap<AccountName, BareJid> = BTreeMap::from([("red".parse().unwrap(), red.parse().unwrap())]);
            let reach = reach_of(&|account| is_named(&own, account));
            (reach.has("red"), reach.controls("own"), reach.has("rose"))
        };
        assert_eq!(of("red@example.org"), (true, true, false));
        assert_eq!(of("former@example.org"), (false, false, false));
    }

    #[test]
    fn a_session_is_of_some_accounts_by_its_link_or_its_person() {
        let session = |accounts: Option<BTreeMap<AccountName, BareJid>>, jid: Option<&str>| {
            let jid = jid.map(|jid| jid.parse().unwrap());
            Session { name: "quiet-otter".to_owned(), jid, accounts }
        };
        let of = |session: &Session| [true, false].map(|is_of_all| is_of_some(session, |_| is_of_all));
        assert_eq!(of(&session(None, None)), [false; 2]);
        assert_eq!(of(&session(None, Some(ANN))), [false, true]);
        assert_eq!(of(&session(Some(BTreeMap::new()), None)), [true; 2]);
    }

    #[test]
    fn an_account_whose_name_goes_to_another_address_is_nobodys_meanwhile() {
        let of = |running: Option<&str>| {
            let running = running.map(|jid| jid.parse::<BareJid>().unwrap());
            let reach = reach_of(&|account| account.name.as_str() == "red" && !is_another(running.as_ref(), account));
            (reach.has("red"), reach.controls("own"))
        };
        assert_eq!([of(None), of(Some("red@example.org"))], [(true, true); 2]);
        assert_eq!(of(Some("former@example.org")), (false, false));
    }

    /// Returns a plugin, as `parlor status --json` shows it.
    pub(super) fn plugin(id: &str, account: Option<&str>) -> Plugin {
        let text = json!({
            "id": id, "account": account, "state": "running", "version": null, "digest": "sha256:00", "source": "a.wasm", "restarts": 0
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn an_owner_sees_the_own_accounts_and_plugins_there_and_no_fault_of_the_host() {
        let account =
            |name: &str| json!({ "name": name, "jid": format!("{name}@example.org"), "connection": "connected" });
        let text = json!({
            "running": true, "data": "data",
            "host": { "version": "0.1.0", "pid": 7, "since": "", "uptime": 5, "memory": 9, "tasks": 3 }, "policy": "plugins.toml", "policy_error": "blue is bad",
            "config_error": "blue is worse", "webhooks_error": "in use", "accounts": [account("blue"), account("red")],
            "nowhere": [{ "name": "blue", "node": "a", "reason": "it is full" }], "plugins": []
        });
        let mut status: Status = serde_json::from_value(text).unwrap();
        let places =
            [("both", Some("red")), ("both", Some("blue")), ("bobs", None), ("own", None), ("every", Some("blue"))];
        status.plugins = places.map(|(id, account)| plugin(id, account)).into();
        for plugin in &mut status.plugins {
            plugin.rooms = Some(vec!["hall@rooms.example.org".to_owned()]);
            plugin.reason = Some("/home/bob/new.wasm is no plugin, so this version goes on".to_owned());
            plugin.node = Some("two".to_owned());
        }
        (status.node, status.accounts[1].node) = (Some("one".to_owned()), Some("two".to_owned()));
        let whole = status.clone();
        reach().narrow(&mut status);
        assert_eq!(status.accounts.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["red"]);
        let seen: Vec<_> = status.plugins.iter().map(|one| (one.id.as_str(), one.account.as_deref())).collect();
        assert_eq!(seen, [("both", Some("red")), ("own", None)]);
        // The rooms of a plugin that runs elsewhere, too, are those of others.
        let shown: Vec<_> = status.plugins.iter().map(|one| (one.rooms.is_some(), one.source.as_str())).collect();
        assert_eq!(shown, [(false, ""), (true, "a.wasm")]);
        let reasons: Vec<_> = status.plugins.iter().filter_map(|one| one.reason.as_deref()).collect();
        assert_eq!((reasons[0], reasons[1].contains("/home/bob")), (UNTOLD, true));
        // The nodes of a cluster are not the business of its customers.
        let nodes = status.accounts.iter().map(|one| &one.node).chain(status.plugins.iter().map(|one| &one.node));
        assert!(nodes.chain([&status.node]).all(Option::is_none), "{status:?}");
        let host = status.host.as_ref().unwrap();
        assert_eq!((host.pid, host.memory, host.tasks, host.uptime), (0, 0, 0, 5));
        assert_eq!((&status.data, &status.policy), (&PathBuf::new(), &PathBuf::new()));
        assert_eq!(status.warnings().chain(status.host_ills()).collect::<Vec<_>>(), [""; 0]);
        let mut all = whole.clone();
        Reach { is_whole: true, ..Reach::default() }.narrow(&mut all);
        assert_eq!(all, whole);
    }

    /// It has a place on each account where it has run before, with the reason of the whole host.
    #[test]
    fn an_owner_is_not_told_why_a_plugin_that_also_runs_elsewhere_was_refused() {
        let refused = |id: &str| Plugin {
            state: "refused".to_owned(),
            reason: Some("/home/bob/new.wasm cannot be read".to_owned()),
            ..plugin(id, Some("red"))
        };
        let mut plugins = vec![refused("both"), refused("own")];
        reach().narrow_plugins(&mut plugins);
        let reasons: Vec<_> = plugins.iter().filter_map(|one| one.reason.as_deref()).collect();
        assert_eq!(reasons, [UNTOLD, "/home/bob/new.wasm cannot be read"]);
    }

    #[test]
    fn an_owner_changes_plugins_that_run_on_the_own_accounts_alone() {
        let reach = reach();
        let may = |id: &str, accounts: &[&str]| {
            let running: Vec<_> = accounts.iter().map(|account| plugin(id, Some(*account))).collect();
            reach.may_change(&id.parse().unwrap(), &running)
        };
        assert_eq!(may("own", &["red"]), Ok(()));
        assert_eq!(may("reds", &["red", "rose"]), Ok(()));
        for (id, accounts) in
            [("both", &["red", "blue"][..]), ("every", &["blue", "red", "rose"]), ("own", &["red", "blue"])]
        {
            let refused = may(id, accounts).unwrap_err();
            assert!(refused.contains("accounts that are not yours") && !refused.contains("blue"), "{refused}");
        }
        // A plugin of others is told apart from none by nothing.
        for (id, accounts) in [("bobs", &["blue"][..]), ("nothing", &[]), ("nowhere", &[])] {
            assert_eq!(may(id, accounts), Err(format!("there is no plugin {id} on your accounts")));
        }
        let nobody = Reach::default();
        assert!(nobody.may_change(&"own".parse().unwrap(), &[plugin("own", Some("red"))]).is_err());
    }
}
