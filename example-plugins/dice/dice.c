/* Reading `2d6+1`. */

#include "dice.h"

/* A number at the beginning of a text, of four digits at most; `otherwise` where there is none. */
static long number(const char **text, long otherwise) {
  long value = 0;
  int digits = 0;
  for (; **text >= '0' && **text <= '9' && digits < 4; digits++) value = value * 10 + *(*text)++ - '0';
  return digits ? value : otherwise;
}

bool dice_read(const char *text, dice *read) {
  long count = number(&text, 1);
  if (*text != 'd' && *text != 'D') return false;
  text++;
  long sides = number(&text, 6), more = 0;
  if (*text == '+' || *text == '-') {
    long sign = *text++ == '-' ? -1 : 1;
    more = sign * number(&text, 0);
  }
  *read = (dice){(unsigned)count, (unsigned)sides, more};
  return !*text && count >= 1 && count <= 100 && sides >= 2 && sides <= 1000;
}
