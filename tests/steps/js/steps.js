import {
  Denied, Invalid, NotFound, NotReady, Offline, OverLimit, Rejected, StanzaError, Stopped, TimedOut, Unsupported,
} from "parlor";

let count = 0;
// The results of events since the last report.
let heard = [];

// The arguments of a part, and its results.
export class Steps {
  lines = [];

  constructor(friend, room, rest) {
    this.friend = friend;
    this.room = room;
    this.rest = rest;
  }

  async note(what, action) {
    let outcome;
    try {
      outcome = String(await action());
    } catch (error) {
      outcome = typed(error);
    }
    this.tell(line(what, outcome));
  }

  // Records a step that returns nothing.
  done(what, action) {
    return this.note(what, async () => {
      await action();
      return "done";
    });
  }

  // Records a step that must fail.
  fails(what, action) {
    return this.note(what, async () => {
      await action();
      return "it worked";
    });
  }

  // Records a step whose result differs in each run.
  some(what, action) {
    return this.note(what, async () => ((await action()) ? "something" : "nothing"));
  }

  hear() {
    heard.forEach((line) => this.tell(line));
    heard = [];
  }

  tell(line) {
    count += 1;
    this.lines.push(`${String(count).padStart(3, "0")} ${line}`);
  }
}

export function hear(what, outcome) {
  heard.push(line(what, outcome));
}

function line(what, outcome) {
  return `${what}: ${outcome}`;
}

// Returns the case of an error, with those of its fields that are the same in each run.
function typed(error) {
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
