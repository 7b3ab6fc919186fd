/* The examples on the pages of docs/reference/api, and of docs/author/moderation.md. Each page shows the part between its two marks. */

#include <parlor.h>
#include <stdlib.h>
#include <string.h>

static const char room[] = "hall@rooms.example.org", juliet[] = "juliet@example.org";

static parlor_error ask(const parlor_event *event, void *context) {
  (void)event, (void)context;
  const char *opened, *answer;
  // == api
  parlor_error error = parlor_emit("libraryOpen", "{\"books\": 12}");
  if (!error) error = parlor_wait_until("libraryOpen", &opened);
  parlor_xml presence = {0}, iq = {0};
  parlor_xml_open(&presence, "presence");
  parlor_xml_attribute(&presence, "to", juliet);
  if (!error) error = parlor_api_send(parlor_xml_end(&presence));
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
  parlor_plugin_types_error_t failed;
  parlor_plugin_archive_options_t options = {0}, older, newer;
  options.with.is_some = options.before.is_some = true;
  options.with.val = parlor_text(juliet);
  options.before.val = parlor_text("");
  parlor_plugin_archive_page_t page;
  parlor_error error = parlor_done(parlor_plugin_archive_query(&options, &page, &failed), &failed);
  if (error) return error;
  parlor_plugin_archive_previous(&page.rsm, 10, &older);
  parlor_plugin_archive_next(&page.rsm, 10, &newer);
  return parlor_archive_query_all(&(parlor_archive_options){.with = juliet, .start = "2026-11-01"}, show, NULL);
}
// ==

static parlor_error talk(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == chats
  parlor_error error = parlor_chats_send(juliet, "But soft!");
  plugin_string_t jid = parlor_text(juliet);
  plugin_string_t both[] = {jid, parlor_text("romeo@example.org")};
  parlor_plugin_chats_list_jid_t jids = {both, 2};
  parlor_plugin_chats_chat_t chat;
  if (!error) error = parlor_done(parlor_plugin_chats_open(&jid, &chat, &failed), &failed);
  parlor_plugin_chats_list_result_chat_error_t opened;
  if (!error) error = parlor_done(parlor_plugin_chats_open_many(&jids, &opened, &failed), &failed);
  parlor_plugin_chats_option_chat_t one;
  if (!error) error = parlor_done(parlor_plugin_chats_get(&jid, &one, &failed), &failed);
  parlor_plugin_chats_list_option_chat_t two;
  if (!error) error = parlor_done(parlor_plugin_chats_get_many(&jids, &two, &failed), &failed);
  parlor_plugin_chats_list_chat_t all;
  if (!error) error = parlor_done(parlor_plugin_chats_get_all(&all, &failed), &failed);
  if (!error) error = parlor_chats_set_attribute(juliet, "height", "400");
  const char *height;
  if (!error) error = parlor_chats_get_attribute(juliet, "height", &height);
  // For a front end:
  if (!error) error = parlor_done(parlor_plugin_chats_focus(&jid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_chats_show(&jid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_chats_maximize(&jid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_chats_minimize(&jid, &failed), &failed);
  // Off the record, with the person of an open chat:
  if (!error) error = parlor_done(parlor_plugin_chats_initiate_otr(&jid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_chats_end_otr(&jid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_chats_close(&jid, &failed), &failed);
  parlor_plugin_chats_list_result_void_error_t closed;
  if (!error) error = parlor_done(parlor_plugin_chats_close_many(&jids, &closed, &failed), &failed);
  // ==
  return error;
}

static parlor_error view(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == chatviews
  plugin_string_t both[] = {parlor_text(juliet), parlor_text("romeo@example.org")};
  parlor_plugin_chatviews_option_view_t view;
  parlor_error error = parlor_done(parlor_plugin_chatviews_get(&both[0], &view, &failed), &failed);
  bool is_small = !error && view.is_some && view.val.minimized;
  parlor_plugin_chatviews_list_option_view_t views;
  if (!error) error = parlor_done(parlor_plugin_chatviews_get_many(&(parlor_plugin_chatviews_list_jid_t){both, 2}, &views, &failed), &failed);
  // ==
  if (is_small) parlor_log(PARLOR_INFO, "small");

  // == connection
  if (!parlor_plugin_connection_connected()) parlor_log(PARLOR_INFO, "nobody hears us yet");
  if (!error) error = parlor_done(parlor_plugin_connection_disconnect(&failed), &failed);
  // ==
  return error;
}

// == contacts
static parlor_error asked(const parlor_event *event, void *context) {
  (void)context;
  if (!strcmp(event->contact->jid, juliet)) return parlor_contacts_accept(event->contact);
  return parlor_contacts_deny(event->contact);
}

static parlor_error befriend(const parlor_event *event, void *context) {
  (void)event;
  parlor_plugin_types_error_t failed;
  plugin_string_t jid = parlor_text(juliet), name = parlor_text("Juliet"), group = parlor_text("friends");
  parlor_plugin_contacts_contact_t contact;
  parlor_error error = parlor_done(parlor_plugin_contacts_add(&jid, &name, &contact, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_contacts_rename(&jid, &name, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_contacts_set_groups(&jid, &(plugin_list_string_t){&group, 1}, &failed), &failed);
  parlor_plugin_contacts_option_contact_t known;
  if (!error) error = parlor_done(parlor_plugin_contacts_get(&jid, &known, &failed), &failed);
  plugin_string_t both[] = {jid, parlor_text("romeo@example.org")};
  parlor_plugin_contacts_list_option_contact_t two;
  if (!error) error = parlor_done(parlor_plugin_contacts_get_many(&(parlor_plugin_contacts_list_jid_t){both, 2}, &two, &failed), &failed);
  parlor_plugin_contacts_list_contact_t all;
  if (!error) error = parlor_done(parlor_plugin_contacts_get_all(&all, &failed), &failed);
  if (!error) error = parlor_on("contactRequest", NULL, asked, context);
  if (!error) error = parlor_done(parlor_plugin_contacts_remove(&both[1], &failed), &failed);

  plugin_string_t tybalt = parlor_text("tybalt@example.org");
  parlor_plugin_contacts_report_t report = {.kind = parlor_text("spam"), .text = {true, parlor_text("it sells swords")}};
  if (!error) error = parlor_done(parlor_plugin_contacts_block(&tybalt, &report, &failed), &failed);
  parlor_plugin_contacts_list_jid_t blocked;
  if (!error) error = parlor_done(parlor_plugin_contacts_blocked(&blocked, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_contacts_unblock(&tybalt, &failed), &failed);
  return error;
}
// ==

static parlor_error ask_the_web(const parlor_event *event, void *context) {
  (void)event;
  (void)context;
  // == http
  parlor_http_response weather, note;
  parlor_error error = parlor_http_fetch(
      &(parlor_http_request){
          .url = "https://api.example.org/weather?city=Verona",
          .headers = (parlor_field[]){{"authorization", "Bearer {{api_key}}"}, {0}},
          .credentials = (const char *[]){"api_key", NULL},
          .follow = 3,
      },
      &weather);
  if (!error)
    error = parlor_http_fetch(
        &(parlor_http_request){.method = "POST", .url = "https://api.example.org/notes", .json = "{\"text\": \"But soft!\"}"}, &note);

  // A body of any size goes in parts:
  uint64_t exchange = 0;
  parlor_http_head head;
  const char *part = "But soft!";
  size_t size = strlen(part);
  if (!error) error = parlor_http_open(&(parlor_http_request){.method = "PUT", .url = "https://api.example.org/log"}, &exchange);
  if (!error) error = parlor_http_write(exchange, part, size);
  if (!error) error = parlor_http_answer(exchange, &head);
  while (!error && part) {
    error = parlor_http_read(exchange, &part, &size);
    if (part) parlor_log(PARLOR_INFO, "%zu bytes", size);
  }
  parlor_http_close(exchange);
  // ==
  if (!error) parlor_log(PARLOR_INFO, "%s %u %u", weather.body, note.status, head.status);
  return error;
}

// == files
static parlor_error measure(const parlor_event *event, void *context) {
  (void)context;
  parlor_error error = PARLOR_OK;
  for (const parlor_file *file = event->message->files; !error && file && file->url; file++) {
    parlor_opened opened;
    const char *part = "";
    size_t size;
    error = parlor_files_open(file->url, &opened);
    while (!error && part) {
      error = parlor_files_read(opened.transfer, &part, &size);
      if (part) parlor_log(PARLOR_INFO, "%zu bytes", size);
    }
    parlor_files_close(opened.transfer);
  }
  return error;
}

static parlor_error share(const parlor_event *event, void *context) {
  (void)event;
  const char *text = "But soft!";
  parlor_file files[2] = {0}; // the last one is empty
  uint64_t transfer;
  parlor_error error = parlor_files_upload("note.txt", "text/plain", strlen(text), &transfer);
  if (!error) error = parlor_files_write(transfer, text, strlen(text));
  if (!error) error = parlor_files_finish(transfer, &files[0]);
  parlor_files_close(transfer);
  if (!error) error = parlor_chats_send_message(juliet, &(parlor_outgoing){.files = files}, NULL);
  // For an encrypted chat:
  if (!error) error = parlor_files_upload_encrypted("note.txt", "text/plain", strlen(text), &transfer);
  if (!error) error = parlor_files_write(transfer, text, strlen(text));
  if (!error) error = parlor_files_finish(transfer, &files[0]);
  parlor_files_close(transfer);
  if (!error) error = parlor_chats_send_message(juliet, &(parlor_outgoing){.files = files, .encryption = "required"}, NULL);
  return error ? error : parlor_on("message", NULL, measure, context);
}
// ==

static parlor_error discover(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == disco
  bool is_new;
  plugin_string_t own = parlor_text("urn:example:weather:1"), name = parlor_text("Weather for Verona");
  plugin_string_t automation = parlor_text("automation"), weather = parlor_text("weather");
  parlor_error error = parlor_done(parlor_plugin_disco_own_features_add(&own, &is_new, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_disco_own_identities_add(&automation, &weather, &name, NULL, &is_new, &failed), &failed);
  plugin_list_string_t features;
  if (!error) error = parlor_done(parlor_plugin_disco_own_features_get(&features, &failed), &failed);
  parlor_plugin_disco_list_identity_t identities;
  if (!error) error = parlor_done(parlor_plugin_disco_own_identities_get(&identities, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_disco_own_identities_clear(&failed), &failed);
  plugin_string_t ping = parlor_text("urn:xmpp:ping"), server = parlor_text("example.org");
  parlor_plugin_disco_support_t support;
  if (!error) error = parlor_done(parlor_plugin_disco_supports(&ping, &server, &support, &failed), &failed);
  plugin_string_t category = parlor_text("server"), kind = parlor_text("im");
  parlor_plugin_disco_option_identity_t identity;
  if (!error) error = parlor_done(parlor_plugin_disco_get_identity(&category, &kind, &server, &identity, &failed), &failed);
  parlor_plugin_disco_entity_time_t clock;
  if (!error) error = parlor_done(parlor_plugin_disco_time(&server, &clock, &failed), &failed);
  parlor_plugin_disco_software_t software;
  if (!error) error = parlor_done(parlor_plugin_disco_version(&server, &software, &failed), &failed);
  plugin_string_t somebody = parlor_text(juliet);
  parlor_plugin_disco_activity_t idle;
  if (!error) error = parlor_done(parlor_plugin_disco_last_activity(&somebody, &idle, &failed), &failed);
  // ==

  // == log
  parlor_log(PARLOR_INFO, "ready");
  parlor_log(PARLOR_WARN, "%s is not there", juliet);
  // ==
  return error;
}

static parlor_error keep(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == promises
  parlor_error error = parlor_promises_add("libraryOpen");
  plugin_string_t names[] = {parlor_text("booksSorted"), parlor_text("lampsLit")};
  if (!error) error = parlor_done(parlor_plugin_promises_add_all(&(plugin_list_string_t){names, 2}, &failed), &failed);
  // … and once they are:
  if (!error) error = parlor_emit("libraryOpen", "{\"books\": 12}");
  if (!error) error = parlor_promises_reject("lampsLit", "there is no oil");
  // ==

  // == settings
  const char *greeting = parlor_settings_get_text("greeting", "Hello"), *json = parlor_settings_get("greeting");
  // In a timer or schedule, which handle no event of the room:
  const char *in_hall = parlor_json_text(parlor_settings_get_in("hall@rooms.example.org", "greeting"), "Hello");
  if (!error) error = parlor_settings_set("greeting", parlor_quote("Good evening"));
  parlor_plugin_settings_tuple2_string_json_t values[] = {{parlor_text("limit"), parlor_text("12")}};
  if (!error) error = parlor_done(parlor_plugin_settings_set_many(&(parlor_plugin_settings_list_tuple2_string_json_t){values, 1}, &failed), &failed);
  // A new setting, and its default:
  if (!error) error = parlor_settings_update((parlor_field[]){{"colour", "\"red\""}, {0}});
  // ==
  parlor_log(PARLOR_INFO, "%s %s %s", greeting, json, in_hall);

  // == storage
  const char *points, **keys;
  bool is_mine = false;
  parlor_entry *entries;
  size_t count = 0;
  if (!error) error = parlor_storage_set("points/juliet", "3", 0);
  if (!error) error = parlor_storage_set("cooldown", "true", 60);
  if (!error) error = parlor_storage_get("points/juliet", &points);
  if (!error) error = parlor_storage_compare_and_set("points/juliet", points, "4", 0, &is_mine);
  if (!error) error = parlor_storage_entries("points/", &entries, &count);
  for (size_t i = 0; !error && i < count; i++) parlor_log(PARLOR_INFO, "%s: %s", entries[i].key, entries[i].text);
  if (!error) error = parlor_storage_range(&(parlor_range){.prefix = "points/", .descending = true, .limit = 5}, &entries, &count);
  int64_t visits;
  if (!error) error = parlor_storage_add("visits", 1, 0, &visits);
  parlor_change sale[] = {
      {PARLOR_CHANGE_EXPECT, "seat/7", .text = "free"},
      {PARLOR_CHANGE_SET, "seat/7", .text = "juliet"},
      {PARLOR_CHANGE_ADD, "sold", .amount = 1},
      {0},
  };
  if (!error) error = parlor_storage_change(sale, &is_mine);
  if (!error) error = parlor_storage_keys("points/", &keys, &count);
  if (!error) error = parlor_storage_delete("points/juliet");
  // ==
  return error;
}

// == rooms
static parlor_error invited(const parlor_event *event, void *context) {
  (void)context;
  parlor_plugin_types_error_t failed;
  plugin_string_t jid = parlor_text(event->invite->room), from = parlor_text(event->invite->from), why = parlor_text("another time");
  return parlor_done(parlor_plugin_rooms_decline(&jid, &from, &why, &failed), &failed);
}

static parlor_error asked_for_voice(const parlor_event *event, void *context) {
  (void)context;
  parlor_plugin_types_error_t failed;
  const parlor_occupant *visitor = event->occupant;
  plugin_string_t jid = parlor_text(visitor->room), nick = parlor_text(visitor->nick);
  bool is_member = strcmp(visitor->affiliation, PARLOR_AFFILIATION_MEMBER) == 0;
  return parlor_done(parlor_plugin_rooms_answer_voice(&jid, &nick, is_member, &failed), &failed);
}

static parlor_error enter(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  plugin_string_t hall = parlor_text(room), garden = parlor_text("garden@rooms.example.org"), ball = parlor_text("ball@rooms.example.org");
  plugin_string_t both[] = {garden, ball};
  parlor_plugin_rooms_list_jid_t jids = {both, 2};
  parlor_plugin_rooms_attributes_t attributes = {0};

  parlor_error error = parlor_rooms_open(room, "bot", NULL);
  parlor_plugin_rooms_list_result_room_error_t opened;
  if (!error) error = parlor_done(parlor_plugin_rooms_open_many(&jids, &attributes, &opened, &failed), &failed);
  const parlor_room *made;
  if (!error) error = parlor_rooms_get_or_create("ball@rooms.example.org", "bot", NULL, true, &made);
  if (!error) error = parlor_rooms_configure("ball@rooms.example.org", (parlor_field[]){{"membersonly", "true"}, {"roomname", "The ball"}, {0}});
  if (!error) error = parlor_rooms_send(room, "Good evening");

  parlor_plugin_rooms_option_room_t there;
  if (!error) error = parlor_done(parlor_plugin_rooms_get(&hall, &there, &failed), &failed);
  parlor_plugin_rooms_list_option_room_t two;
  if (!error) error = parlor_done(parlor_plugin_rooms_get_many(&jids, &two, &failed), &failed);
  parlor_plugin_rooms_list_room_t all;
  if (!error) error = parlor_done(parlor_plugin_rooms_get_all(&all, &failed), &failed);
  const parlor_occupant *people;
  size_t count;
  if (!error) error = parlor_rooms_occupants(room, &people, &count);

  // As a moderator, an admin or an owner:
  plugin_string_t member = parlor_text(PARLOR_AFFILIATION_MEMBER);
  if (!error) error = parlor_rooms_set_subject(room, "The feast");
  if (!error) error = parlor_rooms_set_role(room, "romeo", PARLOR_ROLE_VISITOR, "enough for today");
  if (!error) error = parlor_rooms_set_affiliation(room, juliet, PARLOR_AFFILIATION_MEMBER, NULL);
  parlor_plugin_rooms_list_affiliated_t members;
  if (!error) error = parlor_done(parlor_plugin_rooms_affiliations(&hall, &member, &members, &failed), &failed);
  if (!error) error = parlor_rooms_invite(room, juliet, &(parlor_invitation){.reason = "You are expected."});
  if (!error) error = parlor_rooms_kick(room, "romeo", "not on the list");
  if (!error) error = parlor_rooms_ban(room, "tybalt@example.org", "no duels");
  if (!error) error = parlor_rooms_retract(room, "the stanza-id of a message", "no duels");
  if (!error) error = parlor_on("voiceRequest", NULL, asked_for_voice, context);
  // As a visitor, and as somebody who wants to be known there:
  plugin_string_t bot = parlor_text("bot");
  if (!error) error = parlor_done(parlor_plugin_rooms_request_voice(&garden, &failed), &failed);
  parlor_plugin_rooms_list_tuple2_string_config_value_t no_fields = {NULL, 0};
  if (!error) error = parlor_done(parlor_plugin_rooms_register(&garden, &bot, &no_fields, &failed), &failed);
  plugin_option_string_t reserved;
  if (!error) error = parlor_done(parlor_plugin_rooms_reserved_nick(&garden, &reserved, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_rooms_unregister(&garden, &failed), &failed);
  if (!error) error = parlor_on("roomInviteReceived", NULL, invited, context);

  parlor_plugin_rooms_bookmark_t bookmark = {.jid = hall, .autojoin = true};
  if (!error) error = parlor_done(parlor_plugin_rooms_set_bookmark(&bookmark, &failed), &failed);
  parlor_plugin_rooms_list_bookmark_t bookmarks;
  if (!error) error = parlor_done(parlor_plugin_rooms_bookmarks(&bookmarks, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_rooms_remove_bookmark(&hall, &failed), &failed);

  // For a front end:
  if (!error) error = parlor_rooms_set_attribute(room, "height", "400");
  const char *height;
  if (!error) error = parlor_rooms_get_attribute(room, "height", &height);
  if (!error) error = parlor_done(parlor_plugin_rooms_focus(&hall, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_rooms_show(&hall, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_rooms_maximize(&hall, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_rooms_minimize(&hall, &failed), &failed);

  if (!error) error = parlor_rooms_close(room);
  parlor_plugin_rooms_list_result_void_error_t closed;
  if (!error) error = parlor_done(parlor_plugin_rooms_close_many(&jids, &closed, &failed), &failed);
  plugin_string_t why = parlor_text("the ball is over");
  if (!error) error = parlor_done(parlor_plugin_rooms_destroy(&ball, &why, NULL, &failed), &failed);
  return error;
}
// ==

// == timers
static parlor_error tick(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_log(PARLOR_INFO, "another minute");
  return PARLOR_OK;
}

static parlor_error enough(const parlor_event *event, void *context) {
  (void)event;
  return parlor_off(tick, context);
}

static parlor_error begin(const parlor_event *event, void *context) {
  (void)event;
  parlor_sleep(0.5);
  parlor_error error = parlor_every(60, tick, context);
  return error ? error : parlor_after(600, enough, context);
}
// ==

static parlor_error know(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_plugin_types_error_t failed;
  // == tokens
  plugin_string_t names[] = {parlor_text("rid"), parlor_text("sid")};
  plugin_option_string_t rid, sid;
  parlor_error error = parlor_done(parlor_plugin_tokens_get(&names[0], &rid, &failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_tokens_get(&names[1], &sid, &failed), &failed);
  // ==

  // == user
  plugin_string_t message = parlor_text("reading");
  if (!error) error = parlor_user_set_status("dnd", "reading");
  if (!error) error = parlor_done(parlor_plugin_user_set_status_message(&message, &failed), &failed);
  parlor_plugin_user_status_t status;
  if (!error) error = parlor_done(parlor_plugin_user_get_status(&status, &failed), &failed);
  const char *own = parlor_user_bare_jid();
  parlor_plugin_user_address_t full;
  parlor_plugin_user_jid(&full);
  if (!error) error = parlor_done(parlor_plugin_user_logout(&failed), &failed);
  if (!error) error = parlor_done(parlor_plugin_user_login(NULL, &failed), &failed);
  // ==
  parlor_log(PARLOR_INFO, "%s", own);

  // == vcard
  const parlor_vcard *card;
  if (!error) error = parlor_vcard_get(juliet, false, &card);
  parlor_plugin_vcard_card_data_t data = {.nickname = {true, parlor_text("bot")}};
  if (!error) error = parlor_done(parlor_plugin_vcard_set(&data, &failed), &failed);
  if (!error) error = parlor_vcard_update(juliet, false); // so that the contact or occupant shows it
  // ==
  return error;
}

// == commands
static parlor_error weather(const parlor_event *event, void *context) {
  (void)context;
  const char *city = event->command->count ? event->command->arguments[0] : "Verona";
  return parlor_reply(event->message, "Sunshine in %s", city);
}

static parlor_error no_weather(const parlor_event *event, void *context) {
  (void)event;
  return parlor_off(weather, context);
}

/* One whose arguments the host reads: */
static parlor_error roll(const parlor_event *event, void *context) {
  (void)context;
  int64_t count = 1;
  parlor_command_integer(event->command, "count", &count);
  const char *dice = parlor_format("%d dice with %s sides", (int)count, parlor_command_text(event->command, "sides"));
  bool secret = parlor_command_flag(event->command, "secret");
  /* In the form, if the command was given by one. */
  return secret ? parlor_chats_reply(event->message, "%s", dice) : parlor_answer(event, "%s", dice);
}

static const char *const sides[] = {"6", "20", NULL};
static const parlor_argument arguments[] = {
    {"count", PARLOR_ARGUMENT_INTEGER, .least = 1, .most = 100, .otherwise = "1"},
    {"sides", PARLOR_ARGUMENT_CHOICE, .choices = sides, .otherwise = "6"},
    {"secret", PARLOR_ARGUMENT_FLAG},
    {0}};
static const parlor_people players[] = {{PARLOR_PEOPLE_ROLE, PARLOR_ROLE_PARTICIPANT}, {0}};

static parlor_error add_commands(void) {
  parlor_error error = parlor_commands_add("weather", "Says what the weather will be", "CITY [DAY]", weather, NULL);
  if (!error) error = parlor_on("logout", NULL, no_weather, NULL);
  const parlor_declaration dice = {
      .name = "roll", .help = "Rolls dice", .arguments = arguments, .allow = players, .person_cooldown = 10};
  return error ? error : parlor_commands_declare(&dice, roll, NULL);
}
// ==

// == listen
static parlor_error serve(const parlor_event *event, void *context) {
  (void)context;
  return parlor_reply(event->message, "at your service");
}

static parlor_error rest(const parlor_event *event, void *context) {
  (void)event;
  return parlor_off(serve, context);
}

static parlor_error listen_to_room(void) {
  parlor_error error = parlor_on("message", &(parlor_filter){.room = room, .prefix = "bot:"}, serve, NULL);
  return error ? error : parlor_once("disconnected", NULL, rest, NULL);
}
// ==

// == webhooks
static parlor_error hear_request(const parlor_event *event, void *context) {
  (void)context;
  const char *what = parlor_webhook_header(event->webhook, "x-github-event");
  parlor_error error = parlor_rooms_send(room, "GitHub tells of a %s", what ? what : "push");
  if (error) return error;
  return parlor_webhooks_answer(event->webhook->id, &(parlor_webhook_answer){.status = 204}); // in the mode answer
}

static parlor_error tell_address(const parlor_event *event, void *context) {
  (void)event, (void)context;
  const char *address;
  parlor_error error = parlor_webhooks_address("github", &address);
  if (!error) error = parlor_chats_send(juliet, "Give GitHub %s", address); // not into the log: it is a secret
  return error;
}

static parlor_error hear_requests(void) {
  parlor_error error = parlor_on("webhook", &(parlor_filter){.webhook = "github"}, hear_request, NULL);
  return error ? error : parlor_on_ready(tell_address, NULL);
}
// ==

// == schedules
static const char zone[] = "Europe/Berlin";

static parlor_error begin_standup(const parlor_event *event, void *context) {
  (void)context;
  const char *text;
  parlor_error error = parlor_schedules_format(event->due->due, zone, "%A, %H:%M", &text);
  return error ? error : parlor_rooms_send(room, "%s: the standup begins", text);
}

static parlor_error plan_lunch(void) {
  const char *noon = NULL;
  parlor_local_time local = {0};
  parlor_error error = parlor_schedules_parse("tomorrow 12:00", zone, &noon);
  if (!error) error = parlor_schedules_to_local(noon, zone, &local);
  if (error || local.weekday > 5) return error;
  return parlor_schedules_at("lunch", noon, PARLOR_CATCH_UP, NULL);
}

static parlor_error plan(void) {
  parlor_error error = parlor_on("schedule", &(parlor_filter){.schedule = "standup"}, begin_standup, NULL);
  if (!error) error = parlor_schedules_cron("standup", "0 9 * * MON-FRI", zone, PARLOR_CATCH_UP, NULL);
  if (!error) error = parlor_schedules_every("backup", 6 * 3600, PARLOR_CATCH_UP, NULL);
  if (!error) error = plan_lunch();
  parlor_schedule *all = NULL;
  size_t count = 0;
  if (!error) error = parlor_schedules_list(&all, &count);
  for (size_t i = 0; !error && i < count; i++) {
    if (strncmp(all[i].name, "old-", 4) == 0) error = parlor_schedules_cancel(all[i].name, NULL);
  }
  return error;
}
// ==

// == iq
static parlor_error answer_weather(const parlor_event *event, void *context) {
  (void)context;
  if (strcmp(event->iq->kind, "get") != 0) return parlor_iq_refuse(event->iq->id, "not-allowed", "it can only be read");
  return parlor_iq_answer(event->iq->id, "<temperature xmlns='urn:example:weather'>7</temperature>");
}

static parlor_error answer_requests(void) { return parlor_on("iq", NULL, answer_weather, NULL); }
// ==

// == plugins
static parlor_error answer_rate(const parlor_event *event, void *context) {
  (void)context;
  const char *price;
  parlor_error error = parlor_plugins_call("bank", "price", event->request->json, &price);
  if (error == PARLOR_REJECTED) return parlor_plugins_refuse(event->request->id, "no currency");
  if (error) return error;
  return parlor_plugins_answer(event->request->id, parlor_format("{\"rate\": %s}", price));
}

static parlor_error answer_plugins(void) { return parlor_on("request", NULL, answer_rate, NULL); }
// ==

// == moderation
static parlor_judge guard;

static parlor_error watch(const parlor_event *event, void *context) {
  (void)context;
  const parlor_message *message = event->message;
  const parlor_occupant *author;
  parlor_error error = parlor_occupant_of(message, &author);
  if (error || !author || parlor_moderation_is_spared(author)) return error;
  parlor_said said = parlor_said_of(message);
  parlor_verdict verdict = parlor_judge_hear(&guard, NULL, message->chat, parlor_moderation_key(author), &said, time(NULL));
  if (verdict.offence != PARLOR_OFFENCE_LINK || !message->stanza_id) return PARLOR_OK;
  return parlor_rooms_retract(message->chat, message->stanza_id, "no links yet");
}

static parlor_error guard_rooms(void) {
  return parlor_on("message", &(parlor_filter){.kind = PARLOR_KIND_GROUPCHAT}, watch, NULL);
}
// ==

// == hooks
static parlor_error judge_outgoing(const parlor_event *event, void *context) {
  (void)context;
  const char *id = event->hook->id, *body = event->hook->message->body;
  if (!body) return parlor_hooks_allow(id);
  if (strstr(body, "secret")) return parlor_hooks_stop(id, "it names a secret");
  return parlor_hooks_alter(id, parlor_format("%s (a bot)", body), NULL);
}

static parlor_error judge_incoming(const parlor_event *event, void *context) {
  (void)context;
  const char *id = event->hook->id, *body = event->hook->message->body;
  return body && strstr(body, "casino") ? parlor_hooks_mark(id, "advertisement") : parlor_hooks_allow(id);
}

static parlor_error judge_commands(const parlor_event *event, void *context) {
  (void)context;
  const parlor_hook *hook = event->hook;
  bool has_code = hook->count && !strcmp(hook->arguments[hook->count - 1], "123456");
  return has_code ? parlor_hooks_allow(hook->id) : parlor_hooks_stop(hook->id, "Add your code.");
}

static parlor_error judge(void) {
  parlor_error error = parlor_on("hookOutgoing", NULL, judge_outgoing, NULL);
  if (!error) error = parlor_on("hookIncoming", NULL, judge_incoming, NULL);
  return error ? error : parlor_on("hookCommand", NULL, judge_commands, NULL);
}
// ==

// == dialogs
static parlor_error sized(const parlor_dialog_answer *size, parlor_error error, void *context) {
  char *person = context;
  parlor_error said = PARLOR_OK;
  if (size) said = parlor_chats_send(person, "A %s pizza it is.", size->text);
  else if (error == PARLOR_TIMED_OUT || error == PARLOR_REJECTED) said = parlor_chats_send(person, "No pizza, then.");
  else if (error != PARLOR_STOPPED && error != PARLOR_NOT_FOUND) said = error; /* else they ordered again, or left */
  free(person);
  return said;
}

static parlor_error order_pizza(const parlor_event *event, void *context) {
  (void)context;
  static const char *const sizes[] = {"small", "large", NULL};
  parlor_question question = {.text = "Which size?", .choices = sizes, .timeout = 60};
  return parlor_dialogs_ask(event->message->chat, &question, sized, strdup(event->message->chat));
}

static parlor_error ask_people(void) { return parlor_commands_add("order", "Orders a pizza", "", order_pizza, NULL); }
// ==

// == pubsub
static const char news[] = "pubsub.example.org";

static parlor_error hear_weather(const parlor_event *event, void *context) {
  (void)context;
  const parlor_pubsub *item = event->pubsub;
  parlor_log(PARLOR_INFO, "%s %s: %s", item->node, item->kind, item->xml ? item->xml : "");
  return PARLOR_OK;
}

static parlor_error make_weather(void) {
  parlor_error error = parlor_pubsub_create(news, "weather", NULL);
  if (!error) error = parlor_pubsub_configure(news, "weather", &(parlor_node_options){.access = "open", .max_items = 10});
  return error;
}

static parlor_error publish_weather(const parlor_event *event, void *context) {
  (void)event, (void)context;
  parlor_error error = parlor_pubsub_subscribe(news, "weather", NULL);
  if (error) error = make_weather();
  const char *degrees = "<temperature xmlns='urn:example:weather'>7</temperature>";
  if (!error) error = parlor_pubsub_publish(news, "weather", "Verona", degrees, NULL, NULL);
  parlor_node_item *items = NULL, *item = NULL;
  const char *last = NULL;
  size_t count = 0;
  if (!error) error = parlor_pubsub_items(news, "weather", 10, NULL, &items, &count, &last);
  if (!error && count > 1) error = parlor_pubsub_item(news, "weather", "Padua", &item);
  if (!error && item) error = parlor_pubsub_retract(news, "weather", "Padua");
  if (!error && last) error = parlor_pubsub_purge(news, "weather");
  return error;
}

void parlor_stop(void) {
  if (parlor_pubsub_unsubscribe(news, "weather") == PARLOR_OK) parlor_pubsub_delete(news, "weather");
}
// ==

parlor_error parlor_start(void) {
  parlor_handler *const ready[] = {ask, look_back, talk, view, befriend, ask_the_web, share, discover, keep, enter, begin, know, publish_weather};
  parlor_error error = add_commands();
  if (!error) error = listen_to_room();
  if (!error) error = hear_requests();
  if (!error) error = plan();
  if (!error) error = answer_requests();
  if (!error) error = answer_plugins();
  if (!error) error = judge();
  if (!error) error = guard_rooms();
  if (!error) error = ask_people();
  if (!error) error = parlor_on("pubsub-item", NULL, hear_weather, NULL);
  for (size_t i = 0; !error && i < sizeof ready / sizeof *ready; i++) error = parlor_on_ready(ready[i], NULL);
  return error;
}
