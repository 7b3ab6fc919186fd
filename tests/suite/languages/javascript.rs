//! JavaScript and TypeScript.

use jid::{BareJid, Jid};
use parlor_tests::client::{Client, body};
use parlor_tests::folder::Folder;
use parlor_tests::policy::Entry;
use tokio_xmpp::Stanza;
use xmpp_parsers::message::Message;
use xmpp_parsers::minidom::Element;

use super::{MANIFEST, begins_and_answers, built, deeds, example, is_refused, passes_its_tests, talks};
use crate::house::{Plan, SOON, friend};

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
        ("undeclared", Some("NotDeclared")),
        ("invalid", Some("jid")),
        ("year", Some("true")),
        ("!deed one 'two three'", Some("one|two three")),
    ];
    let house = deeds(&[("plugin.js", PLUGIN), ("lib/number.ts", NUMBER)], "h\u{fc}", &told).await;
    // Its stack, in its author's own lines, types or no types, and no end of the plugin.
    let lines = crate::trace::with("account", house.name());
    let thrown = lines.iter().find(|line| line.get("message").contains("RangeError: told to")).unwrap();
    let thrown = thrown.get("message");
    for place in ["a handler of message failed", "number.ts:4:", "plugin.js:11:"] {
        assert!(thrown.contains(place), "{place} is missing in {thrown}");
    }
    assert!(lines.iter().all(|line| line.get("message") != "plugin ended"));
    assert!(lines.iter().any(|line| line.get("message").contains("it printed {\"this\":1}")));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_polls_count_reactions_also_after_a_restart() {
    let folder = Folder::new().unwrap();
    let polls = built(&example("polls"), &folder).await;
    passes_its_tests("polls", &folder, "2 passed, 0 failed\n").await;
    let asks = |entry: Entry| talks(entry).grant("rooms.send", &["*"]).grant("storage", &["1 MiB"]);
    let house = Plan::new().await.bytes("polls", &polls, asks).start().await;
    house.logged("ready to ask", &[("plugin", "polls")]).await;
    let mut friend = friend("friend").await;
    let bot = house.account().jid.clone();
    friend.chat(bot.clone(), "!poll nothing").await.unwrap();
    friend.wait_body(&bot, "Say: poll 'Pizza or pasta?' \u{1f355} \u{1f35d}", SOON).await.unwrap();
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
    let house = house.restart().await;
    house.logged("ready to ask", &[("plugin", "polls")]).await;
    friend.chat(bot.clone(), "!votes").await.unwrap();
    friend.wait_body(&bot, "Pizza or pasta? \u{1f355} 0, \u{1f35d} 1", SOON).await.unwrap();
    house.stop().await;
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
        ("let x = 1;\nlet = ;\n", ["plugin.js:2:", "deeds did not compile"]),
        ("import \"./gone.js\";\n", ["there is no file gone.js", "plugin.js"]),
        ("import \"lodash\";\n", ["there is no module lodash here", "plugin.js"]),
        ("import \"./typed.ts\";\n", ["typed.ts:2:", "deeds did not compile"]),
        ("\n\nthrow new Error('at once');\n", ["at once", "plugin.js:3:"]),
    ] {
        folder.write("plugin/plugin.js", text).unwrap();
        folder.write("plugin/typed.ts", "const a = 1;\nconst b: = 2;\n").unwrap();
        is_refused(&plugin, &folder, &parts).await;
    }
}

const NUMBER: &str = "import { sleep } from \"parlor\";

export async function number<T extends number>(value: T): Promise<T> {
  if (value < 0) throw new RangeError(\"told to\");
  await sleep(10);
  return value;
}
";

const PLUGIN: &str = r#"import {
  command, Denied, emit, Invalid, on, promise, reply, rooms, send, setting, storage, waitUntil,
} from "parlor";
import { number } from "./lib/number.js";

await command("deed", "Does it", async (args, message) => reply(message, args.join("|")));

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
      await promise("deedsDone");
      await emit("deedsDone", { x: 1 });
      await reply(message, JSON.stringify(await waitUntil("deedsDone")));
      break;
    case "early":
      await promise("deedsLater");
      await reply(message, "waiting");
      await reply(message, `it came: ${await waitUntil("deedsLater")}`);
      break;
    case "resolve":
      await emit("deedsLater", 7);
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
        await reply(message, error.name);
      }
      break;
    case "invalid":
      try {
        await send("@", "hello");
      } catch (error) {
        if (error instanceof Invalid) await reply(message, error.argument);
      }
      break;
    case "year":
      await reply(message, String(Math.abs(Date.now() - message.at) < 3600e3));
      break;
  }
});
"#;
