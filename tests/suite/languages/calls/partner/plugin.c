/* The other plugin of tests/suite/languages/calls/tests/requests.chat. */

#include <parlor.h>
#include <string.h>

static parlor_error asked(const parlor_event *event, void *context) {
  (void)context;
  const parlor_request *request = event->request;
  if (strcmp(request->name, "rate")) return parlor_plugins_refuse(request->id, "there is none");
  return parlor_plugins_answer(request->id, parlor_format("[%s, %s]", request->json, parlor_quote(request->plugin)));
}

/* `partner NAME VALUE`: asks the plugin that is tried. */
static parlor_error ask(const parlor_event *event, void *context) {
  (void)context;
  const char *name = event->message->body + strlen("partner ");
  size_t length = strcspn(name, " ");
  const char *value = name[length] ? name + length + 1 : NULL, *answer;
  parlor_error error = parlor_plugins_call("calls", parlor_format("%.*s", (int)length, name), value, &answer);
  return parlor_chats_send("alice@example.org", "%s", error ? parlor_failed()->text : answer);
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_on("message", &(parlor_filter){.kind = "chat", .prefix = "partner "}, ask, NULL);
  return error ? error : parlor_on("request", NULL, asked, NULL);
}
