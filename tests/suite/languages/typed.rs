//! Checks the SDK's types with TypeScript's own compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_tests::folder::Folder;
use tokio::sync::Mutex;

use super::{begun, built, example};

/// The version of the compiler.
const TYPESCRIPT: &str = "typescript@5.9.3";

/// Returns the path of the compiler, which npm installs if necessary.
async fn compiler() -> PathBuf {
    static ONE: Mutex<()> = Mutex::const_new(());
    let _alone = ONE.lock().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/suite-typescript");
    let compiler = folder.join("node_modules/typescript/bin/tsc");
    if !compiler.is_file() {
        fs::create_dir_all(&folder).unwrap();
        let npm = ["install", "--no-audit", "--no-fund", "--no-save", "--prefix", folder.to_str().unwrap(), TYPESCRIPT];
        let installed = Command::new("npm").args(npm).output().unwrap();
        assert!(installed.status.success(), "{installed:?}");
    }
    compiler
}

/// Returns the compiler's output for a plugin's folder or its configuration file, which is empty without errors. The folder
/// must have been built, so that it has the types.
pub(super) async fn complaints(plugin: &Path) -> String {
    let checked = Command::new("node").arg(compiler().await).args(["--noEmit", "-p"]).arg(plugin).output().unwrap();
    String::from_utf8(checked.stdout).unwrap()
}

/// Compiles a plugin's folder to JavaScript in another folder. It must have been built, so that it has the types.
pub(super) async fn compiled(plugin: &Path, into: &Path) {
    let emits = ["--noEmit", "false", "--rewriteRelativeImportExtensions", "--outDir"];
    let compiler = compiler().await;
    let ended = Command::new("node").arg(compiler).arg("-p").arg(plugin).args(emits).arg(into).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_leaves_out_and_names_is_in_the_types() {
    let folder = Folder::new().unwrap();
    let plugin = begun("repeat", "ts", folder.path()).await;
    built(&plugin, &folder).await;
    folder.write("repeat/uses.ts", USES).unwrap();
    assert_eq!(complaints(&plugin).await, "");
    folder
        .write("repeat/uses.ts", "import { rooms } from \"parlor\";\n\nawait rooms.open(\"r@x\", { nik: \"bot\" });\n")
        .unwrap();
    assert!(complaints(&plugin).await.contains("uses.ts(3,"), "what is no field is no field");
    // Only types are stripped. A type that is imported without `type` stays.
    let takes = "import { type Message, on } from \"parlor\";\nimport words from \"./words.json\";\n\n\
                 on(\"message\", (message: Message) => void (message.body === words.yes));\n";
    folder.write("repeat/words.json", "{ \"yes\": \"yes\" }").unwrap();
    folder.write("repeat/uses.ts", takes).unwrap();
    assert_eq!(complaints(&plugin).await, "");
    folder.write("repeat/uses.ts", takes.replace("type Message", "Message")).unwrap();
    let complaints = complaints(&plugin).await;
    assert!(complaints.contains("uses.ts(1,") && complaints.contains("TS1484"), "{complaints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugins_in_typescript_here_fit_the_types() {
    for plugin in [example("polls"), example("forge"), example("../tests/steps/ts")] {
        built(&plugin, &Folder::new().unwrap()).await;
        assert_eq!(complaints(&plugin).await, "", "{}", plugin.display());
    }
}

const USES: &str = r#"import {
  acknowledge, archive, argument, ask, bodyWithoutFallback, chats, command, contacts, Element, fetch, ns, occupantOf, off, on, onMention, onReady, onStart, onStop,
  NotFound, NotReady, outgoing, OverLimit, ParlorError, parseXml, pubsub, reference, Rejected, reply,
  replyInChat, rooms, say, send, settings, spawn, stanza, StanzaError, storage, TimedOut, timers, Unsupported, vcard, waitUntil,
  type ArchivedMessage, type Attributes, type Bookmark, type Card, type Command, type Event, type Extensions, type Invite,
  type Message, type Occupant, type Status,
} from "parlor";

declare const found0: Message;
onReady(async () => {
  const attributes: Attributes = { nick: "bot" };
  await rooms.open("r@x", attributes);
  await rooms.open("r@x");
  await rooms.open("r@x", { history: { maxStanzas: 5 }, roomconfig: [["persistentroom", { tag: "flag", val: true }]] });
  await rooms.open("r@x", "nick");
  const room = await rooms.open("r@x", { autoConfigure: true, roomconfig: { membersonly: true, roomdesc: "A hall", maxusers: 20 } });
  await rooms.configure(room, { roomadmins: ["a@x", "b@x"], roomname: "Hall" });
  const contact = contacts.get("juliet@x");
  const status: string | undefined = contact?.get("chat_status");
  await vcard.update(rooms.occupants(room)[0]!);
  await chats.send(contact!, "hello");
  await rooms.send(room, { body: "hello" });
  await rooms.ban(room, rooms.occupants(room)[0]!);
  await archive.query({ with: contact! });
  const height: number = chats.getAttribute(contact!, "height");
  await rooms.setAttribute(room, "height", height + 1);
  on("message", { from: contact!, room }, () => {});
  // @ts-expect-error: a message is nobody's address
  await chats.send(found0, "hello");
  await settings.update({ limit: 12, words: [status] });
  await settings.set({ open: true });
  // @ts-expect-error: a number is nobody's address
  await vcard.update(5);
  await rooms.kick("r@x", "nick");
  await rooms.setBookmark({ jid: "r@x" });
  const bookmark: Bookmark | undefined = rooms.bookmarks()[0];
  const autojoin: boolean | undefined = bookmark?.autojoin;
  const card: Card = await vcard.get("juliet@x");
  const page = await archive.query({ with: "juliet@x" });
  await archive.query(archive.next(page.rsm, 3));
  await archive.query({ start: new Date() });
  await pubsub.publish("news@x", "tea", new Element("tea").ns("urn:tea"), "1", { access: "open" });
  for await (const one of archive.queryAll({ with: "juliet@x" })) {
    const archived: ArchivedMessage = one;
    console.log(archived.message.body);
  }
  const found = page.messages[0].message;
  await reply(found, { body: bodyWithoutFallback(found), replyTo: found, quote: true });
  await reply(found, { marker: "displayed", marked: found });
  const receipt: string | undefined = await acknowledge(found);
  console.log(receipt, autojoin, card.nickname, outgoing("x"));
  // @ts-expect-error: a bookmark is one of a room
  await rooms.setBookmark({ name: "x" });
});

onMention(async (message: Message) => {
  const who: Occupant | undefined = occupantOf(message);
  const extensions: Extensions | null = message.extensions;
  console.log(who?.affiliation, reference(message), extensions?.receiptRequested);
});

const heard = (message: Message) => console.log(message.kind);
on("message", { kind: ["chat", "normal"] }, heard);
const wasThere: boolean = off("message", heard);
console.log(wasThere);
// @ts-expect-error: there is no such event
on("mesage", heard);
// @ts-expect-error: it carries a message
on("message", (occupant: Occupant) => console.log(occupant.nick));
declare module "parlor" {
  interface OwnEvents {
    libraryOpen: { books: number };
  }
}
on("libraryOpen", ({ books }) => console.log(books + 1));
onReady(() => rooms.setRole("r@x", "romeo", "moderator"));
// @ts-expect-error: there is no such role
onReady(() => rooms.setRole("r@x", "romeo", "moderater"));
onReady(async () => {
  await chats.send("juliet@x", "hello");
  await rooms.send("r@x", { body: "hello", requestReceipt: true });
  const points: Map<string, number> = new Map(await storage.entries<number>("points/"));
  await timers.sleep(0.5);
  console.log(points.size);
});
// @ts-expect-error: there is no such kind
on("message", { kind: ["loud"] }, heard);

on("roomInviteReceived", async (invite: Invite, event: Event) => console.log(invite.room, event.at.getTime()));
on("statusChanged", (status: Status) => console.log(status.value));
on("command", (given: Command) => console.log(given.rest));
await command("x", "X", async (args, message, rest) => console.log(args.length, message.at.getTime(), rest.length));

// A handler may return the result of a call, which is ignored.
on("message", { kind: "chat" }, (message) => reply(message, "hi"));
on("message", { kind: "groupchat" }, (message) => replyInChat(message, { body: "hi", replyTo: message }));
onMention((message) => reply(message, "at your service"));
onStart(() => storage.keys());
onReady(() => say("r@x", "here I am"));
onStop(() => send("juliet@x", "bye"));
await command("hi", "Greets", (args, message) => reply(message, args.join(" ")));
await command("roll", {
  help: "Rolls dice",
  arguments: {
    count: argument.integer(1, 100, { default: 1 }),
    sides: argument.choice(["6", "20"]),
    secret: argument.flag(),
    wait: argument.duration({ optional: true, named: true }),
    day: argument.date({ optional: true, named: true }),
    at: argument.time({ default: "9:00", named: true }),
    why: argument.rest({ optional: true }),
  },
  aliases: ["r"],
  allow: ["owners", { role: "moderator" }, { jid: "juliet@x" }],
  personCooldown: 10,
}, async (given, { count, sides, secret, wait, day, at, why }) => {
  const number: number = count;
  const words: "6" | "20" = sides;
  const isSecret: boolean = secret;
  const seconds: number | undefined = wait;
  const date: string | undefined = day, time: string = at;
  // @ts-expect-error: it may be left out
  const text: string = why;
  await reply(given.message, `${number} ${words} ${isSecret} ${seconds} ${date} ${time} ${text}`);
});
await command("stop", { allow: ["owners"], place: "private" }, (given) => reply(given.message, given.name));
// @ts-expect-error: there is no such place
await command("stop", { place: "rooms" }, () => {});
// @ts-expect-error: there is no such role
await command("stop", { allow: [{ role: "moderater" }] }, () => {});
argument.duration({ default: "1h" });
argument.integer(1);
argument.number(0.5, { default: 1 });
// @ts-expect-error: a bound is a number
argument.integer("1");
// @ts-expect-error: it is no word of the choice
argument.choice(["6", "20"], { default: "8" });
setTimeout((text: string) => send("juliet@x", text), 10, "later");
spawn(() => send("juliet@x", "now").catch((error) => console.warn(error instanceof ParlorError && error.isTemporary)));

onReady(async () => {
  const count: number = await storage.change("count", (count: number = 0) => count + 1);
  await storage.change("count", (count = 0) => count + 1);
  await storage.change("count", () => undefined);
  const bytes: Uint8Array | undefined = await storage.getBytes("bytes");
  const page = await storage.page("c");
  await storage.page("c", page.next);
  if (bytes) await storage.setBytes("more", bytes, { expires: count });
  // @ts-expect-error: a text is no bytes
  await storage.setBytes("text", "text");
  const found: Message | undefined = undefined as Message | undefined;
  console.log(String(stanza.message().to(found?.from).attr("id", found?.id)));
});

spawn(async () => {
  try {
    await rooms.close("r@x");
  } catch (error) {
    if (error instanceof NotReady) await waitUntil(error.promise);
    else if (error instanceof NotFound) console.log(error.what);
    else if (error instanceof Rejected || error instanceof Unsupported) console.log(error.reason);
    else if (error instanceof OverLimit) console.log(error.limit);
    else throw error;
  }
  console.log(new StanzaError({ condition: "x", kind: "wait", text: null, xml: "" }), new TimedOut());
  // @ts-expect-error: it is made of what was answered
  console.log(new StanzaError("wait"));
});

spawn(async () => {
  const plain: Record<string, string> = { accept: "text/plain" };
  await fetch("https://api.example.org/tea", { headers: plain });
  await fetch("https://api.example.org/tea", { headers: [["accept", "text/plain"], ["accept", "text/html"]] });
  await fetch("https://api.example.org/tea", { headers: new Map([["accept", "text/plain"]]) });
  // @ts-expect-error: a text is no headers
  await fetch("https://api.example.org/tea", { headers: "accept: text/plain" });
  // @ts-expect-error: a name without a value
  await fetch("https://api.example.org/tea", { headers: [["accept"]] });
  const answered = await fetch("https://api.example.org/tea");
  // @ts-expect-error: headers are an object, with no methods
  console.log(answered.headers.etag, answered.headers.get("etag"));
  on("webhook", { webhook: "tea" }, (hook) => {
    // @ts-expect-error: as well
    console.log(hook.headers["x-tea"], hook.headers.get("x-tea"));
  });
});

spawn(async () => {
  const answer: Element = await ask(stanza.iq("get").to("x").child(new Element("query").ns(ns.discoInfo)));
  console.log(answer.find("query", ns.discoInfo)?.all("feature").map((one) => one.attributes.var), parseXml("<a/>").content);
});
"#;
