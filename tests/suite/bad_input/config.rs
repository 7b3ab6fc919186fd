//! The command line, `parlor.toml`, and the data folder.

use std::os::unix::fs::PermissionsExt as _;

use parlor_config::{Config, Overrides};
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::ports;
use parlor_tests::prosody::{Account, Prosody};
use serde_json::json;

use super::{End, SOON, failed, host, refused_early, says};

/// Creates a host whose server is never reachable, for tests that need no connection.
fn lonely() -> (Folder, Home) {
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let account = Account { jid: "bot@localhost".parse().unwrap(), password: "secret".into() };
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(ports::free().unwrap(), &certificate)).unwrap();
    (folder, home)
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_says_what_is_right() {
    let home = Home::new().unwrap();
    for (arguments, words) in [
        (&[][..], "Usage: parlor <COMMAND>"),
        (&["rum"], "a similar subcommand exists: 'run'"),
        (&["run", "--confg", "x"], "a similar argument exists: '--config'"),
        (&["run", "--set", "nickname"], "write KEY=JSON"),
        (&["run", "--log-format", "xml"], "[possible values: text, json, journal]"),
        (&["init", "--jid"], "a value is required"),
        (&["init", "--jid", "x y"], "is no JID"),
    ] {
        let end = End::of(&home, arguments).await;
        assert_eq!(end.code, Some(2), "{arguments:?}: {:#?}", end.lines);
        assert!(end.lines.iter().any(|line| line.contains(words)), "{arguments:?}: {:#?}", end.lines);
    }
    assert!(!home.path().join("data").exists() && !home.path().join("parlor.toml").exists());
}

#[tokio::test]
async fn what_a_flag_says_that_does_not_fit_is_a_wrong_usage_too() {
    let (_folder, home) = lonely();
    for (arguments, words) in [
        (&["run", "--set", "priority=900"][..], "priority"),
        (&["run", "--set", "nickname=5"], "nickname"),
        (&["run", "--log", "parlor=loud"], "--log"),
        (&["run", "--log", "debgu"], "--log"),
        (&["explain", "nosuch", "no.such"], "there is no plugin nosuch"),
    ] {
        let end = End::of(&home, arguments).await;
        let code = if arguments[0] == "run" { 2 } else { 1 };
        assert!(end.sentence_with(code).contains(words), "{arguments:?}: {:#?}", end.lines);
    }
}

#[tokio::test]
async fn without_a_configuration_one_is_written_that_works() {
    let prosody = Prosody::start().await.unwrap();
    let account = prosody.fresh_account("bot").unwrap();
    let home = Home::new().unwrap();
    let sentence = refused_early(&home).await;
    assert_eq!(sentence, "there is no configuration file parlor.toml: `parlor init` writes one");
    let init = End::of(&home, &["init", "--jid", account.jid.as_str()]).await;
    let left = "nothing was tested: write the account's password into bot.password; `parlor doctor` tests it then";
    assert_eq!((init.code, &init.lines[..]), (Some(0), &["wrote parlor.toml".to_owned(), left.to_owned()][..]));
    // If the user forgets the remaining step, the message repeats it.
    assert_eq!(
        refused_early(&home).await,
        "parlor.toml:60:17: password_file names bot.password, which cannot be found (No such file or directory \
         (os error 2)): write the password into its first line, readable by you alone (umask 077)"
    );
    home.write("bot.password", &format!("{}\n", account.password)).unwrap();
    let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    // The comments of the file describe this change. Only a test has a server that the DNS does not know.
    let text = text
        .replace(
            "# server = \"xmpp.example.org:5222\"",
            &format!("server = \"127.0.0.1:{}\"", prosody.ports().starttls),
        )
        .replace(
            "# ca_file = \"ca.pem\"",
            &format!("ca_file = \"{}\"", prosody.certificate().certificate_file.display()),
        );
    home.write("parlor.toml", &text).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());

    let again = End::of(&home, &["init"]).await;
    assert_eq!(again.sentence(), "parlor.toml is there already: move it away, or name another file");
    assert_eq!(std::fs::read_to_string(home.path().join("parlor.toml")).unwrap(), text);
}

#[tokio::test]
async fn what_nobody_knows_is_named_with_its_line_and_the_nearest_that_somebody_does() {
    let home = Home::new().unwrap();
    for (toml, sentence) in [
        (
            "[acount.main]\njid = \"a@b\"\n",
            "parlor.toml:1:2: unknown key \"acount\" at the top of the file, did you mean \"account\"?",
        ),
        (
            "[account.main]\njid = \"a@b\"\npasword_file = \"x\"\n",
            "parlor.toml:3:1: unknown key \"pasword_file\" in [account.main], did you mean \"password_file\"?",
        ),
        (
            "theme = \"dark\"\n",
            "parlor.toml:1:1: unknown key \"theme\" at the top of the file: known are account, audit, cluster, component, data, group, log, plugins, settings, watch, web, window",
        ),
    ] {
        home.write("parlor.toml", toml).unwrap();
        assert_eq!(refused_early(&home).await, sentence);
    }
}

/// Rows 1.
#[tokio::test]
async fn an_unknown_setting_is_kept_and_warned_about_with_the_nearest() {
    let (_folder, mut home) = lonely();
    home.set("nicknam", "bot").unwrap();
    home.set("colour_of_the_shed", "red").unwrap();
    let mut host = home.start().unwrap();
    let message = "unknown setting, kept for plugins";
    let line = host.wait(message, &[("setting", "colour_of_the_shed")], SOON).await.unwrap();
    assert_eq!(line.get("nearest"), "");
    let line = host.wait(message, &[("setting", "nicknam")], SOON).await.unwrap();
    assert_eq!(line.get("nearest"), "nickname");
    says(&host, "cannot connect, trying again").await;
    assert!(host.stop(SOON).await.unwrap().success());

    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    let main = &config.accounts[&"main".parse().unwrap()];
    assert_eq!(main.settings.get("nicknam"), Some(json!("bot")));
}

#[tokio::test]
async fn what_is_no_account_is_refused_with_an_example() {
    let home = Home::new().unwrap();
    for jid in ["example.org", "bot@", "@example.org", "b@d@example.org", "bot@exa mple.org"] {
        home.write("parlor.toml", &format!("[account.main]\njid = \"{jid}\"\n")).unwrap();
        let sentence = refused_early(&home).await;
        let start = format!("parlor.toml:2:7: \"{jid}\" is not the JID of an account (");
        assert!(sentence.starts_with(&start), "{sentence}");
        assert!(sentence.ends_with("): write one, such as \"bot@example.org\""), "{sentence}");
    }
    let end = End::of(&home, &["init", "--jid", "example.org", "--config", "new/parlor.toml"]).await;
    let says = "\"example.org\" is not the JID of an account: write one, such as bot@example.org";
    assert!(end.code == Some(2) && end.lines.iter().any(|line| line.ends_with(says)), "{end:#?}");
    assert!(!home.path().join("new").exists());
}

#[tokio::test]
async fn an_account_without_a_password_says_where_one_could_be() {
    let home = Home::new().unwrap();
    for (line, sentence) in [
        (
            "",
            "parlor.toml:1:1: the account main has no password: write password_file, password_command or password_env, \
             or set PARLOR_PASSWORD_MAIN",
        ),
        (
            "password_file = \"absent\"\n",
            "parlor.toml:3:17: password_file names absent, which cannot be found (No such file or directory (os error \
             2)): write the password into its first line, readable by you alone (umask 077)",
        ),
        (
            "password = \"canary\"\n",
            "parlor.toml:3:1: a password does not belong into this file: write it into a file of its own, readable by \
             you alone, and password_file = \"FILE\" here (or password_command, or password_env)",
        ),
        (
            "password_file = \"absent\"\npassword_env = \"X\"\n",
            "parlor.toml:4:1: password_env stands beside password_file: keep one of them",
        ),
    ] {
        home.write("parlor.toml", &format!("[account.main]\njid = \"a@b\"\n{line}")).unwrap();
        assert_eq!(refused_early(&home).await, sentence);
    }
}

#[tokio::test]
async fn a_password_that_turns_out_to_be_none_fails_the_account_at_once() {
    let home = Home::new().unwrap();
    home.write("empty", "\n").unwrap();
    for (line, sentence) in [
        (
            "password_file = \"empty\"",
            "account main: the password file empty gave an empty password; its first line must be the password",
        ),
        (
            "password_env = \"NOBODY_SETS_THIS\"",
            "account main: the environment variable NOBODY_SETS_THIS does not exist; create it or correct its name",
        ),
        (
            "password_command = \"echo secret; echo locked >&2; exit 3\"",
            "account main: password_command ended with exit status: 3 and said \"locked\"; run it by hand to see why",
        ),
    ] {
        home.write("parlor.toml", &format!("[account.main]\njid = \"a@b\"\nserver = \"127.0.0.1:1\"\n{line}\n"))
            .unwrap();
        let mut host = home.start().unwrap();
        assert_eq!(failed(&mut host).await, sentence);
        assert!(host.lines("cannot connect, trying again", &[]).is_empty());
    }
}

#[tokio::test]
async fn a_log_that_nobody_watches_has_no_colours() {
    let home = Home::new().unwrap();
    home.write("parlor.toml", "[account.main]\njid = \"a@b\"\npassword_command = \"exit 3\"\n").unwrap();
    let end = End::of(&home, &["run"]).await;
    assert!(
        end.lines.iter().any(|line| line.contains("ERROR account failed account=main reason=")),
        "{:#?}",
        end.lines
    );
    assert!(end.sentence_with(6).starts_with("account main: password_command ended with exit status: 3"));
}

#[tokio::test]
async fn a_password_that_others_can_read_is_warned_about_and_used() {
    let (_prosody, home, _) = host().await;
    let file = home.password_file("main");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut host = home.start().unwrap();
    let warning = "others on this machine may read the password: chmod 600 main.password";
    assert_eq!(host.wait(warning, &[], SOON).await.unwrap().get("message"), warning);
    host.wait("account connected", &[], SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());

    // The remedy in the message works.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    assert!(host.lines(warning, &[]).is_empty());
}

#[tokio::test]
async fn files_that_others_can_write_are_warned_about_and_used() {
    let (_folder, home) = lonely();
    home.write("plugins.toml", "").unwrap();
    let set = |file: &str, mode| {
        std::fs::set_permissions(home.path().join(file), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let sentences = [
        ("parlor.toml", "decide where accounts log in and who their owners are"),
        ("plugins.toml", "decide what plugins may do"),
    ];
    for mode in [0o666, 0o644] {
        for (file, _) in sentences {
            set(file, mode);
        }
        let mut host = home.start().unwrap();
        says(&host, "cannot connect, trying again").await;
        for (file, may) in sentences {
            let warning = format!("others on this machine may write {file}, and {may}: chmod go-w {file}");
            assert_eq!(host.lines(&warning, &[]).len(), usize::from(mode == 0o666), "{warning}");
        }
        assert!(host.stop(SOON).await.unwrap().success());
    }
}

#[tokio::test]
async fn a_port_for_metrics_that_is_in_use_ends_the_host_before_anything_starts() {
    let (_folder, home) = lonely();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap().to_string();
    let end = End::of(&home, &["run", "--metrics", &at]).await;
    let sentence = format!(
        "metrics cannot be served on {at} (Address already in use (os error 98)): name another port with --metrics"
    );
    assert_eq!(end.sentence(), sentence);
    assert!(!home.path().join("data").exists(), "no host has begun");
}

#[tokio::test]
async fn a_second_host_on_the_same_data_folder_is_refused_and_the_first_goes_on() {
    let (_folder, home) = lonely();
    let mut first = home.start().unwrap();
    says(&first, "cannot connect, trying again").await;
    let second = End::of(&home, &["run"]).await;
    let sentence = "another parlor runs with the data folder data; stop it first, or give this one its own with --data";
    assert_eq!(second.sentence(), sentence);
    assert_eq!(second.lines.len(), 1, "{:#?}", second.lines);
    let tries = first.lines("cannot connect, trying again", &[]).len();
    first.wait_count("cannot connect, trying again", &[], tries + 1, SOON).await.unwrap();
    assert!(first.stop(SOON).await.unwrap().success());

    let mut third = home.start().unwrap();
    says(&third, "cannot connect, trying again").await;
    assert!(third.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let (_folder, home) = lonely();
    home.write("data", "a file").unwrap();
    let end = End::of(&home, &["run"]).await;
    let sentence = end.sentence();
    assert!(sentence.starts_with("the data folder data cannot be used ("), "{sentence}");
    assert!(sentence.ends_with("): make it writable, or name another with --data"), "{sentence}");
}
