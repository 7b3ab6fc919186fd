/* Says what you said. */

#include <parlor.h>

static parlor_error answer(const parlor_event *event, void *context) {
  (void)context;
  /* Another client answers what it received (`carbon`), and another plugin its commands (`command`). */
  if (!event->message->body || event->message->carbon || event->message->command) return PARLOR_OK;
  return parlor_chats_reply(event->message, "you said: %s", event->message->body);
}

parlor_error parlor_start(void) {
  parlor_log(PARLOR_INFO, "ready");
  return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
}
