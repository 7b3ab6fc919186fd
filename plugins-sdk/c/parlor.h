/* Plugins for parlor, a host for XMPP bots, in C.
 *
 *     #include <parlor.h>
 *
 *     static parlor_error answer(const parlor_event *event, void *context) {
 *         // It says that somebody types, for instance, another client of the account received it, or it is a command.
 *         if (!event->message->body || event->message->carbon || event->message->command) return PARLOR_OK;
 *         return parlor_chats_reply(event->message, "you said: %s", event->message->body);
 *     }
 *
 *     parlor_error parlor_start(void) {
 *         return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
 *     }
 *
 * Beside it stands `plugin.toml`, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both.
 * A plugin imports what it calls, and nothing else: each function here names the permission that it needs.
 *
 * Texts are UTF-8 and end with NUL; NULL stands for none, and U+FFFD for a character that was cut. Memory from the host, and from
 * `parlor_format` and its like, lives until the handler returns, and nobody frees it. To keep it longer, copy it, for instance by
 * `strdup`. A handler that is given much forgets it on the way by `parlor_forget`.
 *
 * A call waits until it is done. One handler runs at a time: while it waits, or sleeps, the other events of this plugin wait as
 * well. So do not wait in a handler for what another handler of the same plugin has to do; use `parlor_after` and events.
 *
 * For calls that are not wrapped here, use the functions that wit-bindgen generates from the contract: see `plugin.h` beside this
 * file. The texts that they give end with NUL, too. Pass texts to them by `parlor_text`, and their results to `parlor_done`.
 */
#ifndef PARLOR_H
#define PARLOR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARLOR_FORMAT(text, values) __attribute__((__format__(__printf__, text, values)))

/* ---- Errors ------------------------------------------------------------------------------------------------------------ */

/* The error of a call. Nothing was sent unless it says so. */
typedef enum parlor_error {
  PARLOR_OK = 0,
  PARLOR_DENIED,      /* the owner did not grant it */
  PARLOR_INVALID,     /* an argument is not what it should be */
  PARLOR_NOT_FOUND,   /* the thing of this name does not exist */
  PARLOR_NOT_READY,   /* it is too early: wait for a promise first */
  PARLOR_UNSUPPORTED, /* the host, or the server, cannot do that */
  PARLOR_STANZA,      /* it was sent, and the other side answered with an error (RFC 6120, section 8.3) */
  PARLOR_REJECTED,    /* the promise was rejected */
  PARLOR_TIMED_OUT,   /* it was sent, and no answer came in time */
  PARLOR_OFFLINE,     /* there is no connection to the server */
  PARLOR_STOPPED,     /* what the call waited for has ended */
  PARLOR_OVER_LIMIT,  /* a limit of this plugin is used up */
  PARLOR_UNREACHABLE, /* there is no connection to the server of the web */
  PARLOR_TLS,         /* there is no trusted connection to it */
  PARLOR_PROTOCOL,    /* it does not speak HTTP as it should */
  PARLOR_OTHER,       /* anything else, also the plugin's own: see parlor_fail */
} parlor_error;

/* The details of the last call that failed. */
typedef struct parlor_failure {
  parlor_error error;
  const char *text;       /* a sentence for people */
  const char *permission; /* PARLOR_DENIED: which one is missing, … */
  const char *scope;      /* … what it would have to cover, or NULL, … */
  const char *hint;       /* … and what the owner types to allow it */
  const char *argument;   /* PARLOR_INVALID: its name as the contract spells it */
  const char *reason;     /* PARLOR_INVALID, PARLOR_UNSUPPORTED, PARLOR_REJECTED: why, such as cancelled */
  const char *name;       /* PARLOR_NOT_FOUND, PARLOR_NOT_READY: which thing, or which promise */
  const char *condition;  /* PARLOR_STANZA: such as item-not-found, … */
  const char *kind;       /* … what to do about it: auth, cancel, continue, modify or wait, … */
  const char *xml;        /* … and the whole error */
  bool temporary;         /* the same call may well work later */
  const char *call;       /* which function it was, such as parlor_rooms_kick, or NULL */
  const char *place;      /* where it was called, such as plugin.c:41, or NULL */
  const char *where;      /* both, with whom or what it was about; the log says it of a handler that fails */
} parlor_failure;

const parlor_failure *parlor_failed(void);

/* An error of the plugin's own; a handler that returns it is written to the log. */
parlor_error parlor_fail(const char *format, ...) PARLOR_FORMAT(1, 2);

/* ---- The plugin -------------------------------------------------------------------------------------------------------- */

/* Written by the plugin: called once, before the account logs in. Any result other than PARLOR_OK refuses the start. */
parlor_error parlor_start(void);

/* Written by the plugin, if it wants: called once, when it is told to stop. It has two seconds. */
void parlor_stop(void);

/* ---- Events ------------------------------------------------------------------------------------------------------------ */

/* A file that a message refers to. A list of them ends with one whose url is NULL. */
typedef struct parlor_file {
  const char *url;        /* https://… */
  const char *name;       /* without a path, or NULL */
  const char *media_type; /* such as image/png, or NULL */
  uint64_t size;          /* in bytes; 0 where it is not known */
} parlor_file;

/* A preview of a link, which the author of the message wrote (XEP-0511). A list of them ends with one whose url is NULL. */
typedef struct parlor_link_preview {
  const char *url;         /* the link: https://… or http://… */
  const char *title;       /* of the page, on one line, or NULL */
  const char *description; /* what the page is about, or NULL */
  const char *image;       /* the address of a picture, or NULL */
} parlor_link_preview;

/* A message as it came. */
typedef struct parlor_message {
  const char *id, *stanza_id, *origin_id;
  const char *chat;    /* the conversation: the bare JID of the other person, or of the room; of who writes to us alone from a room,
                          the room's JID with their nickname */
  const char *from, *to;
  const char *nick;    /* in a room, who said it */
  const char *occupant_id; /* in a room, the id by which it knows the author, whatever the nickname; NULL if it has no such ids */
  const char *kind;    /* chat, normal, headline, groupchat or error */
  const char *body, *subject, *thread; /* of several bodies the first; `all` has all of them */
  const char *command; /* the command that the host read in it, else NULL */
  const char *cut;     /* the limit over which the host left out a part of it, else NULL */
  const char *replies_to, *replaces, *reacts_to; /* the id of the message that it answers, corrects, or reacts to … */
  const char **emojis; /* … by these, in the place of all earlier ones; by none, where it takes them back */
  size_t emoji_count;
  const char *retracts; /* the id of the message that its author retracts, else NULL */
  const char *moderates; /* the id of the message that the room retracts, else NULL; `all` says for whom */
  const parlor_file *files; /* what it refers to, or NULL; `parlor_files_open` reads one */
  const char *spoiler; /* the text is to stay hidden until the reader wants to see it: the hint shown instead, which may be empty; else NULL */
  bool unstyled;       /* the text has no markup (XEP-0393) */
  const parlor_link_preview *previews; /* of links in the text, or NULL */
  const char *at;      /* when, such as 2026-11-20T06:24:00Z; `parlor_time` reads it */
  const char *carbon;  /* received or sent, where it is a copy of what another client of this account did, else NULL; do not answer one */
  bool delayed;        /* it is history; do not answer it */
  bool own;            /* this account wrote it */
  const char *encryption;   /* omemo or otr, where it was encrypted from end to end, else NULL */
  const char *device_trust; /* what the owner decided about the device that encrypted it: trusted, blind, undecided or distrusted, else NULL */
  const parlor_plugin_types_message_t *all; /* everything else */
} parlor_message;

/* A message that the host read as one of this plugin's commands. */
typedef struct parlor_command {
  const char *name;
  const char **arguments; /* its words; what stood in quotes is one */
  size_t count;
  const char *rest;       /* all that stands behind its name, as it was written */
  const parlor_plugin_types_command_t *all; /* everything else */
} parlor_command;

/* The roles of occupants, for as long as a visit lasts (XEP-0045, section 5.1). Giving none kicks. */
#define PARLOR_ROLE_NONE "none"
#define PARLOR_ROLE_VISITOR "visitor"
#define PARLOR_ROLE_PARTICIPANT "participant"
#define PARLOR_ROLE_MODERATOR "moderator"

/* How a person belongs to a room, whether there or not (XEP-0045, section 5.2). An outcast is banned. */
#define PARLOR_AFFILIATION_NONE "none"
#define PARLOR_AFFILIATION_OUTCAST "outcast"
#define PARLOR_AFFILIATION_MEMBER "member"
#define PARLOR_AFFILIATION_ADMIN "admin"
#define PARLOR_AFFILIATION_OWNER "owner"

/* The kinds of messages. */
#define PARLOR_KIND_CHAT "chat"
#define PARLOR_KIND_NORMAL "normal"
#define PARLOR_KIND_HEADLINE "headline"
#define PARLOR_KIND_GROUPCHAT "groupchat"
#define PARLOR_KIND_ERROR "error"

/* Somebody in a room. */
typedef struct parlor_occupant {
  const char *room, *nick;
  const char *role;        /* none, visitor, participant or moderator */
  const char *affiliation; /* none, outcast, member, admin or owner */
  const char *jid;         /* the real one, where the room shows it, else NULL */
  const char *left;        /* who has gone: how, such as kicked; else NULL */
  const char *previous_nick; /* of occupantChanged, where the nickname did: the one before; else NULL */
  bool own;                /* it is this account */
  const parlor_plugin_types_occupant_t *all; /* everything else */
} parlor_occupant;

/* A room that we are in, or were. */
typedef struct parlor_room {
  const char *jid, *nick;
  const char *role, *affiliation; /* our own */
  const char *name, *subject;     /* or NULL */
  const char *left;               /* where we are not in any more: how, such as kicked; else NULL */
  bool joined;
  const parlor_plugin_types_room_t *all; /* everything else */
} parlor_room;

/* Somebody in the roster, or who asks to be. */
typedef struct parlor_contact {
  const char *jid, *fullname;
  const char *subscription; /* none, to, from or both */
  const char *chat_status;  /* online, offline, busy, away or xa */
  const char *status;       /* what they say about it, or NULL */
  bool requesting;          /* they ask to see our presence */
  const parlor_plugin_types_contact_t *all; /* everything else */
} parlor_contact;

/* Somebody wants us in a room; of `roomInviteDeclined`, who does not come to one of ours. */
typedef struct parlor_invite {
  const char *room, *from;
  const char *reason, *password; /* or NULL */
} parlor_invite;

/* A name with a value. A list of them ends with one whose name is NULL. */
typedef struct parlor_field {
  const char *name, *value;
} parlor_field;

/* A request to a webhook of this plugin, after its signature was verified. */
typedef struct parlor_webhook {
  const char *id;              /* the same when the request is told again */
  const char *name;            /* of the webhook, as the manifest has it */
  uint32_t attempt;            /* 1 when the plugin is told for the first time, then 2 and so on */
  const char *method;          /* such as POST */
  const char *query;           /* what stood behind the ? in the address, or NULL */
  const char *path;            /* the part of the path below the address, decoded, such as garden; only with paths = true, or NULL */
  const parlor_field *headers; /* content-type and those that the manifest lists, their names in small letters */
  const char *body;            /* a NUL stands behind its `size` bytes */
  size_t size;
} parlor_webhook;

/* The first header of this name, however it is spelled. NULL: there is none. */
const char *parlor_webhook_header(const parlor_webhook *hook, const char *name);

/* The value of the first field of this name, decoded, of a query or of a body that is a form without files
 * (application/x-www-form-urlencoded), such as `hook->query` or `hook->body`. NULL: there is none. It ends at a %00. */
const char *parlor_webhook_field(const char *fields, const char *name);

/* A due time of a schedule of this plugin. */
typedef struct parlor_due_time {
  const char *name; /* of the schedule */
  const char *due;  /* the time at which it is due */
  double late;      /* seconds from then until the host told the plugin */
  uint32_t missed;  /* due times of this schedule that were missed right before it, and are not told */
  uint32_t attempt; /* 1 when the plugin is told for the first time, then 2 and so on */
} parlor_due_time;

/* A request (IQ) in a namespace that this plugin answers. */
typedef struct parlor_iq {
  const char *id;        /* by which it is answered */
  const char *from;      /* who asks; in a room, the occupant */
  const char *kind;      /* get or set */
  const char *ns, *name; /* of the payload's element */
  const char *xml;       /* the payload */
} parlor_iq;

/* A request of another plugin, by a name that the manifest lists under [requests]. */
typedef struct parlor_request {
  const char *id;     /* by which it is answered */
  const char *plugin; /* who asks, by the owner's id */
  const char *name;   /* of the request */
  const char *json;   /* the value */
} parlor_request;

/* A message or a command that waits for the verdict of this plugin. The event has the message. */
typedef struct parlor_hook {
  const char *id;         /* by which the verdict is given */
  const char *plugin;     /* who sends the message, or whose command it is, by the owner's id; NULL for a message that came */
  const char **arguments; /* those of a command; what stood in quotes is one */
  size_t count;
  const parlor_message *message;
} parlor_hook;

/* News of a publish-subscribe node, of a service or of an account. */
typedef struct parlor_pubsub {
  const char *kind;          /* item, retracted, purged, deleted, subscribed or unsubscribed */
  const char *service, *node;
  const char *id;            /* of the item; NULL where the kind is about the whole node, or it keeps none */
  const char *publisher;     /* as the service says, else NULL */
  const char *xml;           /* the item's element; NULL where it has none, or is cut */
  bool cut;                  /* the host left the element out, since it has more than 224 KiB */
} parlor_pubsub;

/* An encrypted message that the host cannot decrypt. */
typedef struct parlor_undecryptable {
  const char *chat, *from, *kind, *at;
  const char *encryption; /* omemo, otr, openpgp, pgp or other */
  const char *reason;     /* no-key-for-us, no-session, replayed, broken, distrusted, other-device or unsupported */
  const char *id, *stanza_id, *nick; /* or NULL */
  bool delayed;           /* it is history */
  bool own;               /* this account wrote it */
} parlor_undecryptable;

typedef struct parlor_event {
  const char *name;
  const char *at;
  const parlor_message *message; /* of events about messages and commands, else NULL */
  const parlor_command *command; /* of the event command, else NULL */
  const parlor_occupant *occupant; /* of events about somebody in a room, else NULL */
  const parlor_room *room;       /* of events about rooms, else NULL */
  const parlor_contact *contact; /* of events about contacts, else NULL */
  const parlor_invite *invite;   /* of the event roomInviteReceived and its like, else NULL */
  const parlor_webhook *webhook; /* of the event webhook, else NULL */
  const parlor_due_time *due;    /* of the event schedule, else NULL */
  const parlor_iq *iq;           /* of the event iq, else NULL */
  const parlor_request *request; /* of the event request, else NULL */
  const parlor_hook *hook;       /* of the events hookOutgoing, hookIncoming and hookCommand, else NULL */
  const parlor_pubsub *pubsub;   /* of the event pubsub-item, else NULL */
  const parlor_undecryptable *undecryptable; /* of the event undecryptable, else NULL */
  const char *text;              /* of events that carry a text or a JID, else NULL */
  const char *json;              /* of events that carry JSON, such as plugins' own, else NULL */
  const parlor_plugin_types_payload_t *all; /* everything else */
} parlor_event;

/* One that does not return PARLOR_OK is written to the log, and the plugin goes on. */
typedef parlor_error parlor_handler(const parlor_event *event, void *context);

/* Selects events: those left out never wake the plugin. A field that is NULL lets all through. */
typedef struct parlor_filter {
  const char *from, *room;
  const char *kind;   /* of messages; several with spaces between them, such as "chat normal" */
  const char *prefix; /* how a message's body begins, or what is left of it without what a reply quotes and the white space
                       * behind that: so cut it off what `parlor_body_without_fallback` gives, trimmed */
  const char *webhook; /* the name of a webhook in the manifest */
  const char *schedule; /* the name of a schedule */
  bool own, delayed, xml;
} parlor_filter;

/* Has a handler called at each event of this name that the filter, which may be NULL, lets through. Most events need a grant. */
parlor_error parlor_on(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context);

/* The same, at the next one only. */
parlor_error parlor_once(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context);

/* Has a handler called at each message in a room that names our nickname there. Needs messages.read for the room. */
parlor_error parlor_on_mention(parlor_handler *handler, void *context);

/* Has a handler called once, when the account is logged in and all that follows is done: the moment to send and to enter rooms,
 * for which `parlor_start` is too early. If the plugin starts after that moment, the handler is called at once. Free. */
parlor_error parlor_on_ready(parlor_handler *handler, void *context);

/* Ends subscriptions and timers with this handler and context, and what waits with them to be ready, and takes its commands away. */
parlor_error parlor_off(parlor_handler *handler, void *context);

/* Adds a command that people give, such as `!roll 2d6`. Free; it is called with the event's `command` and `message`. One that is
 * added again takes the place of the older one. */
parlor_error parlor_commands_add(const char *name, const char *help, const char *usage, parlor_handler *handler, void *context);

/* The kinds of arguments that a command may have. */
typedef enum parlor_argument_kind {
  PARLOR_ARGUMENT_TEXT,     /* a word, or several in quotes */
  PARLOR_ARGUMENT_INTEGER,  /* a whole number from `least` to `most`; where both are 0, any */
  PARLOR_ARGUMENT_NUMBER,   /* a number from `lowest` to `highest`, such as 2.5; where both are 0, any */
  PARLOR_ARGUMENT_DURATION, /* a span of time, such as 90s or 2h30m */
  PARLOR_ARGUMENT_DATE,     /* a date, such as 2026-12-24 */
  PARLOR_ARGUMENT_TIME,     /* a time of day, such as 18:30; with a date and a zone, parlor_schedules_parse makes a moment of it */
  PARLOR_ARGUMENT_JID,      /* an address; in a room also the nickname of an occupant whose address the room shows */
  PARLOR_ARGUMENT_CHOICE,   /* one of the words of `choices`; capitals do not count */
  PARLOR_ARGUMENT_FLAG,     /* whether --NAME is given */
  PARLOR_ARGUMENT_REST,     /* all that is left of the text, as it was written; only as the last one that is not named */
} parlor_argument_kind;

/* An argument of a command. A list of them ends with one whose name is NULL. */
typedef struct parlor_argument {
  const char *name;
  parlor_argument_kind kind;
  int64_t least, most;
  double lowest, highest;
  const char *const *choices; /* 1 to 64, and NULL behind them */
  bool optional;              /* it may be left out; after it, each one that is not named must be optional, too */
  const char *otherwise;      /* the value where it is left out, as a person would write it, or NULL; it makes it optional */
  bool named;                 /* it is written as --NAME VALUE or --NAME=VALUE, at any place */
  const char *help;           /* one sentence about it, or NULL */
  const char *page;           /* the title of the page that it begins where the command is given by a form, or NULL */
} parlor_argument;

/* Groups of people who may give a command. */
typedef enum parlor_people_kind {
  PARLOR_PEOPLE_END,         /* the end of a list */
  PARLOR_PEOPLE_CONTACTS,    /* those whose presence the bot sees */
  PARLOR_PEOPLE_GROUP,       /* those in the group `name` of the roster */
  PARLOR_PEOPLE_JID,         /* the bare JID `name`, or all of that domain */
  PARLOR_PEOPLE_ROLE,        /* in a room, those with the role `name` or a higher one: participant or moderator */
  PARLOR_PEOPLE_AFFILIATION, /* in a room, those with the affiliation `name` or a higher one: member, admin or owner */
  PARLOR_PEOPLE_OWNERS,      /* the owners of the bot */
} parlor_people_kind;

typedef struct parlor_people {
  parlor_people_kind kind;
  const char *name;
} parlor_people;

/* The places of commands. */
#define PARLOR_PLACE_ROOM "room"       /* a room, where everybody there reads it */
#define PARLOR_PLACE_PRIVATE "private" /* a chat, a form, or private messages through a room */

/* A command with typed arguments, which the host parses. Fields that are not set are left out. */
typedef struct parlor_declaration {
  const char *name, *help;
  const char *const *aliases;       /* other names, at most 8, and NULL behind them */
  const parlor_argument *arguments; /* in the order in which people write them, at most 16 */
  const parlor_people *allow;       /* who may give it; nobody = everybody. The owner can say otherwise */
  double person_cooldown;           /* the same person may give it again only after so many seconds, at most a day */
  double room_cooldown;             /* the same for all in one room */
  const char *place;                /* the only place in which it may be given, or NULL; people who give it elsewhere are told */
} parlor_declaration;

/* Adds a command with typed arguments. The host reads them, answers a wrong one with the usage, and checks who may give the command. One
 * that is added again takes the place of the older one. Free.
 *
 *     static const parlor_argument arguments[] = {
 *         {"count", PARLOR_ARGUMENT_INTEGER, .least = 1, .most = 100, .otherwise = "1"}, {"secret", PARLOR_ARGUMENT_FLAG}, {0}};
 *     return parlor_commands_declare(
 *         &(parlor_declaration){.name = "roll", .help = "Rolls dice", .arguments = arguments}, roll, NULL);
 */
parlor_error parlor_commands_declare(const parlor_declaration *command, parlor_handler *handler, void *context);

/* A word, what is left of the text, the word of a choice as it was declared, an address, a date as 2026-12-24, or a time of day as
 * 18:30:00; NULL where it was left out and has no otherwise. */
const char *parlor_command_text(const parlor_command *command, const char *name);

/* An address; NULL where it was left out. */
const char *parlor_command_jid(const parlor_command *command, const char *name);

/* Whether a flag was given. */
bool parlor_command_flag(const parlor_command *command, const char *name);

/* Puts a number into `value`; false: it was left out and has no otherwise, and `value` stays what it is. */
bool parlor_command_integer(const parlor_command *command, const char *name, int64_t *value);
bool parlor_command_number(const parlor_command *command, const char *name, double *value);

/* The same with a span of time. */
bool parlor_command_duration(const parlor_command *command, const char *name, double *seconds);

/* Fires an event that every plugin may hear, and resolves the promise of the same name. The JSON text may be NULL. Free. */
parlor_error parlor_emit(const char *name, const char *json);

/* Makes a promise that others can wait for; `parlor_emit` of the same name keeps it. Free. */
parlor_error parlor_promises_add(const char *name);

/* Breaks a promise of this plugin: who waits for it is given PARLOR_REJECTED, with this reason. Free. */
parlor_error parlor_promises_reject(const char *name, const char *reason);

/* Waits for a promise, the host's or a plugin's; what it carries as JSON or text is put into `value`, which may be NULL. Free. */
parlor_error parlor_wait_until(const char *name, const char **value);

/* ---- Timers ------------------------------------------------------------------------------------------------------------ */

/* Calls a handler once, after so many seconds. A plugin may have 64 of these and of the next at once, unless its owner says
 * otherwise. Free. */
parlor_error parlor_after(double seconds, parlor_handler *handler, void *context);

/* Calls it again and again; a period is at least 0.01 seconds. Free. */
parlor_error parlor_every(double seconds, parlor_handler *handler, void *context);

/* Waits so many seconds, and lets the other events of this plugin wait. `sleep` and its like of the C library do the same; the log
 * warns of them once. Use `parlor_after` for work that need not hold up everything. Free. */
void parlor_sleep(double seconds);

/* ---- Saying something -------------------------------------------------------------------------------------------------- */

/* Says something to somebody. Needs messages.send. */
parlor_error parlor_chats_send(const char *jid, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers in private, in the same chat; for a message from a room, to its author there. Needs messages.send.
 * This and its like keep the thread of what they answer; an error is not answered. */
parlor_error parlor_chats_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Says something in a room that we are in. Needs rooms.send. */
parlor_error parlor_rooms_send(const char *room, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers a message in its room. Needs rooms.send. */
parlor_error parlor_rooms_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers where it was said, in a chat or in a room. Needs messages.send and rooms.send. */
parlor_error parlor_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers the command of an event in the form by which it was given; where it was written, as `parlor_reply` does. A form has one answer,
 * of at most 4 KiB. PARLOR_NOT_FOUND: nobody waits for it any more. Needs messages.send and rooms.send. */
parlor_error parlor_answer(const parlor_event *event, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Says in the form how far the work is; `parlor_answer` follows. The person sees it if they look again before the answer. Nothing is said
 * where the command was written. Needs messages.send. */
parlor_error parlor_progress(const parlor_event *event, const char *format, ...) PARLOR_FORMAT(2, 3);

/* A message that is to be sent. It has only the fields that are set. */
typedef struct parlor_outgoing {
  const char *body, *subject, *thread;
  const parlor_message *reply_to; /* what it answers */
  bool quote;                     /* puts what that says before the body, for clients that show answers as any other message */
  const char *replace;            /* the id of the message that it corrects */
  const char *retract;            /* the id of an own message that it retracts: in a room the `stanza_id` of its echo, elsewhere the id
                                   * that sending gave; clients that know no retractions see a text of the host's */
  const parlor_message *react_to; /* what `emoji` is about: several with spaces between them; NULL takes them back */
  const char *emoji;
  bool request_receipt;           /* asks the other side to say that it came */
  bool request_markers;           /* asks to be told by markers that it came and was read (XEP-0333): they are messages whose
                                   * `all->extensions` has a marker */
  const char *receipt;            /* the id of a message of theirs that came */
  const char *marker;             /* received, displayed or acknowledged … */
  const parlor_message *mark_of;  /* … and the message that it is about … */
  const char *marked;             /* … or its id: in a room its `stanza_id`, elsewhere its `id` */
  const char *chat_state;         /* active, composing, paused, inactive or gone */
  const parlor_file *files;       /* what `parlor_files_finish` gave, 16 at most, ending with one whose url is NULL; without a body, the
                                   * address of the first one is sent as such, as clients expect it (XEP-0066) */
  const char *spoiler;            /* hides the body until the reader wants to see it, behind this hint on one line, which may be empty
                                   * (XEP-0382); needs a body */
  bool unstyled;                  /* the body has no markup, whatever signs are in it (XEP-0393) */
  const parlor_link_preview *previews; /* of links in the body, 8 at most, ending with one whose url is NULL (XEP-0511); needs a body */
  const char *encryption;         /* from end to end: that of the chat, unless it is required (else PARLOR_UNSUPPORTED) or none */
} parlor_outgoing;

/* Sends all that a message may have to somebody; its id is put into `id`, which may be NULL. Needs messages.send. */
parlor_error parlor_chats_send_message(const char *jid, const parlor_outgoing *message, const char **id);

/* The same to everybody in a room that we are in. Needs rooms.send. By that id a correction names it (`replace`); in replies and
 * reactions others name it by the room's own, the `stanza_id` of its echo, which a filter with `own` lets through. */
parlor_error parlor_rooms_send_message(const char *room, const parlor_outgoing *message, const char **id);

/* Answers with it in private, in the same chat; for a message from a room, to its author there. In its thread, unless the answer
 * names one. Needs messages.send. */
parlor_error parlor_chats_reply_message(const parlor_message *to, const parlor_outgoing *message, const char **id);

/* Answers with it where a message was said, in a chat or in a room, and in its thread unless the answer names one. Needs
 * messages.send and rooms.send. */
parlor_error parlor_reply_message(const parlor_message *to, const parlor_outgoing *message, const char **id);

/* The id by which replies and reactions know a message: in a room the room's, elsewhere the author's, which stays where a relay gives
 * it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1). NULL: it has none, and cannot be referred to. */
const char *parlor_reference(const parlor_message *message);

/* Tells the author of a message that it came, if it asked to be told (XEP-0184). It tells the author that somebody is there, so that
 * nothing but a plugin decides to send it. Needs messages.send. */
parlor_error parlor_acknowledge(const parlor_message *message);

/* The body without what is only there for clients that lack a feature, such as the quotation of a reply for those without
 * PARLOR_NS_REPLY; empty where there is no body. */
const char *parlor_body_without_fallback(const parlor_message *message, const char *feature);

/* Puts into `occupant` who said a message in a room, or from there to us alone, as the room knows them now; NULL where the room
 * itself said it, or who did has gone. In a room that gives occupant ids, somebody who has taken the author's nickname since is not the
 * author. Needs rooms.read for it. */
parlor_error parlor_occupant_of(const parlor_message *message, const parlor_occupant **occupant);

/* ---- Markup ------------------------------------------------------------------------------------------------------------- */

/* Bold, quotes and other markup in the text of a message (XEP-0393), which clients show as such. The markup is signs in the text, as in
 * `*bold*`, and there is no way to write such a sign as itself. So text from elsewhere goes through `parlor_styling_escape` first, or into
 * `parlor_styling_monospace` or `parlor_styling_code_block`, which take it as it is. For a text that is all from elsewhere, `unstyled` turns
 * markup off. NULL is an empty text.
 *
 *     parlor_reply(message, "%s says\n%s", parlor_styling_bold(parlor_styling_escape(name)), parlor_styling_quote(text));
 */

/* Makes a text bold, italic, or struck out. Lines are styled each by itself, since markup ends with its line. A line with the sign in it,
 * `*`, `_` or `~`, stays as it is: there is no way to write one within such a text. */
const char *parlor_styling_bold(const char *text);
const char *parlor_styling_italic(const char *text);
const char *parlor_styling_strike(const char *text);

/* Shows a text as it is, in letters of one width: a name of a program, or anything from elsewhere. A line with a backtick in it is only
 * escaped. */
const char *parlor_styling_monospace(const char *text);

/* Quotes each line of a text. The quotation ends with its line: put a line break behind it. */
const char *parlor_styling_quote(const char *text);

/* Shows the lines of a text as they are, in letters of one width. It begins and ends with a line of its own: put a line break before and
 * behind it. */
const char *parlor_styling_code_block(const char *text);

/* Escapes a text such that nothing in it is markup: an invisible U+2060 goes before each sign that would begin some. */
const char *parlor_styling_escape(const char *text);

/* ---- Rooms ------------------------------------------------------------------------------------------------------------- */

/* Enters a room, and returns when we are in. The nickname and the password may be NULL: then they are those of the bookmark, and else
 * the nickname is that of the settings. Needs rooms.join for it. */
parlor_error parlor_rooms_open(const char *room, const char *nick, const char *password);

/* The same, and configures a room that this makes: by fields named without muc#roomconfig_, whose values are texts; yes and no are
 * "true" and "false", and several values are several fields of one name, one behind the other. Needs rooms.configure for it as well.
 *
 *     parlor_rooms_open_configured(room, "coolguy69", NULL, (parlor_field[]){{"membersonly", "true"}, {"whois", "anyone"}, {0}});
 */
parlor_error parlor_rooms_open_configured(const char *room, const char *nick, const char *password, const parlor_field *config);

/* Changes fields of a room's configuration, named and written as above; the others stay as they are. Needs rooms.configure for it. */
parlor_error parlor_rooms_configure(const char *room, const parlor_field *config);

/* Puts into `found` the room; where it is not open and `create` is true, it is entered as by `parlor_rooms_open`, and else NULL. Needs
 * rooms.read for it, and rooms.join to enter it. */
parlor_error parlor_rooms_get_or_create(const char *room, const char *nick, const char *password, bool create, const parlor_room **found);

/* Puts into `json` what was set for a front end under this name, or a field of the room's record such as `nick`; NULL where there is
 * nothing. `parlor_json_number` and its like read it. Needs rooms.read for it. */
parlor_error parlor_rooms_get_attribute(const char *room, const char *name, const char **json);

/* Keeps a value, as JSON, for a front end as long as the room is open; NULL takes it away. `parlor_quote` makes JSON of a text. Needs
 * rooms.join for it. */
parlor_error parlor_rooms_set_attribute(const char *room, const char *name, const char *json);

/* Leaves it. Needs rooms.join for it. */
parlor_error parlor_rooms_close(const char *room);

/* Puts into `occupants` who is in a room. Needs rooms.read for it. */
parlor_error parlor_rooms_occupants(const char *room, const parlor_occupant **occupants, size_t *count);

/* Puts into `occupant` who is in a room under this nickname; NULL where nobody is. Needs rooms.read for it. */
parlor_error parlor_rooms_occupant(const char *room, const char *nick, const parlor_occupant **occupant);

/* Puts an occupant out, who may come back; or a person by their real JID, for good. This and the next three need rooms.moderate for the
 * room, which may refuse it (PARLOR_STANZA); the reason may be NULL. */
parlor_error parlor_rooms_kick(const char *room, const char *nick, const char *reason);
parlor_error parlor_rooms_ban(const char *room, const char *jid, const char *reason);

/* Retracts somebody's message for all, by its `stanza_id`. The room tells everybody with a message that has `moderates`.
 * PARLOR_UNSUPPORTED: the room cannot. */
parlor_error parlor_rooms_retract(const char *room, const char *id, const char *reason);

/* Gives an occupant a role: none, visitor, participant or moderator. */
parlor_error parlor_rooms_set_role(const char *room, const char *nick, const char *role, const char *reason);

/* Gives a person an affiliation: none, outcast, member, admin or owner. */
parlor_error parlor_rooms_set_affiliation(const char *room, const char *jid, const char *affiliation, const char *reason);

/* Changes the subject of a room; an empty one clears it. Needs rooms.moderate for it. */
parlor_error parlor_rooms_set_subject(const char *room, const char *subject);

/* What an invitation says, beside whom it is for. */
typedef struct parlor_invitation {
  const char *reason;   /* for people, or NULL */
  const char *password; /* of the room, or NULL; for a direct one alone, since a room adds its own */
  bool direct;          /* to the person (XEP-0249), and not through the room, which may refuse it or make the person a member */
} parlor_invitation;

/* Invites somebody to a room; the invitation may be NULL. Returns when it is queued: a refusal comes as the event messageError, and
 * roomInviteDeclined if the person declines. Needs rooms.moderate for it.
 *
 *     parlor_rooms_invite(room, "juliet@example.org", &(parlor_invitation){.reason = "You are expected."});
 */
parlor_error parlor_rooms_invite(const char *room, const char *jid, const parlor_invitation *invitation);

/* ---- Contacts and the own status ----------------------------------------------------------------------------------------- */

/* Accepts or refuses a request to see our presence, such as in the event contactRequest. PARLOR_NOT_FOUND: there is none from this
 * address. Needs contacts.write. */
parlor_error parlor_contacts_accept(const char *jid);
parlor_error parlor_contacts_deny(const char *jid);

/* Sets the own status: online, chat, away, dnd, xa, offline or unavailable. A message of NULL leaves the text as it is, and an empty one
 * clears it. Needs status.write. */
parlor_error parlor_user_set_status(const char *value, const char *message);

/* ---- Looking after rooms ------------------------------------------------------------------------------------------------ */

/* Tools of a plugin that looks after rooms: a judge remembers people and messages, and decides which rules are broken. It calls nothing of
 * the host's: tell it what happens, and act on its verdicts. The SDKs for the other languages have the same kit.
 *
 *     static parlor_judge judge;
 *
 *     static parlor_error watch(const parlor_event *event, void *context) {
 *       const parlor_message *message = event->message;
 *       const parlor_occupant *author;
 *       parlor_error error = parlor_occupant_of(message, &author);
 *       if (error || !author || parlor_moderation_is_spared(author)) return error;
 *       parlor_said said = parlor_said_of(message);
 *       parlor_verdict verdict = parlor_judge_hear(&judge, NULL, message->chat, parlor_moderation_key(author), &said, time(NULL));
 *       if (verdict.offence != PARLOR_OFFENCE_LINK || !message->stanza_id) return PARLOR_OK;
 *       return parlor_rooms_retract(message->chat, message->stanza_id, "no links yet");
 *     }
 *
 * A judge copies what it remembers, and frees what it forgets. Each of its lists has an upper bound, above which the oldest entry is
 * forgotten, so that no crowd can fill the memory: it remembers 32 rooms, and takes about 25 KiB for each room that it was told of, and the
 * texts. If all rooms are full of the longest names and texts, that takes tens of MiB. After a restart, a judge
 * remembers nothing. */
typedef struct parlor_judge {
  struct parlor_judge_rooms *rooms; /* its own; NULL before it is told anything */
} parlor_judge;

/* The rules of rooms. Times are in seconds. */
typedef struct parlor_rules {
  size_t joins;          /* how many newcomers may enter within the window; 0 = any number */
  double join_window;    /* the window for joins */
  size_t messages;       /* how many messages one person may send within the window, at most 200; 0 = any number */
  double message_window; /* the window for messages */
  size_t repeats;        /* how often one person may say the same; 0 = as often as they like */
  size_t crowd_repeats;  /* how often several people may say the same; 0 = as often as they like */
  size_t unreadable;     /* how many messages that cannot be read one person may send; 0 = any number */
  double repeat_window;  /* the window for repeated texts, and for messages that cannot be read */
  double newcomer;       /* how long after the first message somebody is a newcomer */
} parlor_rules;

/* Those of the plugin guard. A judge takes them where the rules are NULL. */
parlor_rules parlor_rules_default(void);

/* The rule that a message breaks. */
typedef enum parlor_offence {
  PARLOR_OFFENCE_NONE = 0,
  PARLOR_OFFENCE_EARLY,      /* it came too early in slow mode */
  PARLOR_OFFENCE_LINK,       /* it has a link or a file, and its author is a newcomer */
  PARLOR_OFFENCE_REPEAT,     /* its text was said too often */
  PARLOR_OFFENCE_SEALED,     /* it cannot be read, so it may have a link, and its author is a newcomer */
  PARLOR_OFFENCE_UNREADABLE, /* its author sent too many messages that cannot be read */
  PARLOR_OFFENCE_FLOOD,      /* its author sent too many messages within the window */
} parlor_offence;

/* The most texts of a message that are compared, and the most messages of a room that are remembered. */
#define PARLOR_MOST_TEXTS 4
#define PARLOR_MOST_MESSAGES 200

/* The parts of a message that the rules check. */
typedef struct parlor_said {
  const char *id;                       /* by which the room retracts it, or NULL */
  const char *texts[PARLOR_MOST_TEXTS]; /* the normalized ones, as `parlor_moderation_comparable` gives them; NULL behind the last */
  bool has_link;                        /* or a file */
  bool is_command;                      /* people may give one more often with the same words */
  bool is_unreadable;                   /* it is encrypted, or says so, and cannot be read here; others in the room may read it */
} parlor_said;

/* Reads a text alone. */
parlor_said parlor_said_text(const char *text);

/* Reads a message. Clients show any of several texts, so all of them count. */
parlor_said parlor_said_of(const parlor_message *message);

/* Takes a message that cannot be decrypted, or only says that it is encrypted. Others may see a text in it. */
parlor_said parlor_said_unreadable(const parlor_undecryptable *message);

/* The rule that a message breaks, and the new standing of its author. */
typedef struct parlor_verdict {
  parlor_offence offence;
  double pause;     /* of PARLOR_OFFENCE_EARLY: that of slow mode, in seconds */
  bool has_settled; /* the author is no newcomer from now on */
} parlor_verdict;

/* Judges a message of somebody who is not spared, and remembers it. A person is known by a key, here and below, which
 * `parlor_moderation_key` gives; `now` is in seconds since 1970, such as `time(NULL)`, and may have a fraction. */
parlor_verdict parlor_judge_hear(parlor_judge *judge, const parlor_rules *rules, const char *room, const char *key, const parlor_said *said, double now);

/* Counts a newcomer's join, and puts the keys of people to kick into `keys`: in a flood, everybody in it who was not given before. Returns
 * how many there are. */
size_t parlor_judge_join(parlor_judge *judge, const parlor_rules *rules, const char *room, const char *key, double now, const char ***keys);

/* Notes the nickname and the rank of somebody. */
void parlor_judge_meet(parlor_judge *judge, const char *room, const char *key, const char *nick, bool is_spared, double now);

/* The key of somebody who has left, by the last nickname; NULL: there was nobody. The rank is put into `is_spared`, which may be NULL. */
const char *parlor_judge_absent(const parlor_judge *judge, const char *room, const char *nick, bool *is_spared);

/* Puts into `is_settled` whether somebody is no newcomer. False: it is unknown, as after a restart; ask your storage, and call
 * `parlor_judge_settle`. */
bool parlor_judge_is_settled(const parlor_judge *judge, const char *room, const char *key, bool *is_settled);

/* Notes whether somebody is no newcomer. */
void parlor_judge_settle(parlor_judge *judge, const char *room, const char *key, bool is_settled, double now);

/* The key of the last author with this nickname; NULL: there is none. */
const char *parlor_judge_author(const parlor_judge *judge, const char *room, const char *nick);

/* Puts into `ids` those of at most so many of somebody's messages that are not retracted yet, the last ones first. Returns how many there
 * are. */
size_t parlor_judge_messages(const parlor_judge *judge, const char *room, const char *key, size_t most, const char ***ids);

/* Notes that a message is retracted. */
void parlor_judge_retracted(parlor_judge *judge, const char *room, const char *id);

/* Sets the pause of a room in slow mode, in seconds; a negative one ends slow mode. False: it is on in too many rooms. */
bool parlor_judge_slow_down(parlor_judge *judge, const char *room, double pause);

/* Forgets a room that the account is not in any more. Slow mode stays for when it comes back. */
void parlor_judge_leave(parlor_judge *judge, const char *room);

/* Forgets everything, and frees it. The judge is then as new. */
void parlor_judge_clear(parlor_judge *judge);

/* Puts the normalized texts of a message into `comparable`, which has room for PARLOR_MOST_TEXTS: without empty ones, and NULL where there
 * is no more. */
void parlor_moderation_comparable(const char *const *texts, size_t count, const char **comparable);

/* Whether clients are likely to show a link in this text. */
bool parlor_moderation_has_link(const char *text);

/* The key by which a person in a room is known: the occupant id, else the address, else the nickname. */
const char *parlor_moderation_key(const parlor_occupant *occupant);

/* Whether the rules are not for somebody: for the account itself, moderators, members, admins and owners. */
bool parlor_moderation_is_spared(const parlor_occupant *occupant);

/* A nickname on one line, without characters that could disguise it. */
const char *parlor_moderation_nick(const char *nick);

/* ---- Chats ------------------------------------------------------------------------------------------------------------- */

/* The same of an open chat, whose record has fields such as `fullname`; what is set is kept until it is closed. Needs chats.read. */
parlor_error parlor_chats_get_attribute(const char *chat, const char *name, const char **json);

/* Needs chats.write. */
parlor_error parlor_chats_set_attribute(const char *chat, const char *name, const char *json);

/* ---- People ------------------------------------------------------------------------------------------------------------ */

/* One attribute of a contact by its name: ask, chat_status, fullname, groups, id, image, image_type, jid, requesting, resources, status,
 * subscription, url, user_id or vcard_updated. A name may be spelled as any language spells it: chat-status, chatStatus. The groups and
 * the resources are JSON, requesting is "true" or "false". NULL where there is none of this name, or it has no value. */
const char *parlor_contact_get(const parlor_contact *contact, const char *name);

/* The address of an entity: a text as it is, the JID of a contact, chat, view or room, and of an occupant the room with the nickname.
 * Each function here that takes an address takes each of them; the generated ones want parlor_text(parlor_address(occupant)). */
#ifdef __cplusplus
#define parlor_address(entity) (entity)
#else
#define parlor_address(entity)                                                     \
  _Generic((entity),                                                               \
      const parlor_contact *: parlor_contact_address,                              \
      parlor_contact *: parlor_contact_address,                                    \
      const parlor_room *: parlor_room_address,                                    \
      parlor_room *: parlor_room_address,                                          \
      const parlor_occupant *: parlor_occupant_address,                            \
      parlor_occupant *: parlor_occupant_address,                                  \
      const parlor_plugin_types_contact_t *: parlor_types_contact_address,         \
      parlor_plugin_types_contact_t *: parlor_types_contact_address,               \
      const parlor_plugin_types_chat_t *: parlor_types_chat_address,               \
      parlor_plugin_types_chat_t *: parlor_types_chat_address,                     \
      const parlor_plugin_types_view_t *: parlor_types_view_address,               \
      parlor_plugin_types_view_t *: parlor_types_view_address,                     \
      const parlor_plugin_types_room_t *: parlor_types_room_address,               \
      parlor_plugin_types_room_t *: parlor_types_room_address,                     \
      const parlor_plugin_types_occupant_t *: parlor_types_occupant_address,       \
      parlor_plugin_types_occupant_t *: parlor_types_occupant_address,             \
      default: parlor_text_address)(entity)
#endif

const char *parlor_contact_address(const parlor_contact *contact);
const char *parlor_room_address(const parlor_room *room);
const char *parlor_occupant_address(const parlor_occupant *occupant);
const char *parlor_types_contact_address(const parlor_plugin_types_contact_t *contact);
const char *parlor_types_chat_address(const parlor_plugin_types_chat_t *chat);
const char *parlor_types_view_address(const parlor_plugin_types_view_t *view);
const char *parlor_types_room_address(const parlor_plugin_types_room_t *room);
const char *parlor_types_occupant_address(const parlor_plugin_types_occupant_t *occupant);
const char *parlor_text_address(const char *address);

/* A visiting card (XEP-0054). A field that is not on it is NULL. */
typedef struct parlor_vcard {
  const char *fn, *nickname; /* the full name, and the other one */
  const char *url, *role;
  const char *email;              /* the first one */
  const char *image, *image_type; /* base64, and the media type */
  const char *updated;            /* when it was fetched */
} parlor_vcard;

/* Puts into `card` somebody's visiting card as it is known; it is fetched where it is not, and `again` in any case. Needs vcard.read for
 * the address. */
parlor_error parlor_vcard_get(const char *address, bool again, const parlor_vcard **card);

/* Fetches somebody's visiting card, so that their contact, open chat or occupant shows it; `again` even where it is known. Needs
 * vcard.read for the address. */
parlor_error parlor_vcard_update(const char *address, bool again);

/* ---- Archives ---------------------------------------------------------------------------------------------------------- */

/* Selects messages of an archive (XEP-0313). A field that is left out does not restrict them. */
typedef struct parlor_archive_options {
  const char *with;        /* only what was said with this person, or in this room, whose own archive it is then */
  const char *start, *end; /* nothing older, and nothing newer, than such as 2026-11-20T06:24:00Z or 2026-11-20; `parlor_time_text`
                              writes it */
  const char *after;       /* only what came after the message that the archive knows by this id, its `stanza_id` */
  bool xml;                /* with the whole stanza in `all->xml`; needs stanza.read */
} parlor_archive_options;

/* Is given one message after the other. It ends the reading well where it sets `enough`, and with an error where it does not return
 * PARLOR_OK. */
typedef parlor_error parlor_reader(const parlor_message *message, bool *enough, void *context);

/* Reads an archive to its end, oldest first, however long it is; the options may be NULL. One page is in memory at a time: what the
 * reader is given, and what it makes, may be forgotten as soon as it returns, so let it copy what it keeps. An error that ends it
 * early is returned after all that came before. Needs archive.read.
 *
 *     static parlor_error count(const parlor_message *message, bool *enough, void *context) {
 *         size_t *links = context;
 *         if (message->body && strstr(message->body, "https://")) *enough = ++*links == 10;
 *         return PARLOR_OK;
 *     }
 *
 *     parlor_error error = parlor_archive_query_all(&(parlor_archive_options){.with = "juliet@example.org"}, count, &links);
 */
parlor_error parlor_archive_query_all(const parlor_archive_options *options, parlor_reader *reader, void *context);

/* ---- Stanzas ----------------------------------------------------------------------------------------------------------- */

/* A stanza in the making. Names are the plugin's; values may come from anywhere, and are escaped.
 *
 *     parlor_xml stanza = {0};
 *     parlor_xml_open(&stanza, "message");
 *     parlor_xml_attribute(&stanza, "to", "juliet@example.org");
 *     parlor_xml_open(&stanza, "body");
 *     parlor_xml_text(&stanza, "<wake up>");
 *     parlor_api_send(parlor_xml_end(&stanza));
 */
typedef struct parlor_xml {
  char *text;
  size_t length, room;
  struct parlor_xml_name *open; /* what is to be closed, the innermost first */
  bool in_tag;
} parlor_xml;

/* Begins an element inside the one that is open. */
void parlor_xml_open(parlor_xml *xml, const char *name);

/* Gives an attribute to the element that was opened last; before there is anything inside it. Its namespace is "xmlns". One whose
 * value is NULL is left out. */
void parlor_xml_attribute(parlor_xml *xml, const char *name, const char *value);

/* Puts text inside, at the end; NULL is none. */
void parlor_xml_text(parlor_xml *xml, const char *text);

/* Ends the element that is open. */
void parlor_xml_close(parlor_xml *xml);

/* Ends all that are open, and gives the whole; it lives until the handler returns. */
const char *parlor_xml_end(parlor_xml *xml);

/* Namespaces that plugins meet. */
#define PARLOR_NS_CLIENT "jabber:client" /* stanzas (RFC 6120); it need not be written */
#define PARLOR_NS_ROSTER "jabber:iq:roster" /* the roster (RFC 6121) */
#define PARLOR_NS_DISCO_INFO "http://jabber.org/protocol/disco#info" /* asking what an entity is and can do (XEP-0030) */
#define PARLOR_NS_DISCO_ITEMS "http://jabber.org/protocol/disco#items" /* asking what an entity has (XEP-0030) */
#define PARLOR_NS_FORM "jabber:x:data" /* forms (XEP-0004) */
#define PARLOR_NS_MUC "http://jabber.org/protocol/muc" /* rooms (XEP-0045) */
#define PARLOR_NS_MUC_USER "http://jabber.org/protocol/muc#user" /* rooms, for occupants (XEP-0045) */
#define PARLOR_NS_MUC_ADMIN "http://jabber.org/protocol/muc#admin" /* rooms, for their administrators (XEP-0045) */
#define PARLOR_NS_MUC_OWNER "http://jabber.org/protocol/muc#owner" /* rooms, for their owners (XEP-0045) */
#define PARLOR_NS_VCARD "vcard-temp" /* vCards (XEP-0054) */
#define PARLOR_NS_PUBSUB "http://jabber.org/protocol/pubsub" /* publishing and subscribing (XEP-0060) */
#define PARLOR_NS_OOB "jabber:x:oob" /* links beside a message (XEP-0066) */
#define PARLOR_NS_CHAT_STATES "http://jabber.org/protocol/chatstates" /* what somebody is doing in a chat (XEP-0085) */
#define PARLOR_NS_VERSION "jabber:iq:version" /* the version of a client (XEP-0092) */
#define PARLOR_NS_RECEIPTS "urn:xmpp:receipts" /* receipts (XEP-0184) */
#define PARLOR_NS_PING "urn:xmpp:ping" /* pings (XEP-0199) */
#define PARLOR_NS_DELAY "urn:xmpp:delay" /* delayed delivery (XEP-0203) */
#define PARLOR_NS_ATTENTION "urn:xmpp:attention:0" /* asking for attention (XEP-0224) */
#define PARLOR_NS_CORRECTION "urn:xmpp:message-correct:0" /* corrections (XEP-0308) */
#define PARLOR_NS_ARCHIVE "urn:xmpp:mam:2" /* the archive (XEP-0313) */
#define PARLOR_NS_CHAT_MARKERS "urn:xmpp:chat-markers:0" /* markers of what was read (XEP-0333) */
#define PARLOR_NS_HINTS "urn:xmpp:hints" /* hints on how to treat a message (XEP-0334) */
#define PARLOR_NS_STANZA_ID "urn:xmpp:sid:0" /* ids that survive the way (XEP-0359) */
#define PARLOR_NS_RETRACTION "urn:xmpp:message-retract:1" /* retractions (XEP-0424) */
#define PARLOR_NS_REACTIONS "urn:xmpp:reactions:0" /* reactions (XEP-0444) */
#define PARLOR_NS_FALLBACK "urn:xmpp:fallback:0" /* parts of a body for clients that lack something (XEP-0428) */
#define PARLOR_NS_REPLY "urn:xmpp:reply:0" /* replies (XEP-0461) */

/* Sends one message, presence or IQ as XML. Needs stanza.send. */
parlor_error parlor_api_send(const char *xml);

/* Sends one IQ, and puts the answer into `answer`: NULL where there is none. Needs stanza.send.
 *
 *     parlor_error error = parlor_api_send_iq(parlor_xml_end(&iq), &answer);
 *     const parlor_element *version = parlor_xml_find(parlor_xml_read(answer), "query", PARLOR_NS_VERSION);
 *     const parlor_element *name = parlor_xml_find(version, "name", NULL);
 *     parlor_reply(message, "it is %s", name ? name->text : "something");
 */
parlor_error parlor_api_send_iq(const char *iq, const char **answer);

/* XML that was read. */
typedef struct parlor_attribute {
  const char *name, *value;
  const struct parlor_attribute *next;
} parlor_attribute;

typedef struct parlor_element {
  const char *name;
  const char *xmlns;                   /* its namespace, its own or of what is around it; or NULL */
  const char *text;                    /* what stands in it, but not what stands in the elements inside of it */
  const parlor_attribute *attributes;  /* the first of them */
  const struct parlor_element *inside; /* the first element inside of it */
  const struct parlor_element *next;   /* the one that follows it */
} parlor_element;

/* Reads one element. NULL: it is no XML of the kind that stanzas are made of. */
const parlor_element *parlor_xml_read(const char *xml);

/* The first element of this name inside of another, in this namespace unless that is NULL. NULL: there is none, or nothing to look
 * in. */
const parlor_element *parlor_xml_find(const parlor_element *element, const char *name, const char *xmlns);

/* Returns the value of an attribute, or NULL. */
const char *parlor_xml_value(const parlor_element *element, const char *name);

/* ---- Settings and storage ---------------------------------------------------------------------------------------------- */

/* One of the plugin's own settings, as JSON; NULL = it has no value. Free. */
const char *parlor_settings_get(const char *key);

/* The setting in a room, at any time, as JSON: that of the owner for the room, else the one for everywhere. `parlor_settings_get` gives it
 * only while a handler handles an event of the room, which timers and schedules do not. NULL = it has no value. Free.
 *
 *     const char *greeting = parlor_json_text(parlor_settings_get_in(room, "greeting"), "Hello");
 */
const char *parlor_settings_get_in(const char *room, const char *key);

/* The same as a text, a number, or yes and no; `otherwise` where it is nothing of the kind. A duration comes in seconds. */
const char *parlor_settings_get_text(const char *key, const char *otherwise);
double parlor_settings_get_number(const char *key, double otherwise);
bool parlor_settings_get_flag(const char *key, bool otherwise);

/* Puts the texts of a list into `items`, and gives how many there are; what is no text stays JSON. */
size_t parlor_settings_get_list(const char *key, const char ***items);

/* Changes a setting, as JSON, for this account and this process. Free. */
parlor_error parlor_settings_set(const char *key, const char *json);

/* Adds settings, and new defaults for those that are there, as JSON; what the owner or `parlor_settings_set` gave goes on to win. Free.
 *
 *     parlor_settings_update((parlor_field[]){{"limit", "12"}, {"greeting", parlor_quote("Hello")}, {0}});
 */
parlor_error parlor_settings_update(const parlor_field *values);

/* Keeps a text under a key, on the disk when this returns, for ever (0) or for so many seconds. NULL is PARLOR_INVALID. Needs
 * storage. */
parlor_error parlor_storage_set(const char *key, const char *text, double expires);

/* Puts what is kept into `text`, or NULL. Bytes that a plugin in another language kept under this id may hold a NUL, with which `text`
 * ends: `parlor_plugin_storage_get` of `plugin.h` says how many there are. Needs storage. */
parlor_error parlor_storage_get(const char *key, const char **text);

/* Keeps a text if another one is kept, for texts that several handlers may change at once. `done`, which may be NULL, gets whether it was
 * kept. NULL in the place of either text means that nothing is kept. Needs storage. */
parlor_error parlor_storage_compare_and_set(const char *key, const char *expected, const char *text, double expires, bool *done);

/* Forgets it. Needs storage. */
parlor_error parlor_storage_delete(const char *key);

/* All keys that begin so, in order; `*keys` has `*count` of them. Needs storage. */
parlor_error parlor_storage_keys(const char *prefix, const char ***keys, size_t *count);

/* A key with its value. */
typedef struct parlor_entry {
  const char *key;
  const char *text; /* as `parlor_storage_get` gives it */
  size_t size;      /* how many bytes it has */
} parlor_entry;

/* All that is kept under keys that begin so, in the order of the keys; `*entries` has `*count` of them. The host is asked once for
 * each page, so this is faster than a `parlor_storage_get` for each key. Needs storage. */
parlor_error parlor_storage_entries(const char *prefix, parlor_entry **entries, size_t *count);

/* A selection of entries, and their order. A field of 0 or NULL is left out. */
typedef struct parlor_range {
  const char *prefix;
  const char *from, *to; /* the first key that is wanted, and the one behind the last, in the order of their bytes */
  bool descending;       /* the last one first */
  size_t limit;          /* at most so many; 0 = all */
} parlor_range;

/* The entries of a range, in the order that it says; `*entries` has `*count` of them. Needs storage.
 *
 *     error = parlor_storage_range(&(parlor_range){.prefix = "notes/", .descending = true, .limit = 5}, &notes, &count);
 */
parlor_error parlor_storage_range(const parlor_range *range, parlor_entry **entries, size_t *count);

/* Adds to a number, and puts the sum into `sum`, which may be NULL; what is not there counts as 0. It lasts as long as the number before
 * (0), or for so many seconds. The text that is kept is the number in decimal digits. Needs storage. */
parlor_error parlor_storage_add(const char *key, int64_t amount, double expires, int64_t *sum);

/* The effect of a change. */
typedef enum parlor_change_kind {
  PARLOR_CHANGE_SET,    /* keeps `text` */
  PARLOR_CHANGE_ADD,    /* adds `amount`, as `parlor_storage_add` does */
  PARLOR_CHANGE_DELETE, /* forgets the key, if it is there */
  PARLOR_CHANGE_EXPECT, /* demands that `text` is kept before anything is changed; NULL = that nothing is */
} parlor_change_kind;

/* One of several changes. */
typedef struct parlor_change {
  parlor_change_kind kind;
  const char *key; /* NULL behind the last change */
  const char *text;
  int64_t amount;
  double expires; /* of what is set or added: after so many seconds; 0 = never, and of a number as before */
} parlor_change;

/* Makes several changes together: all of them, or none. False in `done`, which may be NULL: something is not as they expect, and nothing
 * has changed. At most 256, and 256 KiB of keys and texts, each key in one change and one expectation. Needs storage.
 *
 *     error = parlor_storage_change((parlor_change[]){{PARLOR_CHANGE_EXPECT, "seat/7", "free"},
 *         {PARLOR_CHANGE_SET, "seat/7", "juliet"}, {PARLOR_CHANGE_ADD, "sold", .amount = 1}, {0}}, &is_mine);
 */
parlor_error parlor_storage_change(const parlor_change *changes, bool *done);

/* ---- The web ----------------------------------------------------------------------------------------------------------- */

/* A field of a form, or a file, as browsers send them (RFC 7578). A list of them ends with one whose name is NULL. */
typedef struct parlor_http_part {
  const char *name;
  const char *content;    /* what a person would enter, or what is in the file: as many bytes as `size` says … */
  size_t size;            /* … and without it, up to a NUL */
  const char *file_name;  /* makes it a file */
  const char *media_type; /* of a file, such as image/png; NULL is application/octet-stream */
} parlor_http_part;

/* A request. A field of 0 or NULL is left out: the method is GET then, and a body without `size` ends with its NUL. It has one of `body`,
 * `json`, `form` and `fields`. */
typedef struct parlor_http_request {
  const char *method, *url;
  const parlor_field *headers;    /* ends with one whose name is NULL */
  const char *body;               /* as many bytes as `size` says */
  size_t size;
  const char *const *credentials; /* settings of that type, NULL behind the last; the host writes each where {{name}} stands, in the parts
                                   * that insert_in in plugin.toml lists; without it, in headers and the query */
  uint8_t follow;                 /* how many redirects are followed, 10 at most */
  double timeout;                 /* in seconds; 0 = as long as the host allows */
  const char *json;               /* a body that is JSON, with its content-type unless the headers have one; see `parlor_quote` */
  const parlor_http_part *form;   /* a body that is a form of these parts, with its content-type */
  const parlor_field *query;      /* added to the query of `url`, before a fragment. The texts may be any, such as what a person wrote:
                                   * they are encoded, braces as well; write {{name}} of a credential into `url`. A value of NULL is left
                                   * out. It ends as headers do */
  const parlor_field *fields;     /* a body that is a form without files, encoded as `query` is, with its content-type unless the headers
                                   * have one */
} parlor_http_request;

/* The answer. A status from 400 on is no error. */
typedef struct parlor_http_response {
  unsigned status;
  const char *url;             /* which answered, after all redirects */
  const parlor_field *headers; /* their names are in small letters; ends with one whose name is NULL */
  const char *body;            /* a NUL stands behind its `size` bytes */
  size_t size;
} parlor_http_response;

/* Makes a request, and waits for the whole answer. PARLOR_INVALID: it has more than one body. Needs http.fetch.
 *
 *     parlor_http_response answer;
 *     parlor_error error = parlor_http_fetch(&(parlor_http_request){.url = "https://api.example.org/weather"}, &answer);
 *
 *     const parlor_http_part form[] = {
 *         {"title", "The balcony"}, {"file", picture, size, .file_name = "balcony.png", .media_type = "image/png"}, {0}};
 *     error = parlor_http_fetch(
 *         &(parlor_http_request){.method = "POST", .url = "https://api.example.org/pictures", .form = form}, &answer);
 *
 *     const parlor_field query[] = {{"city", city}, {0}};
 *     error = parlor_http_fetch(&(parlor_http_request){.url = "https://api.example.org/weather", .query = query}, &answer);
 */
parlor_error parlor_http_fetch(const parlor_http_request *request, parlor_http_response *response);

/* Makes a request of the method GET for this address, and waits for the whole answer. Needs http.fetch. */
parlor_error parlor_http_get(const char *url, parlor_http_response *response);

/* The beginning of an answer. A status from 400 on is no error. */
typedef struct parlor_http_head {
  unsigned status;
  const parlor_field *headers; /* their names are in small letters; ends with one whose name is NULL */
} parlor_http_head;

/* Begins a request whose bodies go in parts, and are never whole in memory; its number is put into `exchange`. Without a `body`, the
 * body is what `parlor_http_write` sends. No redirect is followed, and the timeout bounds each wait by itself. With a header
 * content-length, exactly as many bytes have to be written: some servers ask for it. It counts among the limit http_requests until it is
 * closed, or its answer was read to the end: so close it. Needs http.fetch.
 *
 *     uint64_t exchange;
 *     parlor_error error = parlor_http_open(&(parlor_http_request){.method = "PUT", .url = "https://api.example.org/log"}, &exchange);
 *     if (error) return error;
 *     parlor_http_head head;
 *     const char *part = "day 1";
 *     size_t size = strlen(part);
 *     error = parlor_http_write(exchange, part, size);
 *     if (!error) error = parlor_http_answer(exchange, &head);
 *     while (!error && part) {
 *         error = parlor_http_read(exchange, &part, &size);
 *         if (!error && part) parlor_log(PARLOR_INFO, "%zu bytes", size);
 *     }
 *     parlor_http_close(exchange);
 *     return error;
 */
parlor_error parlor_http_open(const parlor_http_request *request, uint64_t *exchange);

/* Sends a part of the body, of any size. It waits while the server takes no more. PARLOR_PROTOCOL: the server takes no more of it; it may
 * have answered, so call `parlor_http_answer`. PARLOR_INVALID: that is more than its content-length. PARLOR_NOT_FOUND: the body has ended.
 * Needs http.fetch. */
parlor_error parlor_http_write(uint64_t exchange, const void *part, size_t size);

/* Ends the body, and waits for the beginning of the answer. PARLOR_NOT_FOUND: it was answered. PARLOR_INVALID: bytes of its content-length
 * are missing, and it stays open. Needs http.fetch. */
parlor_error parlor_http_answer(uint64_t exchange, parlor_http_head *head);

/* Reads the next part of the answer, of at most 64 KiB; NULL at its end. The server sends no more than is read. A NUL stands behind the
 * part, and it lives until the next one is read, of whatever. PARLOR_NOT_FOUND: `parlor_http_answer` was not called, or the end was read.
 * Needs http.fetch. */
parlor_error parlor_http_read(uint64_t exchange, const char **part, size_t *size);

/* Ends it, wherever it stands. One that has ended is left alone, and so is 0. Needs http.fetch. */
void parlor_http_close(uint64_t exchange);

/* An answer to a request that others sent. A field of 0 or NULL is left out: the status is 200 then, and a body without `size` ends with
 * its NUL. */
typedef struct parlor_webhook_answer {
  unsigned status;             /* from 200 to 599 */
  const parlor_field *headers; /* ends with one whose name is NULL */
  const char *body;            /* as many bytes as `size` says, 1 MiB at most */
  size_t size;
  const char *json;            /* a body that is JSON, in the place of `body`, with its content-type unless the headers have one */
} parlor_webhook_answer;

/* Answers the request with this id, of a webhook whose mode is answer. Without it the answer is 204 when the handler returns, and 500
 * when it fails. PARLOR_NOT_FOUND: nobody waits for it: it was answered, its time is over, the other side has gone, or the mode is queue.
 * Needs webhooks.receive.
 *
 *     parlor_webhooks_answer(event->webhook->id, &(parlor_webhook_answer){.status = 503, .headers = (parlor_field[]){{"retry-after", "60"}, {0}}});
 */
parlor_error parlor_webhooks_answer(const char *id, const parlor_webhook_answer *answer);

/* Puts into `address` that of a webhook, which whoever sends the requests has to know. It stays the same until the owner changes it.
 * PARLOR_NOT_FOUND: the manifest has none of this name. PARLOR_UNSUPPORTED: the owner has not said where the host listens. Needs
 * webhooks.receive. */
parlor_error parlor_webhooks_address(const char *name, const char **address);

/* ---- Schedules --------------------------------------------------------------------------------------------------------- */

/* How many missed due times a schedule usually tells: the latest one. */
#define PARLOR_CATCH_UP 1

/* Sets a schedule that is due after every so many seconds from now, at least 60, and puts its first due time into `first`, which may be
 * NULL. At each due time comes the event schedule, with `due`: subscribe to it in `parlor_start`. The host keeps a schedule on disk: it
 * outlives restarts and updates. One of this name that is there already is replaced; where nothing about it changes, it goes on as it was.
 *
 * Due times that pass while the plugin or the host does not run are missed. `catch_up` says how many of them, the latest ones, are told
 * when it runs again: 0 skips them all, at most 1,000. Free; the limit schedules says how many there may be at once.
 *
 *     parlor_schedules_every("backup", 6 * 3600, PARLOR_CATCH_UP, NULL);
 */
parlor_error parlor_schedules_every(const char *name, double seconds, uint32_t catch_up, const char **first);

/* Sets a schedule that is due once, at a time such as 2026-11-20T09:00:00Z. `set`, which may be NULL, is false where that time has passed:
 * then nothing was set. Free. */
parlor_error parlor_schedules_at(const char *name, const char *due, uint32_t catch_up, bool *set);

/* Sets a schedule by a cron expression of five fields, such as "0 9 * * MON-FRI", in a zone such as Europe/Berlin or UTC, and puts its
 * first due time into `first`, which may be NULL. PARLOR_INVALID: there is no such zone, or it is no cron expression, or is never due.
 * Free. */
parlor_error parlor_schedules_cron(const char *name, const char *expression, const char *zone, uint32_t catch_up, const char **first);

/* A schedule of this plugin. It has `every`, `at`, or `cron` with `zone`; the others are 0 or NULL. */
typedef struct parlor_schedule {
  const char *name;
  double every;             /* its period in seconds, counted from when it was set */
  const char *at;           /* when it is due once */
  const char *cron, *zone;  /* an expression, and where it counts */
  uint32_t catch_up;        /* how many missed due times are told */
  const char *next;         /* the next due time; NULL while the last one is still told */
  bool paused;              /* the owner has paused it */
} parlor_schedule;

/* Gives this plugin's schedules, by name. Free. */
parlor_error parlor_schedules_list(parlor_schedule **schedules, size_t *count);

/* Ends a schedule. `there`, which may be NULL, says whether there was one of this name. Free. */
parlor_error parlor_schedules_cancel(const char *name, bool *there);

/* A point in time as clocks in a zone show it. */
typedef struct parlor_local_time {
  int16_t year;
  uint8_t month, day, hour, minute, second; /* month and day count from 1 */
  uint8_t weekday;                          /* from 1 for Monday to 7 for Sunday */
  int32_t offset;                           /* seconds that the clock is ahead of UTC; negative where it is behind */
  const char *abbreviation;                 /* the zone's short name at this time, or its offset where it has none */
} parlor_local_time;

/* Puts into `local` the time that clocks in a zone show at this moment. Free. */
parlor_error parlor_schedules_to_local(const char *moment, const char *zone, parlor_local_time *local);

/* Puts into `text` a moment as clocks in a zone show it, by a pattern of strftime, such as "%A, %H:%M". PARLOR_INVALID: there is no such
 * zone, or the pattern has something that is unknown. Free. */
parlor_error parlor_schedules_format(const char *moment, const char *zone, const char *pattern, const char **text);

/* Puts into `moment` what a text means, as a person in a zone writes it: 2026-11-20 09:00, 9:00, today 9:00, tomorrow 9:00, friday 9:00, in
 * 2 hours 30 minutes. PARLOR_INVALID: it cannot be read. Free. */
parlor_error parlor_schedules_parse(const char *text, const char *zone, const char **moment);

/* Answers the request with this id: with an element in a namespace of its own, or with nothing where `xml` is NULL. Without it the answer is
 * service-unavailable when the handler returns, and internal-server-error when it fails. PARLOR_NOT_FOUND: nobody waits for it: it was
 * answered, or its time is over. Needs iq.answer.
 *
 *     parlor_iq_answer(event->iq->id, "<temperature xmlns='urn:example:weather'>7</temperature>");
 */
parlor_error parlor_iq_answer(const char *id, const char *xml);

/* Refuses the request with this id by a condition of RFC 6120, section 8.3.3, such as item-not-found. The text is for people, and may be
 * NULL. PARLOR_INVALID: there is no such condition. PARLOR_NOT_FOUND: as with parlor_iq_answer. Needs iq.answer. */
parlor_error parlor_iq_refuse(const char *id, const char *condition, const char *text);

/* Asks another plugin, by the id that the owner gave it, and puts its answer into `answer`. The value and the answer are JSON; NULL is null.
 * PARLOR_NOT_FOUND: there is no such plugin or request, or it may not answer this plugin. PARLOR_REJECTED: it refused. PARLOR_TIMED_OUT: it
 * did not answer in time. Needs plugins.call.
 *
 *     const char *rate;
 *     parlor_error error = parlor_plugins_call("money", "rate", "\"EUR\"", &rate);
 */
parlor_error parlor_plugins_call(const char *plugin, const char *name, const char *json, const char **answer);

/* Answers the request with this id, before the handler returns. PARLOR_NOT_FOUND: nobody waits for it: it was answered, or its time is over.
 * Needs plugins.answer. */
parlor_error parlor_plugins_answer(const char *id, const char *json);

/* Refuses the request with this id: the other plugin gets PARLOR_REJECTED with this reason. PARLOR_NOT_FOUND: as with
 * parlor_plugins_answer. Needs plugins.answer. */
parlor_error parlor_plugins_refuse(const char *id, const char *text);

/* Hooks: the plugin sees what passes between people and other plugins, by the events hookOutgoing, hookIncoming and hookCommand, and gives
 * a verdict on each before its handler returns and before the owner's deadline, 50 ms by default. It needs the permission of the event,
 * and a place in the owner's order. A handler without a verdict leaves the decision to the owner's rule.
 *
 * Lets it pass as it is. PARLOR_NOT_FOUND: nobody waits for a verdict: it was given, or its time is over.
 *
 *     static parlor_error stamp(const parlor_event *event, void *context) {
 *       const char *body = event->hook->message->body;
 *       if (!body) return parlor_hooks_allow(event->hook->id);
 *       return parlor_hooks_alter(event->hook->id, parlor_format("%s (a bot)", body), NULL);
 *     }
 */
parlor_error parlor_hooks_allow(const char *id);

/* Lets an outgoing message pass with another body, subject or both; NULL leaves one. PARLOR_INVALID: it is no outgoing message, or nothing
 * is changed. PARLOR_NOT_FOUND: as with parlor_hooks_allow. Needs hooks.outgoing. */
parlor_error parlor_hooks_alter(const char *id, const char *body, const char *subject);

/* Stops a message or a command. The plugin that sends a message gets the reason, and so does the person who gives a command; it may be NULL.
 * PARLOR_NOT_FOUND: as with parlor_hooks_allow. */
parlor_error parlor_hooks_stop(const char *id, const char *reason);

/* Lets an incoming message pass with a label. PARLOR_INVALID: it is no incoming message, or the label is none. PARLOR_NOT_FOUND: as with
 * parlor_hooks_allow. Needs hooks.incoming. */
parlor_error parlor_hooks_mark(const char *id, const char *label);

/* A question to a person, whose next message in the same chat or room is the answer. */
typedef struct parlor_question {
  const char *text;
  const char *const *choices; /* the only answers, at most 32, and NULL behind them; NULL: any text is an answer */
  double timeout;             /* seconds, at most a day; 0 is five minutes */
} parlor_question;

typedef struct parlor_dialog_answer {
  const char *text; /* of the message, or the choice as it was given */
  int choice;       /* the index of the choice; -1 if there were no choices */
} parlor_dialog_answer;

/* Called when a question has ended: with the answer, or with NULL and the error. PARLOR_TIMED_OUT: the person did not answer in time.
 * PARLOR_REJECTED: the answer was cancel, or wrong three times; the reason of the failure is cancelled or wrong. PARLOR_NOT_FOUND: the person
 * has left the room. PARLOR_STOPPED: another question to the person took its place. One that does not return PARLOR_OK is written to the
 * log, and the plugin goes on. */
typedef parlor_error parlor_answered(const parlor_dialog_answer *answer, parlor_error error, void *context);

/* Asks a person in a private chat, and returns when the question is sent; the function is called later. Other handlers run meanwhile, and
 * hundreds of questions may be open at once, as many as the limit `dialogs` says. Needs messages.send.
 *
 *     static parlor_error sized(const parlor_dialog_answer *size, parlor_error error, void *context) {
 *       char *person = context;
 *       parlor_error said = size ? parlor_chats_send(person, "A %s pizza it is.", size->text) : parlor_chats_send(person, "No pizza, then.");
 *       free(person);
 *       return said;
 *     }
 *
 *     const char *const sizes[] = {"small", "large", NULL};
 *     parlor_dialogs_ask(message->chat, &(parlor_question){"Which size?", sizes, 60}, sized, strdup(message->chat));
 */
parlor_error parlor_dialogs_ask(const char *to, const parlor_question *question, parlor_answered *answered, void *context);

/* Asks an occupant of a room by the nickname, so that all in the room see it. PARLOR_NOT_FOUND: nobody there has this nickname. Else as
 * parlor_dialogs_ask. Needs rooms.send. */
parlor_error parlor_dialogs_ask_in_room(const char *room, const char *nick, const parlor_question *question, parlor_answered *answered, void *context);

/* Asks the author of a message where it was said, in a chat or in a room. Needs messages.send and rooms.send. */
parlor_error parlor_ask_author(const parlor_message *of, const parlor_question *question, parlor_answered *answered, void *context);

/* Ends the questions with this function and context, which is not called for them any more. PARLOR_NOT_FOUND: there are none. Free. */
parlor_error parlor_dialogs_cancel(parlor_answered *answered, void *context);

/* The options of a node. A field that is NULL or 0 stays as it is, or as the service creates nodes. */
typedef struct parlor_node_options {
  const char *access;     /* who may read: open, presence, roster, authorize or whitelist */
  const char *publishers; /* who may publish: publishers, subscribers or open */
  const char *title;
  int persist;            /* whether items are kept: 1 for yes, -1 for no */
  uint32_t max_items;     /* how many items are kept */
} parlor_node_options;

/* An item of a node, with fields as in parlor_pubsub. */
typedef struct parlor_node_item {
  const char *id, *publisher, *xml;
  bool cut;
} parlor_node_item;

/* Publishes an item, and puts its id into `published`, which may be NULL. An item of the same id is replaced; where `id` is NULL the service
 * makes one up. With options, which may be NULL, a node that does not exist is created with them, where the service creates nodes by itself,
 * as accounts do. Needs pubsub.publish.
 *
 *     const char *entry = "<entry xmlns='urn:example:news'>The play begins at eight.</entry>";
 *     parlor_error error = parlor_pubsub_publish("pubsub.example.org", "news", NULL, entry, NULL, NULL);
 */
parlor_error parlor_pubsub_publish(const char *service, const char *node, const char *id, const char *xml, const parlor_node_options *options,
                                   const char **published);

/* Takes an item back. Needs pubsub.publish. */
parlor_error parlor_pubsub_retract(const char *service, const char *node, const char *id);

/* Asks for items of a node, 1 to 10,000 of them. `after` is the `last` of the page before, or NULL; `last` is NULL behind the last page, and may
 * be left out by NULL. PARLOR_UNSUPPORTED: the service gives no pages after the first. Needs pubsub.read. */
parlor_error parlor_pubsub_items(const char *service, const char *node, uint32_t most, const char *after, parlor_node_item **items, size_t *count,
                                 const char **last);

/* Asks for one item by its id; NULL where there is none. Needs pubsub.read. */
parlor_error parlor_pubsub_item(const char *service, const char *node, const char *id, parlor_node_item **item);

/* Subscribes the account to a node until the plugin ends, so subscribe on every start. `in_force`, which may be NULL, is false where somebody
 * has to approve it first. Needs pubsub.read. */
parlor_error parlor_pubsub_subscribe(const char *service, const char *node, bool *in_force);

/* Ends a subscription. PARLOR_NOT_FOUND: this plugin is not subscribed. Needs pubsub.read. */
parlor_error parlor_pubsub_unsubscribe(const char *service, const char *node);

/* Creates a node; the options may be NULL. Needs pubsub.configure. */
parlor_error parlor_pubsub_create(const char *service, const char *node, const parlor_node_options *options);

/* Changes the given options of a node. Needs pubsub.configure. */
parlor_error parlor_pubsub_configure(const char *service, const char *node, const parlor_node_options *options);

/* Takes all items of a node back. The node and its subscribers stay. Needs pubsub.configure. */
parlor_error parlor_pubsub_purge(const char *service, const char *node);

/* Deletes a node with all its items. Needs pubsub.configure. */
parlor_error parlor_pubsub_delete(const char *service, const char *node);

/* ---- Files ------------------------------------------------------------------------------------------------------------- */

/* Begins an upload of so many bytes to the account's server (XEP-0363), and puts its number into `transfer`. The name has 1 to 255 bytes
 * and no path; it can be seen in the file's address. PARLOR_DENIED: the grant covers no file of this media type and size.
 * PARLOR_UNSUPPORTED: the server takes no files, or none so large. PARLOR_STANZA: it refuses, such as with resource-constraint when it was
 * too much in some time. Needs files.send.
 *
 *     uint64_t transfer;
 *     parlor_file files[2] = {0};
 *     parlor_error error = parlor_files_upload("note.txt", "text/plain", strlen(text), &transfer);
 *     if (error) return error;
 *     error = parlor_files_write(transfer, text, strlen(text));
 *     if (!error) error = parlor_files_finish(transfer, &files[0]);
 *     if (!error) error = parlor_chats_send_message("juliet@example.org", &(parlor_outgoing){.files = files}, NULL);
 *     parlor_files_close(transfer);
 *     return error;
 */
parlor_error parlor_files_upload(const char *name, const char *media_type, uint64_t size, uint64_t *transfer);

/* Does the same for an encrypted chat: the host encrypts the file, and the server gets no more of its name than the ending. The address of
 * the file has its key. A message with it is sent encrypted, or is PARLOR_UNSUPPORTED. Needs files.send. */
parlor_error parlor_files_upload_encrypted(const char *name, const char *media_type, uint64_t size, uint64_t *transfer);

/* Sends a part of it, of any size. It waits while the server takes no more. PARLOR_INVALID: that is more than was said. PARLOR_PROTOCOL:
 * the server takes no more. Needs files.send. */
parlor_error parlor_files_write(uint64_t transfer, const void *part, size_t size);

/* Ends an upload, and puts the file into `file`, for a message. PARLOR_INVALID: bytes are missing. PARLOR_PROTOCOL: the server did not
 * store it; the text has its status. Needs files.send. */
parlor_error parlor_files_finish(uint64_t transfer, parlor_file *file);

/* A file that is open for reading. */
typedef struct parlor_opened {
  uint64_t transfer;      /* its number, for `parlor_files_read` and `parlor_files_close` */
  uint64_t size;          /* in bytes; 0 where the server does not say it. It may say anything */
  const char *media_type; /* or NULL */
} parlor_opened;

/* Opens a file of a message, by its address: that of one which this plugin was shown since its start, among the last 1,000 of them.
 * Redirects are followed, five at most. PARLOR_DENIED: no message had this address, or it is not of the public network. PARLOR_PROTOCOL:
 * the server's status is not 200. Needs files.read. */
parlor_error parlor_files_open(const char *url, parlor_opened *opened);

/* Reads the next part of a file, as `parlor_http_read` does. PARLOR_NOT_FOUND: it is not open, or the end was read. Needs files.read. */
parlor_error parlor_files_read(uint64_t transfer, const char **part, size_t *size);

/* Closes a file at any time. One that has ended is left alone, and so is 0. Free. */
void parlor_files_close(uint64_t transfer);

/* ---- Log --------------------------------------------------------------------------------------------------------------- */

typedef enum parlor_level { PARLOR_DEBUG, PARLOR_INFO, PARLOR_WARN, PARLOR_ERROR, PARLOR_FATAL } parlor_level;

/* Writes one line to the host's log. Free. */
void parlor_log(parlor_level level, const char *format, ...) PARLOR_FORMAT(2, 3);

/* ---- Texts ------------------------------------------------------------------------------------------------------------- */

/* Memory that lives until the handler returns. */
void *parlor_memory(size_t size);

/* Frees, in the midst of a handler, what the host has handed over and what was made since a mark of the same handler: for one that
 * is given more than there is memory for. The result of `parlor_failed` stays.
 *
 *     for (size_t i = 0; !error && i < count; i++) {
 *         uint64_t mark = parlor_mark();
 *         error = parlor_storage_get(keys[i], &text);
 *         if (!error && text) length += strlen(text);
 *         parlor_forget(mark);
 *     }
 */
uint64_t parlor_mark(void);
void parlor_forget(uint64_t mark);

/* A text as `printf` would write it. */
const char *parlor_format(const char *format, ...) PARLOR_FORMAT(1, 2);

/* A time of the host's, such as an event's or a message's `at`, in whole seconds; -1 where it is none. How long ago that is:
 * `difftime(time(NULL), parlor_time(message->at))`. */
time_t parlor_time(const char *at);

/* The other way: such as `start` and `end` of an archive's options want it. NULL for -1, which is no time. */
const char *parlor_time_text(time_t at);

/* Escapes a text for XML elements and attributes. A character that XML cannot hold becomes U+FFFD, and NULL an empty text. */
const char *parlor_escape(const char *text);

/* A text as JSON has it, in quotes; NULL is null. */
const char *parlor_quote(const char *text);

/* The text of a JSON string; NULL if it is something else. */
const char *parlor_unquote(const char *json);

/* A value of JSON as a text, a number, or yes and no; `otherwise` where it is nothing of the kind, or NULL. */
const char *parlor_json_text(const char *json, const char *otherwise);
double parlor_json_number(const char *json, double otherwise);
bool parlor_json_flag(const char *json, bool otherwise);

/* The account's bare JID. Free. */
const char *parlor_user_bare_jid(void);

/* A text as the generated functions of `plugin.h` want it: what was cut inside a character ends with U+FFFD. They do not change it. */
plugin_string_t parlor_text(const char *text);

/* Converts a generated function's result to a `parlor_error`: `parlor_done(parlor_plugin_rooms_close(&jid, &error), &error)`. */
parlor_error parlor_done(bool done, const parlor_plugin_types_error_t *error);

/* ---- Where calls are made ------------------------------------------------------------------------------------------------ */

/* For these macros alone: each notes the call, so that a failure can say which one it was, and where. */
extern struct parlor_call {
  const char *name, *place;
} parlor_called;

#ifndef PARLOR_INSIDE
#define PARLOR_LINE_TEXT(line) #line
#define PARLOR_LINE(line) PARLOR_LINE_TEXT(line)
#define PARLOR_CALL(name) (parlor_called = (struct parlor_call){name, __FILE__ ":" PARLOR_LINE(__LINE__)})

/* A generated function notes its own name. */
#define parlor_done(...) (PARLOR_CALL(NULL), parlor_done(__VA_ARGS__))
#define parlor_fail(...) (PARLOR_CALL(NULL), parlor_fail(__VA_ARGS__))
#define parlor_on(...) (PARLOR_CALL("parlor_on"), parlor_on(__VA_ARGS__))
#define parlor_once(...) (PARLOR_CALL("parlor_once"), parlor_once(__VA_ARGS__))
#define parlor_on_mention(...) (PARLOR_CALL("parlor_on_mention"), parlor_on_mention(__VA_ARGS__))
#define parlor_on_ready(...) (PARLOR_CALL("parlor_on_ready"), parlor_on_ready(__VA_ARGS__))
#define parlor_off(...) (PARLOR_CALL("parlor_off"), parlor_off(__VA_ARGS__))
#define parlor_commands_add(...) (PARLOR_CALL("parlor_commands_add"), parlor_commands_add(__VA_ARGS__))
#define parlor_commands_declare(...) (PARLOR_CALL("parlor_commands_declare"), parlor_commands_declare(__VA_ARGS__))
#define parlor_emit(...) (PARLOR_CALL("parlor_emit"), parlor_emit(__VA_ARGS__))
#define parlor_promises_add(...) (PARLOR_CALL("parlor_promises_add"), parlor_promises_add(__VA_ARGS__))
#define parlor_promises_reject(...) (PARLOR_CALL("parlor_promises_reject"), parlor_promises_reject(__VA_ARGS__))
#define parlor_wait_until(...) (PARLOR_CALL("parlor_wait_until"), parlor_wait_until(__VA_ARGS__))
#define parlor_after(...) (PARLOR_CALL("parlor_after"), parlor_after(__VA_ARGS__))
#define parlor_every(...) (PARLOR_CALL("parlor_every"), parlor_every(__VA_ARGS__))
#define parlor_chats_send(jid, ...) (PARLOR_CALL("parlor_chats_send"), parlor_chats_send(parlor_address(jid), __VA_ARGS__))
#define parlor_chats_reply(...) (PARLOR_CALL("parlor_chats_reply"), parlor_chats_reply(__VA_ARGS__))
#define parlor_rooms_send(jid, ...) (PARLOR_CALL("parlor_rooms_send"), parlor_rooms_send(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_reply(...) (PARLOR_CALL("parlor_rooms_reply"), parlor_rooms_reply(__VA_ARGS__))
#define parlor_answer(...) (PARLOR_CALL("parlor_answer"), parlor_answer(__VA_ARGS__))
#define parlor_progress(...) (PARLOR_CALL("parlor_progress"), parlor_progress(__VA_ARGS__))
#define parlor_reply(...) (PARLOR_CALL("parlor_reply"), parlor_reply(__VA_ARGS__))
#define parlor_chats_send_message(jid, ...) (PARLOR_CALL("parlor_chats_send_message"), parlor_chats_send_message(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_send_message(jid, ...) (PARLOR_CALL("parlor_rooms_send_message"), parlor_rooms_send_message(parlor_address(jid), __VA_ARGS__))
#define parlor_chats_reply_message(...) (PARLOR_CALL("parlor_chats_reply_message"), parlor_chats_reply_message(__VA_ARGS__))
#define parlor_reply_message(...) (PARLOR_CALL("parlor_reply_message"), parlor_reply_message(__VA_ARGS__))
#define parlor_acknowledge(...) (PARLOR_CALL("parlor_acknowledge"), parlor_acknowledge(__VA_ARGS__))
#define parlor_occupant_of(...) (PARLOR_CALL("parlor_occupant_of"), parlor_occupant_of(__VA_ARGS__))
#define parlor_rooms_open(jid, ...) (PARLOR_CALL("parlor_rooms_open"), parlor_rooms_open(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_open_configured(jid, ...) (PARLOR_CALL("parlor_rooms_open_configured"), parlor_rooms_open_configured(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_configure(jid, ...) (PARLOR_CALL("parlor_rooms_configure"), parlor_rooms_configure(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_close(jid) (PARLOR_CALL("parlor_rooms_close"), parlor_rooms_close(parlor_address(jid)))
#define parlor_rooms_get_or_create(jid, ...) (PARLOR_CALL("parlor_rooms_get_or_create"), parlor_rooms_get_or_create(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_get_attribute(jid, ...) (PARLOR_CALL("parlor_rooms_get_attribute"), parlor_rooms_get_attribute(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_set_attribute(jid, ...) (PARLOR_CALL("parlor_rooms_set_attribute"), parlor_rooms_set_attribute(parlor_address(jid), __VA_ARGS__))
#define parlor_chats_get_attribute(jid, ...) (PARLOR_CALL("parlor_chats_get_attribute"), parlor_chats_get_attribute(parlor_address(jid), __VA_ARGS__))
#define parlor_chats_set_attribute(jid, ...) (PARLOR_CALL("parlor_chats_set_attribute"), parlor_chats_set_attribute(parlor_address(jid), __VA_ARGS__))
#define parlor_vcard_get(jid, ...) (PARLOR_CALL("parlor_vcard_get"), parlor_vcard_get(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_occupant(jid, ...) (PARLOR_CALL("parlor_rooms_occupant"), parlor_rooms_occupant(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_occupants(jid, ...) (PARLOR_CALL("parlor_rooms_occupants"), parlor_rooms_occupants(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_set_subject(jid, ...) (PARLOR_CALL("parlor_rooms_set_subject"), parlor_rooms_set_subject(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_invite(room, jid, ...) (PARLOR_CALL("parlor_rooms_invite"), parlor_rooms_invite(parlor_address(room), parlor_address(jid), __VA_ARGS__))
#define parlor_contacts_accept(jid) (PARLOR_CALL("parlor_contacts_accept"), parlor_contacts_accept(parlor_address(jid)))
#define parlor_contacts_deny(jid) (PARLOR_CALL("parlor_contacts_deny"), parlor_contacts_deny(parlor_address(jid)))
#define parlor_user_set_status(...) (PARLOR_CALL("parlor_user_set_status"), parlor_user_set_status(__VA_ARGS__))
#define parlor_rooms_kick(jid, ...) (PARLOR_CALL("parlor_rooms_kick"), parlor_rooms_kick(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_ban(jid, ...) (PARLOR_CALL("parlor_rooms_ban"), parlor_rooms_ban(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_retract(jid, ...) (PARLOR_CALL("parlor_rooms_retract"), parlor_rooms_retract(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_set_role(jid, ...) (PARLOR_CALL("parlor_rooms_set_role"), parlor_rooms_set_role(parlor_address(jid), __VA_ARGS__))
#define parlor_rooms_set_affiliation(jid, ...) (PARLOR_CALL("parlor_rooms_set_affiliation"), parlor_rooms_set_affiliation(parlor_address(jid), __VA_ARGS__))
#define parlor_archive_query_all(...) (PARLOR_CALL("parlor_archive_query_all"), parlor_archive_query_all(__VA_ARGS__))
#define parlor_api_send(...) (PARLOR_CALL("parlor_api_send"), parlor_api_send(__VA_ARGS__))
#define parlor_api_send_iq(...) (PARLOR_CALL("parlor_api_send_iq"), parlor_api_send_iq(__VA_ARGS__))
#define parlor_settings_get_in(room, key) parlor_settings_get_in(parlor_address(room), key)
#define parlor_settings_set(...) (PARLOR_CALL("parlor_settings_set"), parlor_settings_set(__VA_ARGS__))
#define parlor_settings_update(...) (PARLOR_CALL("parlor_settings_update"), parlor_settings_update(__VA_ARGS__))
#define parlor_vcard_update(jid, ...) (PARLOR_CALL("parlor_vcard_update"), parlor_vcard_update(parlor_address(jid), __VA_ARGS__))
#define parlor_http_fetch(...) (PARLOR_CALL("parlor_http_fetch"), parlor_http_fetch(__VA_ARGS__))
#define parlor_http_get(...) (PARLOR_CALL("parlor_http_get"), parlor_http_get(__VA_ARGS__))
#define parlor_http_open(...) (PARLOR_CALL("parlor_http_open"), parlor_http_open(__VA_ARGS__))
#define parlor_http_write(...) (PARLOR_CALL("parlor_http_write"), parlor_http_write(__VA_ARGS__))
#define parlor_http_answer(...) (PARLOR_CALL("parlor_http_answer"), parlor_http_answer(__VA_ARGS__))
#define parlor_http_read(...) (PARLOR_CALL("parlor_http_read"), parlor_http_read(__VA_ARGS__))
#define parlor_files_upload(...) (PARLOR_CALL("parlor_files_upload"), parlor_files_upload(__VA_ARGS__))
#define parlor_files_upload_encrypted(...) (PARLOR_CALL("parlor_files_upload_encrypted"), parlor_files_upload_encrypted(__VA_ARGS__))
#define parlor_files_write(...) (PARLOR_CALL("parlor_files_write"), parlor_files_write(__VA_ARGS__))
#define parlor_files_finish(...) (PARLOR_CALL("parlor_files_finish"), parlor_files_finish(__VA_ARGS__))
#define parlor_files_open(...) (PARLOR_CALL("parlor_files_open"), parlor_files_open(__VA_ARGS__))
#define parlor_files_read(...) (PARLOR_CALL("parlor_files_read"), parlor_files_read(__VA_ARGS__))
#define parlor_webhooks_answer(...) (PARLOR_CALL("parlor_webhooks_answer"), parlor_webhooks_answer(__VA_ARGS__))
#define parlor_iq_answer(...) (PARLOR_CALL("parlor_iq_answer"), parlor_iq_answer(__VA_ARGS__))
#define parlor_plugins_call(...) (PARLOR_CALL("parlor_plugins_call"), parlor_plugins_call(__VA_ARGS__))
#define parlor_plugins_answer(...) (PARLOR_CALL("parlor_plugins_answer"), parlor_plugins_answer(__VA_ARGS__))
#define parlor_hooks_allow(...) (PARLOR_CALL("parlor_hooks_allow"), parlor_hooks_allow(__VA_ARGS__))
#define parlor_hooks_alter(...) (PARLOR_CALL("parlor_hooks_alter"), parlor_hooks_alter(__VA_ARGS__))
#define parlor_hooks_stop(...) (PARLOR_CALL("parlor_hooks_stop"), parlor_hooks_stop(__VA_ARGS__))
#define parlor_hooks_mark(...) (PARLOR_CALL("parlor_hooks_mark"), parlor_hooks_mark(__VA_ARGS__))
#define parlor_plugins_refuse(...) (PARLOR_CALL("parlor_plugins_refuse"), parlor_plugins_refuse(__VA_ARGS__))
#define parlor_dialogs_ask(to, ...) (PARLOR_CALL("parlor_dialogs_ask"), parlor_dialogs_ask(parlor_address(to), __VA_ARGS__))
#define parlor_dialogs_ask_in_room(room, ...) (PARLOR_CALL("parlor_dialogs_ask_in_room"), parlor_dialogs_ask_in_room(parlor_address(room), __VA_ARGS__))
#define parlor_ask_author(...) (PARLOR_CALL("parlor_ask_author"), parlor_ask_author(__VA_ARGS__))
#define parlor_dialogs_cancel(...) (PARLOR_CALL("parlor_dialogs_cancel"), parlor_dialogs_cancel(__VA_ARGS__))
#define parlor_pubsub_publish(...) (PARLOR_CALL("parlor_pubsub_publish"), parlor_pubsub_publish(__VA_ARGS__))
#define parlor_pubsub_retract(...) (PARLOR_CALL("parlor_pubsub_retract"), parlor_pubsub_retract(__VA_ARGS__))
#define parlor_pubsub_items(...) (PARLOR_CALL("parlor_pubsub_items"), parlor_pubsub_items(__VA_ARGS__))
#define parlor_pubsub_item(...) (PARLOR_CALL("parlor_pubsub_item"), parlor_pubsub_item(__VA_ARGS__))
#define parlor_pubsub_subscribe(...) (PARLOR_CALL("parlor_pubsub_subscribe"), parlor_pubsub_subscribe(__VA_ARGS__))
#define parlor_pubsub_unsubscribe(...) (PARLOR_CALL("parlor_pubsub_unsubscribe"), parlor_pubsub_unsubscribe(__VA_ARGS__))
#define parlor_pubsub_create(...) (PARLOR_CALL("parlor_pubsub_create"), parlor_pubsub_create(__VA_ARGS__))
#define parlor_pubsub_configure(...) (PARLOR_CALL("parlor_pubsub_configure"), parlor_pubsub_configure(__VA_ARGS__))
#define parlor_pubsub_purge(...) (PARLOR_CALL("parlor_pubsub_purge"), parlor_pubsub_purge(__VA_ARGS__))
#define parlor_pubsub_delete(...) (PARLOR_CALL("parlor_pubsub_delete"), parlor_pubsub_delete(__VA_ARGS__))
#define parlor_iq_refuse(...) (PARLOR_CALL("parlor_iq_refuse"), parlor_iq_refuse(__VA_ARGS__))
#define parlor_webhooks_address(...) (PARLOR_CALL("parlor_webhooks_address"), parlor_webhooks_address(__VA_ARGS__))
#define parlor_schedules_every(...) (PARLOR_CALL("parlor_schedules_every"), parlor_schedules_every(__VA_ARGS__))
#define parlor_schedules_at(...) (PARLOR_CALL("parlor_schedules_at"), parlor_schedules_at(__VA_ARGS__))
#define parlor_schedules_cron(...) (PARLOR_CALL("parlor_schedules_cron"), parlor_schedules_cron(__VA_ARGS__))
#define parlor_schedules_list(...) (PARLOR_CALL("parlor_schedules_list"), parlor_schedules_list(__VA_ARGS__))
#define parlor_schedules_cancel(...) (PARLOR_CALL("parlor_schedules_cancel"), parlor_schedules_cancel(__VA_ARGS__))
#define parlor_schedules_to_local(...) (PARLOR_CALL("parlor_schedules_to_local"), parlor_schedules_to_local(__VA_ARGS__))
#define parlor_schedules_format(...) (PARLOR_CALL("parlor_schedules_format"), parlor_schedules_format(__VA_ARGS__))
#define parlor_schedules_parse(...) (PARLOR_CALL("parlor_schedules_parse"), parlor_schedules_parse(__VA_ARGS__))
#define parlor_storage_set(...) (PARLOR_CALL("parlor_storage_set"), parlor_storage_set(__VA_ARGS__))
#define parlor_storage_get(...) (PARLOR_CALL("parlor_storage_get"), parlor_storage_get(__VA_ARGS__))
#define parlor_storage_compare_and_set(...) (PARLOR_CALL("parlor_storage_compare_and_set"), parlor_storage_compare_and_set(__VA_ARGS__))
#define parlor_storage_delete(...) (PARLOR_CALL("parlor_storage_delete"), parlor_storage_delete(__VA_ARGS__))
#define parlor_storage_keys(...) (PARLOR_CALL("parlor_storage_keys"), parlor_storage_keys(__VA_ARGS__))
#define parlor_storage_entries(...) (PARLOR_CALL("parlor_storage_entries"), parlor_storage_entries(__VA_ARGS__))
#define parlor_storage_range(...) (PARLOR_CALL("parlor_storage_range"), parlor_storage_range(__VA_ARGS__))
#define parlor_storage_add(...) (PARLOR_CALL("parlor_storage_add"), parlor_storage_add(__VA_ARGS__))
#define parlor_storage_change(...) (PARLOR_CALL("parlor_storage_change"), parlor_storage_change(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
