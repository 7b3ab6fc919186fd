/* Rolls dice that nobody can foresee: `!roll 2d6+1`, and `!roll 2d6+1 --secret` for oneself. */

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
  const char *wish = parlor_command_text(event->command, "dice");
  if (!wish) wish = parlor_settings_get_text("usual", "1d6");
  dice wanted;
  if (!dice_read(wish, &wanted)) return parlor_answer(event, "Say: roll 2d6+1, with up to 100 dice of 2 to 1000 sides");

  const char *rolled = "";
  long sum = wanted.more;
  for (unsigned i = 0; i < wanted.count; i++) {
    unsigned number;
    if (!random_below(wanted.sides, &number)) return parlor_fail("the host gives no random numbers");
    sum += number + 1;
    rolled = parlor_format("%s%s%u", rolled, i ? ", " : "", number + 1);
  }
  const char *all = parlor_format("%s: %s = %ld", wish, rolled, sum);
  bool secret = parlor_command_flag(event->command, "secret");
  return secret ? parlor_chats_reply(event->message, "%s", all) : parlor_answer(event, "%s", all);
}

parlor_error parlor_start(void) {
  static const parlor_argument arguments[] = {
      {"dice", PARLOR_ARGUMENT_TEXT, .optional = true, .help = "Such as 2d6+1: how many, their sides, and what is added"},
      {"secret", PARLOR_ARGUMENT_FLAG, .help = "Tells you alone"},
      {0}};
  return parlor_commands_declare(
      &(parlor_declaration){.name = "roll", .help = "Rolls dice", .arguments = arguments}, roll, NULL);
}
