// Says what you said.

import { log, on, onStart, reply } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  // Another client answers what it received (`carbon`), and another plugin its commands (`command`).
  if (message.body && !message.carbon && !message.command) await reply(message, `you said: ${message.body}`);
});

onStart(() => log.info("ready"));
