/* The moderation kit of `parlor.h`. */

/* Its own calls are not the author's. */
#define PARLOR_INSIDE
#include "parlor.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wctype.h>

#include "characters.h"

/* The most rooms that are remembered, … */
#define MOST_ROOMS 32
/* … people of a room, … */
#define MOST_PEOPLE 300
/* … joins of a room that are counted, and rooms with slow mode. */
#define MOST_JOINS 200
#define MOST_SLOW 200
/* Longer ids of messages are not remembered: the message cannot be retracted later. In bytes, as all lengths of texts here. */
#define MOST_OF_ID 256
/* Several people say shorter texts without any bad intent: "good morning". In characters. */
#define SHORT_TEXT 14
/* The most bytes of a text that are compared. */
#define MOST_OF_TEXT 200
/* The longest name of a person that is remembered as it is. */
#define MOST_OF_KEY 256
/* The most bytes of a nickname that are remembered and shown. */
#define MOST_OF_NICK 64

/* ---- Letters ------------------------------------------------------------------------------------------------------------ */

/* The letters and digits of Unicode 14.0: code points that are alphabetic (`-`), and numbers that are not (`+`). For each run of them:
 * how many code points lie between it and the one before, the sign, and how many more than one it has. All numbers are to base 36, and
 * a 0 at the end is left out. The C library has those of an older version of Unicode. The other SDKs have the same table, and a test
 * compares them. Later versions of Unicode have more letters, which are signs here: so the small letter of each of these is the same in
 * every language. */
static const char runs[] =
    "1c+9 7-p 6-p 1b- 7+1 1- 3+ 0- 1+2 1-m 1-u 1-cp 4-b e-4 7- 1- 2e- t-h 1-1 2-3 1- 6- 1-2 1- 1-j 1-2a 1-3u 8-4l "
    "1-11 2- 6-14 13-d 1- 1-1 1-1 1- 8-q 4-3 t-a 5-1j 1-6 0+9 4-2t 1-7 4-7 4-2 0+9 0-2 2- g-1b d-2s e+9 0-w 9-1 "
    "4- 5-n 2-i j-o 7-a 5-n 1-5 h-15 a-b 3-6 6-23 1-f 1-2 4-e 2+9 1-i 1-7 2-1 2-l 1-6 1- 3-3 3-7 2-1 2-1 1- 8- "
    "4-1 1-4 2+9 0-1 2+5 2- 4-2 1-5 4-1 2-l 1-6 1-1 1-1 1-1 4-4 4-1 2-1 4- 7-3 1- 7+9 0-5 b-2 1-8 1-2 1-l 1-6 1-1 "
    "1-4 3-8 1-2 1-1 3- f-3 2+9 9-3 4-2 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 9-1 4-1 1-4 2+9 1- 0+5 a-1 1-5 3-2 "
    "1-3 3-1 1- 1-1 3-1 3-2 3-b 4-4 3-2 1-2 3- 6- e+c d-c 1-2 1-m 1-f 3-7 1-2 1-2 8-1 1-2 2- 2-3 2+9 8+6 1-3 1-7 "
    "1-2 1-m 1-9 1-4 3-7 1-2 1-2 8-1 6-1 1-3 2+9 1-1 d-c 1-2 1-14 2-7 1-2 1-2 1- 5-3 0+6 0-4 2+i 1-5 1-2 1-h 3-n "
    "1-8 1- 2-6 8-5 1- 1-7 6+9 2-1 d-1l 5-6 6- 2+9 13-1 1- 1-4 1-n 1- 1-i 1-2 2-4 1- 6- 2+9 2-3 w- v+j c-7 1-z "
    "4-i 4-f 1-z 1v-1i 1- 2-4 0+9 6-1r 0+9 0-3 2-11 1- 5- 2-16 1-98 1-3 2-6 1- 1-3 2-14 1-3 2-w 1-3 2-6 1- 1-3 "
    "2-e 1-1k 1-3 2-1u e+j 3-f g-2d 2-5 3-h7 2-g 1-p 5-22 3-a 7-j b-k c-j c-c 1-2 1-1 c-1f 2-i e- 4- 3+9 6+9 m+9 "
    "6-2g 7-16 5-1x a-u 1-b 4-8 d+9 0-t 2-4 b-17 4-p 6+a 11-r 4-1q 2-j b+9 6+9 d- n-1 b-2 1d-1f 1-e 1-7 3+9 12-15 "
    "2-3 0+9 0-17 1-a e-1i 9+9 3-2 0+9 0-z 2-8 7-16 2-2 15-3 1-5 1-1 3- 5-5b j-x b-7p 2-5 2-11 2-5 2-7 1- 1- 1- "
    "1-u 2-1g 1-6 1- 3-2 1-6 3-3 2-5 4-c 5-2 1-6 37+ 0- 2+5 5- 0+9 6-c 2t- 4- 2-9 1- 3-4 6- 1- 1- 1-3 1-a 2-3 5-4 "
    "4- 1+f 0-14 0+ k6+1n q-1f 0+l hi+t vg-6c 6-3 3-1 9+ 2-11 1- 5- 2-1j 7- g-m 9-6 1-6 1-6 1-6 1-6 1-6 1-6 1-6 "
    "1-v 1b- d1-2 p-8 7-4 2-4 4-2d 6-2 1-2h 1-3 5-16 1-2l 3+3 a-v 1c-f w+9 u+7 1+e w+9 13+e 8w-533 1s-h3g 1v-19 "
    "2-7g 3-f 0+9 0-1 k-1a 5-7 3-34 13-8 2-2u 2-1r 5-1 1- 1-4 o-j 1-w 8+5 a-1f c-1v 1- a+9 o-5 3- 1-2 0+9 0-w 5-y "
    "d-s 3-1e 1-b f- 0+9 6-f 0+9 0-4 1-1i 9-d 2+9 6-m 3-1w 1- 1- o-2 2-f 2-3 b-5 2-5 2-5 9-6 1-6 1-16 1-d 6-3e "
    "5+9 6-8mb c-m 4-1c 6is-a5 2-2x 12-6 c-4 5-b 1-c 1-4 1- 1-1 1-1 1-2z x-a2 i-1r 2-1h 14-b 38-4 1-3q j+9 7-p "
    "6-p b-2g 3-5 2-5 2-5 2-2 z-b 1-p 1-i 1-1 1-e 2-d y-3e c+18 c-1g 0+3 h+1 6s-s 3-1c g+q 4-v 0+3 9-t 5-16 5-t "
    "2-z 4-7 1-4 16-4d 2+9 6-z 4-z 4-13 8-1f c-a 1-e 1-6 1-1 1-a 1-e 1-6 1-1 1v-8m 9-l a-7 o-5 1-15 1-8 1x-5 2- "
    "1-17 1-1 3- 2-m 2+7 0-m 2+6 0-u 8+8 1c-i 1-1 5+4 0-l 0+5 4-p 1y-1j 4+1 0-1 0+f 2+19 0-3 1-1 5-7 1-2 1-s a+8 "
    "n-s 0+1 1-s 0+2 w-7 1-r 6+4 g-1h a-l 2+7 0-i 5+7 0-h n+6 28-20 1j-1e d-1e 7+5 0-13 8+9 86+u 1-15 1-1 3-1 "
    "26-s 0+9 0- 8-l b+3 r-h 1a-k 0+6 k-m 9-1x c+t 1-4 a-1k 9- d-o 7+9 6-1e 3+9 4-3 8-y 3- 9-1r 1-3 9-1 0+9 0- 1- "
    "4+j b-h 1-x 2- 6- 1t-6 1- 1-3 1-e 1-9 7-1k 7+9 6-3 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 3- 6- 5-6 4c-1t 1-2 "
    "1-3 5+9 5-2 u-1t 2-1 1- 8+9 4m-1h 2-6 p-5 y-1q 1- 3- b+9 12-1h 2- 7+9 1i-q 2-d 5+b 4-6 55-1k 2v-1r 0+i c-7 "
    "2- 2-7 1-1 1-t 1-1 2-1 2-3 d+9 1y-7 2-19 2-5 1- 1-1 r-1e 2-9 h-1z 5- i-20 7b-8 1-18 1-6 1- f+s 5-t 2-l 1-d "
    "21-6 1-1 1-17 3- 1-1 1-2 1- 2-1 8+9 6-5 1-1 1-10 1-1 1-3 1- 7+9 8m-m 55- f+k 17-pl 2u-32 h-5f 218-2o f-tq "
    "34h-g6 6nt-fs 7-u 1+9 6-26 1+9 6-t i-1b g-3 c+9 1+6 1-k 5-i j4-1r 0+m 2x-22 4-1k 7-g 1s-1 1- c-1 e-4qf 8-yd "
    "16-8 6w7-3 1-6 1-1 1-82 19-2 h-3 8-az 1s4-2y 5-c 3-8 7-9 4- 4e9+j 30+o 3r-2c 1-1y 1-1 2- 2-1 2-3 1-b 1- 1-6 "
    "1-1s 1-3 2-7 1-6 1-r 1-3 1-4 1- 3-6 1-9f 2-o 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-7 2+1d 1ds-u 69-6 1-g 2-6 "
    "1-1 1-4 5x-18 a-6 2+9 4- 8x-t i-17 4+9 yu-6 1-3 1-1 1-e 1-5g 2+8 1c-1v 3- 3- 4+9 lz+1m 1+2 1+3 24+18 1+e "
    "5e-3 1-q 1-1 1- 2- 1-9 1-3 1- 1- 6- 4- 1- 1- 1-2 1-1 1- 2- 1- 1- 1- 1- 1-1 1- 2-3 1-6 1-3 1-3 1- 1-9 1-g 5-2 "
    "1-4 1-g g4+c z-p 6-p 6-p 21y+9 sm-wyn w-37c 7-65 2-4g1 e-5rk 2e7-f1 15u-3t6";

/* How many the table has. */
#define RUNS 846

/* Code points in a row that are all letters, or all digits. */
typedef struct run {
  unsigned first, last;
  bool is_letter;
} run;

/* Reads a number to base 36; without digits it is 0. */
static const char *base_36(const char *at, unsigned *value) {
  for (*value = 0; *at && *at != ' ' && *at != '-' && *at != '+'; at++) {
    *value = *value * 36 + (unsigned)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
  }
  return at;
}

/* The run that a character is in; NULL: it is no letter and no digit. */
static const run *run_of(unsigned code) {
  static run table[RUNS];
  static bool is_read;
  if (!is_read) {
    unsigned next = 0, gap, more;
    const char *at = runs;
    for (size_t i = 0; i < RUNS; i++) {
      at = base_36(at, &gap);
      bool is_letter = *at == '-';
      at = base_36(at + 1, &more);
      if (*at == ' ') at++;
      table[i] = (run){next + gap, next + gap + more, is_letter};
      next = table[i].last + 1;
    }
    is_read = true;
  }
  size_t low = 0, high = RUNS;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (table[middle].last < code) low = middle + 1;
    else high = middle;
  }
  return low < RUNS && table[low].first <= code ? &table[low] : NULL;
}

static bool is_letter(unsigned code) {
  const run *found = run_of(code);
  return found && found->is_letter;
}

/* The small letter of a single character. Here are those that the C library does not know, which is older than the table. */
static unsigned lower(unsigned code) {
  static const unsigned before_their_small[] = {0xA7C0, 0xA7C7, 0xA7C9, 0xA7D0, 0xA7D6, 0xA7D8, 0xA7F5};
  if (code >= 0x24B6 && code <= 0x24CF) return code + 26;
  if (code >= 0x10570 && code <= 0x10595) return code + 39;
  if (code == 0x2C2F) return 0x2C5F;
  for (size_t i = 0; i < sizeof before_their_small / sizeof *before_their_small; i++) {
    if (code == before_their_small[i]) return code + 1;
  }
  return (unsigned)towlower((wint_t)code);
}

/* ---- Texts -------------------------------------------------------------------------------------------------------------- */

/* A text that has at most so many bytes. */
typedef struct bounded {
  char text[MOST_OF_TEXT + 1];
  size_t length, most;
} bounded;

/* Adds a character. False: it does not fit, and the text has ended. */
static bool added(bounded *whole, unsigned code) {
  char sign[4];
  size_t size = (size_t)(utf8(sign, code) - sign);
  if (whole->length + size > whole->most) return false;
  memcpy(whole->text + whole->length, sign, size);
  whole->length += size;
  return true;
}

/* The same text, which lives until the handler returns. */
static const char *lent(const char *text) {
  return parlor_format("%s", text);
}

/* How many bytes of a text there are, if it may have at most so many. */
static size_t cut(const char *text, size_t most) {
  size_t length = strnlen(text, most + 1);
  if (length <= most) return length;
  while (most && ((unsigned char)text[most] & 0xC0) == 0x80) most--;
  return most;
}

/* Adds the small letter of a character. One of them has two characters. */
static bool added_small(bounded *whole, unsigned code) {
  if (code == 0x130) return added(whole, 'i') && added(whole, 0x307);
  return added(whole, lower(code));
}

/* The letters and digits of a text, each in its small letter. If it has none, as with emojis, all but its spaces. Nothing else is changed:
 * a letter with an accent is not the same as that letter and an accent behind it, which is a sign. */
static const char *normalized(const char *text) {
  bounded whole = {.most = MOST_OF_TEXT};
  unsigned code;
  bool fits = true;
  for (const char *at = text; *at && fits;) {
    at = character(at, &code);
    if (run_of(code)) fits = added_small(&whole, code);
  }
  for (const char *at = whole.length ? "" : text; *at && fits;) {
    at = character(at, &code);
    if (!is_white(code)) fits = added(&whole, code);
  }
  whole.text[whole.length] = 0;
  return lent(whole.text);
}

void parlor_moderation_comparable(const char *const *texts, size_t count, const char **comparable) {
  size_t filled = 0;
  for (size_t i = 0; i < count && i < PARLOR_MOST_TEXTS; i++) {
    const char *text = normalized(texts[i]);
    if (*text) comparable[filled++] = text;
  }
  while (filled < PARLOR_MOST_TEXTS) comparable[filled++] = NULL;
}

/* Whether a word is an address without a scheme, such as `example.org/x`, which many clients show as a link. Without the slash it may be
 * the name of a file. */
static bool is_bare_address(const char *word, const char *end) {
  const char *slash = memchr(word, '/', (size_t)(end - word)), *dot = slash;
  if (!slash) return false;
  while (dot > word && *dot != '.') dot--;
  if (*dot != '.') return false;
  unsigned code;
  size_t length = 0;
  for (const char *at = dot + 1; at < slash; length++) {
    at = character(at, &code);
    if (!is_letter(code)) return false;
  }
  bool is_empty = true;
  for (const char *at = word; at < dot;) {
    at = character(at, &code);
    if (code == '.' ? is_empty : code != '-' && !run_of(code)) return false;
    is_empty = code == '.';
  }
  return length >= 2 && !is_empty;
}

static bool is_link(const char *word, const char *end) {
  for (const char *at = word; end - at > 3; at++) {
    if (strncmp(at, "://", 3)) continue;
    char before = at > word ? at[-1] : ' ';
    if ((before >= '0' && before <= '9') || ((before | 0x20) >= 'a' && (before | 0x20) <= 'z')) return true;
    break;
  }
  unsigned code;
  for (const char *next; word < end; word = next) {
    next = character(word, &code);
    if (run_of(code)) break;
  }
  static const char *const names[] = {"www.", "xmpp:", "magnet:"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if ((size_t)(end - word) >= strlen(names[i]) && !strncasecmp(word, names[i], strlen(names[i]))) return true;
  }
  return is_bare_address(word, end);
}

bool parlor_moderation_has_link(const char *text) {
  unsigned code;
  const char *word = text, *next;
  for (const char *at = text; at; at = next) {
    next = *at ? character(at, &code) : NULL;
    if (next && !is_white(code)) continue;
    if (at > word && is_link(word, at)) return true;
    word = next;
  }
  return false;
}

static bool is_only_white(const char *text) {
  unsigned code = ' ';
  while (*text && is_white(code)) text = character(text, &code);
  return is_white(code);
}

/* Skips the ends of lines, and lines that begin with `>`. */
static const char *skip_quoted(const char *at, bool begins) {
  while (*at == '\n' || (begins && *at == '>')) {
    begins = *at == '\n';
    at += begins ? 1 : strcspn(at, "\n");
  }
  return at;
}

/* Returns whether two texts are the same apart from ends of lines and from lines that begin with `>`. */
static bool differ_in_quotations_alone(const char *one, const char *other) {
  for (bool begins = true;; begins = false, one++, other++) {
    one = skip_quoted(one, begins);
    other = skip_quoted(other, begins);
    if (*one != *other) return false;
    if (!*one) return true;
  }
}

parlor_said parlor_said_text(const char *text) {
  parlor_said said = {.has_link = parlor_moderation_has_link(text)};
  parlor_moderation_comparable(&text, 1, said.texts);
  return said;
}

parlor_said parlor_said_of(const parlor_message *message) {
  const char *body = message->body ? message->body : "";
  /* The quoted part of a reply counts only if there is no other text. Without a reply, or in lines that do not begin with `>`,
   * nothing is quoted: people with other clients see all of it. */
  bool replies = message->all->extensions.is_some && message->all->extensions.val.reply.is_some;
  const char *own = parlor_body_without_fallback(message, PARLOR_NS_REPLY);
  const char *texts[PARLOR_MOST_TEXTS] = {replies && !is_only_white(own) && differ_in_quotations_alone(own, body) ? own : body};
  size_t count = 1;
  parlor_said said = {.id = message->stanza_id, .is_command = message->command != NULL};
  said.has_link = (message->files && message->files->url) || parlor_moderation_has_link(body);
  for (size_t i = 0; i < message->all->bodies.len; i++) {
    plugin_string_t other = message->all->bodies.ptr[i].f1;
    const char *text = other.len ? (const char *)other.ptr : "";
    if (!strcmp(text, body)) continue;
    said.has_link = said.has_link || parlor_moderation_has_link(text);
    if (count < PARLOR_MOST_TEXTS) texts[count++] = text;
  }
  parlor_moderation_comparable(texts, count, said.texts);
  return said;
}

parlor_said parlor_said_unreadable(const parlor_undecryptable *message) {
  return (parlor_said){.id = message->stanza_id, .is_unreadable = true};
}

const char *parlor_moderation_nick(const char *nick) {
  bounded shown = {.most = MOST_OF_NICK};
  unsigned code;
  for (bool fits = true; *nick && fits;) {
    nick = character(nick, &code);
    bool is_control = code < 0x20 || (code >= 0x7F && code <= 0x9F);
    bool is_hiding = (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    if (!is_control && !is_hiding) fits = added(&shown, code);
  }
  shown.text[shown.length] = 0;
  return lent(shown.text);
}

/* ---- People ------------------------------------------------------------------------------------------------------------- */

static uint64_t turned(uint64_t value, unsigned by) {
  return value << by | value >> (64 - by);
}

static void mix(uint64_t state[4]) {
  state[0] += state[1], state[2] += state[3];
  state[1] = turned(state[1], 13) ^ state[0], state[3] = turned(state[3], 16) ^ state[2];
  state[0] = turned(state[0], 32) + state[3], state[2] += state[1];
  state[1] = turned(state[1], 17) ^ state[2], state[3] = turned(state[3], 21) ^ state[0];
  state[2] = turned(state[2], 32);
}

/* SipHash-1-3 with a key of zeros, which is what Rust has for this. Nobody can easily make two names with one hash. */
static uint64_t sip_hash(const char *name) {
  uint64_t state[4] = {0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573};
  /* A byte that is in no text ends it, as in Rust. */
  size_t length = strlen(name) + 1;
  for (size_t from = 0; from <= length; from += 8) {
    uint64_t word = from + 8 > length ? (uint64_t)(length & 0xFF) << 56 : 0;
    for (size_t at = from; at < from + 8 && at < length; at++) {
      uint64_t byte = at + 1 < length ? (unsigned char)name[at] : 0xFF;
      word |= byte << 8 * (at - from);
    }
    state[3] ^= word;
    mix(state);
    state[0] ^= word;
  }
  state[2] ^= 0xFF;
  for (int i = 0; i < 3; i++) mix(state);
  return state[0] ^ state[1] ^ state[2] ^ state[3];
}

const char *parlor_moderation_key(const parlor_occupant *occupant) {
  const char *name = occupant->nick;
  if (occupant->all && occupant->all->occupant_id.is_some) {
    plugin_string_t id = occupant->all->occupant_id.val;
    name = id.len ? (const char *)id.ptr : "";
  } else if (occupant->jid) {
    name = parlor_format("%.*s", (int)strcspn(occupant->jid, "/"), occupant->jid);
  }
  /* The name by which a person is remembered. One that is too long is replaced by its hash. */
  if (strlen(name) <= MOST_OF_KEY) return lent(name);
  return parlor_format("%.*s#%016llx", (int)cut(name, MOST_OF_NICK), name, (unsigned long long)sip_hash(name));
}

bool parlor_moderation_is_spared(const parlor_occupant *occupant) {
  static const char *const ranks[] = {PARLOR_AFFILIATION_MEMBER, PARLOR_AFFILIATION_ADMIN, PARLOR_AFFILIATION_OWNER};
  for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
    if (!strcmp(occupant->affiliation, ranks[i])) return true;
  }
  return occupant->own || !strcmp(occupant->role, PARLOR_ROLE_MODERATOR);
}

/* ---- The judge ---------------------------------------------------------------------------------------------------------- */

/* Somebody in a room. Times are in milliseconds, here and below. */
typedef struct person {
  char *key, *nick;
  /* Whether it is a moderator, a member or more. */
  bool is_spared;
  /* Whether it is known if it is a newcomer, which it is not after a restart; and if it is none. */
  bool is_known, is_settled;
  /* Whether it said something, and something that slow mode allowed. */
  bool has_spoken, has_allowed;
  /* When it said something for the first time, when something last that slow mode allowed, and when it was noticed last. */
  int64_t first, allowed, seen;
} person;

/* A message of somebody who is not spared. */
typedef struct remembered {
  char *id, *key, *nick;
  char *texts[PARLOR_MOST_TEXTS];
  bool is_unreadable;
  int64_t at;
} remembered;

/* A newcomer who entered. */
typedef struct joined {
  char *key;
  int64_t at;
  bool is_handled;
} joined;

typedef struct place {
  char *room;
  int64_t seen;
  size_t person_count, message_count, join_count;
  person people[MOST_PEOPLE];
  /* The oldest first, and so the joins. */
  remembered messages[PARLOR_MOST_MESSAGES];
  joined joins[MOST_JOINS];
} place;

/* The pause of a room in slow mode. */
typedef struct slowed {
  char *room;
  int64_t pause;
} slowed;

struct parlor_judge_rooms {
  size_t place_count, slow_count;
  place *places[MOST_ROOMS];
  slowed slow[MOST_SLOW];
};

/* Memory that is kept, all zeros. */
static void *zeroed(size_t size) {
  void *fresh = calloc(1, size);
  if (!fresh) abort();
  return fresh;
}

/* A copy that is kept. */
static char *copy_of(const char *text) {
  char *copy = text ? strdup(text) : NULL;
  if (text && !copy) abort();
  return copy;
}

/* Seconds in milliseconds. No time is so far away that differences would not fit. */
static int64_t thousandths(double seconds) {
  const double most = 4e15;
  double time = seconds * 1000;
  if (!(time > -most)) return time == time ? (int64_t)-most : 0;
  if (time > most) return (int64_t)most;
  return (int64_t)(time + (time < 0 ? -0.5 : 0.5));
}

parlor_rules parlor_rules_default(void) {
  return (parlor_rules){
      .joins = 8, .join_window = 30, .message_window = 10, .repeats = 3, .crowd_repeats = 6, .unreadable = 3, .repeat_window = 120,
      .newcomer = 600};
}

static bool is_over(size_t count, size_t most) {
  return most && count > most;
}

static void free_person(person *gone) {
  free(gone->key);
  free(gone->nick);
}

static void free_message(remembered *gone) {
  free(gone->id);
  free(gone->key);
  free(gone->nick);
  for (size_t i = 0; i < PARLOR_MOST_TEXTS; i++) free(gone->texts[i]);
}

static void free_place(place *gone) {
  for (size_t i = 0; i < gone->person_count; i++) free_person(&gone->people[i]);
  for (size_t i = 0; i < gone->message_count; i++) free_message(&gone->messages[i]);
  for (size_t i = 0; i < gone->join_count; i++) free(gone->joins[i].key);
  free(gone->room);
  free(gone);
}

static place *find_place(const parlor_judge *judge, const char *room) {
  for (size_t i = 0; judge->rooms && i < judge->rooms->place_count; i++) {
    if (!strcmp(judge->rooms->places[i]->room, room)) return judge->rooms->places[i];
  }
  return NULL;
}

static person *find_person(place *at, const char *key) {
  for (size_t i = 0; at && i < at->person_count; i++) {
    if (!strcmp(at->people[i].key, key)) return &at->people[i];
  }
  return NULL;
}

/* Whether the entry that was seen at this time comes before another one; of several, the first by its name, byte by byte. */
static bool is_before(int64_t seen, const char *name, int64_t other_seen, const char *other_name) {
  return seen < other_seen || (seen == other_seen && strcmp(name, other_name) < 0);
}

static struct parlor_judge_rooms *rooms_of(parlor_judge *judge) {
  if (!judge->rooms) judge->rooms = zeroed(sizeof *judge->rooms);
  return judge->rooms;
}

/* The room, which is remembered from now on. */
static place *known_place(parlor_judge *judge, const char *room, int64_t now) {
  struct parlor_judge_rooms *all = rooms_of(judge);
  place *at = find_place(judge, room);
  if (!at) {
    size_t into = all->place_count;
    if (into < MOST_ROOMS) {
      all->place_count++;
    } else {
      into = 0;
      for (size_t i = 1; i < MOST_ROOMS; i++) {
        place *one = all->places[i], *oldest = all->places[into];
        if (is_before(one->seen, one->room, oldest->seen, oldest->room)) into = i;
      }
      free_place(all->places[into]);
    }
    at = all->places[into] = zeroed(sizeof *at);
    at->room = copy_of(room);
  }
  at->seen = now;
  return at;
}

/* The person, who is remembered from now on. */
static person *known_person(place *at, const char *key, int64_t now) {
  person *one = find_person(at, key);
  if (!one) {
    if (at->person_count < MOST_PEOPLE) {
      one = &at->people[at->person_count++];
    } else {
      one = at->people;
      for (size_t i = 1; i < MOST_PEOPLE; i++) {
        if (is_before(at->people[i].seen, at->people[i].key, one->seen, one->key)) one = &at->people[i];
      }
      free_person(one);
    }
    *one = (person){.key = copy_of(key), .nick = copy_of("")};
  }
  one->seen = now;
  return one;
}

static bool has_text(const remembered *message, const char *text) {
  for (size_t i = 0; i < PARLOR_MOST_TEXTS && message->texts[i]; i++) {
    if (!strcmp(message->texts[i], text)) return true;
  }
  return false;
}

static bool is_long(const char *text) {
  unsigned code;
  size_t length = 0;
  for (; *text && length < SHORT_TEXT; length++) text = character(text, &code);
  return length >= SHORT_TEXT;
}

/* The messages of a room within a window are those from here on. */
static size_t first_recent(const place *at, double window, int64_t now) {
  size_t first = at->message_count;
  while (first && now - at->messages[first - 1].at < thousandths(window)) first--;
  return first;
}

/* Whether somebody sent too many messages, with this one. */
static bool is_flood(const place *at, const parlor_rules *rules, const char *key, int64_t now) {
  size_t count = 1;
  for (size_t i = first_recent(at, rules->message_window, now); i < at->message_count; i++) count += !strcmp(at->messages[i].key, key);
  return is_over(count, rules->messages);
}

/* Whether this was said too often, with this message. */
static bool is_repeated(const place *at, const parlor_rules *rules, const char *key, const parlor_said *said, int64_t now) {
  size_t first = first_recent(at, rules->repeat_window, now);
  for (size_t i = 0; i < PARLOR_MOST_TEXTS && said->texts[i]; i++) {
    size_t by_one = 1, by_all = 1;
    for (size_t j = first; j < at->message_count; j++) {
      if (!has_text(&at->messages[j], said->texts[i])) continue;
      by_all++;
      by_one += !strcmp(at->messages[j].key, key);
    }
    bool is_of_crowd = is_long(said->texts[i]), is_meant = is_of_crowd || !said->is_command;
    if (is_meant && (is_over(by_one, rules->repeats) || (is_of_crowd && is_over(by_all, rules->crowd_repeats)))) return true;
  }
  return false;
}

/* Whether somebody sent too many messages that cannot be read, with this one. */
static bool is_sealed_too_often(const place *at, const parlor_rules *rules, const char *key, const parlor_said *said, int64_t now) {
  if (!said->is_unreadable) return false;
  size_t count = 1;
  for (size_t i = first_recent(at, rules->repeat_window, now); i < at->message_count; i++) {
    count += at->messages[i].is_unreadable && !strcmp(at->messages[i].key, key);
  }
  return is_over(count, rules->unreadable);
}

static void remember(place *at, const char *key, const char *nick, const parlor_said *said, int64_t now) {
  if (at->message_count == PARLOR_MOST_MESSAGES) {
    free_message(at->messages);
    memmove(at->messages, at->messages + 1, sizeof(remembered) * --at->message_count);
  }
  remembered *fresh = &at->messages[at->message_count++];
  bool has_id = said->id && strlen(said->id) <= MOST_OF_ID;
  *fresh = (remembered){
      .id = copy_of(has_id ? said->id : NULL), .key = copy_of(key), .nick = copy_of(nick), .is_unreadable = said->is_unreadable, .at = now};
  for (size_t i = 0; i < PARLOR_MOST_TEXTS && said->texts[i]; i++) fresh->texts[i] = copy_of(said->texts[i]);
}

/* The pause of a room; NULL: it is not in slow mode. */
static slowed *slow_mode(const parlor_judge *judge, const char *room) {
  for (size_t i = 0; judge->rooms && i < judge->rooms->slow_count; i++) {
    if (!strcmp(judge->rooms->slow[i].room, room)) return &judge->rooms->slow[i];
  }
  return NULL;
}

parlor_verdict parlor_judge_hear(parlor_judge *judge, const parlor_rules *rules, const char *room, const char *key, const parlor_said *said, double now) {
  const parlor_rules usual = parlor_rules_default();
  if (!rules) rules = &usual;
  int64_t at = thousandths(now);
  const slowed *slow = slow_mode(judge, room);
  place *here = known_place(judge, room, at);
  bool repeats = is_repeated(here, rules, key, said, at), seals = is_sealed_too_often(here, rules, key, said, at);
  bool floods = is_flood(here, rules, key, at);
  person *author = known_person(here, key, at);
  bool was_settled = author->is_settled;
  if (!was_settled && !author->has_spoken) {
    author->has_spoken = true;
    author->first = at;
  }
  author->is_settled = was_settled || at - author->first >= thousandths(rules->newcomer);
  author->is_known = true;
  bool is_early = slow && author->has_allowed && at - author->allowed < slow->pause;
  if (!is_early) {
    author->has_allowed = true;
    author->allowed = at;
  }
  parlor_verdict verdict = {.has_settled = author->is_settled && !was_settled};
  if (is_early) {
    verdict.offence = PARLOR_OFFENCE_EARLY;
    verdict.pause = (double)slow->pause / 1000;
  } else if (said->has_link && !author->is_settled) {
    verdict.offence = PARLOR_OFFENCE_LINK;
  } else if (said->is_unreadable && !author->is_settled) {
    verdict.offence = PARLOR_OFFENCE_SEALED;
  } else if (seals) {
    verdict.offence = PARLOR_OFFENCE_UNREADABLE;
  } else if (repeats) {
    verdict.offence = PARLOR_OFFENCE_REPEAT;
  } else if (floods) {
    verdict.offence = PARLOR_OFFENCE_FLOOD;
  }
  remember(here, key, author->nick, said, at);
  return verdict;
}

/* Whether a join counts no more when somebody enters: its time is over, or it is their own. Somebody who comes again and
 * again is no flood. */
static bool is_past(const joined *one, const parlor_rules *rules, const char *key, int64_t now) {
  return now - one->at >= thousandths(rules->join_window) || !strcmp(one->key, key);
}

size_t parlor_judge_join(parlor_judge *judge, const parlor_rules *rules, const char *room, const char *key, double now, const char ***keys) {
  const parlor_rules usual = parlor_rules_default();
  if (!rules) rules = &usual;
  int64_t at = thousandths(now);
  place *here = known_place(judge, room, at);
  size_t left = 0;
  for (size_t i = 0; i < here->join_count; i++) {
    if (is_past(&here->joins[i], rules, key, at)) free(here->joins[i].key);
    else here->joins[left++] = here->joins[i];
  }
  if (left == MOST_JOINS) {
    free(here->joins->key);
    memmove(here->joins, here->joins + 1, sizeof(joined) * --left);
  }
  here->joins[left++] = (joined){.key = copy_of(key), .at = at};
  here->join_count = left;
  *keys = parlor_memory(sizeof **keys * left);
  size_t count = 0;
  for (size_t i = 0; is_over(left, rules->joins) && i < left; i++) {
    if (here->joins[i].is_handled) continue;
    here->joins[i].is_handled = true;
    (*keys)[count++] = lent(here->joins[i].key);
  }
  return count;
}

void parlor_judge_meet(parlor_judge *judge, const char *room, const char *key, const char *nick, bool is_spared, double now) {
  int64_t at = thousandths(now);
  person *one = known_person(known_place(judge, room, at), key, at);
  char *copy = copy_of(nick);
  free(one->nick);
  one->nick = copy;
  one->is_spared = is_spared;
}

const char *parlor_judge_absent(const parlor_judge *judge, const char *room, const char *nick, bool *is_spared) {
  const place *at = find_place(judge, room);
  const person *found = NULL;
  for (size_t i = 0; at && i < at->person_count; i++) {
    const person *one = &at->people[i];
    if (!strcmp(one->nick, nick) && (!found || is_before(found->seen, found->key, one->seen, one->key))) found = one;
  }
  if (!found) return NULL;
  if (is_spared) *is_spared = found->is_spared;
  return lent(found->key);
}

bool parlor_judge_is_settled(const parlor_judge *judge, const char *room, const char *key, bool *is_settled) {
  const person *one = find_person(find_place(judge, room), key);
  if (!one || !one->is_known) return false;
  *is_settled = one->is_settled;
  return true;
}

void parlor_judge_settle(parlor_judge *judge, const char *room, const char *key, bool is_settled, double now) {
  int64_t at = thousandths(now);
  person *one = known_person(known_place(judge, room, at), key, at);
  one->is_settled = is_settled;
  one->is_known = true;
}

const char *parlor_judge_author(const parlor_judge *judge, const char *room, const char *nick) {
  const place *at = find_place(judge, room);
  for (size_t i = at ? at->message_count : 0; i; i--) {
    if (!strcmp(at->messages[i - 1].nick, nick)) return lent(at->messages[i - 1].key);
  }
  return NULL;
}

size_t parlor_judge_messages(const parlor_judge *judge, const char *room, const char *key, size_t most, const char ***ids) {
  const place *at = find_place(judge, room);
  size_t count = 0, all = at ? at->message_count : 0;
  *ids = parlor_memory(sizeof **ids * all);
  for (size_t i = all; i && count < most; i--) {
    const remembered *one = &at->messages[i - 1];
    if (one->id && !strcmp(one->key, key)) (*ids)[count++] = lent(one->id);
  }
  return count;
}

void parlor_judge_retracted(parlor_judge *judge, const char *room, const char *id) {
  place *at = find_place(judge, room);
  for (size_t i = 0; at && i < at->message_count; i++) {
    char *known = at->messages[i].id;
    if (!known || strcmp(known, id)) continue;
    at->messages[i].id = NULL;
    free(known);
  }
}

bool parlor_judge_slow_down(parlor_judge *judge, const char *room, double pause) {
  slowed *slow = slow_mode(judge, room);
  if (pause < 0) {
    if (!slow) return true;
    free(slow->room);
    *slow = judge->rooms->slow[--judge->rooms->slow_count];
    return true;
  }
  struct parlor_judge_rooms *all = rooms_of(judge);
  if (!slow && all->slow_count == MOST_SLOW) return false;
  if (!slow) {
    slow = &all->slow[all->slow_count++];
    slow->room = copy_of(room);
  }
  slow->pause = thousandths(pause);
  return true;
}

void parlor_judge_leave(parlor_judge *judge, const char *room) {
  for (size_t i = 0; judge->rooms && i < judge->rooms->place_count; i++) {
    place *gone = judge->rooms->places[i];
    if (strcmp(gone->room, room)) continue;
    judge->rooms->places[i] = judge->rooms->places[--judge->rooms->place_count];
    free_place(gone);
    return;
  }
}

void parlor_judge_clear(parlor_judge *judge) {
  struct parlor_judge_rooms *all = judge->rooms;
  judge->rooms = NULL;
  if (!all) return;
  for (size_t i = 0; i < all->place_count; i++) free_place(all->places[i]);
  for (size_t i = 0; i < all->slow_count; i++) free(all->slow[i].room);
  free(all);
}
