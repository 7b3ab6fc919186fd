// Events of GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events/.

import { comment, isNone, line, name, oneLine, pushed, thing, type Commit, type News } from "./news.ts";

interface Payload {
  project: { path_with_namespace: string; web_url: string };
  user: { username: string };
}

interface PushEvent extends Omit<Payload, "user"> {
  user_username: string;
  ref: string;
  before: string;
  after: string;
  commits: Commit[];
  total_commits_count: number;
}

/** An issue or a merge request. */
interface Item {
  iid: number;
  title: string;
}

interface ItemEvent extends Payload {
  object_attributes: Item & { action?: string; url: string };
}

interface NoteEvent extends Payload {
  object_attributes: { note: string; url: string; action?: string };
  issue?: Item;
  merge_request?: Item;
  commit?: { id: string; message: string };
}

interface ReleaseEvent extends Omit<Payload, "user"> {
  action: string;
  name: string;
  url: string;
}

interface PipelineEvent extends Payload {
  object_attributes: { id: number; ref: string; status: string };
}

/** The actions on issues and merge requests that are told, and their words. */
const TOLD = new Map([["open", "opened"], ["close", "closed"], ["reopen", "reopened"], ["merge", "merged"]]);

/** The functions that read the events. Confidential issues and notes have events of their own, which are not told. */
const EVENTS = new Map<string, (body: any) => string[]>([
  ["Push Hook", push],
  ["Tag Push Hook", push],
  ["Issue Hook", (body: ItemEvent) => item("issue", "#", body)],
  ["Merge Request Hook", (body: ItemEvent) => item("merge request", "!", body)],
  ["Note Hook", note],
  ["Release Hook", release],
  ["Pipeline Hook", pipeline],
]);

/** Returns what an event means for rooms; undefined for events of other kinds. */
export function read(event: string, body: any): News | undefined {
  const lines = EVENTS.get(event)?.(body);
  return lines && { repository: body.project.path_with_namespace, lines };
}

function push(body: PushEvent): string[] {
  const { before, after, project } = body;
  return pushed({
    who: body.user_username,
    ref: body.ref,
    before,
    after,
    // The event does not say it.
    isForced: false,
    commits: body.commits,
    total: body.total_commits_count,
    link: `${project.web_url}/-/${isNone(before) ? `commit/${after}` : `compare/${before}...${after}`}`,
  });
}

function item(kind: string, sign: string, { object_attributes: one, user }: ItemEvent): string[] {
  const did = TOLD.get(one.action ?? "");
  return did ? [line(`${name(user.username)} ${did} ${thing(kind, `${sign}${one.iid}`, one.title)}`, one.url)] : [];
}

function note(body: NoteEvent): string[] {
  const { object_attributes: said, user } = body;
  const on = noted(body);
  return on && said.action !== "update" ? comment(user.username, on, said.note, said.url) : [];
}

/** Names the object of a note; undefined for snippets. */
function noted({ issue, merge_request: request, commit }: NoteEvent): string | undefined {
  if (issue) return thing("issue", `#${issue.iid}`, issue.title);
  if (request) return thing("merge request", `!${request.iid}`, request.title);
  return commit && thing("commit", oneLine(commit.id.slice(0, 7)), commit.message.split("\n", 1)[0] ?? "");
}

function release(body: ReleaseEvent): string[] {
  return body.action === "create" ? [line(`${oneLine(body.name)} was released`, body.url)] : [];
}

function pipeline({ object_attributes: run, project }: PipelineEvent): string[] {
  if (run.status !== "failed") return [];
  return [line(`Pipeline ${run.id} failed on ${name(run.ref)}`, `${project.web_url}/-/pipelines/${run.id}`)];
}
