/* What authors expect of C and of the SDK: see tests. */

#include <parlor.h>
#include <string.h>

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

/* commands.chat */

static parlor_error greet(const parlor_event *event, void *context) {
  return parlor_reply(event->message, "%s: %s", (const char *)context, event->command->rest);
}

static parlor_error greet_no_more(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = parlor_off(greet, "second");
  return error ? error : parlor_reply(event->message, "gone");
}

/* settings.chat */

static parlor_error read(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "%g", parlor_setting_number("time", 0));
}

/* messages.chat */

static parlor_error who(const parlor_event *event, void *context) {
  (void)context;
  const parlor_occupant *occupant;
  parlor_error error = parlor_occupant_of(event->message, &occupant);
  if (error || !occupant) return error ? error : parlor_reply(event->message, "nobody");
  return parlor_reply(event->message, "%s, %s", occupant->nick, occupant->role);
}

/* replies.chat */

static parlor_error agree(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  if (message->body && !strcmp(message->body, "ack")) return parlor_acknowledge(message);
  const char *said = parlor_body_without_fallback(message, PARLOR_NS_REPLY), *id;
  if (strcmp(said, "+1")) return PARLOR_OK;
  parlor_error error = parlor_reply(message, "%s", said);
  if (error) return error;
  error = parlor_chat_send_message(message->chat, &(parlor_outgoing){.body = "so it is", .reply_to = message, .quote = true}, &id);
  return error || *id ? error : parlor_fail("it has no id");
}

/* kinds.chat */

static parlor_error kind(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "%s", event->message->kind);
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_on_mention(mentioned, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "🍕"}, cut, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "settings"}, read, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "who"}, who, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "no more"}, greet_no_more, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "chat normal", .prefix = "kind"}, kind, NULL);
  if (!error) error = parlor_on("message", NULL, agree, NULL);
  if (!error) error = parlor_command_add("Grüße", "Greets", "", greet, "first");
  if (!error) error = parlor_command_add("Grüße", "Greets", "", greet, "second");
  return error;
}
