/* Plugins for parlor, a bot house for XMPP, in C.
 *
 *     #include <parlor.h>
 *
 *     static parlor_error answer(const parlor_event *event, void *context) {
 *         return parlor_chat_reply(event->message, "you said: %s", event->message->body);
 *     }
 *
 *     parlor_error parlor_start(void) {
 *         return parlor_on("message", &(parlor_filter){.kind = "chat"}, answer, NULL);
 *     }
 *
 * Beside it stands `plugin.toml`, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both.
 * A plugin imports what it calls, and nothing else: each function here names the permission that it needs.
 *
 * Texts are UTF-8 and end with NUL; NULL stands for none. What the host hands over, and what `parlor_format` and its like make,
 * lives until the handler returns, and nobody frees it. Who wants it longer copies it, for instance by `strdup`.
 *
 * A call waits until it is done. One handler runs at a time: while it waits, or sleeps, the other events of this plugin wait as
 * well. So do not wait in a handler for what another handler of the same plugin has to do; use `parlor_after` and events.
 *
 * What is not wrapped here is there as wit-bindgen writes it down from the contract: see `plugin.h` beside this file. Give it
 * texts by `parlor_text`, and results by `parlor_done`.
 */
#ifndef PARLOR_H
#define PARLOR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARLOR_FORMAT(text, values) __attribute__((__format__(__printf__, text, values)))

/* ---- Errors ------------------------------------------------------------------------------------------------------------ */

/* Why a call did not do what was asked. Nothing was sent unless it says so. */
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
  PARLOR_OTHER,       /* anything else, also the plugin's own: see parlor_fail */
} parlor_error;

/* What is known of the last call that failed. */
typedef struct parlor_failure {
  parlor_error error;
  const char *text;       /* a sentence for people */
  const char *permission; /* PARLOR_DENIED: which one is missing, … */
  const char *scope;      /* … what it would have to cover, or NULL, … */
  const char *hint;       /* … and what the owner types to allow it */
  const char *argument;   /* PARLOR_INVALID: its name as the contract spells it */
  const char *name;       /* PARLOR_NOT_FOUND, PARLOR_NOT_READY: which thing, or which promise */
  const char *condition;  /* PARLOR_STANZA: such as item-not-found */
  const char *xml;        /* PARLOR_STANZA: the whole error */
} parlor_failure;

const parlor_failure *parlor_failed(void);

/* An error of the plugin's own; a handler that returns it is written to the log. */
parlor_error parlor_fail(const char *format, ...) PARLOR_FORMAT(1, 2);

/* ---- The plugin -------------------------------------------------------------------------------------------------------- */

/* Written by the plugin: called once, before the account logs in. What it returns, unless PARLOR_OK, refuses the start. */
parlor_error parlor_start(void);

/* Written by the plugin, if it wants: called once, when it is told to stop. It has two seconds. */
void parlor_stop(void);

/* ---- Events ------------------------------------------------------------------------------------------------------------ */

/* A message as it came. */
typedef struct parlor_message {
  const char *id, *stanza_id, *origin_id;
  const char *chat;    /* the conversation: the bare JID of the other person, or of the room */
  const char *from, *to;
  const char *nick;    /* in a room, who said it */
  const char *kind;    /* chat, normal, headline, groupchat or error */
  const char *body, *subject, *thread;
  const char *at;      /* when, such as 2026-11-20T06:24:00Z */
  bool delayed;        /* it is history; do not answer it */
  bool own;            /* this account wrote it */
  const parlor_plugin_types_message_t *all; /* everything else */
} parlor_message;

/* A message that the host read as one of this plugin's commands. */
typedef struct parlor_command {
  const char *name;
  const char **arguments;
  size_t count;
} parlor_command;

typedef struct parlor_event {
  const char *name;
  const char *at;
  const parlor_message *message; /* of events about messages and commands, else NULL */
  const parlor_command *command; /* of the event command, else NULL */
  const char *text;              /* of events that carry a text or a JID, else NULL */
  const char *json;              /* of events that carry JSON, such as plugins' own, else NULL */
  const parlor_plugin_types_payload_t *all;
} parlor_event;

/* One that does not return PARLOR_OK is written to the log, and the plugin goes on. */
typedef parlor_error parlor_handler(const parlor_event *event, void *context);

/* What is left out never wakes the plugin. What is NULL counts for all. */
typedef struct parlor_filter {
  const char *from, *room, *kind, *prefix;
  bool own, delayed, xml;
} parlor_filter;

/* Has a handler called at each event of this name that the filter, which may be NULL, lets through. Most events need a grant. */
parlor_error parlor_on(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context);

/* The same, at the next one only. */
parlor_error parlor_once(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context);

/* Ends subscriptions and timers with this handler and context. */
parlor_error parlor_off(parlor_handler *handler, void *context);

/* Adds a command that people give, such as `!roll 2d6`. Free; it is called with the event's `command` and `message`. */
parlor_error parlor_command_add(const char *name, const char *help, const char *usage, parlor_handler *handler, void *context);

/* Fires an event that every plugin may hear, and resolves the promise of the same name. The JSON text may be NULL. Free. */
parlor_error parlor_emit(const char *name, const char *json);

/* Makes a promise that others can wait for; `parlor_emit` of the same name keeps it. Free. */
parlor_error parlor_promise(const char *name);

/* Waits for a promise, the host's or a plugin's; what it carries as JSON or text is put into `value`, which may be NULL. Free. */
parlor_error parlor_wait_until(const char *name, const char **value);

/* ---- Timers ------------------------------------------------------------------------------------------------------------ */

/* Calls a handler once, after so many milliseconds. Free. */
parlor_error parlor_after(uint64_t milliseconds, parlor_handler *handler, void *context);

/* Calls it again and again; a period is at least 10 milliseconds. Free. */
parlor_error parlor_every(uint64_t milliseconds, parlor_handler *handler, void *context);

/* Waits, and lets the other events of this plugin wait. Free. */
void parlor_sleep(uint64_t milliseconds);

/* ---- Saying something -------------------------------------------------------------------------------------------------- */

/* Says something to somebody. Needs messages.send. */
parlor_error parlor_chat_send(const char *jid, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers a message in its chat. Needs messages.send. */
parlor_error parlor_chat_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Says something in a room that we are in. Needs rooms.send. */
parlor_error parlor_room_send(const char *room, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers a message in its room. Needs rooms.send. */
parlor_error parlor_room_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Answers where it was said, in a chat or in a room. Needs messages.send and rooms.send. */
parlor_error parlor_reply(const parlor_message *to, const char *format, ...) PARLOR_FORMAT(2, 3);

/* Sends one message, presence or IQ as XML. Needs stanza.send. */
parlor_error parlor_stanza_send(const char *xml);

/* Sends one IQ, and puts the answer into `answer`. Needs stanza.send. */
parlor_error parlor_stanza_ask(const char *iq, const char **answer);

/* ---- Settings and storage ---------------------------------------------------------------------------------------------- */

/* One of the plugin's own settings, as JSON; NULL = it has no value. Free. */
const char *parlor_setting(const char *key);

/* The same as a text, a number, or yes and no; `otherwise` where it is nothing of the kind. */
const char *parlor_setting_text(const char *key, const char *otherwise);
double parlor_setting_number(const char *key, double otherwise);
bool parlor_setting_flag(const char *key, bool otherwise);

/* Keeps a text under a key, on the disk when this returns, for ever (0) or for so many milliseconds. Needs storage. */
parlor_error parlor_storage_set(const char *key, const char *text, uint64_t expires);

/* Puts what is kept into `text`, or NULL. Needs storage. */
parlor_error parlor_storage_get(const char *key, const char **text);

/* Forgets it. Needs storage. */
parlor_error parlor_storage_delete(const char *key);

/* All keys that begin so, in order; `*keys` has `*count` of them. Needs storage. */
parlor_error parlor_storage_keys(const char *prefix, const char ***keys, size_t *count);

/* ---- Log --------------------------------------------------------------------------------------------------------------- */

typedef enum parlor_level { PARLOR_DEBUG, PARLOR_INFO, PARLOR_WARN, PARLOR_ERROR, PARLOR_FATAL } parlor_level;

/* Writes one line to the host's log. Free. */
void parlor_log(parlor_level level, const char *format, ...) PARLOR_FORMAT(2, 3);

/* ---- Texts ------------------------------------------------------------------------------------------------------------- */

/* Memory that lives until the handler returns. */
void *parlor_memory(size_t size);

/* A text as `printf` would write it. */
const char *parlor_format(const char *format, ...) PARLOR_FORMAT(1, 2);

/* A text for the inside of XML, in elements and attributes. */
const char *parlor_escape(const char *text);

/* A text as JSON has it, in quotes. */
const char *parlor_quote(const char *text);

/* The text of a JSON string; NULL if it is something else. */
const char *parlor_unquote(const char *json);

/* The account's bare JID. Free. */
const char *parlor_jid(void);

/* A text as the generated functions of `plugin.h` want it. They do not change it. */
plugin_string_t parlor_text(const char *text);

/* What a generated function answered, as this header says it: `parlor_done(parlor_plugin_rooms_close(&jid, &error), &error)`. */
parlor_error parlor_done(bool done, const parlor_plugin_types_error_t *error);

#ifdef __cplusplus
}
#endif
#endif
