/**
 * Plugins for parlor, a host for XMPP bots, in JavaScript and TypeScript.
 *
 *     import { on, reply } from "parlor";
 *
 *     on("message", { kind: "chat" }, async (message) => {
 *       if (message.body && !message.carbon && !message.command) await reply(message, `you said: ${message.body}`);
 *     });
 *
 * Wait for what gives a promise, by `await` or by giving it back: what became of it is the handler's then. A promise that fails
 * while nobody waits for it is written to the log as an error, with its stack: `people.forEach(async …)` waits for none,
 * `await Promise.all(people.map(async …))` for all.
 *
 * Beside it stands `plugin.toml`, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both.
 *
 * Calls that are not wrapped here have the contract's own names: `contacts.get(jid)`, `await rooms.open(jid, attributes)`.
 * A call whose permission `plugin.toml` does not ask for throws `NotDeclared`. An unknown field, such as a misspelled one of a
 * filter, is a `TypeError`. `Promise.all` works, and `setTimeout` is the host's clock.
 */
import * as contract from "./contract.js";

export type * from "./contract.js";
export {
  api, archive, chatviews, commands, connection, contacts, disco, iq, listen, promises, pubsub, settings, tokens, user, vcard,
} from "./contract.js";

/** A message as it came, with the files that it refers to. */
export type Message = Omit<contract.Message, "at"> & { at: Date; files: contract.File[] };
/** An encrypted message that the host cannot decrypt. */
export type Undecryptable = Omit<contract.Undecryptable, "at"> & { at: Date };
/** One whose time may be a text, such as those of the archive. */
export type Said = Omit<contract.Message, "at">;
/**
 * A message that the host read as one of this plugin's commands. `rest` is what stands behind its name, as it was written, and `values`
 * has the arguments that the host read, by the names that people write; durations are in seconds, and dates and times of day are texts.
 */
export type Command = Omit<contract.Command, "message" | "values"> & {
  message: Message; rest: string; values: Record<string, string | number | boolean>;
};

/** The payloads of the host's events, by the events' names. Events of plugins carry any JSON. */
export type Events = {
  [Name in keyof contract.Events]: contract.Events[Name] extends contract.Message ? Message
    : contract.Events[Name] extends contract.Command ? Command
    : contract.Events[Name] extends contract.Webhook ? Webhook
    : contract.Events[Name] extends contract.DueTime ? DueTime
    : contract.Events[Name] extends contract.PluginRequest ? PluginRequest
    : contract.Events[Name] extends contract.Hook ? Hook
    : contract.Events[Name] extends contract.Undecryptable ? Undecryptable
    : contract.Events[Name];
};

export interface Event {
  name: string;
  at: Date;
}

/** Selects events. Those left out never wake the plugin: own messages and history unless asked for, and all that does not match. */
export interface Filter {
  /** The sender, occupant or contact: a bare JID also stands for its full ones. */
  from?: contract.Address;
  room?: contract.Address;
  /** Of messages; several, and any of them will do. */
  kind?: contract.Kind | readonly contract.Kind[];
  /**
   * How a message's body begins, or what is left of it without what a reply quotes and the white space behind that: so cut it off
   * what `bodyWithoutFallback` gives, trimmed.
   */
  prefix?: string;
  /** Of requests to webhooks: the name of one in the manifest. */
  webhook?: string;
  /** Of due times: the name of a schedule. */
  schedule?: string;
  own?: boolean;
  delayed?: boolean;
  /** Give the whole stanza with a message; needs `stanza.read`. */
  xml?: boolean;
}

export interface Subscription {
  /** Ends it. Handlers that have begun go on to their end. */
  end(): void;
}

/**
 * Events that plugins fire, by their names, with what they carry. Say which ones yours hears:
 *
 *     declare module "parlor" { interface OwnEvents { libraryOpen: { books: number } } }
 */
export interface OwnEvents {}

/** Every name that `on` knows: a slip is an error of the compiler. */
export type EventName = keyof Events | keyof OwnEvents;
type Carried<Name> = Name extends keyof Events ? Events[Name] : Name extends keyof OwnEvents ? OwnEvents[Name] : never;
type Handler<Name> = (carried: Carried<Name>, event: Event) => unknown;

/**
 * Has a function called at each event of this name that the filter lets through. Most events need a grant. One that throws is
 * written to the log with its stack, and the plugin goes on. Handlers may overlap while they wait.
 */
export function on<Name extends EventName>(name: Name, handler: Handler<Name>): Subscription;
export function on<Name extends EventName>(name: Name, filter: Filter, handler: Handler<Name>): Subscription;
/** The same, at the next one only. */
export function once<Name extends EventName>(name: Name, handler: Handler<Name>): Subscription;
export function once<Name extends EventName>(name: Name, filter: Filter, handler: Handler<Name>): Subscription;
/** Ends this function's subscriptions to this name; returns whether there were any. Handlers that have begun go on to their end. */
export function off<Name extends EventName>(name: Name, handler: Handler<Name>): boolean;

/** Called once, when the plugin starts. One that throws refuses the start. */
export function onStart(handler: () => unknown): void;
/** Called once, when the plugin is told to stop. It has two seconds. One that throws is written to the log. */
export function onStop(handler: () => unknown): void;

/**
 * Called once, when the account is logged in and all that follows is done: the moment to send and to enter rooms, for which
 * `onStart` is too early. If the plugin starts after that moment, it is called at once. Free.
 */
export function onReady(handler: () => unknown): void;
/** Called at each message in a room that names our nickname there. Needs `messages.read` for the room. */
export function onMention(handler: Handler<"message">): Subscription;
/**
 * Lets work go on by itself, beyond the handler that began it. Work that a handler or `onStart` begins without `spawn` is part of
 * it, and it ends only when that work has ended. Spawned work takes the place of a handler (the limit `handlers`) until it ends, and
 * an end of the plugin waits for it as long as it may. For work that lasts as long as the plugin, use `setInterval`.
 */
export function spawn(work: () => unknown): void;

/**
 * Adds a command that people give, such as `!weather Verona`. Free. `args` are its words, what stood in quotes being one; `rest`
 * is all that stands behind its name, as it was written. One of this name that is there already is replaced, unless this fails.
 * The function's return value is not sent: answer by `reply`.
 */
export function command(
  name: string, help: string, handler: (args: string[], message: Message, rest: string) => unknown,
): Promise<void>;
export function command(
  name: string, help: string, usage: string,
  handler: (args: string[], message: Message, rest: string) => unknown,
): Promise<void>;

/**
 * Adds a command whose arguments the host reads. It answers a wrong one with the usage, which it makes from them. The names of the
 * arguments have `-` for people: `dryRun` is `--dry-run`.
 *
 *     command("roll", {
 *       help: "Rolls dice",
 *       arguments: { count: argument.integer(1, 100, { default: 1 }), secret: argument.flag() },
 *     }, async (command, { count, secret }) => reply(command.message, `${count} dice${secret ? ", in secret" : ""}`));
 */
export function command<Wanted extends Record<string, CommandArgument<unknown>>>(
  name: string, declaration: CommandOptions<Wanted>, handler: (command: Command, values: GivenTo<Wanted>) => unknown,
): Promise<void>;

/** An argument of a command, and the type of what its handler is given. `argument` makes it. */
export interface CommandArgument<Value> {
  readonly kind: contract.ArgumentKind;
  readonly otherwise?: Value;
}
type GivenTo<Wanted> = { [Name in keyof Wanted]: Wanted[Name] extends CommandArgument<infer Value> ? Value : never };

/** A command whose arguments the host reads. */
export interface CommandOptions<Wanted = Record<string, never>> {
  /** One sentence of at most 256 bytes. */
  help?: string;
  /** In their order, at most 16. */
  arguments?: Wanted;
  /** Other names, at most 8. */
  aliases?: string[];
  /** The people who may give it, in any of these groups; everybody if none is named. The owner can override it. */
  allow?: (
    | "contacts" | "owners" | { group: string } | { jid: contract.Address } | { role: contract.Role }
    | { affiliation: contract.Affiliation }
  )[];
  /** The same person may give it again only after so many seconds, at most a day. */
  personCooldown?: number;
  /** In the same room it may be given again only after so many seconds, at most a day. */
  roomCooldown?: number;
  /**
   * The only place in which it may be given: a room, where everybody there reads it, or in private, which is a chat, a form, or private
   * messages through a room. The host tells people who give it elsewhere.
   */
  place?: "room" | "private";
}

type ArgumentOptions<Value> = {
  /** The value where it is left out. */
  default?: Value;
  /** One sentence of at most 256 bytes about it. */
  help?: string;
  /** It is written as `--name VALUE`, at any place. */
  named?: boolean;
  /** It may be left out, and is undefined then. */
  optional?: boolean;
  /** In a form, the argument begins a page with this title, one line of at most 256 bytes. */
  page?: string;
};
type Chosen<Value, Options> = Options extends { optional: true } ? CommandArgument<Value | undefined> : CommandArgument<Value>;

/** The arguments of commands. */
export const argument: {
  /** A word, or several in quotes. */
  text<const Options extends ArgumentOptions<string> = {}>(options?: Options): Chosen<string, Options>;
  /** A whole number; without bounds, any that JavaScript counts exactly. */
  integer<const Options extends ArgumentOptions<number> = {}>(options?: Options): Chosen<number, Options>;
  integer<const Options extends ArgumentOptions<number> = {}>(least: number, options?: Options): Chosen<number, Options>;
  integer<const Options extends ArgumentOptions<number> = {}>(least: number, most: number, options?: Options): Chosen<number, Options>;
  /** A number, such as 2.5. */
  number<const Options extends ArgumentOptions<number> = {}>(options?: Options): Chosen<number, Options>;
  number<const Options extends ArgumentOptions<number> = {}>(least: number, options?: Options): Chosen<number, Options>;
  number<const Options extends ArgumentOptions<number> = {}>(least: number, most: number, options?: Options): Chosen<number, Options>;
  /** A span of time such as `2h30m`, in seconds; the default may also be written as people write it. */
  duration<const Options extends ArgumentOptions<number | string> = {}>(options?: Options): Chosen<number, Options>;
  /** A date such as `2026-12-24`, as a text of this form. */
  date<const Options extends ArgumentOptions<string> = {}>(options?: Options): Chosen<string, Options>;
  /** A time of day such as `18:30`, as the text `18:30:00`. With a date and a zone, `schedules.parse` makes a moment of it. */
  time<const Options extends ArgumentOptions<string> = {}>(options?: Options): Chosen<string, Options>;
  /** An address; in a room people may also give the nickname of an occupant whose address the room shows. */
  jid<const Options extends ArgumentOptions<string> = {}>(options?: Options): Chosen<string, Options>;
  /** One of these words, 1 to 64; capitals do not count. */
  choice<const Word extends string, const Options extends ArgumentOptions<Word> = {}>(
    words: readonly Word[], options?: Options,
  ): Chosen<Word, Options>;
  /** Whether `--name` is given. */
  flag(options?: { help?: string; page?: string }): CommandArgument<boolean>;
  /** All that is left of the text, as it was written; only as the last one that is not named. */
  rest<const Options extends ArgumentOptions<string> = {}>(options?: Options): Chosen<string, Options>;
};

/** The SHA-256 of bytes, or of a text as UTF-8. */
export function sha256(data: string | Uint8Array | ArrayBuffer): Uint8Array;
/**
 * The HMAC-SHA256 of bytes, or of a text as UTF-8. The host verifies webhooks by itself: `verify` in plugin.toml. To compare a code that
 * somebody sent, compare the HMACs of both: `hex(hmacSha256(key, sent)) === hex(hmacSha256(key, own))`. The time that this takes does not
 * show how much of a wrong code is right.
 */
export function hmacSha256(key: string | Uint8Array | ArrayBuffer, data: string | Uint8Array | ArrayBuffer): Uint8Array;
/** Bytes in hexadecimal digits: `hex(sha256("romeo@example.org"))`. */
export function hex(bytes: Uint8Array | ArrayBuffer): string;
/** Waits so many seconds. Other events are handled meanwhile. */
export function sleep(seconds: number): Promise<void>;
/**
 * The host's own timers, in seconds: what rings is the event `timer`, with the timer's number among its `subscriptions`. They are few;
 * `setTimeout` and `setInterval`, which count in milliseconds as everywhere in JavaScript, are as many as you like.
 */
export const timers: {
  sleep(seconds: number): Promise<void>;
  after(seconds: number): number | bigint;
  every(seconds: number): number | bigint;
  cancel(timer: number | bigint): void;
};
/**
 * Gives the result of a promise, or `TimedOut` after so many seconds without one: for an answer that may never come.
 *
 *     const answers = new Map();
 *     on("message", { kind: "chat" }, (message) => answers.get(message.chat)?.(message.body));
 *
 *     const answer = await within(60, new Promise((resolve) => answers.set(message.chat, resolve)));
 *
 * A handler has ended when all the host's calls that began in it have: `sleep` in a `Promise.race`, and a `waitUntil` that is
 * late, hold its place until they end. A question whose promise is given, as in `within(60, askAuthor(message, "Which size?"))`, ends
 * when it is late.
 */
export function within<T>(seconds: number, promise: Promise<T>): Promise<T>;

/**
 * The id by which replies and reactions know a message: in a room the room's, elsewhere the author's, which stays where a relay gives
 * it another one on the way. A message without one cannot be referred to: `replyTo` is then left out, and `reactTo` is `Invalid`.
 */
export function reference(message: Said): string | undefined;
/**
 * The body without what is only there for clients that lack `feature`; without one, the quotation that an answer may begin with,
 * for those that know no replies (XEP-0461). Empty where there is no body.
 */
export function bodyWithoutFallback(message: Said, feature?: string): string;

/** The parts that a message may have; `replyTo` and `reactTo` take the message that they are about. */
export interface Wish {
  body?: string;
  subject?: string;
  thread?: string;
  replyTo?: Said;
  /** Puts what `replyTo` says before the body, for clients that show answers as any other message. */
  quote?: boolean;
  /** The id of the message that it corrects. */
  replace?: string;
  /**
   * The id of an own message that it retracts: in a room the `stanzaId` of its echo, elsewhere the id that sending gave. Clients that
   * know no retractions see a text of the host's.
   */
  retract?: string;
  reactTo?: Said;
  emojis?: string[];
  receipt?: string;
  requestReceipt?: boolean;
  /** Asks to be told by markers that it came and was read (XEP-0333): they are messages with `extensions.marker`. */
  requestMarkers?: boolean;
  marker?: "received" | "displayed" | "acknowledged";
  /** The message that `marker` is about, or its id: in a room its `stanzaId`, elsewhere its `id`. */
  marked?: Said | string;
  chatState?: "active" | "composing" | "paused" | "inactive" | "gone";
  /**
   * Files that `files.upload` gave, 16 at most. Without a body, the address of the first one is sent as such, as clients expect it
   * (XEP-0066).
   */
  files?: contract.FileArgument[];
  /** Hides the body until the reader wants to see it, behind this hint on one line, which may be empty (XEP-0382). Needs a body. */
  spoiler?: string;
  /** The body has no markup, whatever signs are in it (XEP-0393). */
  unstyled?: boolean;
  /** Previews of links in the body, 8 at most (XEP-0511). They need a body. */
  previews?: contract.LinkPreviewArgument[];
  /** Whether it is encrypted from end to end: as the chat is, unless it is `required` (else `Unsupported`) or `none`. */
  encryption?: "as-the-chat" | "required" | "none";
}

/** Private chats. `send` takes a text, or all that a message may have. */
export const chats: Omit<typeof contract.chats, "send"> & {
  /** Sends something to somebody, and gives its id once it is queued. Needs `messages.send`. */
  send(jid: contract.Address, message: string | Wish | contract.Outgoing): Promise<string>;
};
/** Rooms. `send` takes a text, or all that a message may have. */
export const rooms: Omit<typeof contract.rooms, "send"> & {
  /**
   * Says something to everybody in a room, and gives its id once it is queued. Needs `rooms.send`. By that id a correction names it
   * (`replace`); in replies and reactions others name it by the room's own, which its echo brings:
   * `on("message", { own: true }, ({ id, stanzaId }) => …)`.
   */
  send(jid: contract.Address, message: string | Wish | contract.Outgoing): Promise<string>;
};

/** A message that is to be sent, as the contract has it. */
export function outgoing(wish: string | Wish): contract.Outgoing;
/** @deprecated `chats.send` is the same. */
export function send(jid: contract.Address, message: string | Wish): Promise<string>;
/** @deprecated `rooms.send` is the same. */
export function say(room: contract.Address, message: string | Wish): Promise<string>;
/** Answers where a message was said: in its room, or in its chat; in its thread, unless the answer names one. Errors are not. */
export function reply(to: Said, message: string | Wish): Promise<string>;
/**
 * Answers a command in the form by which it was given; where it was written, as `reply` does. A form has one answer, of at most 4 KiB.
 * `NotFound`: nobody waits for it any more.
 */
export function answer(command: Command, text: string): Promise<void>;
/**
 * Says in the form by which a command was given how far the work is; `answer` follows. The person sees it if they look again before the
 * answer. Nothing is said where the command was written.
 */
export function progress(command: Command, text: string): Promise<void>;
/** Answers in private, in the same chat; for a message from a room, to its author there. Needs `messages.send`. */
export function replyInChat(to: Said, message: string | Wish): Promise<string>;
/**
 * Tells the author of a message that it came, if it asked to be told (XEP-0184), and gives the id of the receipt. It tells the
 * author that somebody is there, so that nothing but a plugin decides to send it. Needs `messages.send`.
 */
export function acknowledge(message: Said): Promise<string | undefined>;
/**
 * Returns the author of a message in a room, or of one from there to us alone, as the room knows them now: role, affiliation, and
 * the real JID if the room shows it. Undefined: the room itself sent it, or the author has left. In a room that gives occupant ids,
 * somebody who has taken the author's nickname since is not the author. Needs `rooms.read` for it.
 */
export function occupantOf(message: Said): contract.Occupant | undefined;

/** Escapes a text for XML elements and attributes. A character that XML cannot hold becomes U+FFFD. */
export function escapeXml(text: string): string;

/**
 * One element of XML, in the making or read. Names are the plugin's; values may come from anywhere, and are escaped.
 *
 *     stanza.message().to("juliet@example.org").child(new Element("body").text("<wake up>"))
 */
export class Element {
  constructor(name: string);
  name: string;
  /** Its own, or of what is around it where it was read. */
  namespace: string | undefined;
  attributes: Record<string, string>;
  children: (Element | string)[];
  /** Puts it into this namespace, like the elements inside it that name none. */
  ns(namespace: string): this;
  to(jid: string | null | undefined): this;
  /** One that is there already is replaced; `null` and `undefined`, such as the id of a message without one, are left out. */
  attr(name: string, value: string | number | boolean | null | undefined): this;
  child(...children: Element[]): this;
  text(text: string | number): this;
  /** The first child of this name, in this namespace if one is given. */
  find(name: string, namespace?: string): Element | undefined;
  all(name: string, namespace?: string): Element[];
  /** All text inside. */
  readonly content: string;
  /** It as XML. */
  toString(): string;
}

/** Stanzas without anything in them. The host sets an IQ's id. */
export const stanza: { message(): Element; presence(): Element; iq(kind: "get" | "set"): Element };
/** Reads one element, from bytes as UTF-8. `Invalid`: it is no XML of the kind that stanzas are made of. */
export function parseXml(xml: string | Uint8Array): Element;
/** Sends one message, presence or IQ. Needs `stanza.send`. */
export function sendStanza(stanza: Element | string): Promise<void>;
/** Sends one IQ, and gives the answer. Needs `stanza.send` for `iq`. */
export function ask(iq: Element | string): Promise<Element>;

/**
 * Bold, quotes and other markup in the text of a message (XEP-0393), which clients show as such. The markup is signs in the text, as in
 * `*bold*`, and there is no way to write such a sign as itself. So text from elsewhere goes through `styling.escape` first, or into
 * `styling.monospace` or `styling.codeBlock`, which take it as it is. For a text that is all from elsewhere, `unstyled` turns markup off.
 *
 *     await reply(message, `${styling.bold(styling.escape(name))} says\n${styling.quote(text)}`);
 */
export const styling: {
  /**
   * Makes a text bold. Lines are bold each by itself, since markup ends with its line. A line with a `*` in it stays as it is: there is no
   * way to write one in bold.
   */
  bold(text: string): string;
  /** Makes a text italic, as `bold` does, with `_`. */
  italic(text: string): string;
  /** Strikes a text out, as `bold` does, with `~`. */
  strike(text: string): string;
  /**
   * Shows a text as it is, in letters of one width: a name of a program, or anything from elsewhere. A line with a backtick in it is only
   * escaped.
   */
  monospace(text: string): string;
  /** Quotes each line of a text. The quotation ends with its line: put a line break behind it. */
  quote(text: string): string;
  /**
   * Shows the lines of a text as they are, in letters of one width. It begins and ends with a line of its own: put a line break before and
   * behind it.
   */
  codeBlock(text: string): string;
  /** Escapes a text such that nothing in it is markup: an invisible U+2060 goes before each sign that would begin some. */
  escape(text: string): string;
};

type SpokenMessage = Said;
type SealedMessage = Omit<contract.Undecryptable, "at">;
/**
 * The tools of a plugin that guards a room: the module remembers people and messages, and decides which rules are broken. It calls nothing of the
 * host's: tell it what happens, and act on its verdicts.
 *
 *     const judge = new moderation.Judge();
 *     on("message", { kind: "groupchat" }, async (message) => {
 *       const author = occupantOf(message);
 *       if (!author || moderation.isSpared(author)) return;
 *       const verdict = judge.hear({}, message.chat, moderation.key(author), moderation.Said.of(message));
 *       if (verdict.offence === "link" && message.stanzaId) await rooms.retract(message.chat, message.stanzaId, "no links yet");
 *     });
 *
 * Each list has an upper bound, above which the oldest entry is forgotten, so that no crowd can fill the memory. The SDKs for the
 * other languages have the same kit.
 */
export namespace moderation {
  /** The most messages of a room that are remembered. */
  const MAX_MESSAGES: number;

  /** The rules of rooms. Those left out are those of the plugin `guard`, which are named here. Times are in seconds. */
  interface Rules {
    /** How many newcomers may enter within the window; 0 = any number. 8. */
    joins?: number;
    /** The window for joins. 30. */
    joinWindow?: number;
    /** How many messages one person may send within the window, at most 200; 0 = any number. 0. */
    messages?: number;
    /** The window for messages. 10. */
    messageWindow?: number;
    /** How often one person may say the same; 0 = as often as they like. 3. */
    repeats?: number;
    /** How often several people may say the same; 0 = as often as they like. 6. */
    crowdRepeats?: number;
    /** How many messages that cannot be read one person may send; 0 = any number. 3. */
    unreadable?: number;
    /** The window for repeated texts, and for messages that cannot be read. 120. */
    repeatWindow?: number;
    /** How long after the first message somebody is a newcomer. 600. */
    newcomer?: number;
  }

  /**
   * A rule that a message breaks. `early`: it came too early in slow mode. `flood`: its author sent too many messages within the window.
   * `link`: it has a link or a file, and its author is a newcomer. `repeat`: its text was said too often. `sealed`: it cannot be read, so it
   * may have a link, and its author is a newcomer. `unreadable`: its author sent too many messages that cannot be read.
   */
  type Offence = "early" | "flood" | "link" | "repeat" | "sealed" | "unreadable";

  /** The parts of a message that the rules check. */
  interface Said {
    /** The id by which the room retracts it. */
    id?: string | null;
    /** The normalized texts, which `comparable` gives. */
    texts?: readonly string[];
    /** Whether it has a link or a file. */
    hasLink?: boolean;
    /** Whether it gives a command, which people may do more often with the same words. */
    isCommand?: boolean;
    /** Whether it is encrypted, or says so, and cannot be read here. Others in the room may read it. */
    isUnreadable?: boolean;
  }

  const Said: {
    /** Reads a text alone. */
    text(text: string): Said;
    /** Reads a message. Clients show any of several texts, so all of them count. */
    of(message: SpokenMessage): Said;
    /** Takes a message that cannot be decrypted, or only says that it is encrypted. Others may see a text in it. */
    unreadable(message: SealedMessage): Said;
  };

  /** The rule that a message breaks, and the new standing of its author. */
  interface Verdict {
    /** The broken rule. */
    offence: Offence | undefined;
    /** The author is no newcomer from now on. */
    hasSettled: boolean;
    /** The pause of slow mode, in seconds, if the offence is `early`. */
    pause?: number;
  }

  /**
   * Remembers rooms, the people in them and what they said last, and decides which rules are broken. A person is known by a `key`, such as
   * the occupant id. `now` is the time of the call if it is left out.
   */
  class Judge {
    /** Notes the nickname and the rank of somebody. */
    meet(room: string, key: string, nick: string, isSpared: boolean, now?: Date): void;
    /** Returns the key and the rank of somebody who has left, by the last nickname. */
    absent(room: string, nick: string): { key: string; isSpared: boolean } | undefined;
    /** Returns whether somebody is no newcomer. Undefined: it is unknown, as after a restart; ask your storage, and call `settle`. */
    isSettled(room: string, key: string): boolean | undefined;
    /** Notes whether somebody is no newcomer. */
    settle(room: string, key: string, isSettled: boolean, now?: Date): void;
    /** Counts a newcomer's join. Returns the keys of people to kick: in a flood, everybody in it who was not returned before. */
    join(rules: Rules, room: string, key: string, now?: Date): string[];
    /** Judges a message of somebody who is not spared, and remembers it. */
    hear(rules: Rules, room: string, key: string, said: Said, now?: Date): Verdict;
    /** Returns the key of the last author with this nickname. */
    author(room: string, nick: string): string | undefined;
    /** Returns the ids of somebody's messages that are not retracted yet, the last ones first. */
    messages(room: string, key: string, most: number): string[];
    /** Notes that a message is retracted. */
    retracted(room: string, id: string): void;
    /** Sets the pause of a room in slow mode, in seconds, or ends slow mode. False: it is on in too many rooms. */
    slowDown(room: string, pause?: number | null): boolean;
    /** Forgets a room that the account is not in any more. Slow mode stays for when it comes back. */
    leave(room: string): void;
  }

  /** Returns the normalized texts of a message, without empty ones. */
  function comparable(texts: Iterable<string>): string[];
  /** Returns whether clients are likely to show a link in this text. */
  function hasLink(text: string): boolean;
  /** Returns the key by which a person in a room is known: the occupant id, else the address, else the nickname. */
  function key(occupant: contract.Occupant): string;
  /** Returns whether the rules are not for somebody: for the account itself, moderators, members, admins and owners. */
  function isSpared(occupant: contract.Occupant): boolean;
  /** Returns a nickname on one line, without characters that could disguise it. */
  function nick(nick: string): string;
}

/** Namespaces that plugins meet. */
export const ns: {
  /** Stanzas (RFC 6120); it need not be written. */
  readonly client: "jabber:client";
  /** The roster (RFC 6121). */
  readonly roster: "jabber:iq:roster";
  /** Asking what an entity is and can do (XEP-0030). */
  readonly discoInfo: "http://jabber.org/protocol/disco#info";
  /** Asking what an entity has (XEP-0030). */
  readonly discoItems: "http://jabber.org/protocol/disco#items";
  /** Forms (XEP-0004). */
  readonly form: "jabber:x:data";
  /** Rooms (XEP-0045). */
  readonly muc: "http://jabber.org/protocol/muc";
  /** Rooms, for occupants (XEP-0045). */
  readonly mucUser: "http://jabber.org/protocol/muc#user";
  /** Rooms, for their administrators (XEP-0045). */
  readonly mucAdmin: "http://jabber.org/protocol/muc#admin";
  /** Rooms, for their owners (XEP-0045). */
  readonly mucOwner: "http://jabber.org/protocol/muc#owner";
  /** vCards (XEP-0054). */
  readonly vcard: "vcard-temp";
  /** Publishing and subscribing (XEP-0060). */
  readonly pubsub: "http://jabber.org/protocol/pubsub";
  /** Links beside a message (XEP-0066). */
  readonly oob: "jabber:x:oob";
  /** Chat states, such as "composing" (XEP-0085). */
  readonly chatStates: "http://jabber.org/protocol/chatstates";
  /** The version of a client (XEP-0092). */
  readonly version: "jabber:iq:version";
  /** Receipts (XEP-0184). */
  readonly receipts: "urn:xmpp:receipts";
  /** Pings (XEP-0199). */
  readonly ping: "urn:xmpp:ping";
  /** Delayed delivery (XEP-0203). */
  readonly delay: "urn:xmpp:delay";
  /** Asking for attention (XEP-0224). */
  readonly attention: "urn:xmpp:attention:0";
  /** Corrections (XEP-0308). */
  readonly correction: "urn:xmpp:message-correct:0";
  /** The archive (XEP-0313). */
  readonly archive: "urn:xmpp:mam:2";
  /** Markers of what was read (XEP-0333). */
  readonly chatMarkers: "urn:xmpp:chat-markers:0";
  /** Hints on how to treat a message (XEP-0334). */
  readonly hints: "urn:xmpp:hints";
  /** Ids that survive the way (XEP-0359). */
  readonly stanzaId: "urn:xmpp:sid:0";
  /** Reactions (XEP-0444). */
  readonly reactions: "urn:xmpp:reactions:0";
  /** Retractions (XEP-0424). */
  readonly retraction: "urn:xmpp:message-retract:1";
  /** Parts of a body for clients that lack something (XEP-0428). */
  readonly fallback: "urn:xmpp:fallback:0";
  /** Replies (XEP-0461). */
  readonly reply: "urn:xmpp:reply:0";
};

/**
 * One of the plugin's own settings, or with the grant `settings.read` one of the host's. A duration comes in seconds, as `sleep` takes
 * them; JavaScript's own timers count in milliseconds: `setInterval(look, setting("pause", 240) * 1000)`.
 */
export function setting<T = any>(name: string): T | undefined;
export function setting<T>(name: string, otherwise: T): T;
/**
 * The setting in a room, at any time: that of the owner for the room, else the one for everywhere. `setting` gives it only while a handler
 * handles an event of the room, which timers and schedules do not.
 */
export function settingIn<T = any>(room: contract.Address, name: string): T | undefined;
export function settingIn<T>(room: contract.Address, name: string, otherwise: T): T;
/** Changes a setting for this account and this process. */
export function setSetting(name: string, value: unknown): Promise<void>;

/** Fires an event that every plugin may hear, and resolves the promise of the same name. */
export function emit(name: string, value?: unknown): Promise<void>;
/** Waits for a promise, the host's or a plugin's, and gives what it carries. */
export function waitUntil<T = any>(name: string): Promise<T>;
/** Makes a promise that others can wait for; `emit` of the same name keeps it. */
export function promise(name: string): Promise<void>;

/** The answer to a request over the web. */
export interface WebResponse {
  /** The status code (RFC 9110, section 15). */
  readonly status: number;
  /** Whether it is below 400. */
  readonly ok: boolean;
  /** The address that answered, after all redirects. */
  readonly url: string;
  /**
   * The headers, with their names in small letters. Of several with one name, the values are joined by a comma; those of `set-cookie` by a
   * line feed, since a cookie may contain commas.
   */
  readonly headers: Readonly<Record<string, string>>;
  bytes(): Uint8Array;
  text(): string;
  json<T = any>(): T;
}

/** A body that is read in parts, once, by `for await`. It ends with the loop, however that ends. The server sends no more than is read. */
export interface Parts extends AsyncIterable<Uint8Array> {
  /** All of it; one with more than `most` bytes is a `RangeError`. */
  bytes(most: number): Promise<Uint8Array>;
  /** The same as text. Bytes that are no UTF-8 are read as Latin-1. */
  text(most: number): Promise<string>;
  /** Ends it, wherever it stands: for one that is not read. */
  close(): void;
}

/** The answer to a request over the web whose bodies go in parts. */
export interface WebStream {
  /** The status code (RFC 9110, section 15). */
  readonly status: number;
  /** Whether it is below 400. */
  readonly ok: boolean;
  /** The address of the request. */
  readonly url: string;
  /**
   * The headers, with their names in small letters. Of several with one name, the values are joined by a comma; those of `set-cookie` by a
   * line feed, since a cookie may contain commas.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** The request counts among the limit `http_requests` until this was read or closed. */
  readonly body: Parts;
}

/** A file in a form. */
export interface FormFile {
  /** The name of its field otherwise. */
  name?: string;
  /** Its media type, `application/octet-stream` otherwise. */
  type?: string;
  bytes: Uint8Array | string;
}

/** Fields of a query or a form. A list has several values of one field, and `undefined` and `null` leave it out. */
export type WebFields = Record<string, string | number | boolean | null | undefined | (string | number | boolean)[]>;

/** The options of a request. */
export interface FetchOptions {
  /** In capitals, `GET` otherwise. */
  method?: string;
  /**
   * It is added to the query of the address, before a fragment. Names and values may be any text, such as what a person wrote: they are
   * encoded, braces as well. Write the place of a credential, `{{name}}`, into the address.
   */
  query?: WebFields;
  /** By their names, or as pairs of a name and a value, of which several may have one name. */
  headers?: Readonly<Record<string, string>> | Iterable<readonly [string, string]>;
  body?: string | Uint8Array;
  /** A body of JSON, with its `content-type`. */
  json?: unknown;
  /** A body of fields and files, as browsers send a form (RFC 7578), with its `content-type`. */
  form?: Record<string, string | number | FormFile | (string | number | FormFile)[]>;
  /** A body that is a form without files (`application/x-www-form-urlencoded`), encoded as `query` is, with its `content-type`. */
  fields?: WebFields;
  /**
   * Settings of the type `credential`. The host writes each where `{{name}}` stands, in the parts of the request that `insert_in` in
   * `plugin.toml` lists; without it, in headers and the query.
   */
  credentials?: string[];
  /** How many redirects are followed, 10 at most; none otherwise. */
  follow?: number;
  /** After so many seconds it is given up. With `stream`, each wait by itself. */
  timeout?: number;
}

/**
 * Makes a request over the web, and gives the whole answer; a status from 400 on is no error. Permission: `http.fetch`.
 *
 *     const options = { query: { city: "Verona" }, credentials: ["api_key"] };
 *     const weather = await fetch("https://api.example.org/weather?key={{api_key}}", options);
 *     if (weather.ok) console.log(weather.json().temperature);
 */
export function fetch(url: string, options?: FetchOptions & { stream?: false }): Promise<WebResponse>;
/**
 * Makes a request whose bodies are never whole in memory. The body may come in parts, of any size, and the body of the answer does. No
 * redirect is followed. A server may answer before it has read the whole body: then `fetch` stops writing, and returns that answer.
 * `Protocol`: also where the server takes no more of the body, and does not answer. `Invalid`: also where the body is not as long as its
 * `content-length` says.
 *
 *     const answer = await fetch("https://api.example.org/log", { method: "PUT", body: days(), stream: true });
 *     for await (const part of answer.body) console.log(part.length);
 */
export function fetch(
  url: string,
  options: Omit<FetchOptions, "body" | "follow"> & {
    stream: true;
    body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
  },
): Promise<WebStream>;

/** A file that is open for reading. */
export interface Download extends Parts {
  /** Its size in bytes, if the server says it. It may say anything. */
  readonly size: number | undefined;
  /** Its media type, if the server says it. */
  readonly type: string | undefined;
}

/**
 * Files: those that messages refer to, and those that the plugin uploads to the account's server (XEP-0363). They go in parts, and are
 * never whole in memory.
 *
 *     on("message", { kind: "chat" }, async (message) => {
 *       for (const file of message.files) {
 *         let size = 0;
 *         for await (const part of await files.open(file)) size += part.length;
 *         await reply(message, `${file.name} has ${size} bytes`);
 *       }
 *     });
 *
 *     const file = await files.upload("note.txt", "text/plain", "But soft!");
 *     await chats.send("juliet@example.org", { files: [file] });
 */
export const files: {
  /**
   * Uploads a file to the account's server, and gives it for a message. Data that comes in parts needs its `size` in bytes. The name has
   * 1 to 255 bytes and no path; it can be seen in the file's address.
   *
   * `Denied`: the grant covers no file of this media type and size. `Unsupported`: the server takes no files, or none so large.
   * `StanzaError`: it refuses, such as with `resource-constraint` when it was too much in some time. `Invalid`: the data has another
   * size. `Protocol`: the server did not store it. Permission: `files.send`.
   *
   * `encrypted` is for encrypted chats: the host encrypts the file, and the server gets no more of its name than the ending. Its address has
   * the key. A message with it is sent encrypted, or is `Unsupported`.
   */
  upload(
    name: string, type: string, data: string | Uint8Array | AsyncIterable<string | Uint8Array>,
    options?: number | { size?: number; encrypted?: boolean },
  ): Promise<contract.File>;
  /**
   * Opens a file of a message, or the file of this address: that of one which this plugin was shown since its start, among the last
   * 1,000 of them. Redirects are followed, five at most.
   *
   * `Denied`: no message had this address, or it is not of the public network. `Protocol`: the server's status is not 200.
   * Permission: `files.read`.
   */
  open(file: string | { url: string }): Promise<Download>;
};

/** A request to a webhook of this plugin, after its signature was verified. Needs `webhooks.receive`. */
export interface Webhook extends Omit<contract.Webhook, "headers" | "body"> {
  /** `content-type` and those that the manifest lists, with their names in small letters. Of several with one name, the values are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  bytes(): Uint8Array;
  text(): string;
  json<T = any>(): T;
}

/**
 * Answers to requests that others send to the plugin over the web.
 *
 *     on("webhook", { webhook: "github" }, async (hook) => {
 *       if (hook.headers["x-github-event"] === "push") await rooms.send(room, `${hook.json().ref} is at ${hook.json().after}`);
 *     });
 *     // One with `mode = "answer"` in the manifest:
 *     on("webhook", { webhook: "books" }, (hook) => webhooks.answer(hook, { json: { books: 12 } }));
 */
export const webhooks: {
  /**
   * Answers a request to a webhook whose mode is `answer`. Without it the answer is 204 when the handler returns, and 500 when it throws.
   * `NotFound`: nobody waits for it: it was answered, its time is over, the other side has gone, or the mode is `queue`.
   * Permission: `webhooks.receive`.
   */
  answer(hook: Webhook, answer?: {
    /** From 200 to 599; 200 otherwise. */
    status?: number;
    /** By their names, or as pairs of a name and a value. */
    headers?: Readonly<Record<string, string>> | Iterable<readonly [string, string]>;
    /** At most 1 MiB. A text has its `content-type`. */
    body?: string | Uint8Array;
    /** A body of JSON, with its `content-type`. */
    json?: unknown;
  }): Promise<void>;
  /**
   * Returns the address of a webhook, which whoever sends the requests has to know. It stays the same until the owner changes it.
   * `NotFound`: the manifest has none of this name. `Unsupported`: the owner has not said where the host listens.
   * Permission: `webhooks.receive`.
   */
  address(name: string): Promise<string>;
  /**
   * Returns the value of the first field of this name, decoded, of a query or of a body that is a form without files
   * (`application/x-www-form-urlencoded`): `webhooks.field(hook.query, "room")`, `webhooks.field(hook.text(), "payload")`.
   */
  field(fields: string | null | undefined, name: string): string | undefined;
};

/** A due time of a schedule of this plugin. `late` is in seconds: from then until the host told the plugin. */
export type DueTime = Omit<contract.DueTime, "due" | "late"> & { due: Date; late: number };

/** A schedule of this plugin. It has one of `every`, `at` and `cron`. */
export interface Schedule {
  name: string;
  /** It is due every so many seconds, counted from when it was set. */
  every?: number;
  /** It is due once. */
  at?: Date;
  /** A cron expression, which counts in `zone`. */
  cron?: string;
  zone?: string;
  /** The number of missed due times that are delivered. */
  catchUp: number;
  /** The next due time; undefined while the last one is still told. */
  next: Date | undefined;
  /** The owner has paused it. */
  paused: boolean;
}

/** A point in time as clocks in a zone show it. */
export interface LocalTime {
  year: number;
  /** From 1 to 12. */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** From 1 for Monday to 7 for Sunday. */
  weekday: number;
  /** The offset from UTC in seconds; negative if the clock is behind. */
  offset: number;
  /** The zone's short name at this time, such as `CEST`, or its offset if it has none. */
  abbreviation: string;
}

/** How a schedule is set. */
export interface ScheduleOptions {
  /**
   * How many due times are told that were missed while the plugin or the host did not run: the latest ones, at most 1,000. 1 otherwise;
   * 0 skips them all.
   */
  catchUp?: number;
}

/**
 * Times at which the host wakes the plugin, in any time zone. The host keeps a schedule on disk: it outlives restarts and updates. Free
 * for every plugin; the limit `schedules` says how many there may be at once. Zones have names such as `Europe/Berlin` or `UTC`.
 *
 *     on("schedule", { schedule: "standup" }, (due) => rooms.send(room, `Standup! ${due.missed} were missed.`));
 *     onStart(() => schedules.cron("standup", "0 9 * * MON-FRI", "Europe/Berlin"));
 */
export const schedules: {
  /**
   * Sets a schedule that is due every so many seconds from now, at least 60, and gives its first due time. One of this name that is there
   * already is replaced; where nothing about it changes, it goes on as it was.
   */
  every(name: string, seconds: number, options?: ScheduleOptions): Promise<Date>;
  /** Sets a schedule that is due once. False: that time has passed, and nothing was set. */
  at(name: string, due: Date | string, options?: ScheduleOptions): Promise<boolean>;
  /**
   * Sets a schedule by a cron expression of five fields, such as `0 9 * * MON-FRI`, and gives its first due time. `Invalid`: no such zone,
   * no cron expression, or one that is never due.
   */
  cron(name: string, expression: string, zone: string, options?: ScheduleOptions): Promise<Date>;
  /** Returns this plugin's schedules, ordered by name. */
  list(): Promise<Schedule[]>;
  /** Ends a schedule. False: there is none of this name. */
  cancel(name: string): Promise<boolean>;
  /** Returns the time that clocks in a zone show at this moment. */
  toLocal(moment: Date | string, zone: string): LocalTime;
  /** Writes a moment as clocks in a zone show it, by a pattern of strftime, such as `%A, %H:%M`. `Invalid`: it has something unknown. */
  format(moment: Date | string, zone: string, pattern: string): string;
  /**
   * Parses a time as a person in a zone writes it: `2026-11-20 09:00`, `9:00`, `today 9:00`, `tomorrow 9:00`,
   * `friday 9:00`, `in 2 hours 30 minutes`. `Invalid`: it cannot be read.
   */
  parse(text: string, zone: string): Date;
};

/** The optional parts of a question beside its text. */
export interface QuestionOptions {
  /** The only answers, at most 32: the host writes them below the text, with numbers. Without them any text is an answer. */
  choices?: Iterable<string>;
  /** Seconds, at most a day; 5 minutes unless it is given. */
  timeout?: number;
}

/** The answer of a person: the text of the message, or the choice as it was given, with its index. */
export interface Answer {
  text: string;
  choice: number | undefined;
}

/**
 * Asks the author of a message where it was said, in its chat or in its room: the next message of that person there is the answer. A
 * handler that waits for it holds no place, so that hundreds may wait at once. Errors as in `dialogs`. Permission: `messages.send`, and
 * for a message in a room `rooms.send`.
 *
 *     command("order", { help: "Orders a pizza" }, async ({ message }) => {
 *       const size = await askAuthor(message, "Which size?", { choices: ["small", "large"], timeout: 60 });
 *       await reply(message, `A ${size.text} pizza it is.`);
 *     });
 */
export function askAuthor(to: Said, text: string, options?: QuestionOptions): Promise<Answer>;

/**
 * Questions to people. `TimedOut`: the person did not answer in time. `Rejected`: the answer was `cancel`, or wrong three times; the
 * reason is `cancelled` or `wrong`. `NotFound`: the person has left the room. `Stopped`: another question to the person took its place, or
 * the plugin is to stop.
 */
export const dialogs: {
  /** Asks a person in a private chat, and gives the answer. Permission: `messages.send`. */
  ask(to: contract.Address, text: string, options?: QuestionOptions): Promise<Answer>;
  /** Asks an occupant of a room by the nickname, so that all in the room see it. Permission: `rooms.send`. */
  askInRoom(room: contract.Address, nick: string, text: string, options?: QuestionOptions): Promise<Answer>;
};

/** A request of another plugin on the account, by a name that the manifest lists under `[requests]`. Needs `plugins.answer`. */
export interface PluginRequest extends Omit<contract.PluginRequest, "value"> {
  readonly value: any;
}

/**
 * Requests of plugins on one account to one another. Values are what JSON has.
 *
 *     on("request", (request) =>
 *       request.value === "EUR" ? plugins.answer(request, 1.08) : plugins.refuse(request, "not a currency"));
 *     // In another plugin:
 *     const rate = await plugins.call("money", "rate", "EUR");
 */
export const plugins: {
  /**
   * Asks another plugin, by the id that the owner gave it, and gives its answer. `NotFound`: there is no such plugin or request, or it
   * may not answer this plugin. `Rejected`: it refused. `TimedOut`: it did not answer in time. Permission: `plugins.call`.
   */
  call<T = any>(plugin: string, name: string, value?: unknown): Promise<T>;
  /**
   * Answers a request, before the handler returns. `NotFound`: nobody waits for it: it was answered, or its time is over.
   * Permission: `plugins.answer`.
   */
  answer(request: PluginRequest, value?: unknown): Promise<void>;
  /** Refuses a request: the other plugin gets `Rejected` with this reason. `NotFound`: as with `answer`. Permission: `plugins.answer`. */
  refuse(request: PluginRequest, text: string): Promise<void>;
};

/** A message or a command that waits for the verdict of this plugin. */
export type Hook = Omit<contract.Hook, "message"> & { message: Message };

/** The verdict on a message that another plugin sends: nothing lets it pass. `stop` may be the reason, which that plugin gets. */
export type OutgoingVerdict = { body?: string; subject?: string } | { stop: string | boolean } | null | undefined | void;
/** The verdict on a message that came: nothing lets it pass, `stop` hides it. */
export type IncomingVerdict = { label: string } | { stop: boolean } | null | undefined | void;
/** The verdict on a command to another plugin: nothing lets it pass. `stop` may be the text, which the person gets. */
export type CommandVerdict = { stop: string | boolean } | null | undefined | void;

/**
 * Hooks: the plugin sees what passes between people and other plugins, and gives a verdict on it. It needs the permission, and a place in
 * the owner's order. It has the owner's deadline for each, 50 ms by default. A handler that throws gives none, and the owner's rule decides.
 *
 *     hooks.outgoing((hook) => ({ body: `${hook.message.body} (a bot)` }));
 *     hooks.incoming((hook) => (hook.message.body?.includes("casino") ? { stop: true } : undefined));
 *     hooks.commands((hook) => (hook.args.at(-1) === "123456" ? undefined : { stop: "Add your code." }));
 */
export const hooks: {
  /** Calls the handler with each message that another plugin sends. Permission: `hooks.outgoing`. */
  outgoing(handler: (hook: Hook) => OutgoingVerdict | Promise<OutgoingVerdict>): Subscription;
  /** Calls the handler with each message that came, before other plugins hear of it. Permission: `hooks.incoming`. */
  incoming(handler: (hook: Hook) => IncomingVerdict | Promise<IncomingVerdict>): Subscription;
  /** Calls the handler with each command to another plugin. Permission: `hooks.commands`. */
  commands(handler: (hook: Hook) => CommandVerdict | Promise<CommandVerdict>): Subscription;
  /** Lets it pass as it is. `NotFound`: nobody waits for a verdict: it was given, or its time is over. */
  allow(hook: Hook): Promise<void>;
  /** Lets an outgoing message pass with another body, subject or both. `NotFound`: as with `allow`. Permission: `hooks.outgoing`. */
  alter(hook: Hook, texts: { body?: string; subject?: string }): Promise<void>;
  /** Stops a message or a command, for this reason. `NotFound`: as with `allow`. */
  stop(hook: Hook, reason?: string): Promise<void>;
  /** Lets an incoming message pass with a label. `NotFound`: as with `allow`. Permission: `hooks.incoming`. */
  mark(hook: Hook, label: string): Promise<void>;
};

/** The plugin's storage on this machine, per account: JSON values under text keys. Needs `storage`. */
export const storage: {
  get<T = any>(name: string): Promise<T | undefined>;
  get<T>(name: string, otherwise: T): Promise<T>;
  /** It is on the disk when this has ended, for ever or for so many seconds. */
  set(name: string, value: unknown, options?: { expires?: number }): Promise<void>;
  /** Whether there was one. */
  delete(name: string): Promise<boolean>;
  /** All keys that begin so, in order. */
  keys(prefix?: string): Promise<string[]>;
  /** Those behind `after`, `limit` at most, which is 1 to 1000; `next` is the `after` of the next page, and null where this is the last. */
  page(prefix?: string, after?: string | null, limit?: number): Promise<{ keys: string[]; next: string | null }>;
  /**
   * All values whose keys begin so, with their keys, in the order of the keys: `new Map(await storage.entries("points/"))`. It asks
   * the host once for each page, and so is faster than a `get` for each key.
   */
  entries<T = any>(prefix?: string): Promise<[string, T][]>;
  /** At most `limit` of them behind the key `after`, as bytes; a page may be shorter, and is the last where `next` is null. */
  entriesPage(
    prefix?: string, after?: string | null, limit?: number,
  ): Promise<{ entries: [string, Uint8Array][]; next: string | null }>;
  /**
   * The values whose keys begin so, with their keys, in the order of the keys or from the last one on: those from the key `from` on and
   * before `to`, and `limit` of them at most.
   *
   *     const newest = await storage.range("notes/", { descending: true, limit: 5 });
   */
  range<T = any>(
    prefix?: string, options?: { from?: string; to?: string; descending?: boolean; limit?: number },
  ): Promise<[string, T][]>;
  /**
   * Adds to a number, and returns the sum; what is not there counts as 0. Nothing is lost that other handlers add meanwhile. It lasts as
   * long as the number before, unless `expires` is given, in seconds. Whole numbers alone, and exact up to 2 ** 53.
   *
   *     const visits = await storage.add("visits");
   */
  add(name: string, amount?: number, options?: { expires?: number }): Promise<number>;
  /**
   * Begins several changes that are made together, or not at all.
   *
   *     const sale = storage.changes().expect("seat/7", "free").set("seat/7", "juliet").add("sold");
   *     if (!(await sale.make())) log.info("somebody was faster");
   */
  changes(): Changes;
  /**
   * Brings what an earlier version of the plugin has kept to the present. The number of the version is kept under a key, and is 0 where
   * there is none. Each step leads from its number to the next; the changes that it notes, 254 at most, are made together with the new
   * number: a plugin that is ended meanwhile finds the one version or the other, and begins that step again.
   *
   *     await storage.migrate("version", [
   *       async (changes) => void changes.set("points/all", await storage.get("score", 0)).delete("score"),
   *     ]);
   *
   * `RangeError`: the data is of a newer version, or not as a step expects.
   */
  migrate(name: string, steps: ((changes: Changes) => void | Promise<void>)[]): Promise<void>;
  /**
   * Calls `change` with the stored value, stores the result and returns it; `undefined` = nothing, for either. A value that others
   * write meanwhile is not lost: `change` is then called again, with that. It is kept for ever, unless `expires` is given each time.
   *
   *     const count = await storage.change("count", (count = 0) => count + 1);
   */
  change<T = any, R = T>(
    name: string, change: (value: T | undefined) => R | Promise<R>, options?: { expires?: number },
  ): Promise<R>;
  /**
   * Keeps a value where what is kept reads as `expected`, and says whether it was; `undefined` = nothing, for either. The default of
   * `get` is not kept:
   *
   *     const count = await storage.get("count");
   *     const isMine = await storage.compareAndSet("count", count, (count ?? 0) + 1);
   */
  compareAndSet(name: string, expected: unknown, value: unknown, options?: { expires?: number }): Promise<boolean>;
  /** Returns a value as bytes. It need not be JSON: this plugin may have stored it when it was written in another language. */
  getBytes(name: string): Promise<Uint8Array | undefined>;
  setBytes(name: string, value: Uint8Array, options?: { expires?: number }): Promise<void>;
};

/**
 * Several changes that `make` makes together: all of them, or none. At most 256, and 256 KiB of keys and values, each key in one change
 * and one expectation.
 */
export interface Changes {
  /** Keeps a value, for ever or for so many seconds. */
  set(key: string, value: unknown, options?: { expires?: number }): Changes;
  setBytes(key: string, value: Uint8Array, options?: { expires?: number }): Changes;
  /** Adds to a number, as `storage.add` does. */
  add(key: string, amount?: number, options?: { expires?: number }): Changes;
  /** Deletes a key, if it exists. */
  delete(key: string): Changes;
  /** Demands that this value is kept, as `set` writes it, before anything is changed; `undefined` = that there is none. */
  expect(key: string, value: unknown): Changes;
  expectBytes(key: string, value: Uint8Array | undefined): Changes;
  /** They are on the disk when this has ended. False: something is not as they expect, and nothing has changed. */
  make(): Promise<boolean>;
}

/** The host's log; `console` writes there as well. An error is written with its stack, and with what it was caused by. */
export const log: Record<"debug" | "info" | "warn" | "error" | "fatal", (...values: unknown[]) => void>;

/** The error of a call. Nothing was sent unless it says so. */
export class ParlorError extends Error {
  /** Whether the same call may well work later. */
  readonly isTemporary: boolean;
  /** The call that failed, such as `rooms.kick`; the stack says where it was made. */
  readonly call: string | undefined;
  /** The call's first argument where that is a text, such as a JID. */
  readonly argumentOfCall: string | undefined;
}
/** The owner did not grant it. */
export class Denied extends ParlorError {
  constructor(denial: { permission: string; scope: string | null; hint: string });
  readonly permission: string;
  /** The scope that the grant would have to cover, such as a JID. */
  readonly scope: string | null;
  /** The command or the line with which the owner allows it. */
  readonly hint: string;
}
/** An argument is wrong. */
export class Invalid extends ParlorError {
  constructor(argument: { name: string; reason: string });
  /** Its name as the contract spells it. */
  readonly argument: string;
  readonly reason: string;
}
/** It was sent, and the other side answered with an error (RFC 6120, section 8.3). */
export class StanzaError extends ParlorError {
  constructor(answer: { condition: string; kind: string; text: string | null; xml: string });
  readonly condition: string;
  readonly kind: string;
  readonly text: string | null;
  readonly xml: string;
}
/** The thing of this name does not exist. */
export class NotFound extends ParlorError {
  constructor(what: string);
  /** The thing that does not exist. */
  readonly what: string;
}
/** It is too early: wait for the promise of this name first. */
export class NotReady extends ParlorError {
  constructor(promise: string);
  /** The promise to wait for, by `waitUntil`. */
  readonly promise: string;
}
/** The host, or the server, cannot do that. */
export class Unsupported extends ParlorError {
  constructor(reason: string);
  /** The reason: which of the two it is, and what it cannot do. */
  readonly reason: string;
}
/** The promise was rejected. */
export class Rejected extends ParlorError {
  constructor(reason: string);
  /** As its plugin gave it. */
  readonly reason: string;
}
/** It was sent, and no answer came in time. */
export class TimedOut extends ParlorError {
  constructor();
}
/** The account has no session with the server. The session usually survives a connection loss: then stanzas wait. */
export class Offline extends ParlorError {
  constructor();
}
/** The plugin or the session that the call waited for has ended. */
export class Stopped extends ParlorError {
  constructor();
}
/** A limit of this plugin is used up. */
export class OverLimit extends ParlorError {
  constructor(limit: string);
  /** The name of the limit. */
  readonly limit: string;
}
/** There is no connection to the server of the web. */
export class Unreachable extends ParlorError {}
/** There is no trusted connection to the server of the web. */
export class Tls extends ParlorError {}
/** The server of the web does not speak HTTP as it should. */
export class Protocol extends ParlorError {}
/** The plugin's manifest does not ask for what this call needs, so that the call is not there at all. */
export class NotDeclared extends ParlorError {}

/** Those that are set outside of functions begin when the plugin does. */
declare global {
  function setTimeout<A extends unknown[]>(handler: (...values: A) => unknown, milliseconds?: number, ...values: A): number;
  function setInterval<A extends unknown[]>(handler: (...values: A) => unknown, milliseconds?: number, ...values: A): number;
  function clearTimeout(timer?: number): void;
  function clearInterval(timer?: number): void;
  /** Reads bytes as text: UTF-8, or windows-1252, as which the web also reads ISO-8859-1. `RangeError`: it has another name. */
  class TextDecoder {
    constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
    readonly encoding: string;
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    /** Bytes that are no UTF-8 become U+FFFD, or with `fatal` a `TypeError`. With `stream`, a character may go on in the next part. */
    decode(bytes?: Uint8Array | ArrayBuffer, options?: { stream?: boolean }): string;
  }
  /** Writes a text as UTF-8. */
  class TextEncoder {
    readonly encoding: string;
    encode(text?: string): Uint8Array;
  }
  const console: Record<"log" | "trace" | "debug" | "info" | "warn" | "error", (...values: unknown[]) => void>;
}
