/* The calls of schedules.chat, iq.chat, requests.chat, questions.chat, people.chat and sealed.chat. */

#include "calls.h"

#include <stdlib.h>
#include <string.h>

static const char garden[] = "garden@rooms.example.org", zone[] = "Europe/Berlin";

/* Says `done` after a call, or its error. Its result is not told. */
static parlor_error is_done(bool done, const parlor_plugin_types_error_t *failed) {
  return tell(parlor_done(done, failed), "done");
}

/* A text that may be left out. */
static const char *optional(plugin_option_string_t text) {
  return text.is_some ? (const char *)text.val.ptr : "-";
}

/* schedules.chat */

static bool fails;

static const char *shown(const char *moment) {
  const char *text = NULL;
  return parlor_schedules_format(moment, "UTC", "%F %H:%M:%S", &text) ? parlor_failed()->text : text;
}

static parlor_error cron(const char *expression) {
  const char *first;
  parlor_error error = parlor_schedules_cron("work", expression, zone, PARLOR_CATCH_UP, &first);
  return tell(error, error ? NULL : shown(first));
}

static parlor_error every(const char *seconds) {
  const char *first;
  parlor_error error = parlor_schedules_every("tick", atoi(seconds), PARLOR_CATCH_UP, &first);
  return tell(error, error ? NULL : shown(first));
}

static parlor_error cancel(const char *name) {
  bool there;
  parlor_error error = parlor_schedules_cancel(name, &there);
  return tell(error, there ? "true" : "false");
}

static parlor_error when_there(const char *text) {
  const char *moment;
  parlor_local_time there;
  parlor_error error = parlor_schedules_parse(text, zone, &moment);
  if (!error) error = parlor_schedules_to_local(moment, zone, &there);
  if (error) return tell(error, NULL);
  const char *day = parlor_format("%04d-%02d-%02d", there.year, there.month, there.day);
  const char *time = parlor_format("%02d:%02d:%02d", there.hour, there.minute, there.second);
  return tell(error, parlor_format("%s %s %d %d %s", day, time, there.weekday, (int)there.offset, there.abbreviation));
}

static parlor_error fail(const char *rest) {
  (void)rest;
  fails = true;
  return PARLOR_OK;
}

static parlor_error wake(const parlor_event *event, void *context) {
  (void)context;
  const parlor_due_time *due = event->due;
  if (fails) {
    fails = false;
    return parlor_fail("it is too early");
  }
  return tell(PARLOR_OK, parlor_format("%s %s %d %u %u", due->name, shown(due->due), (int)due->late, due->missed, due->attempt));
}

/* iq.chat */

static char last_iq[65];

static parlor_error weather(const parlor_event *event, void *context) {
  (void)context;
  const parlor_iq *iq = event->iq;
  strncpy(last_iq, iq->id, sizeof last_iq - 1);
  if (strcmp(iq->kind, "get")) return parlor_iq_refuse(iq->id, "not-allowed", "it can only be read");
  if (!strcmp(iq->name, "nothing")) return parlor_iq_answer(iq->id, NULL);
  parlor_xml said = {0};
  parlor_xml_open(&said, "said");
  parlor_xml_attribute(&said, "xmlns", "urn:example:weather");
  parlor_xml_text(&said, parlor_format("%s %s %s %s %s", iq->from, iq->kind, iq->ns, iq->name, iq->xml));
  return parlor_iq_answer(iq->id, parlor_xml_end(&said));
}

static parlor_error answer_again(const char *rest) {
  (void)rest;
  return tell(parlor_iq_answer(last_iq, NULL), "it was answered again");
}

/* requests.chat */

static parlor_error request(const char *text) {
  size_t length = strcspn(text, " ");
  const char *answer;
  parlor_error error = parlor_plugins_call("partner", parlor_format("%.*s", (int)length, text), text[length] ? text + length + 1 : NULL, &answer);
  return tell(error, answer);
}

static parlor_error requested(const parlor_event *event, void *context) {
  (void)context;
  const parlor_request *request = event->request;
  if (!strcmp(request->name, "closed")) return parlor_plugins_refuse(request->id, parlor_format("%s has to wait", request->plugin));
  return parlor_plugins_answer(request->id, parlor_format("{\"name\": %s, \"value\": %s}", parlor_quote(request->name), request->json));
}

/* questions.chat */

static parlor_error sized(const parlor_dialog_answer *size, parlor_error error, void *context) {
  (void)context;
  if (error) return tell(error, NULL);
  return parlor_rooms_send(garden, "%d: %s", size->choice, size->text);
}

static parlor_error pizza(const parlor_event *event, void *context) {
  static const char *const sizes[] = {"small", "large", NULL};
  const parlor_message *message = event->message;
  return parlor_dialogs_ask_in_room(message->chat, message->nick, &(parlor_question){"Which size?", sizes, 60}, sized, context);
}

/* people.chat */

static parlor_error idle(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_disco_activity_t idle;
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_disco_last_activity(&whom, &idle, &failed), &failed);
  return tell(error, error ? NULL : parlor_format("%u %s", (unsigned)idle.seconds, optional(idle.status)));
}

static parlor_error clock_of(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_disco_entity_time_t clock;
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_disco_time(&whom, &clock, &failed), &failed);
  return tell(error, error ? NULL : parlor_format("%s %d", shown((const char *)clock.utc.ptr), (int)clock.offset));
}

static parlor_error software(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_disco_software_t found;
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_disco_version(&whom, &found, &failed), &failed);
  return tell(error, error ? NULL : parlor_format("%s %s %s", optional(found.name), optional(found.version), optional(found.os)));
}

static parlor_error block(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_contacts_block(&whom, NULL, &failed), &failed);
}

/* The id of the last message that offers something, in the archive. */
static char bought[65];

static parlor_error offers(const parlor_event *event, void *context) {
  (void)context;
  strncpy(bought, event->message->stanza_id ? event->message->stanza_id : "", sizeof bought - 1);
  return PARLOR_OK;
}

static parlor_error report(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_contacts_tuple2_jid_string_t id = {parlor_text(parlor_user_bare_jid()), parlor_text(bought)};
  parlor_plugin_contacts_report_t spam = {parlor_text("spam"), {true, parlor_text("it sells swords")}, {&id, *bought ? 1 : 0}};
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_contacts_block(&whom, &spam, &failed), &failed);
}

static parlor_error unblock(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_contacts_unblock(&whom, &failed), &failed);
}

static parlor_error blocked(const char *rest) {
  (void)rest;
  parlor_plugin_contacts_list_jid_t blocked = {0};
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_contacts_blocked(&blocked, &failed), &failed);
  const char *all = blocked.len ? "" : "nobody";
  for (size_t i = 0; i < blocked.len; i++) all = parlor_format("%s%s%s", all, i ? ", " : "", (const char *)blocked.ptr[i].ptr);
  return tell(error, all);
}

static parlor_error voice(const char *rest) {
  (void)rest;
  plugin_string_t room = parlor_text(garden);
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_rooms_request_voice(&room, &failed), &failed);
}

static parlor_error enrol(const char *nick) {
  plugin_string_t room = parlor_text(garden), name = parlor_text(nick);
  parlor_plugin_rooms_list_tuple2_string_config_value_t no_fields = {NULL, 0};
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_rooms_register(&room, &name, &no_fields, &failed), &failed);
}

static parlor_error unregister(const char *rest) {
  (void)rest;
  plugin_string_t room = parlor_text(garden);
  parlor_plugin_types_error_t failed;
  return is_done(parlor_plugin_rooms_unregister(&room, &failed), &failed);
}

static parlor_error reserved(const char *rest) {
  (void)rest;
  plugin_string_t room = parlor_text(garden);
  plugin_option_string_t nick = {0};
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_rooms_reserved_nick(&room, &nick, &failed), &failed);
  return tell(error, nick.is_some ? (const char *)nick.val.ptr : "none");
}

static parlor_error asks_for_voice(const parlor_event *event, void *context) {
  (void)context;
  const parlor_occupant *visitor = event->occupant;
  plugin_string_t room = parlor_text(visitor->room), nick = parlor_text(visitor->nick);
  parlor_plugin_types_error_t failed;
  return parlor_done(parlor_plugin_rooms_answer_voice(&room, &nick, !strcmp(visitor->nick, "bob"), &failed), &failed);
}

/* sealed.chat */

static parlor_error send_by(const char *encryption, const char *body) {
  parlor_error error = parlor_chats_send_message(alice, &(parlor_outgoing){.body = body, .encryption = encryption}, NULL);
  return error ? tell(error, NULL) : PARLOR_OK;
}

static parlor_error require(const char *body) {
  return send_by("required", body);
}

static parlor_error plain(const char *body) {
  return send_by("none", body);
}

static parlor_error otr(const char *what) {
  plugin_string_t whom = parlor_text(alice);
  parlor_plugin_types_chat_t chat;
  parlor_plugin_types_error_t failed;
  parlor_error error = parlor_done(parlor_plugin_chats_open(&whom, &chat, &failed), &failed);
  if (error) return tell(error, NULL);
  if (strcmp(what, "begin")) return is_done(parlor_plugin_chats_end_otr(&whom, &failed), &failed);
  return is_done(parlor_plugin_chats_initiate_otr(&whom, &failed), &failed);
}

static parlor_error sealed(const parlor_event *event, void *context) {
  (void)context;
  return tell(PARLOR_OK, parlor_format("%s %s", or_none(event->message->encryption), or_none(event->message->device_trust)));
}

static parlor_error cannot(const parlor_event *event, void *context) {
  (void)context;
  const parlor_undecryptable *message = event->undecryptable;
  const char *who = parlor_format("%s %s %s", message->chat, message->from, message->kind);
  return tell(PARLOR_OK, parlor_format("%s %s %s %s", who, message->encryption, message->reason, or_none(message->id)));
}

const named_call people[] = {
    {"cron", cron}, {"every", every}, {"cancel", cancel}, {"when", when_there}, {"fail", fail}, {"answer", answer_again}, {"request", request},
    {"idle", idle}, {"clock", clock_of}, {"software", software}, {"block", block}, {"report", report}, {"unblock", unblock}, {"blocked", blocked},
    {"voice", voice}, {"register", enrol}, {"unregister", unregister}, {"reserved", reserved},
    {"require", require}, {"plain", plain}, {"otr", otr}, {0},
};

parlor_error listens(void) {
  parlor_error error = parlor_on("schedule", NULL, wake, NULL);
  if (!error) error = parlor_on("iq", NULL, weather, NULL);
  if (!error) error = parlor_on("request", NULL, requested, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "groupchat", .prefix = "pizza"}, pizza, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "chat", .prefix = "buy"}, offers, NULL);
  if (!error) error = parlor_on("voiceRequest", NULL, asks_for_voice, NULL);
  if (!error) error = parlor_on("message", &(parlor_filter){.kind = "chat", .prefix = "sealed"}, sealed, NULL);
  return error ? error : parlor_on("undecryptable", NULL, cannot, NULL);
}
