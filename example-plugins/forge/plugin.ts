// Tells rooms what happens in repositories. The host has verified each request before it comes here.

import { log, NotFound, on, rooms, setting, storage, waitUntil, type Webhook, webhooks } from "parlor";
import * as github from "./github.ts";
import * as gitlab from "./gitlab.ts";
import { name, type News } from "./news.ts";

/** Reads the body of an event. */
type Reader = (event: string, body: any) => News | undefined;

/**
 * How many requests that were told are remembered. The host repeats a request whose handler was cut off, before it passes on the next one.
 * A request that the owner replays has the same id, but begins with the first attempt, and is told again.
 */
const REMEMBERED = 50;

/** The content type of a webhook at GitHub if nobody chooses another one. The event is in one field of the form. */
const FORM = "application/x-www-form-urlencoded";

on("webhook", { webhook: "github" }, (hook) => tell(hook, "x-github-event", github.read));
on("webhook", { webhook: "gitea" }, (hook) => tell(hook, "x-gitea-event", github.readGitea));
on("webhook", { webhook: "gitlab" }, (hook) => tell(hook, "x-gitlab-event", gitlab.read));

async function tell(hook: Webhook, header: string, reader: Reader): Promise<void> {
  const event = hook.headers[header] ?? "";
  if (event === "ping") return log.info(`${hook.name} sends its events here`);
  const news = read(hook, event, reader);
  if (!news || news.lines.length === 0) return;
  const room = roomOf(news.repository);
  if (!room) return log.warn(`no room is told of ${name(news.repository)}: set room or rooms`);
  if (hook.attempt > 1 && (await storage.get<string[]>("told", [])).includes(hook.id)) return;
  await say(room, news);
  // If the room cannot be reached, this line is not reached either, and the host repeats the request.
  await storage.change<string[]>("told", (told = []) => [...told, hook.id].slice(-REMEMBERED));
}

/** Reads a request. It does not throw: the host would repeat the request, which would not help. */
function read(hook: Webhook, event: string, reader: Reader): News | undefined {
  try {
    const news = reader(event, payload(hook));
    // The types above are those that forges promise. An event without a repository belongs to no room.
    if (news && typeof news.repository !== "string") throw new TypeError("it names no repository");
    return news;
  } catch (error) {
    log.warn(`the event ${name(event)} of ${hook.name} was not understood:`, error);
    return undefined;
  }
}

/** Returns the body of an event. */
function payload(hook: Webhook): unknown {
  if (!hook.headers["content-type"]?.toLowerCase().startsWith(FORM)) return hook.json();
  return JSON.parse(webhooks.field(hook.text(), "payload") ?? "");
}

/** Returns the room that is told of a repository. */
function roomOf(repository: string): string | undefined {
  for (const entry of setting<string[]>("rooms", [])) {
    const [listed = "", room] = entry.split("=");
    if (listed.trim().toLowerCase() === repository.toLowerCase()) return room?.trim();
  }
  return setting<string>("room");
}

async function say(room: string, { repository, lines }: News): Promise<void> {
  const text = `[${name(repository)}] ${lines.join("\n")}`;
  // Requests that came while the plugin did not run are passed on before the account has entered its rooms.
  await waitUntil("initialized");
  try {
    await rooms.send(room, text);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    await rooms.open(room);
    await rooms.send(room, text);
  }
}
