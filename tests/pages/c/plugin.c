/* The examples on the pages of docs/api. Each page shows the part between its two marks. */

#include <parlor.h>

static const char room[] = "hall@rooms.example.org", juliet[] = "juliet@example.org";

static parlor_error ask(const parlor_event *event, void *context) {
  (void)event, (void)context;
  const char *answer;
  // == api
  parlor_error error = parlor_emit("libraryOpen", "{\"books\": 12}");
  if (!error) error = parlor_wait_until("rosterContactsFetched", NULL);
  parlor_xml iq = {0};
  parlor_xml_open(&iq, "iq");
  parlor_xml_attribute(&iq, "type", "get");
  parlor_xml_open(&iq, "query");
  parlor_xml_attribute(&iq, "xmlns", PARLOR_NS_VERSION);
  if (!error) error = parlor_api_send_iq(parlor_xml_end(&iq), &answer);
  // ==
  return error;
}

// == archive
static parlor_error show(const parlor_message *message, bool *enough, void *context) {
  (void)enough, (void)context;
  if (message->body) parlor_log(PARLOR_INFO, "%s", message->body);
  return PARLOR_OK;
}

static parlor_error look_back(const parlor_event *event, void *context) {
  (void)event, (void)context;
  return parlor_archive_query_all(&(parlor_archive_options){.with = juliet, .start = "2026-11-01"}, show, NULL);
}
// ==

static parlor_error talk(const parlor_event *event, void *context) {
  (void)event, (void)context;
  // == chats
  parlor_error error = parlor_chats_send(juliet, "But soft!");
  if (!error) error = parlor_chats_set_attribute(juliet, "height", "400");
  // ==
  return error;
}

static parlor_error view(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == chatviews
  plugin_string_t jid = parlor_text(juliet);
  parlor_plugin_chatviews_option_view_t view;
  parlor_error error = parlor_done(parlor_plugin_chatviews_get(&jid, &view, &failed), &failed);
  bool is_small = !error && view.is_some && view.val.minimized;
  // ==
  if (is_small) parlor_log(PARLOR_INFO, "small");
  return error;
}

static parlor_error befriend(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == connection
  if (!parlor_plugin_connection_connected()) parlor_log(PARLOR_INFO, "nobody hears us yet");
  // ==

  // == contacts
  plugin_string_t jid = parlor_text(juliet), name = parlor_text("Juliet");
  parlor_plugin_contacts_contact_t contact;
  parlor_error error = parlor_done(parlor_plugin_contacts_add(&jid, &name, &contact, &failed), &failed);
  // ==
  return error;
}

static parlor_error discover(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == disco
  plugin_string_t feature = parlor_text("urn:xmpp:ping"), server = parlor_text("example.org");
  parlor_plugin_disco_support_t support;
  parlor_error error = parlor_done(parlor_plugin_disco_supports(&feature, &server, &support, &failed), &failed);
  // ==

  // == log
  parlor_log(PARLOR_INFO, "ready");
  parlor_log(PARLOR_WARN, "%s is not there", juliet);
  // ==
  return error;
}

static parlor_error keep(const parlor_event *event, void *context) {
  (void)event, (void)context;
  // == promises
  parlor_error error = parlor_promises_add("libraryOpen");
  // … and once it is:
  if (!error) error = parlor_emit("libraryOpen", "{\"books\": 12}");
  // ==

  // == settings
  const char *greeting = parlor_settings_get_text("greeting", "Hello");
  if (!error) error = parlor_settings_set("greeting", parlor_quote("Good evening"));
  // ==
  parlor_log(PARLOR_INFO, "%s", greeting);

  // == storage
  parlor_entry *entries;
  size_t count = 0;
  if (!error) error = parlor_storage_set("points/juliet", "3", 0);
  if (!error) error = parlor_storage_entries("points/", &entries, &count);
  for (size_t i = 0; !error && i < count; i++) parlor_log(PARLOR_INFO, "%s: %s", entries[i].key, entries[i].text);
  if (!error) error = parlor_storage_set("cooldown", "true", 60);
  // ==
  return error;
}

static parlor_error enter(const parlor_event *event, void *context) {
  (void)event, (void)context;
  // == rooms
  parlor_error error = parlor_rooms_open(room, "bot", NULL);
  if (!error) error = parlor_rooms_send(room, "Good evening");
  if (!error) error = parlor_rooms_set_role(room, "romeo", PARLOR_ROLE_VISITOR, "enough for today");
  // ==
  return error;
}

// == timers
static parlor_error tick(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_log(PARLOR_INFO, "another minute");
  return PARLOR_OK;
}

static parlor_error begin(const parlor_event *event, void *context) {
  (void)event;
  parlor_sleep(0.5);
  return parlor_every(60, tick, context);
}
// ==

static parlor_error know(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == tokens
  plugin_string_t sid = parlor_text("sid");
  plugin_option_string_t token;
  parlor_error error = parlor_done(parlor_plugin_tokens_get(&sid, &token, &failed), &failed);
  // ==

  // == user
  plugin_string_t value = parlor_text("dnd"), message = parlor_text("reading");
  if (!error) error = parlor_done(parlor_plugin_user_set_status(&value, &message, &failed), &failed);
  const char *own = parlor_user_bare_jid();
  // ==
  parlor_log(PARLOR_INFO, "%s", own);

  // == vcard
  plugin_string_t jid = parlor_text(juliet);
  parlor_plugin_vcard_card_t card;
  if (!error) error = parlor_done(parlor_plugin_vcard_get(&jid, false, &card, &failed), &failed);
  // ==
  return error;
}

// == commands
static parlor_error weather(const parlor_event *event, void *context) {
  (void)context;
  const char *city = event->command->count ? event->command->arguments[0] : "Verona";
  return parlor_reply(event->message, "Sunshine in %s", city);
}

static parlor_error add_commands(void) {
  return parlor_commands_add("weather", "Says what the weather will be", "CITY [DAY]", weather, NULL);
}
// ==

// == listen
static parlor_error serve(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "at your service");
}

static parlor_error listen_to_room(void) {
  return parlor_on("message", &(parlor_filter){.room = room, .prefix = "bot:"}, serve, NULL);
}
// ==

parlor_error parlor_start(void) {
  parlor_handler *const ready[] = {ask, look_back, talk, view, befriend, discover, keep, enter, begin, know};
  parlor_error error = add_commands();
  if (!error) error = listen_to_room();
  for (size_t i = 0; !error && i < sizeof ready / sizeof *ready; i++) error = parlor_on_ready(ready[i], NULL);
  return error;
}
