// A hundred steps, the same in every language: see tests/guests/steps.

import { on, reply } from "parlor";

import { take } from "./parts.js";
import { Steps } from "./steps.js";

on("message", { kind: "chat" }, async (message) => {
  const [part, friend, room, ...rest] = (message.body ?? "").split(" ");
  const steps = new Steps(friend, room, rest.join(" "));
  await take(part, steps, message);
  await reply(message, `${part}\n${steps.lines.join("\n")}`);
});
