// Makes the calls of tests/suite/languages/calls in TypeScript.

import {
  answer, argument, chats, command, dialogs, Element, emit, fetch, files, hooks, on, ParlorError, progress, pubsub, rooms, sleep, storage,
  TimedOut, webhooks, within, type File, type NodeItem, type Webhook,
} from "parlor";

import { calls as entities } from "./entities.ts";
import { calls as people } from "./people.ts";

const news = "news@example.org", node = "urn:example:news", alice = "alice@example.org";

on("message", { kind: "chat" }, async (message) => {
  const body = message.body ?? "";
  const [, name = "", rest = ""] = /^(\S+) ?(.*)$/s.exec(body) ?? [];
  try {
    for (const { url } of message.files) await chats.send(alice, await read(url));
    if (body === "label me") {
      await chats.send(alice, message.labels.map(({ plugin, text }) => `${plugin}: ${text}`).join(", "));
    }
    const text = await calls[name]?.(rest);
    if (text) await chats.send(alice, text);
  } catch (error) {
    if (!(error instanceof ParlorError)) throw error;
    await chats.send(alice, error.message);
  }
});

// Each gives what is to be told of it.
const calls: Record<string, (rest: string) => Promise<string | void>> = {
  ...entities,
  ...people,

  // http.chat
  async fetch() {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetch("https://api.example.org/old", { method: "POST", headers, body: "a=1", follow: 3, timeout: 5 });
    return `${answer.status} ${answer.url} ${answer.headers.etag}: ${answer.text()}`;
  },
  async json() {
    const answer = await fetch("https://api.example.org/json", { method: "POST", json: { "tëa": "<a & b>" } });
    return JSON.stringify(answer.status);
  },
  async form() {
    const bytes = new Uint8Array([111, 110, 101, 10, 116, 119, 111]);
    const form = { 'ti"tle': "tëa 🍕", file: { name: 'a\r\n".txt', type: "text/plain\r\nx: y", bytes } };
    const answer = await fetch("https://api.example.org/form", { method: "POST", form });
    return JSON.stringify(answer.status);
  },
  async fields() {
    const title = "tëa & \"pie\"=1+2 100%/~!'()* {{x}}";
    const options = { method: "POST", query: { title, none: undefined }, fields: { key: 5, title } };
    return JSON.stringify((await fetch("https://api.example.org/songs?day=1", options)).status);
  },
  async exchange() {
    const body = inParts("one ", new Uint8Array([116, 195, 171, 97]), " two");
    const answer = await fetch("https://api.example.org/tea", { method: "POST", body, stream: true });
    return `${answer.status} ${answer.headers.etag}: ${await answer.body.text(64)}`;
  },
  async much() {
    const body = inParts("a".repeat((1 << 20) + 5));
    const answer = await fetch("https://api.example.org/much", { method: "POST", body, stream: true });
    answer.body.close();
    return JSON.stringify(answer.status);
  },
  async missing() {
    const headers = { "content-length": "5" };
    await fetch("https://api.example.org/tea", { method: "POST", headers, body: inParts("ab"), stream: true });
  },
  async unreachable() {
    await fetch("https://api.example.org/none", { method: "POST", body: "lost", stream: true });
  },

  // files.chat
  async upload(text) {
    const file = await files.upload("note.txt", "text/plain", inParts(text.slice(0, 1), text.slice(1)), size(text));
    await chats.send(alice, told(file));
    await chats.send(alice, { files: [file] });
  },
  async encrypted(text) {
    return told(await files.upload("note.txt", "text/plain", text, { encrypted: true }));
  },
  async short(text) {
    await files.upload("note.txt", "text/plain", inParts(text), { size: 9 });
  },
  async picture() {
    await files.upload("dot.png", "image/png", new Uint8Array(3));
  },
  open: read,

  // blame.chat
  async blame(url) {
    try {
      await files.open(url);
    } catch (error) {
      return error instanceof ParlorError ? error.argumentOfCall : undefined;
    }
  },

  // bodies.chat
  async both() {
    const request = fetch("https://api.example.org/json", { method: "POST", body: "a", json: 1 });
    return request.then(() => "it was sent", () => "it was refused");
  },

  // dialogs.chat
  async size(when) {
    const options = { choices: ["small", "large"], timeout: when === "at once" ? 0.0002 : 60 };
    try {
      return (await within(10, dialogs.ask(alice, "Which size?", options))).text;
    } catch (error) {
      if (error instanceof TimedOut) return "too late";
      throw error;
    }
  },

  // storage.chat
  async keep(text) {
    const kept = await storage.get<string>("kept");
    const isMade = await storage.changes().expect("kept", kept).set("kept", text).add("times").make();
    return `${isMade}: ${kept ?? "-"}`;
  },
  async price() {
    return emit("price", { low: NaN }).then(() => "it was sent", () => "it was refused");
  },
  // webhooks.chat
  async again() {
    if (last) await webhooks.answer(last, { status: 204 });
  },
  async address(name) {
    return webhooks.address(name);
  },

  // pubsub.chat
  async publish(id) {
    const entry = new Element("entry").ns(node).text("tëa & 🍕");
    if (!id) return pubsub.publish(news, node, String(entry));
    return pubsub.publish(news, node, String(entry), id, { access: "open", persist: true, maxItems: 10 });
  },
  async retract(id) {
    await pubsub.retract(news, node, id);
    return "done";
  },
  async create(access) {
    await pubsub.create(news, node, { access, title: "Tëa" });
    return "done";
  },
  async configure(access) {
    await pubsub.configure(news, node, { access: access || undefined });
    return "done";
  },
  async purge() {
    await pubsub.purge(news, node);
    return "done";
  },
  async delete() {
    await pubsub.delete(news, node);
    return "done";
  },
  async items(after) {
    const { items, last } = await pubsub.items(news, node, 2, after || undefined);
    return `${items.map(shown).join(", ")}; ${last ?? "-"}`;
  },
  async item(id) {
    const found = await pubsub.item(news, node, id);
    return found ? shown(found) : "none";
  },
  async subscribe() {
    return JSON.stringify(await pubsub.subscribe(news, node));
  },
  async unsubscribe() {
    await pubsub.unsubscribe(news, node);
    return "done";
  },
};

async function* inParts(...parts: (string | Uint8Array)[]) {
  yield* parts;
}

// How many bytes a text has as UTF-8.
const size = (text: string): number => unescape(encodeURIComponent(text)).length;

// The size is a number as others are, and no BigInt, which JSON does not have.
const told = (file: File): string => `${file.name} ${file.mediaType} ${JSON.stringify(file.size)}`;

async function read(url: string): Promise<string> {
  const file = await files.open(url);
  return `${JSON.stringify(file.size)} ${file.type ?? "-"}: ${await file.text(64)}`;
}

let last: Webhook | undefined;

on("webhook", { webhook: "ask" }, async (hook) => {
  last = hook;
  let body = `${hook.method} ${hook.path ?? "-"} ${hook.query ?? "-"} ${hook.headers["x-kind"] ?? "-"}: ${hook.text()}`;
  if (hook.path === "fields") {
    const [payload, none] = ["payload", "none"].map((name) => webhooks.field(hook.text(), name));
    body = `${webhooks.field(hook.query, "room")}: ${payload}, ${none ?? "-"}`;
  }
  await webhooks.answer(hook, { status: 201, headers: { etag: "v1" }, body });
});

on("webhook", { webhook: "books" }, (hook) => webhooks.answer(hook, { json: 12 }));

// hooks.chat

hooks.outgoing(({ message: { body } }) => {
  if (!body) return undefined;
  return body.includes("secret") ? { stop: "it names a secret" } : { body: `${body} (signed)` };
});

hooks.incoming(({ message: { body } }) => {
  if (body?.includes("casino")) return { stop: true };
  return body?.includes("label") ? { label: "advertisement" } : undefined;
});

hooks.commands(({ args: [first, second] }) => (first === "no such" && second === "secret" ? { stop: "not that" } : undefined));

// pubsub.chat

const shown = ({ id, publisher, xml }: NodeItem): string => `${id} ${publisher ?? "-"} ${xml ?? "-"}`;

on("pubsub-item", { from: news }, async ({ kind, service, node, id, publisher, xml }) => {
  await chats.send(alice, `${kind} ${service} ${node} ${id ?? "-"} ${publisher ?? "-"} ${xml ?? "-"}`);
});

// rooms.chat

on("message", { kind: "groupchat", prefix: "rude" }, async (message) => {
  try {
    await rooms.retract(message.chat, message.stanzaId ?? "", "so it is");
  } catch (error) {
    await chats.send(alice, String((error as Error).message));
  }
});

// forms.chat

await command("double", { help: "Doubles a number", arguments: { number: argument.integer(-100, 100) } }, async (given, { number }) => {
  await progress(given, "doubling");
  await sleep(20);
  await answer(given, JSON.stringify(number * 2));
});

const moment = { day: argument.date(), at: argument.time({ default: "9:00" }) };
await command("when", { help: "Says when", arguments: moment }, (given, { day, at }) => answer(given, `${day} ${at}`));

// places.chat

await command("topic", { help: "Works in rooms", place: "room" }, (given) => answer(given, "here"));
await command("vote", { help: "Works in private", place: "private" }, (given) => answer(given, "here"));

// groups.chat

await command("enter", {
  help: "Lets some in",
  aliases: ["go"],
  allow: [{ group: "staff" }, { jid: "eve@example.org" }, { role: "moderator" }, { affiliation: "member" }, "owners"],
  roomCooldown: 60,
}, (given) => answer(given, "here"));
await command("knock", { help: "Lets contacts in", allow: ["contacts"], personCooldown: 30 }, (given) => answer(given, "here"));
