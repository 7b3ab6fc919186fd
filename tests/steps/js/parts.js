import {
  api, archive, argument, command, commands, contacts, dialogs, disco, emit, escapeXml, hooks, iq, listen, log, once, plugins, promise,
  promises, pubsub, rooms, say, schedules, send, setSetting, setting, settings, sleep, storage, timers, user, waitUntil,
} from "parlor";

import { hear, Steps } from "./steps.js";

const PARTS = {
  settings: inSettings,
  storage: inStorage,
  timers: inTimers,
  listen: listening,
  heard: (steps) => steps.hear(),
  promises: promising,
  wait: (steps) => {
    log.info(`waiting for ${steps.rest}`);
    return steps.note("wait for another's promise", () => carried(steps.rest));
  },
  messages,
  stanza: stanzas,
  rooms: inRooms,
  account,
  commands: declaring,
  schedules: scheduling,
  others,
};

export async function take(part, steps, message) {
  // A command is a message, too.
  await PARTS[part]?.(steps, message);
}

async function carried(name) {
  const value = await waitUntil(name);
  return value === undefined || value === null ? "none" : JSON.stringify(value);
}

async function inSettings(steps) {
  await steps.note("a text of the manifest", () => setting("greeting"));
  await steps.note("a number of the manifest", () => setting("count"));
  await steps.note("a flag of the manifest", () => setting("loud"));
  await steps.note("a setting that nobody has", () => setting("nobody", "none"));
  await steps.done("set a text", () => setSetting("greeting", "hü \"\\ <&>"));
  await steps.note("read it", () => setting("greeting"));
  await steps.fails("set a number to a text", () => setSetting("count", "many"));
  await steps.fails("set what is the operator's", () => setSetting("password", "secret"));
  await steps.done("a new default", () => settings.update([["count", "9"]]));
  await steps.note("the new default", () => setting("count"));
}

async function inStorage(steps) {
  await steps.note("nothing is kept", () => storage.get("a", "none"));
  await steps.done("keep a text", () => storage.set("a", "väl\"ue"));
  await steps.note("read it", () => storage.get("a"));
  await steps.done("keep another", () => storage.set("b/ü", "two"));
  await steps.note("all keys", () => storage.keys());
  await steps.note("keys that begin so", () => storage.keys("b/"));
  await steps.note("a page of one", async () => {
    const page = await storage.page("", undefined, 1);
    return `${page.keys} then ${page.next ?? "none"}`;
  });
  await steps.note("forget it", () => storage.delete("b/ü"));
  await steps.note("forget it again", () => storage.delete("b/ü"));
  await steps.note("put one where nothing is", () => storage.compareAndSet("n", undefined, 1));
  await steps.note("put two where one is", () => storage.compareAndSet("n", 1, 2));
  await steps.fails("keep too much", () => storage.set("much", "x".repeat(100_000)));
  await steps.fails("keep it under no key", () => storage.set("", "x"));
}

async function inTimers(steps) {
  await steps.done("sleep", () => sleep(0.005));
  await steps.fails("a period that is too short", () => timers.every(0.001));
  await steps.fails("cancel what is no timer", () => timers.cancel(123_456));
  await steps.done("begin a timer", () => {
    setTimeout(async () => {
      hear("a timer fired", "done");
      await send(steps.friend, "fired");
    }, 10);
  });
}

async function listening(steps) {
  await steps.done("listen once", () => {
    once("stepsEvent", async (value) => {
      hear("an event of one's own", String(value.n));
      await send(steps.friend, "heard");
    });
  });
  let number = 0;
  await steps.done("listen to what nobody fires", () => {
    number = listen.on("nobodyFiresIt", undefined);
  });
  await steps.done("listen no more", () => listen.not(number));
  await steps.fails("end it again", () => listen.not(number));
  await steps.fails("listen to no address", () => once("message", { from: "@" }, () => {}));
  await steps.done("fire an event", () => emit("stepsEvent", { n: 42 }));
}

async function promising(steps) {
  await steps.fails("wait for what nobody promised", () => waitUntil("stepsNever"));
  await steps.done("promise", () => promise("stepsDone"));
  await steps.done("keep it", () => emit("stepsDone", { kept: [1, "two"] }));
  await steps.note("wait for what is kept", () => carried("stepsDone"));
  await steps.done("promise two", () => promises.addAll(["stepsOne", "stepsTwo"]));
  await steps.done("break one", () => promises.reject("stepsOne", "no bread"));
  await steps.fails("wait for what is broken", () => waitUntil("stepsOne"));
  await steps.fails("promise what is the host's", () => promise("roster"));
  await steps.fails("keep what is another's", () => emit("promised", 1));
  await steps.note("wait for the host", () => carried("pluginsInitialized"));
}

async function messages(steps, message) {
  const friend = steps.friend;
  await steps.note("what came", () => `${message.kind} ${message.delayed} ${steps.rest}`);
  await steps.some("say something", () => send(friend, "hello"));
  await steps.some("with subject and thread", () => send(friend, { body: "on", subject: "so", thread: "t1" }));
  await steps.some("correct it", () => send(friend, { body: "hallo", replace: "m1" }));
  await steps.some("say what one does", () => send(friend, { chatState: "composing" }));
  await steps.some("ask for a receipt", () => send(friend, { body: "there?", requestReceipt: true }));
  await steps.fails("to nobody", () => send("", "hello"));
  await steps.fails("to no address", () => send("@", "hello"));
  await steps.fails("to whom nobody granted", () => send("nobody@nowhere.invalid", "hello"));
  await steps.fails("nothing at all", () => send(friend, {}));
  await steps.fails("what XML cannot hold", () => send(friend, "a\u0001b"));
}

async function stanzas(steps) {
  for (const text of ["<body>", "a & b", "'single' and \"double\"", "hü🍕"]) {
    await steps.note("escape", () => `<a b='${escapeXml(text)}'>${escapeXml(text)}</a>`);
  }
  const friend = steps.friend;
  const ask = (child) => api.sendIq(`<iq type='get' to='localhost'>${child}</iq>`);
  const built = `<message to='${friend}'><body>${escapeXml("<built> & sent")}</body></message>`;
  await steps.done("send what was built", () => api.send(built));
  await steps.fails("under another's name", () => api.send(`<message to='${friend}' from='${friend}'/>`));
  await steps.fails("what is no XML", () => api.send("<message"));
  await steps.fails("two at once", () => api.send("<message/><message/>"));
  await steps.fails("presence without a grant", () => api.send("<presence/>"));
  await steps.note("ask", async () => (await ask("<ping xmlns='urn:xmpp:ping'/>")).includes("type='result'"));
  await steps.fails("ask what nobody knows", () => ask("<nonsense xmlns='urn:test:nonsense'/>"));
}

async function inRooms(steps) {
  const { room } = steps;
  const attributes = { nick: "steps", autoConfigure: false, roomconfig: [], maximize: false, bringToForeground: false };
  const shown = (room) => `${room.nick} ${room.role} ${room.affiliation} ${room.joined}`;
  const get = () => {
    const found = rooms.get(room);
    return found ? shown(found) : "none";
  };
  await steps.note("not in the room", get);
  await steps.note("enter", async () => shown(await rooms.open(room, attributes)));
  await steps.note("in the room", get);
  await steps.note("who is there", () => rooms.occupants(room).map((one) => one.nick));
  await steps.some("say something", () => say(room, "hello"));
  await steps.done("what it is about", () => rooms.setSubject(room, "steps & stairs"));
  await steps.done("keep an attribute", () => rooms.setAttribute(room, "height", 400));
  await steps.note("read it", () => rooms.getAttribute(room, "height"));
  await steps.note("who owns it", async () => (await rooms.affiliations(room, "owner")).length);
  await steps.fails("throw out who is not there", () => rooms.kick(room, "nobody", undefined));
  await steps.done("leave", () => rooms.close(room));
  await steps.fails("leave again", () => rooms.close(room));
  await steps.fails("enter what is no room", () => rooms.open("@", attributes));
  await steps.fails("speak where one is not", () => say(room, "hello"));
}

async function account(steps) {
  const { friend } = steps;
  const options = { with: friend, max: 2, xml: false };
  let page;
  await steps.note("a page of the archive", async () => (page = await archive.query(options)).messages.length);
  await steps.note("the next", async () => (await archive.query(archive.next(page.rsm, 3))).messages.length);
  await steps.fails("after what is not there", () => archive.query({ ...options, after: "nowhere" }));
  await steps.note("all of the archive", async () => {
    const words = [];
    for await (const one of archive.queryAll({ with: friend })) words.push((one.message.body ?? "").split(" ")[0]);
    return `${words[0]} to ${words[words.length - 1]}`;
  });

  await steps.note("somebody who is no contact", () => contacts.get(friend)?.fullname ?? "none");
  await steps.note("add a contact", async () => {
    const added = await contacts.add(friend, "Fränd");
    return `${added.fullname} ${added.subscription}`;
  });
  await steps.done("put it into a group", () => contacts.setGroups(friend, ["climbers"]));
  await steps.note("its groups", () => contacts.get(friend)?.groups ?? "none");
  await steps.done("remove it", () => contacts.remove(friend));

  await steps.note("what the server can do", async () => (await disco.supports("urn:xmpp:ping", "localhost")).supported);
  await steps.note("say what one can do", () => disco.ownFeaturesAdd("urn:test:steps"));
  await steps.note("say it again", () => disco.ownFeaturesAdd("urn:test:steps"));
  await steps.done("be away", () => user.setStatus("away", "on the stairs"));
  await steps.note("how one is", () => {
    const status = user.getStatus();
    return `${status.value} ${status.message}`;
  });
  await steps.fails("be what nobody is", () => user.setStatus("asleep", undefined));

  await steps.done("add a command", () => command("climb", "Climbs", "[STEPS]", () => {}));
  await steps.done("take it away", () => commands.remove("climb"));
  await steps.fails("take it away again", () => commands.remove("climb"));
}

async function declaring(steps) {
  await steps.done("declare a command", () =>
    command("stairs", {
      help: "Climbs stairs",
      arguments: {
        count: argument.integer(1, 100, { default: 1 }),
        how: argument.choice(["slow", "fast"], { default: "slow" }),
        loud: argument.flag(),
        why: argument.rest({ optional: true }),
      },
    }, async (_, { count, how, loud, why }) => {
      hear("a command came", `${count} ${how} ${loud} ${why}`);
      await send(steps.friend, "stairs");
    }));
  await steps.fails("declare what is no name", () => command("no name", { help: "Climbs nothing" }, () => {}));
}

async function scheduling(steps) {
  const noon = "2026-07-01T12:00:00Z";
  await steps.fails("a schedule that is due too often", () => schedules.every("often", 0.001));
  await steps.note("set a schedule", () => schedules.at("late", "2100-01-01T00:00:00Z"));
  await steps.note("all schedules", async () => (await schedules.list()).map((one) => one.name));
  await steps.note("a moment in a zone", () => schedules.format(noon, "Europe/Berlin", "%H:%M"));
  await steps.fails("a moment in no zone", () => schedules.format(noon, "Nowhere/At_All", "%H:%M"));
  await steps.note("end the schedule", () => schedules.cancel("late"));
  await steps.note("end it again", () => schedules.cancel("late"));
}

// Calls for somebody else, who is not there.
async function others(steps) {
  await steps.fails("ask nobody", () => dialogs.ask("@", "Well?"));
  await steps.fails("answer a request that nobody sent", () => iq.answer("none", undefined));
  await steps.fails("give a verdict on nothing", () => hooks.allow({ id: "none" }));
  await steps.fails("ask a plugin that is not there", () => plugins.call("nobody", "rate", 1));
  await steps.fails("read a node of the host", () => pubsub.items("pubsub.localhost", "storage:bookmarks", 1));
}
