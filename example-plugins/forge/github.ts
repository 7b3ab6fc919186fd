// Events of GitHub, and of Gitea and Forgejo, whose events have nearly the same fields.
//
// https://docs.github.com/webhooks/webhook-events-and-payloads, and `modules/structs/hook.go` of Gitea.

import { comment, deleted, line, name, oneLine, person, pushed, thing, type Commit, type News, type Text } from "./news.ts";

/** An issue or a pull request. */
interface Item {
  number: number;
  title: Text;
  html_url: Text;
}

interface Payload {
  repository: { full_name: string };
  sender?: { login: Text } | null;
}

interface Acted extends Payload {
  action: string;
}

interface PushEvent extends Payload {
  ref: string;
  before: string;
  after: string;
  commits?: Commit[] | null;
  /** Only of GitHub. */
  forced?: boolean;
  compare?: string;
  /** Only of Gitea and Forgejo. */
  compare_url?: string;
  total_commits?: number;
}

interface DeleteEvent extends Payload {
  ref: string;
  ref_type: string;
}

interface IssueEvent extends Acted {
  issue: Item;
}

interface PullRequestEvent extends Acted {
  pull_request: Item & { merged: boolean };
}

interface IssueCommentEvent extends Acted {
  issue: Item & { pull_request?: unknown };
  comment: { body: Text; html_url: Text };
}

interface ReviewCommentEvent extends Acted {
  pull_request: Item;
  comment: { body: Text; html_url: Text };
}

interface ReviewEvent extends Acted {
  pull_request: Item;
  /** Its text is `content` at Gitea and Forgejo. */
  review: { body?: Text; content?: Text; html_url?: Text };
}

interface CommitCommentEvent extends Acted {
  comment: { body: Text; html_url: Text; commit_id: string };
}

interface ReleaseEvent extends Acted {
  release: { name: Text; tag_name: Text; html_url: Text };
}

interface WorkflowRunEvent extends Acted {
  workflow?: { name: Text } | null;
  /** A run for a tag has no branch. */
  workflow_run: { name?: Text; conclusion: Text; head_branch: Text; html_url: Text };
}

/** Only of Forgejo. */
interface ActionRunEvent {
  run: { title: Text; prettyref: Text; html_url: Text; repository: { full_name: string } };
}

/** The actions on issues and pull requests that are told. */
const TOLD = ["opened", "closed", "reopened"];
const FAILED = ["failure", "startup_failure", "timed_out"];

/** The functions that read the events. A map has no inherited names, such as `constructor`. */
const EVENTS = new Map<string, (body: any) => string[]>([
  ["push", push],
  ["issues", issue],
  ["pull_request", pullRequest],
  ["issue_comment", issueComment],
  ["pull_request_review_comment", reviewComment],
  ["pull_request_review", review],
  ["pull_request_approved", review],
  ["pull_request_comment", review],
  ["pull_request_rejected", review],
  ["commit_comment", commitComment],
  ["release", release],
  ["workflow_run", workflowRun],
  ["action_run_failure", actionRunFailure],
]);

/** Returns what an event means for rooms; undefined for events of other kinds. */
export function read(event: string, body: any): News | undefined {
  const lines = EVENTS.get(event)?.(body);
  const repository = body.repository ?? body.run?.repository;
  return lines && { repository: repository.full_name, lines };
}

/** Returns what an event of Gitea or Forgejo means. They send no push for a branch that is deleted; GitHub sends both. */
export function readGitea(event: string, body: any): News | undefined {
  return event === "delete" ? { repository: body.repository.full_name, lines: branchDeleted(body) } : read(event, body);
}

function branchDeleted({ ref, ref_type: kind, sender }: DeleteEvent): string[] {
  return kind === "branch" ? deleted(sender?.login, ref) : [];
}

function push(body: PushEvent): string[] {
  const commits = body.commits ?? [];
  return pushed({
    who: body.sender?.login,
    ref: body.ref,
    before: body.before,
    after: body.after,
    isForced: body.forced ?? false,
    commits,
    total: body.total_commits ?? commits.length,
    link: body.compare ?? body.compare_url,
  });
}

function issue({ action, issue, sender }: IssueEvent): string[] {
  if (!TOLD.includes(action)) return [];
  return [line(`${person(sender?.login)} ${action} ${thing("issue", `#${issue.number}`, issue.title)}`, issue.html_url)];
}

function pullRequest({ action, pull_request: request, sender }: PullRequestEvent): string[] {
  if (!TOLD.includes(action)) return [];
  const did = action === "closed" && request.merged ? "merged" : action;
  return [line(`${person(sender?.login)} ${did} ${thing("pull request", `#${request.number}`, request.title)}`, request.html_url)];
}

function issueComment({ action, issue, comment: said, sender }: IssueCommentEvent): string[] {
  if (action !== "created") return [];
  const kind = issue.pull_request ? "pull request" : "issue";
  return comment(sender?.login, thing(kind, `#${issue.number}`, issue.title), said.body, said.html_url);
}

function reviewComment({ action, pull_request: request, comment: said, sender }: ReviewCommentEvent): string[] {
  if (action !== "created") return [];
  return comment(sender?.login, thing("pull request", `#${request.number}`, request.title), said.body, said.html_url);
}

/** Tells of the text of a review. Without one it has comments on lines, of which GitHub sends events of their own. */
function review({ action, pull_request: request, review: given, sender }: ReviewEvent): string[] {
  const text = given.body ?? given.content;
  if (!text || !["submitted", "reviewed"].includes(action)) return [];
  return comment(sender?.login, thing("pull request", `#${request.number}`, request.title), text, given.html_url ?? request.html_url);
}

function commitComment({ action, comment: said, sender }: CommitCommentEvent): string[] {
  if (action !== "created") return [];
  return comment(sender?.login, `commit ${oneLine(said.commit_id.slice(0, 7))}`, said.body, said.html_url);
}

function release({ action, release, sender }: ReleaseEvent): string[] {
  if (action !== "published") return [];
  return [line(`${person(sender?.login)} released ${oneLine(release.name || release.tag_name)}`, release.html_url)];
}

function workflowRun({ action, workflow, workflow_run: run }: WorkflowRunEvent): string[] {
  if (action !== "completed" || !FAILED.includes(run.conclusion ?? "")) return [];
  const which = run.name ?? workflow?.name ?? "workflow";
  const branch = name(run.head_branch);
  return [line(`${name(which)} failed${branch && ` on ${branch}`}`, run.html_url)];
}

function actionRunFailure({ run }: ActionRunEvent): string[] {
  return [line(`${oneLine(run.title)} failed on ${name(run.prettyref)}`, run.html_url)];
}
