// Says what you said.

import { log, on, onStart, reply, type Message } from "parlor";

async function answer(message: Message): Promise<void> {
  // A copy of what another client of the account received is left to that one.
  if (message.body && !message.carbon) await reply(message, `you said: ${message.body}`);
}

on("message", { kind: "chat" }, answer);

onStart(() => log.info("ready"));
