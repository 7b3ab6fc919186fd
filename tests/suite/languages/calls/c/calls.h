/* Of plugin.c, people.c and entities.c. */

#include <parlor.h>

static const char alice[] = "alice@example.org";

/* A call, by the message that asks for it. A list of them ends with one whose name is NULL. */
typedef struct named_call {
  const char *name;
  parlor_error (*call)(const char *rest);
} named_call;

/* Those of people.c, and what `parlor_start` subscribes to for them. */
extern const named_call people[];
parlor_error listens(void);

/* The same of entities.c. */
extern const named_call entities[];
parlor_error hears(void);

/* Shows a text that the host or its author may leave out. */
static inline const char *or_none(const char *text) {
  return text && *text ? text : "-";
}

/* Says what came of a call. */
static inline parlor_error tell(parlor_error error, const char *text) {
  return parlor_chats_send(alice, "%s", error ? parlor_failed()->text : text);
}
