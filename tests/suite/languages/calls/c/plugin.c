/* Makes the calls of tests/suite/languages/calls in C. */

#include "calls.h"

#include <stdlib.h>
#include <string.h>

static const char news[] = "news@example.org", node[] = "urn:example:news";

static const char *header(const parlor_field *headers, const char *name) {
  for (; headers->name; headers++) {
    if (!strcmp(headers->name, name)) return headers->value;
  }
  return NULL;
}

/* http.chat */

static parlor_error fetch(const char *rest) {
  (void)rest;
  const parlor_field headers[] = {{"content-type", "application/x-www-form-urlencoded"}, {0}};
  const parlor_http_request request = {.method = "POST", .url = "https://api.example.org/old", .headers = headers, .body = "a=1", .follow = 3, .timeout = 5};
  parlor_http_response answer;
  parlor_error error = parlor_http_fetch(&request, &answer);
  if (error) return tell(error, NULL);
  return tell(PARLOR_OK, parlor_format("%u %s %s: %s", answer.status, answer.url, or_none(header(answer.headers, "etag")), answer.body));
}

static parlor_error post(const parlor_http_request *request) {
  parlor_http_response answer;
  parlor_error error = parlor_http_fetch(request, &answer);
  return tell(error, error ? NULL : parlor_format("%u", answer.status));
}

static parlor_error json(const char *rest) {
  (void)rest;
  return post(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/json", .json = "{\"tëa\": \"<a & b>\"}"});
}

static parlor_error form(const char *rest) {
  (void)rest;
  static const parlor_http_part parts[] = {
      {"ti\"tle", "tëa 🍕"}, {"file", "one\ntwo and more", 7, .file_name = "a\r\n\".txt", .media_type = "text/plain\r\nx: y"}, {0}};
  return post(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/form", .form = parts});
}

static parlor_error fields(const char *rest) {
  (void)rest;
  static const parlor_field title[] = {{"title", "tëa & \"pie\"=1+2 100%/~!'()* {{x}}"}, {"none", NULL}, {0}};
  const parlor_field form[] = {{"key", "5"}, title[0], {0}};
  return post(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/songs?day=1", .query = title, .fields = form});
}

static parlor_error both(const char *rest) {
  (void)rest;
  parlor_http_response answer;
  parlor_error error = parlor_http_fetch(&(parlor_http_request){.url = "https://api.example.org/json", .body = "a", .json = "1"}, &answer);
  return tell(PARLOR_OK, error == PARLOR_INVALID ? "it was refused" : "it was sent");
}

static parlor_error exchange(const char *rest) {
  (void)rest;
  static const char *const parts[] = {"one ", "tëa", " two"};
  uint64_t exchange;
  parlor_error error = parlor_http_open(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/tea"}, &exchange);
  for (size_t i = 0; !error && i < sizeof parts / sizeof *parts; i++) error = parlor_http_write(exchange, parts[i], strlen(parts[i]));
  parlor_http_head head = {0};
  if (!error) error = parlor_http_answer(exchange, &head);
  const char *part = "", *whole = "";
  size_t size;
  while (!error && part) {
    error = parlor_http_read(exchange, &part, &size);
    if (!error && part) whole = parlor_format("%s%.*s", whole, (int)size, part);
  }
  parlor_http_close(exchange);
  return error ? tell(error, NULL) : tell(error, parlor_format("%u %s: %s", head.status, or_none(header(head.headers, "etag")), whole));
}

static parlor_error much(const char *rest) {
  (void)rest;
  size_t size = (1 << 20) + 5;
  char *part = malloc(size);
  if (!part) return parlor_fail("there is no memory");
  memset(part, 'a', size);
  uint64_t exchange;
  parlor_http_head head = {0};
  parlor_error error = parlor_http_open(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/much"}, &exchange);
  if (!error) error = parlor_http_write(exchange, part, size);
  free(part);
  if (!error) error = parlor_http_answer(exchange, &head);
  error = tell(error, parlor_format("%u", head.status));
  parlor_http_close(exchange);
  return error;
}

static parlor_error missing(const char *rest) {
  (void)rest;
  const parlor_field headers[] = {{"content-length", "5"}, {0}};
  uint64_t exchange;
  parlor_http_head head;
  parlor_error error = parlor_http_open(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/tea", .headers = headers}, &exchange);
  if (!error) error = parlor_http_write(exchange, "ab", 2);
  if (!error) error = parlor_http_answer(exchange, &head);
  error = tell(error, "it was answered");
  parlor_http_close(exchange);
  return error;
}

static parlor_error unreachable(const char *rest) {
  (void)rest;
  uint64_t exchange;
  parlor_http_head head;
  parlor_error error = parlor_http_open(&(parlor_http_request){.method = "POST", .url = "https://api.example.org/none", .body = "lost"}, &exchange);
  if (!error) error = parlor_http_answer(exchange, &head);
  error = tell(error, "it was answered");
  parlor_http_close(exchange);
  return error;
}

/* files.chat */

typedef parlor_error uploading(const char *name, const char *media_type, uint64_t size, uint64_t *transfer);

static parlor_error upload_by(uploading *begin, const char *text, uint64_t size, parlor_file *file) {
  uint64_t transfer;
  parlor_error error = begin("note.txt", "text/plain", size, &transfer);
  if (!error) error = parlor_files_write(transfer, text, 1);
  if (!error) error = parlor_files_write(transfer, text + 1, strlen(text + 1));
  if (!error) error = parlor_files_finish(transfer, file);
  if (error) error = tell(error, NULL);
  else error = tell(error, parlor_format("%s %s %d", file->name, file->media_type, (int)file->size));
  parlor_files_close(transfer);
  return error;
}

static parlor_error upload(const char *text) {
  parlor_file files[2] = {0};
  parlor_error error = upload_by(parlor_files_upload, text, strlen(text), &files[0]);
  if (error || !files[0].url) return error;
  return parlor_chats_send_message(alice, &(parlor_outgoing){.files = files}, NULL);
}

static parlor_error encrypted(const char *text) {
  parlor_file file = {0};
  return upload_by(parlor_files_upload_encrypted, text, strlen(text), &file);
}

static parlor_error shorter(const char *text) {
  parlor_file file = {0};
  return upload_by(parlor_files_upload, text, 9, &file);
}

static parlor_error picture(const char *rest) {
  (void)rest;
  uint64_t transfer;
  return tell(parlor_files_upload("dot.png", "image/png", 3, &transfer), "it was begun");
}

static parlor_error open_file(const char *url) {
  parlor_opened file;
  parlor_error error = parlor_files_open(url, &file);
  if (error) return tell(error, NULL);
  const char *part = "", *whole = "";
  size_t size;
  while (!error && part) {
    error = parlor_files_read(file.transfer, &part, &size);
    if (!error && part) whole = parlor_format("%s%.*s", whole, (int)size, part);
  }
  parlor_files_close(file.transfer);
  return error ? tell(error, NULL) : tell(error, parlor_format("%d %s: %s", (int)file.size, or_none(file.media_type), whole));
}

/* blame.chat */

static parlor_error blame(const char *url) {
  parlor_opened file;
  if (!parlor_files_open(url, &file)) return parlor_fail("it was opened");
  const char *where = strchr(parlor_failed()->where, '"') + 1;
  return parlor_chats_send(alice, "%.*s", (int)strcspn(where, "\""), where);
}

/* dialogs.chat */

static parlor_error sized(const parlor_dialog_answer *answer, parlor_error error, void *context) {
  (void)context;
  if (error == PARLOR_TIMED_OUT) return tell(PARLOR_OK, "too late");
  return tell(error, answer ? answer->text : NULL);
}

static parlor_error give_up(const parlor_event *event, void *context) {
  (void)event, (void)context;
  /* It may have been answered. */
  return parlor_dialogs_cancel(sized, NULL) ? PARLOR_OK : tell(PARLOR_OK, "too late");
}

static parlor_error size(const char *rest) {
  static const char *const choices[] = {"small", "large", NULL};
  double timeout = strcmp(rest, "at once") ? 0 : 0.0002;
  parlor_error error = parlor_dialogs_ask(alice, &(parlor_question){"Which size?", choices, timeout}, sized, NULL);
  return error ? tell(error, NULL) : parlor_after(10, give_up, NULL);
}

/* webhooks.chat */

static char last[65];

static parlor_error asked(const parlor_event *event, void *context) {
  (void)context;
  const parlor_webhook *hook = event->webhook;
  strncpy(last, hook->id, sizeof last - 1);
  const char *kind = parlor_webhook_header(hook, "X-Kind");
  const char *place = parlor_format("%s %s", or_none(hook->path), or_none(hook->query));
  const char *body = parlor_format("%s %s %s: %.*s", hook->method, place, or_none(kind), (int)hook->size, hook->body);
  if (hook->path && !strcmp(hook->path, "fields")) {
    const char *room = parlor_webhook_field(hook->query, "room"), *payload = parlor_webhook_field(hook->body, "payload");
    body = parlor_format("%s: %s, %s", or_none(room), or_none(payload), or_none(parlor_webhook_field(hook->body, "none")));
  }
  const parlor_field headers[] = {{"etag", "v1"}, {0}};
  return parlor_webhooks_answer(hook->id, &(parlor_webhook_answer){.status = 201, .headers = headers, .body = body});
}

static parlor_error counted(const parlor_event *event, void *context) {
  (void)context;
  return parlor_webhooks_answer(event->webhook->id, &(parlor_webhook_answer){.json = "12"});
}

static parlor_error again(const char *rest) {
  (void)rest;
  return tell(parlor_webhooks_answer(last, &(parlor_webhook_answer){.status = 204}), "it was answered again");
}

static parlor_error address(const char *name) {
  const char *found;
  parlor_error error = parlor_webhooks_address(name, &found);
  return tell(error, found);
}

/* hooks.chat */

static parlor_error sign(const parlor_event *event, void *context) {
  (void)context;
  const char *id = event->hook->id, *body = event->hook->message->body;
  if (!body) return parlor_hooks_allow(id);
  if (strstr(body, "secret")) return parlor_hooks_stop(id, "it names a secret");
  return parlor_hooks_alter(id, parlor_format("%s (signed)", body), NULL);
}

static parlor_error look(const parlor_event *event, void *context) {
  (void)context;
  const char *id = event->hook->id, *body = event->hook->message->body;
  if (body && strstr(body, "casino")) return parlor_hooks_stop(id, NULL);
  if (body && strstr(body, "label")) return parlor_hooks_mark(id, "advertisement");
  return parlor_hooks_allow(id);
}

static parlor_error permit(const parlor_event *event, void *context) {
  (void)context;
  const parlor_hook *hook = event->hook;
  bool refuses = hook->count == 2 && !strcmp(hook->arguments[0], "no such") && !strcmp(hook->arguments[1], "secret");
  return refuses ? parlor_hooks_stop(hook->id, "not that") : parlor_hooks_allow(hook->id);
}

static parlor_error labels(const parlor_message *message) {
  const char *all = "";
  for (size_t i = 0; i < message->all->labels.len; i++) {
    plugin_string_t plugin = message->all->labels.ptr[i].plugin, text = message->all->labels.ptr[i].text;
    all = parlor_format("%s%.*s: %.*s", all, (int)plugin.len, (char *)plugin.ptr, (int)text.len, (char *)text.ptr);
  }
  return tell(PARLOR_OK, all);
}

/* pubsub.chat */

static parlor_error publish(const char *id) {
  parlor_xml entry = {0};
  parlor_xml_open(&entry, "entry");
  parlor_xml_attribute(&entry, "xmlns", node);
  parlor_xml_text(&entry, "tëa & 🍕");
  const char *published;
  const parlor_node_options options = {.access = "open", .persist = 1, .max_items = 10};
  parlor_error error = parlor_pubsub_publish(news, node, *id ? id : NULL, parlor_xml_end(&entry), *id ? &options : NULL, &published);
  return tell(error, published);
}

static parlor_error retract(const char *id) {
  return tell(parlor_pubsub_retract(news, node, id), "done");
}

static parlor_error create(const char *access) {
  return tell(parlor_pubsub_create(news, node, &(parlor_node_options){.access = access, .title = "Tëa"}), "done");
}

static parlor_error configure(const char *access) {
  return tell(parlor_pubsub_configure(news, node, &(parlor_node_options){.access = *access ? access : NULL}), "done");
}

static parlor_error purge(const char *rest) {
  (void)rest;
  return tell(parlor_pubsub_purge(news, node), "done");
}

static parlor_error delete(const char *rest) {
  (void)rest;
  return tell(parlor_pubsub_delete(news, node), "done");
}

static const char *shown(const parlor_node_item *item) {
  return parlor_format("%s %s %s", item->id, or_none(item->publisher), or_none(item->xml));
}

static parlor_error items(const char *after) {
  parlor_node_item *items;
  size_t count;
  const char *last_item, *all = "";
  parlor_error error = parlor_pubsub_items(news, node, 2, *after ? after : NULL, &items, &count, &last_item);
  for (size_t i = 0; i < count; i++) all = parlor_format("%s%s%s", all, i ? ", " : "", shown(&items[i]));
  return tell(error, error ? NULL : parlor_format("%s; %s", all, or_none(last_item)));
}

static parlor_error item(const char *id) {
  parlor_node_item *found;
  parlor_error error = parlor_pubsub_item(news, node, id, &found);
  return tell(error, error ? NULL : found ? shown(found) : "none");
}

static parlor_error subscribe(const char *rest) {
  (void)rest;
  bool in_force;
  parlor_error error = parlor_pubsub_subscribe(news, node, &in_force);
  return tell(error, in_force ? "true" : "false");
}

static parlor_error unsubscribe(const char *rest) {
  (void)rest;
  return tell(parlor_pubsub_unsubscribe(news, node), "done");
}

static parlor_error hear(const parlor_event *event, void *context) {
  (void)context;
  const parlor_pubsub *said = event->pubsub;
  return tell(PARLOR_OK, parlor_format("%s %s %s %s %s %s", said->kind, said->service, said->node, or_none(said->id), or_none(said->publisher), or_none(said->xml)));
}

/* rooms.chat */

static parlor_error moderate(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  parlor_error error = parlor_rooms_retract(message->chat, message->stanza_id, "so it is");
  return error ? tell(error, NULL) : PARLOR_OK;
}

/* forms.chat */

static parlor_error twice(const parlor_event *event, void *context) {
  (void)context;
  int64_t number = 0;
  parlor_command_integer(event->command, "number", &number);
  parlor_error error = parlor_progress(event, "doubling");
  if (error) return error;
  parlor_sleep(20);
  return parlor_answer(event, "%d", (int)number * 2);
}

static parlor_error when(const parlor_event *event, void *context) {
  (void)context;
  return parlor_answer(event, "%s %s", parlor_command_text(event->command, "day"), parlor_command_text(event->command, "at"));
}

/* storage.chat */

static parlor_error keep(const char *rest) {
  const char *kept;
  bool is_made = false;
  parlor_error error = parlor_storage_get("kept", &kept);
  const parlor_change changes[] = {{PARLOR_CHANGE_EXPECT, "kept", .text = kept}, {PARLOR_CHANGE_SET, "kept", .text = rest}, {0}};
  if (!error) error = parlor_storage_change(changes, &is_made);
  /* Nobody asks what comes of the others. */
  if (!error) error = parlor_storage_add("times", 1, 0, NULL);
  if (!error) error = parlor_storage_change((parlor_change[]){{PARLOR_CHANGE_ADD, "times", .amount = 1}, {0}}, NULL);
  if (!error) error = parlor_storage_compare_and_set("times", "0", "1", 0, NULL);
  return tell(error, parlor_format("%s: %s", is_made ? "true" : "false", or_none(kept)));
}

static parlor_error price(const char *rest) {
  (void)rest;
  parlor_error error = parlor_emit("price", "{\"low\": NaN}");
  return tell(PARLOR_OK, error ? "it was refused" : "it was sent");
}

static const named_call calls[] = {
    {"fetch", fetch}, {"json", json}, {"form", form}, {"fields", fields}, {"both", both}, {"exchange", exchange}, {"much", much}, {"missing", missing}, {"unreachable", unreachable},
    {"upload", upload}, {"encrypted", encrypted}, {"short", shorter}, {"picture", picture}, {"open", open_file}, {"blame", blame},
    {"size", size}, {"again", again}, {"address", address}, {"keep", keep}, {"price", price},
    {"publish", publish}, {"retract", retract}, {"create", create}, {"configure", configure}, {"purge", purge}, {"delete", delete},
    {"items", items}, {"item", item}, {"subscribe", subscribe}, {"unsubscribe", unsubscribe}, {0},
};

/* The call that the first word of a message names, or NULL. */
static const named_call *find(const named_call *calls, const char *body) {
  size_t length = strcspn(body, " ");
  for (; calls->name; calls++) {
    if (strlen(calls->name) == length && !strncmp(calls->name, body, length)) return calls;
  }
  return NULL;
}

static parlor_error told(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  for (const parlor_file *file = message->files; file && file->url; file++) {
    parlor_error error = open_file(file->url);
    if (error) return error;
  }
  const char *body = message->body ? message->body : "";
  if (!strcmp(body, "label me")) return labels(message);
  const named_call *one = find(calls, body);
  if (!one) one = find(people, body);
  if (!one) one = find(entities, body);
  size_t length = strcspn(body, " ");
  return one ? one->call(body + length + (body[length] == ' ')) : PARLOR_OK;
}

/* places.chat */

static parlor_error here(const parlor_event *event, void *context) {
  (void)context;
  return parlor_answer(event, "here");
}

/* Adds the commands of groups.chat. */
static parlor_error lets(void) {
  static const char *const aliases[] = {"go", NULL};
  static const parlor_people some[] = {
      {PARLOR_PEOPLE_GROUP, "staff"},
      {PARLOR_PEOPLE_JID, "eve@example.org"},
      {PARLOR_PEOPLE_ROLE, PARLOR_ROLE_MODERATOR},
      {PARLOR_PEOPLE_AFFILIATION, PARLOR_AFFILIATION_MEMBER},
      {PARLOR_PEOPLE_OWNERS, NULL},
      {0}};
  static const parlor_people contacts[] = {{PARLOR_PEOPLE_CONTACTS, NULL}, {0}};
  const parlor_declaration enter = {
      .name = "enter", .help = "Lets some in", .aliases = aliases, .allow = some, .room_cooldown = 60};
  const parlor_declaration knock = {.name = "knock", .help = "Lets contacts in", .allow = contacts, .person_cooldown = 30};
  parlor_error error = parlor_commands_declare(&enter, here, NULL);
  return error ? error : parlor_commands_declare(&knock, here, NULL);
}

parlor_error parlor_start(void) {
  parlor_error error = parlor_on("message", &(parlor_filter){.kind = "chat"}, told, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "groupchat", .prefix = "rude"}, moderate, NULL);
  if (!error) error = parlor_on("webhook", &(parlor_filter){.webhook = "ask"}, asked, NULL);
  if (!error) error = parlor_on("webhook", &(parlor_filter){.webhook = "books"}, counted, NULL);
  if (!error) error = parlor_on("hookOutgoing", NULL, sign, NULL);
  if (!error) error = parlor_on("hookIncoming", NULL, look, NULL);
  if (!error) error = parlor_on("hookCommand", NULL, permit, NULL);
  if (!error) error = parlor_on("pubsub-item", &(parlor_filter){.from = news}, hear, NULL);
  static const parlor_argument arguments[] = {{"number", PARLOR_ARGUMENT_INTEGER, .least = -100, .most = 100}, {0}};
  const parlor_declaration command = {.name = "double", .help = "Doubles a number", .arguments = arguments};
  if (!error) error = parlor_commands_declare(&command, twice, NULL);
  static const parlor_argument moment[] = {
      {"day", PARLOR_ARGUMENT_DATE}, {"at", PARLOR_ARGUMENT_TIME, .otherwise = "9:00"}, {0}};
  const parlor_declaration says = {.name = "when", .help = "Says when", .arguments = moment};
  if (!error) error = parlor_commands_declare(&says, when, NULL);
  const parlor_declaration topic = {.name = "topic", .help = "Works in rooms", .place = PARLOR_PLACE_ROOM};
  const parlor_declaration vote = {.name = "vote", .help = "Works in private", .place = PARLOR_PLACE_PRIVATE};
  if (!error) error = parlor_commands_declare(&topic, here, NULL);
  if (!error) error = parlor_commands_declare(&vote, here, NULL);
  if (!error) error = lets();
  if (!error) error = listens();
  return error ? error : hears();
}
