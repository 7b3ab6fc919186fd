// The calls of schedules.chat, iq.chat, requests.chat, questions.chat, people.chat and sealed.chat.

import {
  chats, contacts, dialogs, disco, Element, iq, NotFound, on, ParlorError, plugins, rooms, schedules, user, type IqRequest,
} from "parlor";

const alice = "alice@example.org", garden = "garden@rooms.example.org", zone = "Europe/Berlin";

const shown = (moment: Date | string): string => schedules.format(moment, "UTC", "%F %H:%M:%S");

const padded = (...numbers: number[]): string[] => numbers.map((number) => String(number).padStart(2, "0"));

// Each gives what is to be told of it.
export const calls: Record<string, (rest: string) => Promise<string | void>> = {
  // schedules.chat
  async cron(expression) {
    return shown(await schedules.cron("work", expression, zone));
  },
  async every(seconds) {
    return shown(await schedules.every("tick", Number(seconds)));
  },
  async cancel(name) {
    return `${await schedules.cancel(name)}`;
  },
  async when(text) {
    const there = schedules.toLocal(schedules.parse(text, zone), zone);
    const day = [there.year, ...padded(there.month, there.day)].join("-");
    const time = padded(there.hour, there.minute, there.second).join(":");
    return `${day} ${time} ${there.weekday} ${there.offset} ${there.abbreviation}`;
  },
  async fail() {
    fails = true;
  },

  // iq.chat
  async answer() {
    try {
      if (last) await iq.answer(last.id);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      return error.message;
    }
  },

  // requests.chat
  async request(text) {
    const [, name = "", value = ""] = /^(\S+) ?(.*)$/s.exec(text) ?? [];
    return JSON.stringify(await plugins.call("partner", name, JSON.parse(value || "null")));
  },

  // people.chat
  async idle(jid) {
    const { seconds, status } = await disco.lastActivity(jid);
    return `${JSON.stringify(seconds)} ${status ?? "-"}`;
  },
  async clock(jid) {
    const { utc, offset } = await disco.time(jid);
    return `${shown(utc)} ${offset}`;
  },
  async software(jid) {
    const { name, version, os } = await disco.version(jid);
    return `${name ?? "-"} ${version ?? "-"} ${os ?? "-"}`;
  },
  async block(jid) {
    await contacts.block(jid);
    return "done";
  },
  async report(jid) {
    const stanzaIds: [string, string][] = bought ? [[user.bareJid(), bought]] : [];
    await contacts.block(jid, { kind: "spam", text: "it sells swords", stanzaIds });
    return "done";
  },
  async unblock(jid) {
    await contacts.unblock(jid);
    return "done";
  },
  async blocked() {
    return (await contacts.blocked()).join(", ") || "nobody";
  },
  async voice() {
    await rooms.requestVoice(garden);
    return "done";
  },
  async register(nick) {
    await rooms.register(garden, nick, {});
    return "done";
  },
  async unregister() {
    await rooms.unregister(garden);
    return "done";
  },
  async reserved() {
    return (await rooms.reservedNick(garden)) ?? "none";
  },

  // sealed.chat
  async require(body) {
    await chats.send(alice, { body, encryption: "required" });
  },
  async plain(body) {
    await chats.send(alice, { body, encryption: "none" });
  },
  async otr(what) {
    await chats.open(alice);
    await (what === "begin" ? chats.initiateOtr(alice) : chats.endOtr(alice));
    return "done";
  },
};

// schedules.chat

let fails = false;

on("schedule", async ({ name, due, late, missed, attempt }) => {
  if (fails) {
    fails = false;
    throw new Error("it is too early");
  }
  await chats.send(alice, `${name} ${shown(due)} ${JSON.stringify(Math.floor(late))} ${missed} ${attempt}`);
});

// iq.chat

let last: IqRequest | undefined;

on("iq", async (request) => {
  last = request;
  const { id, from, kind, namespace, name, xml } = request;
  if (kind !== "get") return iq.refuse(id, "not-allowed", "it can only be read");
  if (name === "nothing") return iq.answer(id);
  await iq.answer(id, String(new Element("said").ns("urn:example:weather").text(`${from} ${kind} ${namespace} ${name} ${xml}`)));
});

// requests.chat

on("request", async (request) => {
  const { plugin, name, value } = request;
  if (name === "closed") return plugins.refuse(request, `${plugin} has to wait`);
  await plugins.answer(request, { name, value });
});

// questions.chat

on("message", { kind: "groupchat", prefix: "pizza" }, async ({ chat, nick }) => {
  try {
    const { choice, text } = await dialogs.askInRoom(chat, nick ?? "", "Which size?", { choices: ["small", "large"], timeout: 60 });
    await rooms.send(chat, `${choice}: ${text}`);
  } catch (error) {
    if (!(error instanceof ParlorError)) throw error;
    await chats.send(alice, error.message);
  }
});

// people.chat

// The id of the last message that offers something, in the archive.
let bought: string | null | undefined;

on("message", { kind: "chat", prefix: "buy" }, ({ stanzaId }) => {
  bought = stanzaId;
});

on("voiceRequest", ({ room, nick }) => rooms.answerVoice(room, nick, nick === "bob"));

// sealed.chat

on("message", { kind: "chat", prefix: "sealed" }, async ({ encryption, deviceTrust }) => {
  await chats.send(alice, `${encryption ?? "-"} ${deviceTrust ?? "-"}`);
});

on("undecryptable", async ({ chat, from, kind, encryption, reason, id }) => {
  await chats.send(alice, `${chat} ${from} ${kind} ${encryption} ${reason} ${id ?? "-"}`);
});
