// A poll, without anything of XMPP.

export interface Poll {
  question: string;
  choices: string[];
  /** The choices by voters. Their keys must differ from names that every object has, such as `__proto__`. */
  votes: Record<string, string>;
}

/** None: that is no question with two choices. */
export function begin(args: string[]): Poll | undefined {
  const [question, ...choices] = args;
  const different = [...new Set(choices)];
  if (!question || different.length < 2 || different.length > 20) return undefined;
  return { question, choices: different, votes: {} };
}

/** Whether it counts: who takes reactions back takes the vote back. */
export function vote(poll: Poll, who: string, emojis: string[]): boolean {
  const choice = emojis.find((emoji) => poll.choices.includes(emoji));
  if (poll.votes[who] === choice) return false;
  if (choice === undefined) delete poll.votes[who];
  else poll.votes[who] = choice;
  return true;
}

export function standing(poll: Poll): string {
  const given = Object.values(poll.votes);
  const counts = poll.choices.map((choice) => `${choice} ${given.filter((one) => one === choice).length}`);
  return `${poll.question} ${counts.join(", ")}`;
}
