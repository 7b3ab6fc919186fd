/* Records the result of each step. */
#ifndef STEPS_H
#define STEPS_H

#include <parlor.h>

/* The arguments of a part. */
typedef struct steps {
  const char *friend, *room, *rest;
  const parlor_message *message;
} steps;

/* Records a step: a text as `printf` would write it, or the error. */
void note(const char *what, parlor_error error, const char *format, ...) PARLOR_FORMAT(3, 4);

/* Records a step that returns nothing. */
void done(const char *what, parlor_error error);

/* Records a step that must fail. */
void fails(const char *what, parlor_error error);

/* Records a step whose result differs in each run. */
void some(const char *what, parlor_error error, plugin_string_t text);

/* Records the result of an event, which `heard` reports later. */
void hear(const char *what, const char *outcome);
void heard(void);

void take_part(const char *part, const steps *told);

#endif
