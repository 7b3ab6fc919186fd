// Tests what authors expect of JavaScript and of the SDK; see tests.

import {
  acknowledge, api, argument, bodyWithoutFallback, chats, command, connection, contacts, dialogs, Element, emit, fetch as askWeb, hex, hmacSha256,
  NotReady, occupantOf, off, Offline, on, once, onReady, onStop, OverLimit, parseXml, promise, promises, reply, replyInChat, rooms, send, setSetting,
  setting, settings, sha256, sleep, StanzaError, storage, styling, TimedOut, timers, Unsupported, vcard, waitUntil, within,
} from "parlor";

import byDefault from "./default.js";

// texts.chat

on("message", { prefix: "🍕" }, async (message) => {
  const half = message.body.slice(0, 1);
  console.warn(half);
  await reply(message, half);
});

on("message", { prefix: "decode" }, async (message) => {
  const bytes = new TextEncoder().encode("\uFEFFCafé 🍕\ud83c");
  const decoder = new TextDecoder();
  const parts = [...bytes].map((byte) => decoder.decode(Uint8Array.of(byte), { stream: true }));
  const whole = [...parts, decoder.decode(Uint8Array.of(0xe2, 0x82, 0x41, 0xff))].join("");
  const latin = new TextDecoder("ISO-8859-1").decode(Uint8Array.of(0x43, 0x61, 0x66, 0xe9, 0x80));
  const wrong = [() => new TextDecoder("koi8-r"), () => new TextDecoder("utf8", { fatal: true }).decode(Uint8Array.of(0xff))];
  const errors = wrong.map((make) => {
    try {
      return make();
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  });
  await reply(message, [whole, latin, ...errors].join("\n"));
});

on("message", { prefix: "hash" }, async (message) => {
  // FIPS 180-4, and RFC 4231 (cases 2 and 6).
  const long = hmacSha256(new Uint8Array(131).fill(0xaa), "Test Using Larger Than Block-Size Key - Hash Key First");
  // One that leaves no room for the length in its last block, and bytes that are a part of others.
  const bytes = new Uint8Array(64).fill(0x61);
  const same = hex(sha256("a".repeat(56))) === hex(sha256(bytes.subarray(8)));
  const all = [sha256("abc"), sha256(""), hmacSha256("Jefe", "what do ya want for nothing?"), long];
  await reply(message, [...all.map(hex), same].join("\n"));
});

// types.chat

on("message", { prefix: "types" }, async (message) => {
  const wrong = [
    () => send(undefined, "hello"),
    () => send(5, "hello"),
    () => send(message.chat, { body: 6 }),
    () => send(message.chat, { reactTo: message, emojis: "👍" }),
    () => storage.get(7),
    () => setSetting("greeting", undefined),
    () => on("message", { kind: 8 }, () => {}),
    () => sleep("soon"),
    () => rooms.occupants(null),
    () => timers.sleep(1e20),
    () => timers.after(-1n),
    () => storage.page("", null, 2 ** 32),
    () => timers.sleep(0n),
    () => storage.set("k", 1, { expires: Number.MAX_VALUE }),
    () => storage.set("k", 1, { expiers: 1000 }),
    () => storage.add("k", 0.5),
    () => storage.add("k", -(2n ** 53n)),
    () => storage.range("", { limit: -1 }),
    () => dialogs.ask("alice@example.org", "Which?", { choices: "one" }),
    () => on("message", { form: message.from }, () => {}),
    () => once("message", () => {}, { from: message.from }),
    () => send(message.chat, { text: "hello" }),
    () => chats.send(message.chat, { body: "hello", extensions: { reply: { id: "m1", from: message.from } } }),
    () => vcard.set({ vcardUpdated: "2026-01-01T00:00:00Z", nickname: 5 }),
    () => reply(message, undefined),
    () => send(message.chat, null),
    () => command("helpless", () => {}),
    () => command("odd", { allow: ["nonsense"] }, () => {}),
    () => command("odd", { allow: "owners" }, () => {}),
    () => command("odd", { allow: [{ owners: true }] }, () => {}),
    () => command("odd", { allow: [{ role: 5 }] }, () => {}),
    () => argument.duration({ default: "soon" }),
    () => argument.duration({ default: -1 }),
    () => argument.jid({ default: 5 }),
    () => emit("priced", { price: NaN, of: null }),
    () => setSetting("greeting", [0, { high: [Infinity] }]),
    () => storage.set("k", -Infinity),
    () => askWeb("https://api.example.org/", { method: "POST", json: { price: NaN } }),
    () => askWeb("https://api.example.org/", { timeout: -1 }),
    () => askWeb("https://api.example.org/", { timeout: NaN }),
  ];
  const errors = [];
  for (const call of wrong) {
    try {
      await call();
    } catch (error) {
      errors.push(`${error.name}: ${error.message.replace(/, thread.*/, " …")}`);
    }
  }
  await reply(message, errors.join("\n"));
});

// off.chat

const heard = (message) => reply(message, "heard");
on("message", { prefix: "here" }, heard);
on("message", { prefix: "there" }, heard);
once("message", { prefix: "once" }, heard);

on("message", { prefix: "no more" }, async (message) => {
  await reply(message, `${off("messageError", heard)} ${off("message", heard)} ${off("message", heard)}`);
});

// cannot.chat

const built = Date.now();

on("message", { prefix: "cannot" }, async (message) => {
  const missing = [
    "fetch", "XMLHttpRequest", "WebSocket", "process", "require", "Worker", "URL", "Intl", "crypto",
    "structuredClone", "AbortController",
  ];
  const there = missing.filter((name) => name in globalThis);
  const now = new Date();
  const inBerlin = now.toLocaleTimeString("de", { timeZone: "Europe/Berlin" }) !== now.toLocaleTimeString();
  await reply(message, `${built} [${there}] ${now.getTimezoneOffset()} ${now.getHours()} ${inBerlin}`);
});

// kinds.chat

on("message", { kind: ["chat", "normal"], prefix: "kind" }, (message) => reply(message, message.kind));

// timers.chat

let isLate = false;
setTimeout(() => (isLate = true), 2000);
clearTimeout(setTimeout(() => console.warn("it was cleared"), 1000));

on("message", { prefix: "late?" }, (message) => reply(message, `${isLate}`));

on("message", { prefix: "many" }, async (message) => {
  const fired = [];
  for (let second = 100; second > 0; second--) {
    setTimeout(async () => {
      fired.push(second);
      if (fired.length < 100) return;
      const inOrder = fired.every((one, at) => one === at + 1);
      await reply(message, `${fired.length} ${inOrder ? "in order" : fired}`);
    }, second * 1000);
  }
  await reply(message, "set");
});

on("message", { prefix: "clear" }, (message) => {
  const timers = ["first", "second"].map((text) => setTimeout(async () => {
    timers.forEach(clearTimeout);
    await reply(message, text);
    clearTimeout(undefined);
  }, 1000));
  clearTimeout(setTimeout(() => reply(message, "never"), 10));
});

on("message", { prefix: "tick" }, (message) => {
  let ticks = 0;
  setTimeout(() => {
    throw new Error("told to");
  }, 5);
  const timer = setInterval(async () => {
    if (++ticks < 3) return;
    clearInterval(timer);
    await reply(message, "three");
  }, 10);
});

on("message", { prefix: "sooner" }, (message) => {
  setTimeout((text) => reply(message, text), 3_600_000, "late");
  setTimeout((text) => reply(message, text), 5000, "soon");
});

// within.chat

const asked = new Map();

on("message", { prefix: "ask" }, async (message) => {
  const answer = new Promise((resolve) => asked.set(message.chat, resolve));
  try {
    await reply(message, await within(60, answer));
  } catch (error) {
    if (!(error instanceof TimedOut)) throw error;
    await reply(message, "too late");
  }
});

on("message", { prefix: "answer" }, (message) => {
  for (const resolve of asked.values()) resolve(message.body);
  asked.clear();
});

on("message", { prefix: "wait" }, async (message) => {
  await promise("slow").catch(() => {});
  await within(60, waitUntil("slow")).catch(({ name }) => reply(message, name));
});

on("message", { prefix: "broken" }, async (message) => {
  await within(1, Promise.reject(new RangeError("told to"))).catch((error) => reply(message, error.name));
});

// handlers.chat

let release;
const released = new Promise((resolve) => (release = resolve));

on("message", { prefix: "both" }, async (message) => {
  await released;
  await sleep(1);
  await reply(message, "the first");
});

on("message", { prefix: "both" }, async (message) => {
  await reply(message, "the second");
  release();
});

let lost;

on("message", { prefix: "quiz" }, async (message) => {
  lost.end();
  lost.end();
  await reply(message, "won");
});

lost = once("message", { prefix: "quiz" }, (message) => reply(message, "lost"));

// It is ended twice before it begins, and must not end another one with it.
const never = on("message", { prefix: "undefined" }, (message) => reply(message, "never"));
never.end();
never.end();

on("message", { prefix: "undefined" }, async (message) => {
  await storage.set("k", undefined).catch((error) => reply(message, `${error.name}: ${error.message}`));
});

on("message", { prefix: "return" }, (message) => message.body);

await command("returned", "Gives it back", async ([whom], message) => (whom === "me" ? reply(message, whom) : whom));

// storage.chat

on("message", { prefix: "all keys" }, async (message) => {
  const names = Array.from({ length: 1000 }, (_, at) => `m/${String(at).padStart(4, "0")}`);
  await Promise.all(names.map((name, at) => storage.set(name, at)));
  const read = await Promise.all(names.map((name) => storage.get(name)));
  const entries = await storage.entries("m/");
  const isSame = entries.every(([name, at], index) => name === names[index] && at === index && read[index] === index);
  await reply(message, `${read.length} ${entries.length} ${isSame}`);
});

on("message", { prefix: "some entries" }, async (message) => {
  for (const name of ["e/1", "e/2", "e/3"]) await storage.set(name, { name });
  const first = await storage.entriesPage("e/", null, 2);
  const rest = await storage.entriesPage("e/", first.next, 2);
  const names = [...first.entries, ...rest.entries].map(([name, bytes]) => `${name} ${bytes.length}`);
  await reply(message, `${names.join(", ")} ${first.next} ${rest.next}`);
});

on("message", { prefix: "count" }, async (message) => {
  const add = (count = 0) => count + 1;
  const counts = await Promise.all([storage.change("n", add), storage.change("n", add)]);
  await reply(message, counts.sort().join(" "));
});

on("message", { prefix: "uncount" }, async (message) => {
  await storage.change("n", () => undefined);
  await reply(message, `${await storage.get("n")}`);
});

on("message", { prefix: "foreign" }, async (message) => {
  // Another language may write the value like this.
  await storage.setBytes("n", Uint8Array.from('{ "x":\n1 }', (sign) => sign.charCodeAt(0)));
  const { x } = await storage.change("n", (before) => ({ x: before.x + 1 }));
  await reply(message, `${x} ${await storage.getBytes("n")} ${await storage.getBytes("none")}`);
});

on("message", { prefix: "last" }, async (message) => {
  const names = ["l/null", "l/none", "l/past"];
  await reply(message, (await Promise.all(names.map((name) => storage.get(name, "gone")))).join(" "));
  await Promise.all([null, undefined, -1].map((expires, at) => storage.set(names[at], at, { expires })));
});

on("message", { prefix: "page" }, async (message) => {
  for (const n of [1, 2]) await storage.set(`p/${n}`, n);
  const [all, one] = [await storage.page("p/"), await storage.page("p/", null, 1)];
  const rest = await storage.page("p/", one.next);
  await reply(message, `${all.keys} ${all.next ?? "none"} ${rest.keys}`);
});

on("message", { prefix: "alike" }, async (message) => {
  const keep = (text) => storage.setBytes("n", Uint8Array.from(text, (sign) => sign.charCodeAt(0)));
  await keep('{ "b": "\\u044f", "a": [1] }');
  const expected = [{ a: [1], b: "ю" }, { a: [1], b: "я" }, { a: [1], b: "я" }];
  const swapped = [];
  for (const one of expected) swapped.push(await storage.compareAndSet("n", one, 2));
  await keep("no JSON");
  swapped.push(await storage.compareAndSet("n", 2, 3), await storage.compareAndSet("none", 2, 3));
  await reply(message, swapped.join(" "));
});

on("message", { prefix: "range" }, async (message) => {
  const sums = [await storage.add("n", -3), await storage.add("n", 5)];
  const made = [];
  for (const value of [1, 2]) {
    made.push(await storage.changes().expect("r/1", undefined).set("r/1", value).set("r/2", [2]).add("n").make());
  }
  const last = await storage.range("r/", { descending: true, limit: null });
  const some = await storage.range("", { from: "n", to: "r/2", limit: 1 });
  await reply(message, `${sums} ${made} ${JSON.stringify([last, some])}`);
});

on("message", { prefix: "migrate" }, async (message) => {
  const ran = [];
  const steps = [1, 2].map((number) => async (changes) => {
    ran.push(number);
    changes.set("now", number);
  });
  for (const count of [1, 2, 2]) await storage.migrate("version", steps.slice(0, count));
  const now = await storage.get("now");
  for (const [name, version] of [["below", -1], ["words", "two"]]) await storage.set(name, version);
  const refuse = (name) => storage.migrate(name, steps.slice(0, 1)).catch((error) => error.message);
  const refused = await Promise.all(["version", "below", "words"].map(refuse));
  await reply(message, `${ran} ${now} ${refused.join("; ")}`);
});

// errors.chat

on("message", { prefix: "fail" }, async (message) => {
  if (message.body === "fail at all") {
    await Promise.any([new RangeError("one"), new TypeError("two")].map((error) => Promise.reject(error)));
  }
  const error = new Error("could not count");
  error.cause = message.body === "fail by itself" ? error : new RangeError("told to");
  throw error;
});

on("message", { prefix: "elsewhere" }, async (message) => {
  const uses = {
    fetch: () => fetch("https://example.org"),
    require: () => require("fs"),
    process: () => process.env.HOME,
    Buffer: () => Buffer.from("a"),
    URL: () => new URL("https://example.org/"),
    URLSearchParams: () => new URLSearchParams("a=b"),
    Intl: () => new Intl.DateTimeFormat("de"),
    AbortController: () => new AbortController(),
    structuredClone: () => structuredClone({}),
    crypto: () => crypto.randomUUID(),
    later: () => setTimeout(() => new URL("https://example.org/"), 10),
  };
  uses[message.body.split(" ")[1]]();
});

on("message", { prefix: "hoard" }, async (message) => {
  const all = [];
  for (;;) all.push(`${all.length}`.repeat(1 << 20));
});

on("message", { prefix: "later?" }, async (message) => {
  const told = ["wait", "cancel"].map((kind) => new StanzaError({ condition: "x", kind, text: null, xml: "" }));
  told.push(new NotReady("x"), new Offline(), new TimedOut(), new OverLimit("x"), await send("@", "hello").catch((error) => error));
  await reply(message, told.map((one) => one.isTemporary).join(" "));
});

on("message", { prefix: "name the call" }, async () => void (await chats.send("@", "hello")));
on("message", { prefix: "wrong" }, (message) => reply(message, 42));

on("message", { prefix: "which" }, async (message) => {
  await promise("broken");
  await promises.reject("broken", "no time");
  const told = [new NotReady("x"), new Unsupported("x"), new OverLimit("x")];
  for (const name of ["broken", "nobody's"]) await waitUntil(name).catch((error) => told.push(error));
  await reply(message, told.map((one) => `${one.what ?? one.promise ?? one.reason ?? one.limit}: ${one.message}`).join("\n"));
});

// commands.chat

await command("again", "Says which it is", (_, message) => reply(message, "the first"));

await command("fails", "Does not work", () => {
  throw new Error("told to");
});

await command("wait", {
  arguments: { time: argument.duration({ default: "1h", help: "How long" }), least: argument.duration({ default: 90 }) },
}, ({ message }, { time, least }) => reply(message, `${typeof time} ${time} ${least}`));

await command("least", { help: "Counts from two on", arguments: { count: argument.integer(2, { default: 3 }) } }, ({ message }, { count }) =>
  reply(message, `${typeof count} ${count}`));

await command("reign", { allow: ["owners"] }, ({ message }) => reply(message, "as you wish"));

on("message", { prefix: "add" }, async (message) => {
  const add = (says) => command("again", "is to be\none line", () => reply(message, says));
  const added = message.body === "add two" ? [add("the second"), add("the third")] : [add("the second")];
  const outcomes = await Promise.allSettled(added);
  await reply(message, outcomes.map(({ reason }) => reason?.name).join(" "));
});

// stanzas.chat

on("message", { prefix: "received" }, async (message) => {
  await reply(message, String(new Element("received").attr("id", message.id).attr("n", 1).to(undefined)));
});

on("message", { prefix: "beside a name" }, async (message) => {
  try {
    await reply(message, String(new Element("poll", { xmlns: "urn:example:polls" })));
  } catch (error) {
    await reply(message, error.message);
  }
});

on("message", { prefix: "read bytes" }, async (message) => {
  const bytes = (signs) => Uint8Array.from(signs, (sign) => sign.charCodeAt(0));
  const read = parseXml(bytes("<a>\u00c3\u00bc</a>")).content;
  try {
    parseXml(bytes("<a>\u00fc</a>"));
  } catch (error) {
    await reply(message, `${read}, ${error.message}`);
  }
});

// web.chat

async function* parts() {
  yield "abc";
}

on("message", { prefix: "parts" }, async (message) => {
  const most = Number(message.body.slice("parts ".length));
  const answer = await askWeb("https://api.example.org/tea", { method: "POST", body: parts(), stream: true });
  await reply(message, await answer.body.text(most).catch((error) => `${error.name}: ${error.message}`));
});

on("message", { prefix: "short" }, async (message) => {
  const name = "Content-Length";
  const forms = {
    short: { [name]: "6" },
    "short pairs": [["x-one", "1"], [name, "6"]],
    "short map": new Map([[name, 6]]),
    "short iterable": { *[Symbol.iterator]() { yield [name, "6"]; } },
    "short of one": [[name]],
    "short text": "content-length: 6",
  };
  const headers = forms[message.body];
  const request = askWeb("https://api.example.org/tea", { method: "PUT", headers, body: parts(), stream: true });
  await request.catch((error) => reply(message, error.message));
});

on("message", { prefix: "cookies" }, async (message) => {
  const { headers } = await askWeb("https://api.example.org/cookies");
  await reply(message, [...headers["set-cookie"].split("\n"), headers.vary].join(" | "));
});

// forgotten.chat

on("message", { prefix: "forget" }, (message) => {
  if (message.body === "forget them all") Promise.all([send("@", "all"), send("@", "all")]).catch(() => {});
  else if (message.body === "forget the call") chats.send("@", { body: "it" });
  else if (message.body === "forget what follows") sleep(0).then(() => send("@", "what follows"));
  else send("@", "it");
});

on("message", { prefix: "do not forget" }, async (message) => {
  const later = send("@", "it");
  await Promise.allSettled([later]);
  await later.catch((error) => reply(message, `${later instanceof Promise} ${error.name}`));
});

async function fails(after) {
  await sleep(after);
  throw new RangeError("told to");
}

class Failing {
  field = 1
  async ["computed"]() {
    return this.#hidden(this.field);
  }

  async now() {
    throw new TypeError("told to");
  }

  async #hidden(field = 2) {
    if (super.now === undefined) throw new TypeError(`told to ${field} ${arguments.length}`);
  }

  static async #shared() {
    throw new TypeError("told to");
  }

  hides() {
    this.#hidden();
  }

  static shares() {
    Failing.#shared();
  }
}

const failing = {
  async ["at once"]() {
    throw new RangeError("told to");
  },
  async later(after) {
    await fails(after);
  },
};

const handed = async () => Promise.reject(new RangeError("told to"));

on("message", { prefix: "lose" }, async (message) => {
  const what = message.body.slice("lose ".length);
  if (what === "a function") fails(0);
  else if (what === "a method") new Failing().now();
  else if (what === "an object's") failing.later(0);
  else if (what === "each") ["one"].forEach(async (one) => Promise.reject(new RangeError(one)));
  else if (what === "all") Promise.all([fails(0), fails(0)]);
  else if (what === "a promise") new Promise((_, broken) => broken(new RangeError("told to")));
  else if (what === "a then") Promise.resolve().then(() => { throw new RangeError("told to"); });
  else if (what === "a resolver") Promise.withResolvers().reject(new RangeError("told to"));
  else if (what === "a private") new Failing().hides();
  else if (what === "a shared") Failing.shares();
  else if (what === "a computed") new Failing().computed();
  else if (what === "an object's computed") failing["at once"]();
  else if (what === "a default") byDefault(1);
  else if (what === "none") {
    await Promise.allSettled([byDefault(1), new Failing().computed(), failing["at once"](), Promise.resolve().then(() => fails(0))]);
    await Promise.resolve(fails(0)).catch(() => {});
    reply(message, await Promise.resolve("none").then((text) => text));
  } else if (what === "nothing") await Promise.allSettled([fails(0), handed(), new Failing().now(), Promise.all([fails(0)])]);
  else if (what === "what is caught") fails(0).catch(() => reply(message, "caught"));
});

let leaves;

on("message", { prefix: "leave" }, (message) => void (leaves = message.chat));

onStop(() => {
  if (leaves) throw new Error("told to");
});

onStop(async () => {
  if (!leaves) return;
  await new Promise((resolve) => setTimeout(resolve, 100));
  await send(leaves, "bye");
});

// ready.chat

const readies = [];

onReady(() => void readies.push(connection.connected()));

on("message", { prefix: "ready?" }, (message) => reply(message, String(readies)));

// messages.chat

on("message", { prefix: "who" }, async (message) => {
  const who = occupantOf(message);
  await reply(message, who ? `${who.nick}, ${who.role}` : "nobody");
});

on("message", { prefix: "mark me" }, (message) => reply(message, { body: "read this", requestMarkers: true }));
on("messageSend", { prefix: "read this" }, ({ extensions }) => console.warn(`markers: ${extensions?.markable}`));

on("message", { prefix: "alone" }, (message) => replyInChat(message, { body: "you alone", replyTo: message }));

// replies.chat

on("message", async (message) => {
  if (message.body === "ack") await acknowledge(message);
  if (message.body === "mark") await reply(message, { marker: "displayed", marked: message });
  if (message.body === "👍") await reply(message, { reactTo: message, emojis: ["👍"] });
  const said = bodyWithoutFallback(message);
  if (said !== "+1") return;
  await reply(message, said);
  await reply(message, { body: "so it is", replyTo: message, quote: true });
});

// styling.chat

on("message", { prefix: "style " }, async (message) => {
  const text = message.body.slice("style ".length);
  const { bold, codeBlock, escape, monospace, quote } = styling;
  const styled = [bold(escape(text)), monospace(text), quote(text), codeBlock(text), "https://example.org/"].join("\n");
  const previews = [{ url: "https://example.org/", title: "Page" }];
  await reply(message, { body: styled.replaceAll("\u2060", "+"), spoiler: "end", unstyled: true, previews });
});

on("message", { prefix: "shown" }, async (message) => {
  const { spoiler, unstyled, previews } = message.extensions ?? {};
  if (typeof spoiler === "string") await reply(message, `hidden <${spoiler}>`);
  else if (unstyled) await reply(message, `unstyled ${previews[0].title}`);
  else await reply(message, "there");
});

// entities.chat

on("message", { prefix: "entities" }, async (message) => {
  await rooms.open("hall@rooms.example.org", "Romeo");
  const roomconfig = { changesubject: false, membersonly: true, roomdesc: "Comfy room for hanging out", maxusers: 20 };
  const ball = await rooms.open("ball@rooms.example.org", { nick: "coolguy69", autoConfigure: true, roomconfig });
  await rooms.configure(ball, new Map([["roomname", "The ball"]]));
  const form = await api.sendIq(`<iq type='get' to='${ball.jid}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>`);
  const fields = ["changesubject", "membersonly", "roomdesc", "maxusers", "roomname"];
  const values = fields.map((name) => new RegExp(`roomconfig_${name}["'][^>]*><value>([^<]*)<`).exec(form)?.[1]);
  await reply(message, values.join(", "));
  const contact = contacts.get(message.chat);
  const occupant = rooms.occupants("garden@rooms.example.org").find((one) => one.nick === "alice");
  const [, card] = await Promise.all([vcard.update(contact), vcard.get(occupant, true)]);
  await reply(message, `${contacts.get(message.chat).url} ${card.fn}`);
  await settings.update({ limit: 12, words: ["a"] });
  await settings.set({ open: true });
  const told = ["id", "jid", "subscription", "nothing"].map((name) => contact.get(name) ?? "");
  await reply(message, `${told.join(" ").trim()} ${setting("limit")} ${setting("open")}`);
  const chat = await chats.open(contact);
  await chats.setAttribute(chat, "mood", { romantic: [1, null] });
  const spelled = ["chat-status", "chat_status", "chatStatus"].map((name) => contact.get(name));
  await chats.send(chat, `${JSON.stringify(chats.getAttribute(chat, "mood"))} ${chats.getAttribute(chat, "none")} ${spelled}`);
  await chats.setAttribute(chat, "mood", null);
  await rooms.setAttribute(ball, "height", 400);
  const flags = ["shows-jids", "shows_jids", "showsJids"].map((name) => rooms.getAttribute(ball, name));
  await chats.send(contact, `${chats.getAttribute(chat, "mood")} ${rooms.getAttribute(ball, "height") + 1} ${flags}`);
  const wrong = [
    () => chats.send({ fullname: "Nobody" }, "hello"),
    () => rooms.getMany([ball, {}]),
    () => rooms.ban(ball, { ...occupant, jid: null }),
    () => rooms.get(ball, "Romeo", true),
    () => contacts.getAll(undefined, 1),
    () => chats.setAttribute(chat, "mood", undefined),
    () => chats.send(chat, "hello", message),
  ];
  for (const call of wrong) {
    try {
      await call();
    } catch (error) {
      await reply(message, `${error.name}: ${error.message} (${error.call})`);
    }
  }
});
