//! Changes of a running host's files that are not followed by a reload.

use jid::Jid;
use parlor_tests::host::{Home, Host};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::terminal::Terminal;
use serde_json::json;

use super::{SOON, echo, ended, home, juliet, service, start};

const READ: &str = "policy read again";
const NOT_READ: &str = "the policy was not read; nothing has changed";

/// Starts a host with echo, and returns the text of its policy.
async fn standing() -> (Home, Host, String) {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    (home, host, policy)
}

/// Returns the policy without `messages.send`.
fn less(policy: &str) -> String {
    let kept = policy.lines().filter(|line| !line.contains("messages.send"));
    kept.collect::<Vec<_>>().join("\n") + "\n"
}

/// Returns the reason why the policy is not in effect, as JSON.
async fn policy_error(home: &Home) -> serde_json::Value {
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    status["policy_error"].clone()
}

#[tokio::test]
async fn what_an_editor_writes_counts_at_once() {
    let (home, host, policy) = standing().await;
    assert!(policy.contains("messages.send"), "{policy}");
    // The file is overwritten.
    home.write("plugins.toml", &format!("# mine\n{policy}")).unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    // The new file is moved over the old one, as most editors do.
    let beside = home.write("plugins.toml.swp", &format!("{policy}\n[plugin.echo.limits]\nmailbox = 100\n")).unwrap();
    std::fs::rename(beside, home.path().join("plugins.toml")).unwrap();
    host.wait_count("plugin replaced", &[("plugin", "echo")], 1, SOON).await.unwrap();
    // The file is moved away first, and then written again.
    std::fs::rename(home.path().join("plugins.toml"), home.path().join("plugins.toml~")).unwrap();
    home.write("plugins.toml", &policy.replace("enabled = true", "enabled = false")).unwrap();
    host.wait_count("plugin disabled", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

#[tokio::test]
async fn what_is_half_written_or_gone_changes_nothing() {
    let (home, host, policy) = standing().await;
    home.write("plugins.toml", &format!("{policy}\n[plugin.half\n")).unwrap();
    let line = host.wait_count(NOT_READ, &[], 1, SOON).await.unwrap();
    let place = format!("plugins.toml:{}:", policy.lines().count() + 2);
    assert!(line.get("reason").starts_with(&place), "{}", line.get("reason"));
    // The status shows the error later as well.
    let error = policy_error(&home).await;
    assert!(error.as_str().unwrap().contains(&place), "{error}");
    let screen = ended(home.run(&["status"]).await.unwrap(), 0).stdout.replace("\n  ", " ");
    let says = "\nthe policy does not count as it is written now, the one before does: ";
    assert!(screen.contains(says) && screen.contains(&place), "{screen}");
    home.write("plugins.toml", "").unwrap();
    host.wait_count(
        "the policy is empty; nothing has changed. `parlor reload` or SIGHUP makes it count if no plugin is to run",
        &[],
        1,
        SOON,
    )
    .await
    .unwrap();
    assert!(policy_error(&home).await.as_str().unwrap().contains("plugins.toml is empty"));
    assert!(host.lines("plugin removed", &[]).is_empty(), "{}", host.log().tail());
    home.write("plugins.toml", &policy).unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    assert!(policy_error(&home).await.is_null());
    assert_eq!(host.lines("plugin running", &[("plugin", "echo")]).len(), 1);
    // An owner who means it asks for a reload.
    home.write("plugins.toml", "").unwrap();
    host.reload().unwrap();
    host.wait_count("plugin removed", &[("plugin", "echo")], 1, SOON).await.unwrap();
}

/// They are followed like those of the configuration file.
#[tokio::test]
async fn accounts_in_a_file_of_their_own_count_at_once_and_do_not_vanish_with_it() {
    let (home, host, _) = standing().await;
    let names = async || {
        let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
        let accounts = status["accounts"].as_array().unwrap().iter();
        accounts.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let second = "[account.second]\njid = \"second@example.org\"\npassword_env = \"NONE\"\n\
                  [account.second.settings]\nauto_login = false\n";
    home.write("accounts.toml", second).unwrap();
    host.wait_count("configuration read again", &[], 1, SOON).await.unwrap();
    assert_eq!(names().await, ["main", "second"]);
    let refused = async |count, words: &str| {
        let not_read = "the configuration was not read; nothing has changed";
        let line = host.wait_count(not_read, &[], count, SOON).await.unwrap();
        assert!(line.get("reason").contains(words), "{line}");
        assert_eq!(names().await, ["main", "second"]);
    };
    home.write("accounts.toml", "[account.second\n").unwrap();
    refused(1, "accounts.toml:1:").await;
    home.write("accounts.toml", "").unwrap();
    refused(2, "accounts.toml is empty").await;
    std::fs::remove_file(home.path().join("accounts.toml")).unwrap();
    refused(3, "accounts.toml is gone").await;
    let list = ended(home.run(&["account", "list"]).await.unwrap(), 0).stdout;
    assert!(!list.contains("second@") && list.contains("accounts.toml is gone"), "{list}");
    assert!(list.contains("`parlor status` shows the accounts that it has"), "{list}");
    ended(home.run(&["reload"]).await.unwrap(), 1);
    refused(4, "accounts.toml is gone").await;
    home.write("accounts.toml", "").unwrap();
    refused(5, "accounts.toml is empty").await;
    ended(home.run(&["reload"]).await.unwrap(), 0);
    assert_eq!(names().await, ["main"]);
}

#[tokio::test]
async fn a_policy_that_is_gone_takes_out_nobody_whoever_asks() {
    let (home, host, policy) = standing().await;
    std::fs::remove_file(home.path().join("plugins.toml")).unwrap();
    let gone = "the policy is gone; nothing has changed. Put it back, or an empty one if no plugin is to run";
    host.wait_count(gone, &[], 1, SOON).await.unwrap();
    assert!(policy_error(&home).await.as_str().unwrap().contains("plugins.toml is gone"));
    // A missing policy is otherwise not a fault.
    let json = ended(home.run(&["doctor", "--offline", "--json"]).await.unwrap(), 5).json().unwrap();
    let is_it = |one: &serde_json::Value| {
        (&one["check"], &one["state"]) == (&"host".into(), &"broken".into())
            && one["says"].as_str().unwrap().contains("plugins.toml is gone")
    };
    assert!(json["findings"].as_array().unwrap().iter().any(is_it), "{json:#}");
    // Running plugins are listed, with any contents of the file.
    let list = ended(home.run(&["plugin", "list", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(
        (&list[0]["id"], &list[0]["states"], &list[0]["enabled"], &list[0]["grants"]),
        (&"echo".into(), &json!(["running"]), &json!(null), &json!(null))
    );
    let list = ended(home.run(&["plugin", "list"]).await.unwrap(), 0).stdout;
    assert!(list.contains("plugins.toml does not name echo, which the host still has"), "{list}");
    let reload = ended(home.run(&["reload"]).await.unwrap(), 1);
    assert!(reload.stderr.contains("plugins.toml is gone; put it back"), "{reload:?}");
    std::fs::copy(home.path().join("plugins/echo.wasm"), home.path().join("repeat.wasm")).unwrap();
    let add = ["plugin", "add", "repeat.wasm", "--id", "repeat", "--yes", "--grant-all"];
    let refused = ended(home.run(&add).await.unwrap(), 1);
    assert!(refused.stderr.contains("the host still runs echo by what it said: put it back"), "{refused:?}");
    assert!(!home.path().join("plugins.toml").exists());
    assert!(host.lines("plugin removed", &[]).is_empty(), "{}", host.log().tail());
    // After the file is restored, everything is as before. An owner who means it writes an empty file and reloads.
    home.write("plugins.toml", &policy).unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    home.write("plugins.toml", "").unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    host.wait_count("plugin removed", &[("plugin", "echo")], 1, SOON).await.unwrap();
    ended(home.run(&add).await.unwrap(), 0);
    host.wait_count("plugin running", &[("plugin", "repeat")], 1, SOON).await.unwrap();
}

/// Somebody who looks later has not read the log of that moment.
#[tokio::test]
async fn a_file_that_does_not_count_is_seen_wherever_the_host_is_shown() {
    const CONFIG_NOT_READ: &str = "the configuration was not read; nothing has changed";
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let port = ports::free().unwrap();
    let host = home.start_with(&["--metrics", &format!("127.0.0.1:{port}")]).unwrap();
    host.wait_count("metrics are served", &[], 1, SOON).await.unwrap();
    let metrics = || service::ask(port, &format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    let status = async || ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let [config, policy] =
        ["parlor.toml", "plugins.toml"].map(|name| std::fs::read_to_string(home.path().join(name)).unwrap());
    assert!(metrics().contains("\nparlor_config_in_force 1\n"), "{}", metrics());
    assert!(metrics().contains("\nparlor_policy_in_force 1\n"), "{}", metrics());
    home.write("parlor.toml", &format!("nonsense = 1\n{config}")).unwrap();
    host.wait_count(CONFIG_NOT_READ, &[], 1, SOON).await.unwrap();
    home.write("plugins.toml", &format!("{policy}\n[half")).unwrap();
    host.wait_count(NOT_READ, &[], 1, SOON).await.unwrap();

    let json = status().await;
    assert!(json["config_error"].as_str().unwrap().contains("parlor.toml:"), "{json}");
    assert!(json["policy_error"].as_str().unwrap().contains("plugins.toml:"), "{json}");
    let screen = ended(home.run(&["status"]).await.unwrap(), 0).stdout.replace("\n  ", " ");
    assert!(
        screen.contains("\nthe configuration does not count as it is written now, the one before does: "),
        "{screen}"
    );
    assert!(metrics().contains("\nparlor_config_in_force 0\n"), "{}", metrics());
    assert!(metrics().contains("\nparlor_policy_in_force 0\n"), "{}", metrics());

    home.write("parlor.toml", &config).unwrap();
    home.write("plugins.toml", &policy).unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    let json = status().await;
    assert!(json["config_error"].is_null() && json["policy_error"].is_null(), "{json}");
}

#[tokio::test]
async fn what_a_command_wrote_is_read_once() {
    let (home, host, policy) = standing().await;
    ended(home.run(&["plugin", "revoke", "echo", "messages.send"]).await.unwrap(), 0);
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    // The watcher would report the first change before this one.
    home.write("plugins.toml", &policy).unwrap();
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
    assert_eq!(host.lines(READ, &[]).len(), 2, "{}", host.log().tail());
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let (home, _) = home().await;
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("watch = false\n{config}")).unwrap();
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    home.write("plugins.toml", &less(&policy)).unwrap();
    host.reload().unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    // A watcher would have noticed the first change before the second.
    home.write("plugins.toml", &policy).unwrap();
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(status["plugins"][0]["state"], "refused", "{status}");
    host.reload().unwrap();
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
    assert_eq!(host.lines(READ, &[]).len(), 2);
}

#[tokio::test]
async fn a_hang_up_while_a_plugin_is_replaced_is_not_forgotten() {
    let (home, _) = home().await;
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("watch = false\n{config}")).unwrap();
    let unruly = |behaviour: &str| {
        let unruly = home.install("unruly", &built("unruly").unwrap()).unwrap();
        unruly.set("behaviour", behaviour).limit("initialize", "3 s")
    };
    let policy = Policy::default().with("echo", echo(&home));
    let host = start(&home, &policy.clone().with("unruly", unruly(""))).await;
    let more = echo(&home).grant("messages.send", &["*", "nobody@nowhere.invalid"]);
    let hanging = policy.with("echo", more).with("unruly", unruly("initialize-sleeps"));
    home.set_policy(&hanging).unwrap();
    host.reload().unwrap();
    host.wait_count("grants changed", &[("plugin", "echo")], 1, SOON).await.unwrap();
    // The host waits for the other plugin now.
    home.set_policy(&hanging.without("echo")).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin removed", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert_eq!(host.lines("plugin not replaced", &[("plugin", "unruly")]).len(), 1);
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
}

#[tokio::test]
async fn what_somebody_writes_while_a_command_asks_is_kept() {
    let (home, host, policy) = standing().await;
    std::fs::copy(home.path().join("plugins/echo.wasm"), home.path().join("repeat.wasm")).unwrap();
    let mut terminal =
        Terminal::start(home.command(["plugin", "add", "repeat.wasm", "--id", "repeat"]).unwrap()).unwrap();
    terminal.turns_pages_to("Install it as repeat", SOON).unwrap();
    home.write("plugins.toml", &format!("# written meanwhile\n{policy}")).unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    terminal.types("y").unwrap();
    terminal.sees("Grant these together? [y/N]", SOON).unwrap();
    terminal.types("y").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    let both = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    assert!(both.starts_with("# written meanwhile\n") && both.contains("[plugin.repeat]"), "{both}");
    host.wait_count("plugin running", &[("plugin", "repeat")], 1, SOON).await.unwrap();
}

#[tokio::test]
async fn what_somebody_writes_while_commands_change_it_is_never_half_there() {
    let (home, _host, policy) = standing().await;
    // A program saves the file repeatedly while commands run. Whichever comes last, the file is always complete.
    for round in 0..12 {
        let mine = format!("# round {round}\n{policy}");
        let beside = home.write("mine.swp", &mine).unwrap();
        let into = home.path().join("plugins.toml");
        let saving = tokio::task::spawn_blocking(move || std::fs::rename(beside, into));
        let command = if round % 2 == 0 { "disable" } else { "enable" };
        let arguments = ["plugin", command, "echo"];
        let (finished, saved) = tokio::join!(home.run(&arguments), saving);
        saved.unwrap().unwrap();
        let finished = finished.unwrap();
        let now = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
        now.parse::<toml::Table>().unwrap();
        assert!(now.contains("[plugin.echo]") && now.contains("digest"), "{now}");
        match finished.code {
            Some(0) => {}
            Some(1) => assert!(finished.stderr.contains("at the same moment"), "{finished:?}"),
            _ => panic!("{finished:?}"),
        }
        // It was saved either before the command read the file, and then both changes are in it, or after that, and
        // then the owner's file wins. Only the moment between a command's last check and its own write is unprotected.
        assert!(now.starts_with("# round"), "{now}");
    }
}

/// Starts a host with a plugin that makes the calls that chat messages order, and returns the account's address.
async fn start_caller(home: &Home) -> (Host, Jid) {
    let caller = home.install("caller", &built("caller").unwrap()).unwrap().set("chat", true);
    let caller = caller.grant("messages.read", &["*"]).grant("messages.send", &["*"]);
    let host = start(home, &Policy::default().with("caller", caller)).await;
    host.wait_count("plugin running", &[("plugin", "caller")], 1, SOON).await.unwrap();
    let bot: Jid = host.lines("account connected", &[])[0].get("jid").parse().unwrap();
    (host, bot)
}

/// The other plugins' logs do not change, and nothing is restarted.
#[tokio::test]
async fn how_much_the_log_shows_of_one_plugin_is_chosen_while_it_runs() {
    let (home, _) = home().await;
    let (host, bot) = start_caller(&home).await;
    let mut juliet = juliet().await;
    let mut say = async |level: &str, message: &str| {
        let order = json!({ "n": 1, "call": "log.write", "args": { "level": level, "message": message } });
        juliet.chat(bot.clone(), &format!("call {order}")).await.unwrap();
        let done = |text: &str| text.starts_with("done ").then_some(());
        juliet.wait_text("an answer", &bot.to_bare(), SOON, done).await.unwrap();
    };
    let choose = async |level: &str| ended(home.run(&["plugin", "log", "caller", level]).await.unwrap(), 0).stdout;
    say("debug", "one").await;
    assert!(choose("debug").await.contains("caller is logged from debug on"));
    say("debug", "two").await;
    host.wait_count("two", &[("plugin", "caller")], 1, SOON).await.unwrap();
    assert!(choose("debug").await.contains("already"));
    choose("error").await;
    say("warn", "three").await;
    say("error", "four").await;
    host.wait_count("four", &[("plugin", "caller")], 1, SOON).await.unwrap();
    choose("default").await;
    say("debug", "five").await;
    say("info", "six").await;
    host.wait_count("six", &[("plugin", "caller")], 1, SOON).await.unwrap();
    for unwanted in ["one", "three", "five"] {
        assert!(host.lines(unwanted, &[]).is_empty(), "{unwanted}");
    }
    assert_eq!(host.lines("plugin running", &[]).len(), 1);
    let wrong = home.run(&["plugin", "log", "caller", "loud"]).await.unwrap();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("debug"), "{wrong:?}");
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    home.write("plugins.toml", &policy.replace("[plugin.caller]", "[plugin.caller]\nlog = \"trace\"")).unwrap();
    let line = host.wait_count(NOT_READ, &[], 1, SOON).await.unwrap();
    assert!(line.get("reason").contains("a level is debug, info, warn or error"), "{}", line.get("reason"));
}

/// Row 127.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_another_name_at_once_where_the_owner_wants_one() {
    let home = home().await.0;
    let (host, bot) = start_caller(&home).await;
    let mut juliet = juliet().await;
    let order = json!({ "n": 1, "call": "commands.add", "args": { "name": "roll", "help": "", "usage": "" } });
    juliet.chat(bot.clone(), &format!("call {order}")).await.unwrap();
    let done = |text: &str| text.starts_with("done ").then_some(());
    juliet.wait_text("an answer", &bot.to_bare(), SOON, done).await.unwrap();
    let mut hears = async |said: &str| {
        juliet.chat(bot.clone(), said).await.unwrap();
        let heard = |text: &str| text.starts_with("heard ").then(|| text.contains("\"name\":\"roll\""));
        assert!(juliet.wait_text("the command", &bot.to_bare(), SOON, heard).await.unwrap(), "{said}");
    };
    let run =
        async |arguments: &[&str]| home.run(&[&["plugin", "command", "caller"][..], arguments].concat()).await.unwrap();
    hears("!roll").await;

    let told = ended(run(&["roll", "throw"]).await, 0).stdout;
    let renamed = "roll of caller goes by the name throw; the names that its author chose do not work meanwhile";
    assert!(told.starts_with(&format!("{renamed}; the running host has")), "{told}");
    hears("!throw").await;
    hears("!caller.roll").await;
    assert_eq!(ended(run(&[]).await, 0).stdout, "COMMAND  PEOPLE SAY\nroll     throw\n");
    assert_eq!(ended(run(&["--json"]).await, 0).json().unwrap(), json!({ "roll": "throw" }));
    assert!(ended(run(&["roll", "throw"]).await, 0).stdout.contains("already"));
    for (arguments, code, reason) in [
        (&["rol", "x"], 1, "caller has no command rol, did you mean \"roll\"?"),
        (&["roll", "help"], 1, "the command `help` is the host's; choose another name"),
        (&["roll", "a b"], 2, "it is not 1 to 32 letters, digits, - and _"),
    ] {
        let refused = ended(run(arguments).await, code);
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }

    // The name can be changed by hand as well, and nothing is restarted.
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    assert!(policy.contains("roll = \"throw\""), "{policy}");
    home.write("plugins.toml", &policy.replace("roll = \"throw\"", "roll = \"toss\"")).unwrap();
    host.wait_count("plugin's commands go by the owner's names", &[("plugin", "caller")], 2, SOON).await.unwrap();
    hears("!toss").await;
    // A name that the owner gave to another plugin's command is taken, whether that plugin runs or not.
    let digest = policy.lines().find(|line| line.starts_with("digest = ")).unwrap();
    let other = format!("[plugin.other]\nsource = \"plugins/caller.wasm\"\n{digest}\nenabled = false\n");
    let named = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    home.write("plugins.toml", &format!("{named}\n{other}[plugin.other.commands]\nsay = \"taken\"\n")).unwrap();
    let refused = ended(run(&["roll", "taken"]).await, 1);
    assert!(refused.stderr.contains("taken is what you named the command say of other"), "{refused:?}");
    assert!(ended(run(&["--unset", "roll"]).await, 0).stdout.starts_with("roll of caller goes by its own name again"));
    hears("!roll").await;
    assert_eq!(host.lines("plugin running", &[]).len(), 1);
}
