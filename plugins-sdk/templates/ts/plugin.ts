// Says what you said.

import { log, on, onStart, reply, type Message } from "parlor";

async function answer(message: Message): Promise<void> {
  if (message.body) await reply(message, `you said: ${message.body}`);
}

on("message", { kind: "chat" }, answer);

onStart(() => log.info("ready"));
