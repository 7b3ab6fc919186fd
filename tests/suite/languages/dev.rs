//! `parlor plugin dev`: builds a folder at each save, and lets the author talk to the plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parlor_tests::folder::Folder;
use parlor_tests::host::{Finished, Home, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::terminal::Terminal;
use parlor_tests::web::Web;

use super::{MANIFEST, begun_in_rust, parlor, rust_place};
use crate::test_host::{SOON, friend, prosody};

/// A plugin that repeats messages, or carries out orders.
const PLUGIN: &str = r#"
import { on, reply, send, say } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  if (message.body === "far") await send("nobody@elsewhere.org", "x");
  else if (message.body === "throw") lost();
  else await reply(message, `you said: ${message.body}`);
});

on("message", { kind: "groupchat" }, async (message) => say(message.chat, `${message.nick}: ${message.body}`));

function lost() {
  throw new Error("told to");
}
"#;

/// Writes a folder with a plugin in JavaScript.
fn plugin(folder: &Folder) -> PathBuf {
    let manifest =
        MANIFEST.replace("[permissions]", "[permissions]\n\"rooms.send\" = { scope = [\"*\"], reason = \"r\" }");
    let manifest = manifest.replace(
        "scope = [\"*\"], reason = \"to answer\"",
        "scope = [\"@example.org\", \"@localhost\"], reason = \"r\"",
    );
    folder.write("actions/plugin.toml", manifest).unwrap();
    folder.write("actions/plugin.js", PLUGIN).unwrap();
    folder.join("actions")
}

/// Replaces a part of the source, as an editor that saves does.
fn edit(plugin: &Path, part: &str, other: &str) {
    edit_all(plugin, &[(part, other)]);
}

fn edit_all(plugin: &Path, parts: &[(&str, &str)]) {
    let file = plugin.join("plugin.js");
    let mut text = fs::read_to_string(&file).unwrap();
    for (part, other) in parts {
        assert!(text.contains(part), "{part} is not in {text}");
        text = text.replace(part, other);
    }
    fs::write(file, text).unwrap();
}

fn at_terminal(home: &Home, plugin: &Path, more: &[&str]) -> Terminal {
    let arguments = [&["plugin", "dev", "--trust", plugin.to_str().unwrap()], more].concat();
    Terminal::start(home.command(arguments).unwrap()).unwrap()
}

/// Runs `plugin dev` with a script as its input.
async fn scripted(plugin: &Path, script: &str) -> Finished {
    Home::new().unwrap().run_with(&["plugin", "dev", "--trust", plugin.to_str().unwrap()], script).await.unwrap()
}

/// Checks that a text has these parts, in this order.
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is missing, or comes too early, in\n{text}")).1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_each_save_is_built_and_takes_over_and_a_mistake_leaves_the_one_before() {
    let (folder, home) = (Folder::new().unwrap(), Home::new().unwrap());
    let plugin = plugin(&folder);
    let mut terminal = at_terminal(&home, &plugin, &[]);
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.sees("alice: ", SOON).unwrap();
    assert!(!terminal.is_cooked().unwrap(), "its keys are its own");
    terminal.types("hello").unwrap();
    terminal.sees("  to alice: you said: hello\n".replace('\n', "\r\n").as_str(), SOON).unwrap();

    edit(&plugin, "you said", "you shouted");
    terminal.sees("# actions 0.1.0 has taken over (", SOON).unwrap();
    // The arrow key recalls the last input.
    terminal.presses("\x1b[A\r").unwrap();
    terminal.sees("  to alice: you shouted: hello", SOON).unwrap();

    edit(&plugin, "function lost", "functio lost");
    terminal.sees("actions did not compile", SOON).unwrap();
    terminal.sees("/plugin.js:12", SOON).unwrap();
    terminal.sees("# actions 0.1.0 goes on as it was", SOON).unwrap();
    terminal.types("still there?").unwrap();
    terminal.sees("  to alice: you shouted: still there?", SOON).unwrap();

    edit(&plugin, "functio lost", "function lost");
    terminal.sees("# it builds again, and actions 0.1.0 is what runs already", SOON).unwrap();

    // An exception is shown with its function and line, and the plugin keeps running.
    edit(&plugin, "told to", "asked to");
    terminal.sees("has taken over", SOON).unwrap();
    terminal.types("throw").unwrap();
    terminal.sees("log error: a handler of message failed: Error: asked to", SOON).unwrap();
    terminal.sees("lost (/plugin.js:13", SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(terminal.is_cooked().unwrap(), "the terminal was not given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_while_it_is_built_is_built_as_well() {
    let (folder, home) = (Folder::new().unwrap(), Home::new().unwrap());
    let plugin = plugin(&folder);
    let mut terminal = at_terminal(&home, &plugin, &[]);
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.sees("alice: ", SOON).unwrap();
    // Code outside of functions runs during the build. This code takes long, and prints that it begins.
    let slow = "say } from \"parlor\";\nconsole.log(\"it begins\");\nfor (let i = 0; i < 2e7; i++);\n";
    edit_all(&plugin, &[("say } from \"parlor\";\n", slow), ("you said", "you shouted")]);
    terminal.sees("it begins", SOON).unwrap();
    edit(&plugin, "you shouted", "you whispered");
    terminal.sees("# actions 0.1.0 has taken over (", SOON).unwrap();
    // If the machine reports saved files late, the first version may run for a moment.
    let whispers = |terminal: &mut Terminal| {
        terminal.types("hello").unwrap();
        terminal.sees("  to alice: you whispered: hello", Duration::from_secs(2)).is_ok()
    };
    assert!((0..30).any(|_| whispers(&mut terminal)), "what was saved last is never built");
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_joined_before_there_is_a_plugin_is_joined_once_there_is_one() {
    let (folder, home) = (Folder::new().unwrap(), Home::new().unwrap());
    let plugin = plugin(&folder);
    edit(&plugin, "function lost", "functio lost");
    let mut terminal = at_terminal(&home, &plugin, &[]);
    terminal.sees("# it is built again when you save something", SOON).unwrap();
    terminal.types("/join garden").unwrap();
    terminal.sees("# there is nobody to talk to yet", SOON).unwrap();
    edit(&plugin, "functio lost", "function lost");
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.types("/join garden").unwrap();
    terminal.types("/room hi").unwrap();
    terminal.sees("  to garden: alice: hi", SOON).unwrap();
    // Many lines arrive at once, as if pasted. The room must be entered before a message to it.
    let rooms = (0..20).map(|number| format!("room{number}")).collect::<Vec<_>>();
    let lines: Vec<_> = rooms.iter().map(|room| format!("/join {room}\r/room hi\r")).collect();
    terminal.presses(&lines.concat()).unwrap();
    for room in &rooms {
        terminal.sees(&format!("  to {room}: alice: hi"), SOON).unwrap();
    }
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0));
    assert!(!screen.contains("is not in"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_given_back_however_it_ends() {
    let (folder, home) = (Folder::new().unwrap(), Home::new().unwrap());
    let plugin = plugin(&folder);
    for end in ["\x03", "\x04", ""] {
        let mut terminal = at_terminal(&home, &plugin, &[]);
        terminal.sees("alice: ", SOON).unwrap();
        match end {
            "" => terminal.signal(Signal::Terminate).unwrap(),
            key => terminal.presses(key).unwrap(),
        }
        let (code, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(code, Some(0), "{end:?}: {screen}");
        assert!(terminal.is_cooked().unwrap(), "{end:?}: the terminal was not given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_speaks_for_several_people_in_rooms_and_reads_like_a_test() {
    let folder = Folder::new().unwrap();
    let script = "hello\na\\u{a}# b\n/as bob\nhi\n/join garden\n/room all\nfar\nthrow\n/deny messages.send\nnow?\n/grant messages.send\nthen\n/jion x\n/cut\n/back\n/restart\n/after 300 ms\nback\n";
    let finished = scripted(&plugin(&folder), script).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    has(
        &finished.stdout,
        &[
            "# actions 0.1.0 is there (",
            "alice: hello\n  to alice: you said: hello\n",
            // A person's text is not interpreted as a line end.
            "alice: a\\u{a}# b\n  to alice: you said: a\\u{a}# b\n",
            "bob: hi\n  to bob: you said: hi\n",
            "bob: /room all\n  to garden: bob: all\n",
            "bob: far\n  denied messages.send for nobody@elsewhere.org\n",
            "# to allow it: parlor plugin grant actions messages.send=nobody@elsewhere.org\n",
            "messages.send for nobody@elsewhere.org (chats.send \"nobody@elsewhere.org\")\n",
            // The location is where the call was made, although the answer came later.
            "(/plugin.js:5:",
            "bob: throw\n  log error: a handler of message failed: Error: told to\n",
            "lost (/plugin.js:13",
            "bob: now?\n  denied messages.send for bob\n",
            "bob: then\n  to bob: you said: then\n",
            "bob: /jion x\n# nobody knows what this is",
            "bob: /after 300 ms\n# nothing is read for 300 ms, by the machine's clock",
            "# waited 300 ms; it is 20",
            "bob: back\n  to bob: you said: back\n",
        ],
    );
}

/// The value of the credential of `asker`.
const SECRET: &str = "no-secret-of-anybody";

/// Writes a folder with a plugin that sends its credential to the address that somebody says, and the file with its value.
fn asker(folder: &Folder, web: &Web) -> PathBuf {
    let (host, address) = (web.url(""), web.address());
    let asks = format!("[permissions]\n\"http.fetch\" = {{ scope = [\"{host}\", \"{address}\"], reason = \"r\" }}");
    let key = format!("\n[settings.key]\ntype = \"credential\"\nhosts = [\"{host}\"]\ndescription = \"d\"\n");
    let source = r#"
import { fetch, on, reply } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  const headers = { authorization: "Bearer {{key}}" };
  const answer = await fetch(message.body, { headers, credentials: ["key"] });
  await reply(message, `status ${answer.status}`);
});
"#;
    folder.write("asker/plugin.toml", MANIFEST.replace("[permissions]", &asks) + &key).unwrap();
    folder.write("asker/plugin.js", source).unwrap();
    folder.write("key.txt", SECRET).unwrap();
    folder.join("asker")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_from_a_file_goes_to_its_own_servers_alone_and_nothing_shows_it() {
    let (folder, home, web) = (Folder::new().unwrap(), Home::new().unwrap(), Web::start().await.unwrap());
    let plugin = asker(&folder, &web);
    web.put("/a", "x");
    let key = format!("key={}", folder.join("key.txt").display());
    let certificate = web.certificate().certificate_file.to_str().unwrap();
    let arguments =
        ["plugin", "dev", "--trust", plugin.to_str().unwrap(), "--credential", &key, "--ca-file", certificate];
    let (bound, other) = (web.url("/a"), format!("{}/a", web.address()));
    let script = format!("{bound}\n{other}\n/set key = \"x\"\n");
    let finished = home.run_with(&arguments, &script).await.unwrap();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    has(
        &finished.stdout,
        &[
            "# the credential key goes to ",
            &format!("alice: {bound}\n  to alice: status 200\n"),
            "denied http.fetch for the credential key towards https://127.0.0.1:",
            "# no grant helps: the manifest binds key to ",
            "# `key` is a credential, which is not typed here: give it by `parlor plugin dev --credential key`",
        ],
    );
    assert!(!finished.stdout.contains(SECRET) && !finished.stderr.contains(SECRET), "{finished:?}");
    let requests = web.requests();
    let [request] = &requests[..] else { panic!("one request: {requests:?}") };
    assert!(request.to_lowercase().contains(&format!("authorization: bearer {SECRET}")), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_credential_a_request_is_not_sent_and_an_author_reads_how_to_give_it() {
    let (folder, home, web) = (Folder::new().unwrap(), Home::new().unwrap(), Web::start().await.unwrap());
    let plugin = asker(&folder, &web);
    web.put("/a", "x");
    let certificate = web.certificate().certificate_file.to_str().unwrap();
    let arguments = ["plugin", "dev", "--trust", plugin.to_str().unwrap(), "--ca-file", certificate];
    let finished = home.run_with(&arguments, &format!("{}\n", web.url("/a"))).await.unwrap();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    has(&finished.stdout, &["# the credential key is not given", "--credential key", "log error: "]);
    assert_eq!(web.requests(), Vec::<String>::new());
    // Without a terminal nobody can be asked.
    let asks = home.run(&[&arguments[..], &["--credential", "key"]].concat()).await.unwrap();
    assert!(asks.code == Some(1) && asks.stderr.contains("write --credential key=FILE"), "{asks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_typed_is_not_on_the_screen() {
    let (folder, home, web) = (Folder::new().unwrap(), Home::new().unwrap(), Web::start().await.unwrap());
    let plugin = asker(&folder, &web);
    web.put("/a", "x");
    let certificate = web.certificate().certificate_file.to_str().unwrap();
    let mut terminal = at_terminal(&home, &plugin, &["--credential", "key", "--ca-file", certificate]);
    terminal.sees("The credential key, which is not shown:", SOON).unwrap();
    terminal.types(SECRET).unwrap();
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.types(&web.url("/a")).unwrap();
    terminal.sees("  to alice: status 200", SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert!(code == Some(0) && !screen.contains(SECRET), "{screen}");
    assert!(web.requests().concat().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_has_an_address_in_a_test_and_a_named_header_is_shown() {
    let folder = Folder::new().unwrap();
    let asks = "[permissions]\n\"webhooks.receive\" = { reason = \"r\" }\n\"http.fetch\" = { scope = [\"*\"], reason = \"r\" }";
    let key = "\n[settings.key]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\ndescription = \"d\"\n";
    let webhook = "\n[webhook.github]\ndescription = \"d\"\nverify = \"none\"\n";
    let source = r#"
import { fetch, on, reply, webhooks } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  if (message.body === "unlisted") return void (await fetch("https://api.example.org/a?key={{key}}"));
  const answer = await fetch("https://api.example.org/a", { headers: { "If-None-Match": "v1", accept: "*/*" } });
  await reply(message, `${answer.status} ${await webhooks.address("github")}`);
});
"#;
    let test = "== it knows its address\nshow if-none-match\nGET https://api.example.org/a answers 304 with etag: v1, x-a: b\n\
                alice: hi\n  requests GET https://api.example.org/a with if-none-match: v1\n  to alice: 304 https://bot.example.org/* (glob)\n\
                GET https://api.example.org/a?key={{key}} answers 200\nalice: unlisted\n\
                \x20 host warns: a request has a place for a credential, and does not list it among its credentials, credential key\n\
                \x20 requests GET https://api.example.org/a?key={{key}}\n";
    folder.write("actions/plugin.toml", MANIFEST.replace("[permissions]", asks) + key + webhook).unwrap();
    folder.write("actions/plugin.js", source).unwrap();
    folder.write("actions/tests/first.chat", test).unwrap();
    let tested = parlor(&["plugin", "test", "--trust", folder.join("actions").to_str().unwrap()]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_turns_nothing_around() {
    let folder = Folder::new().unwrap();
    let plugin = plugin(&folder);
    edit(&plugin, "you said:", "größe\u{202e}");
    let finished = scripted(&plugin, "hello\n").await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    has(&finished.stdout, &["alice: hello\n  to alice: größe\\u{202e} hello\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_worked_on_is_said_with_what_to_do() {
    let folder = Folder::new().unwrap();
    let plugin = plugin(&folder);
    let there = plugin.to_str().unwrap();
    for (arguments, parts) in [
        (vec!["/nowhere/at/all"], vec!["/nowhere/at/all is no folder", "`parlor plugin new`"]),
        (vec![there, "--account", "main", "--config", "/nowhere.toml"], vec!["/nowhere.toml"]),
    ] {
        let finished = parlor(&[&["plugin", "dev"], arguments.as_slice()].concat()).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        for part in parts {
            assert!(finished.stderr.contains(part), "{part} is missing: {finished:?}");
        }
    }
    // With a script as its input, no corrected version can be saved.
    edit(&plugin, "function lost", "functio lost");
    let finished = scripted(&plugin, "hello\n").await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    has(&finished.stdout, &["actions did not compile", "/plugin.js:12", "# it is built again when you save something"]);
    has(&finished.stdout, &["alice: hello\n", "# there is nobody to talk to yet"]);
    assert!(finished.stderr.contains("the script ended before the plugin ran"), "{finished:?}");
    assert!(!plugin.join("actions.wasm").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_without_an_end_is_told_of_before_it_is_ended_and_named_then() {
    let (folder, home) = (Folder::new().unwrap(), Home::new().unwrap());
    let plugin = plugin(&folder);
    edit(&plugin, "throw new Error(\"told to\")", "for (;;)");
    let mut terminal = at_terminal(&home, &plugin, &[]);
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.types("throw").unwrap();
    terminal.sees("# it has computed for ", SOON).unwrap();
    terminal.sees(" ms without a pause: it is slowed down now, and ended after 1 s of that", SOON).unwrap();
    let ends =
        "plugin ends: it computed for 1000 ms without a pause (limit `cpu_slice`) while it handled message (chat)";
    // On a busy machine, a throttled plugin may take long to reach the limit.
    terminal.sees(ends, 4 * SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
}

/// For instance, its `plugin.toml` does not ask for a permission that one of its events needs, which shows only at the
/// start.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_start_is_not_talked_to_as_if_it_were_there() {
    let folder = Folder::new().unwrap();
    let plugin = plugin(&folder);
    edit(&plugin, "function lost", "on(\"occupantJoined\", () => {});\n\nfunction lost");
    let finished = scripted(&plugin, "hello\n").await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    has(
        &finished.stdout,
        &[
            "  denied rooms.read\n",
            "# to allow it: its author has to ask for it, in plugin.toml under [permissions]: \"rooms.read\" = { scope = [\"*\"]",
            "# actions 0.1.0 does not run: ",
            "alice: hello\n# it does not run, and hears nothing: ",
            "; /restart starts it now\n",
        ],
    );
    assert!(finished.stderr.contains("the script ended before the plugin ran"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_account_people_talk_to_each_new_build_and_nothing_stays() {
    let prosody = prosody().await;
    let account = prosody.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    let folder = Folder::new().unwrap();
    let plugin = plugin(&folder);
    let wrong = home.run(&["plugin", "dev", "--trust", plugin.to_str().unwrap(), "--account", "mian"]).await.unwrap();
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("there is no account mian in parlor.toml, did you mean \"main\"?"), "{wrong:?}");

    let before = fs::read_dir(home.path()).unwrap().count();
    let mut terminal = at_terminal(&home, &plugin, &["--account", "main"]);
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.sees(&format!("# write to {} with a client of yours", account.jid), SOON).unwrap();
    let mut friend = friend("friend").await;
    let bot = account.jid.clone();
    friend.chat(bot.clone(), "hello").await.unwrap();
    friend.wait_body(&bot, "you said: hello", SOON).await.unwrap();
    edit(&plugin, "you said", "you shouted");
    terminal.sees("# actions 0.1.0 has taken over (", SOON).unwrap();
    friend.chat(bot.clone(), "hello").await.unwrap();
    friend.wait_body(&bot, "you shouted: hello", SOON).await.unwrap();
    friend.chat(bot.clone(), "throw").await.unwrap();
    terminal.sees("log error: a handler of message failed: Error: told to", SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), before, "something stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_account_a_plugin_has_the_authors_credential_and_trusts_its_certificates() {
    let prosody = prosody().await;
    let account = prosody.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    let (folder, web) = (Folder::new().unwrap(), Web::start().await.unwrap());
    let plugin = asker(&folder, &web);
    web.put("/a", "x");
    let key = format!("key={}", folder.join("key.txt").display());
    let certificate = web.certificate().certificate_file.to_str().unwrap();
    let more = ["--account", "main", "--credential", &key, "--ca-file", certificate];
    let mut terminal = at_terminal(&home, &plugin, &more);
    terminal.sees("# the credential key goes to ", SOON).unwrap();
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    let mut friend = friend("friend").await;
    let bot = account.jid.clone();
    friend.chat(bot.clone(), &web.url("/a")).await.unwrap();
    friend.wait_body(&bot, "status 200", SOON).await.unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert!(code == Some(0) && !screen.contains(SECRET), "{screen}");
    assert!(web.requests().concat().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_on_an_account_that_a_host_is_on_is_told_that_both_answer() {
    let prosody = prosody().await;
    let account = prosody.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    let echo = home.install("echo", &built("echo").unwrap()).unwrap().grant("messages.read", &["*"]);
    let echo = echo.grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    home.set_policy(&Policy::default().with("echo", echo)).unwrap();
    let mut host = home.start().unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let folder = Folder::new().unwrap();
    let mut terminal = at_terminal(&home, &plugin(&folder), &["--account", "main"]);
    terminal.sees("# the host that runs here is on account main, too, with echo: ", SOON).unwrap();
    terminal.sees("`parlor plugin disable echo` keeps one quiet meanwhile", SOON).unwrap();
    terminal.sees("# actions 0.1.0 is there (", SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(host.stop(SOON).await.unwrap().success());
}

/// A panic ends the plugin, which reports the location and restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_trap_in_rust_shows_the_authors_own_function_and_line() {
    let (_alone, place) = rust_place().await;
    let plugin = begun_in_rust("repeat", &place).await;
    let lib = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    let text = text.replace("    if let (Some(body)", "    fall(&message);\n    if let (Some(body)");
    let fall = "\n#[inline(never)]\nfn fall(message: &Message) {\n    assert!(message.body.as_deref() != Some(\"fall\"), \"told to\");\n}\n";
    fs::write(&lib, text + fall).unwrap();
    fs::write(plugin.join("tests/first.chat"), "== it falls\nalice: fall\n").unwrap();

    let home = Home::new().unwrap();
    let compiled = fs::canonicalize(super::compiled()).unwrap();
    let mut command = home.command(["plugin", "dev", "--trust", plugin.to_str().unwrap()]).unwrap();
    command.env("CARGO_TARGET_DIR", &compiled);
    let mut terminal = Terminal::start(command).unwrap();
    terminal.sees("# repeat 0.1.0 is there (", 10 * SOON).unwrap();
    terminal.types("fall").unwrap();
    terminal.sees("log error: panicked at src/lib.rs:24:5:", SOON).unwrap();
    terminal.sees("plugin ends: it panicked or aborted while it handled message (chat)", SOON).unwrap();
    terminal.sees("repeat::fall", SOON).unwrap();
    terminal.sees("at src/lib.rs:24:5", SOON).unwrap();
    terminal.sees("repeat::answer", SOON).unwrap();
    terminal.sees("at src/lib.rs:15:5", SOON).unwrap();
    // A wait at a terminal ends by the next line, which is carried out.
    terminal.types("/after 10 min").unwrap();
    terminal.sees("# waiting for 10 min, by the machine's clock", SOON).unwrap();
    terminal.types("/quit").unwrap();
    let (code, screen) = terminal.ended(SOON).unwrap();
    assert!(code == Some(0) && screen.contains("# the wait has ended by this line"), "{screen}");

    // Its tests show the same.
    let tested = parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await;
    assert_eq!(tested.code, Some(1), "{tested:?}");
    has(
        &tested.stdout,
        &["plugin ends: it panicked or aborted while it handled message (chat)", "repeat::fall", "at src/lib.rs:24:5"],
    );

    // The file for owners keeps the function names, but is not larger for debug information.
    let (output, folder) = (place.join("small.wasm"), plugin.to_str().unwrap());
    let built = parlor(&["plugin", "build", "--trust", folder, "-o", output.to_str().unwrap()]).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    let small = fs::read(&output).unwrap();
    assert!(small.len() < 200_000, "{} bytes", small.len());
    assert!(!small.windows(6).any(|part| part == b".debug"));
}
