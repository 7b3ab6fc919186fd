/* Reads dice as people write them, such as 2d6+1. */
#ifndef DICE_H
#define DICE_H

#include <stdbool.h>

typedef struct dice {
  unsigned count, sides;
  long more;
} dice;

/* False: it is nothing of the kind, or too much. */
bool dice_read(const char *text, dice *read);

#endif
