/* A hundred steps, the same in every language: see tests/guests/steps. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

static unsigned count;
static char *lines;

/* The results of events since the last report, in order. */
static struct {
  char *what, *outcome;
} later[8];
static size_t waiting;

static void tell(const char *what, const char *outcome) {
  char *longer;
  if (asprintf(&longer, "%s\n%03u %s: %s", lines ? lines : "", ++count, what, outcome) < 0) abort();
  free(lines);
  lines = longer;
}

/* Returns the case of an error, with those of its fields that are the same in each run. */
static const char *typed(parlor_error error) {
  static const char *const names[] = {
      "ok", "denied", "invalid", "not-found", "not-ready", "unsupported", "stanza", "rejected", "timed-out", "offline", "stopped", "over-limit", "other"};
  const parlor_failure *failure = parlor_failed();
  static const char prefix[] = "rejected: ";
  switch (error) {
    case PARLOR_DENIED:
      return parlor_format("denied %s", failure->permission);
    case PARLOR_INVALID:
      return parlor_format("invalid %s", failure->argument);
    case PARLOR_NOT_READY:
      return parlor_format("not-ready %s", failure->name);
    case PARLOR_STANZA:
      return parlor_format("stanza %s", failure->condition);
    case PARLOR_REJECTED:
      return parlor_format("rejected %s", failure->text + strlen(prefix));
    default:
      return names[error];
  }
}

void note(const char *what, parlor_error error, const char *format, ...) {
  char *text;
  va_list values;
  va_start(values, format);
  if (vasprintf(&text, format, values) < 0) abort();
  va_end(values);
  tell(what, error ? typed(error) : text);
  free(text);
}

void done(const char *what, parlor_error error) {
  note(what, error, "done");
}

void fails(const char *what, parlor_error error) {
  note(what, error, "it worked");
}

void some(const char *what, parlor_error error, plugin_string_t text) {
  note(what, error, "%s", error || text.len ? "something" : "nothing");
}

void hear(const char *what, const char *outcome) {
  if (waiting == sizeof later / sizeof *later) abort();
  later[waiting].what = strdup(what);
  later[waiting++].outcome = strdup(outcome);
}

void heard(void) {
  for (size_t i = 0; i < waiting; i++) {
    tell(later[i].what, later[i].outcome);
    free(later[i].what);
    free(later[i].outcome);
  }
  waiting = 0;
}

static parlor_error answer(const parlor_event *event, void *context) {
  char *rest = strdup(event->message->body ? event->message->body : "");
  char *begin = rest;
  const char *part = strsep(&rest, " ");
  steps told = {.friend = strsep(&rest, " "), .room = strsep(&rest, " "), .rest = rest, .message = event->message};
  (void)context;
  take_part(part, &told);
  parlor_error error = parlor_chats_reply(event->message, "%s%s", part, lines ? lines : "\n");
  free(lines);
  lines = NULL;
  free(begin);
  return error;
}

parlor_error parlor_start(void) {
  return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
}
