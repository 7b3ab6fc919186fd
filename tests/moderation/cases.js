// Runs the cases of `cases.json` on the moderation kit for JavaScript. A test of the suite puts it into a plugin; the tests of the SDK for
// Rust, `cases.py`, `cases.go` and `cases.c` read the same cases in the same way.

const ROOM = "garden@rooms.example.org";

// A text as the cases write it: as it is, repeated, or in parts. `{}` is the number of a step.
function text(of, number) {
  if (Array.isArray(of)) return of.map((one) => text(one, number)).join("");
  if (typeof of === "object" && of !== null) return text(of.of, number).repeat(of.times);
  return typeof of === "string" && number !== undefined ? of.replaceAll("{}", String(number)) : of ?? undefined;
}

// The letters and digits are no part of what the SDK exports. `comparable` shows which ones are kept, and how, and with two signs in front
// of a slash `hasLink` shows which ones are letters.
function digest({ comparable, hasLink }, ranges) {
  let sum = 0x811c9dc5;
  for (const [first, last] of ranges) {
    for (let code = first; code <= last; code++) {
      const sign = String.fromCodePoint(code);
      // A letter behind it: without one, a sign would be kept as well.
      const [kept] = comparable([`${sign}z`]);
      const kind = kept === "z" ? 0 : hasLink(`z.${sign}${sign}/`) ? 1 : 2;
      for (const part of [kind, ...(kind ? [...kept.slice(0, -1)].map((one) => one.codePointAt(0)) : [])]) {
        sum = Math.imul(sum ^ part, 0x01000193) >>> 0;
      }
    }
  }
  return sum;
}

const WINDOWS = ["join_window", "message_window", "repeat_window", "newcomer"];
const camel = (name) => name.replace(/_./g, (part) => part[1].toUpperCase());

function rulesOf(given) {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [camel(name), WINDOWS.includes(name) ? value / 1000 : value]));
}

class Runner {
  constructor(moderation, rules) {
    this.kit = moderation;
    this.judge = new moderation.Judge();
    this.rules = rulesOf(rules);
    this.wrong = [];
  }

  run([name, ...rest], place, room = ROOM, number = undefined) {
    if (name === "in") return this.run(rest[1], place, text(rest[0], number), number);
    if (name === "each") {
      for (let one = rest[0]; one <= rest[1]; one++) rest[2].forEach((step, at) => this.run(step, `${place}, ${one}, ${at}`, room, one));
      return;
    }
    const [came, expected] = this[camel(name)](room, number, ...rest).map((one) => JSON.stringify(one) ?? "nothing");
    if (came !== expected) this.wrong.push(`${place}: ${name} gives ${came}, and not ${expected}`);
  }

  time = (at, number) => new Date(at + (number ?? 0));

  join(room, number, at, key, expected) {
    const came = this.judge.join(this.rules, room, text(key, number), this.time(at, number));
    return [came, expected.map((one) => text(one, number))];
  }

  joinCount(room, number, at, key, expected) {
    return [this.judge.join(this.rules, room, text(key, number), this.time(at, number)).length, expected];
  }

  hear(room, number, at, key, said, expected) {
    const heard = typeof said === "object" && !Array.isArray(said) && !("of" in said) ? {
      id: text(said.id, number),
      texts: (said.texts ?? []).map((one) => text(one, number)),
      hasLink: said.link ?? false,
      isCommand: said.command ?? false,
      isUnreadable: said.unreadable ?? false,
    } : this.kit.Said.text(text(said, number));
    const { offence, pause, hasSettled } = this.judge.hear(this.rules, room, text(key, number), heard, this.time(at, number));
    const words = [offence ?? "fine", pause === undefined ? "" : Math.round(pause * 1000), hasSettled ? "settled" : ""];
    return [words.filter((word) => word !== "").join(" "), expected];
  }

  meet(room, number, at, key, nick, isSpared) {
    this.judge.meet(room, text(key, number), text(nick, number), isSpared, this.time(at, number));
    return [];
  }

  absent(room, number, nick, expected) {
    const { key, isSpared } = this.judge.absent(room, text(nick, number)) ?? {};
    return [key === undefined ? null : [key, isSpared], expected && [text(expected[0], number), expected[1]]];
  }

  isSettled = (room, number, key, expected) => [this.judge.isSettled(room, text(key, number)) ?? null, expected];

  settle(room, number, at, key, isSettled) {
    this.judge.settle(room, text(key, number), isSettled, this.time(at, number));
    return [];
  }

  author = (room, number, nick, expected) => [this.judge.author(room, text(nick, number)), text(expected, number)];

  messages(room, number, key, most, expected) {
    return [this.judge.messages(room, text(key, number), most), expected.map((one) => text(one, number))];
  }

  retracted(room, number, id) {
    this.judge.retracted(room, text(id, number));
    return [];
  }

  slowDown = (room, number, pause, expected) => [this.judge.slowDown(room, pause === null ? null : pause / 1000), expected];

  leave(room) {
    this.judge.leave(room);
    return [];
  }
}

function messageOf({ body, bodies = [], id, command, files = 0, reply, fallback = [], plain }) {
  const parts = fallback.map(([feature, part]) => ({ feature, part: part ?? undefined }));
  const extensions = { files: Array(files).fill({}), reply: reply && { id: reply }, fallback: parts };
  return {
    body: text(body), bodies: bodies.map(([language, one]) => [language, text(one)]), stanzaId: id, command,
    extensions: plain ? undefined : extensions,
  };
}

const occupantOf = ({ nick = "nick", jid, id, role = "participant", affiliation = "none", own = false }) =>
  ({ nick: text(nick), jid: text(jid), occupantId: text(id), role, affiliation, own });

// Runs all cases; returns how many there are, and what is wrong.
export function run(cases, moderation) {
  const [wrong, texts] = [[], (all) => all.map((one) => text(one))];
  let count = 0;
  const check = (name, came, expected) => {
    count++;
    const [is, should] = [came, expected].map((one) => JSON.stringify(one) ?? "nothing");
    if (is !== should) wrong.push(`${name}: ${is}, and not ${should}`);
  };

  check("letters", digest(moderation, cases.letters.ranges), cases.letters.digest);
  for (const [given, expected] of cases.comparable) {
    check(`comparable ${JSON.stringify(given)}`, moderation.comparable(texts(given)), texts(expected));
  }
  for (const [list, expected] of [["links", true], ["no links", false]]) {
    for (const given of cases[list]) check(`hasLink ${JSON.stringify(given)}`, moderation.hasLink(text(given)), expected);
  }
  for (const [given, expected] of cases.nicks) check(`nick ${JSON.stringify(given)}`, moderation.nick(text(given)), text(expected));
  for (const [given, key, isSpared] of cases.people) {
    const one = occupantOf(given);
    check(`key ${JSON.stringify(given)}`, [moderation.key(one), moderation.isSpared(one)], [text(key), isSpared]);
  }
  for (const [given, expected] of cases.messages) {
    const said = moderation.Said.of(messageOf(given));
    const { id = null, link = false, command = false } = expected;
    const wanted = [id, texts(expected.texts), link, command, false];
    check(`of ${JSON.stringify(given)}`, [said.id, said.texts, said.hasLink, said.isCommand, said.isUnreadable], wanted);
  }
  const { id, texts: none, isUnreadable } = moderation.Said.unreadable({ stanzaId: "sealed" });
  check("unreadable", [id, none, isUnreadable], ["sealed", [], true]);
  for (const { name, rules, steps } of cases.judge) {
    const runner = new Runner(moderation, rules ? { ...cases.rules, ...rules } : {});
    steps.forEach((step, at) => runner.run(step, `step ${at}`));
    check(name, runner.wrong.slice(0, 3), []);
  }
  return [count, wrong];
}
