/* Rolls dice that nobody can foresee: `!roll 2d6+1`. */

#include <parlor.h>
#include <unistd.h>

#include "dice.h"

/* A number below `sides`, each as likely as any other. */
static bool random_below(unsigned sides, unsigned *number) {
  /* The remainder at the top would make the first sides likelier. */
  unsigned limit = UINT32_MAX - UINT32_MAX % sides;
  uint32_t random;
  do {
    if (getentropy(&random, sizeof random)) return false;
  } while (random >= limit);
  *number = random % sides;
  return true;
}

static parlor_error roll(const parlor_event *event, void *context) {
  (void)context;
  const char *wish = event->command->count ? event->command->arguments[0] : parlor_settings_get_text("usual", "1d6");
  dice wanted;
  if (!dice_read(wish, &wanted)) return parlor_reply(event->message, "Say: roll 2d6+1, with up to 100 dice of 2 to 1000 sides");

  const char *rolled = "";
  long sum = wanted.more;
  for (unsigned i = 0; i < wanted.count; i++) {
    unsigned number;
    if (!random_below(wanted.sides, &number)) return parlor_fail("the host gives no random numbers");
    sum += number + 1;
    rolled = parlor_format("%s%s%u", rolled, i ? ", " : "", number + 1);
  }
  return parlor_reply(event->message, "%s: %s = %ld", wish, rolled, sum);
}

parlor_error parlor_start(void) {
  return parlor_commands_add("roll", "Rolls dice", "2d6+1", roll, NULL);
}
