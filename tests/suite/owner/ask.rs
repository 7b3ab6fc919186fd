//! Questions on a terminal, and the effect of the answers.

use parlor_tests::component::with_manifest;
use parlor_tests::host::Home;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::terminal::Terminal;

use super::{SOON, home};

/// Writes an echo that also asks for a dangerous permission.
fn greedy(home: &Home) {
    let more =
        "[permissions]\n\"stanza.send\" = { scope = [\"message\"], reason = \"for \\u001b[2Jfun\", optional = true }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", more, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
}

fn at_terminal(home: &Home, arguments: &[&str]) -> Terminal {
    Terminal::start(home.command(arguments).unwrap()).unwrap()
}

fn grants(home: &Home) -> Option<toml::Table> {
    let text = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table.get("plugin")?.get("echo")?.get("grants")?.as_table().cloned()
}

async fn prepared() -> Home {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    greedy(&home);
    home
}

/// Checks that everything was shown on pages of 24 lines of 80 columns, and nothing was broken within words by the terminal.
fn is_by_pages(screen: &str) {
    let plain = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m"];
    let screen = plain.into_iter().fold(screen.replace('\r', ""), |text, mark| text.replace(mark, ""));
    let pages: Vec<_> = screen.split("-- Enter for the next page").collect();
    assert!(pages.len() > 1, "{screen}");
    for page in pages {
        let questions = page.lines().position(|line| line.starts_with("Install it as")).unwrap_or(page.lines().count());
        let text: Vec<_> = page.lines().take(questions).collect();
        assert!(text.len() < 24 && text.iter().all(|line| line.chars().count() <= 80), "{page}");
    }
}

#[tokio::test]
async fn who_quits_on_a_page_has_agreed_to_nothing() {
    let home = prepared().await;
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm"]);
    terminal.sees("-- Enter for the next page, q to quit", SOON).unwrap();
    terminal.types("q").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert!(code == Some(3) && !screen.contains("Install it as echo"), "{screen}");
    assert_eq!(grants(&home), None);
    // Input before the question is not an answer to it.
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm"]);
    terminal.sees("-- Enter for the next page, q to quit", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.turns_pages_to("Install it as echo", SOON).unwrap();
    terminal.types("").unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(3));
    assert_eq!(grants(&home), None);
}

#[tokio::test]
async fn tables_of_plugins_fit_into_a_terminal_of_80_columns() {
    let home = prepared().await;
    let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--rooms", "lounge@conference.example.org"];
    super::ended(home.run(&add).await.unwrap(), 0);
    for arguments in [&["plugin", "list"][..], &["plugin", "config", "echo"]] {
        let mut terminal = at_terminal(&home, arguments);
        let (code, screen) = terminal.ended(SOON).unwrap();
        let screen = screen.replace('\r', "");
        assert!(code == Some(0) && screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        // The longest columns are there, too.
        assert!(screen.contains("echo.wasm") || screen.contains("How a message in a room"), "{screen}");
    }
}

#[tokio::test]
async fn an_update_says_and_asks_only_what_is_new_and_a_typo_is_asked_about_again() {
    let home = prepared().await;
    super::ended(home.run(&["plugin", "add", "echo.wasm", "--yes", "--grant-all"]).await.unwrap(), 0);
    let bytes = std::fs::read(home.path().join("echo.wasm")).unwrap();
    let more = "[permissions]\n\"http.fetch\" = { scope = [\"api.example.org\"], reason = \"to ask\" }\n";
    let newer = with_manifest(&bytes, |manifest| {
        manifest.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1).replacen("[permissions]\n", more, 1)
    });
    std::fs::write(home.path().join("new.wasm"), newer.unwrap()).unwrap();
    let mut terminal = at_terminal(&home, &["plugin", "update", "echo", "new.wasm"]);
    terminal.turns_pages_to("http.fetch, which it needs: “to ask”", SOON).unwrap();
    // It reads messages already.
    terminal.turns_pages_to("Together: reads everything", SOON).unwrap();
    terminal.turns_pages_to("Replace echo 0.1.0 by 0.2.0, and grant all of that?", SOON).unwrap();
    terminal.types("yse").unwrap();
    terminal.sees("“yse” is none of the answers, which are y, e, n; nothing is decided yet", SOON).unwrap();
    terminal.sees("Replace echo 0.1.0 by 0.2.0, and grant all of that?", SOON).unwrap();
    terminal.types("y").unwrap();
    // It asks for nothing else of high risk.
    terminal.sees("Grant these together? [y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("messages.read, which it needs"), "{screen}");
    assert!(grants(&home).unwrap().contains_key("http.fetch"));
}

#[tokio::test]
async fn a_secret_that_a_plugin_needs_is_asked_for_and_not_shown() {
    let home = prepared().await;
    let schema = "[settings.pass]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\nrequired = true\ndescription = \"a key\"\n";
    let bytes = std::fs::read(home.path().join("echo.wasm")).unwrap();
    let bytes = with_manifest(&bytes, |manifest| format!("{manifest}\n{schema}")).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm", "--grant-all"]);
    terminal.turns_pages_to("Install it as echo?", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("The secret pass (a key), which it needs and which is not shown:", SOON).unwrap();
    terminal.types("s3cr3t-8").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert!(code == Some(0) && !screen.contains("s3cr3t"), "{screen}");
    assert_eq!(std::fs::read_to_string(home.path().join("data/secrets/echo/pass")).unwrap(), "s3cr3t-8");
}

#[tokio::test]
async fn a_grant_is_asked_about_at_a_terminal_with_what_it_adds() {
    let home = prepared().await;
    let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all"];
    super::ended(home.run(&add).await.unwrap(), 0);
    super::ended(home.run(&["plugin", "revoke", "echo", "messages.send", "stanza.send"]).await.unwrap(), 0);
    let wish = ["plugin", "grant", "echo", "messages.send=romeo@example.org"];
    for (answer, code) in [("n", 3), ("y", 0)] {
        let mut terminal = at_terminal(&home, &wish);
        terminal.turns_pages_to("Sends private messages to romeo@example.org", SOON).unwrap();
        terminal.turns_pages_to("Together: reads everything", SOON).unwrap();
        terminal.turns_pages_to("Grant echo messages.send for romeo@example.org? [y/N]", SOON).unwrap();
        assert!(!grants(&home).unwrap().contains_key("messages.send"));
        terminal.types(answer).unwrap();
        assert_eq!(terminal.ended(SOON).unwrap().0, Some(code));
    }
    assert_eq!(grants(&home).unwrap()["messages.send"], toml::Value::from(vec!["romeo@example.org"]));
    // Each of several can be decided separately.
    let mut terminal = at_terminal(&home, &["plugin", "grant", "echo", "messages.send=*", "stanza.send"]);
    terminal.turns_pages_to("[y]es, [e]ach by itself, [N]o:", SOON).unwrap();
    terminal.types("e").unwrap();
    terminal.sees("Grant messages.send for *?", SOON).unwrap();
    terminal.types("n").unwrap();
    terminal.sees("Grant stanza.send for message?", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("is of high risk", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("echo is granted stanza.send for message; ", SOON).unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0));
    let grants = grants(&home).unwrap();
    assert_eq!(grants["messages.send"], toml::Value::from(vec!["romeo@example.org"]));
    assert!(grants.contains_key("stanza.send"));
}

#[tokio::test]
async fn yes_grants_all_but_asks_again_for_what_is_of_high_risk() {
    let home = prepared().await;
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm"]);
    terminal.turns_pages_to("echo is to run on main (", SOON).unwrap();
    terminal.turns_pages_to("\x1b[33mmedium", SOON).unwrap();
    // The dangerous permission comes last, in red, and without the author's control characters; then what all allow together.
    terminal.turns_pages_to("\x1b[31mhigh", SOON).unwrap();
    terminal.turns_pages_to("“for \\u{1b}[2Jfun”", SOON).unwrap();
    terminal.turns_pages_to("Together: reads everything", SOON).unwrap();
    terminal.turns_pages_to("Install it as echo, and grant all of that?", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("is of high risk", SOON).unwrap();
    terminal.types("").unwrap();
    // Without it, what the others allow together still is.
    terminal.sees("Grant these together? [y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("echo 0.1.0 is installed; the host is stopped", SOON).unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("\x1b[2J"), "{screen:?}");
    is_by_pages(&screen);
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    for line in ["accounts = [\"main\"]", "missing_accounts = \"skip\""] {
        assert!(policy.lines().any(|one| one == line), "{policy}");
    }
    let grants = grants(&home).unwrap();
    assert!(grants.contains_key("messages.send") && !grants.contains_key("stanza.send"), "{grants:?}");
}

#[tokio::test]
async fn a_grant_of_high_risk_is_asked_about_and_needs_a_word_in_scripts() {
    let home = prepared().await;
    let add = [
        "plugin",
        "add",
        "echo.wasm",
        "--yes",
        "--grant",
        "messages.read",
        "--grant",
        "messages.send",
        "--grant",
        "rooms.send",
    ];
    super::ended(home.run(&add).await.unwrap(), 0);
    // No permission is of high risk here, and what it could do with its others is.
    super::ended(home.run(&["plugin", "revoke", "echo", "messages.send"]).await.unwrap(), 0);
    let send = ["plugin", "grant", "echo", "messages.send=*"];
    let refused = super::ended(home.run(&send).await.unwrap(), 3);
    assert!(refused.stderr.starts_with("parlor: together with its grants, that is of high risk ("), "{refused:?}");
    assert!(!grants(&home).unwrap().contains_key("messages.send"));
    super::ended(home.run(&[&send[..], &["--yes"]].concat()).await.unwrap(), 0);
    let wish = ["plugin", "grant", "echo", "stanza.send"];
    let refused = super::ended(home.run(&wish).await.unwrap(), 3);
    assert!(refused.stderr.starts_with("parlor: stanza.send is of high risk ("), "{refused:?}");
    assert!(refused.stderr.ends_with("give --yes to grant stanza.send for message, as it asks\n"), "{refused:?}");
    for (answer, code) in [("n", 3), ("y", 0)] {
        assert!(!grants(&home).unwrap().contains_key("stanza.send"));
        let mut terminal = at_terminal(&home, &wish);
        terminal.sees("Grant echo stanza.send for message, as it asks? [y/N]", SOON).unwrap();
        terminal.types(answer).unwrap();
        let (ended, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(ended, Some(code), "{screen}");
    }
    assert!(grants(&home).unwrap().contains_key("stanza.send"));
    super::ended(home.run(&["plugin", "revoke", "echo", "stanza.send"]).await.unwrap(), 0);
    let granted = super::ended(home.run(&[&wish[..], &["--yes"]].concat()).await.unwrap(), 0);
    assert!(granted.stdout.starts_with("echo is granted stanza.send for message, as it asks; "), "{granted:?}");
}

#[tokio::test]
async fn each_can_be_decided_by_itself_and_for_whom() {
    let home = prepared().await;
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm"]);
    terminal.turns_pages_to("[N]o:", SOON).unwrap();
    terminal.types("e").unwrap();
    terminal.sees("Grant messages.read for *?", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("Grant messages.send for *?", SOON).unwrap();
    // A word is asked about again, which would be the address of a server.
    terminal.types("zz").unwrap();
    terminal.sees("“zz” is neither yes nor no, nor a whole address", SOON).unwrap();
    terminal.sees("Grant messages.send for *?", SOON).unwrap();
    // So is a typo of an answer.
    terminal.types("yse").unwrap();
    terminal.sees("“yse” is neither yes nor no, nor a scope; did you mean yes?", SOON).unwrap();
    terminal.sees("Grant messages.send for *?", SOON).unwrap();
    terminal.types("contacts, @example.org").unwrap();
    terminal.sees("Grant rooms.send for *?", SOON).unwrap();
    terminal.types("y").unwrap();
    terminal.sees("Grant stanza.send for message?", SOON).unwrap();
    terminal.types("n").unwrap();
    // Scopes that were written by hand are part of what they allow together.
    terminal.sees("contacts, anybody at example.org", SOON).unwrap();
    terminal.sees("Grant these together? [y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(grants(&home).unwrap()["messages.send"], toml::Value::from(vec!["contacts", "@example.org"]));
}

#[tokio::test]
async fn whoever_says_no_or_nothing_has_changed_nothing() {
    for answers in [
        &["n"][..],
        &[""],
        &["maybe"],
        &["maybe", "yse", "oui"],
        &["e", "n"],
        &["e", "y", "n"],
        &["e", "y", "not an address @@"],
    ] {
        let home = prepared().await;
        let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm"]);
        terminal.turns_pages_to("[N]o:", SOON).unwrap();
        for answer in answers {
            terminal.types(answer).unwrap();
        }
        // The end of the input counts as a no as well.
        terminal.types("\x04").unwrap();
        let (code, screen) = terminal.ended(SOON).unwrap();
        assert!([Some(1), Some(3)].contains(&code), "{answers:?}: {code:?}\n{screen}");
        assert_eq!(grants(&home), None, "{answers:?}");
        assert!(!home.path().join("data").exists(), "{answers:?}");
    }
}

#[tokio::test]
async fn a_secret_is_asked_for_and_not_shown() {
    let home = prepared().await;
    let schema = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| format!("{manifest}\n{schema}")).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm", "--yes", "--grant-all"]);
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0));
    let kept = home.path().join("data/secrets/echo/key");
    for (typed, code) in [("", 1), ("s3cr3t", 0)] {
        assert!(!kept.exists());
        let mut terminal = at_terminal(&home, &["plugin", "config", "echo", "key"]);
        terminal.sees("The secret key, which is not shown:", SOON).unwrap();
        terminal.types(typed).unwrap();
        let (ended, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(ended, Some(code), "{screen}");
        assert!(!screen.contains("s3cr3t"), "{screen}");
    }
    // An owner who gives no new secret sees that there is one, and keeps it.
    let mut terminal = at_terminal(&home, &["plugin", "config", "echo", "key"]);
    terminal.sees("The secret key (present, in ", SOON).unwrap();
    terminal.sees("; a new one, which is not shown, or nothing to leave it:", SOON).unwrap();
    terminal.types("").unwrap();
    let (ended, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(ended, Some(1), "{screen}");
    let mut terminal = at_terminal(&home, &["plugin", "config", "echo", "key", "--json"]);
    let (ended, screen) = terminal.ended(SOON).unwrap();
    assert!(ended == Some(0) && screen.contains("\"set\": true") && !screen.contains("s3cr3t"), "{screen}");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "s3cr3t");
}

#[tokio::test]
async fn removing_asks_first() {
    let home = prepared().await;
    let mut terminal = at_terminal(&home, &["plugin", "add", "echo.wasm", "--yes", "--grant-all"]);
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0));
    let mut terminal = at_terminal(&home, &["plugin", "remove", "echo"]);
    terminal.sees("Remove echo, with its grants and its earlier versions? [y/N]", SOON).unwrap();
    terminal.types("").unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(3));
    assert!(grants(&home).is_some());
    let mut terminal = at_terminal(&home, &["plugin", "remove", "echo"]);
    terminal.sees("[y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0));
    assert_eq!(grants(&home), None);
}

/// JSON output contains no questions, so nothing is asked: the owner would not have seen what the question is about.
#[tokio::test]
async fn who_wants_json_is_asked_nothing() {
    let home = prepared().await;
    let ended = |arguments: &[&str], code: i32| {
        let mut terminal = at_terminal(&home, arguments);
        let (ended, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(ended, Some(code), "{arguments:?}: {screen}");
    };
    ended(&["plugin", "add", "echo.wasm", "--json"], 3);
    assert!(grants(&home).is_none());
    ended(&["plugin", "add", "echo.wasm", "--json", "--yes", "--grant-all"], 0);
    ended(&["plugin", "remove", "echo", "--json"], 3);
    let bytes = std::fs::read(home.path().join("echo.wasm")).unwrap();
    let newer = with_manifest(&bytes, |manifest| manifest.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1));
    std::fs::write(home.path().join("echo.wasm"), newer.unwrap()).unwrap();
    ended(&["plugin", "update", "echo", "--json"], 3);
    assert!(grants(&home).is_some());
}

#[tokio::test]
async fn another_command_that_changes_the_policy_is_waited_for_and_that_is_said() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", super::echo(&home))).unwrap();
    let other = std::fs::File::create(home.path().join(".plugins.toml.lock")).unwrap();
    other.lock().unwrap();
    let mut terminal = at_terminal(&home, &["plugin", "disable", "echo"]);
    terminal.sees("waiting for another command that is changing ", SOON).unwrap();
    drop(other);
    terminal.sees("echo is disabled; the host is stopped", SOON).unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
}
