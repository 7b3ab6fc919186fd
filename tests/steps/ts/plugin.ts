// A hundred steps, the same in every language: see tests/guests/steps.

import { on, reply, type Message } from "parlor";

import { take } from "./parts.ts";
import { Steps } from "./steps.ts";

on("message", { kind: "chat" }, async (message: Message): Promise<void> => {
  const [part, friend, room, ...rest] = (message.body ?? "").split(" ");
  const steps = new Steps(friend, room, rest.join(" "));
  await take(part, steps, message);
  await reply(message, `${part}\n${steps.lines.join("\n")}`);
});
