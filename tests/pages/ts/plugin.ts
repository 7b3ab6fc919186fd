// The examples on the pages of docs/reference/api, and of docs/author/moderation.md. Each page shows the part between its two marks.

import {
  answer, api, archive, argument, ask, askAuthor, chats, chatviews, command, commands, connection, contacts, disco, Element, emit, fetch, files, hooks, iq, log, moderation, NotFound, ns, occupantOf, on, once,
  onReady, onStart, onStop, plugins, promises, pubsub, Rejected, reply, replyInChat, rooms, schedules, setSetting, setting, settingIn, settings, sleep, stanza, Stopped, storage, TimedOut, timers, tokens, user,
  vcard, waitUntil, webhooks,
} from "parlor";
import type {
  Affiliated, Bookmark, Card, Chat, Contact, Download, DueTime, File, Identity, Message, Occupant, Options, Room, Status,
  Subscription, View, Webhook, WebStream,
} from "parlor";

const room = "hall@rooms.example.org";
const juliet = "juliet@example.org";

onReady(async () => {
  // == api
  await emit("libraryOpen", { books: 12 });
  const opened: { books: number } = await waitUntil("libraryOpen");
  await api.send(String(stanza.presence().to(juliet)));
  const iq: Element = stanza.iq("get").to("example.org").child(new Element("query").ns(ns.version));
  const answer: string = await api.sendIq(String(iq));
  const version: Element | undefined = (await ask(iq)).find("query"); // the same, and the answer is read
  // ==
  log.info(opened.books, answer, version?.content);
});

onReady(async () => {
  // == archive
  const newest = await archive.query({ with: juliet, before: "", max: 10 });
  const older: Options = archive.previous(newest.rsm, 10);
  const newer: Options = archive.next(newest.rsm, 10);
  for await (const { message } of archive.queryAll({ with: juliet, start: "2026-11-01" })) {
    log.info(message.body);
  }
  // ==
  log.info(older.before, newer.after);
});

onReady(async () => {
  // == chats
  const id: string = await chats.send(juliet, "But soft!");
  const chat: Chat = await chats.open(juliet);
  await chats.openMany([juliet, "romeo@example.org"]);
  const open: Chat | null = chats.get(juliet);
  const both: (Chat | null)[] = chats.getMany([juliet, "romeo@example.org"]);
  const all: Chat[] = chats.getAll();
  await chats.setAttribute(chat, "height", 400);
  const height = chats.getAttribute(chat, "height");
  // For a front end:
  await chats.focus(chat.jid);
  await chats.show(chat.jid);
  await chats.maximize(chat.jid);
  await chats.minimize(chat.jid);
  // Off the record, with the person of an open chat:
  await chats.initiateOtr(chat.jid);
  await chats.endOtr(chat.jid);
  await chats.close(chat.jid);
  await chats.closeMany([juliet, "romeo@example.org"]);
  // ==
  log.info(id, open?.jid, both.length, all.length, height);
});

onReady(() => {
  // == chatviews
  const view: View | null = chatviews.get(juliet);
  const views: (View | null)[] = chatviews.getMany([juliet, "romeo@example.org"]);
  const isSmall: boolean = view?.minimized ?? false;
  // ==
  log.info(isSmall, views.length);
});

onReady(async () => {
  // == connection
  if (!connection.connected()) log.info("nobody hears us yet");
  await connection.disconnect();
  // ==
});

onReady(async () => {
  // == contacts
  const contact: Contact = await contacts.add(juliet, "Juliet");
  await contacts.rename(contact.jid, "Juliet Capulet");
  await contacts.setGroups(contact.jid, ["friends"]);
  const known: Contact | null = contacts.get(juliet);
  const both: (Contact | null)[] = contacts.getMany([juliet, "romeo@example.org"]);
  const all: Contact[] = contacts.getAll();
  on("contactRequest", async (asking: Contact) => {
    await (asking.jid === juliet ? contacts.accept(asking.jid) : contacts.deny(asking.jid));
  });
  await contacts.remove("romeo@example.org");

  await contacts.block("tybalt@example.org", { kind: "spam", text: "it sells swords" });
  const blocked: string[] = await contacts.blocked();
  await contacts.unblock("tybalt@example.org");
  // ==
  log.info(known?.jid, both.length, all.length, blocked.length);
});

onReady(async () => {
  // == http
  // At the top of the file: import { fetch } from "parlor";
  const answer = await fetch("https://api.example.org/weather?city=Verona", {
    headers: { authorization: "Bearer {{api_key}}" }, credentials: ["api_key"], follow: 3,
  });
  const weather: { temperature: number } = answer.json();
  const note = await fetch("https://api.example.org/notes", { method: "POST", json: { text: "But soft!" } });

  // A body of any size goes in parts:
  async function* lines(): AsyncGenerator<string> {
    yield "But soft! ";
    yield "What light?";
  }
  const logged: WebStream = await fetch("https://api.example.org/log", { method: "PUT", body: lines(), stream: true });
  if (!logged.ok) logged.body.close();
  for await (const part of logged.body) log.info(`${part.length} bytes`);
  // ==
  log.info(weather, note.status);
});

onReady(async () => {
  // == files
  const file: File = await files.upload("note.txt", "text/plain", "But soft!");
  await chats.send(juliet, { files: [file] });
  // For an encrypted chat:
  const secret: File = await files.upload("note.txt", "text/plain", "But soft!", { encrypted: true });
  await chats.send(juliet, { files: [secret], encryption: "required" });
  on("message", async (message: Message) => {
    for (const one of message.files) {
      const download: Download = await files.open(one);
      if (download.type !== "text/plain") download.close();
      for await (const part of download) log.info(`${part.length} bytes`);
    }
  });
  // ==
});

onReady(async () => {
  // == disco
  await disco.ownFeaturesAdd("urn:example:weather:1");
  await disco.ownIdentitiesAdd("automation", "weather", "Weather for Verona");
  const features: string[] = disco.ownFeaturesGet();
  const identities: Identity[] = disco.ownIdentitiesGet();
  await disco.ownIdentitiesClear();
  const { supported } = await disco.supports("urn:xmpp:ping", "example.org");
  const server: Identity | null = await disco.getIdentity("server", "im", "example.org");
  const clock = await disco.time("example.org");
  const software = await disco.version("example.org");
  const idle = await disco.lastActivity(juliet);
  // ==
  log.info(features.length, identities.length, supported, server?.name, clock.utc, software.name, idle.seconds);
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
  await promises.addAll(["booksSorted", "lampsLit"]);
  // … and once they are:
  await emit("libraryOpen", { books: 12 });
  await promises.reject("lampsLit", "there is no oil");
  // ==
});

onReady(async () => {
  // == rooms
  const hall: Room = await rooms.open(room, { nick: "bot" });
  await rooms.openMany(["garden@rooms.example.org", "ball@rooms.example.org"]);
  await rooms.getOrCreate("ball@rooms.example.org", { nick: "bot" });
  await rooms.configure("ball@rooms.example.org", { membersonly: true, roomname: "The ball" });
  await rooms.send(hall.jid, "Good evening");

  const there: Room | null = rooms.get(room);
  const both: (Room | null)[] = rooms.getMany([room, "ball@rooms.example.org"]);
  const all: Room[] = rooms.getAll();
  const people: Occupant[] = rooms.occupants(room);

  // As a moderator, an admin or an owner:
  await rooms.setSubject(room, "The feast");
  await rooms.setRole(room, "romeo", "visitor", "enough for today");
  await rooms.setAffiliation(room, juliet, "member");
  const members: Affiliated[] = await rooms.affiliations(room, "member");
  await rooms.invite(room, juliet, { reason: "You are expected." });
  await rooms.kick(room, "romeo", "not on the list");
  await rooms.ban(room, "tybalt@example.org", "no duels");
  await rooms.retract(room, "the stanza-id of a message", "no duels");
  on("voiceRequest", async (visitor) => rooms.answerVoice(visitor.room, visitor.nick, visitor.affiliation === "member"));
  // As a visitor, and as somebody who wants to be known there:
  await rooms.requestVoice("garden@rooms.example.org");
  await rooms.register("garden@rooms.example.org", "bot", {});
  const reserved = await rooms.reservedNick("garden@rooms.example.org");
  await rooms.unregister("garden@rooms.example.org");
  on("roomInviteReceived", async (invite) => rooms.decline(invite.room, invite.from, "another time"));

  const bookmark: Bookmark = { jid: room, autojoin: true, name: "The hall", nick: null, password: null };
  await rooms.setBookmark(bookmark);
  const bookmarks: Bookmark[] = rooms.bookmarks();
  await rooms.removeBookmark(room);

  // For a front end:
  await rooms.setAttribute(room, "height", 400);
  const height = rooms.getAttribute(room, "height");
  await rooms.focus(room);
  await rooms.show(room);
  await rooms.maximize(room);
  await rooms.minimize(room);

  await rooms.close(room);
  await rooms.closeMany(["garden@rooms.example.org"]);
  await rooms.destroy("ball@rooms.example.org", "the ball is over");
  // ==
  log.info(there?.jid, both.length, all.length, people.length, members.length, reserved, bookmarks.length, height);
});

onReady(async () => {
  // == settings
  const greeting: string = setting("greeting", "Hello");
  // In a timer or schedule, which handle no event of the room:
  const inHall: string = settingIn("hall@rooms.example.org", "greeting", "Hello");
  await setSetting("greeting", "Good evening");
  await settings.setMany({ greeting: "Good evening", limit: 12 });
  // A new setting, and its default:
  await settings.update({ colour: "red" });
  // ==
  log.info(greeting, inHall);
});

onReady(async () => {
  // == storage
  await storage.set("points/juliet", 3);
  await storage.set("cooldown", true, { expires: 60 });
  const points: number = await storage.get("points/juliet", 0);
  await storage.change("points/juliet", (points: number = 0) => points + 1);
  const isMine: boolean = await storage.compareAndSet("points/juliet", points, points + 1);
  for (const [name, points] of await storage.entries<number>("points/")) log.info(`${name}: ${points}`);
  const best: [string, number][] = await storage.range<number>("points/", { descending: true, limit: 5 });
  const visits: number = await storage.add("visits");
  const isSold: boolean = await storage.changes().expect("seat/7", "free").set("seat/7", "juliet").add("sold").make();
  const { keys }: { keys: string[] } = await storage.page("points/", null, 100);
  await storage.delete("points/juliet");
  // ==
  log.info(isMine, best.length, visits, isSold, keys.length);
});

onReady(async () => {
  // == timers
  await timers.sleep(0.5);
  const tick = timers.every(60);
  timers.after(600);
  on("timer", () => log.info("another minute"));
  timers.cancel(tick);
  // JavaScript's own timers count in milliseconds. There may be any number of them.
  const own: number = setInterval(() => log.info("another minute"), 60_000);
  setTimeout(() => clearInterval(own), 600_000);
  // ==
  await sleep(0.5);
});

onReady(() => {
  // == tokens
  const rid: string | null = tokens.get("rid");
  const sid: string | null = tokens.get("sid");
  // ==
  log.info(rid, sid);
});

onReady(async () => {
  // == user
  await user.setStatus("dnd", "reading");
  await user.setStatusMessage("reading a sonnet");
  const status: Status = user.getStatus();
  const own: string = user.bareJid();
  const full: string = user.jid();
  await user.logout();
  await user.login();
  // ==
  log.info(status.value, own, full);
});

onReady(async () => {
  // == vcard
  const card: Card = await vcard.get(juliet);
  await vcard.set({ nickname: "bot" });
  await vcard.update(juliet); // so that the contact, chat or occupant shows it
  // ==
  log.info(card.nickname);
});

// == commands
await command("weather", "Says what the weather will be", "CITY [DAY]", async ([city = "Verona"]: string[], message: Message) => {
  await reply(message, `Sunshine in ${city}`);
});
on("logout", () => commands.remove("weather"));

// One whose arguments the host reads:
await command("roll", {
  help: "Rolls dice",
  arguments: {
    count: argument.integer(1, 100, { default: 1 }),
    sides: argument.choice(["6", "20"], { default: "6" }),
    secret: argument.flag(),
  },
  allow: [{ role: "participant" }],
  personCooldown: 10,
}, async (command, { count, sides, secret }) => {
  const dice = `${count} dice with ${sides} sides`;
  // In the form, if the command was given by one.
  await (secret ? replyInChat(command.message, dice) : answer(command, dice));
});
// ==

// == listen
const service: Subscription = on("message", { room, prefix: "bot:" }, async (message: Message) => {
  await reply(message, "at your service");
});
once("disconnected", () => service.end());
// ==

// == webhooks
on("webhook", { webhook: "github" }, async (hook: Webhook) => {
  if (hook.headers["x-github-event"] === "push") {
    const { ref, after }: { ref: string; after: string } = hook.json();
    await rooms.send(room, `${ref} is at ${after}`);
  }
  await webhooks.answer(hook, { status: 204 }); // in the mode `answer`
});
// Not into the log: the address is a secret.
onReady(async () => chats.send(juliet, `Give GitHub ${await webhooks.address("github")}`));
// ==

// == schedules
const zone = "Europe/Berlin";
on("schedule", { schedule: "standup" }, async (due: DueTime) => {
  await rooms.send(room, schedules.format(due.due, zone, "%A, %H:%M: the standup begins"));
});
onStart(async () => {
  await schedules.cron("standup", "0 9 * * MON-FRI", zone);
  await schedules.every("backup", 6 * 3600);
  const noon = schedules.parse("tomorrow 12:00", zone);
  if (schedules.toLocal(noon, zone).weekday < 6 && (await schedules.at("lunch", noon))) log.info("lunch is at", noon);
  for (const { name } of await schedules.list()) {
    if (name.startsWith("old-")) await schedules.cancel(name);
  }
});
// ==

// == iq
on("iq", async (request) => {
  if (request.kind !== "get") return iq.refuse(request.id, "not-allowed", "it can only be read");
  const degrees = new Element("temperature").ns("urn:example:weather").text("7");
  await iq.answer(request.id, String(degrees));
});
// ==

// == plugins
on("request", async (request) => {
  try {
    const price = await plugins.call("bank", "price", request.value);
    await plugins.answer(request, { rate: price * 1.02 });
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    await plugins.refuse(request, `${request.value} is no currency`);
  }
});
// ==

// == hooks
on("hookOutgoing", async (hook) => {
  const { body } = hook.message;
  if (!body) return hooks.allow(hook);
  if (body.includes("secret")) return hooks.stop(hook, "it names a secret");
  return hooks.alter(hook, { body: `${body} (a bot)` });
});

on("hookIncoming", (hook) =>
  hook.message.body?.includes("casino") ? hooks.mark(hook, "advertisement") : hooks.allow(hook));

// A function that returns the verdict does the same.
hooks.commands((hook) => (hook.args.at(-1) === "123456" ? undefined : { stop: "Add your code." }));
// ==

// == dialogs
await command("order", { help: "Orders a pizza" }, async ({ message }) => {
  try {
    const size = await askAuthor(message, "Which size?", { choices: ["small", "large"], timeout: 60 });
    await reply(message, `A ${size.text} pizza it is.`);
  } catch (error) {
    // Another order took its place, or they left the room.
    if (error instanceof Stopped || error instanceof NotFound) return;
    if (!(error instanceof TimedOut || error instanceof Rejected)) throw error;
    await reply(message, "No pizza, then.");
  }
});
// ==

// == pubsub
const news = "pubsub.example.org";
on("pubsub-item", { from: news }, (item) => log.info(item.node, item.kind, item.xml));
onReady(async () => {
  try {
    await pubsub.subscribe(news, "weather");
  } catch {
    await pubsub.create(news, "weather");
    await pubsub.configure(news, "weather", { access: "open", maxItems: 10 });
  }
  const degrees = new Element("temperature").ns("urn:example:weather").text("7");
  await pubsub.publish(news, "weather", String(degrees), "Verona");
  const { items, last } = await pubsub.items(news, "weather", 10);
  if (items.length > 1 && (await pubsub.item(news, "weather", "Padua"))) await pubsub.retract(news, "weather", "Padua");
  if (last) await pubsub.purge(news, "weather");
});
onStop(async () => {
  await pubsub.unsubscribe(news, "weather");
  await pubsub.delete(news, "weather");
});
// ==

// == moderation
const judge = new moderation.Judge();
on("message", { kind: "groupchat" }, async (message) => {
  const author = occupantOf(message);
  if (!author || moderation.isSpared(author)) return;
  const verdict = judge.hear({}, message.chat, moderation.key(author), moderation.Said.of(message));
  if (verdict.offence === "link" && message.stanzaId) await rooms.retract(message.chat, message.stanzaId, "no links yet");
});
// ==
