//! `parlor init` and `parlor doctor`: a host is set up and checked. Also shell completions and manual pages.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use parlor_tests::certificate::Certificate;
use parlor_tests::faults::{Fault, Faults, Way};
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::prosody::has_account;
use parlor_tests::terminal::Terminal;
use serde_json::Value;

use super::{SOON, echo, ended, home, start};
use crate::test_host::prosody;

/// Creates an empty folder, and returns flags for the suite's server.
async fn empty() -> (Home, Vec<String>) {
    let home = Home::new().unwrap();
    std::fs::remove_file(home.path().join("plugins.toml")).unwrap();
    let prosody = prosody().await;
    let ca_file = prosody.certificate().certificate_file.display().to_string();
    let server = format!("127.0.0.1:{}", prosody.ports().starttls);
    (home, ["--server", &server, "--tls", "starttls", "--ca-file", &ca_file].map(str::to_owned).into())
}

fn with<'a>(first: &[&'a str], flags: &'a [String]) -> Vec<&'a str> {
    first.iter().copied().chain(flags.iter().map(String::as_str)).collect()
}

fn names(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fresh_name() -> String {
    format!("new{:08x}", rand::random::<u32>())
}

#[tokio::test]
async fn an_account_is_tested_before_anything_is_written() {
    let (home, flags) = empty().await;
    let account = prosody().await.fresh_account("bot").unwrap();
    let jid = account.jid.to_string();
    let arguments = with(&["init", "--jid", &jid, "--password-stdin"], &flags);
    let wrong = ended(home.run_with(&arguments, "wrong\n").await.unwrap(), 1);
    // The first line has the reason, the next says what to do.
    let (why, then) = wrong.stderr.split_once('\n').unwrap();
    assert!(why.starts_with(&format!("parlor: {jid} cannot log in: the server refused the password of ")), "{wrong:?}");
    assert!(then.starts_with("  nothing was written: correct it (--server "), "{wrong:?}");
    assert_eq!(names(&home), [""; 0]);
    let long = ended(home.run_with(&arguments, &"x".repeat(1_025)).await.unwrap(), 1);
    assert!(long.stderr.contains("the password has more than 1024 bytes"), "{long:?}");
    assert_eq!(names(&home), [""; 0]);
    let nobody = with(&["init", "--jid", &jid, "--password-stdin"], &flags[2..]);
    let closed = format!("127.0.0.1:{}", ports::free().unwrap());
    let nobody: Vec<_> = nobody.into_iter().chain(["--server", &closed]).collect();
    let nobody = ended(home.run_with(&nobody, "x\n").await.unwrap(), 1);
    assert!(nobody.stderr.contains("refuses connections"), "{nobody:?}");
    assert_eq!(names(&home), [""; 0]);

    let good = ended(home.run_with(&arguments, &format!("{}\n", account.password)).await.unwrap(), 0);
    for words in [
        format!("{jid} logs in. Its server has:\n"),
        "  yes  archive (XEP-0313)\n".to_owned(),
        "  yes  carbons (XEP-0280)\n".to_owned(),
        "  yes  stream management (XEP-0198)\n".to_owned(),
        "wrote parlor.toml\nwrote bot.password\nwrote plugins.toml\n".to_owned(),
    ] {
        assert!(good.stdout.contains(&words), "no {words:?} in {}", good.stdout);
    }
    assert_eq!(names(&home), ["bot.password", "parlor.toml", "plugins.toml"]);
    let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    assert!(!text.contains(&account.password) && text.contains("password_file = \"bot.password\""), "{text}");
    assert_eq!(home.path().join("bot.password").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = ended(home.run_with(&arguments, "x\n").await.unwrap(), 1);
    assert!(again.stderr.contains("parlor.toml is there already"), "{again:?}");
    // A host runs with this configuration.
    let host = home.start().unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
}

/// Many servers at home have signed their certificate themselves.
#[tokio::test]
async fn a_certificate_that_the_server_signed_itself_is_said_to_need_a_flag() {
    let (mut home, flags) = empty().await;
    // The system trusts another one.
    let folder = Folder::new().unwrap();
    let other = Certificate::make(&folder).unwrap();
    home.set_environment("SSL_CERT_FILE", other.certificate_file.to_str().unwrap());
    let arguments = with(&["init", "--jid", "bot@localhost", "--password-stdin"], &flags[..4]);
    let untrusted = ended(home.run_with(&arguments, "x\n").await.unwrap(), 1);
    assert!(untrusted.stderr.contains("\n  nothing was written: if the certificate is your own, "), "{untrusted:?}");
    let again = format!(" --jid bot@localhost --tls starttls --server {} --ca-file FILE\n", flags[1]);
    assert!(untrusted.stderr.ends_with(&again), "{untrusted:?}");
    assert_eq!(names(&home), [""; 0]);
}

/// The domain may have no records, as one in a local network.
#[tokio::test]
async fn a_server_that_dns_does_not_know_is_asked_for_or_said_to_need_a_flag() {
    let (home, flags) = empty().await;
    let first = ["init", "--jid", "bot@nowhere.invalid"];
    let unknown = ended(home.run_with(&[&first[..], &["--password-stdin"]].concat(), "x\n").await.unwrap(), 1);
    assert!(unknown.stderr.contains("nowhere.invalid is not known to DNS ("), "{unknown:?}");
    assert!(unknown.stderr.ends_with(" --jid bot@nowhere.invalid --server HOST:PORT\n"), "{unknown:?}");

    let mut terminal = Terminal::start(home.command(with(&first, &flags[4..])).unwrap()).unwrap();
    terminal.sees("Its password:", SOON).unwrap();
    terminal.types("x").unwrap();
    terminal.sees("DNS does not know nowhere.invalid. The server's address", 2 * SOON).unwrap();
    terminal.types("[::1").unwrap();
    terminal.sees("write it as in localhost:5222", SOON).unwrap();
    terminal.types(&flags[1]).unwrap();
    terminal.sees("the server does not serve nowhere.invalid", SOON).unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(1));
    assert_eq!(names(&home), [""; 0]);
}

#[tokio::test]
async fn an_account_is_made_where_the_server_lets_anybody() {
    let (home, flags) = empty().await;
    let jid = format!("{}@localhost", fresh_name());
    let made = ended(home.run(&with(&["init", "--jid", &jid, "--register"], &flags)).await.unwrap(), 0);
    assert!(made.stdout.starts_with(&format!("{jid} is registered\n{jid} logs in.")), "{made:?}");
    let password = std::fs::read_to_string(home.path().join("bot.password")).unwrap();
    assert_eq!(password.trim_end().len(), 32);
    let (other, flags) = empty().await;
    let taken = ended(other.run(&with(&["init", "--jid", &jid, "--register"], &flags)).await.unwrap(), 1);
    let says = "parlor: localhost made no account: the name is taken\n  no configuration was written\n";
    assert_eq!(taken.stderr, says);
    assert_eq!(names(&other), [""; 0], "also the password that was made up");
}

/// The connection may break at any point: if the account exists then, its password is kept.
#[tokio::test]
async fn an_account_that_may_have_been_made_keeps_its_password() {
    let prosody = prosody().await;
    let faults = Faults::before(prosody.ports().starttls).await.unwrap();
    let through = format!("127.0.0.1:{}", faults.port());
    let mut tries = Vec::new();
    // The limit grows until the whole registration fits. The server's own files say afterwards, when it has read all that it
    // got, which accounts it made.
    for bytes in (1_000..).step_by(50) {
        faults.set(Way { limit: Some((bytes, Fault::Reset)), ..Way::default() });
        let (home, mut flags) = empty().await;
        flags[1].clone_from(&through);
        let name = fresh_name();
        let jid = format!("{name}@localhost");
        let first = home.run(&with(&["init", "--jid", &jid, "--register"], &flags)).await.unwrap();
        let is_done = first.code == Some(0);
        tries.push((bytes, name, home.path().join("bot.password").exists(), first.stderr));
        if is_done {
            break;
        }
    }
    let mut seen = BTreeSet::new();
    for (bytes, name, is_kept, says) in tries {
        let was_made = has_account(prosody, &name);
        assert!(is_kept || !was_made, "{bytes}: the password of {name} is lost: {says}");
        assert_eq!(is_kept, says.is_empty() || says.contains("its password is in"), "{bytes}: {says}");
        if is_kept && !says.is_empty() {
            let told = says.split_once("\n  no configuration was written\n  ");
            let begins = format!("{name}@localhost");
            assert!(told.is_some_and(|(_, then)| then.starts_with(&begins)), "{bytes}: {says}");
        }
        seen.insert((was_made, is_kept, says.contains("may be registered by now")));
    }
    // The states before the registration, at that moment, and after it.
    let expected = [(false, false, false), (true, true, true), (true, true, false)];
    assert!(expected.iter().all(|one| seen.contains(one)), "{seen:?}");
}

/// A leftover password belongs to another account, and must not be sent to this one's server.
#[tokio::test]
async fn a_password_that_lies_there_is_not_taken_for_another_account() {
    let (home, flags) = empty().await;
    let account = prosody().await.fresh_account("bot").unwrap();
    let jid = account.jid.to_string();
    home.write("bot.password", "of another account\n").unwrap();
    let fresh = format!("{}@localhost", fresh_name());
    for first in [
        &["init", "--jid", &fresh, "--register"][..],
        &["init", "--jid", &jid, "--password-stdin"],
        &["init", "--jid", &jid, "--offline"],
    ] {
        let refused = ended(home.run_with(&with(first, &flags), &format!("{}\n", account.password)).await.unwrap(), 1);
        assert!(refused.stderr.contains("bot.password is there already, and may be another account's"), "{refused:?}");
        assert_eq!(names(&home), ["bot.password"]);
    }
    let other = with(&["init", "--config", "second.toml", "--jid", &jid, "--password-stdin"], &flags);
    ended(home.run_with(&other, &format!("{}\n", account.password)).await.unwrap(), 0);
    assert_eq!(names(&home), ["bot.password", "plugins.toml", "second.password", "second.toml"]);
    assert_eq!(std::fs::read_to_string(home.path().join("bot.password")).unwrap(), "of another account\n");
    assert_eq!(std::fs::read_to_string(home.path().join("second.password")).unwrap().trim_end(), account.password);
}

#[tokio::test]
async fn what_flags_say_is_written_where_something_is_left_to_fill_in() {
    let (home, flags) = empty().await;
    let server = ["--server", "xmpp.example.org:5223", "--tls", "direct", "--offline"];
    let arguments = [&["init", "--jid", "bot@example.org"][..], &server, &[&flags[4], &flags[5]]].concat();
    ended(home.run(&arguments).await.unwrap(), 0);
    let written = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    for line in ["server = \"xmpp.example.org:5223\"", "tls = \"direct\" ", "ca_file = \""] {
        assert!(written.lines().any(|one| one.starts_with(line)), "{line}: {written}");
    }
    let command = ["init", "--config", "other.toml", "--password-command", "pass show bot"];
    let left = ended(home.run(&command).await.unwrap(), 0).stdout;
    let says = "nothing was tested: write the account's `jid` into other.toml; `parlor doctor` tests it then";
    assert!(left.contains(says), "{left}");
    let written = std::fs::read_to_string(home.path().join("other.toml")).unwrap();
    let has = |key: &str| written.lines().any(|line| line.starts_with(key));
    assert!(has("password_command = \"pass show bot\"") && !has("password_file"), "{written}");
    home.write("empty.pem", "").unwrap();
    let nobody = ["init", "--config", "third.toml", "--offline", "--ca-file", "empty.pem"];
    let nobody = ended(home.run(&nobody).await.unwrap(), 1);
    assert!(nobody.stderr.contains("empty.pem cannot be used"), "{nobody:?}");
    let nobody = ended(home.run(&["init", "--config", "third.toml", "--register"]).await.unwrap(), 1);
    assert!(nobody.stderr.contains("say --jid"), "{nobody:?}");
    ended(home.run_with(&["init", "--config", "third.toml", "--password-stdin"], "x\n").await.unwrap(), 2);
    assert!(!home.path().join("third.toml").exists());
}

/// If users have groups of their own, files are often created writable for the group.
#[tokio::test]
async fn what_it_writes_is_for_nobody_else_to_write() {
    let (home, _) = empty().await;
    let parlor = parlor_tests::plugins::program("parlor").unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 002; exec \"$0\" init --config parlor.toml --offline"]).arg(parlor);
    let made = shell.current_dir(home.path()).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for name in ["parlor.toml", "plugins.toml"] {
        assert_eq!(home.path().join(name).metadata().unwrap().permissions().mode() & 0o777, 0o644, "{name}");
    }
}

/// A policy that is named explicitly must exist, unlike the default one.
#[tokio::test]
async fn a_policy_that_is_named_and_not_there_is_an_error() {
    let (home, _) = home().await;
    for command in ["run", "status", "doctor"] {
        let finished = home.run(&[command, "--plugins", "nosuch.toml"]).await.unwrap();
        let told = format!("{}{}", finished.stdout, finished.stderr);
        assert!(told.contains("there is no policy nosuch.toml"), "{finished:?}");
        assert_eq!(finished.code, Some(if command == "doctor" { 5 } else { 1 }));
    }
}

#[tokio::test]
async fn somebody_at_a_terminal_is_asked_and_the_password_is_not_shown() {
    let (home, flags) = empty().await;
    let name = fresh_name();
    let mut terminal = Terminal::start(home.command(with(&["init"], &flags)).unwrap()).unwrap();
    terminal.sees("The account's address", SOON).unwrap();
    terminal.types("localhost").unwrap();
    terminal.sees("is not the JID of an account", SOON).unwrap();
    terminal.types(&format!("{name}@localhost")).unwrap();
    terminal.sees("Its password:", SOON).unwrap();
    // Pressing Enter too early asks for the password again.
    terminal.types("").unwrap();
    terminal.sees("the password is empty; type it", SOON).unwrap();
    terminal.sees("Its password:", SOON).unwrap();
    terminal.types("open sesame 7").unwrap();
    terminal.sees("is refused. Register it there now? [y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("is registered", SOON).unwrap();
    terminal.sees("wrote parlor.toml", SOON).unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("sesame"), "{screen}");
    assert_eq!(std::fs::read_to_string(home.path().join("bot.password")).unwrap(), "open sesame 7\n");
}

/// Otherwise the next `parlor init` would refuse the password that lies there.
#[tokio::test]
async fn who_leaves_at_a_later_question_leaves_no_file_behind() {
    let (home, flags) = empty().await;
    let name = fresh_name();
    let mut terminal = Terminal::start(home.command(with(&["init"], &flags)).unwrap()).unwrap();
    terminal.sees("The account's address", SOON).unwrap();
    terminal.types(&format!("{name}@localhost")).unwrap();
    terminal.sees("Its password:", SOON).unwrap();
    terminal.types("open sesame 7").unwrap();
    terminal.sees("is refused. Register it there now? [y/N]", SOON).unwrap();
    assert_eq!(names(&home), [".parlor.toml.draft", "bot.password"]);
    terminal.presses("\x03").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(130), "{screen}");
    assert_eq!(names(&home), [""; 0]);
}

/// Otherwise the terminal would no longer echo what is typed.
#[tokio::test]
async fn who_leaves_while_a_password_is_asked_for_has_the_terminal_as_it_was() {
    let home = Home::new().unwrap();
    let mut terminal = Terminal::start(home.command(["init"]).unwrap()).unwrap();
    terminal.sees("The account's address", SOON).unwrap();
    terminal.types("bot@example.org").unwrap();
    terminal.sees("Its password:", SOON).unwrap();
    assert!(!terminal.is_cooked().unwrap(), "what is typed is shown");
    terminal.presses("sesame\x03").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, None, "it ended by a signal: {screen}");
    assert!(terminal.is_cooked().unwrap(), "the terminal was not given back: {screen}");
    assert!(!home.path().join("parlor.toml").exists());
}

fn finding<'f>(json: &'f Value, check: &str, state: &str) -> &'f Value {
    let all = json["findings"].as_array().unwrap();
    all.iter()
        .find(|one| one["check"] == check && one["state"] == state)
        .unwrap_or_else(|| panic!("no {check} that is {state}: {json:#}"))
}

#[tokio::test]
async fn a_host_in_order_is_found_to_be_and_stays_connected() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let fine = ended(home.run(&["doctor", "--json"]).await.unwrap(), 0).json().unwrap();
    for check in ["configuration", "files", "compiler", "policy", "plugin echo", "host", "account main", "clock"] {
        finding(&fine, check, "fine");
    }
    // How much space there is depends on the machine of the test.
    assert!(fine["findings"].as_array().unwrap().iter().any(|one| one["check"] == "disk"), "{fine:#}");
    assert!(!fine.to_string().contains("\"broken\""), "{fine:#}");
    let text = ended(home.run(&["doctor"]).await.unwrap(), 0).stdout;
    assert!(text.contains("fine     account main   the server has archive (XEP-0313)\n"), "{text}");
    assert_eq!(host.lines("account connected", &[]).len(), 1);
    assert_eq!(host.lines("connection lost", &[]).len(), 0);
}

/// The clock is wrong by so little that certificates are still valid.
#[tokio::test]
async fn a_clock_that_is_wrong_is_found_by_the_servers() {
    let (mut home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let clock = home.path().join("clock");
    std::fs::write(&clock, 120_i64.to_ne_bytes()).unwrap();
    let library = parlor_tests::plugins::program("libparlor_clock.so").unwrap();
    home.set_environment("LD_PRELOAD", library.to_str().unwrap());
    home.set_environment("PARLOR_CLOCK", clock.to_str().unwrap());
    let json = ended(home.run(&["doctor", "--json"]).await.unwrap(), 0).json().unwrap();
    let found = finding(&json, "clock", "warning");
    assert!(found["says"].as_str().unwrap().starts_with("this clock and the server's are 1"), "{found}");
    assert_eq!(found["remedy"], "set this machine's clock by NTP");
}

/// Taking the session over would disconnect its owner.
#[tokio::test]
async fn a_session_that_is_somebodys_is_not_looked_at() {
    let (mut home, account) = home().await;
    home.amend("main", "jid", Some(format!("{}/balcony", account.jid).into())).unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("https://localhost:{}/http-bind", listener.local_addr().unwrap().port());
    home.amend("main", "password_file", None).unwrap();
    for (key, value) in [("bosh_service_url", url.as_str()), ("sid", "s1"), ("rid", "7")] {
        home.set(key, value).unwrap();
    }
    home.set("prebind", true).unwrap();
    let json = ended(home.run(&["doctor", "--json"]).await.unwrap(), 0).json().unwrap();
    let found = finding(&json, "account main", "warning");
    assert!(found["says"].as_str().unwrap().starts_with("not looked at"), "{found}");
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn what_is_broken_is_named_with_its_remedy() {
    let (home, _) = home().await;
    let secret = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";
    let bytes = parlor_tests::plugins::built("echo").unwrap().bytes().unwrap();
    let bytes = parlor_tests::component::with_manifest(&bytes, |text| format!("{text}\n{secret}")).unwrap();
    let entry = |id: &str| {
        let entry = home.install_bytes(id, &bytes).unwrap();
        entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
    };
    let key = toml::Table::from_iter([("file".to_owned(), "no.key".into())]);
    let policy = Policy::default().with("greedy", home.install_bytes("greedy", &bytes).unwrap());
    home.set_policy(&policy.with("swapped", entry("swapped")).with("keyless", entry("keyless").set("key", key)))
        .unwrap();
    home.replace("swapped", b"something else").unwrap();
    std::fs::set_permissions(home.path().join("plugins.toml"), std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::create_dir(home.path().join("data")).unwrap();
    std::fs::set_permissions(home.path().join("data"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(home.path().join("main.password"), "wrong\n").unwrap();
    std::fs::set_permissions(home.path().join("main.password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let finished = ended(home.run(&["doctor", "--json"]).await.unwrap(), 5);
    assert!(finished.stderr.starts_with("parlor: broken: "), "{finished:?}");
    assert!(finished.stderr.contains(" of the checks above; the report says what to do"), "{finished:?}");
    let json = finished.json().unwrap();
    for (check, state, words) in [
        ("configuration", "warning", "others on this machine may read the password"),
        ("files", "broken", "others on this machine may write"),
        ("plugin greedy", "broken", "needs what was not granted"),
        ("plugin swapped", "broken", "the file is not the one that was approved"),
        ("plugin keyless", "broken", "its secret key is unavailable"),
        ("host", "fine", "none runs"),
        ("account main", "broken", "refused the password"),
    ] {
        let found = finding(&json, check, state);
        assert!(found["says"].as_str().unwrap().contains(words), "{found}");
        assert!(state == "fine" || found["remedy"].is_string(), "{found}");
    }
    assert!(json.to_string().contains("chmod 700 data"), "{json:#}");
    home.write("plugins.toml", "[plugin.echo\n").unwrap();
    let json = ended(home.run(&["doctor", "--json", "--offline"]).await.unwrap(), 5).json().unwrap();
    assert!(finding(&json, "policy", "broken")["says"].as_str().unwrap().contains("plugins.toml:1:"), "{json:#}");
    home.write("parlor.toml", "[account.main]\n").unwrap();
    let json = ended(home.run(&["doctor", "--json"]).await.unwrap(), 5).json().unwrap();
    assert!(finding(&json, "configuration", "broken")["says"].as_str().unwrap().contains("parlor.toml:1:"), "{json:#}");
}

#[tokio::test]
async fn who_needs_a_plugin_whose_secret_is_missing_is_broken_too() {
    let (mut home, _) = home().await;
    home.set("strict_plugin_dependencies", true).unwrap();
    let built = |name: &str| parlor_tests::plugins::built(name).unwrap();
    let key = toml::Table::from_iter([("file".to_owned(), "no.key".into())]);
    let keyless = home.install("keyless", &built("caller")).unwrap().set("token", key);
    let bytes = built("unruly").bytes().unwrap();
    let needs = |text: &str| format!("{text}\n[dependencies]\nkeyless = \"*\"\n");
    let bytes = parlor_tests::component::with_manifest(&bytes, needs).unwrap();
    let dependent = home.install_bytes("needy", &bytes).unwrap();
    home.set_policy(&Policy::default().with("keyless", keyless).with("needy", dependent)).unwrap();
    let json = ended(home.run(&["doctor", "--json", "--offline"]).await.unwrap(), 5).json().unwrap();
    for (check, words) in [("plugin keyless", "its secret token is unavailable"), ("plugin needy", "it needs keyless")]
    {
        let found = finding(&json, check, "broken");
        assert!(found["says"].as_str().unwrap().contains(words), "{found}");
    }
}

#[tokio::test]
async fn what_the_host_says_of_a_plugin_that_may_run_is_looked_at() {
    let (home, _) = home().await;
    let unruly = |behaviour: &str| {
        let unruly = home.install("unruly", &parlor_tests::plugins::built("unruly").unwrap()).unwrap();
        unruly.set("behaviour", behaviour)
    };
    let greedy = home.install("greedy", &parlor_tests::plugins::built("echo").unwrap()).unwrap();
    let refused = Policy::default().with("unruly", unruly("initialize-fails")).with("greedy", greedy);
    let host = start(&home, &refused).await;
    let json = ended(home.run(&["doctor", "--json", "--offline"]).await.unwrap(), 5).json().unwrap();
    let found = finding(&json, "plugin unruly", "broken");
    assert_eq!(found["says"], "the host says that unruly is refused: failed to order");
    let remedy = "do as it says, or `parlor plugin disable` it; `parlor plugin restart unruly` tries it again, `parlor logs unruly` may say more";
    assert_eq!(found["remedy"], remedy);
    assert!(!json.to_string().contains("it may run"), "{json:#}");
    // A problem that the policy check has found is reported once.
    finding(&json, "plugin greedy", "broken");
    assert!(!json.to_string().contains("greedy is refused"), "{json:#}");

    // A running plugin is fine, although it does not match the latest policy.
    drop(host);
    let _host = start(&home, &Policy::default().with("unruly", unruly(""))).await;
    home.set_policy(&Policy::default().with("unruly", unruly("initialize-fails"))).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let json = ended(home.run(&["doctor", "--json", "--offline"]).await.unwrap(), 0).json().unwrap();
    let found = finding(&json, "plugin unruly", "warning");
    assert!(found["says"].as_str().unwrap().ends_with("so this version goes on"), "{found}");
}

#[tokio::test]
async fn what_is_disabled_is_not_broken_whatever_it_lacks() {
    let (home, _) = home().await;
    let mut greedy = home.install("greedy", &parlor_tests::plugins::built("echo").unwrap()).unwrap();
    greedy.enabled = false;
    let secret = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";
    let bytes = parlor_tests::plugins::built("echo").unwrap().bytes().unwrap();
    let bytes = parlor_tests::component::with_manifest(&bytes, |text| format!("{text}\n{secret}")).unwrap();
    let asked = home.path().join("asked");
    let command = format!("touch '{}'; false", asked.display());
    let quiet = home.install_bytes("quiet", &bytes).unwrap();
    let quiet = quiet.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    let mut quiet = quiet.set("key", toml::Table::from_iter([("command".to_owned(), command.into())]));
    quiet.enabled = false;
    home.set_policy(&Policy::default().with("greedy", greedy).with("quiet", quiet)).unwrap();
    let json = ended(home.run(&["doctor", "--json", "--offline"]).await.unwrap(), 0).json().unwrap();
    let found = finding(&json, "plugin greedy", "warning");
    assert!(found["says"].as_str().unwrap().starts_with("it is disabled, and could not be enabled: greedy needs"));
    assert!(found["remedy"].as_str().unwrap().starts_with("do as it says"), "{found}");
    finding(&json, "plugin quiet", "fine");
    assert!(!asked.exists(), "its secret was opened");
}

#[tokio::test]
async fn circles_and_misspelt_settings_are_found_and_what_ends_a_host_is_said() {
    let (home, _) = home().await;
    let bytes = parlor_tests::plugins::built("echo").unwrap().bytes().unwrap();
    let entry = |id: &str, needs: &str| {
        let more = format!("[dependencies]\n{needs} = \"*\"\n");
        let bytes = parlor_tests::component::with_manifest(&bytes, |text| {
            format!("{}\n{more}", text.replacen("name = \"echo\"", &format!("name = \"{id}\""), 1))
        });
        let entry = home.install_bytes(id, &bytes.unwrap()).unwrap();
        entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
    };
    home.set_policy(&Policy::default().with("ca", entry("ca", "cb")).with("cb", entry("cb", "ca"))).unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("{config}\n[settings]\nnicknam = \"x\"\n")).unwrap();
    std::fs::write(home.path().join("main.password"), "wrong\n").unwrap();
    let json = ended(home.run(&["doctor", "--json"]).await.unwrap(), 5).json().unwrap();
    for (check, state, says, remedy) in [
        ("configuration", "warning", "\"nicknam\"; did you mean \"nickname\"?", "correct its name"),
        ("plugin ca", "broken", "its dependencies form a circle", "do as it says"),
        ("plugin cb", "broken", "its dependencies form a circle", "do as it says"),
        (
            "account main",
            "broken",
            "refused the password",
            "does not retry it by itself, and ends if no other account can connect",
        ),
    ] {
        let found = finding(&json, check, state);
        assert!(found["says"].as_str().unwrap().contains(says), "{found}");
        assert!(found["remedy"].as_str().unwrap().contains(remedy), "{found}");
    }
}

#[tokio::test]
async fn shells_and_manuals_know_every_command() {
    let home = Home::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = ended(home.run(&["completions", shell]).await.unwrap(), 0).stdout;
        assert!(text.contains("rollback") && text.contains("grant-all"), "{shell}: {text}");
        assert!(!text.contains("compile-component"), "{shell}: {text}");
    }
    let page = ended(home.run(&["man", "plugin", "add"]).await.unwrap(), 0).stdout;
    assert!(page.starts_with(".ie \\n(.g .ds Aq") && page.contains("grant\\-all"), "{page}");
    let unknown = ended(home.run(&["man", "plugni"]).await.unwrap(), 2);
    assert!(unknown.stderr.contains("parlor has no command \"plugni\""), "{unknown:?}");
    ended(home.run(&["man", "--to", "man1"]).await.unwrap(), 0);
    let pages: Vec<_> = std::fs::read_dir(home.path().join("man1")).unwrap().collect();
    assert!(pages.len() > 20, "{} pages", pages.len());
    assert!(home.path().join("man1/parlor-plugin-add.1").exists(), "{pages:?}");
}

/// In the container image, the environment names the configuration.
#[tokio::test]
async fn a_configuration_is_written_to_where_the_environment_says_that_it_is() {
    let mut home = Home::new().unwrap();
    home.set_environment("PARLOR_CONFIG", "elsewhere.toml");
    ended(home.run(&["init", "--jid", "bot@example.org", "--offline"]).await.unwrap(), 0);
    assert!(home.path().join("elsewhere.toml").exists() && !home.path().join("parlor.toml").exists());
}

/// Puts a folder in the place of `/etc`, which nobody but the command sees, with `service.toml` as the configuration of a service.
const SERVICE: &str =
    "mount -t tmpfs none /etc && mkdir /etc/parlor && cp service.toml /etc/parlor/parlor.toml && exec \"$0\" \"$@\"";

/// Runs a command on a machine with a service. Returns none if this system lets no user mount a folder.
fn run_beside_a_service(home: &Home, arguments: &[&str]) -> Option<std::process::Output> {
    let unshare = |script: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]).args(script);
        command.current_dir(home.path()).env_remove("PARLOR_CONFIG").output()
    };
    if !unshare(&["mount -t tmpfs none /etc"]).is_ok_and(|probe| probe.status.success()) {
        return None;
    }
    let parlor = parlor_tests::plugins::program("parlor").unwrap().display().to_string();
    Some(unshare(&[&[SERVICE, &parlor], arguments].concat()).unwrap())
}

#[tokio::test]
async fn without_a_configuration_in_this_folder_that_of_the_service_is_used_and_said() {
    let home = Home::new().unwrap();
    let account = |name: &str| format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n");
    home.write("service.toml", &account("served")).unwrap();
    let list = ["account", "list", "--names"];
    let says = "parlor: there is no parlor.toml in this folder; using /etc/parlor/parlor.toml";
    let Some(listed) = run_beside_a_service(&home, &list) else { return };
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "served\n", "{listed:?}");
    assert!(String::from_utf8_lossy(&listed.stderr).contains(says), "{listed:?}");
    // A configuration that is named, or in this folder, comes first.
    home.write("other.toml", &account("named")).unwrap();
    home.write("parlor.toml", &account("here")).unwrap();
    for (more, name) in [(&["--config", "other.toml"][..], "named\n"), (&[][..], "here\n")] {
        let listed = run_beside_a_service(&home, &[&list[..], more].concat()).unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), name, "{listed:?}");
        assert!(!String::from_utf8_lossy(&listed.stderr).contains("/etc/parlor"), "{listed:?}");
    }
}
