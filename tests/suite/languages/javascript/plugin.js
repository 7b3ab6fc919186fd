// What authors expect of JavaScript and of the SDK: see tests.

import { on, reply, rooms, send, setSetting, sleep, storage } from "parlor";

// texts.chat

on("message", { prefix: "🍕" }, async (message) => {
  const half = message.body.slice(0, 1);
  console.warn(half);
  await reply(message, half);
});

// types.chat

on("message", { prefix: "types" }, async (message) => {
  const wrong = [
    () => send(undefined, "hello"),
    () => send(5, "hello"),
    () => send(message.chat, { body: 6 }),
    () => send(message.chat, { reactTo: message, emojis: "👍" }),
    () => storage.get(7),
    () => setSetting("greeting", undefined),
    () => on("message", { kind: ["chat", "normal"] }, () => {}),
    () => sleep("soon"),
    () => rooms.occupants(null),
  ];
  const errors = [];
  for (const call of wrong) {
    try {
      await call();
    } catch (error) {
      errors.push(`${error.name}: ${error.message}`);
    }
  }
  await reply(message, errors.join("\n"));
});
