/* What is told of each step. */
#ifndef STEPS_H
#define STEPS_H

#include <parlor.h>

/* What a part of them is told. */
typedef struct steps {
  const char *friend, *room, *rest;
  const parlor_message *message;
} steps;

/* What came of a step: a text as `printf` would write it, or the error. */
void note(const char *what, parlor_error error, const char *format, ...) PARLOR_FORMAT(3, 4);

/* Nothing is to come of it but that it is done. */
void done(const char *what, parlor_error error);

/* An error is to come of it. */
void fails(const char *what, parlor_error error);

/* Something that differs in each run is to come of it. */
void some(const char *what, parlor_error error, plugin_string_t text);

/* What an event brought; `heard` tells it later. */
void hear(const char *what, const char *outcome);
void heard(void);

void take_part(const char *part, const steps *told);

#endif
