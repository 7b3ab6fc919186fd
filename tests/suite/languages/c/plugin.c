/* What authors expect of C and of the SDK: see tests. */

#include <parlor.h>

/* mentions.chat */

static parlor_error mentioned(const parlor_event *event, void *context) {
  (void)context;
  const parlor_occupant *who;
  parlor_error error = parlor_occupant_of(event->message, &who);
  if (error) return error;
  if (!who) return parlor_reply(event->message, "nobody");
  return parlor_reply(event->message, "%s, %s, %s", who->nick, who->affiliation, who->role);
}

/* texts.chat */

static parlor_error cut(const parlor_event *event, void *context) {
  (void)context;
  parlor_log(PARLOR_WARN, "%.2s", event->message->body);
  return parlor_reply(event->message, "%.2s", event->message->body);
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_on_mention(mentioned, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "🍕"}, cut, NULL);
  return error;
}
