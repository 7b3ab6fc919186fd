// Says what you said.

import { log, on, onStart, reply } from "parlor";

on("message", { kind: "chat" }, async (message) => {
  // A copy of what another client of the account received is left to that one.
  if (message.body && !message.carbon) await reply(message, `you said: ${message.body}`);
});

onStart(() => log.info("ready"));
