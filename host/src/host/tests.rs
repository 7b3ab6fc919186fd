//! Tests of a host that does not log in.

pub(crate) mod component;

use std::collections::BTreeSet;
use std::path::Path;

use parlor_config::Overrides;
use parlor_plugins::admission::Admitted;
use parlor_plugins::sample;
use parlor_runtime::compiler::Bounds;
use parlor_runtime::traces::Traces;
use parlor_session::permissions::Grants;
use parlor_store::{
    Activity, AuditKind, AuditQuery, By, DataFile, LONGEST_VALUE, NewAuditEntry, Only, Owner, Tally, TallyKind, Write,
};

use super::*;

/// The configuration of a host that does not log in, in a separate folder.
fn offline(folder: &Path) -> Config {
    let path = folder.join("parlor.toml");
    let text = "[settings]\nauto_login = false\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    Config::load(&path, &overrides).unwrap()
}

/// A host that does not log in, in a separate folder.
pub(crate) async fn offline_host(folder: &Path) -> Host {
    Host::start(offline(folder), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap()
}

/// By these, plugins send. The session asks for them before it takes somebody for an owner.
#[tokio::test]
async fn each_account_knows_by_which_clients_its_host_is_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let accounts = host.accounts();
    assert!(!accounts.is_empty());
    for account in &accounts {
        assert!(accounts.iter().all(|other| account.clients.has(&other.snapshot().jid)), "{}", account.name);
        assert!(!account.clients.has(&"stranger@example.org/parlor".parse().unwrap()));
        // A message of the process before may wait on the server, or in a session that is resumed before the sender's.
        for (client, is_of_host) in [
            ("bot@example.org/parlor-0123abcd", true),
            ("bot@example.org/phone", false),
            ("stranger@example.org/parlor-0123abcd", false),
        ] {
            assert_eq!(account.clients.has(&client.parse().unwrap()), is_of_host, "{client}");
        }
    }
    drop(accounts);
    host.stop().await;
}

/// The host's clients of the others are logged in elsewhere, and plugins send by them as well.
#[cfg(feature = "cluster")]
#[tokio::test]
async fn an_account_of_a_cluster_knows_by_which_clients_other_nodes_are_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    let account = |name: &str, more: &str| {
        format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n{more}\n")
    };
    let written = |owners: &str| {
        let cluster = "[cluster]\nnats = \"tls://nats.example.org\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        let accounts = [account("bot", owners), account("juliet", ""), account("romeo", "")].concat();
        std::fs::write(&path, format!("[settings]\nauto_login = false\n{cluster}{accounts}")).unwrap();
    };
    written("owners = [\"juliet@example.org\"]");
    let config = Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap();
    let [bot, juliet, romeo] =
        ["bot", "juliet", "romeo"].map(|name| config.accounts[&name.parse::<AccountName>().unwrap()].link.jid.clone());
    let host = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
    claims::note(&host, &bot.to_bare(), Store::in_memory().into());
    claims::start(&host).await;
    let accounts = host.accounts();
    let [account] = &accounts[..] else { panic!("this node has one account") };
    assert!(account.clients.has(&juliet) && account.clients.has(&bot));
    assert!(!account.clients.has(&"juliet@example.org/balcony".parse().unwrap()));
    assert!(!account.clients.has(&romeo), "nobody asks, so this takes no memory");
    written("owners = [\"romeo@example.org\"]");
    host.reconfigure(host.config().read_again().unwrap()).await;
    assert!(account.clients.has(&romeo) && !account.clients.has(&juliet));
    drop(accounts);
    host.stop().await;
}

fn entry(folder: &Path, name: &str) -> (PluginId, Entry) {
    let digest = Digest::of(b"");
    let text = format!("[plugin.echo]\nsource = \"{name}\"\ndigest = \"{digest}\"\n");
    Policy::parse(&text, folder).unwrap().plugins.into_iter().next().unwrap()
}

#[tokio::test]
async fn of_two_plugins_that_come_at_once_under_one_id_one_is_refused_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let ((id, one), (_, two)) = (entry(folder.path(), "one.wasm"), entry(folder.path(), "two.wasm"));
    let (first, second) = tokio::join!(host.add_plugin(id.clone(), one), host.add_plugin(id, two));
    assert!(matches!(first, Err(AddError::Refused { .. })), "{first:?}");
    assert!(matches!(second, Err(AddError::Taken { .. })), "{second:?}");
    host.stop().await;
}

/// Otherwise what a plugin stores right after it was installed would be removed with what was left of an earlier one.
#[tokio::test]
async fn no_plugin_is_added_while_something_is_done_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let (id, one) = entry(folder.path(), "one.wasm");
    let action = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        host.plugins.has(&id).await
    };
    let (was_added, added) =
        tokio::join!(actions::without_plugin(&host, &id, action), host.add_plugin(id.clone(), one));
    assert_eq!(was_added, Some(false));
    assert!(matches!(added, Err(AddError::Refused { .. })), "{added:?}");
    assert_eq!(actions::without_plugin(&host, &id, async {}).await, None, "it is there");
    host.stop().await;
}

/// `parlor plugin remove --with-data` empties the file itself, once the host has said that the plugin is gone.
#[tokio::test]
async fn all_that_a_plugin_began_to_store_is_stored_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let (id, one) = entry(folder.path(), "one.wasm");
    assert!(host.add_plugin(id.clone(), one).await.is_err(), "there is no such file");
    let account = host.account(&"main".parse().unwrap()).unwrap();
    let owner = Owner { account: account.own.clone(), plugin: id.clone() };
    for number in 0..50 {
        let (key, value) = (format!("{number}"), Some(vec![7; LONGEST_VALUE]));
        let write = Write { key, value, expires: None, only: Only::Always };
        // Nobody waits for it any more.
        let _ = futures_util::poll!(Box::pin(account.data().write(owner.clone(), 1 << 30, write)));
    }
    assert!(host.take_away(&id).await);
    let file = DataFile::open(&host.config().data).unwrap().unwrap();
    let mut stored = 0;
    let read = file.each(&owner, |_| {
        stored += 1;
        Ok::<_, std::convert::Infallible>(())
    });
    read.unwrap().unwrap();
    assert_eq!(stored, 50);
    drop(account);
    host.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_written_while_the_host_runs_is_in_the_audit_before_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let was = host.config();
    let text = std::fs::read_to_string(&was.path).unwrap();
    let cluster = "[cluster]\nnats = \"tls://nats.example.org\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
    std::fs::write(&was.path, format!("{text}{cluster}")).unwrap();
    host.reconfigure(was.read_again().unwrap()).await;
    assert_eq!(host.config().cluster, None, "it counts when the host is started again");
    let query = AuditQuery { kinds: vec![AuditKind::Setting], most: 10, ..AuditQuery::default() };
    let entries = audit::of(&host).entries(query).await.unwrap();
    let found = entries.iter().find(|entry| entry.what == "setting cluster.name").unwrap();
    assert_eq!((found.way.as_str(), found.new.as_deref()), ("read again", Some("bots")));
    host.stop().await;
}

/// Writes a plugin that keeps its setting `token` secret and provides the event `door`. Returns an entry of a policy for it.
fn holder(folder: &Path, more: &str) -> String {
    let manifest = "[plugin]\nname = \"holder\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Has a secret\"\n\
        [settings.token]\ntype = \"secret\"\ndescription = \"The key of a service\"\n\
        [provides]\nevents = [\"door\"]\n";
    let bytes = wat::parse_str(sample::plugin_with(manifest)).unwrap();
    std::fs::write(folder.join("holder.wasm"), &bytes).unwrap();
    let digest = Digest::of(&bytes);
    format!("[plugin.holder]\nsource = \"holder.wasm\"\ndigest = \"{digest}\"\n{more}\n")
}

/// Writes a policy that names that plugin.
fn write_holder(folder: &Path, more: &str) {
    std::fs::write(folder.join("plugins.toml"), holder(folder, more)).unwrap();
}

/// Returns whether the secret of that plugin is hidden on an account.
fn is_hidden(host: &Host, account: &str) -> bool {
    host.account(&account.parse().unwrap()).unwrap().is_secret("token")
}

/// Returns whether another plugin may fire the event of that plugin on an account.
fn may_others_fire(host: &Host, account: &str) -> bool {
    host.account(&account.parse().unwrap()).unwrap().names.may_fire("door", &"other".parse().unwrap())
}

/// Adds an account to the configuration, and has the host read it again.
async fn add_account(host: &Host, name: &str) {
    let was = host.config();
    let text = std::fs::read_to_string(&was.path).unwrap();
    let more = format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n");
    std::fs::write(&was.path, text + &more).unwrap();
    host.reconfigure(was.read_again().unwrap()).await;
}

/// Otherwise any plugin that declares a setting of this name could read what the owner wrote for this one under `[settings]`.
#[tokio::test]
async fn the_secret_of_a_plugin_that_is_not_compiled_yet_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    write_holder(folder.path(), "");
    // Nobody compiles the plugin while the host is not tended.
    let (config, threads) = (offline(folder.path()), Threads::of_the_caller());
    let host = Host::start_at_once(config, Compiler::ThisProcess { optimized: false }, threads).await.unwrap();
    assert!(is_hidden(&host, "main"));
    assert!(!may_others_fire(&host, "main"), "nor does anybody else speak in its name");
    host.stop().await;
}

/// Otherwise another plugin could read it until this one may run.
#[tokio::test]
async fn the_secret_of_a_plugin_that_may_not_run_is_hidden_also_on_accounts_that_start_later() {
    let folder = tempfile::tempdir().unwrap();
    write_holder(folder.path(), "enabled = false");
    let host = offline_host(folder.path()).await;
    assert!(is_hidden(&host, "main"), "where it may run later");
    add_account(&host, "late").await;
    assert!(is_hidden(&host, "late"), "on an account that started after it was refused");
    std::fs::write(folder.path().join("plugins.toml"), "").unwrap();
    host.reload().await.unwrap();
    add_account(&host, "later").await;
    host.reserved.keep_on(&host.account(&"main".parse().unwrap()).unwrap(), &host.config());
    for account in ["main", "late", "later"] {
        assert!(!is_hidden(&host, account), "the plugin is gone, and its secret is still hidden on {account}");
    }
    host.stop().await;
}

/// Listeners believe that an event of this name comes from the plugin that provides it.
#[tokio::test]
async fn a_name_that_a_plugin_provides_is_its_own_where_it_is_to_run_also_while_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    write_holder(folder.path(), "enabled = false");
    let host = offline_host(folder.path()).await;
    add_account(&host, "late").await;
    assert!(!may_others_fire(&host, "main") && !may_others_fire(&host, "late"));
    write_holder(folder.path(), "enabled = false\naccounts = [\"late\", \"later\"]\nmissing_accounts = \"skip\"");
    host.reload().await.unwrap();
    assert!(may_others_fire(&host, "main") && !may_others_fire(&host, "late"), "it is to run on one of them alone");
    add_account(&host, "later").await;
    add_account(&host, "last").await;
    assert!(!may_others_fire(&host, "later") && may_others_fire(&host, "last"));
    std::fs::write(folder.path().join("plugins.toml"), "").unwrap();
    host.reload().await.unwrap();
    host.reserved.keep_on(&host.account(&"late".parse().unwrap()).unwrap(), &host.config());
    for account in ["main", "late", "later", "last"] {
        assert!(may_others_fire(&host, account), "the plugin is gone, and its name is still reserved on {account}");
    }
    host.stop().await;
}

/// It may be compiled for minutes, and would have them until the policy is applied after that.
#[tokio::test]
async fn grants_that_are_withdrawn_while_a_version_is_compiled_are_withdrawn_from_it() {
    let folder = tempfile::tempdir().unwrap();
    write_holder(folder.path(), "");
    let host = offline_host(folder.path()).await;
    let id: PluginId = "holder".parse().unwrap();
    let mut plugins = host.plugins.lock().await;
    let plugin = plugins.get_mut(&id).unwrap();
    plugin.hold_to(&id, &Grants::default());
    let Standing::Admitted { admitted, compiled, on } = &plugin.standing else { panic!("it may run") };
    let wide = Arc::new(Admitted { grants: Arc::new(Grants::all()), ..Admitted::clone(admitted) });
    let (old, engine) = (on.values().next().unwrap(), Arc::clone(&host.engine));
    let (new, _successor) = Supervised::start_beside(old, wide, Arc::clone(compiled), engine, Vec::new());
    let beside = BTreeMap::from([(new.account().name.clone(), new)]);
    plugin.tries(&beside);
    drop(plugins);
    for new in beside.into_values() {
        assert_eq!(*new.grants(), Grants::default());
        new.stop().await;
    }
    host.stop().await;
}

/// Others run while a component is compiled, which may take minutes.
#[tokio::test]
async fn what_a_plugin_has_is_reserved_before_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("compiler");
    // Another process writes it: a file that this one, or a child that is starting, has open for writing cannot be executed.
    let script = "printf '#!/bin/sh\\nexec sleep 1000\\n' > \"$0\" && chmod +x \"$0\"";
    let written = std::process::Command::new("sh").args(["-c", script]).arg(&program).status().unwrap();
    assert!(written.success());
    let compiler = Compiler::Process { program, bounds: Bounds::default(), traces: Traces::Functions };
    let host = Host::start(offline(folder.path()), compiler, Threads::of_the_caller()).await.unwrap();
    let text = holder(folder.path(), "");
    let (id, entry) = Policy::parse(&text, folder.path()).unwrap().plugins.into_iter().next().unwrap();
    let seen = async {
        while !is_hidden(&host, "main") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (may_others_fire(&host, "main"), host.plugins.has(&id).await)
    };
    let seen = tokio::select! {
        seen = tokio::time::timeout(Duration::from_mins(1), seen) => seen,
        added = host.add_plugin(id.clone(), entry) => panic!("{added:?}"),
    };
    assert_eq!(seen, Ok((false, false)), "hidden, reserved, and not there yet");
    host.stop().await;
}

/// Otherwise the first start of a host with thousands of plugins of one component compiles, plans and spreads them one by one.
#[tokio::test]
async fn plugins_of_one_file_that_wait_for_the_compiler_come_next_together() {
    let folder = tempfile::tempdir().unwrap();
    let one = holder(folder.path(), "");
    let manifest = "[plugin]\nname = \"guest\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Needs it\"\n\
        [dependencies]\nholder = \"*\"\n";
    let bytes = wat::parse_str(sample::plugin_with(manifest)).unwrap();
    std::fs::write(folder.path().join("guest.wasm"), &bytes).unwrap();
    let guest = format!("[plugin.a]\nsource = \"guest.wasm\"\ndigest = \"{}\"\n", Digest::of(&bytes));
    let twin = one.replace("[plugin.holder]", "[plugin.twin]");
    std::fs::write(folder.path().join("plugins.toml"), format!("{guest}{one}{twin}")).unwrap();
    let (config, threads) = (offline(folder.path()), Threads::of_the_caller());
    let host = Host::start_at_once(config, Compiler::ThisProcess { optimized: false }, threads).await.unwrap();
    let next: Vec<_> = late::next_to_compile(&host).await.into_iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(next, ["holder", "twin"], "the one that depends on them waits");
    host.stop().await;
}

/// Otherwise a plugin could act before the audit says who wanted it. To read it meanwhile saves time.
#[tokio::test]
async fn a_plugin_is_read_at_the_start_while_the_audit_begins_and_added_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let plugins = Policy::parse(&holder(folder.path(), ""), folder.path()).unwrap().plugins;
    let id: PluginId = "holder".parse().unwrap();
    let mut was_added = None;
    let audited = async {
        // It was read then.
        while !is_hidden(&host, "main") {
            tokio::task::yield_now().await;
        }
        was_added = Some(host.plugins.has(&id).await);
    };
    tokio::time::timeout(Duration::from_mins(1), add_ready(&host, plugins, audited)).await.unwrap();
    assert_eq!((was_added, host.plugins.has(&id).await), (Some(false), true));
    host.stop().await;
}

/// As on a full disk.
#[tokio::test]
async fn counts_and_entries_that_could_not_be_written_are_written_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let (account, audit) = (host.account(&"main".parse().unwrap()).unwrap(), audit::of(&host));
    let (kind, what) = (TallyKind::Recipient, "juliet@example.org".to_owned());
    let tally = Tally { kind, what, first: 1, last: 2, count: 7, traffic: None };
    account.records.of(&"echo".parse().unwrap());
    account.records.give_back(&Activity {
        plugin: "echo".to_owned(),
        account: "main".to_owned(),
        counts: Vec::new(),
        tallies: vec![tally],
    });
    let kept = async || {
        let recipients = audit.activity(Some("echo".to_owned()), None, None).await.unwrap().1;
        let query = AuditQuery { kinds: vec![AuditKind::Login], most: 10, ..AuditQuery::default() };
        (recipients.first().map(|one| one.count), audit.entries(query).await.unwrap().len())
    };
    audit.refuse_writes(true).await.unwrap();
    audit.put(NewAuditEntry::new(AuditKind::Login, &By::host("connection"), "logged in"));
    audit::count(&host).await;
    assert_eq!(kept().await, (None, 0));
    audit.refuse_writes(false).await.unwrap();
    audit::count(&host).await;
    assert_eq!(kept().await, (Some(7), 1));
    host.stop().await;
}

/// Otherwise an owner looks for somebody who edited the file on this node.
#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_policy_that_came_from_another_node_is_in_the_audit_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let digest = Digest::of(b"");
    let text = |id: &str| format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"{digest}\"\nenabled = false\n");
    let ways = async |id: &str| {
        let query = AuditQuery { plugin: Some(id.to_owned()), most: 10, ..AuditQuery::default() };
        let entries = audit::of(&host).entries(query).await.unwrap();
        entries.into_iter().map(|entry| entry.way).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    comes(&host, &text("one"), "version 3 of node two".to_owned());
    std::fs::write(folder.path().join("plugins.toml"), text("one")).unwrap();
    host.reload().await.unwrap();
    assert_eq!(ways("one").await, ["version 3 of node two"]);
    let both = format!("{}{}", text("one"), text("two"));
    std::fs::write(folder.path().join("plugins.toml"), both).unwrap();
    host.reload().await.unwrap();
    assert_eq!(ways("two").await, ["read again"], "somebody edited the file afterwards");
    host.stop().await;
}

/// Their senders are told to try again. In a cluster, each account has its own store, which comes with it.
#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_node_knows_the_addresses_of_disabled_plugins_on_the_accounts_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    let cluster = "[cluster]\nnats = \"tls://nats.example.org\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
    let account = "[account.bot]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    std::fs::write(&path, format!("[settings]\nauto_login = false\n{cluster}{account}")).unwrap();
    let plugin = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{}\"\nenabled = false\n", Digest::of(b""));
    let grants = "[plugin.echo.grants]\n\"webhooks.receive\" = true\n";
    std::fs::write(folder.path().join("plugins.toml"), format!("{plugin}{grants}")).unwrap();
    let config = Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap();
    let host = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
    let (bot, echo): (jid::BareJid, PluginId) = ("bot@example.org".parse().unwrap(), "echo".parse().unwrap());
    let (store, token) = (Store::in_memory(), "0".repeat(48));
    let owner = Owner { account: bot.clone(), plugin: echo.clone() };
    let addresses = store.data(parlor_base::clock::Clock::Machine).webhooks(owner);
    addresses.tokens(vec![("hook".to_owned(), token.clone())], false).await.unwrap();
    let given = parlor_runtime::webhooks::GivenToken::of(&token).unwrap();
    let rests = || host.listening.resting().borrow().has(&echo, "hook", &given);
    assert!(!rests(), "the account is not here");
    claims::note(&host, &bot, store.clone().into());
    claims::start(&host).await;
    assert!(rests());
    host.stop().await;
}
