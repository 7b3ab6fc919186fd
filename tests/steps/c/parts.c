/* The steps of each part. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

#define TEXT(name, text) plugin_string_t name = parlor_text(text)
#define SOME(text) {true, parlor_text(text)}

static const char *yes(bool value) {
  return value ? "true" : "false";
}

static const char *copy(plugin_string_t text) {
  return parlor_format("%.*s", (int)text.len, (const char *)text.ptr);
}

/* Joins texts with commas. */
static const char *joined(const plugin_string_t *texts, size_t count) {
  const char *all = "";
  for (size_t i = 0; i < count; i++) all = parlor_format("%s%s%s", all, i ? "," : "", copy(texts[i]));
  return all;
}

static void waits(const char *what, const char *promise) {
  const char *value = NULL;
  parlor_error error = parlor_wait_until(promise, &value);
  note(what, error, "%s", value ? value : "none");
}

static void settings(void) {
  note("a text of the manifest", PARLOR_OK, "%s", parlor_settings_get_text("greeting", ""));
  note("a number of the manifest", PARLOR_OK, "%g", parlor_settings_get_number("count", 0));
  note("a flag of the manifest", PARLOR_OK, "%s", yes(parlor_settings_get_flag("loud", true)));
  note("a setting that nobody has", PARLOR_OK, "%s", parlor_settings_get_text("nobody", "none"));

  parlor_plugin_types_error_t error;
  TEXT(greeting, "greeting"), count = parlor_text("count"), password = parlor_text("password");
  TEXT(text, parlor_quote("hü \"\\ <&>")), many = parlor_text("\"many\""), secret = parlor_text("\"secret\"");
  done("set a text", parlor_done(parlor_plugin_settings_set(&greeting, &text, &error), &error));
  note("read it", PARLOR_OK, "%s", parlor_settings_get_text("greeting", ""));
  fails("set a number to a text", parlor_done(parlor_plugin_settings_set(&count, &many, &error), &error));
  fails("set what is the operator's", parlor_done(parlor_plugin_settings_set(&password, &secret, &error), &error));
  parlor_plugin_settings_tuple2_string_json_t nine = {count, parlor_text("9")};
  parlor_plugin_settings_list_tuple2_string_json_t fresh = {&nine, 1};
  done("a new default", parlor_done(parlor_plugin_settings_update(&fresh, &error), &error));
  note("the new default", PARLOR_OK, "%g", parlor_settings_get_number("count", 0));
}

static void read_a(const char *what) {
  const char *text;
  parlor_error error = parlor_storage_get("a", &text);
  note(what, error, "%s", text ? text : "none");
}

static void keys(const char *what, const char *prefix) {
  const char **keys, *all = "";
  size_t count = 0;
  parlor_error error = parlor_storage_keys(prefix, &keys, &count);
  for (size_t i = 0; i < count; i++) all = parlor_format("%s%s%s", all, i ? "," : "", keys[i]);
  note(what, error, "%s", all);
}

static void forget(const char *what, const char *key) {
  TEXT(name, key);
  bool there;
  parlor_plugin_types_error_t error;
  note(what, parlor_done(parlor_plugin_storage_delete(&name, &there, &error), &error), "%s", yes(there));
}

static void swap(const char *what, plugin_list_u8_t *expected, plugin_list_u8_t *value) {
  TEXT(name, "n");
  bool swapped;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_storage_compare_and_set(&name, expected, value, NULL, &swapped, &error);
  note(what, parlor_done(done, &error), "%s", yes(swapped));
}

static void storage(void) {
  read_a("nothing is kept");
  done("keep a text", parlor_storage_set("a", "väl\"ue", 0));
  read_a("read it");
  done("keep another", parlor_storage_set("b/ü", "two", 0));
  keys("all keys", "");
  keys("keys that begin so", "b/");

  TEXT(prefix, "");
  parlor_plugin_storage_page_t page;
  parlor_plugin_types_error_t error;
  parlor_error listed = parlor_done(parlor_plugin_storage_list(&prefix, NULL, 1, &page, &error), &error);
  const char *next = page.next.is_some ? copy(page.next.val) : "none";
  note("a page of one", listed, "%s then %s", joined(page.keys.ptr, page.keys.len), next);

  forget("forget it", "b/ü");
  forget("forget it again", "b/ü");
  plugin_list_u8_t one = {(uint8_t *)"1", 1}, two = {(uint8_t *)"2", 1};
  swap("put one where nothing is", NULL, &one);
  swap("put two where one is", &one, &two);
  char *much = parlor_memory(100001);
  memset(much, 'x', 100000);
  fails("keep too much", parlor_storage_set("much", much, 0));
  fails("keep it under no key", parlor_storage_set("", "x", 0));
}

/* The context of these handlers is the friend. */
static parlor_error fired(const parlor_event *event, void *context) {
  (void)event;
  hear("a timer fired", "done");
  return parlor_chats_send(context, "fired");
}

static parlor_error heard_it(const parlor_event *event, void *context) {
  const char *number = strchr(event->json, ':');
  hear("an event of one's own", parlor_format("%d", number ? atoi(number + 1) : 0));
  return parlor_chats_send(context, "heard");
}

static parlor_error nothing(const parlor_event *event, void *context) {
  (void)event, (void)context;
  return PARLOR_OK;
}

static void timers(const steps *told) {
  parlor_plugin_types_error_t error;
  parlor_sleep(0.005);
  done("sleep", PARLOR_OK);
  fails("a period that is too short", parlor_every(0.001, nothing, NULL));
  fails("cancel what is no timer", parlor_done(parlor_plugin_timers_cancel(123456, &error), &error));
  done("begin a timer", parlor_after(0.01, fired, strdup(told->friend)));
}

static void listening(const steps *told) {
  parlor_plugin_types_error_t error;
  TEXT(name, "nobodyFiresIt");
  uint64_t number;
  done("listen once", parlor_once("stepsEvent", NULL, heard_it, strdup(told->friend)));
  done("listen to what nobody fires", parlor_done(parlor_plugin_listen_on(&name, NULL, &number, &error), &error));
  done("listen no more", parlor_done(parlor_plugin_listen_not(number, &error), &error));
  fails("end it again", parlor_done(parlor_plugin_listen_not(number, &error), &error));
  fails("listen to no address", parlor_on("message", &(parlor_filter){.from = "@"}, nothing, NULL));
  done("fire an event", parlor_emit("stepsEvent", "{\"n\":42}"));
}

static void promises(void) {
  parlor_plugin_types_error_t error;
  TEXT(one, "stepsOne"), reason = parlor_text("no bread");
  plugin_string_t both[] = {one, parlor_text("stepsTwo")};
  plugin_list_string_t names = {both, 2};
  waits("wait for what nobody promised", "stepsNever");
  done("promise", parlor_promises_add("stepsDone"));
  done("keep it", parlor_emit("stepsDone", "{\"kept\":[1,\"two\"]}"));
  waits("wait for what is kept", "stepsDone");
  done("promise two", parlor_done(parlor_plugin_promises_add_all(&names, &error), &error));
  done("break one", parlor_done(parlor_plugin_promises_reject(&one, &reason, &error), &error));
  waits("wait for what is broken", "stepsOne");
  fails("promise what is the host's", parlor_promises_add("roster"));
  fails("keep what is another's", parlor_emit("promised", "1"));
  waits("wait for the host", "pluginsInitialized");
}

typedef parlor_plugin_types_outgoing_t outgoing;

static parlor_error says(const char *jid, outgoing message, plugin_string_t *id) {
  TEXT(to, jid);
  parlor_plugin_types_error_t error;
  *id = (plugin_string_t){0};
  return parlor_done(parlor_plugin_chats_send(&to, &message, id, &error), &error);
}

static void said(const char *what, const char *jid, outgoing message) {
  plugin_string_t id;
  parlor_error error = says(jid, message, &id);
  some(what, error, id);
}

static void unsaid(const char *what, const char *jid, outgoing message) {
  plugin_string_t id;
  fails(what, says(jid, message, &id));
}

static void messages(const steps *told) {
  const parlor_message *came = told->message;
  const char *friend = told->friend;
  outgoing hello = {.body = SOME("hello")};
  outgoing corrected = {.body = SOME("hallo"), .extensions = {true, {.replace = SOME("m1")}}};
  outgoing typing = {.extensions = {true, {.chat_state = SOME("composing")}}};
  outgoing asking = {.body = SOME("there?"), .extensions = {true, {.receipt_requested = true}}};
  note("what came", PARLOR_OK, "%s %s %s", came->kind, yes(came->delayed), told->rest);
  said("say something", friend, hello);
  said("with subject and thread", friend, (outgoing){SOME("on"), SOME("so"), SOME("t1"), {0}});
  said("correct it", friend, corrected);
  said("say what one does", friend, typing);
  said("ask for a receipt", friend, asking);
  unsaid("to nobody", "", hello);
  unsaid("to no address", "@", hello);
  unsaid("to whom nobody granted", "nobody@nowhere.invalid", hello);
  unsaid("nothing at all", friend, (outgoing){0});
  unsaid("what XML cannot hold", friend, (outgoing){.body = SOME("a\001b")});
}

static parlor_error ask(const char *child, const char **answer) {
  return parlor_api_send_iq(parlor_format("<iq type='get' to='localhost'>%s</iq>", child), answer);
}

static void stanzas(const steps *told) {
  static const char *const texts[] = {"<body>", "a & b", "'single' and \"double\"", "hü🍕"};
  const char *friend = told->friend, *answer = "";
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    note("escape", PARLOR_OK, "<a b='%s'>%s</a>", parlor_escape(texts[i]), parlor_escape(texts[i]));
  }
  const char *body = parlor_escape("<built> & sent");
  done("send what was built", parlor_api_send(parlor_format("<message to='%s'><body>%s</body></message>", friend, body)));
  fails("under another's name", parlor_api_send(parlor_format("<message to='%s' from='%s'/>", friend, friend)));
  fails("what is no XML", parlor_api_send("<message"));
  fails("two at once", parlor_api_send("<message/><message/>"));
  fails("presence without a grant", parlor_api_send("<presence/>"));
  parlor_error error = ask("<ping xmlns='urn:xmpp:ping'/>", &answer);
  note("ask", error, "%s", yes(strstr(answer, "type='result'")));
  fails("ask what nobody knows", ask("<nonsense xmlns='urn:test:nonsense'/>", &answer));
}

static const char *shown(const parlor_plugin_types_room_t *room) {
  return parlor_format("%s %s %s %s", copy(room->nick), copy(room->role), copy(room->affiliation), yes(room->joined));
}

static void get_room(const char *what, plugin_string_t *jid) {
  parlor_plugin_rooms_option_room_t room = {0};
  parlor_plugin_types_error_t error;
  parlor_error got = parlor_done(parlor_plugin_rooms_get(jid, &room, &error), &error);
  note(what, got, "%s", room.is_some ? shown(&room.val) : "none");
}

static void say_in(const steps *told, bool works, const char *what) {
  TEXT(jid, told->room), id = {0};
  outgoing hello = {.body = SOME("hello")};
  parlor_plugin_types_error_t error;
  parlor_error sent = parlor_done(parlor_plugin_rooms_send(&jid, &hello, &id, &error), &error);
  works ? some(what, sent, id) : fails(what, sent);
}

static void rooms(const steps *told) {
  TEXT(jid, told->room), nobody = parlor_text("nobody"), wrong = parlor_text("@");
  TEXT(owner, "owner");
  parlor_plugin_rooms_attributes_t attributes = {.nick = SOME("steps")};
  parlor_plugin_types_error_t error;

  get_room("not in the room", &jid);
  parlor_plugin_types_room_t room = {0};
  parlor_error entered = parlor_done(parlor_plugin_rooms_open(&jid, &attributes, &room, &error), &error);
  note("enter", entered, "%s", entered ? "" : shown(&room));
  get_room("in the room", &jid);
  const parlor_occupant *occupants;
  size_t count;
  parlor_error looked = parlor_rooms_occupants(told->room, &occupants, &count);
  plugin_string_t *nicks = parlor_memory((count + 1) * sizeof *nicks);
  for (size_t i = 0; i < count; i++) nicks[i] = parlor_text(occupants[i].nick);
  note("who is there", looked, "%s", joined(nicks, count));
  say_in(told, true, "say something");
  done("what it is about", parlor_rooms_set_subject(told->room, "steps & stairs"));
  done("keep an attribute", parlor_rooms_set_attribute(told->room, "height", "400"));
  const char *kept;
  parlor_error got = parlor_rooms_get_attribute(told->room, "height", &kept);
  note("read it", got, "%g", parlor_json_number(kept, 0));
  parlor_plugin_rooms_list_affiliated_t owners = {0};
  parlor_error asked = parlor_done(parlor_plugin_rooms_affiliations(&jid, &owner, &owners, &error), &error);
  note("who owns it", asked, "%zu", owners.len);
  fails("throw out who is not there", parlor_done(parlor_plugin_rooms_kick(&jid, &nobody, NULL, &error), &error));
  done("leave", parlor_done(parlor_plugin_rooms_close(&jid, &error), &error));
  fails("leave again", parlor_done(parlor_plugin_rooms_close(&jid, &error), &error));
  fails("enter what is no room", parlor_done(parlor_plugin_rooms_open(&wrong, &attributes, &room, &error), &error));
  say_in(told, false, "speak where one is not");
}

/* The first words of the first and the last message. */
typedef struct ends {
  char first[16], last[16];
} ends;

static parlor_error see(const parlor_message *message, bool *enough, void *context) {
  ends *seen = context;
  const char *body = message->body ? message->body : "";
  (void)enough;
  snprintf(seen->last, sizeof seen->last, "%.*s", (int)strcspn(body, " "), body);
  if (!*seen->first) memcpy(seen->first, seen->last, sizeof seen->first);
  return PARLOR_OK;
}

static void archive(const steps *told) {
  parlor_plugin_archive_options_t options = {.with = SOME(told->friend), .max = {true, 2}}, rest;
  parlor_plugin_archive_page_t page = {0}, next = {0};
  parlor_plugin_types_error_t error;
  parlor_error asked = parlor_done(parlor_plugin_archive_query(&options, &page, &error), &error);
  note("a page of the archive", asked, "%zu", page.messages.len);
  parlor_plugin_archive_next(&page.rsm, 3, &rest);
  asked = parlor_done(parlor_plugin_archive_query(&rest, &next, &error), &error);
  note("the next", asked, "%zu", next.messages.len);
  options.after = (plugin_option_string_t)SOME("nowhere");
  fails("after what is not there", parlor_done(parlor_plugin_archive_query(&options, &page, &error), &error));
  ends seen = {0};
  asked = parlor_archive_query_all(&(parlor_archive_options){.with = told->friend}, see, &seen);
  note("all of the archive", asked, "%s to %s", seen.first, seen.last);
}

static void contacts(const steps *told) {
  TEXT(jid, told->friend), name = parlor_text("Fränd");
  TEXT(group, "climbers");
  plugin_list_string_t groups = {&group, 1};
  parlor_plugin_contacts_option_contact_t found = {0};
  parlor_plugin_types_contact_t added = {0};
  parlor_plugin_types_error_t error;
  parlor_error got = parlor_done(parlor_plugin_contacts_get(&jid, &found, &error), &error);
  note("somebody who is no contact", got, "%s", found.is_some ? copy(found.val.fullname) : "none");
  got = parlor_done(parlor_plugin_contacts_add(&jid, &name, &added, &error), &error);
  note("add a contact", got, "%s %s", copy(added.fullname), copy(added.subscription));
  done("put it into a group", parlor_done(parlor_plugin_contacts_set_groups(&jid, &groups, &error), &error));
  got = parlor_done(parlor_plugin_contacts_get(&jid, &found, &error), &error);
  note("its groups", got, "%s", found.is_some ? joined(found.val.groups.ptr, found.val.groups.len) : "none");
  done("remove it", parlor_done(parlor_plugin_contacts_remove(&jid, &error), &error));
}

static void can_do(const char *what) {
  TEXT(feature, "urn:test:steps");
  bool fresh;
  parlor_plugin_types_error_t error;
  note(what, parlor_done(parlor_plugin_disco_own_features_add(&feature, &fresh, &error), &error), "%s", yes(fresh));
}

static void account(const steps *told) {
  archive(told);
  contacts(told);
  parlor_plugin_types_error_t error;
  TEXT(ping, "urn:xmpp:ping"), server = parlor_text("localhost");
  parlor_plugin_disco_support_t support = {0};
  parlor_error asked = parlor_done(parlor_plugin_disco_supports(&ping, &server, &support, &error), &error);
  note("what the server can do", asked, "%s", yes(support.supported));
  can_do("say what one can do");
  can_do("say it again");

  TEXT(climb, "climb");
  done("be away", parlor_user_set_status("away", "on the stairs"));
  parlor_plugin_types_status_t status = {0};
  parlor_error got = parlor_done(parlor_plugin_user_get_status(&status, &error), &error);
  note("how one is", got, "%s %s", copy(status.value), copy(status.message));
  fails("be what nobody is", parlor_user_set_status("asleep", NULL));
  done("add a command", parlor_commands_add("climb", "Climbs", "[STEPS]", nothing, NULL));
  done("take it away", parlor_done(parlor_plugin_commands_remove(&climb, &error), &error));
  fails("take it away again", parlor_done(parlor_plugin_commands_remove(&climb, &error), &error));
}

/* The context is the friend. */
static parlor_error climb_stairs(const parlor_event *event, void *context) {
  int64_t count = 0;
  parlor_command_integer(event->command, "count", &count);
  const char *how = parlor_command_text(event->command, "how"), *why = parlor_command_text(event->command, "why");
  const char *loud = yes(parlor_command_flag(event->command, "loud"));
  hear("a command came", parlor_format("%d %s %s %s", (int)count, how ? how : "", loud, why ? why : ""));
  return parlor_chats_send(context, "stairs");
}

static void declares(const steps *told) {
  static const char *const speeds[] = {"slow", "fast", NULL};
  static const parlor_argument arguments[] = {
      {"count", PARLOR_ARGUMENT_INTEGER, .least = 1, .most = 100, .otherwise = "1"},
      {"how", PARLOR_ARGUMENT_CHOICE, .choices = speeds, .otherwise = "slow"},
      {"loud", PARLOR_ARGUMENT_FLAG},
      {"why", PARLOR_ARGUMENT_REST, .optional = true},
      {0}};
  const parlor_declaration stairs = {.name = "stairs", .help = "Climbs stairs", .arguments = arguments};
  done("declare a command", parlor_commands_declare(&stairs, climb_stairs, strdup(told->friend)));
  fails("declare what is no name", parlor_commands_declare(&(parlor_declaration){.name = "no name"}, nothing, NULL));
}

static void schedules(void) {
  static const char noon[] = "2026-07-01T12:00:00Z";
  const char *first, *text, *names = "";
  bool set = false, there = false;
  fails("a schedule that is due too often", parlor_schedules_every("often", 0.001, PARLOR_CATCH_UP, &first));
  parlor_error error = parlor_schedules_at("late", "2100-01-01T00:00:00Z", PARLOR_CATCH_UP, &set);
  note("set a schedule", error, "%s", yes(set));
  parlor_schedule *all = NULL;
  size_t count = 0;
  error = parlor_schedules_list(&all, &count);
  for (size_t i = 0; i < count; i++) names = parlor_format("%s%s%s", names, i ? "," : "", all[i].name);
  note("all schedules", error, "%s", names);
  error = parlor_schedules_format(noon, "Europe/Berlin", "%H:%M", &text);
  note("a moment in a zone", error, "%s", error ? "" : text);
  fails("a moment in no zone", parlor_schedules_format(noon, "Nowhere/At_All", "%H:%M", &text));
  error = parlor_schedules_cancel("late", &there);
  note("end the schedule", error, "%s", yes(there));
  error = parlor_schedules_cancel("late", &there);
  note("end it again", error, "%s", yes(there));
}

static parlor_error answered(const parlor_dialog_answer *answer, parlor_error error, void *context) {
  (void)answer, (void)error, (void)context;
  return PARLOR_OK;
}

/* Calls for somebody else, who is not there. */
static void others(void) {
  const char *rate;
  parlor_node_item *items = NULL;
  size_t count = 0;
  fails("ask nobody", parlor_dialogs_ask("@", &(parlor_question){"Well?", NULL, 0}, answered, NULL));
  fails("answer a request that nobody sent", parlor_iq_answer("none", NULL));
  fails("give a verdict on nothing", parlor_hooks_allow("none"));
  fails("ask a plugin that is not there", parlor_plugins_call("nobody", "rate", "1", &rate));
  fails("read a node of the host", parlor_pubsub_items("pubsub.localhost", "storage:bookmarks", 1, NULL, &items, &count, NULL));
}

void take_part(const char *part, const steps *told) {
  if (!strcmp(part, "settings")) settings();
  if (!strcmp(part, "storage")) storage();
  if (!strcmp(part, "timers")) timers(told);
  if (!strcmp(part, "listen")) listening(told);
  if (!strcmp(part, "heard")) heard();
  if (!strcmp(part, "promises")) promises();
  if (!strcmp(part, "messages")) messages(told);
  if (!strcmp(part, "stanza")) stanzas(told);
  if (!strcmp(part, "rooms")) rooms(told);
  if (!strcmp(part, "account")) account(told);
  if (!strcmp(part, "commands")) declares(told);
  if (!strcmp(part, "schedules")) schedules();
  if (!strcmp(part, "others")) others();
  if (!strcmp(part, "wait")) {
    parlor_log(PARLOR_INFO, "waiting for %s", told->rest);
    waits("wait for another's promise", told->rest);
  }
}
