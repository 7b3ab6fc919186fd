//! Changes of `parlor.toml` while the host runs: accounts are added, removed and changed without affecting others.

use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_tests::client::{Client, body};
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::prosody::Account;
use parlor_tests::terminal::Terminal;
use tokio_xmpp::Stanza;
use xmpp_parsers::presence;

use super::{SOON, echo, ended, home, juliet, start};
use crate::test_host::prosody;

const READ: &str = "configuration read again";
const NOT_READ: &str = "the configuration was not read; nothing has changed";

/// Adds an account of the suite's server.
pub(super) async fn another(home: &mut Home, name: &str) -> Account {
    let prosody = prosody().await;
    let account = prosody.fresh_account(name).unwrap();
    home.add_account(name, &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    account
}

/// Starts a host with echo on the accounts `main` and `second`.
async fn two() -> (Home, Host, [Account; 2]) {
    let (mut home, main) = home().await;
    let second = another(&mut home, "second").await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    connected(&host, "second", 1).await;
    host.wait_count("plugin running", &[], 2, SOON).await.unwrap();
    (home, host, [main, second])
}

async fn connected(host: &Host, account: &str, times: usize) {
    host.wait_count("account connected", &[("account", account)], times, SOON).await.unwrap();
}

/// Checks that a message to this account is echoed.
async fn answers(juliet: &mut Client, bot: &BareJid, text: &str) {
    juliet.chat(bot.clone(), text).await.unwrap();
    juliet.wait_body(bot, text, SOON).await.unwrap();
}

/// Checks the same for an account that has just logged in. Until the server has its presence, messages to it are
/// stored.
pub(super) async fn answers_once_there(juliet: &mut Client, bot: &BareJid, text: &str) {
    for attempt in 0..60 {
        let text = format!("{text} {attempt}");
        juliet.chat(bot.clone(), &text).await.unwrap();
        if juliet.wait_body(bot, &text, Duration::from_secs(1)).await.is_ok() {
            return;
        }
    }
    panic!("{bot} never answers");
}

/// Checks that this account is still on its first stream, and its plugin on its first instance.
fn is_untouched(host: &Host, account: &str) {
    let of = [("account", account)];
    assert_eq!(host.lines("account connected", &of).len(), 1, "{}", host.log().tail());
    for message in ["connection lost, reconnecting", "connection resumed", "connection closed"] {
        assert!(host.lines(message, &of).is_empty(), "{message}: {}", host.log().tail());
    }
    assert_eq!(host.lines("plugin running", &of).len(), 1, "{}", host.log().tail());
}

async fn accounts(home: &Home) -> Vec<(String, String)> {
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let accounts = status["accounts"].as_array().unwrap();
    accounts.iter().map(|one| (text(&one["name"]), text(&one["connection"]))).collect()
}

#[tokio::test]
async fn one_that_is_added_logs_in_with_its_plugins_and_one_that_is_gone_leaves() {
    let (mut home, main) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    let second = another(&mut home, "second").await;
    connected(&host, "second", 1).await;
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    answers_once_there(&mut juliet, &second.jid, "one").await;
    answers(&mut juliet, &main.jid, "two").await;
    assert_eq!(accounts(&home).await.len(), 2);

    home.remove_account("second").unwrap();
    host.wait_count("account removed", &[("account", "second")], 1, SOON).await.unwrap();
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
    assert_eq!(accounts(&home).await, [("main".to_owned(), "connected".to_owned())]);
    assert_eq!(host.lines("plugin stopped", &[("account", "second")]).len(), 1, "{}", host.log().tail());
    // Its session has ended, so a client that logs in to the account is alone, and its messages get no answers.
    let mut own = crate::test_host::client(&second).await;
    own.chat(second.jid.clone(), "to whoever is here").await.unwrap();
    own.wait_body(&second.jid, "to whoever is here", SOON).await.unwrap();
    answers(&mut juliet, &main.jid, "three").await;
    own.catch_up(SOON).await.unwrap();
    let heard = own.received().iter().filter(|stanza| matches!(stanza, Stanza::Message(one) if body(one).is_some()));
    assert_eq!(heard.count(), 1, "{:?}", own.received());
    is_untouched(&host, "main");
}

#[tokio::test]
async fn what_is_written_about_one_counts_at_once_and_the_streams_stay() {
    let (mut home, host, [main, second]) = two().await;
    let (mut juliet, room) = (juliet().await, prosody().await.fresh_room());
    juliet.join(&room, "juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    let here = |kind: presence::Type| {
        let room = room.clone();
        move |stanza: &Stanza| match stanza {
            Stanza::Presence(one) if one.type_ == kind => one
                .from
                .as_ref()
                .filter(|from| from.to_bare() == room && from.resource().unwrap().as_str() == "bot")
                .map(drop),
            _ => None,
        }
    };
    let rooms = |rooms: Vec<toml::Value>| toml::Table::from_iter([("auto_join_rooms".to_owned(), rooms.into())]);
    let wanted = toml::Table::from_iter(
        [("jid", room.to_string()), ("nick", "bot".to_owned())].map(|(key, value)| (key.to_owned(), value.into())),
    );
    home.amend("main", "settings", Some(rooms(vec![wanted.into()]).into())).unwrap();
    juliet.wait_for("the bot in the room", SOON, here(presence::Type::None)).await.unwrap();
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    home.amend("main", "settings", Some(rooms(Vec::new()).into())).unwrap();
    juliet.wait_for("the bot leaving the room", SOON, here(presence::Type::Unavailable)).await.unwrap();

    // The owners who may give commands from chat.
    let bot: Jid = host.lines("account connected", &[("account", "main")])[0].get("jid").parse().unwrap();
    super::chat::begin(&mut juliet, &bot, "list").await.unwrap_err();
    home.amend("main", "owners", Some(vec![juliet.jid().to_bare().to_string()].into())).unwrap();
    host.wait_count(READ, &[], 3, SOON).await.unwrap();
    super::chat::begin(&mut juliet, &bot, "list").await.unwrap();
    home.amend("main", "owners", None).unwrap();
    host.wait_count(READ, &[], 4, SOON).await.unwrap();
    super::chat::begin(&mut juliet, &bot, "list").await.unwrap_err();

    // A setting that takes effect with the next connection does not affect this one.
    home.amend("main", "keep_unsent", Some("2 h".into())).unwrap();
    host.wait_count(READ, &[], 5, SOON).await.unwrap();
    answers(&mut juliet, &main.jid, "one").await;
    answers(&mut juliet, &second.jid, "two").await;
    is_untouched(&host, "main");
    is_untouched(&host, "second");
}

#[tokio::test]
async fn another_way_to_the_server_is_taken_at_once_by_that_account_alone() {
    let (mut home, host, [main, second]) = two().await;
    let mut juliet = juliet().await;
    home.amend("main", "tls", Some("direct".into())).unwrap();
    // The host may see both changes together or one by one. In the latter case the first address fails, and it connects
    // to the second.
    let direct = format!("127.0.0.1:{}", prosody().await.ports().direct);
    home.amend("main", "server", Some(direct.into())).unwrap();
    let lost = host.wait_count("connection lost, reconnecting", &[("account", "main")], 1, SOON).await.unwrap();
    assert_eq!(lost.get("reason"), "the configuration leads elsewhere now");
    host.wait_count("connection resumed", &[("account", "main")], 1, SOON).await.unwrap();
    answers(&mut juliet, &main.jid, "by another way").await;
    answers(&mut juliet, &second.jid, "as before").await;
    // Another resource means another session.
    home.amend("main", "jid", Some(format!("{}/mine", main.jid).into())).unwrap();
    connected(&host, "main", 2).await;
    assert_eq!(host.lines("account connected", &[("account", "main")])[1].get("jid"), format!("{}/mine", main.jid));
    answers_once_there(&mut juliet, &main.jid, "as another").await;
    // Another address means another account.
    let other = prosody().await.fresh_account("other").unwrap();
    let way = Server::StartTls(prosody().await.ports().starttls, prosody().await.certificate());
    home.add_account("main", &other, way).unwrap();
    connected(&host, "main", 3).await;
    answers_once_there(&mut juliet, &other.jid, "as somebody else").await;
    assert_eq!(host.lines("account removed", &[("account", "main")]).len(), 1);
    is_untouched(&host, "second");
}

/// How many messages are sent while other accounts change, five hundred a second.
const MESSAGES: usize = 1_500;
/// The interval between two of them.
const PERIOD: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_under_load_notices_nothing_of_others_that_come_change_and_go() {
    let (mut home, _) = home().await;
    let second = another(&mut home, "second").await;
    let limits = [("messages_per_second", 10_000), ("messages_burst", 10_000), ("mailbox", 4_096)];
    let entry = limits.into_iter().fold(echo(&home), |entry, (name, value)| entry.limit(name, value));
    let host = start(&home, &Policy::default().with("echo", entry)).await;
    connected(&host, "second", 1).await;
    host.wait_count("plugin running", &[], 2, SOON).await.unwrap();
    let mut juliet = juliet().await;
    answers_once_there(&mut juliet, &second.jid, "there").await;
    let direct = format!("127.0.0.1:{}", prosody().await.ports().direct);
    let changing = async {
        home.amend("main", "tls", Some("direct".into())).unwrap();
        home.amend("main", "server", Some(direct.into())).unwrap();
        host.wait_count("connection resumed", &[("account", "main")], 1, SOON).await.unwrap();
        home.remove_account("main").unwrap();
        host.wait_count("account removed", &[("account", "main")], 1, SOON).await.unwrap();
        another(&mut home, "third").await;
        connected(&host, "third", 1).await;
    };
    let writing = async {
        let mut clock = tokio::time::interval(PERIOD);
        for number in 0..MESSAGES {
            clock.tick().await;
            juliet.chat(second.jid.clone(), &format!("message {number}")).await.unwrap();
        }
    };
    tokio::join!(changing, writing);
    answers(&mut juliet, &second.jid, "the end").await;
    juliet.catch_up(SOON).await.unwrap();
    let mut heard = vec![0; MESSAGES];
    for stanza in juliet.received() {
        let Stanza::Message(message) = stanza else { continue };
        let number = body(message).and_then(|text| text.strip_prefix("message ")?.parse::<usize>().ok());
        if let Some(number) = number {
            heard[number] += 1;
        }
    }
    let wrong: Vec<_> = heard.iter().enumerate().filter(|(_, times)| **times != 1).take(10).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(host.lines("mailbox full, events lost", &[]).is_empty());
    is_untouched(&host, "second");
}

#[tokio::test]
async fn a_wrong_password_costs_nothing_until_it_is_needed_and_is_tried_again_when_asked() {
    let (mut home, host, [main, second]) = two().await;
    home.write("wrong.password", "wrong\n").unwrap();
    home.amend("main", "password_file", Some("wrong.password".into())).unwrap();
    host.wait_count("account goes by what is written now", &[("account", "main")], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    answers(&mut juliet, &main.jid, "still here").await;
    is_untouched(&host, "main");
    home.amend("main", "transport", Some("tcp".into())).unwrap();
    host.wait_count("account failed", &[("account", "main")], 1, SOON).await.unwrap();
    answers(&mut juliet, &second.jid, "the host stands").await;
    // The password file has another content under the same name, which only an explicit reload notices.
    home.write("wrong.password", &format!("{}\n", main.password)).unwrap();
    let shown = ended(home.run(&["reload", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(shown["accounts"].as_array().unwrap().len(), 2);
    connected(&host, "main", 2).await;
    answers_once_there(&mut juliet, &main.jid, "here again").await;
    // A change of the configuration takes effect automatically.
    home.write("wrong.password", "wrong again\n").unwrap();
    home.amend("main", "transport", Some("auto".into())).unwrap();
    host.wait_count("account failed", &[("account", "main")], 2, SOON).await.unwrap();
    home.amend("main", "password_file", Some("main.password".into())).unwrap();
    connected(&host, "main", 3).await;
    is_untouched(&host, "second");
}

/// Makes an account log in again, with a wrong password.
async fn locked_out(home: &mut Home, host: &Host, name: &str) {
    home.write("wrong.password", "wrong\n").unwrap();
    home.amend(name, "password_file", Some("wrong.password".into())).unwrap();
    home.amend(name, "transport", Some("tcp".into())).unwrap();
    host.wait_count("account failed", &[("account", name)], 1, SOON).await.unwrap();
}

#[tokio::test]
async fn a_host_ends_when_no_account_is_left_and_not_because_each_was_lost_once() {
    let (mut home, mut host, [main, _]) = two().await;
    let mut juliet = juliet().await;
    locked_out(&mut home, &host, "main").await;
    home.amend("main", "password_file", Some("main.password".into())).unwrap();
    connected(&host, "main", 2).await;
    locked_out(&mut home, &host, "second").await;
    answers_once_there(&mut juliet, &main.jid, "the host stands").await;
    home.remove_account("main").unwrap();
    assert_eq!(host.ended(SOON).await.unwrap().code(), Some(6));
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_the_error_names_line_and_column() {
    let (home, host, _) = two().await;
    let fine = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let lines = fine.lines().count();
    for (round, (broken, column)) in [
        (format!("{fine}\n[account.third\n"), 15),
        (format!("{fine}\n[account.third]\njdi = \"a@localhost\"\n"), 1),
        (format!("{fine}\n[settings]\npriority = \"high\"\n"), 12),
    ]
    .into_iter()
    .enumerate()
    {
        home.write("parlor.toml", &broken).unwrap();
        let line = host.wait_count(NOT_READ, &[], 2 * round + 1, SOON).await.unwrap();
        let row = lines + if round == 0 { 2 } else { 3 };
        let place = format!("parlor.toml:{row}:{column}: ");
        assert!(line.get("reason").starts_with(&place), "{place} {}", line.get("reason"));
        host.reload().unwrap();
        host.wait_count(NOT_READ, &[], 2 * round + 2, SOON).await.unwrap();
        let refused = ended(home.run(&["reload"]).await.unwrap(), 1);
        assert!(refused.stderr.contains(&place), "{refused:?}");
    }
    std::fs::remove_file(home.path().join("parlor.toml")).unwrap();
    home.write("other", "").unwrap();
    let line = host.wait_count(NOT_READ, &[], 7, SOON).await.unwrap();
    assert!(line.get("reason").contains("parlor.toml"), "{}", line.get("reason"));
    assert!(host.lines(READ, &[]).is_empty(), "{}", host.log().tail());
    home.write("parlor.toml", &format!("data = \"elsewhere\"\nlog = \"warn\"\n{fine}")).unwrap();
    for key in ["data", "log"] {
        let later = "this counts when the host is started again";
        host.wait_count(later, &[("key", key)], 1, SOON).await.unwrap();
    }
    home.write("parlor.toml", &fine).unwrap();
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
    for account in ["main", "second"] {
        is_untouched(&host, account);
    }
    assert_eq!(accounts(&home).await.len(), 2);
}

#[tokio::test]
async fn a_plugin_runs_where_both_files_say_and_goes_on_where_it_stays() {
    let (mut home, main) = home().await;
    let policy = |accounts: &[&str]| {
        let accounts: Vec<toml::Value> = accounts.iter().map(|name| (*name).into()).collect();
        let mut entry = echo(&home);
        entry.accounts = Some(accounts.iter().map(|one| one.as_str().unwrap().to_owned()).collect());
        Policy::default().with("echo", entry)
    };
    let (one, both) = (policy(&["main"]), policy(&["main", "second"]));
    let host = start(&home, &one).await;
    host.wait_count("plugin running", &[("account", "main")], 1, SOON).await.unwrap();
    let second = another(&mut home, "second").await;
    connected(&host, "second", 1).await;
    assert!(host.lines("plugin running", &[("account", "second")]).is_empty(), "it is not among its accounts");
    home.set_policy(&both).unwrap();
    host.wait_count("plugin running", &[("account", "second")], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    answers(&mut juliet, &second.jid, "here, too").await;
    home.set_policy(&one).unwrap();
    host.wait_count("plugin stopped", &[("account", "second")], 1, SOON).await.unwrap();
    home.set_policy(&both).unwrap();
    host.wait_count("plugin running", &[("account", "second")], 2, SOON).await.unwrap();
    answers(&mut juliet, &main.jid, "never away").await;
    is_untouched(&host, "main");
    // A plugin that names a removed account is refused, as at a start, and runs again once this is corrected.
    home.remove_account("second").unwrap();
    let refused = host.wait_count("plugin refused", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert!(refused.get("reason").contains("the account second, which is not in parlor.toml"), "{refused:?}");
    home.set_policy(&one).unwrap();
    host.wait_count("plugin running", &[("account", "main")], 2, SOON).await.unwrap();
    assert_eq!(host.lines("account connected", &[("account", "main")]).len(), 1);
    // The lists of allowed and forbidden plugins apply to running plugins.
    home.set("blacklisted_plugins", vec!["echo".to_owned()]).unwrap();
    host.wait_count("plugin refused", &[("plugin", "echo")], 2, SOON).await.unwrap();
    home.set("blacklisted_plugins", Vec::<String>::new()).unwrap();
    host.wait_count("plugin running", &[("account", "main")], 3, SOON).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_was_agreed_to_at_a_terminal_waits_on_an_account_that_is_added_later() {
    let (mut home, main) = home().await;
    let host = start(&home, &Policy::default()).await;
    std::fs::write(home.path().join("echo.wasm"), built("echo").unwrap().bytes().unwrap()).unwrap();
    let agrees = |home: &Home, arguments: &[&str], words: [&str; 2]| {
        let mut terminal = Terminal::start(home.command(arguments).unwrap()).unwrap();
        for seen in words {
            terminal.turns_pages_to(seen, SOON).unwrap();
        }
        terminal.types("y").unwrap();
        if arguments[1] == "add" {
            terminal.sees("Grant these together? [y/N]", SOON).unwrap();
            terminal.types("y").unwrap();
        }
        let (code, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(code, Some(0), "{screen}");
    };
    agrees(&home, &["plugin", "add", "echo.wasm"], ["echo is to run on main (", "Install it as echo"]);
    host.wait_count("plugin running", &[("account", "main")], 1, SOON).await.unwrap();
    let second = another(&mut home, "second").await;
    connected(&host, "second", 1).await;
    host.wait_count(READ, &[], 1, SOON).await.unwrap();
    assert!(host.lines("plugin running", &[("account", "second")]).is_empty(), "{}", host.log().tail());
    let doctor = home.run(&["doctor", "--offline"]).await.unwrap().stdout;
    assert!(doctor.contains("plugins that do not run there: echo"), "{doctor}");

    let add = ["plugin", "accounts", "echo", "--add", "second"];
    let refused = ended(home.run(&add).await.unwrap(), 3).stderr;
    assert!(refused.contains("give --yes to let echo run on second"), "{refused}");
    agrees(&home, &add, ["On second (", "Let echo run on second? [y/N]"]);
    host.wait_count("plugin running", &[("account", "second")], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    answers_once_there(&mut juliet, &second.jid, "here, too").await;

    // It continues without a removed account: the owner did not type the list.
    home.remove_account("second").unwrap();
    host.wait_count("account removed", &[("account", "second")], 1, SOON).await.unwrap();
    host.wait_count(READ, &[], 2, SOON).await.unwrap();
    answers(&mut juliet, &main.jid, "still here").await;
    assert!(host.lines("plugin refused", &[]).is_empty(), "{}", host.log().tail());
    is_untouched(&host, "main");

    let last = ["plugin", "accounts", "echo", "--remove", "main"];
    assert!(ended(home.run(&last).await.unwrap(), 2).stderr.contains("`parlor plugin disable echo` does that"));
    ended(home.run(&["plugin", "accounts", "echo", "--all"]).await.unwrap(), 3);
    ended(home.run(&["plugin", "accounts", "echo", "--all", "--yes"]).await.unwrap(), 0);
    let policy = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    assert!(!policy.contains("accounts"), "{policy}");
    let shown = ended(home.run(&["plugin", "accounts", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(shown, serde_json::json!({ "plugin": "echo", "accounts": ["main"], "not_on": [], "later": true }));
}
