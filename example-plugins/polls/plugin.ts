// Asks a question, and counts the reactions: `!poll 'Pizza or pasta?' 🍕 🍝`. Without choices it asks for them first.

import {
  answer, argument, askAuthor, command, Denied, NotFound, occupantOf, on, onStart, progress, Rejected, reply, setting, storage, TimedOut,
  type Message,
} from "parlor";
import { begin, standing, vote, type Poll } from "./poll.ts";

const DAY = 24 * 60 * 60;

/** The poll of a chat or room, and the ids of the message that people react to: ours, and in a room also the room's. */
interface Asked {
  poll: Poll;
  ids: string[];
}

const get = (chat: string): Promise<Asked | undefined> => storage.get<Asked>(chat);
const keep = (chat: string, asked: Asked): Promise<void> =>
  storage.set(chat, asked, { expires: setting("days", 7) * DAY });

await command("poll", {
  help: "Asks a question",
  arguments: {
    // A client that shows the command as a form asks for one after the other.
    question: argument.text({ help: "In quotes, such as 'Pizza or pasta?'", page: "The question" }),
    choices: argument.rest({ help: "Such as 🍕 🍝", page: "What to choose from", optional: true }),
  },
}, async (given) => {
  const { args, message } = given;
  // Nobody else hears a private message in a room, and each nickname there would have a poll of its own.
  if (message.chat.includes("/")) {
    await answer(given, "Ask all in the room: only you could vote here.");
    return;
  }
  // In `args` a choice of several words in quotes is one.
  const choices = args.length > 1 ? [] : await choicesOf(message);
  if (!choices) return;
  const poll = begin([...args, ...choices]);
  if (!poll) {
    await answer(given, "Say: poll 'Pizza or pasta?' 🍕 🍝");
    return;
  }
  // In one turn: the echo, and the first votes, may come before `reply` has told the id.
  await inTurn(async () => {
    const id = await reply(message, `${poll.question} React with ${poll.choices.join(" or ")}`);
    await keep(message.chat, { poll, ids: [id] });
  });
  // Only people who gave it by a form are told where to look.
  await progress(given, "I have asked in our chat: react there.");
});

/** Asks who gave the command for the choices. Undefined: the person thought better of it. */
async function choicesOf(message: Message): Promise<string[] | undefined> {
  try {
    const answer = await askAuthor(message, "Which choices? Such as 🍕 🍝", { timeout: 120 });
    return answer.text.split(/\s+/);
  } catch (error) {
    if (error instanceof TimedOut || error instanceof Rejected) return undefined;
    throw error;
  }
}

await command("votes", { help: "Says how the poll stands" }, async (votes) => {
  const asked = await inTurn(() => get(votes.message.chat));
  await answer(votes, asked ? standing(asked.poll) : "There is no poll here.");
});

/** One after the other: between reading and writing, handlers of other messages would begin. */
let last: Promise<unknown> = Promise.resolve();
function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const next = last.then(action, action);
  last = next;
  return next;
}

/**
 * Returns the key of a voter, which begins with its kind: an id cannot be taken as a nickname, and no key is a name that every object has,
 * such as `__proto__`. A person who changes the nickname keeps the occupant id and the address.
 */
function voter(message: Message): string {
  if (message.kind !== "groupchat") return `chat ${message.chat}`;
  const person = message.occupantId ? undefined : occupant(message);
  const id = message.occupantId ?? person?.occupantId;
  if (id) return `id ${id}`;
  const address = person?.jid?.split("/")[0];
  return address ? `jid ${address}` : `nick ${message.nick ?? ""}`;
}

/** Returns the author of a message in a room; undefined: the author or the account has left, or the owner did not grant it. */
function occupant(message: Message): ReturnType<typeof occupantOf> {
  try {
    return occupantOf(message);
  } catch (error) {
    if (error instanceof Denied || error instanceof NotFound) return undefined;
    throw error;
  }
}

async function count(message: Message): Promise<void> {
  const asked = await get(message.chat);
  if (!asked) return;
  const reactions = message.extensions?.reactions;
  if (message.own) {
    // In a room people know a message by the id that the room gave it, which is told by its echo.
    const ours = asked.ids.includes(message.id ?? "") || asked.ids.includes(message.originId ?? "");
    if (!ours || !message.stanzaId || asked.ids.includes(message.stanzaId)) return;
    asked.ids.push(message.stanzaId);
  } else if (!reactions || !asked.ids.includes(reactions.id)) {
    return;
  } else if (!vote(asked.poll, voter(message), reactions.emojis, setting("voters", 500))) {
    return;
  }
  await keep(message.chat, asked);
}

on("message", { own: true }, (message) => inTurn(() => count(message)));
onStart(() => console.info("ready to ask"));
