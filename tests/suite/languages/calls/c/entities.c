/* The calls of chats.chat, contacts.chat, announced.chat and members.chat. */

#include "calls.h"

#include <string.h>

static const char bob[] = "bob@example.org", nobody[] = "nobody@example.org";
static const char garden[] = "garden@rooms.example.org", hall[] = "hall@rooms.example.org", ball[] = "ball@rooms.example.org";

/* The error of a generated call that failed. */
static parlor_plugin_types_error_t failed;

#define DONE(call) parlor_done(call, &failed)

static const char *shown(plugin_string_t text) {
  return (const char *)text.ptr;
}

/* Adds a text to others, behind a comma. */
static const char *listed(const char *all, const char *text) {
  return parlor_format("%s%s%s", all, *all ? ", " : "", text);
}

/* chats.chat */

static parlor_error chats_open(void) {
  plugin_string_t both[] = {parlor_text(alice), parlor_text(bob)};
  parlor_plugin_chats_list_jid_t jids = {both, 2};
  parlor_plugin_chats_list_result_chat_error_t opened = {0};
  parlor_error error = DONE(parlor_plugin_chats_open_many(&jids, &opened, &failed));
  const char *all = "";
  for (size_t i = 0; i < opened.len; i++) all = listed(all, opened.ptr[i].is_err ? "-" : shown(opened.ptr[i].val.ok.jid));
  return tell(error, all);
}

static parlor_error chats_get(void) {
  plugin_string_t one = parlor_text(bob), both[] = {parlor_text(alice), parlor_text(nobody)};
  parlor_plugin_chats_list_jid_t jids = {both, 2};
  parlor_plugin_chats_option_chat_t first = {0};
  parlor_plugin_chats_list_option_chat_t two = {0};
  parlor_plugin_chats_list_chat_t all = {0};
  parlor_error error = DONE(parlor_plugin_chats_get(&one, &first, &failed));
  if (!error) error = DONE(parlor_plugin_chats_get_many(&jids, &two, &failed));
  if (!error) error = DONE(parlor_plugin_chats_get_all(&all, &failed));
  const char *them = "";
  for (size_t i = 0; i < two.len; i++) them = listed(them, two.ptr[i].is_some ? shown(two.ptr[i].val.jid) : "-");
  return tell(error, parlor_format("%s; %s; %d", first.is_some ? shown(first.val.jid) : "-", them, (int)all.len));
}

static parlor_error chats_show(void) {
  plugin_string_t jid = parlor_text(bob);
  parlor_error error = DONE(parlor_plugin_chats_focus(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_chats_show(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_chats_maximize(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_chats_minimize(&jid, &failed));
  return tell(error, "done");
}

static parlor_error chats_close(void) {
  plugin_string_t one = parlor_text(bob), other = parlor_text(alice);
  parlor_plugin_chats_list_jid_t jids = {&other, 1};
  parlor_plugin_chats_list_result_void_error_t closed = {0};
  parlor_error error = DONE(parlor_plugin_chats_close(&one, &failed));
  if (!error) error = DONE(parlor_plugin_chats_close_many(&jids, &closed, &failed));
  return tell(error, parlor_format("%d", (int)closed.len));
}

static parlor_error chats(const char *what) {
  if (!strcmp(what, "open")) return chats_open();
  if (!strcmp(what, "get")) return chats_get();
  return strcmp(what, "show") ? chats_close() : chats_show();
}

/* contacts.chat */

static parlor_error contacts_get(void) {
  plugin_string_t one = parlor_text(alice), both[] = {one, parlor_text(nobody)};
  parlor_plugin_contacts_list_jid_t jids = {both, 2};
  parlor_plugin_contacts_option_contact_t first = {0};
  parlor_plugin_contacts_list_option_contact_t two = {0};
  parlor_plugin_contacts_list_contact_t all = {0};
  parlor_error error = DONE(parlor_plugin_contacts_get(&one, &first, &failed));
  if (!error) error = DONE(parlor_plugin_contacts_get_many(&jids, &two, &failed));
  if (!error) error = DONE(parlor_plugin_contacts_get_all(&all, &failed));
  const char *fullname = first.is_some ? shown(first.val.fullname) : "-", *them = "";
  for (size_t i = 0; first.is_some && i < first.val.groups.len; i++) fullname = parlor_format("%s %s", fullname, shown(first.val.groups.ptr[i]));
  for (size_t i = 0; i < two.len; i++) them = listed(them, two.ptr[i].is_some ? shown(two.ptr[i].val.jid) : "-");
  return tell(error, parlor_format("%s; %s; %d", fullname, them, (int)all.len));
}

static parlor_error contacts(const char *what) {
  if (!strcmp(what, "get")) return contacts_get();
  plugin_string_t jid = parlor_text(alice), name = parlor_text("Al"), groups[] = {parlor_text("family"), parlor_text("friends")};
  parlor_error error = DONE(parlor_plugin_contacts_rename(&jid, &name, &failed));
  if (!error) error = DONE(parlor_plugin_contacts_set_groups(&jid, &(plugin_list_string_t){groups, 2}, &failed));
  return tell(error, "done");
}

static parlor_error asks(const parlor_event *event, void *context) {
  (void)context;
  if (!strncmp(event->contact->jid, "carol", 5)) return parlor_contacts_accept(event->contact);
  return parlor_contacts_deny(event->contact);
}

/* announced.chat */

static parlor_error announce(const char *rest) {
  (void)rest;
  plugin_string_t feature = parlor_text("urn:example:news"), category = parlor_text("automation"), kind = parlor_text("weather");
  plugin_string_t name = parlor_text("Weather");
  bool added = false, named = false;
  parlor_error error = DONE(parlor_plugin_disco_own_features_add(&feature, &added, &failed));
  if (!error) error = DONE(parlor_plugin_disco_own_identities_add(&category, &kind, &name, NULL, &named, &failed));
  return tell(error, parlor_format("%s %s", added ? "true" : "false", named ? "true" : "false"));
}

static parlor_error announced(const char *rest) {
  (void)rest;
  plugin_list_string_t features = {0};
  parlor_plugin_disco_list_identity_t identities = {0};
  parlor_error error = DONE(parlor_plugin_disco_own_features_get(&features, &failed));
  if (!error) error = DONE(parlor_plugin_disco_own_identities_get(&identities, &failed));
  bool is_there = false;
  for (size_t i = 0; i < features.len; i++) is_there |= !strcmp(shown(features.ptr[i]), "urn:example:news");
  const char *all = "";
  for (size_t i = 0; i < identities.len; i++) {
    const parlor_plugin_disco_identity_t *one = &identities.ptr[i];
    const char *name = one->name.is_some ? shown(one->name.val) : "-";
    all = listed(all, parlor_format("%s/%s %s", shown(one->category), shown(one->kind), name));
  }
  return tell(error, parlor_format("%s; %s", is_there ? "true" : "false", all));
}

static parlor_error clear(const char *rest) {
  (void)rest;
  return tell(DONE(parlor_plugin_disco_own_identities_clear(&failed)), "done");
}

static parlor_error server(const char *rest) {
  (void)rest;
  plugin_string_t category = parlor_text("server"), kind = parlor_text("im"), jid = parlor_text("example.org");
  plugin_string_t ping = parlor_text("urn:xmpp:ping"), none = parlor_text("urn:example:none");
  parlor_plugin_disco_option_identity_t identity = {0};
  parlor_plugin_disco_support_t pings = {0}, nones = {0};
  parlor_error error = DONE(parlor_plugin_disco_get_identity(&category, &kind, &jid, &identity, &failed));
  if (!error) error = DONE(parlor_plugin_disco_supports(&ping, &jid, &pings, &failed));
  if (!error) error = DONE(parlor_plugin_disco_supports(&none, &jid, &nones, &failed));
  const char *what = identity.is_some ? shown(identity.val.kind) : "-";
  return tell(error, parlor_format("%s %s %s", what, pings.supported ? "true" : "false", nones.supported ? "true" : "false"));
}

/* members.chat */

static parlor_error members(const char *what) {
  plugin_string_t room = parlor_text(garden);
  if (!strcmp(what, "change")) {
    parlor_error error = parlor_rooms_set_role(garden, "bob", PARLOR_ROLE_VISITOR, "enough");
    return tell(error ? error : parlor_rooms_set_affiliation(garden, bob, PARLOR_AFFILIATION_MEMBER, NULL), "done");
  }
  if (!strcmp(what, "invite")) {
    return tell(parlor_rooms_invite(garden, "carol@example.org", &(parlor_invitation){.reason = "come"}), "done");
  }
  if (!strcmp(what, "ban")) return tell(parlor_rooms_ban(garden, bob, "spam"), "done");
  plugin_string_t member = parlor_text(PARLOR_AFFILIATION_MEMBER);
  parlor_plugin_rooms_list_affiliated_t members = {0};
  parlor_error error = DONE(parlor_plugin_rooms_affiliations(&room, &member, &members, &failed));
  const char *all = "";
  for (size_t i = 0; i < members.len; i++) all = listed(all, shown(members.ptr[i].jid));
  return tell(error, *all ? all : "nobody");
}

static parlor_error rooms_open(void) {
  plugin_string_t both[] = {parlor_text(hall), parlor_text(ball)};
  parlor_plugin_rooms_list_jid_t jids = {both, 2};
  parlor_plugin_rooms_attributes_t attributes = {.nick = {true, parlor_text("bot")}};
  parlor_plugin_rooms_list_result_room_error_t opened = {0};
  parlor_error error = DONE(parlor_plugin_rooms_open_many(&jids, &attributes, &opened, &failed));
  return tell(error, parlor_format("%d", (int)opened.len));
}

static parlor_error rooms_get(void) {
  plugin_string_t one = parlor_text(hall), both[] = {parlor_text(ball), parlor_text(garden)};
  parlor_plugin_rooms_list_jid_t jids = {both, 2};
  parlor_plugin_rooms_option_room_t first = {0};
  parlor_plugin_rooms_list_option_room_t two = {0};
  parlor_plugin_rooms_list_room_t all = {0};
  parlor_error error = DONE(parlor_plugin_rooms_get(&one, &first, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_get_many(&jids, &two, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_get_all(&all, &failed));
  const char *them = "";
  for (size_t i = 0; i < two.len; i++) them = listed(them, two.ptr[i].is_some ? shown(two.ptr[i].val.jid) : "-");
  return tell(error, parlor_format("%s; %s; %d", first.is_some ? shown(first.val.nick) : "-", them, (int)all.len));
}

static parlor_error rooms_show(void) {
  plugin_string_t jid = parlor_text(hall);
  parlor_error error = DONE(parlor_plugin_rooms_focus(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_show(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_maximize(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_minimize(&jid, &failed));
  return tell(error, "done");
}

static parlor_error rooms_bookmark(void) {
  plugin_string_t jid = parlor_text(hall);
  parlor_plugin_rooms_bookmark_t bookmark = {.jid = jid, .name = {true, parlor_text("The hall")}, .autojoin = true};
  parlor_plugin_rooms_list_bookmark_t marked = {0}, left = {0};
  parlor_error error = DONE(parlor_plugin_rooms_set_bookmark(&bookmark, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_bookmarks(&marked, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_remove_bookmark(&jid, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_bookmarks(&left, &failed));
  const char *all = "";
  for (size_t i = 0; i < marked.len; i++) {
    const char *name = marked.ptr[i].name.is_some ? shown(marked.ptr[i].name.val) : "-";
    all = listed(all, parlor_format("%s %s", shown(marked.ptr[i].jid), name));
  }
  return tell(error, parlor_format("%s; %d", all, (int)left.len));
}

static parlor_error rooms_close(void) {
  plugin_string_t over = parlor_text(ball), why = parlor_text("it is over"), jid = parlor_text(hall);
  parlor_plugin_rooms_list_jid_t jids = {&jid, 1};
  parlor_plugin_rooms_list_result_void_error_t closed = {0};
  parlor_error error = DONE(parlor_plugin_rooms_destroy(&over, &why, NULL, &failed));
  if (!error) error = DONE(parlor_plugin_rooms_close_many(&jids, &closed, &failed));
  return tell(error, parlor_format("%d", (int)closed.len));
}

static parlor_error rooms(const char *what) {
  if (!strcmp(what, "open")) return rooms_open();
  if (!strcmp(what, "get")) return rooms_get();
  if (!strcmp(what, "show")) return rooms_show();
  return strcmp(what, "bookmark") ? rooms_close() : rooms_bookmark();
}

static parlor_error invited(const parlor_event *event, void *context) {
  (void)context;
  plugin_string_t room = parlor_text(event->invite->room), from = parlor_text(event->invite->from), why = parlor_text("another time");
  return DONE(parlor_plugin_rooms_decline(&room, &from, &why, &failed));
}

const named_call entities[] = {
    {"chats", chats}, {"contacts", contacts}, {"announce", announce}, {"announced", announced}, {"clear", clear}, {"server", server},
    {"members", members}, {"rooms", rooms}, {0},
};

parlor_error hears(void) {
  parlor_error error = parlor_on("contactRequest", NULL, asks, NULL);
  return error ? error : parlor_on("roomInviteReceived", NULL, invited, NULL);
}
