// Implements `parlor.d.ts` on the contract as the runtime shows it.

import * as apiCalls from "parlor:plugin/api@0.1.0";
import * as archiveCalls from "parlor:plugin/archive@0.1.0";
import * as chatsCalls from "parlor:plugin/chats@0.1.0";
import * as chatviewsCalls from "parlor:plugin/chatviews@0.1.0";
import * as commandsCalls from "parlor:plugin/commands@0.1.0";
import * as connectionCalls from "parlor:plugin/connection@0.1.0";
import * as contactsCalls from "parlor:plugin/contacts@0.1.0";
import * as dialogsCalls from "parlor:plugin/dialogs@0.1.0";
import * as discoCalls from "parlor:plugin/disco@0.1.0";
import * as filesCalls from "parlor:plugin/files@0.1.0";
import * as hooksCalls from "parlor:plugin/hooks@0.1.0";
import * as httpCalls from "parlor:plugin/http@0.1.0";
import * as iqCalls from "parlor:plugin/iq@0.1.0";
import * as listenCalls from "parlor:plugin/listen@0.1.0";
import * as logCalls from "parlor:plugin/log@0.1.0";
import * as pluginsCalls from "parlor:plugin/plugins@0.1.0";
import * as promisesCalls from "parlor:plugin/promises@0.1.0";
import * as pubsubCalls from "parlor:plugin/pubsub@0.1.0";
import * as roomsCalls from "parlor:plugin/rooms@0.1.0";
import * as schedulesCalls from "parlor:plugin/schedules@0.1.0";
import * as settingsCalls from "parlor:plugin/settings@0.1.0";
import * as storageCalls from "parlor:plugin/storage@0.1.0";
import * as timersCalls from "parlor:plugin/timers@0.1.0";
import * as tokensCalls from "parlor:plugin/tokens@0.1.0";
import * as userCalls from "parlor:plugin/user@0.1.0";
import * as vcardCalls from "parlor:plugin/vcard@0.1.0";
import * as webhooksCalls from "parlor:plugin/webhooks@0.1.0";

// The author's line stands behind as many of this module's own functions; the runtime would keep ten.
Error.stackTraceLimit = 50;

// This module's own promises; those of authors are watched, see below.
const Promise = globalThis.Promise;
const nothing = () => {};

// Errors

export class ParlorError extends Error {
  get name() {
    return this.constructor.name;
  }

  // The call that failed, as its author wrote it, and its first argument; the stack says where.
  call = undefined;
  argumentOfCall = undefined;

  get isTemporary() {
    return [NotReady, TimedOut, Offline, Unreachable].some((Case) => this instanceof Case) || this.kind === "wait";
  }
}

export class Denied extends ParlorError {
  constructor({ permission, scope, hint }) {
    super(`not granted: ${permission}${scope ? ` for ${scope}` : ""}`);
    Object.assign(this, { permission, scope, hint });
  }
}

export class Invalid extends ParlorError {
  constructor({ name, reason }) {
    super(`invalid ${name}: ${reason}`);
    Object.assign(this, { argument: name, reason });
  }
}

export class StanzaError extends ParlorError {
  constructor({ condition, kind, text, xml }) {
    super(text ? `${condition}: ${text}` : condition);
    Object.assign(this, { condition, kind, text, xml });
  }
}

export class NotFound extends ParlorError {
  constructor(what) {
    super(`not found: ${what}`);
    this.what = what;
  }
}

export class NotReady extends ParlorError {
  constructor(promise) {
    super(`too early: ${promise} has not come yet`);
    this.promise = promise;
  }
}

export class Unsupported extends ParlorError {
  constructor(reason) {
    super(`unsupported: ${reason}`);
    this.reason = reason;
  }
}

export class Rejected extends ParlorError {
  constructor(reason) {
    super(`rejected: ${reason}`);
    this.reason = reason;
  }
}

export class OverLimit extends ParlorError {
  constructor(limit) {
    super(`over a limit: ${limit}`);
    this.limit = limit;
  }
}

export class Unreachable extends ParlorError {}

export class Tls extends ParlorError {}

export class Protocol extends ParlorError {}

export class NotDeclared extends ParlorError {}

export class TimedOut extends ParlorError {
  constructor() {
    super("no answer came in time");
  }
}

export class Offline extends ParlorError {
  constructor() {
    super("there is no connection to the server");
  }
}

export class Stopped extends ParlorError {
  constructor() {
    super("what the call waited for has ended");
  }
}

const CASES = {
  denied: Denied,
  invalid: Invalid,
  stanza: StanzaError,
  "not-found": NotFound,
  "not-ready": NotReady,
  unsupported: Unsupported,
  rejected: Rejected,
  "timed-out": TimedOut,
  offline: Offline,
  stopped: Stopped,
  "over-limit": OverLimit,
  unreachable: Unreachable,
  tls: Tls,
  protocol: Protocol,
};

// The runtime throws the contract's error as it is; this one knows which call was made, too: its name, its first argument and where.
function typed(thrown, made) {
  const raw = thrown instanceof Error ? thrown.payload ?? thrown.cause ?? thrown : thrown;
  if (raw instanceof Error || typeof raw?.tag !== "string") return thrown;
  const Case = CASES[raw.tag];
  const error = Case ? new Case(raw.val) : new ParlorError(String(raw.val));
  return made ? ofCall(error, made) : error;
}

function ofCall(error, { call, argument, stack }) {
  Object.assign(error, { call, argumentOfCall: argument });
  return Object.defineProperty(error, "stack", { value: stack, writable: true, configurable: true });
}

// Groupings

// The names and kinds of each call's arguments: parlor writes them in here when it builds a plugin.
const ARGUMENTS = {};

// The calls that give a promise: written in as well.
const AWAITED = [];

// The permission that each call needs, if any: written in as well. A call that a plugin does not ask for is not there.
const NEEDS = {};

function missing(name, key, shown) {
  const needed = NEEDS[`${name}.${key}`];
  if (!needed) return new TypeError(`${name} has no ${key}; .parlor/docs/reference/api/${name}.md names what it has`);
  return new NotDeclared(`${shown} is not part of this plugin: it needs ${needed}; ask for that in plugin.toml, and build again`);
}

// A contact, chat, view or room has its address as `jid`; an occupant's is that of the room with the nickname. The call reports a
// value that is no address, and names the argument.
function addressOf(place, entity) {
  if (!isEntity(entity)) return entity;
  if (typeof entity.room === "string" && typeof entity.nick === "string") return `${entity.room}/${entity.nick}`;
  return personOf(place, entity);
}

// If a person is meant, an occupant stands for the real JID: by the other one a room would ban itself.
function personOf(place, entity) {
  if (!isEntity(entity) || typeof entity.jid === "string") return isEntity(entity) ? entity.jid : entity;
  const [call, name] = place.split(": ");
  const hides = typeof entity.room === "string" ? ": its room does not show it" : "";
  throw Object.assign(new Invalid({ name, reason: `this object has no JID${hides}` }), { call });
}

const isEntity = (value) =>
  typeof value === "object" && value !== null && ![Element, Date, Array, Uint8Array].some((Other) => value instanceof Other);

// The language drops what is given beside the arguments of a function, and with it what an author meant by it.
function noneTooMany(call, most, values) {
  const given = values.findLastIndex((value) => value !== undefined) + 1;
  if (given > most) {
    throw new TypeError(`${call} takes ${most} argument${most === 1 ? "" : "s"} at most, and was given ${given}`);
  }
}

// The first argument of a call for the log, if it is a text. An address is named without its query, which may have a secret of the
// plugin's own, and without what stands behind a #, which is the key of an encrypted file.
function withoutQuery(argument) {
  if (typeof argument !== "string") return undefined;
  return argument.includes("://") ? argument.split(/[?#]/, 1)[0] : argument;
}

// `wrapped`: what makes of a call what authors have of it. It passes on all arguments, so that the call sees what is too many.
// `written` maps the name of a call to the name that an author writes in its place. Errors have that one.
function grouping(name, calls, wrapped = {}, written = {}) {
  const shownAs = (key) => `${name}.${written[key] ?? key}`;
  const call = (key, own) => (...values) => {
    const shown = shownAs(key);
    const whole = ([argument, kind], at) => {
      let value = values[at];
      // Of a record all may be left out. A text in the place of a room's attributes is a nickname.
      if (kind[0] === "record") value = argument === "attributes" && typeof value === "string" ? { nick: value } : value ?? {};
      return fitted(`${shown}: ${argument}`, value, kind);
    };
    const wanted = ARGUMENTS[`${name}.${key}`];
    noneTooMany(shown, wanted.length, values);
    const given = wanted.map(whole);
    // The build ends with the next line, and does not know whose it was.
    if (!started) log.error(`${shown} is called here:\n${new Error().stack}`);
    const [first] = values;
    const made = () => ({ call: shown, argument: withoutQuery(first), stack: new Error().stack });
    // When the answer comes, nothing says any more who asked for it.
    if (AWAITED.includes(`${name}.${key}`)) return noticed(shown, inTurn(`${name}.${key}`, () => own(...given), made()));
    try {
      return own(...given);
    } catch (thrown) {
      throw typed(thrown, made());
    }
  };
  const known = {};
  return new Proxy(known, {
    get(_, key) {
      if (key === "then" || typeof key === "symbol") return undefined;
      if (!(key in calls)) throw missing(name, key, shownAs(key));
      if (!known[key]) {
        const made = call(key, calls[key]);
        known[key] = wrapped[key]?.(made, `${name}.${key}`) ?? made;
      }
      return known[key];
    },
  });
}

// The runtime ends a call of the host, and whatever was begun in it, when the call's own promise is kept, and it wakes a call
// only for what was begun in it. So each call here stays until all of that is done, and wakes by itself where it waits for what
// another call does, such as a queue that handlers share.
class Task {
  constructor() {
    this.pending = new Set();
    // Called when one of them has ended.
    this.wake = nothing;
    // How many times it rings for timers at the moment.
    this.rings = 0;
  }
}

// In which call of the host everything that runs now was woken.
let current = new Task();

// `isEndless`: nobody waits for its end to call again.
function waited(result, made, isEndless = false) {
  const task = current;
  const counts = isEndless ? 0 : 1;
  open += counts;
  const ends = (isRefused) => {
    current = task;
    open -= counts;
    if (!isRefused) nextTurn();
    task.pending.delete(done);
    task.wake();
  };
  const done = result.then(
    (value) => {
      ends(false);
      return value;
    },
    (thrown) => {
      const error = typed(thrown, made);
      ends(isRefusal(error));
      throw error;
    },
  );
  task.pending.add(done);
  return done;
}

// How many calls that end the host has not answered, and what makes those again, the oldest first, that it refused for being too many.
let open = 0;
const refused = [];
const isRefusal = (error) => error instanceof OverLimit && error.limit.endsWith(" open calls");

// How many calls are made at once. `Promise.all` of a thousand is more than the limit `open_calls`, and each of them takes memory. Those
// that may wait for ever, such as for a promise, have no turn that others could wait for.
const MOST_AT_ONCE = 128;
const ENDLESS = ["api.waitUntil", "dialogs.begin", "dialogs.beginInRoom", "dialogs.wait", "timers.sleep"];
// Those of them whose end nobody knows.
const UNSURE = ["api.waitUntil", "dialogs.wait"];
let atOnce = 0;
const queue = [];

// Makes a call when it is its turn, and again where the host refused it, once another one has ended: the owner may have set a lower
// limit. If no call is open that could end, the caller gets the refusal.
function inTurn(name, call, made) {
  const begin = (kept, broken) => {
    let result;
    try {
      result = call();
    } catch (thrown) {
      broken(typed(thrown, made));
      return;
    }
    waited(result, made, UNSURE.includes(name)).then(kept, (error) => {
      if (isRefusal(error) && open > 0) refused.push(() => begin(kept, broken));
      else broken(error);
    });
  };
  if (ENDLESS.includes(name)) return new Promise(begin);
  return new Promise((kept, broken) => {
    const turn = () => {
      atOnce++;
      const ends = (end) => (value) => {
        atOnce--;
        end(value);
        while (atOnce < MOST_AT_ONCE && queue.length > 0) queue.shift()();
      };
      begin(ends(kept), ends(broken));
    };
    if (atOnce < MOST_AT_ONCE) turn();
    else queue.push(turn);
  });
}

// Begins a call that waits, at once when another one has ended: the task may end with that one, and takes along all that it has begun.
function nextTurn() {
  refused.shift()?.();
  if (atOnce <= MOST_AT_ONCE) queue.shift()?.();
}

// The last ids of what was said: a handler may return one.
const ids = new Set();
const MOST_IDS = 100;

// A text, or all that a message may have; or what `outgoing` has made of that.
const asOutgoing = (message) => (typeof message === "object" && message !== null && "extensions" in message ? message : outgoing(message));

const identified = (send, by) => noticing(by, async (jid, message, ...others) => {
  const id = await send(jid, asOutgoing(message), ...others);
  if (ids.add(id).size > MOST_IDS) ids.delete(ids.values().next().value);
  return id;
});

// All that a call streams, and then the error that ended it, if one did. It asks once somebody reads, so that what nobody reads is
// not open; the runtime would close neither end by itself.
const streamed = (ask) => async function* (...values) {
  const [stream, ended] = await ask(...values);
  try {
    for (let next; !(next = await waited(stream.next())).done; ) yield next.value;
    const end = await waited(ended.read());
    if (end.tag === "err") throw typed(end.val);
  } finally {
    stream.drop();
    ended.drop();
  }
};

// A promise that knows whether somebody waits for it: this runtime says nothing of one that is broken and forgotten.
class Noticed extends Promise {
  static get [Symbol.species]() {
    return Promise;
  }

  // Called by `await` as well, since it is no plain promise.
  then(kept, broken) {
    this.isAwaited = true;
    return noticed(this.by, super.then(kept, broken));
  }
}

// Has the log say what became of a call whose promise breaks while nobody waits for it.
function noticed(by, promise) {
  Object.setPrototypeOf(promise, Noticed.prototype).by = by;
  const broken = async (error) => {
    // Code that waits for several of them, or passes one on, marks them as awaited soon after.
    for (let turn = 0; turn < 10 && !promise.isAwaited; turn++) await undefined;
    if (!promise.isAwaited) log.error(`${by} failed, and nobody waited for it:`, advised(error));
  };
  Promise.prototype.then.call(promise, nothing, broken);
  return promise;
}

// The same, of a function.
const noticing = (by, call) => (...values) => noticed(by, call(...values));

// The same, of an author's: parlor hands over each `async` function when it builds a plugin, with what the log may call it.
function watching(call, by) {
  const watched = function (...values) {
    return authors(by, call.apply(this, values));
  };
  for (const name of ["name", "length"]) Object.defineProperty(watched, name, { value: call[name], configurable: true });
  return watched;
}
watching.method = (owner, name, by) => {
  Object.defineProperty(owner, name, { ...Object.getOwnPropertyDescriptor(owner, name), value: watching(owner[name], by) });
};
watching.promise = (promise, by) => authors(by, promise);
watching.object = (owner, methods) => {
  for (const [name, by] of methods) watching.method(owner, name, by);
  return owner;
};
Object.defineProperty(globalThis, "__noticing", { value: watching });

function authors(by, promise) {
  return Object.assign(noticed(by, promise), { isAuthors: true });
}

// And of the promises that authors make by hand.
for (const name of ["all", "allSettled", "any", "race", "reject", "resolve", "try"]) {
  if (!(name in Promise)) continue;
  const own = Promise[name].bind(Promise);
  const made = (...values) => {
    const promise = own(...values);
    // `Promise.resolve` gives a promise as it is.
    return promise instanceof Noticed ? promise : authors(`Promise.${name} at ${place()}`, promise);
  };
  Object.defineProperty(Promise, name, { value: made });
}
if ("withResolvers" in Promise) {
  const own = Promise.withResolvers.bind(Promise);
  const value = () => {
    const made = own();
    authors(`Promise.withResolvers at ${place()}`, made.promise);
    return made;
  };
  Object.defineProperty(Promise, "withResolvers", { value });
}
globalThis.Promise = new Proxy(Promise, {
  construct(made, values, by) {
    const promise = Reflect.construct(made, values, by);
    return by === globalThis.Promise ? authors(`new Promise at ${place()}`, promise) : promise;
  },
});

// Runs what the host called for, to its end and that of all that began in it.
async function run(action) {
  const task = new Task();
  current = task;
  let outcome;
  const ended = action().then(
    (value) => (outcome = { value }),
    (error) => (outcome = { error }),
  );
  let pause = 5;
  const isDone = () => outcome && task.rings === 0;
  while (!isDone() || task.pending.size > 0) {
    // Code that was just woken may begin something else first.
    for (let turn = 0; turn < 20 && !isDone() && task.pending.size === 0; turn++) await undefined;
    if (isDone() && task.pending.size === 0) break;
    if (task.pending.size === 0) {
      // After it, no call that was refused would find more room.
      waited(timersCalls.sleep(pause), undefined, true).catch(nothing);
      pause = Math.min(pause * 2, 50);
    }
    // Not a race of all of them: each would remember every turn that it was waited for.
    await new Promise((woken) => (task.wake = woken));
    ringBeside(task);
  }
  await ended;
  if ("error" in outcome) throw outcome.error;
}

// An argument, or a part of one, as the contract has it. The runtime ends a plugin for what does not fit, without a word to its
// author.
const fitted = (place, value, [kind, of]) => FITTED[kind](place, value, of);

const FITTED = {
  any: (_, value) => value,
  address: (place, value) => FITTED.text(place, addressOf(place, value)),
  person: (place, value) => FITTED.text(place, personOf(place, value)),
  text(place, value) {
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Element) return String(value).toWellFormed();
    // A cut text may end in half a character, which the host does not take for text.
    return typeof value === "string" ? value.toWellFormed() : misfit(place, "a text", value);
  },
  number(place, value, most = Number.MAX_SAFE_INTEGER) {
    const number = typeof value === "bigint" ? Number(value) : value;
    if (!Number.isInteger(number) || number < 0) misfit(place, "a whole number from 0 on", value);
    return number <= most ? number : misfit(place, `${most} at most`, value);
  },
  flag(place, value) {
    return typeof (value ?? false) === "boolean" ? value ?? false : misfit(place, "true or false", value);
  },
  bytes: (place, value) => (value instanceof Uint8Array ? value : misfit(place, "a Uint8Array", value)),
  option: (place, value, of) => (value === undefined || value === null ? null : fitted(place, value, of)),
  list(place, value, of) {
    // A map in the place of pairs.
    if (of[0] === "tuple" && of[1].length === 2 && of[1][0][0] === "text" && !Array.isArray(value)) {
      if (value instanceof Map) value = [...value];
      else if (typeof value === "object" && value !== null) value = Object.entries(value);
      else misfit(place, "an object", value);
    }
    if (!Array.isArray(value)) misfit(place, "a list", value);
    return value.map((one, at) => fitted(`${place}[${at}]`, one, of));
  },
  tuple(place, value, of) {
    if (!Array.isArray(value) || value.length !== of.length) misfit(place, `a list of ${of.length}`, value);
    return value.map((one, at) => fitted(`${place}[${at}]`, one, of[at]));
  },
  record(place, value, of) {
    refuseOthers(place, value, Object.keys(of));
    const field = ([name, kind]) => {
      const given = value[name] ?? (kind[0] === "list" ? [] : undefined);
      return [name, fitted(`${place}.${name}`, given, kind)];
    };
    return Object.fromEntries(Object.entries(of).map(field));
  },
  variant(place, value, of) {
    value = plain(value, of);
    if (!Object.hasOwn(of, value?.tag)) misfit(place, `{ tag, val } with a tag of ${Object.keys(of).join(", ")}`, value);
    return of[value.tag] ? { tag: value.tag, val: fitted(`${place}.val`, value.val, of[value.tag]) } : { tag: value.tag };
  },
};

// A field of a room's configuration, as the contract has it; the fields of a form are texts.
function plain(value, of) {
  if (!("flag" in of && "text" in of && "texts" in of)) return value;
  if (typeof value === "boolean") return { tag: "flag", val: value };
  if (typeof value === "string") return { tag: "text", val: value };
  if (typeof value === "number" || typeof value === "bigint") return { tag: "text", val: String(value) };
  return Array.isArray(value) ? { tag: "texts", val: value } : value;
}

// A misspelled field would otherwise be ignored silently: a filter would let everything through.
function refuseOthers(place, value, names) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) misfit(place, "an object", value);
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other !== undefined) throw new TypeError(`${place} has no ${other}; it has ${names.join(", ")}`);
}

function misfit(place, what, value) {
  const is = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  throw new TypeError(`${place} has to be ${what}, and is ${is === "number" || is === "bigint" ? value : is}`);
}

// A value as JSON, which has no numbers that are not finite: JavaScript writes null in their place.
function asJson(place, value) {
  const text = JSON.stringify(value);
  if (text === undefined) misfit(place, "a value of JSON", value);
  if (text.includes("null")) JSON.stringify(value, finiteAt(place));
  return text;
}

// Refuses a number that is not finite, with its place: for JSON.stringify, which calls it with what a value is in as `this`.
function finiteAt(place) {
  const places = new Map();
  return function (name, value) {
    const around = places.get(this);
    const at = around === undefined ? place : around + (Array.isArray(this) ? `[${name}]` : `.${name}`);
    if (typeof value === "number" && !Number.isFinite(value)) misfit(at, "a finite number", value);
    if (typeof value === "object") places.set(value, at);
    return value;
  };
}

export const api = grouping("api", apiCalls);
export const archive = grouping("archive", archiveCalls, { queryAll: streamed });
// JSON on the way, JavaScript's own values here.
const valued = {
  getAttribute: (get) => (...values) => parsedOr(get(...values), undefined),
  setAttribute: (set, by) => (jid, name, value, ...others) => set(jid, name, asJson(`${by}: value`, value), ...others),
};
export const chats = grouping("chats", chatsCalls, { ...valued, send: identified });
export const chatviews = grouping("chatviews", chatviewsCalls);
export const commands = grouping("commands", commandsCalls);
export const connection = grouping("connection", connectionCalls);
export const contacts = grouping("contacts", contactsCalls, {
  get: (get) => (...values) => attributed(get(...values)),
  getMany: (get) => (...values) => get(...values).map(attributed),
  getAll: (get) => (...values) => get(...values).map(attributed),
  add: (add) => (...values) => add(...values).then(attributed),
});
export const disco = grouping("disco", discoCalls);
export const iq = grouping("iq", iqCalls);
export const listen = grouping("listen", listenCalls);
export const promises = grouping("promises", promisesCalls);
export const pubsub = grouping("pubsub", pubsubCalls);
export const rooms = grouping("rooms", roomsCalls, { ...valued, send: identified });
export const settings = grouping("settings", settingsCalls, {
  set: (set) => (name, ...values) =>
    typeof name === "object" && name !== null ? settings.setMany(name, ...values) : set(name, ...values),
  setMany: (set, by) => (values, ...others) => set(jsons(by, values), ...others),
  update: (update, by) => (values, ...others) => update(jsons(by, values), ...others),
});
// In seconds, as everything of the SDK's; what rings is the event `timer`.
const inMilliseconds = (call, by) => (seconds, ...others) => call(milliseconds(`${by}: seconds`, seconds), ...others);
export const timers = grouping("timers", timersCalls, { sleep: inMilliseconds, after: inMilliseconds, every: inMilliseconds });
export const tokens = grouping("tokens", tokensCalls);
export const user = grouping("user", userCalls);
// The result of `get` may be changed and handed in: the time when it was fetched cannot be set.
export const vcard = grouping("vcard", vcardCalls, {
  set: (set) => ({ vcardUpdated, ...data } = {}, ...others) => set(data, ...others),
});
const kept = grouping("storage", storageCalls);

// Settings as an object of values; pairs are of JSON texts already.
function jsons(call, values) {
  if (Array.isArray(values)) return values;
  if (typeof values !== "object" || values === null) misfit(`${call}: values`, "an object", values);
  const pairs = values instanceof Map ? [...values] : Object.entries(values);
  return pairs.map(([name, value]) => [name, asJson(`${call}: values.${name}`, value)]);
}

// A contact whose attributes are read by their names, as older programs do: `contact.get("chat_status")`. They may be spelled as any
// language spells them.
function attributed(contact) {
  if (!contact) return contact;
  const get = (name) => {
    const key = name === "id" ? "jid" : name.replace(/[_-](\w)/g, (_, letter) => letter.toUpperCase());
    return Object.keys(contact).includes(key) ? contact[key] ?? undefined : undefined;
  };
  // Beside its fields: it is written as JSON without it.
  return Object.defineProperty(contact, "get", { value: get });
}

// The log

// Names the call that failed, for an error of the host's.
function inCall({ call, argumentOfCall }) {
  if (call === undefined) return "";
  return ` (${call}${argumentOfCall === undefined ? "" : ` ${JSON.stringify(argumentOfCall)}`})`;
}

// A stack without the frames of this module, which are no author's to mend; all of it where it has no other.
function ownFrames(stack) {
  const frames = stack.split("\n").filter((frame) => frame.trim());
  const own = frames.filter((frame) => !/\bparlor:\d+/.test(frame) && !frame.endsWith("(native)"));
  return (own.length > 0 ? own : frames).join("\n");
}

function shown(value, around = []) {
  if (value instanceof Error) {
    const own = `${value.name}: ${value.message}${inCall(value)}\n${ownFrames(value.stack ?? "")}`.trimEnd();
    const causes = [value.cause, ...(Array.isArray(value.errors) ? value.errors : [])];
    // One may be caused by itself, and would never end.
    const known = [...around, value];
    const others = causes.filter((one) => one !== undefined && !known.includes(one));
    return [own, ...others.map((one) => shown(one, known))].join("\ncaused by ");
  }
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

const writes = (level) => (...values) => logCalls.write(level, values.map((one) => shown(one)).join(" ").toWellFormed());

export const log = {
  debug: writes("debug"),
  info: writes("info"),
  warn: writes("warn"),
  error: writes("error"),
  fatal: writes("fatal"),
};

// Output while the plugin is built is shown to the person who builds it.
globalThis.console = { ...log, log: log.info, trace: log.debug };

// Events

let started = false;
const waiting = [];
// Those that have not ended.
const subscriptions = new Set();
// The functions to call, by the host's number: handlers and timers.
const running = new Map();

// The author's line that calls us now. Files of the plugin's folder are named from there, and this one by its module's name.
const place = () => /\(\/([^)\n]+)\)/.exec(new Error().stack)?.[1] ?? "its top";

// Has an error say of what: the author's line that asked for it has returned long before.
function naming(what, error) {
  if (error instanceof Error) error.message = `${what}: ${error.message}`;
  return error;
}

// The warnings already given, and how many of them are remembered.
const warned = new Set();
const MOST_WARNED = 100;

// Warns once that a handler returns its answer, as those of other bots do. The result of one of our calls is no answer.
function unsaid(what, returned) {
  if (returned instanceof Noticed && !returned.isAuthors) return returned;
  if (typeof returned?.then === "function") return returned.then((value) => unsaid(what, value));
  if (typeof returned === "string" && returned !== "" && !ids.has(returned) && !warned.has(what) && warned.size < MOST_WARNED) {
    warned.add(what);
    log.warn(`${what} returned a text, which nobody says: use reply`);
  }
  return returned;
}

class Subscription {
  constructor(name, filter, handler, once) {
    Object.assign(this, { name, filter, handler, once, number: undefined, what: `on("${name}") at ${place()}` });
  }

  begin() {
    const filter = this.filter;
    const wanted = filter && {
      from: filter.from ?? null,
      room: filter.room ?? null,
      kind: Array.isArray(filter.kind) ? filter.kind.join(" ") : filter.kind ?? null,
      prefix: filter.prefix ?? null,
      webhook: filter.webhook ?? null,
      own: filter.own ?? false,
      delayed: filter.delayed ?? false,
      xml: filter.xml ?? false,
      schedule: filter.schedule ?? null,
    };
    this.number = listen[this.once ? "once" : "on"](this.name, wanted ?? null);
    running.set(key(this.number), (value, event, isMessage) => {
      if (this.once) this.forget();
      const returned = this.handler(value, event);
      return isMessage ? unsaid(this.what, returned) : returned;
    });
  }

  end() {
    const at = waiting.indexOf(this);
    if (at >= 0) waiting.splice(at, 1);
    if (this.forget()) quietly(() => listen.not(this.number));
  }

  forget() {
    subscriptions.delete(this);
    return this.number !== undefined && running.delete(key(this.number));
  }
}

const key = (number) => String(number);

// A subscription for one event may have ended by itself, with that event still on its way. Returns false then.
function quietly(end) {
  try {
    end();
    return true;
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    return false;
  }
}

const FILTER = ["from", "room", "kind", "prefix", "webhook", "schedule", "own", "delayed", "xml"];

function subscribe(name, filter, handler, once) {
  if (typeof filter === "function" && handler === undefined) [filter, handler] = [undefined, filter];
  if (filter !== undefined && filter !== null) refuseOthers(`listen.${once ? "once" : "on"}: filter`, filter, FILTER);
  if (typeof handler !== "function") throw new TypeError(`what listens to ${name} has to be a function`);
  const subscription = new Subscription(name, filter, handler, once);
  subscriptions.add(subscription);
  if (started) subscription.begin();
  else waiting.push(subscription);
  return subscription;
}

export const on = (name, filter, handler) => subscribe(name, filter, handler, false);
export const once = (name, filter, handler) => subscribe(name, filter, handler, true);

export function off(name, handler) {
  const meant = [...subscriptions].filter((one) => one.name === name && one.handler === handler);
  for (const subscription of meant) subscription.end();
  return meant.length > 0;
}

// Converts the payload of an event or a promise to a JavaScript value.
function value(payload) {
  if (payload.tag === "json") return JSON.parse(payload.val);
  if (payload.tag === "message") return dated(payload.val);
  if (payload.tag === "contact") return attributed(payload.val);
  if (payload.tag === "webhook") return new Webhook(payload.val);
  if (payload.tag === "schedule") return { ...payload.val, due: new Date(payload.val.due), late: Number(payload.val.late) / 1000 };
  if (payload.tag === "plugin-request") return { ...payload.val, value: JSON.parse(payload.val.value) };
  if (payload.tag === "hook") return { ...payload.val, message: dated(payload.val.message) };
  if (payload.tag === "undecryptable") return { ...payload.val, at: new Date(payload.val.at) };
  if (payload.tag === "command") {
    return { ...payload.val, rest: restOf(payload.val), message: dated(payload.val.message), values: valuesOf(payload.val) };
  }
  return payload.val;
}

// Returns the text after a command's name; the prefix is before the name, in the same word or in one of its own.
function restOf({ name, message }) {
  let rest = said(message).trim();
  for (let space; (space = rest.search(/\s/)) >= 0; ) {
    const word = rest.slice(0, space);
    rest = rest.slice(space).trimStart();
    if (word.toLowerCase().endsWith(name)) return rest;
  }
  return "";
}

// The values of a command's arguments by their names; a duration is in seconds, and a date and a time of day are texts.
function valuesOf({ values }) {
  const exact = (number) => (Number.isSafeInteger(Number(number)) ? Number(number) : number);
  const read = { integer: exact, duration: (time) => Number(time) / 1000 };
  return Object.fromEntries(values.map(([name, { tag, val }]) => [name, read[tag]?.(val) ?? val]));
}

// Functions of browsers and Node.js that plugins lack, and their replacements.
const ELSEWHERE = [
  [/\b(fetch|XMLHttpRequest|WebSocket|EventSource)\b/, "a plugin reaches no network by itself: the host makes requests, by `import { fetch } from \"parlor\"`"],
  [/\b(require|module|exports)\b/, "modules are imported: import { name } from \"./file.js\", and what npm has is bundled with the plugin"],
  [/\b(process|Deno|Bun|__dirname|__filename)\b/, "this is no Node.js: there are settings in the place of its environment, and storage in that of files"],
  [/\bBuffer\b/, "this is no Node.js: bytes are a Uint8Array"],
  [/\bURL(SearchParams)?\b/, "this is no browser: a regular expression splits an address, `query` of `fetch` writes a query, `decodeURIComponent` reads one, and `follow` of `fetch` follows redirects"],
  [/\bIntl\b/, "`schedules.format` writes a time for any zone"],
  [/\bAbort(Controller|Signal)\b/, "this is no browser: `fetch` takes a `timeout`, and `within` gives up a wait"],
  [/\bstructuredClone\b/, "this is no browser: JSON.parse(JSON.stringify(value)) copies a value"],
  [/\bcrypto\b/, "this is no browser: numbers of `Math.random` are good enough for dice, but not for secrets; `sha256` and `hmacSha256` are imported from \"parlor\""],
  [/\bHeaders\b/, "this is no browser: `fetch` takes headers as an object, or as pairs of a name and a value"],
  [/\b(FormData|Blob|ReadableStream)\b/, "this is no browser: `fetch` takes a form as `form`, and a body in parts as an async iterable"],
];

// The language says only that there is no such name.
function advised(error) {
  const missing = error instanceof ReferenceError && / is not defined$/.test(error.message);
  const found = missing && ELSEWHERE.find(([names]) => names.test(error.message));
  if (found) error.message += `: ${found[1]}; .parlor/docs/author/cannot.md says more`;
  return error;
}

const dated = (message) => ({ ...message, at: new Date(message.at), files: (message.extensions?.files ?? []).map(sized) });

// A file whose size is a number, as sums and JSON want it.
const sized = (file) => ({ ...file, size: byteCount(file.size) });
const byteCount = (size) => (size === undefined || size === null ? size : Number(size));

// Gives whether all went well.
async function dispatch(event) {
  let isDone = true;
  const carried = value(event.payload);
  const shownEvent = { name: event.name, at: new Date(event.at) };
  const handled = event.subscriptions.map(async (number) => {
    // It may have ended meanwhile.
    const handler = running.get(key(number));
    if (!handler) return;
    try {
      await handler(carried, shownEvent, event.payload.tag === "message");
    } catch (error) {
      const isNamed = ["command", "iq-request", "plugin-request", "webhook", "schedule"].includes(event.payload.tag);
      const name = isNamed ? `${event.name} ${carried.name}` : event.name;
      log.error(`a handler of ${name} failed:`, advised(error));
      isDone = false;
    }
  });
  // One that waits holds up none of the others.
  await Promise.all(handled);
  return isDone;
}

const starts = [];
// Before all of these, in their order: the last one of a name stays.
const commandsFirst = [];
const stops = [];
export const onStart = (handler) => void starts.push(handler);
export const onStop = (handler) => void stops.push(handler);

export function onReady(handler) {
  let waits = true;
  const ready = async () => {
    if (!waits) return;
    waits = false;
    again.end();
    await handler();
  };
  const look = async () => {
    if (connection.connected() && await waitUntil("initialized").then(() => true, () => false)) await ready();
  };
  once("initialized", ready);
  // If the event has come already, it does not come again. A plugin that starts during a cut is called when the connection is back.
  const again = on("reconnected", look);
  spawn(look);
}

export const onMention = (handler) => on("messageNotification", { kind: "groupchat" }, handler);

// A timer is a call of the host's of its own, so that what began it does not wait for it.
export function spawn(work) {
  const begin = () => void setTimeout(work, 0);
  if (started) begin();
  else starts.unshift(begin);
}

// By their names. Behind the one that the host has stand those that it has not answered yet.
const ownCommands = new Map();
let lastCommand = 0;
let hearsCommands = false;

// The host says the name without the plugin's id, and in small letters.
const shortName = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();

// The names of each command that is there when the plugin is built. The host refuses those that two have, too, but when it starts.
const namesAtBuild = new Map();

function shareNoName(name, aliases) {
  if (started) return;
  const short = shortName(name);
  const names = [short, ...(Array.isArray(aliases) ? aliases : []).map((one) => String(one).toLowerCase())];
  for (const [other, its] of namesAtBuild) {
    const shared = names.find((one) => other !== short && its.includes(one));
    if (shared !== undefined) {
      throw new TypeError(`command "${name}" and command "${other}" are both called "${shared}": leave it out of one of them`);
    }
  }
  namesAtBuild.set(short, names);
}

export function command(name, help, usage, handler) {
  const isDeclared = typeof help === "object" && help !== null;
  if (typeof usage === "function") [usage, handler] = ["", usage];
  if ([name, isDeclared ? "" : help, usage].some((one) => typeof one !== "string") || typeof handler !== "function") {
    throw new TypeError(`command "${name}": write command("name", "what it does", async (args, message) => …)`);
  }
  const what = `command "${name}" at ${place()}`;
  if (isDeclared) {
    const { wanted, given } = declared(name, help);
    shareNoName(name, wanted.aliases);
    return addCommand(name, () => commands.declare(wanted), (command) => handler(command, given(command.values)), what);
  }
  shareNoName(name, []);
  return addCommand(name, () => commands.add(name, help, usage), ({ args, message, rest }) => handler(args, message, rest), what);
}

// A span of time as people write it: each unit at most once, and a larger one before a smaller one.
const SPAN = /^(?=.)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/i;
const UNITS = [604_800, 86_400, 3_600, 60, 1];
const LONGEST_SPAN = 3_650 * 86_400;

const optionalText = (place, value) => (value === undefined ? undefined : FITTED.text(place, value));

// The value of a default for a handler: of a span of time its seconds, as if a person had written it.
const READ = {
  duration(place, value) {
    if (value === undefined) return undefined;
    const units = typeof value === "string" ? SPAN.exec(value)?.slice(1) : undefined;
    const seconds = units ? units.reduce((sum, count, at) => sum + Number(count ?? 0) * UNITS[at], 0) : value;
    const isSpan = typeof seconds === "number" && seconds >= 0 && seconds <= LONGEST_SPAN;
    return isSpan ? seconds : misfit(place, "seconds, or a time such as \"90s\", \"2h30m\", \"1d\" or \"1w\", and at most 10 years", value);
  },
  date: optionalText,
  time: optionalText,
  jid: optionalText,
};

// An argument: its kind, whether it is optional, and its default as a person would write it, or null if nobody could.
class Argument {
  constructor(kind, options = {}, written = String) {
    refuseOthers(`argument.${kind.tag}: options`, options, ["default", "help", "named", "optional", "page"]);
    const { help = "", named = false, optional = false, page = null } = options;
    const otherwise = READ[kind.tag]?.(`argument.${kind.tag}: default`, options.default) ?? options.default;
    const isLeftOut = otherwise !== undefined || optional || kind.tag === "flag";
    const text = otherwise === undefined ? null : written(otherwise);
    Object.assign(this, { kind, otherwise, help, named: named || kind.tag === "flag", optional: isLeftOut, default: text, page });
  }
}

// A number may be given without bounds, or without the upper one.
function bounded(tag, bounds, least, most, options) {
  if (typeof least === "object") [least, options] = [undefined, least];
  if (typeof most === "object") [most, options] = [undefined, most];
  return new Argument({ tag, val: [least ?? bounds[0], most ?? bounds[1]] }, options);
}

const plainly = (text) => (/^[^\s'"\\-][^\s'"\\]*$/u.test(text) ? text : null);
const inSeconds = (seconds) => (Number.isInteger(seconds) && seconds >= 0 ? `${seconds}s` : null);

export const argument = {
  text: (options) => new Argument({ tag: "text" }, options, plainly),
  integer: (...given) => bounded("integer", [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER], ...given),
  number: (...given) => bounded("number", [-Number.MAX_VALUE, Number.MAX_VALUE], ...given),
  duration: (options) => new Argument({ tag: "duration" }, options, inSeconds),
  // The host refuses a default that is no date, time or address.
  date: (options) => new Argument({ tag: "date" }, options),
  time: (options) => new Argument({ tag: "time" }, options),
  jid: (options) => new Argument({ tag: "jid" }, options),
  choice: (words, options) => new Argument({ tag: "choice", val: words }, options, plainly),
  flag: (options) => new Argument({ tag: "flag" }, options),
  rest: (options) => new Argument({ tag: "rest" }, options, plainly),
};

const DECLARED = ["aliases", "allow", "arguments", "help", "personCooldown", "place", "roomCooldown"];

// A declaration as the contract has it, and what makes a handler's values of those that the host read.
function declared(name, declaration) {
  const place = `command "${name}"`;
  refuseOthers(place, declaration, DECLARED);
  const { help = "", aliases = [], allow = [], personCooldown = 0, roomCooldown = 0 } = declaration;
  const all = Object.entries(declaration.arguments ?? {}).map(([key, one]) => {
    if (!(one instanceof Argument)) misfit(`${place}: arguments.${key}`, "made by argument, such as argument.text()", one);
    // People write `--dry-run` for `dryRun`.
    return { key, shown: key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`), one };
  });
  const wanted = {
    name, help, aliases, allow: allowed(`${place}: allow`, allow),
    arguments: all.map(({ shown, one: { kind, optional, default: text, named, help, page } }) => ({
      name: shown, kind, optional, default: text, named, help, page,
    })),
    personCooldown: milliseconds(`${place}: personCooldown`, personCooldown),
    roomCooldown: milliseconds(`${place}: roomCooldown`, roomCooldown),
    // The host knows which places there are.
    place: declaration.place === undefined ? null : FITTED.text(`${place}: place`, declaration.place),
  };
  const value = (values, { shown, one }) => values[shown] ?? one.otherwise ?? (one.kind.tag === "flag" ? false : undefined);
  return { wanted, given: (values) => Object.fromEntries(all.map((one) => [one.key, value(values, one)])) };
}

// People who may give a command, as the contract has them: of "owners", or { role: "moderator" }.
function allowed(place, groups) {
  if (!Array.isArray(groups)) misfit(place, "a list, such as [\"owners\", { role: \"moderator\" }]", groups);
  return groups.map((one, at) => {
    if (one === "contacts" || one === "owners") return { tag: one };
    const [[tag, val] = [], ...others] = typeof one === "object" && one !== null ? Object.entries(one) : [];
    if (!["affiliation", "group", "jid", "role"].includes(tag) || others.length > 0) {
      const shown = JSON.stringify(one) ?? typeof one;
      throw new TypeError(
        `${place}[${at}] has to be "contacts", "owners" or an object with one of affiliation, group, jid and role, such as { role: "moderator" }, and is ${shown}`,
      );
    }
    return { tag, val: tag === "jid" ? FITTED.address(`${place}[${at}].jid`, val) : FITTED.text(`${place}[${at}].${tag}`, val) };
  });
}

const addCommand = noticing("command", async (name, asking, handle, what) => {
  const add = async () => {
    if (!hearsCommands) {
      on("command", (given) => ownCommands.get(given.name)?.at(-1)?.answer(given));
      hearsCommands = true;
    }
    const short = shortName(name);
    const answer = (given) => unsaid(what, handle(given));
    const own = { number: ++lastCommand, answer };
    const keep = (stays) => ownCommands.set(short, ownCommands.get(short).filter(stays));
    // It may be given before this call has returned.
    ownCommands.set(short, [...(ownCommands.get(short) ?? []), own]);
    try {
      await asking();
    } catch (error) {
      keep((one) => one !== own);
      throw error;
    }
    // It has taken the place of those before it, whatever becomes of them.
    keep((one) => one.number >= own.number);
  };
  if (started) await add();
  else commandsFirst.push(() => add().catch((error) => Promise.reject(naming(what, error))));
});

// Timers

// Milliseconds are rounded up, so that a short time is not none, but not for the rounding error of a sum of times. Times that are longer
// than a number can count exactly are cut to that: they mean for ever.
const counted = (milliseconds) => Math.min(Math.max(0, Math.ceil(milliseconds - 1e-6)), Number.MAX_SAFE_INTEGER);

// The host counts in milliseconds.
const MOST_SECONDS = Number.MAX_SAFE_INTEGER / 1000;
function milliseconds(place, seconds) {
  const number = typeof seconds === "bigint" ? Number(seconds) : seconds;
  if (typeof number !== "number" || !(number >= 0)) misfit(place, "a number from 0 on", seconds);
  return number <= MOST_SECONDS ? counted(number * 1000) : misfit(place, `${MOST_SECONDS} at most`, seconds);
}

export const sleep = (seconds) => timers.sleep(typeof seconds === "number" ? Math.min(Math.max(0, seconds), MOST_SECONDS) : seconds);

// A plugin has few timers of the host's, and may want a thousand of its own: all of them hang on one, for the next that is due.
const pending = new Map();
let lastTimer = 0;
let alarm;

// A timer that is due later is looked at again then.
const LONGEST = 24 * 60 * 60 * 1000;

function timer(repeats, milliseconds, handler, values) {
  const wait = Math.max(repeats ? 10 : 0, Math.round(milliseconds ?? 0) || 0);
  const number = ++lastTimer;
  const one = { at: Infinity, wait, period: repeats ? wait : undefined, work: () => handler(...values) };
  // Timers that are set while the plugin is built begin with the plugin.
  if (started) begin(one);
  pending.set(number, one);
  return number;
}

function begin(one) {
  const now = performance.now();
  watch(now, now + one.wait);
  one.at = now + one.wait;
}

// Has the host ring when something is due, unless it does before that.
function watch(now, next) {
  const at = Math.min(next, now + LONGEST);
  if (alarm?.at <= at) return;
  const number = timers.after(Math.max(0, Math.ceil(at - now)) / 1000);
  if (alarm && running.delete(key(alarm.number))) quietly(() => timers.cancel(alarm.number));
  alarm = { at, number };
  running.set(key(number), ring);
}

async function ring() {
  // The host has waited for it, whatever the clock says.
  const now = Math.max(performance.now(), alarm.at);
  running.delete(key(alarm.number));
  alarm = undefined;
  const due = [...pending].filter(([, one]) => one.at <= now).sort(([, one], [, other]) => one.at - other.at);
  for (const [, one] of due) one.at = one.period === undefined ? Infinity : now + one.period;
  const rung = due.map(async ([number, one]) => {
    // Another one may have ended it.
    if (!pending.has(number)) return;
    if (one.period === undefined) pending.delete(number);
    try {
      await one.work();
    } catch (error) {
      log.error("a handler of timer failed:", advised(error));
    }
  });
  let next = Infinity;
  for (const { at } of pending.values()) next = Math.min(next, at);
  if (next < Infinity) watch(now, next);
  await Promise.all(rung);
}

// The host's timer is an event. None comes while handlers hold all places, of which some may wait for just that timer, and none while
// the plugin stops. So whoever is woken looks as well.
function ringBeside(task) {
  if (alarm === undefined || alarm.at > performance.now()) return;
  current = task;
  quietly(() => timers.cancel(alarm.number));
  task.rings++;
  ring()
    .catch((error) => log.error("a handler of timer failed:", error))
    .then(() => task.rings--);
}

export const setTimeout = (handler, milliseconds, ...values) => timer(false, milliseconds, handler, values);
export const setInterval = (handler, milliseconds, ...values) => timer(true, milliseconds, handler, values);
export const clearTimeout = (number) => void pending.delete(number);
export const clearInterval = clearTimeout;
Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });

// Functions that end the wait for a promise at the host, by promises for which that works. They return false if the result is on its way.
const givingUp = new WeakMap();

// The time-out is one of the plugin's own timers: a call of the host's that lost the race could not be taken back, and who began
// it would go on until it ends.
export const within = noticing("within", async (seconds, promise) => {
  let alarm;
  const late = new Promise((_, broken) => {
    alarm = setTimeout(() => {
      if (givingUp.get(promise)?.() !== false) broken(new TimedOut());
    }, seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(alarm);
  }
});

// Saying something

// The id by which replies and reactions know a message: in a room the room's, elsewhere the author's, which stays where a relay gives
// it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1).
export const reference = ({ kind, stanzaId, originId, id }) =>
  (kind === "groupchat" ? stanzaId : originId ?? id) ?? undefined;

function named(id, what) {
  if (!id) throw new Invalid({ name: "message", reason: `has no id that a ${what} could name` });
  return id;
}

// Outside of rooms a marker goes by the message's own id, whatever else the author calls it.
const markedId = ({ kind, stanzaId, id }) => named(kind === "groupchat" ? stanzaId : id, "marker");

// The body without what is only there for clients that lack something (XEP-0428).
export const bodyWithoutFallback = (message, feature = ns.reply) => bodyWithout(message, [feature]);

// The body without what stands there for a reply, for reactions or for a retraction, which plugins read beside it.
const said = (message) => bodyWithout(message, [ns.reply, ns.reactions, ns.retraction]);

function bodyWithout({ body, extensions }, features) {
  const meant = (extensions?.fallback ?? []).filter(({ feature }) => features.includes(feature ?? features[0]));
  const parts = meant.map(({ part }) => part ?? [0, Infinity]);
  return [...(body ?? "")].filter((_, at) => !parts.some(([start, end]) => start <= at && at < end)).join("");
}

function quotation(message) {
  const text = said(message).replace(/\r?\n$/, "");
  return text ? text.split(/\r?\n/).map((line) => `> ${line}\n`).join("") : "";
}

const WISH = [
  "body", "subject", "thread", "replyTo", "quote", "replace", "retract", "reactTo", "emojis", "receipt", "requestReceipt",
  "requestMarkers", "marker", "marked", "chatState", "files", "spoiler", "unstyled", "previews", "encryption",
];

// A missing message means that the author forgot to fetch it, or to wait for it.
function there(message) {
  if (message !== undefined && message !== null) return message;
  throw new Invalid({ name: "message", reason: `is ${message}; give a text, or an object of what it is to have` });
}

export function outgoing(wish) {
  there(wish);
  if (typeof wish !== "object") return outgoing({ body: wish });
  refuseOthers("message", wish, WISH);
  const replied = wish.replyTo && reference(wish.replyTo);
  const quoted = wish.quote && wish.replyTo ? quotation(wish.replyTo) : "";
  const { body, subject, thread, replyTo, replace, reactTo, emojis, receipt, requestReceipt, marker, marked, chatState } =
    wish;
  return {
    body: quoted ? quoted + (body ?? "") : body ?? null,
    subject: subject ?? null,
    thread: thread ?? null,
    extensions: {
      threadParent: null,
      reply: replied ? { id: replied, to: replyTo.from } : null,
      fallback: quoted ? [{ feature: ns.reply, part: [0, [...quoted].length] }] : [],
      replace: replace ?? null,
      retract: wish.retract ?? null,
      moderated: null,
      reactions: reactTo ? { id: named(reference(reactTo), "reaction"), emojis: emojis ?? [] } : null,
      receiptRequested: requestReceipt ?? false,
      receipt: receipt ?? null,
      markable: wish.requestMarkers ?? false,
      marker: marker ?? null,
      marked: marked && typeof marked === "object" ? markedId(marked) : marked ?? null,
      chatState: chatState ?? null,
      // They have no body, by which servers see what is worth keeping (XEP-0334).
      hints: reactTo || receipt || marker ? ["store"] : [],
      files: wish.files ?? [],
      unstyled: wish.unstyled ?? false,
      spoiler: wish.spoiler ?? null,
      previews: wish.previews ?? [],
    },
    encryption: wish.encryption ?? null,
  };
}

export const reply = noticing("reply", async (to, message) =>
  (to.kind === "groupchat" ? rooms : chats).send(to.chat, inThreadOf(to, message)));

export const replyInChat = noticing("replyInChat", async (to, message) =>
  chats.send(to.kind === "groupchat" ? to.from : to.chat, inThreadOf(to, message)));

// The older names.
export const send = (jid, message) => chats.send(jid, message);
export const say = (room, message) => rooms.send(room, message);

// In the form by which a command was given, else where it was written.
export const answer = noticing("answer", async ({ form, message }, text) => {
  await (typeof form === "string" ? commands.answer(form, text, false) : reply(message, text));
});

export const progress = noticing("progress", async ({ form }, text) => {
  if (typeof form === "string") await commands.answer(form, text, true);
});

// In the thread of what it answers.
function inThreadOf(to, message) {
  if (to.kind === "error") {
    throw new Invalid({ name: "message", reason: "an error must not be answered (RFC 6120, section 8.3.1)" });
  }
  const wish = typeof there(message) === "object" ? message : { body: message };
  return { ...wish, thread: wish.thread ?? to.thread ?? undefined };
}

export const acknowledge = noticing("acknowledge", async ({ id, from, kind, own, delayed, carbon, extensions }) => {
  // Everybody in a room would send one, and errors, history and copies are not answered.
  const may = kind !== "groupchat" && kind !== "error" && !own && !delayed && !carbon;
  return may && id && extensions?.receiptRequested ? send(from, { receipt: id }) : undefined;
});

export function occupantOf({ kind, chat, nick, occupantId }) {
  // A person who writes from a room to us alone has a chat of their own.
  const slash = kind === "groupchat" ? -1 : chat.indexOf("/");
  const [room, who] = slash < 0 ? [chat, kind === "groupchat" ? nick : undefined] : [chat.slice(0, slash), chat.slice(slash + 1)];
  if (!who) return undefined;
  // The author may have another nickname by now, and somebody else the old one.
  const isAuthor = (one) => !occupantId || !one.occupantId ? one.nick === who : one.occupantId === occupantId;
  const authors = rooms.occupants(room).filter(isAuthor);
  return authors.find((one) => one.nick === who) ?? authors[0];
}

// Markup (XEP-0393)

const SIGNS = "*_~`";
const FENCE = "```";
// An invisible character that is no white space: a sign behind it begins nothing.
const JOINER = "\u2060";

// Lines are styled each by itself, without the white space at their ends. Those with the sign in them are for `otherwise`.
const spans = (sign, otherwise) => (text) =>
  String(text).split("\n").map((line) => {
    const inside = line.trim();
    if (!inside || inside.includes(sign)) return otherwise(line);
    const start = line.length - line.trimStart().length;
    return line.slice(0, start) + sign + inside + sign + line.slice(start + inside.length);
  }).join("\n");

// A line break at the end of the text begins no line.
const eachLine = (text, change) => String(text).replace(/\n$/, "").split("\n").map(change).join("\n");

function escapeStyling(text) {
  let before = "\n";
  let escaped = "";
  for (const sign of String(text)) {
    const begins = SIGNS.includes(sign) && (/\s/.test(before) || SIGNS.includes(before));
    escaped += begins || (sign === ">" && before === "\n") ? JOINER + sign : sign;
    before = sign;
  }
  return escaped;
}

const asItIs = (line) => line;

export const styling = {
  bold: spans("*", asItIs),
  italic: spans("_", asItIs),
  strike: spans("~", asItIs),
  monospace: spans("`", escapeStyling),
  quote: (text) => eachLine(text, (line) => `> ${line}`),
  codeBlock: (text) => {
    // Such a line would end the block.
    const inside = eachLine(text, (line) => (line.trimStart().startsWith(FENCE) ? JOINER + line : line));
    return `${FENCE}\n${inside}\n${FENCE}`;
  },
  escape: escapeStyling,
};

// Moderation

// The letters and digits of Unicode 14.0: code points that are alphabetic (`-`), and numbers that are not (`+`). For each run of them: how
// many code points lie between it and the one before, the sign, and how many more than one it has. All numbers are to base 36, and a 0 at
// the end is left out. Later versions of Unicode have more, which are signs here: so the small letter of each of these is the same in
// every runtime. The other SDKs have the same table, and a test compares them.
const LETTERS = [
  "1c+9 7-p 6-p 1b- 7+1 1- 3+ 0- 1+2 1-m 1-u 1-cp 4-b e-4 7- 1- 2e- t-h 1-1 2-3 1- 6- 1-2 1- 1-j 1-2a 1-3u 8-4l",
  "1-11 2- 6-14 13-d 1- 1-1 1-1 1- 8-q 4-3 t-a 5-1j 1-6 0+9 4-2t 1-7 4-7 4-2 0+9 0-2 2- g-1b d-2s e+9 0-w 9-1",
  "4- 5-n 2-i j-o 7-a 5-n 1-5 h-15 a-b 3-6 6-23 1-f 1-2 4-e 2+9 1-i 1-7 2-1 2-l 1-6 1- 3-3 3-7 2-1 2-1 1- 8-",
  "4-1 1-4 2+9 0-1 2+5 2- 4-2 1-5 4-1 2-l 1-6 1-1 1-1 1-1 4-4 4-1 2-1 4- 7-3 1- 7+9 0-5 b-2 1-8 1-2 1-l 1-6 1-1",
  "1-4 3-8 1-2 1-1 3- f-3 2+9 9-3 4-2 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 9-1 4-1 1-4 2+9 1- 0+5 a-1 1-5 3-2",
  "1-3 3-1 1- 1-1 3-1 3-2 3-b 4-4 3-2 1-2 3- 6- e+c d-c 1-2 1-m 1-f 3-7 1-2 1-2 8-1 1-2 2- 2-3 2+9 8+6 1-3 1-7",
  "1-2 1-m 1-9 1-4 3-7 1-2 1-2 8-1 6-1 1-3 2+9 1-1 d-c 1-2 1-14 2-7 1-2 1-2 1- 5-3 0+6 0-4 2+i 1-5 1-2 1-h 3-n",
  "1-8 1- 2-6 8-5 1- 1-7 6+9 2-1 d-1l 5-6 6- 2+9 13-1 1- 1-4 1-n 1- 1-i 1-2 2-4 1- 6- 2+9 2-3 w- v+j c-7 1-z",
  "4-i 4-f 1-z 1v-1i 1- 2-4 0+9 6-1r 0+9 0-3 2-11 1- 5- 2-16 1-98 1-3 2-6 1- 1-3 2-14 1-3 2-w 1-3 2-6 1- 1-3",
  "2-e 1-1k 1-3 2-1u e+j 3-f g-2d 2-5 3-h7 2-g 1-p 5-22 3-a 7-j b-k c-j c-c 1-2 1-1 c-1f 2-i e- 4- 3+9 6+9 m+9",
  "6-2g 7-16 5-1x a-u 1-b 4-8 d+9 0-t 2-4 b-17 4-p 6+a 11-r 4-1q 2-j b+9 6+9 d- n-1 b-2 1d-1f 1-e 1-7 3+9 12-15",
  "2-3 0+9 0-17 1-a e-1i 9+9 3-2 0+9 0-z 2-8 7-16 2-2 15-3 1-5 1-1 3- 5-5b j-x b-7p 2-5 2-11 2-5 2-7 1- 1- 1-",
  "1-u 2-1g 1-6 1- 3-2 1-6 3-3 2-5 4-c 5-2 1-6 37+ 0- 2+5 5- 0+9 6-c 2t- 4- 2-9 1- 3-4 6- 1- 1- 1-3 1-a 2-3 5-4",
  "4- 1+f 0-14 0+ k6+1n q-1f 0+l hi+t vg-6c 6-3 3-1 9+ 2-11 1- 5- 2-1j 7- g-m 9-6 1-6 1-6 1-6 1-6 1-6 1-6 1-6",
  "1-v 1b- d1-2 p-8 7-4 2-4 4-2d 6-2 1-2h 1-3 5-16 1-2l 3+3 a-v 1c-f w+9 u+7 1+e w+9 13+e 8w-533 1s-h3g 1v-19",
  "2-7g 3-f 0+9 0-1 k-1a 5-7 3-34 13-8 2-2u 2-1r 5-1 1- 1-4 o-j 1-w 8+5 a-1f c-1v 1- a+9 o-5 3- 1-2 0+9 0-w 5-y",
  "d-s 3-1e 1-b f- 0+9 6-f 0+9 0-4 1-1i 9-d 2+9 6-m 3-1w 1- 1- o-2 2-f 2-3 b-5 2-5 2-5 9-6 1-6 1-16 1-d 6-3e",
  "5+9 6-8mb c-m 4-1c 6is-a5 2-2x 12-6 c-4 5-b 1-c 1-4 1- 1-1 1-1 1-2z x-a2 i-1r 2-1h 14-b 38-4 1-3q j+9 7-p",
  "6-p b-2g 3-5 2-5 2-5 2-2 z-b 1-p 1-i 1-1 1-e 2-d y-3e c+18 c-1g 0+3 h+1 6s-s 3-1c g+q 4-v 0+3 9-t 5-16 5-t",
  "2-z 4-7 1-4 16-4d 2+9 6-z 4-z 4-13 8-1f c-a 1-e 1-6 1-1 1-a 1-e 1-6 1-1 1v-8m 9-l a-7 o-5 1-15 1-8 1x-5 2-",
  "1-17 1-1 3- 2-m 2+7 0-m 2+6 0-u 8+8 1c-i 1-1 5+4 0-l 0+5 4-p 1y-1j 4+1 0-1 0+f 2+19 0-3 1-1 5-7 1-2 1-s a+8",
  "n-s 0+1 1-s 0+2 w-7 1-r 6+4 g-1h a-l 2+7 0-i 5+7 0-h n+6 28-20 1j-1e d-1e 7+5 0-13 8+9 86+u 1-15 1-1 3-1",
  "26-s 0+9 0- 8-l b+3 r-h 1a-k 0+6 k-m 9-1x c+t 1-4 a-1k 9- d-o 7+9 6-1e 3+9 4-3 8-y 3- 9-1r 1-3 9-1 0+9 0- 1-",
  "4+j b-h 1-x 2- 6- 1t-6 1- 1-3 1-e 1-9 7-1k 7+9 6-3 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 3- 6- 5-6 4c-1t 1-2",
  "1-3 5+9 5-2 u-1t 2-1 1- 8+9 4m-1h 2-6 p-5 y-1q 1- 3- b+9 12-1h 2- 7+9 1i-q 2-d 5+b 4-6 55-1k 2v-1r 0+i c-7",
  "2- 2-7 1-1 1-t 1-1 2-1 2-3 d+9 1y-7 2-19 2-5 1- 1-1 r-1e 2-9 h-1z 5- i-20 7b-8 1-18 1-6 1- f+s 5-t 2-l 1-d",
  "21-6 1-1 1-17 3- 1-1 1-2 1- 2-1 8+9 6-5 1-1 1-10 1-1 1-3 1- 7+9 8m-m 55- f+k 17-pl 2u-32 h-5f 218-2o f-tq",
  "34h-g6 6nt-fs 7-u 1+9 6-26 1+9 6-t i-1b g-3 c+9 1+6 1-k 5-i j4-1r 0+m 2x-22 4-1k 7-g 1s-1 1- c-1 e-4qf 8-yd",
  "16-8 6w7-3 1-6 1-1 1-82 19-2 h-3 8-az 1s4-2y 5-c 3-8 7-9 4- 4e9+j 30+o 3r-2c 1-1y 1-1 2- 2-1 2-3 1-b 1- 1-6",
  "1-1s 1-3 2-7 1-6 1-r 1-3 1-4 1- 3-6 1-9f 2-o 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-7 2+1d 1ds-u 69-6 1-g 2-6",
  "1-1 1-4 5x-18 a-6 2+9 4- 8x-t i-17 4+9 yu-6 1-3 1-1 1-e 1-5g 2+8 1c-1v 3- 3- 4+9 lz+1m 1+2 1+3 24+18 1+e",
  "5e-3 1-q 1-1 1- 2- 1-9 1-3 1- 1- 6- 4- 1- 1- 1-2 1-1 1- 2- 1- 1- 1- 1- 1-1 1- 2-3 1-6 1-3 1-3 1- 1-9 1-g 5-2",
  "1-4 1-g g4+c z-p 6-p 6-p 21y+9 sm-wyn w-37c 7-65 2-4g1 e-5rk 2e7-f1 15u-3t6",
];

// The rules of rooms and what they are applied to. Nothing here calls the host. The other SDKs have the same kit, and
// `tests/moderation/cases.json` holds all of them together. Each list has an upper bound, above which the oldest entry is forgotten.
export const moderation = (() => {
  const MAX_ROOMS = 32;
  const MAX_PEOPLE = 300;
  const MAX_MESSAGES = 200;
  const MAX_JOINS = 200;
  const MAX_SLOW = 200;
  // In bytes of UTF-8, as all lengths of texts here but the next one.
  const MAX_ID = 256;
  // Several people say shorter texts without any bad intent: "good morning". In characters.
  const SHORT = 14;
  const MAX_TEXT = 200;
  const MAX_TEXTS = 4;
  const MAX_KEY = 256;
  const MAX_NICK = 64;

  // White space, as Unicode has it (the property White_Space); \s has others.
  const SPACE = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
  // Characters that could disguise a nickname.
  const HIDING = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g;

  const RULES = {
    joins: 8, joinWindow: 30, messages: 0, messageWindow: 10, repeats: 3, crowdRepeats: 6, unreadable: 3, repeatWindow: 120, newcomer: 600,
  };
  const SAID = { id: null, texts: [], hasLink: false, isCommand: false, isUnreadable: false };

  // The table of letters, which only plugins that judge something read.
  let runs;
  function readRuns() {
    let behind = 0;
    return LETTERS.join(" ").split(" ").map((run) => {
      const isLetter = run.includes("-");
      const [gap, more] = run.split(isLetter ? "-" : "+");
      const first = behind + parseInt(gap, 36);
      const last = first + parseInt(more || "0", 36);
      behind = last + 1;
      return { first, last, isLetter };
    });
  }

  function runOf(sign) {
    runs ??= readRuns();
    const code = sign.codePointAt(0);
    let [low, high] = [0, runs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[middle].last < code) low = middle + 1;
      else high = middle;
    }
    return runs[low]?.first <= code ? runs[low] : undefined;
  }

  const isLetterOrDigit = (sign) => runOf(sign) !== undefined;
  const isLetter = (sign) => runOf(sign)?.isLetter ?? false;

  const bytes = (sign) => {
    const code = sign.codePointAt(0);
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  };

  function length(text) {
    let sum = 0;
    for (const sign of text) sum += bytes(sign);
    return sum;
  }

  // The part of a text that has at most so many bytes.
  function cut(text, most) {
    let [all, at] = [0, 0];
    for (const sign of text) {
      all += bytes(sign);
      if (all > most) return text.slice(0, at);
      at += sign.length;
    }
    return text;
  }

  // The characters of this kind. The rest can be long, and would be cut off.
  function kept(text, isKept) {
    const signs = [];
    for (const sign of text) {
      if (signs.length >= MAX_TEXT) break;
      if (isKept(sign)) signs.push(sign);
    }
    return signs;
  }

  // The letters and digits of a text, each in its small letter. If it has none, as with emojis, all but its spaces. Nothing else is
  // changed: a letter with an accent is not the same as that letter and an accent behind it, which is a sign.
  function normalized(text) {
    const letters = kept(text, isLetterOrDigit);
    // One by one: of a whole word, a sigma at the end is written in another way.
    const small = letters.map((letter) => letter.toLowerCase()).join("");
    return cut(small || kept(text, (sign) => !SPACE.test(sign)).join(""), MAX_TEXT);
  }

  const comparable = (texts) => [...texts].slice(0, MAX_TEXTS).map(normalized).filter((text) => text !== "");

  // An address without a scheme, such as `example.org/x`, which many clients show as a link. Without the slash it may be the name of a
  // file.
  function isBareAddress(word) {
    const slash = word.indexOf("/");
    const host = word.slice(0, Math.max(slash, 0));
    const dot = host.lastIndexOf(".");
    const [name, top] = [host.slice(0, Math.max(dot, 0)), [...host.slice(dot + 1)]];
    const isLabel = (label) => label !== "" && [...label].every((sign) => sign === "-" || isLetterOrDigit(sign));
    return dot >= 0 && top.length >= 2 && top.every(isLetter) && name.split(".").every(isLabel);
  }

  function isLink(word) {
    if (!word.includes(".") && !word.includes(":")) return false;
    const at = word.indexOf("://");
    if (at > 0 && word.length > at + 3 && /[0-9a-zA-Z]/.test(word[at - 1])) return true;
    let begin = 0;
    for (const sign of word) {
      if (isLetterOrDigit(sign)) break;
      begin += sign.length;
    }
    const begins = word.slice(begin);
    return /^(www\.|xmpp:|magnet:)/i.test(begins) || isBareAddress(begins);
  }

  const hasLink = (text) => text.split(SPACE).some(isLink);

  // SipHash-1-3 with a key of zeros, which is what Rust has for this. Nobody can easily make two names with one hash. In halves of
  // numbers of 64 bits: BigInt.asUintN(64, …) of QuickJS gives negative numbers.
  function siphash(data) {
    const upper = Int32Array.of(0x736f6d65, 0x646f7261, 0x6c796765, 0x74656462);
    const lower = Int32Array.of(0x70736575, 0x6e646f6d, 0x6e657261, 0x79746573);
    const add = (one, other) => {
      const sum = (lower[one] >>> 0) + (lower[other] >>> 0);
      lower[one] = sum;
      upper[one] += upper[other] + (sum > 0xffffffff ? 1 : 0);
    };
    const flip = (one, above, below) => {
      upper[one] ^= above;
      lower[one] ^= below;
    };
    const turn = (one, by) => {
      const [above, below] = [upper[one], lower[one]];
      upper[one] = (above << by) | (below >>> (32 - by));
      lower[one] = (below << by) | (above >>> (32 - by));
    };
    const swap = (one) => ([upper[one], lower[one]] = [lower[one], upper[one]]);
    const half = (one, other, by) => {
      add(one, other);
      turn(other, by);
      flip(other, upper[one], lower[one]);
    };
    const mix = () => {
      half(0, 1, 13);
      swap(0);
      half(2, 3, 16);
      half(0, 3, 21);
      half(2, 1, 17);
      swap(2);
    };
    const word = (at) => data.slice(at, at + 4).reduce((sum, byte, place) => sum | (byte << (8 * place)), 0);
    for (let at = 0; at <= data.length; at += 8) {
      // The last word has the length in its first byte.
      const last = at + 8 > data.length ? data.length << 24 : 0;
      const [above, below] = [word(at + 4) | last, word(at)];
      flip(3, above, below);
      mix();
      flip(0, above, below);
    }
    flip(2, 0, 0xff);
    for (let round = 0; round < 3; round++) mix();
    const hash = (halves) => (halves.reduce((sum, one) => sum ^ one, 0) >>> 0).toString(16).padStart(8, "0");
    return hash(upper) + hash(lower);
  }

  // The name by which a person is remembered. One that is too long is replaced by its hash.
  function keyOf(name) {
    if (length(name) <= MAX_KEY) return name;
    // A byte that is in no text ends it, as in Rust.
    return `${cut(name, MAX_NICK)}#${siphash([...encode(name.toWellFormed()), 0xff])}`;
  }

  const milliseconds = (seconds) => Math.round(seconds * 1000);
  const isOver = (count, most) => most > 0 && count > most;

  function time(now) {
    const at = Number(now);
    return Number.isFinite(at) ? at : misfit("now", "a Date", now);
  }

  function whole(rules) {
    refuseOthers("rules", rules ?? {}, Object.keys(RULES));
    return Object.fromEntries(Object.entries(RULES).map(([name, value]) => [name, rules?.[name] ?? value]));
  }

  // Whether a text stands before another one by their code points, which is not how JavaScript compares them.
  function isBefore(one, other) {
    let at = 0;
    while (at < one.length && one[at] === other[at]) at++;
    return (one.codePointAt(at) ?? -1) < (other.codePointAt(at) ?? -1);
  }

  // Makes room for one more in a map: without the entry that was seen first, and of several the first by name.
  function makeRoom(map, most) {
    if (map.size < most) return;
    let oldest;
    for (const [name, { seen }] of map) {
      const isFirst = !oldest || seen < oldest.seen || (seen === oldest.seen && isBefore(name, oldest.name));
      if (isFirst) oldest = { name, seen };
    }
    map.delete(oldest.name);
  }

  // The memory of one room.
  class Place {
    people = new Map();
    messages = [];
    joins = [];
    seen = 0;

    person(key, now) {
      if (!this.people.has(key)) {
        makeRoom(this.people, MAX_PEOPLE);
        this.people.set(key, { nick: "", isSpared: false, settled: undefined, first: undefined, allowed: undefined, seen: 0 });
      }
      return Object.assign(this.people.get(key), { seen: now });
    }

    // The messages within a window.
    recent(seconds, now) {
      const window = milliseconds(seconds);
      return this.messages.slice(this.messages.findLastIndex((one) => now - one.at >= window) + 1);
    }

    // Whether somebody sent too many messages, with this one.
    isFlood(rules, key, now) {
      const count = () => 1 + this.recent(rules.messageWindow, now).filter((one) => one.key === key).length;
      return rules.messages > 0 && isOver(count(), rules.messages);
    }

    // Whether this was said too often, with this message.
    isRepeated(rules, key, said, now) {
      const recent = this.recent(rules.repeatWindow, now);
      return said.texts.some((text) => {
        const isLong = [...text].length >= SHORT;
        const same = recent.filter((one) => one.texts.includes(text));
        const byOne = 1 + same.filter((one) => one.key === key).length;
        const isMeant = isLong || !said.isCommand;
        return isMeant && (isOver(byOne, rules.repeats) || (isLong && isOver(1 + same.length, rules.crowdRepeats)));
      });
    }

    // Whether somebody sent too many messages that cannot be read, with this one.
    isUnreadable(rules, key, said, now) {
      const count = () => 1 + this.recent(rules.repeatWindow, now).filter((one) => one.isUnreadable && one.key === key).length;
      return said.isUnreadable && isOver(count(), rules.unreadable);
    }
  }

  class Judge {
    #rooms = new Map();
    // The pauses of rooms in slow mode.
    #slow = new Map();

    #room(room, now) {
      if (!this.#rooms.has(room)) {
        makeRoom(this.#rooms, MAX_ROOMS);
        this.#rooms.set(room, new Place());
      }
      return Object.assign(this.#rooms.get(room), { seen: now });
    }

    #newest(room) {
      return (this.#rooms.get(room)?.messages ?? []).slice().reverse();
    }

    meet(room, key, nick, isSpared, now = new Date()) {
      const at = time(now);
      Object.assign(this.#room(room, at).person(key, at), { nick, isSpared });
    }

    absent(room, nick) {
      let last;
      for (const [key, person] of this.#rooms.get(room)?.people ?? []) {
        if (person.nick !== nick) continue;
        const { seen } = person;
        const isLast = !last || seen > last.seen || (seen === last.seen && isBefore(last.key, key));
        if (isLast) last = { key, isSpared: person.isSpared, seen };
      }
      return last && { key: last.key, isSpared: last.isSpared };
    }

    isSettled(room, key) {
      return this.#rooms.get(room)?.people.get(key)?.settled;
    }

    settle(room, key, isSettled, now = new Date()) {
      const at = time(now);
      this.#room(room, at).person(key, at).settled = isSettled;
    }

    join(rules, room, key, now = new Date()) {
      const { joins, joinWindow } = whole(rules);
      const [at, window] = [time(now), milliseconds(joinWindow)];
      const place = this.#room(room, at);
      // Somebody who comes again and again is no flood.
      const others = place.joins.filter((one) => at - one.at < window && one.key !== key);
      place.joins = [...others.slice(1 - MAX_JOINS), { key, at, isHandled: false }];
      if (!isOver(place.joins.length, joins)) return [];
      const handled = place.joins.filter((one) => !one.isHandled);
      for (const one of handled) one.isHandled = true;
      return handled.map((one) => one.key);
    }

    hear(rules, room, key, said, now = new Date()) {
      refuseOthers("said", said, Object.keys(SAID));
      const [wanted, heard, at] = [whole(rules), { ...SAID, ...said }, time(now)];
      const pause = this.#slow.get(room);
      const place = this.#room(room, at);
      const isFlood = place.isFlood(wanted, key, at);
      const isRepeated = place.isRepeated(wanted, key, heard, at);
      const isUnreadable = place.isUnreadable(wanted, key, heard, at);
      const person = place.person(key, at);
      const wasSettled = person.settled === true;
      if (!wasSettled) person.first ??= at;
      const isSettled = wasSettled || at - person.first >= milliseconds(wanted.newcomer);
      person.settled = isSettled;
      const isEarly = pause !== undefined && person.allowed !== undefined && at - person.allowed < pause;
      if (!isEarly) person.allowed = at;
      const id = typeof heard.id === "string" && length(heard.id) <= MAX_ID ? heard.id : undefined;
      if (place.messages.length >= MAX_MESSAGES) place.messages.shift();
      place.messages.push({ id, key, nick: person.nick, texts: [...heard.texts], isUnreadable: heard.isUnreadable, at });
      const hasSettled = isSettled && !wasSettled;
      if (isEarly) return { offence: "early", hasSettled, pause: pause / 1000 };
      if (heard.hasLink && !isSettled) return { offence: "link", hasSettled };
      if (heard.isUnreadable && !isSettled) return { offence: "sealed", hasSettled };
      return { offence: isUnreadable ? "unreadable" : isRepeated ? "repeat" : isFlood ? "flood" : undefined, hasSettled };
    }

    author(room, nick) {
      return this.#newest(room).find((one) => one.nick === nick)?.key;
    }

    messages(room, key, most) {
      const ids = this.#newest(room).filter((one) => one.key === key && one.id !== undefined).map((one) => one.id);
      return ids.slice(0, most);
    }

    retracted(room, id) {
      for (const one of this.#newest(room)) if (one.id === id) one.id = undefined;
    }

    slowDown(room, pause) {
      if (pause === undefined || pause === null) {
        this.#slow.delete(room);
        return true;
      }
      if (!this.#slow.has(room) && this.#slow.size >= MAX_SLOW) return false;
      this.#slow.set(room, milliseconds(pause));
      return true;
    }

    leave(room) {
      this.#rooms.delete(room);
    }
  }

  const Said = Object.freeze({
    text: (text) => ({ ...SAID, texts: comparable([text]), hasLink: hasLink(text) }),
    // Clients show any of several texts, so all of them count.
    of(message) {
      const body = message.body ?? "";
      // The quoted part of a reply counts only if there is no other text. Without a reply, or in lines that do not begin with `>`,
      // nothing is quoted: people with other clients see all of it.
      const unquoted = (text) => text.split("\n").filter((line) => !line.startsWith(">")).join("");
      const rest = message.extensions?.reply ? bodyWithoutFallback(message) : body;
      const own = unquoted(rest) === unquoted(body) ? rest : body;
      const others = (message.bodies ?? []).map(([, text]) => text).filter((text) => text !== body);
      return {
        ...SAID,
        id: message.stanzaId ?? null,
        texts: comparable([[...own].some((sign) => !SPACE.test(sign)) ? own : body, ...others]),
        hasLink: (message.extensions?.files ?? []).length > 0 || [body, ...others].some(hasLink),
        isCommand: (message.command ?? null) !== null,
      };
    },
    // Others may see a text in it.
    unreadable: (message) => ({ ...SAID, id: message.stanzaId ?? null, isUnreadable: true }),
  });

  return Object.freeze({
    MAX_MESSAGES,
    Judge,
    Said,
    comparable,
    hasLink,
    key: ({ occupantId, jid, nick }) => keyOf(occupantId ?? jid?.split("/", 1)[0] ?? nick),
    isSpared: ({ own, role, affiliation }) => own || role === "moderator" || ["member", "admin", "owner"].includes(affiliation),
    nick: (nick) => cut(nick.replace(HIDING, ""), MAX_NICK),
  });
})();

// Stanzas

export const ns = {
  client: "jabber:client",
  roster: "jabber:iq:roster",
  discoInfo: "http://jabber.org/protocol/disco#info",
  discoItems: "http://jabber.org/protocol/disco#items",
  form: "jabber:x:data",
  muc: "http://jabber.org/protocol/muc",
  mucUser: "http://jabber.org/protocol/muc#user",
  mucAdmin: "http://jabber.org/protocol/muc#admin",
  mucOwner: "http://jabber.org/protocol/muc#owner",
  vcard: "vcard-temp",
  pubsub: "http://jabber.org/protocol/pubsub",
  oob: "jabber:x:oob",
  chatStates: "http://jabber.org/protocol/chatstates",
  version: "jabber:iq:version",
  receipts: "urn:xmpp:receipts",
  ping: "urn:xmpp:ping",
  delay: "urn:xmpp:delay",
  attention: "urn:xmpp:attention:0",
  correction: "urn:xmpp:message-correct:0",
  archive: "urn:xmpp:mam:2",
  chatMarkers: "urn:xmpp:chat-markers:0",
  hints: "urn:xmpp:hints",
  stanzaId: "urn:xmpp:sid:0",
  retraction: "urn:xmpp:message-retract:1",
  reactions: "urn:xmpp:reactions:0",
  fallback: "urn:xmpp:fallback:0",
  reply: "urn:xmpp:reply:0",
};

// Unescaped, a parser makes a space or a line feed of the last three.
const ESCAPES = {
  "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;",
};
const ESCAPED = Object.fromEntries(Object.entries(ESCAPES).map(([sign, escaped]) => [escaped, sign]));

// A character that XML 1.0 cannot hold becomes U+FFFD.
export const escapeXml = (text) =>
  String(text).toWellFormed().replace(/[<>&"'\x00-\x1f\ufffe\uffff]/g, (sign) => ESCAPES[sign] ?? "\ufffd");

export class Element {
  constructor(...values) {
    noneTooMany("new Element, whose `ns`, `attr` and `child` give it the rest,", 1, values);
    const [name] = values;
    Object.assign(this, { name, namespace: undefined, attributes: Object.create(null), children: [] });
  }

  ns(namespace) {
    this.namespace = namespace;
    return this.attr("xmlns", namespace);
  }

  to(jid) {
    return this.attr("to", jid);
  }

  attr(name, value) {
    // Ids and addresses may be missing, and what is missing is not written.
    if (value === undefined || value === null) delete this.attributes[name];
    else this.attributes[name] = String(value);
    return this;
  }

  child(...children) {
    this.children.push(...children);
    return this;
  }

  text(text) {
    return this.child(String(text));
  }

  all(name, namespace) {
    const fits = (child) => child.name === name && (namespace === undefined || child.namespace === namespace);
    return this.children.filter((child) => child instanceof Element && fits(child));
  }

  find(name, namespace) {
    return this.all(name, namespace)[0];
  }

  get content() {
    return this.children.map((child) => (child instanceof Element ? child.content : child)).join("");
  }

  toString() {
    const attributes = Object.entries(this.attributes).map(([name, value]) => ` ${name}='${escapeXml(value)}'`);
    const inside = this.children.map((child) => (child instanceof Element ? String(child) : escapeXml(child)));
    const head = `<${this.name}${attributes.join("")}`;
    return inside.length === 0 ? `${head}/>` : `${head}>${inside.join("")}</${this.name}>`;
  }
}

export const stanza = {
  message: () => new Element("message"),
  presence: () => new Element("presence"),
  iq: (kind) => new Element("iq").attr("type", kind),
};

const TAG = /<(\/?)([^\s/>=]+)((?:\s+[^\s=/>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/gy;
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

function unescaped(text) {
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#([0-9]+)|\w+);/g, (sign, hexadecimal, decimal) => {
    const code = hexadecimal ? parseInt(hexadecimal, 16) : parseInt(decimal, 10);
    return Number.isNaN(code) ? ESCAPED[sign] ?? sign : String.fromCodePoint(Math.min(code, 0x10ffff));
  });
}

export function parseXml(xml) {
  const broken = (reason) => new Invalid({ name: "xml", reason });
  const text = xml instanceof Uint8Array ? utf8(xml, broken) : xml;
  const around = new Element("");
  const open = [around];
  TAG.lastIndex = 0;
  for (let at = 0; at < text.length; at = TAG.lastIndex) {
    const part = TAG.exec(text);
    if (!part) throw broken(`cannot be read at character ${at}`);
    const [, closes, name, attributes, isEmpty, between] = part;
    const inside = open[open.length - 1];
    if (between !== undefined) {
      if (inside !== around) inside.text(unescaped(between));
      else if (between.trim()) throw broken("has text outside of its element");
    } else if (closes) {
      if (inside === around || inside.name !== name) throw broken(`closes ${name}, which is not open`);
      open.pop();
    } else {
      const element = new Element(name);
      for (const [, key, double, single] of attributes.matchAll(ATTRIBUTE)) {
        element.attributes[key] = unescaped(double ?? single);
      }
      element.namespace = element.attributes.xmlns ?? inside.namespace;
      inside.child(element);
      if (!isEmpty) open.push(element);
    }
  }
  if (open.length > 1 || around.children.length !== 1) throw broken("is not one whole element");
  return around.children[0];
}

function utf8(bytes, broken) {
  try {
    return decode(bytes);
  } catch {
    throw broken("is no UTF-8");
  }
}

export const sendStanza = noticing("sendStanza", async (stanza) => api.send(String(stanza)));
export const ask = noticing("ask", async (iq) => parseXml(await api.sendIq(String(iq))));

// Settings, storage, events and promises: JSON on the way, JavaScript's own values here

function parsedOr(text, otherwise) {
  return text === null || text === undefined ? otherwise : JSON.parse(text);
}

export function setting(name, otherwise) {
  return parsedOr(settings.get(name), otherwise);
}

export function settingIn(room, name, otherwise) {
  return parsedOr(settings.getIn(room, name), otherwise);
}

export const setSetting = noticing("setSetting", async (name, value) => settings.set(name, asJson("settings.set: value", value)));
export const emit = noticing("emit", async (name, value) => api.emit(name, value === undefined ? null : asJson("emit: value", value)));
export const waitUntil = noticing("waitUntil", async (name) => value(await api.waitUntil(name)));
export const promise = noticing("promise", async (name) => promises.add(name));

// UTF-8, of which this runtime knows nothing else.
const encode = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (sign) => sign.charCodeAt(0));
const signs = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const decode = (bytes) => decodeURIComponent(escape(signs(bytes)));

// Text that others sent. Bytes that are no UTF-8 must not end the handler.
function asText(bytes) {
  try {
    return decode(bytes);
  } catch {
    return signs(bytes);
  }
}

// The bytes from 0x80 to 0x9f of windows-1252, as which the web also reads ISO-8859-1 (https://encoding.spec.whatwg.org/#names-and-labels).
const WINDOWS = "\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f"
  + "\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178";
const LABELS = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8"],
  "windows-1252": ["windows-1252", "cp1252", "iso-8859-1", "iso8859-1", "latin1", "l1", "us-ascii", "ascii"],
};
// A character in UTF-8, in the first group; or as many bytes as one U+FFFD stands for (Unicode 15, section 3.9).
const CUT = "[\\xc2-\\xdf]|\\xe0[\\xa0-\\xbf]?|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]?|\\xed[\\x80-\\x9f]?|\\xf0(?:[\\x90-\\xbf][\\x80-\\xbf]?)?"
  + "|[\\xf1-\\xf3][\\x80-\\xbf]{0,2}|\\xf4(?:[\\x80-\\x8f][\\x80-\\xbf]?)?";
const CHARACTER = "[\\x00-\\x7f]|[\\xc2-\\xdf][\\x80-\\xbf]|\\xe0[\\xa0-\\xbf][\\x80-\\xbf]|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}|\\xed[\\x80-\\x9f][\\x80-\\xbf]"
  + "|\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}|[\\xf1-\\xf3][\\x80-\\xbf]{3}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2}";
const CHARACTERS = new RegExp(`(${CHARACTER})|${CUT}|[\x80-\xff]`, "g");
const CUT_AT_END = new RegExp(`(?:${CUT})$`);

class TextDecoder {
  #rest = "";
  #hasBegun = false;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    const wanted = String(label).trim().toLowerCase();
    const encoding = Object.keys(LABELS).find((name) => LABELS[name].includes(wanted));
    if (encoding === undefined) throw new RangeError(`a plugin decodes ${Object.keys(LABELS).join(" and ")}, and not ${label}`);
    Object.assign(this, { encoding, fatal, ignoreBOM });
  }

  decode(input = new Uint8Array(), { stream = false } = {}) {
    const isPart = ArrayBuffer.isView(input);
    const bytes = isPart ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    if (this.encoding !== "utf-8") {
      return signs(bytes).replace(/[\x80-\x9f]/g, (sign) => WINDOWS[sign.charCodeAt(0) - 0x80]);
    }
    let read = this.#rest + signs(bytes);
    // A character may go on in the next part.
    const cut = stream ? CUT_AT_END.exec(read.slice(-3))?.[0] ?? "" : "";
    read = read.slice(0, read.length - cut.length);
    const hasBegun = this.#hasBegun;
    this.#rest = cut;
    this.#hasBegun = stream && (hasBegun || read !== "");
    const text = this.#text(read);
    return hasBegun || this.ignoreBOM ? text : text.replace(/^\uFEFF/, "");
  }

  #text(read) {
    try {
      return decodeURIComponent(escape(read));
    } catch {
      if (this.fatal) throw new TypeError("the bytes are no UTF-8");
      return read.replace(CHARACTERS, (all, character) => (character === undefined ? "\uFFFD" : decodeURIComponent(escape(all))));
    }
  }
}

class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    return encode(String(text).toWellFormed());
  }
}

Object.assign(globalThis, { TextDecoder, TextEncoder });

// SHA-256 (FIPS 180-4), which this runtime lacks. Its constants are the first 32 bits behind the point of roots of the first primes.
const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number++) if (PRIMES.every((prime) => number % prime !== 0)) PRIMES.push(number);
const behindPoint = (root) => Math.floor((root % 1) * 2 ** 32);
const ROUNDS = Uint32Array.from(PRIMES, (prime) => behindPoint(Math.cbrt(prime)));
const BEGIN = Uint32Array.from(PRIMES.slice(0, 8), (prime) => behindPoint(Math.sqrt(prime)));
const BLOCK = 64;
const turned = (word, by) => (word >>> by) | (word << (32 - by));

function mixed(state, words) {
  for (let at = 16; at < BLOCK; at++) {
    const [early, late] = [words[at - 15], words[at - 2]];
    words[at] = words[at - 16] + (turned(early, 7) ^ turned(early, 18) ^ (early >>> 3))
      + words[at - 7] + (turned(late, 17) ^ turned(late, 19) ^ (late >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let at = 0; at < BLOCK; at++) {
    const first = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[at] + words[at]) | 0;
    const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => void (state[at] += word));
}

function bytesOf(what, data) {
  if (typeof data === "string") return encode(data.toWellFormed());
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) misfit(what, "a text or bytes", data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

// Of several parts, as if they were one.
function digest(...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  // A bit behind the data, and its length in bits at the end.
  const padded = new Uint8Array(Math.ceil((length + 9) / BLOCK) * BLOCK);
  parts.reduce((at, part) => (padded.set(part, at), at + part.length), 0);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, length * 8);
  const [state, words] = [BEGIN.slice(), new Uint32Array(BLOCK)];
  for (let block = 0; block < padded.length; block += BLOCK) {
    for (let at = 0; at < 16; at++) words[at] = view.getUint32(block + 4 * at);
    mixed(state, words);
  }
  const bytes = new Uint8Array(32);
  state.forEach((word, at) => new DataView(bytes.buffer).setUint32(4 * at, word));
  return bytes;
}

export const sha256 = (data) => digest(bytesOf("sha256: data", data));

// RFC 2104.
export function hmacSha256(key, data) {
  const given = bytesOf("hmacSha256: key", key);
  const whole = new Uint8Array(BLOCK);
  whole.set(given.length > BLOCK ? digest(given) : given);
  const inner = digest(whole.map((byte) => byte ^ 0x36), bytesOf("hmacSha256: data", data));
  return digest(whole.map((byte) => byte ^ 0x5c), inner);
}

export const hex = (bytes) => Array.from(bytesOf("hex: bytes", bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Requests over the web, and from there

const web = grouping("http", httpCalls);
const posted = grouping("webhooks", webhooksCalls);
const verdicts = grouping("hooks", hooksCalls);
const transfers = grouping("files", filesCalls);
const others = grouping("plugins", pluginsCalls);
const asking = grouping("dialogs", dialogsCalls, {}, { begin: "ask", beginInRoom: "askInRoom" });

// Headers by their names. Of several with one name, the values are joined by a comma; those of `set-cookie` by a line feed, since a
// cookie may contain commas (RFC 6265, section 3).
function byName(headers) {
  const joined = Object.create(null);
  for (const { name, value } of headers) {
    const between = name === "set-cookie" ? "\n" : ", ";
    joined[name] = name in joined ? joined[name] + between + value : value;
  }
  return joined;
}

class FromWeb {
  constructor({ headers, body, ...others }) {
    Object.assign(this, others, { headers: byName(headers) });
    Object.defineProperty(this, "body", { value: body });
  }

  bytes() {
    return this.body;
  }

  text() {
    return asText(this.body);
  }

  json() {
    // Some servers write a byte order mark before JSON, which readers may ignore (RFC 8259, section 8.1).
    return JSON.parse(this.text().replace(/^\uFEFF/, ""));
  }
}

class WebResponse extends FromWeb {
  constructor(answer) {
    super(answer);
    this.ok = this.status < 400;
  }
}

class Webhook extends FromWeb {}

// A body that the host gives in parts, for `for await`: it ends with the loop, however that ends.
class Parts {
  #calls;
  #number;
  #isOver = false;

  constructor(calls, number, others) {
    this.#calls = calls;
    this.#number = number;
    Object.assign(this, others);
  }

  async *[Symbol.asyncIterator]() {
    try {
      while (!this.#isOver) {
        const part = (await this.#calls.read(this.#number)) ?? undefined;
        if (part === undefined) this.#isOver = true;
        else yield part;
      }
    } finally {
      this.close();
    }
  }

  bytes(most) {
    return noticed("bytes", this.#all(FITTED.number("bytes: most", most)));
  }

  text(most) {
    return noticed("text", this.#all(FITTED.number("text: most", most)).then(asText));
  }

  close() {
    if (this.#isOver) return;
    this.#isOver = true;
    quietly(() => this.#calls.close(this.#number));
  }

  async #all(most) {
    const parts = [];
    let size = 0;
    for await (const part of this) {
      size += part.length;
      if (size > most) throw new RangeError(`it has more than ${most} bytes`);
      parts.push(part);
    }
    return joinedBytes(parts);
  }
}

function joinedBytes(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const isInParts = (body) => typeof body?.[Symbol.asyncIterator] === "function";
const asBytes = (place, part) => (typeof part === "string" ? encode(part.toWellFormed()) : FITTED.bytes(place, part));

// How many bytes the host takes of a body at once.
const MOST_WRITTEN = 1 << 20;

// Sends a part of any size. Returns the error if the other side takes no more.
async function refusalOf(calls, number, bytes) {
  try {
    for (let at = 0; at < bytes.length; at += MOST_WRITTEN) await calls.write(number, bytes.slice(at, at + MOST_WRITTEN));
  } catch (error) {
    if (error instanceof Protocol) return error;
    throw error;
  }
}

// Sends parts, which may be of any size, and returns the result of `then`. If one fails, all is given up.
async function sent(place, calls, number, parts, then) {
  let refusal;
  try {
    for await (const part of parts) {
      refusal = await refusalOf(calls, number, asBytes(place, part));
      if (refusal) break;
    }
    // A server may answer before it has read everything, such as with 413: then the answer counts.
    return await then(number).catch((error) => {
      throw refusal ?? error;
    });
  } catch (error) {
    try {
      calls.close(number);
    } catch {
      // The first error is the one to tell.
    }
    throw error;
  }
}

// A form of fields and files, as browsers send it (RFC 7578).
function asForm(form) {
  const fields = form instanceof Map ? [...form] : Object.entries(form);
  const parts = fields.flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => formPart(name, one)));
  const draw = () => Math.random().toString(36).slice(2);
  let boundary;
  do boundary = `parlor-${draw()}${draw()}`;
  while (parts.some(({ head, content }) => head.includes(boundary) || hasBytes(content, encode(boundary))));
  const begin = (head) => encode(`--${boundary}\r\ncontent-disposition: form-data; ${head}\r\n\r\n`);
  const texts = parts.flatMap(({ head, content }) => [begin(head), content, encode("\r\n")]);
  const body = joinedBytes([...texts, encode(`--${boundary}--\r\n`)]);
  return { body, type: `multipart/form-data; boundary=${boundary}` };
}

function formPart(name, value) {
  const escaped = (text) =>
    String(text).toWellFormed().replace(/["\r\n]/g, (sign) => ({ '"': "%22", "\r": "%0D", "\n": "%0A" })[sign]);
  const head = `name="${escaped(name)}"`;
  if (typeof value !== "object" || value === null) return { head, content: encode(String(value).toWellFormed()) };
  refuseOthers(`fetch: form.${name}`, value, ["name", "type", "bytes"]);
  // A line end in the media type would begin another header.
  const type = String(value.type ?? "application/octet-stream").toWellFormed().replace(/[\r\n]+/g, " ");
  const content = asBytes(`fetch: form.${name}.bytes`, value.bytes);
  return { head: `${head}; filename="${escaped(value.name ?? name)}"\r\ncontent-type: ${type}`, content };
}

function hasBytes(bytes, wanted) {
  for (let at = bytes.indexOf(wanted[0]); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return true;
  }
  return false;
}

// The pairs of headers in each form that the Fetch standard takes (section 5.1): an object, or pairs, such as a `Headers` or a `Map` gives.
function headerPairs(call, headers) {
  const refused = (what) => new TypeError(`${call}: ${what} a name and a value`);
  if (typeof headers !== "object" || headers === null) throw refused("headers are an object, or pairs of");
  if (typeof headers[Symbol.iterator] !== "function") return Object.entries(headers);
  return [...headers].map((pair) => {
    if (Array.isArray(pair) && pair.length === 2) return pair;
    throw refused("each of headers is a pair of");
  });
}

// A text as a query and a form have it. Braces are encoded, too: a `{{name}}` of a person must not become a credential.
const formText = (text) =>
  encodeURIComponent(String(text).toWellFormed())
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");

// Fields as a query and a form have them (application/x-www-form-urlencoded of the URL standard). A list has several values of one field.
function formFields(place, fields) {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) misfit(place, "an object", fields);
  const pairs = fields instanceof Map ? [...fields] : Object.entries(fields);
  return pairs
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]))
    .filter(([, value]) => value !== undefined && value !== null)
    .map((pair) => pair.map(formText).join("="))
    .join("&");
}

// An address with more fields in its query. A client does not send the fragment, the part from the # on (RFC 3986, section 3.5).
function withQuery(url, query) {
  const fields = formFields("fetch: query", query);
  const [, address, fragment] = /^([^#]*)(.*)$/s.exec(url);
  return fields ? `${address}${address.includes("?") ? "&" : "?"}${fields}${fragment}` : url;
}

// The headers and the body of what is sent. `type`: that of a body that is a text.
function toWeb(call, { headers = {}, json, form, fields, body }, type) {
  const given = headerPairs(call, headers).map(([name, value]) => ({ name: String(name), value: String(value) }));
  const bodies = Object.entries({ json, form, fields, body }).filter(([, one]) => one !== undefined);
  if (bodies.length > 1) throw new TypeError(`${call} takes ${bodies.map(([name]) => name).join(" or ")}, not both`);
  if (json !== undefined) [body, type] = [asJson(`${call}: json`, json), "application/json"];
  else if (form !== undefined) ({ body, type } = asForm(form));
  else if (fields !== undefined) [body, type] = [formFields(`${call}: fields`, fields), "application/x-www-form-urlencoded"];
  else if (typeof body !== "string") type = undefined;
  if (type !== undefined && !given.some(({ name }) => name.toLowerCase() === "content-type")) {
    given.push({ name: "content-type", value: type });
  }
  return { headers: given, body: typeof body === "string" ? encode(body.toWellFormed()) : body };
}

const OPTIONS = ["method", "query", "headers", "body", "json", "form", "fields", "credentials", "follow", "timeout", "stream"];

export const fetch = noticing("fetch", async (url, options = {}) => {
  refuseOthers("fetch: options", options, OPTIONS);
  const { method = "GET", query = {}, credentials = [], follow = 0, timeout, stream = false } = options;
  const parts = isInParts(options.body) ? options.body : undefined;
  if (parts && !stream) throw new TypeError("fetch takes a body in parts only with stream: true");
  const { headers, body } = toWeb("fetch", parts ? { ...options, body: undefined } : options);
  const request = {
    method, url: withQuery(String(url), query), headers, body, credentials, follow,
    timeout: timeout === undefined ? undefined : Math.max(1, milliseconds("fetch: timeout", timeout)),
  };
  if (!stream) return new WebResponse(await web.fetch(request));
  // Without parts there is nothing to wait for: the body is whole, if only empty.
  if (!parts) request.body = body ?? new Uint8Array();
  const number = await web.open(request);
  return sent("fetch: body", web, number, parts ?? [], async () => {
    const head = await web.answer(number);
    const { status } = head;
    return { status, ok: status < 400, url: request.url, headers: byName(head.headers), body: new Parts(web, number) };
  });
});

export const files = {
  upload: noticing("files.upload", async (name, type, data, given) => {
    const options = typeof given === "object" && given !== null ? given : { size: given ?? undefined };
    refuseOthers("files.upload: options", options, ["size", "encrypted"]);
    const { size, encrypted = false } = options;
    const parts = isInParts(data) ? data : [asBytes("files.upload: data", data)];
    if (isInParts(data) && size === undefined) throw new TypeError("files.upload needs the size of data that comes in parts");
    const begin = encrypted ? transfers.uploadEncrypted : transfers.upload;
    const number = await begin(name, type, size ?? parts[0].length);
    return sent("files.upload: data", transfers, number, parts, async (uploaded) => sized(await transfers.finish(uploaded)));
  }),
  open: noticing("files.open", async (file) => {
    const { transfer, size, mediaType } = await transfers.open(typeof file === "object" ? file?.url : file);
    return new Parts(transfers, transfer, { size: byteCount(size) ?? undefined, type: mediaType ?? undefined });
  }),
};

const ANSWER = ["status", "headers", "body", "json"];

export const webhooks = {
  answer: noticing("webhooks.answer", async (hook, answer = {}) => {
    refuseOthers("webhooks.answer: answer", answer, ANSWER);
    const { headers, body = new Uint8Array() } = toWeb("webhooks.answer", answer, "text/plain; charset=utf-8");
    await posted.answer(hook.id, { status: answer.status ?? 200, headers, body });
  }),
  address: noticing("webhooks.address", async (name) => posted.address(name)),
  field(fields, name) {
    const pairs = (fields ?? "").split("&").filter((pair) => pair !== "").map((pair) => /^([^=]*)=?(.*)$/s.exec(pair));
    const found = pairs.find(([, key]) => formDecoded(key) === name);
    return found && formDecoded(found[2]);
  },
};

// A text of a query or a form. A `%` without two digits behind it stays.
const formDecoded = (text) =>
  text.replaceAll("+", " ").replace(/(?:%[0-9a-f]{2})+/gi, (signs) =>
    asText(Uint8Array.from(signs.slice(1).split("%"), (digits) => parseInt(digits, 16))));

// Schedules

const scheduling = grouping("schedules", schedulesCalls);

// How many missed due times are told, by the last argument of the calls that set a schedule.
function catchUpOf(call, options = {}) {
  refuseOthers(`schedules.${call}: options`, options, ["catchUp"]);
  return options.catchUp ?? 1;
}

function shownSchedule({ name, timing, catchUp, next, paused }) {
  const times = {
    every: (period) => ({ every: Number(period) / 1000 }),
    at: (time) => ({ at: new Date(time) }),
    cron: ([cron, zone]) => ({ cron, zone }),
  };
  return { name, ...times[timing.tag](timing.val), catchUp, next: next ? new Date(next) : undefined, paused };
}

export const schedules = {
  every: noticing("schedules.every", async (name, seconds, options) => {
    const period = milliseconds("schedules.every: seconds", seconds);
    return new Date(await scheduling.every(name, period, catchUpOf("every", options)));
  }),
  at: noticing("schedules.at", async (name, due, options) => scheduling.at(name, due, catchUpOf("at", options))),
  cron: noticing("schedules.cron", async (name, expression, zone, options) => {
    return new Date(await scheduling.cron(name, expression, zone, catchUpOf("cron", options)));
  }),
  list: noticing("schedules.list", async () => (await scheduling.list()).map(shownSchedule)),
  cancel: noticing("schedules.cancel", async (name) => scheduling.cancel(name)),
  toLocal: (moment, zone) => scheduling.toLocal(moment, zone),
  format: (moment, zone, pattern) => scheduling.format(moment, zone, pattern),
  parse: (text, zone) => new Date(scheduling.parse(text, zone)),
};

// A question as the host takes it.
function questionOf(call, text, options = {}) {
  refuseOthers(`${call}: options`, options, ["choices", "timeout"]);
  const timeout = options.timeout === undefined ? null : milliseconds(`${call}: timeout`, options.timeout);
  if (typeof options.choices === "string") misfit(`${call}: choices`, "a list", options.choices);
  return { text, choices: [...(options.choices ?? [])], timeout };
}

// Begins a question, and waits for its answer. A call of the host's that waits cannot be given up, and so it is told by the number of the
// question to end it.
function answered(call, to, begin) {
  const made = { call, argument: withoutQuery(to), stack: new Error().stack };
  let number;
  let isGivenUp = false;
  const end = () => number === undefined || quietly(() => asking.cancel(number));
  const answer = (async () => {
    number = await begin();
    // Perhaps it was given up before it was sent.
    if (isGivenUp) end();
    try {
      const { text, choice } = await asking.wait(number);
      return { text, choice: choice ?? undefined };
    } catch (error) {
      throw ofCall(error, made);
    }
  })();
  givingUp.set(answer, () => {
    const wasGivenUp = isGivenUp;
    isGivenUp = true;
    return wasGivenUp || end();
  });
  return answer;
}

const askSomebody = (to, text, options) =>
  answered("dialogs.ask", to, () => asking.begin(to, questionOf("dialogs.ask", text, options)));
const askOccupant = (room, nick, text, options) =>
  answered("dialogs.askInRoom", room, () => asking.beginInRoom(room, nick, questionOf("dialogs.askInRoom", text, options)));

export const dialogs = { ask: noticing("dialogs.ask", askSomebody), askInRoom: noticing("dialogs.askInRoom", askOccupant) };

export const askAuthor = noticing("askAuthor", ({ kind, chat, nick }, text, options) =>
  kind === "groupchat" ? askOccupant(chat, nick, text, options) : askSomebody(chat, text, options));

export const plugins = {
  call: noticing("plugins.call", async (plugin, name, value) =>
    JSON.parse(await others.call(plugin, name, asJson("plugins.call: value", value ?? null)))),
  answer: noticing("plugins.answer", async (request, value) =>
    others.answer(request.id, asJson("plugins.answer: value", value ?? null))),
  refuse: noticing("plugins.refuse", async (request, text) => others.refuse(request.id, text)),
};

// Gives what the handler of a hook returned.
async function judge(call, hook, verdict) {
  if (verdict === undefined || verdict === null) return verdicts.allow(hook.id);
  if (typeof verdict !== "object") misfit(`${call}: what the handler returns`, "nothing, or an object", verdict);
  refuseOthers(`${call}: what the handler returns`, verdict, ["body", "label", "stop", "subject"]);
  const { body, label, stop, subject } = verdict;
  if (stop !== undefined && stop !== false) return verdicts.stop(hook.id, stop === true ? null : stop);
  if (label !== undefined) return verdicts.mark(hook.id, label);
  if (body !== undefined || subject !== undefined) return verdicts.alter(hook.id, body ?? null, subject ?? null);
  return verdicts.allow(hook.id);
}

// Listens to the event of a hook.
const judging = (call, event) => (handler) => {
  if (typeof handler !== "function") throw new TypeError(`what ${call} is given has to be a function`);
  return on(event, async (hook) => judge(call, hook, await handler(hook)));
};

export const hooks = {
  outgoing: judging("hooks.outgoing", "hookOutgoing"),
  incoming: judging("hooks.incoming", "hookIncoming"),
  commands: judging("hooks.commands", "hookCommand"),
  allow: noticing("hooks.allow", async (hook) => verdicts.allow(hook.id)),
  alter: noticing("hooks.alter", async (hook, texts = {}) => {
    refuseOthers("hooks.alter: texts", texts, ["body", "subject"]);
    await verdicts.alter(hook.id, texts.body ?? null, texts.subject ?? null);
  }),
  stop: noticing("hooks.stop", async (hook, reason) => verdicts.stop(hook.id, reason ?? null)),
  mark: noticing("hooks.mark", async (hook, label) => verdicts.mark(hook.id, label)),
};

// How long a value is kept.
function lasting(call, options = {}) {
  refuseOthers(`storage.${call}: options`, options, ["expires"]);
  return options.expires === undefined || options.expires === null ? null : Math.max(1, counted(options.expires * 1000));
}

// A value as it is kept.
const written = (call, value) => encode(asJson(`storage.${call}: value`, value));

// Whether what is kept reads as the same. It may have been written in another way: by an earlier version, or in another language.
function isSame(present, expected) {
  const inOrder = ([name], [other]) => (name < other ? -1 : 1);
  const sorted = (_, value) =>
    value && typeof value === "object" && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(inOrder)) : value;
  const meant = (bytes) => JSON.stringify(JSON.parse(decode(bytes), sorted));
  try {
    return meant(present) === meant(expected);
  } catch {
    // Bytes that are no JSON read as nothing that is expected.
    return false;
  }
}

// The host counts in 64 bits, and JavaScript in 53.
function whole(call, amount) {
  const number = typeof amount === "bigint" ? Number(amount) : amount, most = Number.MAX_SAFE_INTEGER;
  if (!Number.isInteger(number)) misfit(`storage.${call}: amount`, "a whole number", amount);
  return Number.isSafeInteger(number) ? number : misfit(`storage.${call}: amount`, `from -${most} to ${most}`, amount);
}

class Changes {
  #changes = [];

  set(key, value, options) {
    return this.setBytes(key, written("changes.set", value), options);
  }

  setBytes(key, value, options) {
    return this.#with("set", { key, value, expires: lasting("changes.set", options) });
  }

  add(key, amount = 1, options) {
    return this.#with("add", { key, amount: whole("changes.add", amount), expires: lasting("changes.add", options) });
  }

  delete(key) {
    return this.#with("delete", key);
  }

  expect(key, value) {
    return this.expectBytes(key, writtenOrNothing("changes.expect", value));
  }

  expectBytes(key, value) {
    return this.#with("expect", [key, value ?? null]);
  }

  make() {
    return kept.change(this.#changes);
  }

  #with(tag, val) {
    this.#changes.push({ tag, val });
    return this;
  }
}

const writtenOrNothing = (call, value) => (value === undefined ? null : written(call, value));

const stores = {
  async get(name, otherwise) {
    const bytes = await kept.get(name);
    return bytes === null || bytes === undefined ? otherwise : JSON.parse(decode(bytes));
  },
  set: async (name, value, options) => kept.set(name, written("set", value), lasting("set", options)),
  getBytes: async (name) => (await kept.get(name)) ?? undefined,
  setBytes: async (name, value, options) => kept.set(name, value, lasting("setBytes", options)),
  delete: async (name) => kept.delete(name),
  page: async (prefix = "", after, limit = 1000) => kept.list(prefix, after ?? null, limit),
  async compareAndSet(name, expected, value, options) {
    const [before, after] = [expected, value].map((one) => writtenOrNothing("compareAndSet", one));
    const expires = lasting("compareAndSet", options);
    if (before === null) return kept.compareAndSet(name, null, after, expires);
    const present = (await kept.get(name)) ?? null;
    return present !== null && isSame(present, before) && kept.compareAndSet(name, present, after, expires);
  },
  async change(name, change, options) {
    const expires = lasting("change", options);
    for (;;) {
      const before = await stores.getBytes(name);
      const value = await change(before && JSON.parse(decode(before)));
      // With what was read, however that was written.
      const after = writtenOrNothing("change", value);
      if (await kept.compareAndSet(name, before, after, expires)) return value;
    }
  },
  async keys(prefix = "") {
    const keys = [];
    await everyPage((after) => kept.list(prefix, after, 1000), (page) => keys.push(...page.keys));
    return keys;
  },
  async entries(prefix = "") {
    const entries = [];
    const take = (page) => entries.push(...page.entries.map(({ key, value }) => [key, JSON.parse(decode(value))]));
    await everyPage((after) => kept.entries(prefix, after, 1000), take);
    return entries;
  },
  async range(prefix = "", options = {}) {
    refuseOthers("storage.range: options", options, ["from", "to", "descending", "limit"]);
    const { from = null, to = null, descending = false } = options;
    const most = options.limit ?? Infinity;
    const limit = most === Infinity ? most : FITTED.number("storage.range: limit", most);
    const entries = [];
    for (let after = null; after !== undefined && entries.length < limit; ) {
      const page = await kept.range({ prefix, from, to, descending }, after, Math.min(1000, limit - entries.length));
      entries.push(...page.entries.map(({ key, value }) => [key, JSON.parse(decode(value))]));
      after = page.next ?? undefined;
    }
    return entries;
  },
  async add(name, amount = 1, options) {
    return Number(await kept.add({ key: name, amount: whole("add", amount), expires: lasting("add", options) }));
  },
  async migrate(name, steps) {
    for (;;) {
      const before = await stores.getBytes(name);
      const version = before === undefined ? 0 : JSON.parse(decode(before));
      if (!Number.isInteger(version) || version < 0 || version > steps.length) {
        throw new RangeError(`${name}: the data is of version ${JSON.stringify(version)}, and this plugin knows ${steps.length}`);
      }
      if (version === steps.length) return;
      const changes = new Changes();
      await steps[version](changes);
      const isMade = await changes.expectBytes(name, before).set(name, version + 1).make();
      // Another handler may have done the same.
      if (!isMade && (await stores.get(name, 0)) === version) {
        throw new RangeError(`${name}: the data of version ${version} is not as its step expects`);
      }
    }
  },
  async entriesPage(prefix = "", after, limit = 1000) {
    const page = await kept.entries(prefix, after ?? null, limit);
    return { entries: page.entries.map(({ key, value }) => [key, value]), next: page.next ?? null };
  },
};

async function everyPage(ask, take) {
  for (let after = null; after !== undefined; ) {
    const page = await ask(after);
    take(page);
    after = page.next ?? undefined;
  }
}

export const storage = {
  ...Object.fromEntries(Object.entries(stores).map(([name, call]) => [name, noticing(`storage.${name}`, call)])),
  changes: () => new Changes(),
};

// The runtime draws its seed of Math.random when the plugin is built: each start would draw the same numbers. This one begins
// with the time and the account (sfc32, of PractRand). Like any Math.random, it keeps no secret.
function drawAnew() {
  let [a, b, c, d] = [Date.now() | 0, (Date.now() / 2 ** 32) | 0, 0, 1];
  for (const letter of userCalls.jid()) c = (Math.imul(c, 31) + letter.codePointAt(0)) | 0;
  Math.random = () => {
    const drawn = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + drawn) | 0;
    return (drawn >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 16; round++) Math.random();
}

// The functions that the host calls

function beginFirst(subscription) {
  try {
    subscription.begin();
  } catch (error) {
    throw naming(subscription.what, error);
  }
}

const TOO_EARLY = "a plugin starts before its account is logged in; wait for `initialized`, or use onReady";

export const guest = {
  async initialize() {
    started = true;
    drawAnew();
    try {
      await run(async () => {
        while (waiting.length > 0) beginFirst(waiting.shift());
        for (const one of pending.values()) begin(one);
        for (const start of [...commandsFirst, ...starts]) await start();
      });
    } catch (error) {
      log.error("it does not start:", advised(error));
      const early = error instanceof Offline ? `: ${TOO_EARLY}` : "";
      throw `${error?.name ?? "Error"}: ${error?.message ?? error}${early}`.toWellFormed();
    }
  },
  async handleEvent(event) {
    let isDone;
    await run(async () => void (isDone = await dispatch(event)));
    // The log has said why.
    if (!isDone) throw undefined;
  },
  async stop() {
    await run(async () => {
      for (const stop of stops) {
        try {
          await stop();
        } catch (error) {
          log.error("a handler of stop failed:", advised(error));
        }
      }
    });
  },
};
