/* Runs the cases of `cases.json` on the moderation kit for C. A test of the suite puts it into a plugin; the tests of the SDK for Rust,
 * `cases.py`, `cases.js` and `cases.go` read the same cases in the same way. */

#include <parlor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "garden@rooms.example.org"

/* The number of a step that has none. */
#define NONE -1

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */

typedef struct json {
  char kind;                 /* { [ " n t f, or 0 for null */
  const char *name;          /* inside of { */
  const char *text;
  double number;
  const struct json *inside; /* the first part of { or [ */
  const struct json *next;
} json;

static const char *past_white(const char *at) {
  return at + strspn(at, " \t\r\n");
}

/* A string; its end is put into `at`. C has no NUL in texts, so it is left out. */
static const char *string(const char **at) {
  const char *begin = *at, *end = begin + 1;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  *at = end + 1;
  char *whole = parlor_memory((size_t)(*at - begin) + 1), *last = whole;
  for (const char *from = begin; from < *at;) {
    if (!strncmp(from, "\\u0000", 6)) from += 6;
    else *last++ = *from++;
  }
  return parlor_unquote(whole);
}

static const json *value(const char **at) {
  json *read = parlor_memory(sizeof *read);
  *at = past_white(*at);
  switch (**at) {
    case '{':
    case '[': {
      bool is_object = **at == '{';
      const json **last = &read->inside;
      read->kind = **at;
      for (*at = past_white(*at + 1); **at != (is_object ? '}' : ']'); *at = past_white(*at)) {
        if (**at == ',') *at = past_white(*at + 1);
        const char *name = is_object ? string(at) : NULL;
        if (is_object) *at = past_white(*at) + 1;
        json *part = (json *)value(at);
        part->name = name;
        *last = part;
        last = &part->next;
      }
      ++*at;
      return read;
    }
    case '"':
      read->kind = '"';
      read->text = string(at);
      return read;
    case 't':
    case 'f':
    case 'n':
      read->kind = **at == 'n' ? 0 : **at;
      *at += strspn(*at, "abcdefghijklmnopqrstuvwxyz");
      return read;
    default: {
      char *end;
      read->kind = 'n';
      read->number = strtod(*at, &end);
      /* A text that is no JSON is not read any further. */
      *at = end > *at ? end : "]}";
      return read;
    }
  }
}

/* A part by its name or its place; NULL: there is none. */
static const json *field(const json *of, const char *name) {
  const json *at = of && of->kind == '{' ? of->inside : NULL;
  while (at && strcmp(at->name, name)) at = at->next;
  return at;
}

static const json *part(const json *of, size_t place) {
  const json *at = of && of->kind == '[' ? of->inside : NULL;
  while (at && place--) at = at->next;
  return at;
}

static size_t length(const json *of) {
  size_t count = 0;
  while (part(of, count)) count++;
  return count;
}

static bool is_true(const json *of) {
  return of && of->kind == 't';
}

static double number_of(const json *of, double otherwise) {
  return of && of->kind == 'n' ? of->number : otherwise;
}

/* ---- The cases ---------------------------------------------------------------------------------------------------------- */

/* A text as the cases write it: as it is, repeated, or in parts. `{}` is the number of a step. */
static const char *text(const json *of, int number) {
  if (!of || !of->kind || !strchr("{[\"", of->kind)) return NULL;
  if (of->kind == '{' || of->kind == '[') {
    size_t times = of->kind == '{' ? (size_t)number_of(field(of, "times"), 0) : length(of), size = 0;
    const char *once = of->kind == '{' ? text(field(of, "of"), number) : "";
    for (size_t i = 0; i < times; i++) size += strlen(of->kind == '{' ? once : text(part(of, i), number));
    char *whole = parlor_memory(size + 1), *end = whole;
    for (size_t i = 0; i < times; i++) end = stpcpy(end, of->kind == '{' ? once : text(part(of, i), number));
    return whole;
  }
  const char *gap = number == NONE ? NULL : strstr(of->text, "{}");
  return gap ? parlor_format("%.*s%d%s", (int)(gap - of->text), of->text, number, gap + 2) : of->text;
}

/* Puts the texts of a list into `all`, and returns how many there are. */
static size_t texts(const json *of, int number, const char ***all) {
  size_t count = length(of);
  *all = parlor_memory(sizeof **all * (count + 1));
  for (size_t i = 0; i < count; i++) (*all)[i] = text(part(of, i), number);
  return count;
}

static const char *joined(const char *const *all, size_t count) {
  const char *whole = "";
  for (size_t i = 0; i < count && all[i]; i++) whole = parlor_format("%s <%s>", whole, all[i]);
  return whole;
}

static const char *listed(const json *of, int number) {
  const char **all;
  size_t count = texts(of, number, &all);
  return joined(all, count);
}

static const char *shown(bool is) {
  return is ? "yes" : "no";
}

/* The cases so far, and what is wrong; in memory of their own, since what the steps make is forgotten. */
static size_t count;
static char wrong[2000];

static void tell(const char *name, const char *came, const char *expected) {
  size_t used = strlen(wrong);
  snprintf(wrong + used, sizeof wrong - used, "%s: %.200s, and not %.200s\n", name, came ? came : "nothing", expected ? expected : "nothing");
}

static bool is_equal(const char *one, const char *other) {
  return one && other ? !strcmp(one, other) : !one && !other;
}

static void check(const char *name, const char *came, const char *expected) {
  count++;
  if (!is_equal(came, expected)) tell(name, came, expected);
}

static unsigned read_character(const char *at, size_t *size) {
  unsigned first = (unsigned char)*at;
  *size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  unsigned code = *size == 1 ? first : first & (0x7Fu >> *size);
  for (size_t i = 1; i < *size; i++) code = code << 6 | ((unsigned char)at[i] & 0x3Fu);
  return code;
}

static const char *written(unsigned code) {
  char sign[5] = {0};
  if (code < 0x80) sign[0] = (char)code;
  else if (code < 0x800) sign[0] = (char)(0xC0 | code >> 6), sign[1] = (char)(0x80 | (code & 0x3F));
  else if (code < 0x10000) sign[0] = (char)(0xE0 | code >> 12), sign[1] = (char)(0x80 | (code >> 6 & 0x3F)), sign[2] = (char)(0x80 | (code & 0x3F));
  else sign[0] = (char)(0xF0 | code >> 18), sign[1] = (char)(0x80 | (code >> 12 & 0x3F)), sign[2] = (char)(0x80 | (code >> 6 & 0x3F)), sign[3] = (char)(0x80 | (code & 0x3F));
  return parlor_format("%s", sign);
}

/* The letters and digits are no part of what the SDK exports. `parlor_moderation_comparable` shows which ones are kept, and how, and with
 * two signs in front of a slash `parlor_moderation_has_link` shows which ones are letters. */
static uint32_t digest(const json *ranges) {
  uint32_t sum = 0x811C9DC5;
  for (size_t i = 0; i < length(ranges); i++) {
    unsigned last = (unsigned)number_of(part(part(ranges, i), 1), 0);
    for (unsigned code = (unsigned)number_of(part(part(ranges, i), 0), 0); code <= last; code++) {
      uint64_t mark = parlor_mark();
      const char *sign = written(code), *kept[PARLOR_MOST_TEXTS];
      /* A letter behind it: without one, a sign would be kept as well. */
      parlor_moderation_comparable((const char *const[]){parlor_format("%sz", sign)}, 1, kept);
      size_t end = strlen(kept[0]) - 1, size;
      unsigned kind = !end ? 0 : parlor_moderation_has_link(parlor_format("z.%s%s/", sign, sign)) ? 1 : 2;
      sum = (sum ^ kind) * 0x01000193;
      for (size_t at = 0; at < end; at += size) sum = (sum ^ read_character(kept[0] + at, &size)) * 0x01000193;
      parlor_forget(mark);
    }
  }
  return sum;
}

/* Puts the rules of a case into `rules`. Those that it does not name are those of all cases. A case that names none has those by default:
 * NULL is returned. */
static const parlor_rules *rules_of(const json *own, const json *all, parlor_rules *rules) {
  if (!own) return NULL;
#define NUMBER(name) number_of(field(own, name), number_of(field(all, name), 0))
  *rules = (parlor_rules){
      .joins = (size_t)NUMBER("joins"), .join_window = NUMBER("join_window") / 1000, .messages = (size_t)NUMBER("messages"),
      .message_window = NUMBER("message_window") / 1000, .repeats = (size_t)NUMBER("repeats"),
      .crowd_repeats = (size_t)NUMBER("crowd_repeats"), .unreadable = (size_t)NUMBER("unreadable"),
      .repeat_window = NUMBER("repeat_window") / 1000, .newcomer = NUMBER("newcomer") / 1000};
  return rules;
}

static parlor_said said_of(const json *given, int number) {
  if (given->kind != '{' || field(given, "of")) return parlor_said_text(text(given, number));
  parlor_said said = {
      .id = text(field(given, "id"), number), .has_link = is_true(field(given, "link")), .is_command = is_true(field(given, "command")),
      .is_unreadable = is_true(field(given, "unreadable"))};
  const char **all;
  size_t most = texts(field(given, "texts"), number, &all);
  for (size_t i = 0; i < most && i < PARLOR_MOST_TEXTS; i++) said.texts[i] = all[i];
  return said;
}

static const char *shown_said(parlor_said said) {
  return parlor_format(
      "%s:%s link %s command %s unreadable %s", said.id ? said.id : "nothing", joined(said.texts, PARLOR_MOST_TEXTS), shown(said.has_link),
      shown(said.is_command), shown(said.is_unreadable));
}

static const parlor_message *message_of(const json *given) {
  parlor_plugin_types_message_t *all = parlor_memory(sizeof *all);
  const json *bodies = field(given, "bodies"), *fallback = field(given, "fallback");
  all->bodies.len = length(bodies);
  all->bodies.ptr = parlor_memory(sizeof *all->bodies.ptr * (all->bodies.len + 1));
  for (size_t i = 0; i < all->bodies.len; i++) all->bodies.ptr[i].f1 = parlor_text(text(part(part(bodies, i), 1), NONE));
  all->extensions.is_some = !is_true(field(given, "plain"));
  const char *reply = text(field(given, "reply"), NONE);
  all->extensions.val.reply.is_some = reply != NULL;
  all->extensions.val.reply.val.id = parlor_text(reply);
  parlor_plugin_types_list_fallback_t *parts = &all->extensions.val.fallback;
  parts->len = length(fallback);
  parts->ptr = parlor_memory(sizeof *parts->ptr * (parts->len + 1));
  for (size_t i = 0; i < parts->len; i++) {
    const char *feature = text(part(part(fallback, i), 0), NONE);
    const json *range = part(part(fallback, i), 1);
    parts->ptr[i].feature.is_some = feature != NULL;
    parts->ptr[i].feature.val = parlor_text(feature);
    parts->ptr[i].part.is_some = range->kind != 0;
    parts->ptr[i].part.val.f0 = (uint32_t)number_of(part(range, 0), 0);
    parts->ptr[i].part.val.f1 = (uint32_t)number_of(part(range, 1), 0);
  }
  static const parlor_file files[2] = {{.url = "https://x.example/a"}};
  parlor_message *message = parlor_memory(sizeof *message);
  *message = (parlor_message){
      .stanza_id = text(field(given, "id"), NONE), .body = text(field(given, "body"), NONE), .command = text(field(given, "command"), NONE),
      .files = number_of(field(given, "files"), 0) ? files : NULL, .all = all};
  return message;
}

static const parlor_occupant *occupant_of(const json *given) {
  parlor_plugin_types_occupant_t *all = parlor_memory(sizeof *all);
  const char *id = text(field(given, "id"), NONE), *nick = text(field(given, "nick"), NONE);
  const char *role = text(field(given, "role"), NONE), *affiliation = text(field(given, "affiliation"), NONE);
  all->occupant_id.is_some = id != NULL;
  all->occupant_id.val = parlor_text(id);
  parlor_occupant *occupant = parlor_memory(sizeof *occupant);
  *occupant = (parlor_occupant){
      .nick = nick ? nick : "nick", .jid = text(field(given, "jid"), NONE), .role = role ? role : PARLOR_ROLE_PARTICIPANT,
      .affiliation = affiliation ? affiliation : PARLOR_AFFILIATION_NONE, .own = is_true(field(given, "own")), .all = all};
  return occupant;
}

static const char *words(parlor_verdict verdict) {
  static const char *const offences[] = {"fine", "early", "link", "repeat", "sealed", "unreadable", "flood"};
  const char *pause = verdict.offence == PARLOR_OFFENCE_EARLY ? parlor_format(" %.0f", verdict.pause * 1000) : "";
  return parlor_format("%s%s%s", offences[verdict.offence], pause, verdict.has_settled ? " settled" : "");
}

/* Makes the call of a step. Its result is put into `came`, and what should into `expected`. */
static void make(parlor_judge *judge, const parlor_rules *rules, const json *step, const char *room, int number, const char **came, const char **expected) {
  const char *name = part(step, 0)->text, *first = text(part(step, 1), number), **list;
  /* Of `absent` it is a list of a key and a rank. */
  const char *second = strcmp(name, "absent") ? text(part(step, 2), number) : NULL;
  double now = (number_of(part(step, 1), 0) + (number == NONE ? 0 : number)) / 1000;
  bool is = false, is_known;
  size_t size;
  *came = *expected = NULL;
  if (!strcmp(name, "join")) {
    size = parlor_judge_join(judge, rules, room, second, now, &list);
    *came = joined(list, size), *expected = listed(part(step, 3), number);
  } else if (!strcmp(name, "join_count")) {
    size = parlor_judge_join(judge, rules, room, second, now, &list);
    *came = parlor_format("%zu", size), *expected = parlor_format("%.0f", number_of(part(step, 3), -1));
  } else if (!strcmp(name, "hear")) {
    parlor_said said = said_of(part(step, 3), number);
    *came = words(parlor_judge_hear(judge, rules, room, second, &said, now)), *expected = text(part(step, 4), NONE);
  } else if (!strcmp(name, "meet")) {
    parlor_judge_meet(judge, room, second, text(part(step, 3), number), is_true(part(step, 4)), now);
  } else if (!strcmp(name, "absent")) {
    const json *wanted = part(step, 2);
    const char *key = parlor_judge_absent(judge, room, first, &is);
    *came = key ? parlor_format("%s %s", key, shown(is)) : NULL;
    if (wanted->kind) *expected = parlor_format("%s %s", text(part(wanted, 0), number), shown(is_true(part(wanted, 1))));
  } else if (!strcmp(name, "is_settled")) {
    is_known = parlor_judge_is_settled(judge, room, first, &is);
    *came = is_known ? shown(is) : NULL, *expected = part(step, 2)->kind ? shown(is_true(part(step, 2))) : NULL;
  } else if (!strcmp(name, "settle")) {
    parlor_judge_settle(judge, room, second, is_true(part(step, 3)), now);
  } else if (!strcmp(name, "author")) {
    *came = parlor_judge_author(judge, room, first), *expected = second;
  } else if (!strcmp(name, "messages")) {
    size = parlor_judge_messages(judge, room, first, (size_t)number_of(part(step, 2), 0), &list);
    *came = joined(list, size), *expected = listed(part(step, 3), number);
  } else if (!strcmp(name, "retracted")) {
    parlor_judge_retracted(judge, room, first);
  } else if (!strcmp(name, "slow_down")) {
    *came = shown(parlor_judge_slow_down(judge, room, number_of(part(step, 1), -1000) / 1000)), *expected = shown(is_true(part(step, 2)));
  } else if (!strcmp(name, "leave")) {
    parlor_judge_leave(judge, room);
  } else {
    *came = "there is no such step";
  }
}

/* Runs a step. Returns whether all came out as it should. */
static bool run(parlor_judge *judge, const parlor_rules *rules, const json *step, const char *room, int number, const char *of) {
  const char *name = part(step, 0)->text, *came, *expected;
  uint64_t mark = parlor_mark();
  bool is_well = true;
  if (!strcmp(name, "in")) {
    is_well = run(judge, rules, part(step, 2), text(part(step, 1), number), number, of);
  } else if (!strcmp(name, "each")) {
    const json *steps = part(step, 3);
    for (int i = (int)number_of(part(step, 1), 0); is_well && i <= (int)number_of(part(step, 2), 0); i++) {
      for (const json *one = steps->inside; is_well && one; one = one->next) is_well = run(judge, rules, one, room, i, of);
    }
  } else {
    make(judge, rules, step, room, number, &came, &expected);
    is_well = is_equal(came, expected);
    if (!is_well) tell(parlor_format("%s: %s with %d", of, name, number), came, expected);
  }
  parlor_forget(mark);
  return is_well;
}

static void run_judge(const json *cases) {
  for (const json *one = field(cases, "judge")->inside; one; one = one->next) {
    parlor_judge judge = {0};
    parlor_rules own;
    const parlor_rules *rules = rules_of(field(one, "rules"), field(cases, "rules"), &own);
    bool is_well = true;
    for (const json *step = field(one, "steps")->inside; step && is_well; step = step->next) {
      is_well = run(&judge, rules, step, ROOM, NONE, field(one, "name")->text);
    }
    parlor_judge_clear(&judge);
    count++;
  }
}

/* Runs all cases. Returns how many there are, and puts what is wrong into `told`, which is empty if nothing is. */
size_t run_cases(const char *table, const char **told) {
  const json *cases = value(&table), *letters = field(cases, "letters"), *one;
  check("letters", parlor_format("%u", digest(field(letters, "ranges"))), parlor_format("%.0f", number_of(field(letters, "digest"), 0)));
  for (one = field(cases, "comparable")->inside; one; one = one->next) {
    const char **given, *came[PARLOR_MOST_TEXTS];
    size_t size = texts(part(one, 0), NONE, &given);
    parlor_moderation_comparable(given, size, came);
    check(parlor_format("comparable %s", joined(given, size)), joined(came, PARLOR_MOST_TEXTS), listed(part(one, 1), NONE));
  }
  for (int is_link = 0; is_link < 2; is_link++) {
    for (one = field(cases, is_link ? "links" : "no links")->inside; one; one = one->next) {
      const char *given = text(one, NONE);
      check(parlor_format("has_link %.60s", given), shown(parlor_moderation_has_link(given)), shown(is_link));
    }
  }
  for (one = field(cases, "nicks")->inside; one; one = one->next) {
    const char *given = text(part(one, 0), NONE);
    check(parlor_format("nick %s", given), parlor_moderation_nick(given), text(part(one, 1), NONE));
  }
  for (one = field(cases, "people")->inside; one; one = one->next) {
    const parlor_occupant *given = occupant_of(part(one, 0));
    const char *came = parlor_format("%s %s", parlor_moderation_key(given), shown(parlor_moderation_is_spared(given)));
    check("key", came, parlor_format("%s %s", text(part(one, 1), NONE), shown(is_true(part(one, 2)))));
  }
  for (one = field(cases, "messages")->inside; one; one = one->next) {
    const parlor_message *given = message_of(part(one, 0));
    check(parlor_format("of %s", given->body ? given->body : ""), shown_said(parlor_said_of(given)), shown_said(said_of(part(one, 1), NONE)));
  }
  parlor_said sealed = parlor_said_unreadable(&(parlor_undecryptable){.stanza_id = "sealed"});
  check("unreadable", shown_said(sealed), shown_said((parlor_said){.id = "sealed", .is_unreadable = true}));
  run_judge(cases);
  *told = wrong;
  return count;
}
