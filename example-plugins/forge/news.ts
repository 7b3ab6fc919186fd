// The texts for rooms, the same for every forge. Titles and names come from strangers: each becomes part of one line.

/** News of a repository. Without lines, rooms are not told. */
export interface News {
  /** The name of the repository with that of its owner, such as `juliet/garden`. */
  repository: string;
  lines: string[];
}

export interface Commit {
  id: string;
  message: string;
  author: { name: string };
}

export interface Push {
  who: string;
  /** Such as `refs/heads/main` or `refs/tags/v1.0`. */
  ref: string;
  /** The commits that the branch or tag named before and after, zeros if it did not exist. */
  before: string;
  after: string;
  isForced: boolean;
  commits: Commit[];
  /** The number of all commits: `commits` may have fewer. */
  total: number;
  link: string;
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
export function oneLine(text: string, most = MOST_TITLE): string {
  // The rest of a long text need not be searched.
  const begin = text.slice(0, 10 * most);
  const letters = [...begin.replace(/\s+/gu, " ").replace(UNSAFE, "").trim()];
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most - 1).join("").trimEnd()}…`;
}

/** The same for names, which are shorter. */
export const name = (text: string): string => oneLine(text, MOST_NAME);

/** Adds a link to a sentence, unless it is not an address on the web. */
export function line(happened: string, link: string): string {
  return link.length <= MOST_LINK && LINK.test(link) ? `${happened} ${link}` : happened;
}

/** Returns the name of an issue or a request, such as `issue #5: Water the roses`. */
export const thing = (kind: string, number: string, title: string): string => `${kind} ${number}: ${oneLine(title)}`;

/** Tells of a comment. */
export function comment(who: string, on: string, text: string, link: string): string[] {
  return [line(`${name(who)} commented on ${on}`, link), `  ${oneLine(text)}`];
}

/** Tells of a push. */
export function pushed(push: Push): string[] {
  const isTag = push.ref.startsWith("refs/tags/");
  const target = `${isTag ? "tag" : "branch"} ${name(push.ref.replace(/^refs\/(heads|tags)\//, ""))}`;
  const who = name(push.who);
  if (isNone(push.after)) return [`${who} deleted ${target}`];
  const isNew = isNone(push.before);
  if (isTag || push.commits.length === 0) {
    if (!isNew && !push.isForced) return [];
    return [line(`${who} ${isNew ? "created" : "moved"} ${target}`, push.link)];
  }
  const verb = push.isForced ? "force-pushed" : "pushed";
  const count = `${push.total} ${push.total === 1 ? "commit" : "commits"}`;
  const shown = push.commits.slice(0, MOST_COMMITS);
  const more = push.total - shown.length;
  return [
    line(`${who} ${verb} ${count} to ${target}`, push.link),
    ...shown.map((one) => `  ${oneLine(one.id.slice(0, 7))} ${name(one.author.name)}: ${oneLine(firstLine(one.message))}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

const firstLine = (text: string): string => text.trimStart().split("\n", 1)[0] ?? "";
