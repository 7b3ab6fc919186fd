//! Tests of the report, and of the checks that need no server.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use parlor_plugins::admin::AdminError;
use parlor_plugins::manifest::Manifest;

use super::disk::{LITTLE_ROOM, NO_ROOM};
use super::*;

#[test]
fn an_error_of_several_lines_stands_below_itself() {
    let mut findings = Findings::default();
    findings.broken("account", "it cannot log in\nnothing was \u{1b}[2Jwritten", "do as it says");
    let text = screen(&findings.findings, None);
    let says = "broken   account  it cannot log in\n                  nothing was \\u{1b}[2Jwritten\n                  → do as it says\n";
    assert_eq!(text, says);
}

#[test]
fn the_report_fits_into_80_columns_of_a_terminal_and_is_as_it_was_for_a_pipe() {
    let mut findings = Findings::default();
    let says = "the server has no stream management (XEP-0198): what is sent while the connection is cut may be lost";
    let remedy =
        "turn it on there, if you need it; `parlor doctor --offline` looks at everything that needs no connection";
    findings.warn("account main", says, remedy);
    findings.fine(&check_of(&"x".repeat(64)), "it may run");
    let narrow = screen(&findings.findings, Some(80));
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    let column = " ".repeat(35);
    assert!(narrow.contains(&format!("\n{column}it may run\n")), "{narrow}");
    assert!(narrow.starts_with("warning  account main              the server has no stream management\n"), "{narrow}");
    let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(unwrapped(&narrow), unwrapped(&screen(&findings.findings, None)));
    assert!(screen(&findings.findings, None).contains(&format!("  {says}\n")));
}

/// A man in the middle could obtain an unbound log-in of a pinned account.
#[test]
fn an_account_is_not_logged_in_to_where_its_pins_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("parlor.db"), "x".repeat(4096)).unwrap();
    std::fs::write(folder.path().join("password"), "secret").unwrap();
    let path = folder.path().join("parlor.toml");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let text = format!(
        "[account.main]\njid = \"bot@localhost\"\npassword_file = \"password\"\nserver = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path, &parlor_config::Overrides::default()).unwrap();
    let mut findings = Findings::default();
    connection(config.accounts.values().next().unwrap(), folder.path(), &mut findings).unwrap();
    let [found] = &findings.findings[..] else { panic!("{} findings", findings.findings.len()) };
    assert_eq!(found.state, State::Broken);
    assert!(found.says.contains("parlor.db cannot be used"), "{}", found.says);
    assert!(server.accept().is_err(), "nobody connects");
}

#[test]
fn a_disk_is_told_of_before_it_is_full() {
    let mut findings = Findings::default();
    for room in [0, NO_ROOM - 1, NO_ROOM, LITTLE_ROOM - 1, LITTLE_ROOM] {
        disk::free(room, Path::new("/srv"), &mut findings);
    }
    let states: Vec<_> = findings.findings.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Broken, State::Broken, State::Warning, State::Warning, State::Fine]);
    let first = &findings.findings[0];
    assert_eq!(first.remedy.as_deref(), Some("make room: nothing can be stored or installed"));
    assert!(first.says.ends_with(" free at /srv"), "{}", first.says);
}

/// Writes a configuration that only its owner can read into a folder.
fn private_config(folder: &Path) -> Config {
    let path = folder.join("parlor.toml");
    std::fs::write(&path, "[account.main]\njid = \"bot@localhost\"\npassword_env = \"X\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let overrides = parlor_config::Overrides { environment: |_| None, ..parlor_config::Overrides::default() };
    Config::load(&path, &overrides).unwrap()
}

/// Returns what is broken about the files of a configuration.
fn broken_files(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::default();
    files::check(config, &mut findings);
    findings.findings.into_iter().filter(|one| one.state == State::Broken).collect()
}

#[test]
fn a_data_folder_that_cannot_be_written_is_told_of_with_its_path_the_cause_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let config = private_config(folder.path());
    assert!(broken_files(&config).is_empty(), "the host can create it");
    // Nobody can write into a file as into a folder, not even root.
    std::fs::write(&config.data, "").unwrap();
    std::fs::set_permissions(&config.data, std::fs::Permissions::from_mode(0o600)).unwrap();
    let found = broken_files(&config);
    let [found] = &found[..] else { panic!("{found:?}") };
    let says = format!("the data folder {} cannot be written: ", config.data.display());
    assert!(found.says.starts_with(&says), "{}", found.says);
    std::fs::remove_file(&config.data).unwrap();
    parlor_base::atomic::make_private_folder(&config.data).unwrap();
    assert!(broken_files(&config).is_empty());
    assert_eq!(std::fs::read_dir(&config.data).unwrap().count(), 0, "it leaves nothing there");
}

#[test]
fn a_file_of_accounts_that_others_may_write_or_that_a_link_does_not_reach_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (config, beside) = (private_config(folder.path()), folder.path().join("accounts.toml"));
    let broken = || broken_files(&config).into_iter().map(|one| one.says).collect::<Vec<_>>();
    std::fs::write(&beside, "").unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o666)).unwrap();
    let says = format!("others on this machine may write {}, and decide which accounts there are", beside.display());
    assert_eq!(broken(), [says]);
    std::fs::remove_file(&beside).unwrap();
    std::os::unix::fs::symlink("gone.toml", &beside).unwrap();
    let found = broken();
    let [found] = &found[..] else { panic!("{found:?}") };
    assert!(found.starts_with(&format!("the link {} leads nowhere", beside.display())), "{found}");
}

#[test]
fn a_folder_in_which_others_may_replace_the_configuration_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = private_config(folder.path());
    for (mode, is_open) in [(0o755, false), (0o775, false), (0o1777, false), (0o757, true), (0o777, true)] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let found: Vec<_> = broken_files(&config).into_iter().map(|one| (one.says, one.remedy)).collect();
        let at = folder.path().display();
        let says = format!(
            "others on this machine may put other files in the place of those in the folder {at}, and decide what the host does"
        );
        let told = (says, Some(format!("chmod o-w {at}")));
        assert_eq!(found, if is_open { vec![told] } else { Vec::new() }, "{mode:o}");
    }
}

#[test]
fn a_store_that_is_or_was_set_aside_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let found = || {
        let mut findings = Findings::default();
        store(folder.path(), &mut findings);
        findings.findings.into_iter().map(|one| (one.state, one.says)).collect::<Vec<_>>()
    };
    assert!(found().is_empty());
    std::fs::write(folder.path().join("parlor.db"), "not a database").unwrap();
    std::fs::write(folder.path().join("parlor.db.broken-1"), "").unwrap();
    let found = found();
    let [(State::Broken, broken), (State::Warning, aside)] = &found[..] else { panic!("{found:?}") };
    assert!(
        broken.ends_with("begins anew, without the data of plugins, the audit and the accounts' own keys"),
        "{broken}"
    );
    assert!(aside.contains("parlor.db.broken-1 was set aside"), "{aside}");
}

#[test]
fn the_remedy_for_a_data_folder_is_that_of_its_cause() {
    use std::io::ErrorKind;

    let overrides = parlor_config::Overrides { data: Some("/srv/a b".into()), ..parlor_config::Overrides::default() };
    let config = Config::places_in(Path::new("/etc/bots.toml"), "", &overrides).unwrap();
    for (kind, remedy) in [
        (ErrorKind::ReadOnlyFilesystem, "mount its file system for writing"),
        (ErrorKind::PermissionDenied, "chown it to the user that the host runs as, chmod u+rwx '/srv/a b'"),
        (ErrorKind::StorageFull, "make room"),
        (ErrorKind::NotADirectory, "name a folder that the host can write in `data` of /etc/bots.toml"),
    ] {
        let mut findings = Findings::default();
        files::not_written(&config, &kind.into(), &mut findings);
        let [found] = &findings.findings[..] else { panic!("{} findings", findings.findings.len()) };
        assert!(found.says.starts_with("the data folder /srv/a b cannot be written: "), "{}", found.says);
        assert!(found.remedy.as_ref().is_some_and(|found| found.starts_with(remedy)), "{found:?}");
    }
}

#[test]
fn webhooks_that_nobody_listens_for_are_told_of_with_the_reason() {
    let process = serde_json::json!({ "version": "0.1.0", "pid": 1, "since": "", "uptime": 1, "memory": 1 });
    let mut status: Status = serde_json::from_value(serde_json::json!({
        "running": true, "host": process, "data": "data", "policy": "plugins.toml", "accounts": [], "plugins": [],
        "webhooks_error": "another program listens at 127.0.0.1:8080: name another address in `listen` under [web]",
    }))
    .unwrap();
    let broken = |status: &Status| {
        let mut findings = Findings::default();
        host(status, &mut findings);
        findings.findings.into_iter().filter(|one| one.state == State::Broken).collect::<Vec<_>>()
    };
    let found = broken(&status);
    let [found] = &found[..] else { panic!("{found:?}") };
    let says = "webhooks cannot be listened for: another program listens at 127.0.0.1:8080: name another address in `listen` under [web]";
    assert_eq!((found.check.as_str(), found.says.as_str()), ("webhooks", says));
    status.webhooks_error = None;
    assert!(broken(&status).is_empty());
}

#[test]
fn a_component_that_failed_is_told_of_once_and_so_are_its_addresses() {
    let account = |name: &str, connection: &str| {
        serde_json::json!({
            "name": name, "jid": format!("{name}@bots.example.org"), "connection": connection,
            "reason": (connection == "failed").then_some("no such secret"),
        })
    };
    let process = serde_json::json!({ "version": "0.1.0", "pid": 1, "since": "", "uptime": 1, "memory": 1 });
    let status: Status = serde_json::from_value(serde_json::json!({
        "running": true, "host": process, "data": "data", "policy": "plugins.toml", "plugins": [],
        "accounts": [
            account("one", "failed"), account("two", "failed"), account("three", "connected"), account("four", "offline"),
        ],
        "components": [
            { "name": "bots", "domain": "bots.example.org", "connection": "failed", "reason": "no such secret" },
            { "name": "full", "domain": "full.example.org", "connection": "connected", "accounts": 9, "accounts_limit": 9 },
            { "name": "room", "domain": "room.example.org", "connection": "connected", "accounts": 8, "accounts_limit": 9 },
        ],
    }))
    .unwrap();
    let mut findings = Findings::default();
    host(&status, &mut findings);
    let found: Vec<_> = findings.findings.iter().map(|one| (one.state, one.says.as_str())).collect();
    assert_eq!(
        found[1..],
        [
            (
                State::Warning,
                "component full has 9 accounts, and new_addresses_limit is 9: no address becomes an account any more"
            ),
            (State::Broken, "its component bots is failed: no such secret"),
            (State::Warning, "2 accounts of the host, such as one, are failed: no such secret"),
            (State::Warning, "the host's account four is offline"),
        ]
    );
}

#[test]
fn new_addresses_on_which_no_plugin_would_run_are_told_of() {
    let found = |component: &str, accounts: &str| {
        let overrides = parlor_config::Overrides { environment: |_| None, ..parlor_config::Overrides::default() };
        let text = format!(
            "[group.shop]\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n[component.bots]\n\
             domain = \"bots.example.org\"\npassword_env = \"SECRET\"\n{component}\n"
        );
        let config = Config::parse(Path::new("parlor.toml"), &text, &overrides).unwrap();
        let digest = parlor_base::id::Digest::of(b"");
        let text = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\n{accounts}\n");
        let mut findings = Findings::default();
        plugins::without_plugins(&config, &Policy::parse(&text, Path::new("/x")).unwrap(), &mut findings);
        findings.findings.into_iter().map(|one| (one.check, one.state)).collect::<Vec<_>>()
    };
    let new = "new_addresses = [\"*@bots.example.org\"]";
    let told = [("component bots".to_owned(), State::Warning)];
    for accounts in ["main", "group:shop", "bots-red", "bots-*"].map(|one| format!("accounts = [\"{one}\"]")) {
        assert_eq!(found(new, &accounts), told, "{accounts}");
    }
    for accounts in
        ["", "accounts = [\"bots--red\"]", "accounts = [\"bots--*\"]", "enabled = false\naccounts = [\"main\"]"]
    {
        assert!(found(new, accounts).is_empty(), "{accounts}");
    }
    assert!(found("", "accounts = [\"main\"]").is_empty(), "no address becomes an account");
    let grouped = format!("{new}\nnew_addresses_group = \"shop\"");
    assert!(found(&grouped, "accounts = [\"main\"]").is_empty(), "in a group");
}

#[test]
fn webhooks_to_which_each_request_is_in_vain_are_told_of_with_what_lacks() {
    let manifest = "[plugin]\nname = \"forge\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
                    [permissions]\n\"webhooks.receive\" = { reason = \"r\" }\n\
                    [settings.key]\ntype = \"secret\"\ndescription = \"X\"\n\
                    [webhook.pull]\ndescription = \"X\"\nverify = \"gitlab\"\nsecret = \"key\"\n\
                    [webhook.push]\ndescription = \"X\"\nverify = \"github\"\nsecret = \"key\"\n\
                    [webhook.open]\ndescription = \"X\"\nverify = \"none\"\n";
    let manifest = Manifest::parse(manifest).unwrap();
    let digest = parlor_base::id::Digest::of(b"");
    let found = |web: &str, more: &str| {
        let overrides = parlor_config::Overrides { environment: |_| None, ..parlor_config::Overrides::default() };
        let text = format!("[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n{web}");
        let config = Config::parse(Path::new("parlor.toml"), &text, &overrides).unwrap();
        let text = format!("[plugin.forge]\nsource = \"forge.wasm\"\ndigest = \"{digest}\"\n{more}");
        let policy = Policy::parse(&text, Path::new("/x")).unwrap();
        let (id, entry) = policy.plugins.iter().next().unwrap();
        let mut findings = Findings::default();
        plugins::webhooks_in_vain(&config, id, entry, &manifest, &mut findings);
        findings.findings.into_iter().map(|one| (one.state, one.says)).collect::<Vec<_>>()
    };
    let granted = "[plugin.forge.grants]\n\"webhooks.receive\" = true\n";
    let set = format!("{granted}[plugin.forge.settings]\nkey = {{ file = \"key\" }}\n");
    let warning = |says: &str| (State::Warning, says.to_owned());
    let unheard = warning("it has webhooks, and the host listens for none");
    let refused = warning("each request to its webhooks is refused (pull, push): the setting key has no value");
    let listen = "[web]\nlisten = \"127.0.0.1:8080\"\n";
    assert_eq!(found("", granted), [unheard.clone(), refused.clone()]);
    assert_eq!(found(listen, granted), [refused]);
    assert_eq!(found("", &set), [unheard]);
    assert!(found(listen, &set).is_empty(), "they work");
    assert!(found("", "").is_empty(), "it gets no requests");
}

#[test]
fn hooks_without_a_rule_of_the_owner_are_told_of() {
    let digest = parlor_base::id::Digest::of(b"");
    let found = |hooks: &str, more: &str| {
        let text = format!("[hooks]\n{hooks}\n[plugin.guard]\nsource = \"guard.wasm\"\ndigest = \"{digest}\"\n{more}");
        let mut findings = Findings::default();
        plugins::hooks_without_rule(&Policy::parse(&text, Path::new("/x")).unwrap(), &mut findings);
        findings.findings.into_iter().map(|one| (one.check, one.state, one.says)).collect::<Vec<_>>()
    };
    let orders = "outgoing = [\"guard\"]\nincoming = [\"guard\"]";
    let told = found(orders, "");
    assert_eq!(told.len(), 1, "{told:?}");
    let (check, state, says) = &told[0];
    assert_eq!((check.as_str(), *state), ("hooks", State::Warning));
    assert!(says.contains("(guard)"), "{says}");
    for rule in ["pass", "stop"] {
        assert!(found(&format!("{orders}\non_failure = \"{rule}\""), "").is_empty(), "{rule}");
    }
    assert!(found(orders, "enabled = false\n").is_empty(), "it is not asked");
    assert!(found("", "").is_empty(), "no plugin is a hook");
}

#[test]
fn hooks_without_a_grant_are_told_of() {
    let digest = parlor_base::id::Digest::of(b"");
    let found = |more: &str| {
        let text = format!(
            "[hooks]\nincoming = [\"guard\"]\non_failure = \"stop\"\n\
             [plugin.guard]\nsource = \"guard.wasm\"\ndigest = \"{digest}\"\n{more}"
        );
        let mut findings = Findings::default();
        plugins::hooks_without_grant(&Policy::parse(&text, Path::new("/x")).unwrap(), &mut findings);
        findings.findings.into_iter().map(|one| (one.state, one.says)).collect::<Vec<_>>()
    };
    let says = "guard is in the order incoming, and was not granted hooks.incoming, so it counts as a hook that does not answer";
    assert_eq!(found(""), [(State::Warning, says.to_owned())]);
    assert!(found("enabled = false\n").is_empty(), "it is not asked");
    assert!(found("[plugin.guard.grants]\n\"hooks.incoming\" = [\"*\"]\n").is_empty(), "it is asked");
}

#[test]
fn names_and_rules_of_commands_that_a_running_plugin_does_not_have_are_told_of() {
    let digest = parlor_base::id::Digest::of(b"");
    let text = format!(
        "[plugin.dice]\nsource = \"dice.wasm\"\ndigest = \"{digest}\"\n\
         [plugin.dice.commands]\nroll = \"throw\"\nrol = \"cast\"\n[plugin.dice.commands.kick]\noff = true\n"
    );
    let policy = Policy::parse(&text, Path::new("/x")).unwrap();
    let found = |state: &str| {
        let plugin = serde_json::from_value(serde_json::json!({
            "id": "dice", "account": "main", "version": "0.1.0", "digest": "sha256:00", "restarts": 0, "state": state,
            "source": "dice.wasm", "commands": { "roll": "throw", "toss": "toss" },
        }));
        let mut findings = Findings::default();
        plugins::unknown_commands(&policy, &[plugin.unwrap()], &mut findings);
        findings.findings.into_iter().map(|one| one.says).collect::<Vec<_>>()
    };
    let says =
        |command: &str| format!("plugins.toml has a name or rules for its command {command}, which it does not have");
    assert_eq!(found("running"), [says("kick"), format!("{}, did you mean \"roll\"?", says("rol"))]);
    assert!(found("starting").is_empty(), "its commands are not known yet");
}

#[test]
fn another_program_where_a_host_would_listen_for_webhooks_is_told_of_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    std::fs::write(folder.path().join("password"), "secret").unwrap();
    let account = "[account.main]\njid = \"bot@localhost\"\npassword_file = \"password\"\n";
    std::fs::write(&path, format!("[web]\nlisten = \"{at}\"\n\n{account}")).unwrap();
    let config = Config::load(&path, &parlor_config::Overrides::default()).unwrap();
    let found = || {
        let mut findings = Findings::default();
        webhooks(&config, &mut findings);
        findings.findings
    };
    let told = found();
    let [one] = &told[..] else { panic!("{told:?}") };
    let says = format!("another program listens at {at}");
    assert_eq!((one.check.as_str(), one.state, &one.says), ("webhooks", State::Warning, &says));
    drop(other);
    assert!(found().is_empty(), "{:?}", found());
}

#[test]
fn keys_that_nobody_can_fetch_and_messages_that_nobody_could_read_are_told_of() {
    let account = |published: bool, undecryptable: u64| -> Account {
        serde_json::from_value(serde_json::json!({
            "name": "main", "jid": "bot@example.org/parlor", "connection": "connected",
            "encryption": {
                "omemo": true, "otr": true, "trust": "blind", "device": 27_183, "published": published, "known": 0,
                "decrypted": 0, "undecryptable": undecryptable, "encrypted": 0,
            },
        }))
        .unwrap()
    };
    let states = |account: &Account| {
        let mut findings = Findings::default();
        encryption(account, &mut findings);
        findings.findings.iter().map(|one| one.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&account(true, 0)), [State::Fine]);
    assert_eq!(states(&account(false, 0)), [State::Fine, State::Warning]);
    assert_eq!(states(&account(false, 3)), [State::Fine, State::Warning, State::Warning]);
    let mut offline = account(false, 0);
    offline.connection = "retrying".to_owned();
    assert_eq!(states(&offline), [State::Fine], "the connection is the problem, and is told of elsewhere");
    offline.encryption = None;
    assert!(states(&offline).is_empty());
}

#[cfg(feature = "cluster")]
#[test]
fn an_owner_hears_which_keys_are_still_needed_and_that_a_node_is_alone() {
    use std::collections::BTreeMap;

    use parlor::cluster::{Examined, KeyRing, NodeRow, Overview};

    let [(first, _), (earlier, _)] = [(); 2].map(|()| KeyRing::generate());
    let node = |name: &str| {
        let (name, standings) = (name.to_owned(), BTreeMap::new());
        NodeRow { name, capacity: 1, used: 0, share: 100, is_draining: false, accounts: 1, standings }
    };
    let seen = |nodes: &[&str], records: &[_]| {
        let overview = Overview { nodes: nodes.iter().map(|name| node(name)).collect(), ..Overview::default() };
        let records: BTreeMap<_, _> = records.iter().copied().collect();
        let version = "2.11.0".to_owned();
        let (limits, unfit, overview, records) = (Vec::new(), Vec::new(), Some(overview), Some(records));
        let found = Examined { version, limits, unfit, overview, records };
        let mut findings = Findings::default();
        cluster::seen(&found, first, &mut findings);
        findings.findings
    };
    let of = |findings: &[Finding]| findings.iter().map(|one| one.state).collect::<Vec<_>>();
    assert_eq!(of(&seen(&["one", "two"], &[(first, 7)])), [State::Fine, State::Fine]);
    let found = seen(&["one"], &[(first, 7), (earlier, 3)]);
    assert_eq!(of(&found), [State::Fine, State::Warning, State::Warning]);
    assert!(found[2].says.contains(&earlier.to_string()) && found[2].says.ends_with(": 3"), "{}", found[2].says);
}

#[cfg(feature = "cluster")]
#[test]
fn accounts_of_a_cluster_that_run_on_no_node_are_broken_and_a_lost_node_is_told_of() {
    use parlor::cluster::{Examined, KeyRing, LostNode, Overview};

    let status = serde_json::from_value(serde_json::json!({
        "node": "one", "running": true, "data": "data", "policy": "plugins.toml", "accounts": [], "plugins": [],
        "host": { "version": "0.1.0", "pid": 1, "since": "", "uptime": 1, "memory": 1 },
        "cluster": {
            "nats": false, "nodes": 0, "accounts": 24, "here": 0, "nowhere": 24, "files_behind": 0,
            "ills": ["this node has no lease in NATS: NATS has no room: raise max_file_store"],
        },
    }))
    .unwrap();
    let mut findings = Findings::default();
    host(&status, &mut findings);
    let broken: Vec<_> = findings.findings.iter().filter(|one| one.state == State::Broken).collect();
    assert!(broken.len() == 1 && broken[0].says.contains("raise max_file_store"), "{broken:?}");

    let lost = vec![LostNode { name: "three".to_owned(), since: std::time::SystemTime::UNIX_EPOCH }];
    let overview = Some(Overview { lost, ..Overview::default() });
    let (version, limits, unfit) = ("2.11.0".to_owned(), Vec::new(), Vec::new());
    let found = Examined { version, limits, unfit, overview, records: None };
    let mut findings = Findings::default();
    cluster::seen(&found, KeyRing::generate().0, &mut findings);
    let says: Vec<_> = findings.findings.iter().map(|one| one.says.as_str()).collect();
    assert!(says.contains(&"node three was lost in the last day, and is not back"), "{says:?}");
}

#[cfg(feature = "cluster")]
#[test]
fn a_key_of_a_cluster_that_others_can_read_or_that_is_none_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("parlor.toml"), folder.path().join("cluster.key"));
    std::fs::write(&key, "no key").unwrap();
    let text = "[cluster]\nnats = \"nats://127.0.0.1:1\"\nname = \"bots\"\nkey_file = \"cluster.key\"\n\
                [account.main]\njid = \"bot@localhost\"\npassword_env = \"X\"\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path, &parlor_config::Overrides::default()).unwrap();
    let says = |mode: u32| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut findings = Findings::default();
        cluster::check(config.cluster.as_ref().unwrap(), true, &mut findings).unwrap();
        let [found] = &findings.findings[..] else { panic!("{} findings", findings.findings.len()) };
        assert_eq!(found.state, State::Broken);
        found.says.clone()
    };
    assert!(says(0o644).contains("others on this machine may read it: chmod 600"));
    assert!(says(0o600).contains("line 1 is no key"));
}

#[test]
fn each_account_is_reported_on_which_the_host_does_not_run_a_plugin_with_what_starts_it_again() {
    let plugin = |account: &str, state: &str, reason: Option<&str>| {
        serde_json::json!({
            "id": "echo", "account": account, "version": "0.1.0", "digest": "sha256:00", "restarts": 0, "state": state,
            "source": "echo.wasm", "reason": reason,
        })
    };
    let status: Status = serde_json::from_value(serde_json::json!({
        "running": true, "data": "data", "policy": "plugins.toml", "accounts": [], "plugins": [
            plugin("one", "refused", Some("failed to order")),
            plugin("two", "quarantined", Some("it failed too often")),
            plugin("three", "backing-off", Some("it trapped")),
            plugin("four", "running", Some("version 0.2.0 did not start, so this version goes on")),
            plugin("five", "running", None),
            plugin("six", "waiting", Some("it starts when other runs")),
        ],
    }))
    .unwrap();
    let [echo, other]: [parlor_base::id::PluginId; 2] = ["echo", "other"].map(|id| id.parse().unwrap());
    assert!(plugins::is_ill(Some(&status), &echo) && !plugins::is_ill(Some(&status), &other));
    assert!(!plugins::is_ill(None, &echo));
    let mut findings = Findings::default();
    plugins::running(&status.plugins, &mut findings);
    assert!(findings.findings.iter().all(|one| one.check == "plugin echo"), "{findings:?}");
    let found: Vec<_> = findings.findings.iter().map(|one| (one.state, one.says.as_str())).collect();
    assert_eq!(
        found,
        [
            (State::Broken, "the host says that echo is refused: failed to order"),
            (State::Broken, "the host says that echo is quarantined: it failed too often"),
            (State::Broken, "the host says that echo is backing-off: it trapped"),
            (
                State::Warning,
                "the host says that echo is running: version 0.2.0 did not start, so this version goes on"
            ),
        ]
    );
    let restarts = |one: &Finding| one.remedy.as_ref().unwrap().contains("`parlor plugin restart echo` tries it again");
    assert_eq!(findings.findings.iter().map(restarts).collect::<Vec<_>>(), [true, true, false, false]);

    // The cause of a refusal that the policy check has found is not repeated.
    let mut findings = Findings::default();
    findings.broken(&check_of("echo"), "its file has changed", OR_DISABLE);
    plugins::running(&status.plugins, &mut findings);
    assert!(!findings.findings.iter().any(|one| one.says.contains("is refused")), "{findings:?}");
    assert_eq!(findings.findings.len(), 1 + 3);
}

#[test]
fn a_plugin_on_an_account_that_is_gone_is_told_of_with_what_to_change() {
    let unknown = AdminError::UnknownAccount {
        account: "main".parse().unwrap(),
        files: "parlor.toml".to_owned(),
        known: "second".to_owned(),
        near: None,
    };
    let remedy = plugins::remedy(&"echo".parse().unwrap(), &unknown);
    assert!(
        remedy.starts_with("name another in `accounts` under [plugin.echo] in plugins.toml, or add it"),
        "{remedy}"
    );
}

/// Returns the findings about so many accounts, of which every hundredth one cannot log in.
pub(crate) fn of_accounts(count: usize) -> Findings {
    let mut findings = Findings { accounts: count, ..Findings::default() };
    for number in 0..count {
        let (name, from) = (format!("a{number:04}"), findings.findings.len());
        let check = format!("account {name}");
        if number % 100 == 7 {
            findings.broken(&check, format!("{name}@example.org is refused\nby the server"), "correct it");
        } else {
            findings.warn(&check, "the server has no X", "turn it on there");
        }
        findings.all_alike(from, &name, &format!("{name}@example.org"));
    }
    findings
}

#[test]
fn what_is_the_same_of_many_accounts_is_one_finding_for_people_and_one_each_for_programs() {
    let findings = of_accounts(1_000);
    let text = screen(&findings.grouped(), None);
    let says = "warning  accounts  990 of 1000 accounts (a0000, a0001, a0002 and 987 more): the server has no X; `parlor doctor --all` names each\n\
                \x20                  → turn it on there\n\
                broken   accounts  10 of 1000 accounts (a0007, a0107, a0207 and 7 more): is refused\n\
                \x20                  by the server; `parlor doctor --all` names each\n\
                \x20                  → correct it\n";
    assert_eq!(text, says);
    let json = serde_json::to_value(&findings).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 1_000);
    assert_eq!(json["findings"][7]["says"], "a0007@example.org is refused\nby the server");
    assert_eq!(json["findings"][0].as_object().unwrap().len(), 4, "{}", json["findings"][0]);
    assert_eq!(json.as_object().unwrap().len(), 1, "nothing but the findings");
    // The last line counts what is shown.
    let last = |shown: &[Finding]| ended(shown).unwrap_err().to_string();
    assert_eq!(last(&findings.grouped()), "broken: 1 of the checks above; the report says what to do");
    assert_eq!(last(&findings.findings), "broken: 10 of the checks above; the report says what to do");
    ended(&findings.findings[..7]).unwrap();
    // Of few accounts, each is named.
    let few = screen(&of_accounts(3).grouped(), None);
    assert!(few.contains("account a0000") && few.contains("account a0002") && !few.contains(" of 3 "), "{few}");
}

#[test]
fn two_lines_about_each_of_a_thousand_accounts_are_two_lines() {
    let account = |number: u32| {
        serde_json::json!({
            "name": format!("a{number:04}"), "jid": "bot@example.org", "connection": "connected",
            "encryption": {
                "omemo": true, "otr": true, "trust": "blind", "device": number, "published": number > 4, "known": 0,
                "decrypted": number, "undecryptable": 0, "encrypted": number,
            },
            "rooms": [{
                "account": format!("a{number:04}"), "room": format!("r{number}@muc.example.org"), "state": "out", "kept": true,
                "left": { "at": "2026-11-20T06:24:00Z", "why": "kicked" }, "remedy": format!("join r{number}"),
            }],
        })
    };
    let process = serde_json::json!({ "version": "0.1.0", "pid": 1, "since": "", "uptime": 1, "memory": 1 });
    let plugin = |number: u32| {
        serde_json::json!({
            "id": "echo", "account": format!("a{number:04}"), "version": "0.1.0", "digest": "sha256:00", "restarts": 0,
            "state": "quarantined", "source": "echo.wasm", "reason": "it failed too often",
        })
    };
    let status: Status = serde_json::from_value(serde_json::json!({
        "running": true, "host": process, "data": "data", "policy": "plugins.toml",
        "accounts": (0..1_000).map(account).collect::<Vec<_>>(), "plugins": (0..1_000).map(plugin).collect::<Vec<_>>(),
    }))
    .unwrap();
    let mut findings = Findings::default();
    host(&status, &mut findings);
    let grouped = findings.grouped();
    let found: Vec<_> = grouped[1..].iter().map(|one| one.says.split_once("): ").unwrap()).collect();
    assert_eq!(
        found.iter().map(|(accounts, _)| accounts.split(" (").next().unwrap()).collect::<Vec<_>>(),
        [
            "1000 of 1000 accounts",
            "5 of 1000 accounts",
            "5 of 1000 accounts",
            "995 of 1000 accounts",
            "1000 of 1000 accounts"
        ]
    );
    assert!(found[0].1.starts_with("out of a room: kicked; "), "{found:?}");
    assert_eq!(grouped[1].remedy.as_deref(), Some("`parlor doctor --all` says what to do for each"));
    assert!(
        found[1].1.starts_with("OMEMO is on, its device is not published, OTR is allowed, blind trust; "),
        "{found:?}"
    );
    assert!(found[4].1.starts_with("the host says that echo is quarantined: it failed too often; "), "{found:?}");
    // Programs get all of them: a room, the keys and the plugin of each account, and the first five without keys for others.
    assert_eq!(findings.findings.len(), 1 + 3 * 1_000 + 5);
}
