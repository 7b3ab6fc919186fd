// Events of GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events/.

import { comment, firstLine, isNone, line, name, oneLine, person, pushed, thing, type Commit, type News, type Text } from "./news.ts";

interface Payload {
  project: { path_with_namespace: string; web_url: string };
  user?: { username: Text } | null;
}

interface PushEvent extends Omit<Payload, "user"> {
  user_username?: Text;
  user_name?: Text;
  ref: string;
  before: string;
  after: string;
  /** The commit, also if `after` is that of a tag with a message. */
  checkout_sha?: Text;
  commits?: Commit[] | null;
  total_commits_count?: number;
}

/** An issue or a merge request. */
interface Item {
  iid: number;
  title: Text;
}

interface ItemEvent extends Payload {
  object_attributes: Item & { action?: string; url: Text };
}

interface NoteEvent extends Payload {
  object_attributes: { note: Text; url: Text; action?: string };
  issue?: Item | null;
  merge_request?: Item | null;
  commit?: { id: string; message: Text } | null;
}

interface ReleaseEvent extends Omit<Payload, "user"> {
  action: string;
  name?: Text;
  tag?: Text;
  url: Text;
}

interface PipelineEvent extends Payload {
  object_attributes: { id: number; ref: Text; status: string };
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
  const commits = body.commits ?? [];
  return pushed({
    who: body.user_username ?? body.user_name,
    ref: body.ref,
    before,
    after,
    // The event does not say it.
    isForced: false,
    commits,
    total: body.total_commits_count ?? commits.length,
    link: `${project.web_url}/-/${isNone(before) ? `commit/${body.checkout_sha ?? after}` : `compare/${before}...${after}`}`,
  });
}

function item(kind: string, sign: string, { object_attributes: one, user }: ItemEvent): string[] {
  const did = TOLD.get(one.action ?? "");
  return did ? [line(`${person(user?.username)} ${did} ${thing(kind, `${sign}${one.iid}`, one.title)}`, one.url)] : [];
}

function note(body: NoteEvent): string[] {
  const { object_attributes: said, user } = body;
  const on = noted(body);
  return on && said.action !== "update" ? comment(user?.username, on, said.note, said.url) : [];
}

/** Names the object of a note; undefined for snippets. */
function noted({ issue, merge_request: request, commit }: NoteEvent): string | undefined {
  if (issue) return thing("issue", `#${issue.iid}`, issue.title);
  if (request) return thing("merge request", `!${request.iid}`, request.title);
  return commit ? thing("commit", oneLine(commit.id.slice(0, 7)), firstLine(commit.message)) : undefined;
}

function release(body: ReleaseEvent): string[] {
  return body.action === "create" ? [line(`${oneLine(body.name || body.tag)} was released`, body.url)] : [];
}

function pipeline({ object_attributes: run, project }: PipelineEvent): string[] {
  if (run.status !== "failed") return [];
  return [line(`Pipeline ${run.id} failed on ${name(run.ref)}`, `${project.web_url}/-/pipelines/${run.id}`)];
}
