//! Valid and invalid configurations.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use jid::BareJid;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const MINIMAL: &str = "[account.main]\njid = \"bot@example.org\"\npassword_file = \"bot.password\"\n";

fn folder(toml: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    fs::write(&path, toml).unwrap();
    let password = folder.path().join("bot.password");
    fs::write(&password, "canary\n").unwrap();
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    (folder, path)
}

fn quiet() -> Overrides {
    Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() }
}

fn load(toml: &str) -> Result<Config, ConfigError> {
    let (_folder, path) = folder(toml);
    Config::load(&path, &quiet())
}

/// Returns the error without the name of the temporary folder.
fn refused(toml: &str) -> String {
    let (folder, path) = folder(toml);
    let error = Config::load(&path, &quiet()).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn main_of(config: &Config) -> &AccountConfig {
    &config.accounts[&"main".parse().unwrap()]
}

#[test]
fn little_is_enough() {
    let (folder, path) = folder(MINIMAL);
    let config = Config::load(&path, &quiet()).unwrap();
    assert_eq!(config.data, folder.path().join("data"));
    assert_eq!(config.plugins, folder.path().join("plugins.toml"));
    assert_eq!(config.log, "info");
    assert_eq!(config.warnings, [""; 0]);
    let main = main_of(&config);
    assert_eq!(main.link.password, PasswordSource::File(folder.path().join("bot.password")));
    assert_eq!(
        (main.link.tls, main.link.allow_plain, &main.link.server, &main.link.ca_file),
        (None, false, &None, &None)
    );
    assert_eq!(main.settings, Settings::default());
}

#[test]
fn everything_is_read() {
    let (folder, path) = folder(
        r#"
        data = "/var/lib/parlor"
        plugins = "policy.toml"
        log = "warn,parlor=debug"
        [account.main]
        jid = "Bot@Example.org/bot"
        password_command = "pass show bot"
        server = "127.0.0.1:5222"
        tls = "direct"
        ca_file = "ca.pem"
        allow_plain = true
        [account.main.settings]
        nickname = "main"
        [account.second]
        jid = "bot@example.net"
        password_env = "SECOND"
        [settings]
        auto_join_rooms = ["room@conference.example.org"]
        nickname = "bot"
        greeting = { words = ["hello", 1, 1.5, true, 2026-01-01] }
        "#,
    );
    fs::write(folder.path().join("ca.pem"), "").unwrap();
    let config = Config::load(&path, &quiet()).unwrap();
    assert_eq!(config.data, Path::new("/var/lib/parlor"));
    assert_eq!(config.plugins, folder.path().join("policy.toml"));
    let main = main_of(&config);
    assert_eq!(main.link.jid.as_str(), "bot@example.org/bot");
    assert_eq!(main.link.password, PasswordSource::Command("pass show bot".into()));
    assert_eq!(main.link.server, Some(Endpoint { host: "127.0.0.1".into(), port: Some(5222) }));
    assert_eq!((main.link.tls, main.link.allow_plain), (Some(TlsMode::Direct), true));
    assert_eq!(main.settings.nickname.as_deref(), Some("main"));
    assert_eq!(main.settings.auto_join_rooms.len(), 1);
    let second = &config.accounts[&"second".parse().unwrap()];
    assert_eq!(second.link.password, PasswordSource::Environment("SECOND".into()));
    assert_eq!(second.settings.nickname.as_deref(), Some("bot"));
    assert_eq!(second.settings.get("greeting"), Some(json!({ "words": ["hello", 1, 1.5, true, "2026-01-01"] })));
    assert_eq!(second.settings.unknown().collect::<Vec<_>>(), [("greeting", None)]);
}

const GROUPS: &str = r#"
    [group.shop]
    server = "shop.example.org:5222"
    tls = "direct"
    keep_unsent = "2 h"
    owners = ["juliet@example.org"]
    [group.shop.encryption]
    trust = "strict"
    announce = false
    [group.shop.settings]
    nickname = "shop"
    priority = 5
    [group.empty]
    [settings]
    nickname = "bot"
    auto_subscribe = true
    [account.main]
    jid = "bot@example.org"
    password_file = "bot.password"
    group = "shop"
    [account.own]
    jid = "own@example.org"
    password_env = "OWN"
    group = "shop"
    tls = "starttls"
    owners = []
    [account.own.encryption]
    announce = true
    [account.own.settings]
    priority = 1
    [account.alone]
    jid = "alone@example.org"
    password_env = "ALONE"
"#;

#[test]
fn an_account_has_what_its_group_says_where_it_says_nothing() {
    let config = load(GROUPS).unwrap();
    assert_eq!(config.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["empty", "shop"]);
    let [main, own, alone] = ["main", "own", "alone"].map(|name| &config.accounts[&name.parse().unwrap()]);
    let server = Some(Endpoint { host: "shop.example.org".into(), port: Some(5222) });
    assert_eq!((main.group.as_ref().map(GroupName::as_str), &alone.group), (Some("shop"), &None));
    assert_eq!((&main.link.server, &own.link.server, &alone.link.server), (&server, &server, &None));
    assert_eq!((main.link.tls, own.link.tls, alone.link.tls), (Some(TlsMode::Direct), Some(TlsMode::StartTls), None));
    assert_eq!((main.owners.len(), own.owners.len(), alone.owners.len()), (1, 0, 0));
    assert_eq!(main.link.keep_unsent, Duration::from_hours(2));
    let trust = [main, own, alone].map(|account| (account.encryption.trust, account.encryption.announce));
    assert_eq!(trust, [(TrustPolicy::Strict, false), (TrustPolicy::Strict, true), (TrustPolicy::Blind, true)]);
    let settings = |account: &AccountConfig| {
        (account.settings.nickname.clone(), account.settings.priority, account.settings.auto_subscribe)
    };
    assert_eq!(settings(main), (Some("shop".to_owned()), 5, true));
    assert_eq!(settings(own), (Some("shop".to_owned()), 1, true));
    assert_eq!(settings(alone), (Some("bot".to_owned()), 0, true));
}

/// The host calls an account of a new address of a component `bots--red`.
#[test]
fn an_account_is_found_by_its_address_for_those_who_do_not_know_its_name() {
    let account = |name: &str, jid: &str| format!("[account.{name}]\njid = \"{jid}\"\npassword_env = \"NONE\"\n");
    let text = [
        ("bots--red", "red@bots.example.org"),
        ("main", "bot@example.org"),
        ("rad", "twin@a.example"),
        ("two", "twin@b.example"),
    ];
    let config = load(&text.map(|(name, jid)| account(name, jid)).concat()).unwrap();
    for (typed, name) in [
        ("red", Some("bots--red")),
        ("red@bots.example.org", Some("bots--red")),
        ("Red@Bots.example.org", Some("bots--red")),
        ("bot", Some("main")),
        ("rd", Some("rad")),
        ("mian", Some("main")),
        ("twin", None),
        ("red@example.org", None),
        ("@", None),
    ] {
        assert_eq!(config.meant_by(typed).map(AccountName::as_str), name, "{typed}");
    }
    let refused = "red@bots.example.org".parse::<AccountName>().unwrap_err().to_string();
    assert!(
        refused.ends_with("; this is an address, and `parlor account list` shows the name of its account"),
        "{refused}"
    );
    assert!(!"Red".parse::<AccountName>().unwrap_err().to_string().contains("address"));
}

/// Accounts of one host may be of people who do not trust each other.
#[test]
fn a_person_owns_the_host_who_is_an_owner_of_each_account() {
    let account = |name: &str, owners: &str| {
        format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n{owners}\n")
    };
    let owns = |text: &str, jid: &str| load(text).unwrap().is_owned_by(&jid.parse().unwrap());
    let (ann, bob) = ("ann@example.org", "bob@example.org");
    let both = account("red", "owners = [\"ann@example.org\", \"bob@example.org\"]");
    let hers = account("blue", "owners = [\"ann@example.org\"]");
    assert!(owns(&both, ann) && owns(&both, bob) && !owns(&both, "eve@example.org"));
    let two = both + &hers;
    assert!(owns(&two, ann) && !owns(&two, bob));
    // An account without owners is of the people who run the host, unless strangers made it.
    assert!(!owns(&(two.clone() + &account("bare", "")), ann));
    assert!(owns(&(two.clone() + &account("bots--red", "")), ann));
    assert!(!owns(&(two + &account("bots--red", "owners = [\"bob@example.org\"]")), ann));
    assert!(!owns(&account("bots--red", ""), ann), "somebody owns a host without an account of a person");
}

#[test]
fn selectors_name_accounts_and_groups_that_there_are() {
    let config = load(GROUPS).unwrap();
    let chosen = |texts: &[&str]| -> Vec<String> {
        let selectors: Vec<Selector> = texts.iter().map(|text| text.parse().unwrap()).collect();
        config.chosen(Some(&selectors)).map(|account| account.name.to_string()).collect()
    };
    assert_eq!(chosen(&["group:shop"]), ["main", "own"]);
    assert_eq!(chosen(&["a*", "own"]), ["alone", "own"]);
    assert_eq!(chosen(&["group:empty", "nobody"]), [""; 0]);
    assert_eq!(config.chosen(None).count(), 3);
    for (text, is_there) in
        [("main", true), ("nobody", false), ("group:empty", true), ("group:nobody", false), ("x*", true)]
    {
        assert_eq!(config.has(&text.parse().unwrap()), is_there, "{text}");
    }
    assert_eq!(config.known_like(&"group:x".parse().unwrap()), "empty, shop");
    assert_eq!(config.known_like(&"x".parse().unwrap()), "alone, main, own");
}

#[test]
fn what_is_wrong_in_a_group_names_its_place() {
    for (groups, says) in [
        ("[group.a]\npassword_file = \"x\"", "2:1: password_file is no key of a group: write it under [account.NAME]"),
        ("[group.a]\njid = \"a@b\"", "2:1: jid is no key of a group"),
        ("[group.a]\ngroup = \"b\"", "2:1: group is no key of a group"),
        ("[group.a]\npassword = \"s3cr3t\"", "2:1: a password does not belong into this file"),
        ("[group.a]\npriority = 1", "2:1: priority is a setting: write it under [group.a.settings]"),
        ("[group.a]\nsrever = \"x\"", "2:1: unknown key \"srever\" in [group.a], did you mean \"server\"?"),
        ("[group.a]\ntls = \"no\"", "2:7: tls = \"no\" does not exist"),
        ("[group.a]\nserver = \"http://x\"", "2:10: \"http://x\" is no server"),
        ("[group.a]\nca_file = \"gone.pem\"", "2:11: ca_file names gone.pem"),
        ("[group.a]\nowners = [\"example.org\"]", "2:10: \"example.org\" is not the JID of an account"),
        ("[group.a.settings]\npriority = \"high\"", "2:12: "),
        ("[group.a.settings]\nserver = \"x\"", "server is no setting: move it to [group.a]"),
        (
            "[group.a.settings]\njid_ = 1\npassword_file = \"x\"",
            "password_file is no setting: move it to [account.NAME]",
        ),
        ("[group.A]", "1:8: \"A\" cannot name a group"),
        ("[group]\nserver = \"x\"", "2:10: group.server must be a table"),
    ] {
        let said = refused(&format!("{groups}\n{MINIMAL}"));
        assert!(said.contains(says) && said.starts_with("parlor.toml:"), "{says}: {said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let said = refused(&format!("{MINIMAL}group = \"shpo\"\n[group.shop]\n"));
    let says = "4:9: there is no group \"shpo\"; write a table for it, such as [group.support], which may be empty, did you mean \"shop\"?";
    assert!(said.contains(says), "{said}");
}

/// A configuration of many accounts is read quickly: neither places nor addresses take the square of their number.
#[test]
fn five_thousand_accounts_are_read_and_the_last_mistake_has_its_line() {
    let account = |number: usize| {
        format!("[account.a{number}]\njid = \"a{number}@example.org\"\npassword_env = \"X\"\ngroup = \"g\"\n")
    };
    let text: String = std::iter::once("[group.g]\n".to_owned()).chain((0..5_000).map(account)).collect();
    assert_eq!(load(&text).unwrap().accounts.len(), 5_000);
    let said = refused(&format!("{text}[account.last]\njid = \"a7@example.org\"\npassword_env = \"X\"\n"));
    assert!(said.starts_with("parlor.toml:20002:") && said.contains("the accounts a7 and last are the same"), "{said}");
}

/// Rows 1.
#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let toml = format!(
        "data = \"file\"\nlog = \"warn\"\n{MINIMAL}[account.main.settings]\nnickname = \"file\"\npriority = 1\nauto_subscribe = true\n"
    );
    let (folder, path) = folder(&toml);
    let mut overrides = Overrides {
        environment: |name| match name {
            "PARLOR_DATA" | "PARLOR_SETTING_NICKNAME" => Some("environment".into()),
            "PARLOR_LOG" => Some("debug".into()),
            "PARLOR_SETTING_PRIORITY" => Some("2".into()),
            _ => None,
        },
        ..Overrides::default()
    };
    let config = Config::load(&path, &overrides).unwrap();
    assert_eq!((config.data.as_path(), config.log.as_str()), (Path::new("environment"), "debug"));
    assert_eq!(config.plugins, folder.path().join("plugins.toml"));
    let settings = &main_of(&config).settings;
    assert_eq!(
        (settings.nickname.as_deref(), settings.priority, settings.auto_subscribe),
        (Some("environment"), 2, true)
    );

    overrides.data = Some("flag".into());
    overrides.plugins = Some("flag.toml".into());
    overrides.log = Some("error".into());
    overrides.settings = vec![("nickname".into(), "\"flag\"".into()), ("mine".into(), "[1]".into())];
    let config = Config::load(&path, &overrides).unwrap();
    assert_eq!((config.data.as_path(), config.log.as_str()), (Path::new("flag"), "error"));
    assert_eq!(config.plugins, Path::new("flag.toml"));
    let settings = &main_of(&config).settings;
    assert_eq!((settings.nickname.as_deref(), settings.priority), (Some("flag"), 2));
    assert_eq!(settings.get("mine"), Some(json!([1])));
    assert_eq!(config.settings.nickname.as_deref(), Some("flag"));
}

#[test]
fn a_variable_that_names_no_setting_is_warned_of() {
    let (_folder, path) = folder(MINIMAL);
    let names =
        || ["PARLOR_SETTING_NICKNAM", "PARLOR_SETTING_PRIORITY", "PARLOR_DATA", "HOME"].map(str::to_owned).to_vec();
    let config = Config::load(&path, &Overrides { variables: names, ..quiet() }).unwrap();
    assert_eq!(
        config.warnings,
        [
            r#"the variable "PARLOR_SETTING_NICKNAM" of the environment names no setting, did you mean "PARLOR_SETTING_NICKNAME"?"#
        ]
    );
}

#[test]
fn what_was_typed_is_wrong_usage_and_what_a_file_says_is_not() {
    let (_folder, path) = folder(MINIMAL);
    let usage = |overrides: Overrides| Config::load(&path, &overrides).unwrap_err().is_usage();
    let set = |value: &str| Overrides { settings: vec![("priority".into(), value.into())], ..quiet() };
    assert!(usage(set("high")) && usage(set("900")));
    assert!(usage(Overrides { log: Some("parlor=loud".into()), ..quiet() }));
    assert!(!usage(Overrides {
        environment: |name| (name == "PARLOR_SETTING_PRIORITY").then(|| "900".into()),
        ..quiet()
    }));
    let (_folder, path) = folder(&format!("log = \"parlor=loud\"\n{MINIMAL}"));
    assert!(!Config::load(&path, &quiet()).unwrap_err().is_usage());
}

#[test]
fn a_wrong_flag_or_variable_is_named() {
    let (_folder, path) = folder(MINIMAL);
    let set = |key: &str, value: &str| {
        let overrides = Overrides { settings: vec![(key.into(), value.into())], ..quiet() };
        Config::load(&path, &overrides).unwrap_err().to_string()
    };
    assert_eq!(
        set("priority", "high"),
        "--set: the value of \"priority\" is not JSON (it cannot be parsed): write true, 5, '\"text\"' or '[\"a\",\"b\"]'"
    );
    assert_eq!(
        set("priority", "true"),
        "--set: the setting \"priority\" must be a whole number from -128 to 127, not true or false"
    );
    let variable = Overrides {
        environment: |name| (name == "PARLOR_SETTING_DEFAULT_STATE").then(|| "asleep".to_owned()),
        ..quiet()
    };
    assert_eq!(
        Config::load(&path, &variable).unwrap_err().to_string(),
        "PARLOR_SETTING_DEFAULT_STATE: the setting \"default_state\" must be one of \"online\", \"chat\", \"away\", \"dnd\", \"xa\", \"offline\", \"unavailable\""
    );
    // A misspelt level would be parsed as a target, and nothing would be logged.
    for wrong in ["parlor=loud", "debgu", "info,wran", "info, debug"] {
        let log = Overrides { log: Some(wrong.into()), ..quiet() };
        assert_eq!(
            Config::load(&path, &log).unwrap_err().to_string(),
            format!(
                "--log: {wrong:?} does not say what to log: write a level such as \"info\", or \"info,parlor=debug\""
            )
        );
    }
    for right in ["WARN", "off", "info,parlor=debug", "info,", "parlor", "warn,parlor::plugins", "info,[handle]=debug"]
    {
        let log = Overrides { log: Some(right.into()), ..quiet() };
        assert_eq!(Config::load(&path, &log).unwrap().log, right);
    }
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    let error = Config::load(&path, &quiet()).unwrap_err().to_string();
    let path = path.display();
    assert_eq!(error, format!("there is no configuration file {path}: `parlor init --config {path}` writes one"));
    let usual = Config::load(Path::new("parlor.toml"), &quiet()).unwrap_err().to_string();
    assert!(usual.contains("`parlor init` writes one"), "{usual}");
    assert!(matches!(Config::load(folder.path(), &quiet()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let error = load(&"# much\n".repeat(3_000_000)).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
}

#[test]
fn errors_of_accounts_say_where_what_and_what_to_write() {
    for (toml, error) in [
        ("", "parlor.toml: there is no account: write [account.main] with a jid and a password_file"),
        ("[account]", "parlor.toml: there is no account: write [account.main] with a jid and a password_file"),
        (
            "[acount.main]\njid = \"a@b\"",
            "parlor.toml:1:2: unknown key \"acount\" at the top of the file, did you mean \"account\"?",
        ),
        (
            "[account.main]\njid = \"a@b\"\npasword_file = \"x\"",
            "parlor.toml:3:1: unknown key \"pasword_file\" in [account.main], did you mean \"password_file\"?",
        ),
        (
            "[account]\njid = \"a@b\"",
            "parlor.toml:2:1: an account needs a name: write [account.main] in place of [account]",
        ),
        (
            "[account.main]\njid = \"a@b\"\nnickname = \"x\"",
            "parlor.toml:3:1: nickname is a setting: write it under [account.main.settings], or under [settings] for all accounts",
        ),
        (
            "[account.Main]\njid = \"a@b\"",
            "parlor.toml:1:10: \"Main\" cannot name an account or a component: write 1 to 32 of a-z, 0-9, - and _, such as [account.main]",
        ),
        (
            "[account.main]\npassword_env = \"X\"",
            "parlor.toml:1:1: the account main has no jid: write one, such as jid = \"bot@example.org\"",
        ),
        (
            "[account.main]\njid = \"example.org\"",
            "parlor.toml:2:7: \"example.org\" is not the JID of an account (it has no part before an @): write one, such as \"bot@example.org\"",
        ),
        (
            "[account.main]\njid = \"a@b\"",
            "parlor.toml:1:1: the account main has no password: write password_file, password_command or password_env, or set PARLOR_PASSWORD_MAIN",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\npassword_file = \"y\"",
            "parlor.toml:3:1: password_env stands beside password_file: keep one of them",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"canary!\"",
            "parlor.toml:3:16: password_env is no name of a variable: write 1 to 128 of A-Z, a-z, 0-9 and _, without a digit first, such as \"BOT_PASSWORD\", and set the secret in that variable of the environment",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword = \"canary\"",
            "parlor.toml:3:1: a password does not belong into this file: write it into a file of its own, readable by you alone, and password_file = \"FILE\" here (or password_command, or password_env)",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\nserver = \"host:x\"",
            "parlor.toml:4:10: \"host:x\" is no server (the port is not a number from 1 to 65535): write a host, or host:port, such as \"xmpp.example.org:5222\"",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\nserver = \"https://host\"",
            "parlor.toml:4:10: \"https://host\" is no server (it begins with the scheme of an address, which does not belong there): write a host, or host:port, such as \"xmpp.example.org:5222\"",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\ntls = \"none\"",
            "parlor.toml:4:7: tls = \"none\" does not exist: write \"starttls\" or \"direct\"; there is no connection without TLS",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\nca_file = \"absent.pem\"",
            "parlor.toml:4:11: ca_file names absent.pem, which is no file that can be read (No such file or directory (os error 2)): put the server's certificate there, as PEM",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\nallow_plain = \"yes\"",
            "parlor.toml:4:15: account.main.allow_plain must be true or false, not a string",
        ),
        (
            "[account.a]\njid = \"a@b/c\"\npassword_env = \"X\"\n[account.b]\njid = \"A@b/c\"\npassword_env = \"X\"",
            "parlor.toml:4:1: the accounts a and b are the same one on the server: leave one out, or write a resource of its own behind each one's jid",
        ),
        (
            "[account.a]\njid = \"a@b\"\npassword_env = \"X\"\n[account.b]\njid = \"a@b/c\"\npassword_env = \"X\"",
            "parlor.toml:4:1: the accounts a and b are the same one on the server: leave one out, or write a resource of its own behind each one's jid",
        ),
    ] {
        assert_eq!(refused(toml), error);
    }
}

#[test]
fn only_valid_names_of_variables_are_accepted() {
    for name in ["X", "_", "bot_password_2", &"x".repeat(128)] {
        assert!(is_variable(name), "{name}");
    }
    for name in ["", "2X", "a-b", "a b", "a=b", "s3cr3t!", "\u{e4}", "A\0", &"x".repeat(129)] {
        assert!(!is_variable(name), "{name}");
    }
}

#[test]
fn errors_of_other_keys_say_where_what_and_what_to_write() {
    for (toml, error) in [
        (
            "[theme]\nx = 1",
            "parlor.toml:1:2: unknown key \"theme\" at the top of the file: known are account, audit, cluster, component, data, group, log, plugins, settings, watch, web, window",
        ),
        ("log = 3", "parlor.toml:1:7: log must be a string, not a number"),
        ("data = \"\"", "parlor.toml:1:8: data must be a string, not an empty one"),
        (
            "log = \"parlor=loud\"",
            "parlor.toml:1:7: \"parlor=loud\" does not say what to log: write a level such as \"info\", or \"info,parlor=debug\"",
        ),
        ("settings = 1", "parlor.toml:1:12: settings must be a table, not a number"),
        (
            "[settings]\n  priority = \"high\"",
            "parlor.toml:2:14: the setting \"priority\" must be a whole number from -128 to 127, not a string",
        ),
        (
            "[settings]\npassword = \"canary\"",
            "parlor.toml:2:12: \"password\" is no setting to be written here: write password_file under [account.<name>]",
        ),
        (
            "[settings]\nx = inf",
            "parlor.toml:2:5: settings.x must be a value that JSON has, not a number that is too large or none",
        ),
    ] {
        assert_eq!(refused(toml), error);
    }
}

#[test]
fn a_syntax_error_does_not_repeat_the_line() {
    for toml in [
        "[account.main]\npassword = canary",
        "[account.main]\npassword_command = \"canary",
        "[account.main]\npassword_env = \"a\"\npassword_env = \"canary\"",
        "canary",
    ] {
        let (_folder, path) = folder(toml);
        let error = Config::load(&path, &quiet()).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert!(refused("[account.main]\njid = bot").starts_with("parlor.toml:2:7: "));
}

#[test]
fn a_password_of_the_environment_serves_where_the_file_names_none() {
    let (_folder, path) = folder("[account.my-bot]\njid = \"a@b\"\n");
    let overrides =
        Overrides { environment: |name| (name == "PARLOR_PASSWORD_MY_BOT").then(|| "canary".to_owned()), ..quiet() };
    let config = Config::load(&path, &overrides).unwrap();
    let account = config.accounts.values().next().unwrap();
    assert_eq!(account.link.password, PasswordSource::Environment("PARLOR_PASSWORD_MY_BOT".into()));
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn a_password_file_that_others_can_read_is_warned_about() {
    let (folder, path) = folder(MINIMAL);
    let password = folder.path().join("bot.password");
    fs::set_permissions(&password, PermissionsExt::from_mode(0o640)).unwrap();
    let config = Config::load(&path, &quiet()).unwrap();
    assert_eq!(
        config.warnings,
        [format!("others on this machine may read the password: chmod 600 {}", password.display())]
    );
}

#[test]
fn a_private_key_for_webhooks_that_others_can_read_is_warned_about() {
    let web = "[web]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"web.crt\"\ncertificate_key = \"web.key\"\n";
    let (folder, path) = folder(&format!("{MINIMAL}{web}"));
    for name in ["web.crt", "web.key"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let key = folder.path().join("web.key");
    let warned = |mode: u32| {
        fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        Config::load(&path, &quiet()).unwrap().warnings
    };
    let says = format!("others on this machine may read the private key for webhooks: chmod 600 {}", key.display());
    assert_eq!((warned(0o600), warned(0o644)), (Vec::new(), vec![says]));
}

#[test]
fn a_password_file_that_is_not_there_is_named_with_its_line() {
    let (folder, path) = folder(MINIMAL);
    let password = folder.path().join("bot.password");
    fs::remove_file(&password).unwrap();
    for _ in 0..2 {
        let error = Config::load(&path, &quiet()).unwrap_err().to_string();
        let named = format!("password_file names {}, which cannot be found", password.display());
        assert!(error.contains(&named) && error.contains("parlor.toml:3:"), "{error}");
        // A folder of that name is refused, too.
        let _ = fs::create_dir(&password);
    }
}

/// The setting stands in three tables, in the environment and in flags.
#[test]
fn a_room_of_the_settings_names_the_place_of_its_password() {
    let room = |file: &str| format!("auto_join_rooms = [{{ jid = \"den@muc.b\", password_file = \"{file}\" }}]\n");
    let den = BareJid::new("den@muc.b").unwrap();
    for text in [
        format!("{MINIMAL}[settings]\n{}", room("den.password")),
        format!(
            "{MINIMAL}group = \"g\"\n[group.g.settings]\n{}[settings]\n{}",
            room("den.password"),
            room("bot.password")
        ),
        format!("{MINIMAL}[account.main.settings]\n{}[settings]\n{}", room("den.password"), room("bot.password")),
    ] {
        let (folder, path) = folder(&text);
        let password = folder.path().join("den.password");
        let error = Config::load(&path, &quiet()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("password_file names {}, which cannot be found", password.display())),
            "{error}"
        );
        fs::write(&password, "canary\n").unwrap();
        fs::set_permissions(&password, PermissionsExt::from_mode(0o640)).unwrap();
        let config = Config::load(&path, &quiet()).unwrap();
        let says = format!("others on this machine may read the password: chmod 600 {}", password.display());
        assert_eq!(config.warnings, [says]);
        assert_eq!(main_of(&config).settings.room_passwords()[&den], RoomPasswordPlace::File(password));
        // Another list that goes over it has no passwords.
        let flags = vec![("auto_join_rooms".to_owned(), "[\"den@muc.b\"]".to_owned())];
        let config = Config::load(&path, &Overrides { settings: flags, ..quiet() }).unwrap();
        assert!(main_of(&config).settings.room_passwords().is_empty());
        let own = "[{\"jid\": \"den@muc.b\", \"password_env\": \"DEN\"}]";
        let flags = vec![("auto_join_rooms".to_owned(), own.to_owned())];
        let config = Config::load(&path, &Overrides { settings: flags, ..quiet() }).unwrap();
        let source = &main_of(&config).settings.room_passwords()[&den];
        assert_eq!(*source, RoomPasswordPlace::Environment("DEN".to_owned()));
    }
    let literal = "[settings]\nauto_join_rooms = [{ jid = \"den@muc.b\", password = \"canary\" }]\n";
    let error = refused(&format!("{MINIMAL}{literal}"));
    assert!(error.starts_with("parlor.toml:5:") && error.contains("password_file or password_env"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn account_names_are_plain() {
    for name in ["main", "a", "0", "my-bot_2", &"a".repeat(32)] {
        assert!(name.parse::<AccountName>().is_ok(), "{name}");
    }
    for name in ["", "-a", "_a", "Main", "mäin", "a b", "../x", "a/b", &"a".repeat(33)] {
        assert!(name.parse::<AccountName>().is_err(), "{name}");
    }
}

#[test]
fn endpoints_have_a_host_and_perhaps_a_port() {
    let endpoint = |host: &str, port| Ok(Endpoint { host: host.to_owned(), port });
    for (text, expected) in [
        ("example.org", endpoint("example.org", None)),
        ("example.org:5223", endpoint("example.org", Some(5223))),
        ("127.0.0.1:1", endpoint("127.0.0.1", Some(1))),
        ("[::1]:5222", endpoint("::1", Some(5222))),
        ("[::1]", endpoint("::1", None)),
        ("::1", endpoint("::1", None)),
    ] {
        assert_eq!(text.parse(), expected, "{text}");
    }
    for text in ["", ":5222", "a:0", "a:65536", "a:", "a b", "[::1", "[x]:1", "[::1]5222", "xmpp://a", "a:1:2"] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

/// The defaults in the description of the keys match those of the reader.
#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let (_folder, path) = folder(MINIMAL);
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        format!("{:?}", Config::load(&path, &quiet()).unwrap())
    };
    let usual = read(MINIMAL);
    for (keys, before, after) in [(keys::TOP, "", MINIMAL), (keys::ACCOUNT, MINIMAL, "")] {
        assert!(keys.is_sorted_by_key(|key| key.name), "{keys:?}");
        for key in keys {
            let Some(default) = key.default.filter(|default| *default != "none") else { continue };
            assert_eq!(read(&format!("{before}{} = {default}\n{after}", key.name)), usual, "{}", key.name);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused_and_never_more(text in "[\\[\\]a-c.=\"\n {},#0-9é]{0,60}") {
        let (_folder, path) = folder(&text);
        let _ = Config::load(&path, &quiet());
    }

    #[test]
    fn endpoints_are_written_as_they_are_read(text in "(\\[::1\\]|[a-c.]{1,5}|10\\.0\\.0\\.1)(:[0-9]{1,5})?") {
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
    }
}

/// Settings `authentication`.
#[test]
fn an_account_without_a_password_says_what_it_has_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("cert.pem", 0o644), ("key.pem", 0o600), ("open.pem", 0o604)] {
        fs::write(folder.path().join(name), "PEM").unwrap();
        fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let path = folder.path().join("parlor.toml");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::load(&path, &overrides).map_err(|error| error.to_string())?;
        Ok::<_, String>(config.accounts.into_values().next().unwrap().link.way)
    };
    let external = "jid = \"bot@example.org\"\nsettings = { authentication = \"external\" }\n";
    let files = |key: &str| format!("certificate = \"cert.pem\"\ncertificate_key = \"{key}\"\n");
    let [chain, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let main = |text: &str| read(&format!("[account.main]\n{text}"));
    assert_eq!(main(&format!("{external}{}", files("key.pem"))), Ok(Way::Certificate { chain, key }));
    let anonymous = "settings = { authentication = \"anonymous\" }\njid = ";
    assert_eq!(main(&format!("{anonymous}\"example.org\"")), Ok(Way::Anonymous));
    for (text, expected) in [
        (format!("{external}{}", files("open.pem")), "others on this machine may read the key"),
        (format!("{external}{}", files("absent.pem")), "certificate_key names"),
        (external.to_owned(), "write certificate = \"FILE\" and certificate_key"),
        (format!("{anonymous}\"bot@example.org\""), "no part before an @: write its server's domain alone"),
        (
            format!("jid = \"a@b\"\npassword_env = \"X\"\n{}", files("key.pem")),
            "a certificate is for accounts whose setting authentication is",
        ),
        ("jid = \"example.org\"\npassword_env = \"X\"".to_owned(), "it has no part before an @"),
    ] {
        let error = main(&text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// Row 55.
/// Settings `authentication`, `credentials_url`, `prebind`, `prebind_url`, `rid`, `sid`.
#[test]
fn a_way_in_is_what_is_named_first_and_prints_as_nothing() {
    let link = |keys: &str, settings: &str| {
        let toml = format!(
            "[account.main]\njid = \"a@b/c\"\n{keys}\n[settings]\nbosh_service_url = \"https://b/\"\n{settings}"
        );
        let config = load(&toml).unwrap();
        assert!(!format!("{config:?}").contains("canary"), "{config:?}");
        main_of(&config).link.clone()
    };
    let (credentials, fetched) = ("credentials_url = \"https://b/canary\"\n", "prebind_url = \"https://b/canary\"\n");
    let given = "prebind = true\nsid = \"canary\"\nrid = \"7\"\n";
    let both = format!("{credentials}{fetched}");
    let with_password = link("password_env = \"X\"", &both);
    assert_eq!((with_password.password, with_password.prebind), (PasswordSource::Environment("X".into()), None));
    assert!(matches!(link("", credentials).password, PasswordSource::Web(_)));
    assert!(matches!(link("", &both).prebind, Some(Prebind::Fetched(_))));
    let given = link("password_env = \"X\"", given);
    assert_eq!(given.prebind, Some(Prebind::Given { sid: Hidden("canary".into()), rid: Hidden(7) }));
    let none = link("", "auto_login = false");
    assert_eq!((none.password, none.prebind), (PasswordSource::Nowhere, None));
}

const BOTS: &str = "[component.bots]\ndomain = \"bots.example.org\"\npassword_file = \"bot.password\"\n";
const ECHO: &str = "[account.echo]\njid = \"echo@bots.example.org\"\ncomponent = \"bots\"\n";

#[test]
fn an_address_of_a_component_has_no_server_of_its_own() {
    let (folder, path) = folder(&format!("{MINIMAL}{BOTS}{ECHO}"));
    let config = Config::load(&path, &quiet()).unwrap();
    let name: AccountName = "bots".parse().unwrap();
    let component = &config.components[&name];
    assert_eq!(component.jid.as_str(), "bots.example.org");
    assert_eq!(component.password, PasswordSource::File(folder.path().join("bot.password")));
    assert_eq!(component.server.as_ref().unwrap().to_string(), "127.0.0.1:5347");
    assert_eq!((component.tls, component.keep_unsent), (None, Duration::from_hours(1)));
    let echo = &config.accounts[&"echo".parse().unwrap()];
    assert_eq!((echo.link.component(), &echo.link.password), (Some(&name), &PasswordSource::Nowhere));
    assert!(!echo.encryption.omemo && echo.encryption.otr == OtrPolicy::Allow);
    assert!(main_of(&config).link.component().is_none() && main_of(&config).encryption.omemo);
    for (key, line) in [
        ("password_file", "password_file = \"bot.password\""),
        ("server", "server = \"localhost\""),
        ("tls", "tls = \"direct\""),
        ("allow_plain", "allow_plain = false"),
        ("omemo", "[account.echo.encryption]\nomemo = true"),
    ] {
        let error = refused(&format!("{BOTS}{ECHO}{line}\n"));
        assert!(error.contains("the account echo is an address of a component"), "{error}");
        assert!(error.ends_with(&format!("take {key} out")), "{error}");
    }
    let other = ECHO.replace("bots.example.org", "example.org");
    let error = refused(&format!("{BOTS}{other}"));
    assert!(error.contains("echo@example.org is no address of the component bots"), "{error}");
    let error = refused(ECHO);
    assert!(error.starts_with("parlor.toml:3:1: there is no component bots: write [component.bots]"), "{error}");
}

#[test]
fn addresses_of_a_component_sleep_if_its_owner_says_after_which_time() {
    let with = |line: &str| format!("{MINIMAL}{BOTS}{line}\n");
    let name: AccountName = "bots".parse().unwrap();
    let after = |line: &str| load(&with(line)).unwrap().sleep_after.get(&name).copied();
    assert_eq!(after(""), None);
    assert_eq!(after("sleep_after = \"30 min\""), Some(Duration::from_mins(30)));
    assert_eq!(after("sleep_after = \"1s\""), Some(Duration::from_secs(1)));
    for wrong in ["\"0 s\"", "\"999 ms\"", "\"31 d\"", "\"soon\""] {
        let error = refused(&with(&format!("sleep_after = {wrong}")));
        assert!(error.contains("component.bots.sleep_after must be a time from 1 s to 30 d"), "{error}");
    }
}

/// The component would have one place for both: what is for one, its owners and plugins, would reach the other.
#[test]
fn an_address_of_a_component_is_one_account_whatever_its_resource() {
    let named = |name: &str, resource: &str| {
        let jid = format!("echo@bots.example.org{resource}");
        ECHO.replace("account.echo", &format!("account.{name}")).replace("echo@bots.example.org", &jid)
    };
    for (one, other) in [("/a", "/b"), ("", "/b"), ("", "")] {
        let error = refused(&format!("{BOTS}{}{}", named("one", one), named("other", other)));
        assert!(
            error.contains("the accounts one and other are the same one on the server: leave one out, since"),
            "{error}"
        );
    }
    let apart = named("other", "/b").replace("echo@", "clock@");
    let (_folder, path) = folder(&format!("{BOTS}{}{apart}", named("one", "/a")));
    assert_eq!(Config::load(&path, &quiet()).unwrap().accounts.len(), 2);
}

/// There may be 100,000 accounts of one group, and these settings take kilobytes.
#[test]
fn accounts_with_equal_settings_share_them() {
    let group = "[group.bots.settings]\nnickname = \"bot\"\n";
    let one = |name: &str| format!("[account.{name}]\njid = \"{name}@bots.example.org\"\ncomponent = \"bots\"\n");
    let own = "settings = { nickname = \"other\" }\n";
    let text = format!(
        "{BOTS}{group}{}group = \"bots\"\n{}group = \"bots\"\n{}group = \"bots\"\n{own}",
        one("a"),
        one("b"),
        one("c"),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("bot.password"), "secret\n").unwrap();
    let config = Config::load(&path, &quiet()).unwrap();
    let settings = |name: &str| std::ptr::from_ref(&config.accounts[&name.parse().unwrap()].settings.command_prefix);
    assert!(settings("a") == settings("b") && settings("a") != settings("c"));
    assert_eq!(config.accounts[&"c".parse().unwrap()].settings.nickname.as_deref(), Some("other"));
    let component = |name: &str| config.accounts[&name.parse().unwrap()].link.component().unwrap().as_str().as_ptr();
    assert_eq!(component("a"), component("b"), "the text of its name is there once");
}

#[test]
fn a_component_stays_on_this_machine_or_within_tls() {
    let with = |lines: &str| format!("{MINIMAL}{BOTS}{lines}");
    let server = |lines: &str| {
        let config = load(&with(lines)).unwrap();
        config.components.values().next().unwrap().clone()
    };
    for near in ["localhost", "127.0.0.1:1", "[::1]:5347"] {
        assert_eq!(server(&format!("server = \"{near}\"")).tls, None, "{near}");
    }
    let far = server("server = \"xmpp.example.org\"\ntls = \"direct\"");
    assert_eq!((far.server.unwrap().to_string().as_str(), far.tls), ("xmpp.example.org:5347", Some(TlsMode::Direct)));
    for (lines, says) in [
        ("server = \"192.168.1.7\"", "192.168.1.7:5347 is not on this machine, and nothing is sent unencrypted"),
        ("server = \"localhost.example.org\"", "is not on this machine"),
        ("tls = \"starttls\"", "component.bots.tls must be \"direct\""),
        ("password = \"canary\"", "a password does not belong into this file"),
        ("password_env = \"X\"", "keep one of them"),
        ("port = 5347", "unknown key \"port\" in [component.bots]"),
        ("[component.more]\ndomain = \"bots.example.org\"\npassword_env = \"X\"", "have the same domain"),
        ("[component.more]\ndomain = \"more.example.org\"", "the component more has no secret"),
        ("[component.more]\npassword_env = \"X\"", "(there is none): write domain"),
        ("[component.more]\ndomain = \"a@b\"\npassword_env = \"X\"", "(it has more than a domain): write domain"),
    ] {
        let error = refused(&with(lines));
        assert!(error.contains(says) && !error.contains("canary"), "{error}");
    }
}

#[test]
fn a_key_of_the_file_is_refused_among_the_settings_with_its_place() {
    let plugins = "; a plugin's own setting of this name belongs under [plugin.ID.settings] in plugins.toml";
    let known = |key: &str| Settings::is_known(key);
    for key in keys::ACCOUNT.iter().map(|key| key.name).filter(|key| !known(key)) {
        let own = refused(&format!("{MINIMAL}[account.main.settings]\n{key} = \"x\""));
        let column = key.len() + 4;
        assert_eq!(own, format!("parlor.toml:5:{column}: {key} is no setting: move it to [account.main]{plugins}"));
        let all = refused(&format!("{MINIMAL}[settings]\n{key} = true"));
        assert_eq!(all, format!("parlor.toml:5:{column}: {key} is no setting: move it to [account.NAME]{plugins}"));
    }
    for key in ["account", "data", "log", "plugins", "watch", "web", "window"] {
        let error = refused(&format!("{MINIMAL}[account.main.settings]\n{key} = false"));
        assert!(error.contains("move it to the top of parlor.toml, before the first table"), "{error}");
    }
    let (_folder, path) = folder(MINIMAL);
    let settings = vec![("channel_binding".to_owned(), "\"required\"".to_owned())];
    let error = Config::load(&path, &Overrides { settings, ..quiet() }).unwrap_err();
    assert!(error.is_usage() && error.to_string().starts_with("--set: channel_binding is no setting"), "{error}");
}

#[test]
fn a_proxy_for_requests_has_neither_tls_nor_path_and_looks_names_up_only_if_it_is_there() {
    let web = |lines: &str| format!("{MINIMAL}[web]\n{lines}\n");
    for proxy in
        ["https://proxy.example.org", "http://proxy.example.org/x", "http://me:pw@proxy.example.org", "proxy:1"]
    {
        let error = refused(&web(&format!("outbound_proxy = \"{proxy}\"")));
        assert!(error.starts_with("parlor.toml:5:18: web.outbound_proxy must be the address of a proxy"), "{error}");
    }
    let error = refused(&web("outbound_proxy_resolves = true"));
    assert!(error.contains("outbound_proxy_resolves") && error.contains("outbound_proxy "), "{error}");
    let (_folder, path) = folder(&web("outbound_proxy = \"http://[::1]:3128\"\noutbound_proxy_resolves = true"));
    let config = Config::load(&path, &quiet()).unwrap().web;
    let proxy = config.outbound_proxy.unwrap();
    assert_eq!((proxy.host(), proxy.port(), config.outbound_proxy_resolves), ("::1", 3128, true));
    assert!(!config.nat64, "only owners know whether their network translates");
    let (_folder, path) = folder(&web("nat64 = true"));
    assert!(Config::load(&path, &quiet()).unwrap().web.nat64);
}

#[test]
fn a_binding_is_required_only_where_each_log_in_can_be_bound() {
    let (folder, path) = folder("");
    for name in ["cert.pem", "key.pem"] {
        fs::write(folder.path().join(name), "PEM").unwrap();
        fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let read = |account: &str, settings: &str| {
        let toml = format!("[account.main]\nchannel_binding = \"required\"\n{account}\n[settings]\n{settings}\n");
        fs::write(&path, toml).unwrap();
        Config::load(&path, &quiet()).map(drop).map_err(|error| error.to_string())
    };
    let password = "jid = \"a@b\"\npassword_env = \"X\"";
    let certificate = "jid = \"a@b\"\ncertificate = \"cert.pem\"\ncertificate_key = \"key.pem\"";
    let bosh = "bosh_service_url = \"https://b/\"";
    let web = format!("{bosh}\nwebsocket_url = \"wss://b/\"");
    let with = |more: &str| format!("{password}\n{more}");
    for (account, settings, reason) in [
        (certificate, "authentication = \"external\"", "authentication = \"external\": only"),
        ("jid = \"b\"", "authentication = \"anonymous\"", "authentication = \"anonymous\": only"),
        (password, bosh, "BOSH, which has no single connection"),
        (&with("transport = \"bosh\""), "", "BOSH, which has no single connection"),
        (&with("transport = \"bosh\""), &web, "BOSH, which has no single connection"),
        ("jid = \"a@b\"", &format!("{web}\nprebind_url = \"https://b/\""), "a BOSH session that somebody else began"),
        (&with("allow_plain = true"), "", "allow_plain = true: PLAIN cannot be bound"),
    ] {
        let error = read(account, settings).unwrap_err();
        let expected = format!("parlor.toml:2:1: channel_binding = \"required\" contradicts {reason}");
        assert!(error.contains(&expected) && error.contains("leave "), "{error}");
    }
    for (account, settings) in [
        (password, ""),
        (password, web.as_str()),
        (&with("transport = \"websocket\""), ""),
        (&with("allow_plain = false"), "websocket_url = \"wss://b/\""),
    ] {
        assert_eq!(read(account, settings), Ok(()), "{account} {settings}");
    }
}

#[test]
fn errors_about_the_way_to_the_server_say_what_to_write_and_no_secret() {
    for (toml, error) in [
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\nchannel_binding = \"off\"",
            "parlor.toml:4:19: channel_binding = \"off\" does not exist: write \"auto\", \"required\" or \"never\"",
        ),
        (
            "[account.main]\njid = \"a@b\"\npassword_env = \"X\"\ntransport = \"udp\"",
            "parlor.toml:4:13: transport = \"udp\" does not exist: write \"auto\", \"tcp\", \"websocket\" or \"bosh\"",
        ),
        (
            "[account.main]\njid = \"a@b\"\n[settings]\nbosh_service_url = \"http://b/\"",
            "parlor.toml:1:1: bosh_service_url = \"http://b/\" cannot be used: it has to begin with https://: nothing goes over the web without TLS",
        ),
        (
            "[account.main]\njid = \"a@b\"\n[settings]\ncredentials_url = \"http://canary/\"",
            "parlor.toml:1:1: credentials_url = \"…\" cannot be used: it has to begin with https://: nothing goes over the web without TLS",
        ),
        (
            "[account.main]\njid = \"a@b\"\n[settings]\nprebind = true",
            "parlor.toml:1:1: the account main cannot go on with a session that somebody else began: it needs prebind_url, or sid and rid",
        ),
        (
            "[account.main]\njid = \"a@b\"\n[settings]\nprebind_url = \"https://b/\"",
            "parlor.toml:1:1: the account main cannot go on with a session that somebody else began: it needs bosh_service_url, where the session is",
        ),
        (
            "[account.main]\njid = \"a@b\"\n[settings]\nprebind = true\nsid = \"canary\"\nrid = \"7\"",
            "parlor.toml:1:1: the account main cannot go on with a session that somebody else began: its jid has to be the full one that the session is bound to",
        ),
        (
            "[account.main]\njid = \"a@b/c\"\n[settings]\nprebind = true\nsid = \"canary\"\nrid = \"canary\"",
            "parlor.toml:1:1: the account main cannot go on with a session that somebody else began: rid is no number",
        ),
    ] {
        assert_eq!(refused(toml), error);
        assert!(!error.contains("canary"));
    }
}

#[test]
fn how_much_of_the_audit_is_kept_is_within_bounds() {
    let audit = |lines: &str| {
        let text = format!("[audit]\n{lines}\n[account.main]\njid = \"a@b.example\"\npassword_env = \"NONE\"\n");
        Config::parse(Path::new("parlor.toml"), &text, &quiet()).map(|config| config.audit)
    };
    assert_eq!(audit("").unwrap(), Audit::default());
    let set = audit("days = 7\nsize = \"2 MiB\"").unwrap();
    assert_eq!((set.days, set.size.0), (7, 2 << 20));
    for wrong in
        ["days = 0", "days = 36501", "days = \"7\"", "size = 5", "size = \"1 KiB\"", "size = \"17 GiB\"", "x = 1"]
    {
        let error = audit(wrong).unwrap_err().to_string();
        assert!(error.starts_with("parlor.toml:2:"), "{wrong}: {error}");
    }
}

#[test]
fn links_are_sent_for_the_log_in_page_unless_the_file_says_otherwise() {
    let links = |lines: &str| {
        let text = format!("{lines}\n[account.main]\njid = \"a@b.example\"\npassword_env = \"NONE\"\n");
        Config::parse(Path::new("parlor.toml"), &text, &quiet()).map(|config| config.window.links)
    };
    for (lines, read) in [
        ("", SentLinks::Page),
        ("[window]", SentLinks::Page),
        ("[window]\nlinks = \"page\"", SentLinks::Page),
        ("[window]\nlinks = \"command\"", SentLinks::Command),
        ("[window]\nlinks = \"never\"", SentLinks::Never),
    ] {
        assert_eq!(links(lines).unwrap(), read, "{lines}");
    }
    for wrong in ["links = \"no\"", "links = \"\"", "links = false", "link = \"page\""] {
        let error = links(&format!("[window]\n{wrong}")).unwrap_err().to_string();
        assert!(error.starts_with("parlor.toml:2:") && error.contains("link"), "{wrong}: {error}");
    }
}

#[test]
fn encryption_is_on_unless_the_file_says_otherwise() {
    let read = |table: &str| {
        let (_folder, path) = folder(&format!("{MINIMAL}{table}"));
        main_of(&Config::load(&path, &quiet()).unwrap()).clone()
    };
    assert_eq!(read("").encryption, Encryption::default());
    let off = read("[account.main.encryption]\nomemo = false\notr = \"never\"\ntrust = \"strict\"\nannounce = false");
    let expected = Encryption { trust: TrustPolicy::Strict, ..Encryption::OFF };
    assert_eq!(off.encryption, expected);
    assert!(!off.settings.allow_otr);
    let plain = Encryption { plain_instead: true, ..Encryption::default() };
    assert_eq!(read("[account.main.encryption]\nplain_instead = true").encryption, plain);
    let required = Encryption { otr: OtrPolicy::Require, ..Encryption::default() };
    assert_eq!(read("[account.main.encryption]\notr = \"require\"").encryption, required);
    for wrong in ["trust = \"none\"", "otr = \"always\"", "omemo = 1", "keys = 3"] {
        let error = refused(&format!("{MINIMAL}[account.main.encryption]\n{wrong}"));
        assert!(error.starts_with("parlor.toml:"), "{error}");
    }
}

#[test]
fn people_may_have_another_policy_for_otr_than_the_account() {
    let text = format!(
        "[group.shop]\n[group.shop.encryption.people.\"romeo@example.org\"]\notr = \"never\"\n\
         [group.shop.encryption.people.\"nurse@example.org\"]\notr = \"require\"\n\
         {MINIMAL}group = \"shop\"\n[account.main.encryption]\notr = \"never\"\n\
         [account.main.encryption.people.\"Romeo@example.org\"]\n"
    );
    let (_folder, path) = folder(&text);
    let main = main_of(&Config::load(&path, &quiet()).unwrap()).clone();
    let people: Vec<_> = main.otr_people.all().map(|(jid, policy)| (jid.as_str(), policy.as_str())).collect();
    assert_eq!(people, [("nurse@example.org", "require"), ("romeo@example.org", "allow")]);
    // Plugins see that OTR is possible with somebody.
    assert!(main.encryption.otr == OtrPolicy::Never && main.settings.allow_otr);
    let nurse: BareJid = "nurse@example.org".parse().unwrap();
    assert_eq!(main.otr_people.of(&nurse), Some(OtrPolicy::Require));
    assert_eq!(main.otr_people.only(&nurse).all().count(), 1);
    for (wrong, line) in [
        ("people = 1", 1),
        ("people.\"example.org\" = {}", 1),
        ("people.\"a@b/c\" = {}", 1),
        ("people.\"a@b\" = { otr = \"always\" }", 1),
        ("people.\"a@b\" = { trust = \"blind\" }", 1),
        ("people.\"a@b\" = {}\npeople.\"a@b.example\" = {}\npeople.\"A@b\" = {}", 3),
    ] {
        let error = refused(&format!("{MINIMAL}[account.main.encryption]\n{wrong}"));
        let line = MINIMAL.lines().count() + 1 + line;
        assert!(error.starts_with(&format!("parlor.toml:{line}:")), "{wrong}: {error}");
    }
    let many = (0..1_001).map(|number| format!("people.\"p{number}@b\" = {{}}\n"));
    let many = many.collect::<Vec<_>>().concat();
    let error = refused(&format!("{MINIMAL}[account.main.encryption]\n{many}"));
    assert!(error.starts_with("parlor.toml:1005:") && error.ends_with("not one more"), "{error}");
}

/// Otherwise the session on the node before would go on beside the one on the next node.
#[test]
fn accounts_of_a_cluster_have_the_same_resource_on_each_node() {
    let text = |node: &str| {
        format!(
            "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\nnode = \"{node}\"\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"X\"\n[account.other]\njid = \"other@example.org/own\"\npassword_env = \"X\"\n"
        )
    };
    let [one, other] = ["one", "other"].map(|node| load(&text(node)).unwrap());
    let alone = text("one").replace("name = ", "share_plugins = false\nname = ");
    let jid = |config: &Config, name: &str| config.accounts[&name.parse().unwrap()].link.jid.to_string();
    assert!(jid(&one, "main").starts_with("bot@example.org/parlor-"), "{}", jid(&one, "main"));
    assert_eq!(jid(&one, "main"), jid(&other, "main"));
    assert_eq!(jid(&one, "other"), "other@example.org/own");
    let [one, other] = [one, other].map(|config| config.cluster.unwrap());
    assert_eq!((one.node.as_deref(), one.share_plugins), (Some("one"), true));
    assert!(other.share_plugins && !load(&alone).unwrap().cluster.unwrap().share_plugins);
}

#[test]
fn errors_of_a_cluster_say_what_to_write() {
    let account = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"X\"\n";
    for (cluster, error) in [
        ("name = \"a\"", ": a cluster needs nats: write nats = \"tls://nats.example.org:4222\""),
        ("nats = \"tls://a\"", ": a cluster needs name: write name = \"bots\""),
        (
            "nats = \"tls://a\"\nname = \"A\"",
            ": cluster.name must be 1 to 32 of the characters a-z, 0-9 and -, not something else",
        ),
        (
            "nats = []\nname = \"a\"",
            ": cluster.nats must be an address such as \"tls://nats.example.org:4222\", or a list of up to 16, not something else",
        ),
        (
            "nats = \"tls://a\"\nname = \"a\"",
            ": a cluster needs a key, with which it encrypts what accounts keep in NATS: run `parlor cluster key`, copy its file to all nodes, and write key_file = \"cluster.key\" (or key_command, or key_env)",
        ),
        (
            "nats = \"tls://a\"\nname = \"a\"\nkey_env = \"K\"\nkey_command = \"k\"",
            ": key_env stands beside key_command: keep one of them",
        ),
        (
            "nats = \"tls://a\"\nname = \"a\"\nkey_file = \"/none/a key\"",
            ": key_file names /none/a key, which cannot be found (No such file or directory (os error 2)): copy it from another node, or make it for the first one: parlor cluster key '/none/a key'",
        ),
        ("nats = \"tls://a\"\nname = \"a\"\nreplicas = 2", ": cluster.replicas must be 1, 3 or 5, not something else"),
        (
            "nats = \"tls://a\"\nname = \"a\"\nkey_env = \"K\"\nuser = \"me\"",
            ": user goes with password_file alone: write both, or none",
        ),
    ] {
        let found = refused(&format!("[cluster]\n{cluster}\n{account}"));
        assert!(found.ends_with(error), "{found}");
    }
    let twins = format!(
        "[cluster]\nnats = \"tls://a\"\nname = \"a\"\nkey_env = \"K\"\n{account}[account.twin]\njid = \"bot@example.org/b\"\npassword_env = \"X\"\n"
    );
    let found = refused(&twins.replace("bot@example.org\"", "bot@example.org/a\""));
    assert!(found.contains("accounts main and twin both are bot@example.org"), "{found}");
}
