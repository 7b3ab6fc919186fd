// A poll, without anything of XMPP.

export interface Poll {
  question: string;
  choices: string[];
  /** The choices by voters. Their keys must differ from names that every object has, such as `__proto__`. */
  votes: Record<string, string>;
}

// A poll is one value of the storage, which has at most 256 KiB. A letter takes up to three bytes, so these numbers keep it below 240 KiB.
const MOST_VOTERS = 500;
const MOST_KEY = 128;
const MOST_QUESTION = 500;
const MOST_CHOICES = 20;
const MOST_CHOICE = 24;

/** None: that is no question with two choices, or it is too long. */
export function begin(args: string[]): Poll | undefined {
  const [question, ...choices] = args;
  const different = [...new Set(choices)];
  if (!question || question.length > MOST_QUESTION || different.some((choice) => choice.length > MOST_CHOICE)) return undefined;
  if (different.length < 2 || different.length > MOST_CHOICES) return undefined;
  return { question, choices: different, votes: {} };
}

/** Whether it counts: who takes reactions back takes the vote back. After `most` voters, only they may still change their minds. */
export function vote(poll: Poll, who: string, emojis: string[], most: number): boolean {
  const voter = who.slice(0, MOST_KEY);
  const choice = emojis.find((emoji) => poll.choices.includes(emoji));
  if (poll.votes[voter] === choice) return false;
  if (choice === undefined) delete poll.votes[voter];
  else if (voter in poll.votes || Object.keys(poll.votes).length < Math.min(most, MOST_VOTERS)) poll.votes[voter] = choice;
  else return false;
  return true;
}

export function standing(poll: Poll): string {
  const given = Object.values(poll.votes);
  const counts = poll.choices.map((choice) => `${choice} ${given.filter((one) => one === choice).length}`);
  return `${poll.question} ${counts.join(", ")}`;
}
