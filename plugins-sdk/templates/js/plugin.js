// Says what you said.

import { log, on, onStart, reply } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  if (message.body) await reply(message, `you said: ${message.body}`);
});

onStart(() => log.info("ready"));
