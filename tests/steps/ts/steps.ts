import {
  Denied, Invalid, NotFound, NotReady, Offline, OverLimit, Rejected, StanzaError, Stopped, TimedOut, Unsupported,
} from "parlor";

type Action<T> = () => T | Promise<T>;

let count = 0;
// The results of events since the last report.
let heard: string[] = [];

// The arguments of a part, and its results.
export class Steps {
  lines: string[] = [];
  friend: string;
  room: string;
  rest: string;

  constructor(friend: string, room: string, rest: string) {
    this.friend = friend;
    this.room = room;
    this.rest = rest;
  }

  async note(what: string, action: Action<unknown>): Promise<void> {
    let outcome: string;
    try {
      outcome = String(await action());
    } catch (error) {
      outcome = typed(error);
    }
    this.tell(line(what, outcome));
  }

  // Records a step that returns nothing.
  done(what: string, action: Action<unknown>): Promise<void> {
    return this.note(what, async () => {
      await action();
      return "done";
    });
  }

  // Records a step that must fail.
  fails(what: string, action: Action<unknown>): Promise<void> {
    return this.note(what, async () => {
      await action();
      return "it worked";
    });
  }

  // Records a step whose result differs in each run.
  some(what: string, action: Action<string>): Promise<void> {
    return this.note(what, async () => ((await action()) ? "something" : "nothing"));
  }

  hear(): void {
    heard.forEach((line) => this.tell(line));
    heard = [];
  }

  tell(line: string): void {
    count += 1;
    this.lines.push(`${String(count).padStart(3, "0")} ${line}`);
  }
}

export function hear(what: string, outcome: string): void {
  heard.push(line(what, outcome));
}

function line(what: string, outcome: string): string {
  return `${what}: ${outcome}`;
}

// Returns the case of an error, with those of its fields that are the same in each run.
function typed(error: unknown): string {
  if (error instanceof Denied) return `denied ${error.permission}`;
  if (error instanceof Invalid) return `invalid ${error.argument}`;
  if (error instanceof NotFound) return "not-found";
  if (error instanceof NotReady) return `not-ready ${error.promise}`;
  if (error instanceof Unsupported) return "unsupported";
  if (error instanceof StanzaError) return `stanza ${error.condition}`;
  if (error instanceof Rejected) return `rejected ${error.reason}`;
  if (error instanceof TimedOut) return "timed-out";
  if (error instanceof Offline) return "offline";
  if (error instanceof Stopped) return "stopped";
  if (error instanceof OverLimit) return "over-limit";
  return `other ${error}`;
}
