// Says what you said.

import { log, on, onStart, reply, type Message } from "parlor";

async function answer(message: Message): Promise<void> {
  // Another client answers what it received (`carbon`), and another plugin its commands (`command`).
  if (message.body && !message.carbon && !message.command) await reply(message, `you said: ${message.body}`);
}

on("message", { kind: "chat" }, answer);

onStart(() => log.info("ready"));
