// What authors expect of JavaScript and of the SDK: see tests.

import { on, reply } from "parlor";

// texts.chat

on("message", { prefix: "🍕" }, async (message) => {
  const half = message.body.slice(0, 1);
  console.warn(half);
  await reply(message, half);
});
