/* Tests what authors expect of C and of the SDK; see tests. */

#include <parlor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/select.h>
#include <time.h>

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

static parlor_error when(const parlor_event *event, void *context) {
  (void)context;
  double ago = difftime(parlor_time(event->message->at), parlor_time("2026-01-01T11:00:00.5Z"));
  const char *week = parlor_time_text(parlor_time("2026-01-01T11:00:00.5Z") - 7 * 24 * 3600), *never = parlor_time_text(-1);
  return parlor_reply(event->message, "%g %d %d %s %s", ago, (int)parlor_time("yesterday"), (int)parlor_time(NULL), week, never ? never : "never");
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

static parlor_error never(const parlor_event *event, void *context) {
  (void)event, (void)context;
  return parlor_fail("it was ended");
}

/* The timer is due while this waits, and is handled after it. */
static parlor_error end_all(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = parlor_after(0.01, never, NULL);
  parlor_sleep(0.02);
  if (!error) error = parlor_off(never, NULL);
  if (!error) error = parlor_on_ready(never, NULL);
  if (!error) error = parlor_off(never, NULL);
  return error ? error : parlor_reply(event->message, "ended");
}

/* Otherwise each refused one would leave a subscription, of which there are at most 256. */
static parlor_error refuse(const parlor_event *event, void *context) {
  (void)context;
  for (int i = 0; i < 256; i++) {
    if (parlor_commands_add("no name!", "Is refused", "", greet, "third") != PARLOR_INVALID) return parlor_fail("it was not refused");
  }
  parlor_error error = parlor_once("message", &(parlor_filter){.prefix = "never"}, greet_no_more, NULL);
  return error ? error : parlor_reply(event->message, "there is room");
}

static parlor_error fails(const parlor_event *event, void *context) {
  (void)event, (void)context;
  return parlor_fail("told to");
}

/* ready.chat */

static char readies[64];

static parlor_error count_ready(const parlor_event *event, void *context) {
  (void)event, (void)context;
  strcat(readies, parlor_plugin_connection_connected() ? "true" : "false");
  return PARLOR_OK;
}

static parlor_error tell_readies(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "%s", readies);
}

/* settings.chat */

static parlor_error read(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "%g", parlor_settings_get_number("time", 0));
}

static parlor_error list(const parlor_event *event, void *context) {
  const char **words, *all = "";
  size_t count = parlor_settings_get_list(context, &words);
  for (size_t i = 0; i < count; i++) all = parlor_format("%s <%s>", all, words[i]);
  return parlor_reply(event->message, "%zu%s", count, all);
}

static parlor_error change(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = parlor_settings_set("time", "\"3 s\"");
  if (!error) error = parlor_settings_set("words", "[\"]\", \"\\\"\", \"\"]");
  return error ? error : list(event, "words");
}

/* errors.chat */

static parlor_error lose(const parlor_event *event, void *context) {
  (void)context;
  const char *what = event->message->body + strlen("lose");
  parlor_plugin_types_error_t error;
  if (!strcmp(what, " a room")) {
    /* The texts of neither of these are what the third one is about. */
    parlor_settings_get_text("words", NULL);
    plugin_string_t jid = parlor_text("hall@rooms.example.org"), other = parlor_text("other");
    return parlor_done(parlor_plugin_rooms_close(other.len ? &jid : &other, &error), &error);
  }
  if (!strcmp(what, " them all")) {
    parlor_plugin_chats_list_jid_t none = {0};
    parlor_plugin_chats_list_result_chat_error_t opened;
    return parlor_done(parlor_plugin_chats_open_many(&none, &opened, &error), &error);
  }
  if (!strcmp(what, " at home")) return parlor_rooms_send(parlor_settings_get_text("time", "hall@rooms.example.org"), "hello");
  if (!strcmp(what, " itself")) return parlor_fail("told to");
  if (!strcmp(what, " somebody")) return parlor_chats_send((const parlor_occupant *)NULL, "hello");
  return parlor_chats_send("@", "hello");
}

/* waits.chat */

/* Declared here since <unistd.h> also declares `read`. */
unsigned sleep(unsigned seconds);
int usleep(unsigned microseconds);

static parlor_error nap(const parlor_event *event, void *context) {
  (void)context;
  const char *how = event->message->body + strlen("nap");
  int woken = -1;
  if (!strcmp(how, " by nanosleep")) woken = nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
  if (!strcmp(how, " by poll")) woken = poll(NULL, 0, 1500);
  if (!strcmp(how, " by select")) woken = select(0, NULL, NULL, NULL, &(struct timeval){.tv_sec = 1, .tv_usec = 500000});
  if (*how) return parlor_reply(event->message, "awake%s, %d", how, woken);
  sleep(1);
  usleep(500000);
  return parlor_reply(event->message, "awake");
}

/* storage.chat */

static parlor_error swap(const parlor_event *event, void *context) {
  (void)context;
  bool first, second, third, fourth;
  const char *kept;
  parlor_error error = parlor_storage_compare_and_set("k", NULL, "one", 0, &first);
  if (!error) error = parlor_storage_compare_and_set("k", NULL, "two", 0, &second);
  if (!error) error = parlor_storage_compare_and_set("k", "one", "three", 0, &third);
  if (!error) error = parlor_storage_get("k", &kept);
  if (!error) error = parlor_storage_compare_and_set("k", "three", NULL, 0, &fourth);
  return error ? error : parlor_reply(event->message, "%d %d %d %s %d", first, second, third, kept, fourth);
}

static parlor_error all_entries(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = PARLOR_OK;
  for (int i = 0; !error && i < 1001; i++) error = parlor_storage_set(parlor_format("e/%04d", i), parlor_format("%d", i), 0);
  parlor_entry *entries;
  size_t count, right = 0;
  if (!error) error = parlor_storage_entries("e/", &entries, &count);
  for (size_t i = 0; !error && i < count; i++) {
    right += (size_t)atoi(entries[i].text) == i && entries[i].size == strlen(entries[i].text) && atoi(entries[i].key + 2) == (int)i;
  }
  return error ? error : parlor_reply(event->message, "%zu %zu", count, right);
}

static parlor_error ranges(const parlor_event *event, void *context) {
  (void)context;
  int64_t first, second;
  parlor_error error = parlor_storage_add("n", -3, 0, &first);
  if (!error) error = parlor_storage_add("n", 5, 0, &second);
  parlor_change changes[] = {
      {PARLOR_CHANGE_EXPECT, "r/1", .text = NULL},
      {PARLOR_CHANGE_SET, "r/1", .text = "1"},
      {PARLOR_CHANGE_SET, "r/2", .text = "2", .expires = 60},
      {PARLOR_CHANGE_ADD, "n", .amount = 1},
      {PARLOR_CHANGE_DELETE, "none"},
      {0},
  };
  bool once, again;
  if (!error) error = parlor_storage_change(changes, &once);
  if (!error) error = parlor_storage_change(changes, &again);
  parlor_entry *last, *some;
  size_t two, one;
  if (!error) error = parlor_storage_range(&(parlor_range){.prefix = "r/", .descending = true}, &last, &two);
  if (!error) error = parlor_storage_range(&(parlor_range){.from = "n", .to = "r/2", .limit = 1}, &some, &one);
  if (error) return error;
  if (two != 2 || one != 1) return parlor_reply(event->message, "%zu %zu", two, one);
  return parlor_reply(event->message, "%d %d %d %d %s %s %s %s", (int)first, (int)second, once, again, last[0].key, last[1].key,
                      some[0].key, some[0].text);
}

static parlor_error keep_nothing(const parlor_event *event, void *context) {
  (void)context;
  /* The message has no thread. */
  const char *none = event->message->thread, *kept;
  bool is_invalid = parlor_storage_set("nothing", none, 0) == PARLOR_INVALID;
  const char *argument = parlor_failed()->argument;
  parlor_error error = parlor_storage_get("nothing", &kept);
  if (error) return error;
  return parlor_reply(event->message, "%d %s %s <%s> %s", is_invalid, argument, kept ? kept : "none", parlor_escape(none), parlor_quote(none));
}

/* promises.chat */

static parlor_error reject(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = parlor_promises_add("broken");
  if (!error) error = parlor_promises_reject("broken", "no time");
  if (error) return error;
  error = parlor_wait_until("broken", NULL);
  const parlor_failure *failed = parlor_failed();
  return parlor_reply(event->message, "%s; %s", error == PARLOR_REJECTED ? failed->text : "kept", failed->reason ? failed->reason : "none");
}

/* events.chat */

static parlor_error tell(const parlor_event *event, void *context) {
  (void)context;
  const parlor_occupant *occupant = event->occupant;
  const parlor_room *room = event->room;
  const parlor_contact *contact = event->contact;
  const parlor_invite *invite = event->invite;
  if (occupant && !strcmp(event->name, "occupantChanged")) {
    if (!occupant->previous_nick) return PARLOR_OK;
    return parlor_rooms_send(occupant->room, "%s was %s%s", occupant->nick, occupant->previous_nick, occupant->own ? ", and I am" : "");
  }
  if (occupant) return parlor_rooms_send(occupant->room, "%s is %s, %s", occupant->nick, occupant->role, occupant->left ? occupant->left : "here");
  if (room) return parlor_rooms_send(room->jid, "as %s, %s: %s", room->nick, room->affiliation, room->subject ? room->subject : "nothing");
  if (contact) return parlor_chats_send(contact->jid, "%s, %s, %s%s", contact->subscription, contact->chat_status, contact->status ? contact->status : "nothing", contact->requesting ? ", asks" : "");
  return parlor_chats_send(invite->from, "%s: %s", invite->room, invite->reason ? invite->reason : "nothing");
}

/* stanzas.chat */

static parlor_error ask(const parlor_event *event, void *context) {
  (void)context;
  parlor_xml iq = {0};
  const char *answer;
  parlor_xml_open(&iq, "iq");
  parlor_xml_attribute(&iq, "type", "get");
  parlor_xml_attribute(&iq, "to", "garden@rooms.example.org");
  parlor_xml_open(&iq, "query");
  parlor_xml_attribute(&iq, "xmlns", PARLOR_NS_DISCO_INFO);
  /* The message has no thread. */
  parlor_xml_attribute(&iq, "node", event->message->thread);
  parlor_xml_text(&iq, event->message->thread);
  parlor_error error = parlor_api_send_iq(parlor_xml_end(&iq), &answer);
  if (error) return error;
  const parlor_element *query = parlor_xml_find(parlor_xml_read(answer), "query", PARLOR_NS_DISCO_INFO);
  const parlor_element *identity = parlor_xml_find(query, "identity", NULL);
  return parlor_reply(event->message, "%s", parlor_xml_value(identity, "category"));
}

static const char *shown(const parlor_element *element) {
  const char *all = parlor_format("%s{%s}", element->name, element->xmlns ? element->xmlns : "");
  for (const parlor_attribute *one = element->attributes; one; one = one->next) all = parlor_format("%s %s=%s", all, one->name, one->value);
  for (const parlor_element *one = element->inside; one; one = one->next) all = parlor_format("%s (%s)", all, shown(one));
  return parlor_format("%s [%s]", all, element->text);
}

static parlor_error parse(const parlor_event *event, void *context) {
  (void)context;
  const parlor_element *element = parlor_xml_read(event->message->body + strlen("read "));
  return parlor_reply(event->message, "%s", element ? shown(element) : "no XML");
}

/* errors.chat */

static bool too_early;

/* Called before the account logs in. */
static void look_early(void) {
  parlor_plugin_rooms_list_bookmark_t bookmarks;
  parlor_plugin_types_error_t error;
  too_early = parlor_done(parlor_plugin_rooms_bookmarks(&bookmarks, &error), &error) == PARLOR_NOT_READY && parlor_failed()->temporary;
}

static parlor_error later(const parlor_event *event, void *context) {
  (void)context;
  const char *answer;
  parlor_error error = parlor_api_send_iq("<iq type='get' to='garden@rooms.example.org'><nonsense xmlns='urn:x'/></iq>", &answer);
  if (error != PARLOR_STANZA) return parlor_fail("it was answered");
  const parlor_failure *failed = parlor_failed();
  return parlor_reply(event->message, "%d %s %d", too_early, failed->kind, failed->temporary);
}

/* messages.chat */

static parlor_error who(const parlor_event *event, void *context) {
  (void)context;
  const parlor_occupant *occupant;
  parlor_error error = parlor_occupant_of(event->message, &occupant);
  if (error || !occupant) return error ? error : parlor_reply(event->message, "nobody");
  return parlor_reply(event->message, "%s, %s", occupant->nick, occupant->role);
}

static parlor_error alone(const parlor_event *event, void *context) {
  (void)context;
  return parlor_chats_reply_message(event->message, &(parlor_outgoing){.body = "you alone", .reply_to = event->message}, NULL);
}

static parlor_error ask_for_markers(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply_message(event->message, &(parlor_outgoing){.body = "read this", .request_markers = true}, NULL);
}

static parlor_error sent(const parlor_event *event, void *context) {
  (void)context;
  const parlor_plugin_types_message_t *all = event->message->all;
  parlor_log(PARLOR_WARN, "markers: %s", all->extensions.is_some && all->extensions.val.markable ? "true" : "false");
  return PARLOR_OK;
}

/* rooms.chat */

static parlor_error visit(const parlor_event *event, void *context) {
  (void)event, (void)context;
  static const char room[] = "attic@rooms.example.org";
  parlor_error error = parlor_rooms_open(room, "robot", NULL);
  if (!error) error = parlor_rooms_send(room, "here I am");
  return error ? error : parlor_rooms_close(room);
}

/* The context is the text before the nickname. */
static parlor_error obey(const parlor_event *event, void *context) {
  const char *room = event->message->chat, *nick = event->message->body + strlen(context);
  const parlor_occupant *who;
  parlor_error error = parlor_rooms_occupant(room, nick, &who);
  if (error || !who) return error ? error : parlor_reply(event->message, "nobody is %s", nick);
  switch (*(const char *)context) {
    case 'k': return parlor_rooms_kick(room, nick, "so it is");
    case 'b': return parlor_rooms_ban(room, who->jid, NULL);
    case 'm': return parlor_rooms_set_role(room, nick, "visitor", NULL);
    default: return parlor_rooms_set_affiliation(room, who->jid, "member", "welcome");
  }
}

/* entities.chat */

static parlor_error attributes(const parlor_message *message) {
  plugin_string_t jid = parlor_text(message->chat);
  parlor_plugin_types_chat_t chat;
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_chats_open(&jid, &chat, &failed), &failed);
  const char *mood, *gone, *height, *flag, *told = "";
  if (!error) error = parlor_chats_set_attribute(&chat, "mood", parlor_quote("r\"o"));
  if (!error) error = parlor_chats_get_attribute(&chat, "mood", &mood);
  if (!error) error = parlor_chats_set_attribute(&chat, "mood", NULL);
  if (!error) error = parlor_chats_get_attribute(&chat, "mood", &gone);
  const parlor_room *park, *again, *none;
  if (!error) error = parlor_rooms_get_or_create("park@rooms.example.org", "Romeo", NULL, true, &park);
  if (!error) error = parlor_rooms_set_attribute(park, "height", "400");
  if (!error) error = parlor_rooms_get_attribute(park, "height", &height);
  static const char *const names[] = {"shows-jids", "shows_jids", "showsJids"};
  for (size_t i = 0; !error && i < sizeof names / sizeof *names; i++) {
    error = parlor_rooms_get_attribute(park, names[i], &flag);
    if (!error) told = parlor_format("%s %d", told, parlor_json_flag(flag, false));
  }
  if (!error) error = parlor_rooms_get_or_create("park@rooms.example.org", "Juliet", NULL, false, &again);
  if (!error) error = parlor_rooms_get_or_create("nowhere@rooms.example.org", NULL, NULL, false, &none);
  if (error) return error;
  return parlor_chats_send(&chat, "%s %d %d%s %s %d", parlor_json_text(mood, "?"), !gone, (int)parlor_json_number(height, 0), told, again->nick, !none);
}

static parlor_error entities(const parlor_event *event, void *context) {
  (void)context;
  static const char hall[] = "hall@rooms.example.org", ball[] = "ball@rooms.example.org";
  parlor_error error = parlor_rooms_open(hall, "Romeo", NULL);
  const parlor_field config[] = {{"changesubject", "false"}, {"membersonly", "true"}, {"roomdesc", "Comfy room for hanging out"}, {"maxusers", "20"}, {0}};
  if (!error) error = parlor_rooms_open_configured(ball, "coolguy69", NULL, config);
  if (!error) error = parlor_rooms_configure(parlor_address(ball), (parlor_field[]){{"roomname", "The ball"}, {0}});
  const char *form;
  if (!error) error = parlor_api_send_iq("<iq type='get' to='ball@rooms.example.org'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>", &form);
  if (error) return error;
  const char *values = "";
  static const char *const fields[] = {"changesubject", "membersonly", "roomdesc", "maxusers", "roomname"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char *field = strstr(form, parlor_format("roomconfig_%s", fields[i])), *value = field ? strstr(field, "<value>") : NULL;
    if (value) values = parlor_format("%s%s%.*s", values, *values ? ", " : "", (int)strcspn(value + 7, "<"), value + 7);
  }
  error = parlor_reply(event->message, "%s", values);
  const parlor_occupant *occupant;
  if (!error) error = parlor_rooms_occupant("garden@rooms.example.org", "alice", &occupant);
  if (!error) error = parlor_vcard_update(parlor_address(event->message->chat), false);
  if (!error) error = parlor_vcard_update(occupant, true);
  if (!error) error = parlor_rooms_occupant("garden@rooms.example.org", "alice", &occupant);
  const parlor_vcard *card;
  if (!error) error = parlor_vcard_get(occupant, false, &card);
  if (error) return error;
  error = parlor_reply(event->message, "%.*s, %s", (int)occupant->all->url.val.len, (const char *)occupant->all->url.val.ptr, card->url);
  if (error) return error;
  error = parlor_settings_update((parlor_field[]){{"limit", "12"}, {"words", "[\"a\"]"}, {0}});
  if (!error) error = parlor_settings_set("open", "true");
  if (!error) error = parlor_reply(event->message, "%d %s", (int)parlor_settings_get_number("limit", 0), parlor_settings_get_flag("open", false) ? "true" : "false");
  return error ? error : attributes(event->message);
}

static parlor_error tell_attributes(const parlor_event *event, void *context) {
  (void)context;
  const char *told = "";
  static const char *const names[] = {"id", "subscription", "groups", "requesting", "nothing", "chat-status", "chat_status", "chatStatus", "resources"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = parlor_contact_get(event->contact, names[i]);
    told = parlor_format("%s %s", told, value ? value : "-");
  }
  return parlor_chats_send(event->contact, "%s", told + 1);
}

/* replies.chat */

static parlor_error agree(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  if (message->body && !strcmp(message->body, "ack")) return parlor_acknowledge(message);
  if (message->body && !strcmp(message->body, "👍")) {
    return parlor_chats_send_message(message->chat, &(parlor_outgoing){.react_to = message, .emoji = " 👍  🎉 "}, NULL);
  }
  if (message->body && !strcmp(message->body, "mark")) {
    return parlor_reply_message(message, &(parlor_outgoing){.marker = "displayed", .mark_of = message}, NULL);
  }
  if (message->body && !strcmp(message->body, "id")) return parlor_reply(message, "%s", parlor_reference(message));
  const char *said = parlor_body_without_fallback(message, PARLOR_NS_REPLY), *id;
  if (strcmp(said, "+1")) return PARLOR_OK;
  parlor_error error = parlor_reply(message, "%s", said);
  if (error) return error;
  error = parlor_reply_message(message, &(parlor_outgoing){.body = "so it is", .reply_to = message, .quote = true}, &id);
  return error || *id ? error : parlor_fail("it has no id");
}

static parlor_error tell_what_it_is_about(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  if (message->replies_to) return parlor_reply(message, "an answer to %s", message->replies_to);
  if (message->replaces) return parlor_reply(message, "in the place of %s", message->replaces);
  if (!message->reacts_to) return PARLOR_OK;
  const char *all = "";
  for (size_t i = 0; i < message->emoji_count; i++) all = parlor_format("%s %s", all, message->emojis[i]);
  return parlor_reply(message, "%zu for %s:%s", message->emoji_count, message->reacts_to, all);
}

/* styling.chat */

static parlor_error style(const parlor_event *event, void *context) {
  (void)context;
  const char *text = event->message->body + strlen("style ");
  const char *bold = parlor_styling_bold(parlor_styling_escape(text)), *joiner = strstr(bold, "\xE2\x81\xA0");
  if (joiner) bold = parlor_format("%.*s+%s", (int)(joiner - bold), bold, joiner + 3);
  const char *body = parlor_format("%s\n%s\n%s\n%s\nhttps://example.org/", bold, parlor_styling_monospace(text), parlor_styling_quote(text),
                                   parlor_styling_code_block(text));
  const parlor_link_preview previews[] = {{.url = "https://example.org/", .title = "Page"}, {0}};
  return parlor_reply_message(event->message, &(parlor_outgoing){.body = body, .spoiler = "end", .unstyled = true, .previews = previews}, NULL);
}

static parlor_error tell_what_is_shown(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  if (message->spoiler) return parlor_reply(message, "hidden <%s>", message->spoiler);
  if (message->unstyled) return parlor_reply(message, "unstyled %s", message->previews->title);
  return parlor_reply(message, "there");
}

/* cannot.chat */

static parlor_error cannot(const parlor_event *event, void *context) {
  (void)context;
  time_t now = time(NULL);
  const char *files = fopen("notes.txt", "r") || fopen("notes.txt", "w") ? "files" : "no files";
  const char *environment = getenv("HOME") || getenv("PATH") ? "an environment" : "no environment";
  return parlor_reply(event->message, "%s, %s, %d o'clock", files, environment, localtime(&now)->tm_hour);
}

/* kinds.chat */

static parlor_error kind(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "%s", event->message->kind);
}

/* web.chat */

static parlor_error get(const parlor_event *event, void *context) {
  (void)context;
  parlor_http_response answer;
  parlor_error error = parlor_http_get(event->message->body + strlen("get "), &answer);
  return error ? error : parlor_reply(event->message, "%u, %zu bytes: %s", answer.status, answer.size, answer.body);
}

parlor_error parlor_start(void) {
  look_early();
  parlor_error error = parlor_on_mention(mentioned, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "🍕"}, cut, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "when"}, when, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "refuse"}, refuse, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "end all"}, end_all, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "settings"}, read, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "list"}, list, "words");
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "rooms"}, list, "auto_join_rooms");
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "change"}, change, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "swap"}, swap, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "entries"}, all_entries, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "range"}, ranges, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "lose"}, lose, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "nap"}, nap, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "nothing"}, keep_nothing, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "reject"}, reject, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "ask"}, ask, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "read "}, parse, NULL);
  static const char *const told[] = {"occupantJoined", "occupantLeft", "occupantChanged", "roomSubjectChanged", "contactRequest", "contactPresenceChanged", "roomInviteReceived"};
  for (size_t i = 0; !error && i < sizeof told / sizeof *told; i++) error = parlor_on(told[i], NULL, tell, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "cannot"}, cannot, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "who"}, who, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "alone"}, alone, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "mark me"}, ask_for_markers, NULL);
  if (!error) error = parlor_on("messageSend", &(parlor_filter){.prefix = "read this"}, sent, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "later?"}, later, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "visit"}, visit, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "entities"}, entities, NULL);
  if (!error) error = parlor_on("contactStatusMessageChanged", NULL, tell_attributes, NULL);
  static const char *const orders[] = {"kick ", "ban ", "mute ", "adopt "};
  for (size_t i = 0; !error && i < sizeof orders / sizeof *orders; i++) error = parlor_on("message", &(parlor_filter){.prefix = orders[i]}, obey, (void *)orders[i]);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "no more"}, greet_no_more, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "chat normal", .prefix = "kind"}, kind, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "get "}, get, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "style "}, style, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "shown"}, tell_what_is_shown, NULL);
  if (!error) error = parlor_on("message", NULL, agree, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.from = "erin@example.org"}, tell_what_it_is_about, NULL);
  if (!error) error = parlor_commands_add("Grüße", "Greets", "", greet, "first");
  if (!error) error = parlor_commands_add("Grüße", "Greets", "", greet, "second");
  if (!error) error = parlor_on_ready(count_ready, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.prefix = "ready?"}, tell_readies, NULL);
  if (!error) error = parlor_commands_add("fails", "Does not work", "", fails, NULL);
  return error;
}
