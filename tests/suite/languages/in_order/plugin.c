#include <parlor.h>
#include <stdlib.h>
#include <string.h>

/* An order: the place where it was given, the person who gave it if that is a room, and the size. */
typedef struct {
  char *chat, *nick, *size;
} pizza;

static parlor_error ends(pizza *one, parlor_error error) {
  free(one->chat);
  free(one->nick);
  free(one->size);
  free(one);
  return error;
}

static parlor_error ask(pizza *one, const char *text, parlor_answered *answered) {
  parlor_question question = {.text = text};
  parlor_error error = one->nick ? parlor_dialogs_ask_in_room(one->chat, one->nick, &question, answered, one)
                                 : parlor_dialogs_ask(one->chat, &question, answered, one);
  return error ? ends(one, error) : PARLOR_OK;
}

static parlor_error topped(const parlor_dialog_answer *topping, parlor_error error, void *context) {
  pizza *one = context;
  if (!topping) return ends(one, error);
  return ends(one, one->nick ? parlor_rooms_send(one->chat, "%s %s", one->size, topping->text)
                             : parlor_chats_send(one->chat, "%s %s", one->size, topping->text));
}

static parlor_error sized(const parlor_dialog_answer *size, parlor_error error, void *context) {
  pizza *one = context;
  if (!size) return ends(one, error);
  one->size = strdup(size->text);
  return ask(one, "topping?", topped);
}

static parlor_error order(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  pizza *one = calloc(1, sizeof *one);
  if (!one) abort();
  one->chat = strdup(message->chat);
  if (strcmp(message->kind, "groupchat") == 0) one->nick = strdup(message->nick);
  return ask(one, "size?", sized);
}

static parlor_error menu(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "pizza");
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_commands_add("order", "Orders a pizza", "", order, NULL);
  return error ? error : parlor_commands_add("menu", "Shows the menu", "", menu, NULL);
}
