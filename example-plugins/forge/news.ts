// The texts for rooms, the same for every forge. Titles and names come from strangers: each becomes part of one line.

/** News of a repository. Without lines, rooms are not told. */
export interface News {
  /** The name of the repository with that of its owner, such as `juliet/garden`. */
  repository: string;
  lines: string[];
}

/** A text of an event. Forges leave some out, or send `null`. */
export type Text = string | null | undefined;

export interface Commit {
  id: string;
  message: Text;
  author?: { name?: Text } | null;
}

export interface Push {
  who: Text;
  /** Such as `refs/heads/main` or `refs/tags/v1.0`. */
  ref: string;
  /** The commits that the branch or tag named before and after, zeros if it did not exist. */
  before: string;
  after: string;
  isForced: boolean;
  commits: Commit[];
  /** The number of all commits: `commits` may have fewer. */
  total: number;
  link: Text;
}

const MOST_COMMITS = 5;
const MOST_NAME = 60;
const MOST_TITLE = 120;
const MOST_LINK = 1000;

/** Control characters, lone surrogates, and marks that change the direction of the following text. */
const UNSAFE = /[\u{0}-\u{1f}\u{7f}-\u{9f}\u{61c}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{d800}-\u{dfff}\u{feff}\u{fff9}-\u{ffff}]/gu;
const LINK = /^https?:\/\/[^\s\p{C}]+$/u;

/** Whether this is the id of no commit. */
export const isNone = (id: string): boolean => /^0+$/.test(id);

/** Returns a text as one line, cut to a length. */
export function oneLine(text: Text, most = MOST_TITLE): string {
  // The rest of a long text need not be searched.
  const begin = (text ?? "").slice(0, 10 * most);
  const letters = [...begin.replace(/\s+/gu, " ").replace(UNSAFE, "").trim()];
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most - 1).join("").trimEnd()}…`;
}

/** The same for names, which are shorter. */
export const name = (text: Text): string => oneLine(text, MOST_NAME);

/** Names a person. Forges do not say who somebody is whose account was deleted. */
export const person = (login: Text): string => name(login) || "somebody";

/** Adds a link to a sentence, unless it is not an address on the web. */
export function line(happened: string, link: Text): string {
  return link && link.length <= MOST_LINK && LINK.test(link) ? `${happened} ${link}` : happened;
}

/** Returns the name of an issue or a request, such as `issue #5: Water the roses`. */
export const thing = (kind: string, number: string, title: Text): string => `${kind} ${number}: ${oneLine(title)}`;

/** Tells of a comment. */
export function comment(who: Text, on: string, text: Text, link: Text): string[] {
  return [line(`${person(who)} commented on ${on}`, link), `  ${oneLine(text)}`];
}

/** Names a branch or tag. */
const target = (ref: string): string =>
  `${ref.startsWith("refs/tags/") ? "tag" : "branch"} ${name(ref.replace(/^refs\/(heads|tags)\//, ""))}`;

/** Tells that a branch or tag is gone. */
export const deleted = (who: Text, ref: string): string[] => [`${person(who)} deleted ${target(ref)}`];

/** Tells of a push. */
export function pushed(push: Push): string[] {
  if (isNone(push.after)) return deleted(push.who, push.ref);
  const who = person(push.who);
  if (push.ref.startsWith("refs/tags/") || push.commits.length === 0) {
    // Without commits, a branch was moved to one that the forge knew, such as an earlier one.
    if (push.before === push.after) return [];
    return [line(`${who} ${isNone(push.before) ? "created" : "moved"} ${target(push.ref)}`, push.link)];
  }
  const verb = push.isForced ? "force-pushed" : "pushed";
  const count = `${push.total} ${push.total === 1 ? "commit" : "commits"}`;
  const shown = push.commits.slice(0, MOST_COMMITS);
  const more = push.total - shown.length;
  return [
    line(`${who} ${verb} ${count} to ${target(push.ref)}`, push.link),
    ...shown.map((one) => `  ${oneLine(one.id.slice(0, 7))} ${person(one.author?.name)}: ${oneLine(firstLine(one.message))}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** Returns the first line of a message. */
export const firstLine = (text: Text): string => (text ?? "").trimStart().split("\n", 1)[0] ?? "";
