//! Plugins in JavaScript and TypeScript.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Stdio;

use jid::{BareJid, Jid};
use parlor_runtime::supervisor::State;
use parlor_tests::client::{Client, body};
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::peer::archive::{Script, honest};
use parlor_tests::policy::Entry;
use parlor_tests::web::EarlyServer;
use serde_json::Value;
use tokio_xmpp::Stanza;
use xmpp_parsers::message::Message;
use xmpp_parsers::minidom::Element;

use super::{
    MANIFEST, actions, asked, begins_and_answers, begun, built, built_reader, does_as_expected, does_not_start,
    example, holds_no_password, is_ready_again, is_refused, online, parlor, passes_its_tests, talks, with_archive,
};
use crate::test_host::{Plan, SOON, friend, id, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_javascript_builds_at_once_and_answers() {
    let folder = Folder::new().unwrap();
    begins_and_answers("js", folder.path(), &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_typescript_builds_at_once_and_answers() {
    let folder = Folder::new().unwrap();
    begins_and_answers("ts", folder.path(), &folder).await;
}

/// The build prints a line here, since two files could be the plugin.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_built_where_nobody_reads_what_is_said_meanwhile() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "js", folder.path()).await;
    fs::write(plugin.join("plugin.ts"), "").unwrap();
    let mut command = Home::new().unwrap().command(["plugin", "build", plugin.to_str().unwrap()]).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Compiling the runtime takes most of a build, and authors build at each save.
#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_is_compiled_once_whatever_plugin_it_evaluates() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "js", folder.path()).await;
    // Installs the tools, which are then linked into a folder with an empty compile cache.
    built(&plugin, &folder).await;
    let tools = parlor_authoring::build::data_folder().unwrap().join("tools");
    folder.make_folder("data/parlor").unwrap();
    symlink(tools, folder.join("data/parlor/tools")).unwrap();
    let mut home = Home::new().unwrap();
    home.set_environment("XDG_DATA_HOME", folder.join("data").to_str().unwrap());
    let source = fs::read_to_string(plugin.join("plugin.js")).unwrap();
    let mut kept = Vec::new();
    for line in ["", "console.log('another one');\n"] {
        fs::write(plugin.join("plugin.js"), format!("{source}{line}")).unwrap();
        let finished = home.run(&["plugin", "build", plugin.to_str().unwrap()]).await.unwrap();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let entries = fs::read_dir(folder.join("data/parlor/tried/compiled")).unwrap();
        // A file that is written again has another inode.
        kept.push(entries.map(|entry| entry.unwrap().metadata().unwrap().ino()).collect::<BTreeSet<_>>());
    }
    // The runtime, and its functions for a plugin that asks for other permissions.
    assert_eq!(kept[0].len(), 2);
    assert_eq!(kept[0], kept[1], "it was compiled anew");
}

/// Row 12.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_waits_keeps_and_goes_on_after_what_it_throws() {
    let told = [
        ("throw", None),
        ("print", None),
        ("setting", Some("h\u{fc}")),
        ("keep", Some("{\"a\":[1,\"\u{fc}\"]} k true none")),
        ("gather", Some("1 2")),
        ("later", Some("it is later")),
        ("ticks", Some("three ticks")),
        ("promise", Some("{\"x\":1}")),
        ("early", Some("waiting")),
        ("resolve", Some("it came: 7")),
        ("denied", Some("Denied messages.send nobody@nowhere.invalid true")),
        (
            "undeclared",
            Some(
                "NotDeclared: rooms.get is not part of this plugin: it needs rooms.read; ask for that in plugin.toml, and build again",
            ),
        ),
        ("typo", Some("TypeError: chats has no sned; .parlor/docs/reference/api/chats.md names what it has")),
        ("invalid", Some("jid")),
        ("year", Some("true")),
        ("!action one 'two three'", Some("one|two three / one 'two three'")),
        ("!actions.whole I don't  know", Some("I|don't|know / I don't  know")),
        ("help", Some("name: the command help is the host's; choose another name, or actions.help")),
        ("ready", Some("ready once")),
        ("built", Some("<a b='&lt;&apos;&gt;&#10;'><c xmlns='urn:x'>&amp;\u{fffd}</c></a>")),
        ("parsed", Some("urn:x & <1>")),
        ("broken", Some("Invalid xml")),
        ("ping", Some("result")),
        ("words", Some("tea for 2")),
    ];
    let words = "{ \"drink\": \"tea\",\n  \"people\": [1, 2] }\n";
    let host =
        actions(&[("plugin.js", PLUGIN), ("lib/number.ts", NUMBER), ("lib/words.json", words)], "h\u{fc}", &told).await;
    holds_no_password(&host).await;
    is_ready_again(&host).await;
    // The log has a stack trace of the author's own lines, with or without types, and the plugin keeps running.
    let lines = crate::trace::with("account", host.name());
    let thrown = lines.iter().find(|line| line.get("message").contains("RangeError: told to")).unwrap();
    let thrown = thrown.get("message");
    for place in ["a handler of message failed", "number.ts:4:", "plugin.js:23:"] {
        assert!(thrown.contains(place), "{place} is missing in {thrown}");
    }
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
    assert!(lines.iter().any(|line| line.get("message").contains("it printed {\"this\":1}")));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_does_what_its_author_expects_of_it_and_of_the_sdk() {
    does_as_expected("javascript", "64 passed, 0 failed\n").await;
}

/// The archive is read page by page while somebody sends messages, and once with an error halfway.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_reads_a_whole_archive_beside_what_else_it_does() {
    let folder = Folder::new().unwrap();
    let plugin = built_reader("plugin.js", READER, &folder).await;
    let mut pages = honest(20);
    let script: Script = Box::new(move |page| {
        if page.part("after").is_none() {
            return pages(page);
        }
        if page.field("start").is_some() {
            return vec![page.refuse("not-allowed")];
        }
        let mut stanzas: Vec<Element> = vec![HI.parse().unwrap()];
        stanzas.extend(pages(page));
        stanzas
    });
    let host = with_archive(script, &plugin).await;
    host.ears().emit("count", &Value::Null).await;
    host.says(">hello<").await;
    host.says(">counted 20 of 20, and uid-0 before StanzaError<").await;
    assert_eq!(host.instance("actions").await.open_archive_queries(), 0);
    let lines = crate::trace::with("account", host.name());
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
}

/// A call that is refused is made again when another one ends. Those that wait for a promise may never end.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_javascript_beside_waits_without_an_end_is_refused_and_does_not_wait_as_well() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.js", FULL_OF_WAITS).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let few = |entry: Entry| asked(entry).limit("open_calls", 4);
    let host = Plan::new().await.bytes("actions", &plugin, few).start().await;
    running(&host, "actions").await;
    let bot = host.account().jid.clone();
    let mut juliet = friend("juliet").await;
    juliet.chat(bot.clone(), "keep").await.unwrap();
    host.logged("kept", &[]).await;
    juliet.chat(bot.clone(), "fill").await.unwrap();
    host.logged("filled", &[]).await;
    // Another handler polls meanwhile.
    juliet.chat(bot.clone(), "idle").await.unwrap();
    host.logged("idle", &[]).await;
    juliet.chat(bot, "keep").await.unwrap();
    host.logged("OverLimit", &[]).await;
    host.stop().await;
}

const FULL_OF_WAITS: &str = r#"import { log, on, promise, storage, waitUntil } from "parlor";

on("message", { kind: "chat" }, async ({ body }) => {
  if (body === "fill") {
    const names = ["actionsA", "actionsB", "actionsC", "actionsD"];
    for (const name of names) await promise(name);
    const all = names.map((name) => waitUntil(name));
    log.info("filled");
    await Promise.all(all);
  }
  if (body === "idle") {
    log.info("idle");
    await new Promise(() => {});
  }
  if (body === "keep") {
    try {
      await storage.set("k", 1);
      log.info("kept");
    } catch (error) {
      log.info(error.name);
    }
  }
});
"#;

/// Row 136: a server may answer before it has the whole body, and take no more of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_javascript_whose_body_is_not_wanted_has_the_servers_answer() {
    let folder = Folder::new().unwrap();
    let asks = "[permissions]\n\"http.fetch\" = { scope = [\"*\"], reason = \"to send\" }";
    folder.write("plugin/plugin.toml", MANIFEST.replace("[permissions]", asks)).unwrap();
    folder.write("plugin/plugin.js", SENDER).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let answers: &[_] = &["HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge", ""];
    let server = EarlyServer::start(answers).await.unwrap();
    let sends = |entry: Entry| asked(entry).grant("http.fetch", &[server.url()]);
    let host = Plan::new().await.bytes("actions", &plugin, sends).start().await;
    running(&host, "actions").await;
    let (mut friend, bot) = (friend("friend").await, host.account().jid.clone());
    // The second time there is no answer at all.
    for answer in ["413 large, and the body was closed", "Protocol"] {
        friend.chat(bot.clone(), server.url()).await.unwrap();
        friend.wait_body(&bot, answer, SOON).await.unwrap();
    }
    host.stop().await;
}

/// Its memory is restored from the build, and the seed of its random numbers lies there.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_draws_other_numbers_at_each_start() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let source = "import { on, reply } from \"parlor\";\n\non(\"message\", { kind: \"chat\" }, async (message) => {\n  \
                 await reply(message, `drawn ${[1, 2, 3].map(() => Math.random())}`);\n});\n";
    folder.write("plugin/plugin.js", source).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host = Plan::new().await.bytes("actions", &plugin, asked).start().await;
    let (mut friend, bot) = (friend("friend").await, host.account().jid.clone());
    let mut drawn = BTreeSet::new();
    for _ in 0..3 {
        running(&host, "actions").await;
        friend.chat(bot.clone(), "draw").await.unwrap();
        let numbers = |text: &str| text.strip_prefix("drawn ").map(str::to_owned);
        let numbers = friend.wait_text("numbers", &bot, SOON, numbers).await.unwrap();
        drawn.extend(numbers.split(',').map(str::to_owned));
        assert!(host.host.restart_plugin(&id("actions")).await);
    }
    assert_eq!(drawn.len(), 9, "{drawn:?}");
    host.stop().await;
}

/// Calls that need a connection are too early then, and the author gets the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_sends_is_refused_with_what_helps() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let sends = "import { onStart, send } from \"parlor\";\n\nonStart(() => send(\"juliet@localhost\", \"hello\"));\n";
    folder.write("plugin/plugin.js", sends).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host = Plan::new().await.bytes("actions", &plugin, asked).start().await;
    let state = host.state("actions").await;
    assert!(
        matches!(&state, State::Refused(reason) if reason.contains("wait for `initialized`, or use onReady")),
        "{state:?}"
    );
    host.stop().await;
}

/// Code at the top of a file runs when the plugin starts, where no stack trace shows the author's line.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_in_javascript_is_named_with_its_authors_line() {
    for (line, says) in [
        ("command(\"!x\", \"X\", () => {});", "Invalid: command \"!x\" at plugin.js:3:1: invalid name: is not "),
        (
            "on(\"message\", { kind: \"caht\" }, () => {});",
            "Invalid: on(\"message\") at plugin.js:3:1: invalid filter.kind: ",
        ),
        (
            "on(\"occupantJoined\", () => {});",
            "Denied: on(\"occupantJoined\") at plugin.js:3:1: not granted: rooms.read",
        ),
    ] {
        does_not_start("plugin.js", &format!("import {{ command, on }} from \"parlor\";\n\n{line}\n"), says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_forges_are_told_to_rooms() {
    let folder = Folder::new().unwrap();
    let forge = built(&example("forge"), &folder).await;
    passes_its_tests("forge", &folder, "21 passed, 0 failed\n").await;
    Box::pin(online::signed_events_are_told_to_a_room(&forge)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_polls_count_reactions_also_after_a_restart() {
    let folder = Folder::new().unwrap();
    let polls = built(&example("polls"), &folder).await;
    passes_its_tests("polls", &folder, "10 passed, 0 failed\n").await;
    let asks = |entry: Entry| talks(entry).grant("rooms.send", &["*"]).grant("storage", &["1 MiB"]);
    let host = Plan::new().await.bytes("polls", &polls, asks).start().await;
    host.logged("ready to ask", &[("plugin", "polls")]).await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    friend.chat(bot.clone(), "!poll nothing").await.unwrap();
    friend.wait_body(&bot, "Which choices? Such as \u{1f355} \u{1f35d}", SOON).await.unwrap();
    friend.chat(bot.clone(), "cancel").await.unwrap();
    friend.chat(bot.clone(), "!poll 'Pizza or pasta?' \u{1f355} \u{1f35d}").await.unwrap();
    let asked = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if body(message)?.starts_with("Pizza or pasta? React") => message.id.clone(),
        _ => None,
    };
    let asked = friend.wait_for("the question", SOON, asked).await.unwrap().0;
    react(&mut friend, &bot, &asked, "\u{1f355}").await;
    react(&mut friend, &bot, &asked, "\u{1f35d}").await;
    react(&mut friend, &bot, "another", "\u{1f355}").await;
    friend.chat(bot.clone(), "!votes").await.unwrap();
    friend.wait_body(&bot, "Pizza or pasta? \u{1f355} 0, \u{1f35d} 1", SOON).await.unwrap();
    let host = host.restart().await;
    host.logged("ready to ask", &[("plugin", "polls")]).await;
    friend.chat(bot.clone(), "!votes").await.unwrap();
    friend.wait_body(&bot, "Pizza or pasta? \u{1f355} 0, \u{1f35d} 1", SOON).await.unwrap();
    host.stop().await;
}

async fn react(friend: &mut Client, to: &BareJid, id: &str, emoji: &str) {
    let text = format!("<reactions xmlns='urn:xmpp:reactions:0' id='{id}'><reaction>{emoji}</reaction></reactions>");
    let mut message = Message::chat(Jid::from(to.clone()));
    message.payloads.push(text.parse::<Element>().unwrap());
    friend.send(message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_build_in_javascript_leaves_no_file_and_shows_the_authors_own_line() {
    let folder = Folder::new().unwrap();
    let plugin = folder.path().join("plugin");
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    for (text, parts) in [
        ("let x = 1;\nlet = ;\n", ["plugin.js:2:", "actions did not compile"]),
        ("import \"./gone.js\";\n", ["there is no file gone.js", "plugin.js"]),
        ("import \"lodash\";\n", ["there is no module lodash here", "plugin.js"]),
        ("import \"./typed.ts\";\n", ["typed.ts:2:", "actions did not compile"]),
        ("import words from \"./words.json\";\n", ["/words.json", "line 1 column 2"]),
        ("import { Message, on } from \"parlor\";\n", ["'Message'", "import { type X }"]),
        (
            "import {\n  on,\n  repyl,\n} from \"parlor\";\n",
            ["'repyl' in module 'parlor', did you mean \"reply\"?", "    at /plugin.js:3:3\n"],
        ),
        ("import parlor from \"parlor\";\n", ["import * as NAME\n", "    at /plugin.js:1:8\n"]),
        (
            "import \"./other.js\";\nimport { word } from \"./other\";\n",
            ["'word' in module '/other.js', did you mean \"words\"?", "    at /plugin.js:2:10\n"],
        ),
        ("\n\nthrow new Error('at once');\n", ["at once", "plugin.js:3:"]),
        (
            "import { command } from \"parlor\";\n\ncommand(\"roll\", { aliases: [\"r\"] }, () => {});\n\
             command(\"rot\", { aliases: [\"R\"] }, () => {});\n",
            ["command \"rot\" and command \"roll\" are both called \"r\"", "plugin.js:4:"],
        ),
        (
            "import { setting } from \"parlor\";\n\nsetting(\"greeting\");\n",
            ["settings.get is called while the plugin is built", "plugin.js:3:"],
        ),
    ] {
        folder.write("plugin/plugin.js", text).unwrap();
        folder.write("plugin/typed.ts", "const a = 1;\nconst b: = 2;\n").unwrap();
        folder.write("plugin/words.json", "{no: 1}").unwrap();
        folder.write("plugin/other.js", "export const words = [];\n").unwrap();
        is_refused(&plugin, &folder, &parts).await;
    }
}

/// Node.js reads the modules, and would take a name that begins with a dash for an option.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_module_is_no_option_of_the_program_that_reads_it() {
    let folder = Folder::new().unwrap();
    let plugin = folder.path().join("plugin");
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    let module = "--import=data:text/javascript,process.exit(0);var a={};a.ts";
    folder.write("plugin/plugin.ts", format!("import {{ word }} from \"./{module}\";\nconsole.log(word);\n")).unwrap();
    folder.write(format!("plugin/{module}"), "export const word: string = \"this one\";\n").unwrap();
    let built = parlor(&["plugin", "build", plugin.to_str().unwrap()]).await;
    assert!(built.code == Some(0) && built.stderr.contains("  this one\n"), "{built:?}");
}

/// A module that is read becomes part of the file that others receive.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_folder_is_no_module() {
    let folder = Folder::new().unwrap();
    folder.write("secret.json", "\"a password\"").unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.js", "import secret from \"./conf.json\";\nconsole.log(secret);\n").unwrap();
    let link = folder.path().join("plugin/conf.json");
    symlink(folder.path().join("secret.json"), &link).unwrap();
    let says = "conf.json is a link that leads out of the plugin's folder";
    is_refused(&folder.path().join("plugin"), &folder, &[says]).await;
    // A link within the folder is an ordinary file.
    fs::remove_file(&link).unwrap();
    folder.write("plugin/own.json", "\"no secret\"").unwrap();
    symlink("own.json", &link).unwrap();
    let built = parlor(&["plugin", "build", folder.path().join("plugin").to_str().unwrap()]).await;
    assert!(built.code == Some(0) && built.stderr.contains("  no secret\n"), "{built:?}");
}

/// Neither a terminal nor a reader must take the plugin's output for parlor's own.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_plugin_that_is_built_move_no_cursor_and_begin_no_line() {
    for (file, text) in [
        ("plugin.js", "console.log('\\x1b[2Jcleared\\nparlor: signed by root');\n"),
        ("plugin.py", "print('\\x1b[2Jcleared\\nparlor: signed by root')\n"),
    ] {
        let folder = Folder::new().unwrap();
        folder.write("plugin/plugin.toml", MANIFEST).unwrap();
        folder.write(format!("plugin/{file}"), text).unwrap();
        let built = parlor(&["plugin", "build", folder.path().join("plugin").to_str().unwrap()]).await;
        assert_eq!(built.code, Some(0), "{built:?}");
        assert!(built.stderr.contains("  \\u{1b}[2Jcleared\n  parlor: signed by root\n"), "{built:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_plugin_in_javascript_and_one_in_typescript_is_told_which_is_built() {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write("plugin/plugin.js", "import \"parlor\";\nconsole.log('the first');\n").unwrap();
    folder.write("plugin/plugin.ts", "import \"parlor\";\nconsole.log('the second');\n").unwrap();
    let built = parlor(&["plugin", "build", folder.path().join("plugin").to_str().unwrap()]).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(built.stderr.contains("the first") && built.stderr.contains("plugin.ts beside it"), "{built:?}");
}

const HI: &str = "<message xmlns='jabber:client' from='juliet@localhost/balcony' to='bot@localhost' type='chat'>\
                  <body>hi</body></message>";

const READER: &str = r#"import { archive, on, reply, send, storage } from "parlor";

on("message", { prefix: "hi" }, (message) => reply(message, "hello"));

on("count", async () => {
  // A reader that leaves early leaves nothing open.
  for (let times = 0; times < 150; times++) {
    for await (const _ of archive.queryAll()) break;
  }
  let count = 0;
  for await (const one of archive.queryAll()) {
    await storage.set(one.id, one.message.body);
    count++;
  }
  const some = [];
  try {
    for await (const one of archive.queryAll({ start: "2026-01-01" })) some.push(one.id);
  } catch (error) {
    const keys = await storage.keys();
    await send("juliet@localhost", `counted ${count} of ${keys.length}, and ${some} before ${error.name}`);
  }
});
"#;

const SENDER: &str = r#"import { fetch, on, reply, sleep } from "parlor";

let isClosed = false;

async function* endless() {
  try {
    for (;;) {
      yield "one more\n";
      await sleep(0.01);
    }
  } finally {
    isClosed = true;
  }
}

on("message", { kind: "chat" }, async (message) => {
  try {
    const answer = await fetch(message.body, { method: "PUT", body: endless(), stream: true });
    await reply(message, `${answer.status} ${await answer.body.text(100)}${isClosed ? ", and the body was closed" : ""}`);
  } catch (error) {
    await reply(message, error.name);
  }
});
"#;

const NUMBER: &str = "import { sleep } from \"parlor\";

export async function number<T extends number>(value: T): Promise<T> {
  if (value < 0) throw new RangeError(\"told to\");
  await sleep(0.01);
  return value;
}
";

const PLUGIN: &str = r#"import {
  ask, chats, command, Denied, Element, emit, Invalid, ns, on, onReady, onStart, parseXml, promise, reply, rooms, send, setting,
  sleep, spawn, stanza, storage, waitUntil,
} from "parlor";
import { number } from "./lib/number.js";
import words from "./lib/words.json";

const action = async (args, message, rest) => reply(message, `${args.join("|")} / ${rest}`);
await command("action", "Does it", action);
await command("actions.Whole", "Does it", action);

let ready = 0;
onReady(() => void ready++);

// It never ends, and the plugin runs all the same.
onStart(() => spawn(async () => {
  for (;;) await sleep(1);
}));

on("message", { kind: "chat" }, async (message) => {
  switch (message.body) {
    case "throw":
      await number(-1);
      break;
    case "print":
      console.log("it printed", { this: 1 });
      break;
    case "setting":
      await reply(message, setting("greeting"));
      break;
    case "keep": {
      await storage.set("k", { a: [1, "ü"] });
      const kept = await storage.get("k");
      const keys = await storage.keys();
      const gone = await storage.delete("k");
      await reply(message, `${JSON.stringify(kept)} ${keys} ${gone} ${await storage.get("k", "none")}`);
      break;
    }
    case "gather":
      await reply(message, (await Promise.all([number(1), number(2)])).join(" "));
      break;
    case "later":
      setTimeout(() => reply(message, "it is later"), 10);
      break;
    case "ticks": {
      let ticks = 0;
      const timer = setInterval(async () => {
        if (++ticks < 3) return;
        clearInterval(timer);
        await reply(message, "three ticks");
      }, 10);
      break;
    }
    case "promise":
      await promise("actionsDone");
      await emit("actionsDone", { x: 1 });
      await reply(message, JSON.stringify(await waitUntil("actionsDone")));
      break;
    case "early":
      await promise("actionsLater");
      await reply(message, "waiting");
      await reply(message, `it came: ${await waitUntil("actionsLater")}`);
      break;
    case "resolve":
      await emit("actionsLater", 7);
      break;
    case "denied":
      try {
        await send("nobody@nowhere.invalid", "hello");
      } catch (error) {
        if (!(error instanceof Denied)) throw error;
        await reply(message, `${error.name} ${error.permission} ${error.scope} ${error.hint.length > 0}`);
      }
      break;
    case "undeclared":
      try {
        rooms.get("room@conference.localhost");
      } catch (error) {
        await reply(message, `${error.name}: ${error.message}`);
      }
      break;
    case "typo":
      try {
        chats.sned(message.chat);
      } catch (error) {
        await reply(message, `${error.name}: ${error.message}`);
      }
      break;
    case "invalid":
      try {
        await send("@", "hello");
      } catch (error) {
        if (error instanceof Invalid) await reply(message, error.argument);
      }
      break;
    case "help":
      await command("help", "Helps", action).catch((error) => reply(message, `${error.argument}: ${error.reason}`));
      break;
    case "ready":
      while (ready === 0) await sleep(0.01);
      await reply(message, ready === 1 ? "ready once" : `ready ${ready} times`);
      break;
    case "built":
      await reply(message, String(
        new Element("a").attr("b", "<'>\n").child(new Element("c").ns("urn:x").text("&\u0001")),
      ));
      break;
    case "parsed": {
      const c = parseXml("<a xmlns='urn:x'>\n<b/><c d='&lt;1&#62;'>&amp;</c></a>").find("c");
      await reply(message, `${c.namespace} ${c.content} ${c.attributes.d}`);
      break;
    }
    case "broken":
      try {
        parseXml("<a><b></a></b>");
      } catch (error) {
        await reply(message, `${error.name} ${error.argument}`);
      }
      break;
    case "ping":
      await reply(message, (await ask(stanza.iq("get").to("localhost").child(new Element("ping").ns(ns.ping)))).attributes.type);
      break;
    case "words":
      await reply(message, `${words.drink} for ${words.people[1]}`);
      break;
    case "year":
      await reply(message, String(Math.abs(Date.now() - message.at) < 3600e3));
      break;
  }
});
"#;
