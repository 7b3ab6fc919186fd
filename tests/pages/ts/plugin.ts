// The examples on the pages of docs/api. Each page shows the part between its two marks.

import {
  api, archive, ask, chats, chatviews, command, connection, contacts, disco, Element, emit, log, ns, on, onReady, promises, reply,
  rooms, setSetting, setting, sleep, stanza, storage, tokens, user, vcard, waitUntil,
} from "parlor";

const room = "hall@rooms.example.org";
const juliet = "juliet@example.org";

onReady(async () => {
  // == api
  await emit("libraryOpen", { books: 12 });
  await waitUntil("rosterContactsFetched");
  const answer = await ask(stanza.iq("get").to("example.org").child(new Element("query").ns(ns.version)));
  await api.send(String(stanza.presence().to(juliet)));
  // ==
  log.info(answer.content);
});

onReady(async () => {
  // == archive
  for await (const { message } of archive.queryAll({ with: juliet, start: "2026-11-01" })) {
    log.info(message.body);
  }
  // ==
});

onReady(async () => {
  // == chats
  await chats.send(juliet, "But soft!");
  const chat = await chats.open(juliet);
  await chats.setAttribute(chat, "height", 400);
  // ==
});

onReady(() => {
  // == chatviews
  const isSmall = chatviews.get(juliet)?.minimized ?? false;
  // ==
  log.info(isSmall);
});

onReady(() => {
  // == connection
  if (!connection.connected()) log.info("nobody hears us yet");
  // ==
});

onReady(async () => {
  // == contacts
  const contact = await contacts.add(juliet, "Juliet");
  await contacts.setGroups(contact.jid, ["friends"]);
  // ==
});

onReady(async () => {
  // == disco
  await disco.ownFeaturesAdd("urn:example:weather:1");
  const { supported } = await disco.supports("urn:xmpp:ping", "example.org");
  // ==
  log.info(supported);
});

onReady(() => {
  // == log
  log.info("ready");
  log.warn(`${juliet} is not there`);
  // ==
});

onReady(async () => {
  // == promises
  await promises.add("libraryOpen");
  // … and once it is:
  await emit("libraryOpen", { books: 12 });
  // ==
});

onReady(async () => {
  // == rooms
  await rooms.open(room, { nick: "bot" });
  await rooms.send(room, "Good evening");
  await rooms.setRole(room, "romeo", "visitor", "enough for today");
  // ==
});

onReady(async () => {
  // == settings
  const greeting = setting("greeting", "Hello");
  await setSetting("greeting", "Good evening");
  // ==
  log.info(greeting);
});

onReady(async () => {
  // == storage
  await storage.set("points/juliet", 3);
  await storage.change("points/juliet", (points = 0) => points + 1);
  for (const [name, points] of await storage.entries("points/")) log.info(`${name}: ${points}`);
  await storage.set("cooldown", true, { expires: 60 });
  // ==
});

onReady(async () => {
  // == timers
  await sleep(0.5);
  // JavaScript's own timers count in milliseconds.
  const tick = setInterval(() => log.info("another minute"), 60_000);
  setTimeout(() => clearInterval(tick), 600_000);
  // ==
});

onReady(() => {
  // == tokens
  const [rid, sid] = [tokens.get("rid"), tokens.get("sid")];
  // ==
  log.info(rid, sid);
});

onReady(async () => {
  // == user
  await user.setStatus("dnd", "reading");
  const own = user.bareJid();
  // ==
  log.info(own);
});

onReady(async () => {
  // == vcard
  const card = await vcard.get(juliet);
  await vcard.set({ nickname: "bot" });
  // ==
  log.info(card.nickname);
});

// == commands
await command("weather", "Says what the weather will be", "CITY [DAY]", async ([city = "Verona"], message) => {
  await reply(message, `Sunshine in ${city}`);
});
// ==

// == listen
on("message", { room, prefix: "bot:" }, async (message) => {
  await reply(message, "at your service");
});
// ==
