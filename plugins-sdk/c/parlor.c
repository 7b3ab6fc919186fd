/* Implements `parlor.h` on the generated bindings. */

/* Its own calls are not the author's. */
#define PARLOR_INSIDE
#include "parlor.h"

#include "characters.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wctype.h>

/* ---- Memory of one handler --------------------------------------------------------------------------------------------- */

typedef struct block {
  struct block *next;
  /* The newer, the larger. */
  uint64_t number;
  /* As much as any type may want. */
  _Alignas(16) unsigned char data[];
} block;

/* The newest first. */
static block *blocks;
static uint64_t taken;

/* The details of the last call that failed: its texts are such memory. */
static parlor_failure failure;

/* The call that was made last. The macros of `parlor.h` write down what it is and where. */
struct parlor_call parlor_called;

/* The generated function that was called last, and whom or what it was about: a text of its caller's, which may be gone later. */
static struct {
  const char *name;
  const uint8_t *about;
  size_t length;
} noted;

void parlor_note(const char *name, const uint8_t *about, size_t length) {
  noted.name = name;
  noted.about = about;
  noted.length = length;
}

static void *take(size_t size) {
  /* One more, which is zero: so every text that the host hands over ends as C wants it. */
  block *fresh = malloc(sizeof(block) + size + 1);
  if (!fresh) abort();
  fresh->next = blocks;
  fresh->number = ++taken;
  fresh->data[size] = 0;
  blocks = fresh;
  return fresh->data;
}

static void forget_all(void) {
  while (blocks) {
    block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
  /* Its texts were among them. */
  failure = (parlor_failure){0};
}

static bool is_of_failure(const void *text) {
  const void *const texts[] = {failure.text, failure.permission, failure.scope, failure.hint, failure.argument, failure.name, failure.condition, failure.kind, failure.xml, failure.where};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (texts[i] == text) return true;
  }
  return false;
}

uint64_t parlor_mark(void) {
  return taken;
}

void parlor_forget(uint64_t mark) {
  for (block **at = &blocks; *at && (*at)->number > mark;) {
    block *one = *at;
    if (is_of_failure(one->data)) {
      /* A handler may forget first and then return the error for the log. The next `parlor_forget` checks it again. */
      one->number = UINT64_MAX;
      at = &one->next;
    } else {
      *at = one->next;
      free(one);
    }
  }
}

/* Frees one block. */
static void forget_one(uint64_t number) {
  for (block **at = &blocks; *at && (*at)->number >= number; at = &(*at)->next) {
    block *one = *at;
    if (one->number != number) continue;
    *at = one->next;
    free(one);
    return;
  }
}

/* The host asks for all its memory by this name; the one of the bindings gives way to it. */
__attribute__((__export_name__("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align;
  void *fresh = take(size);
  if (old && old_size) memcpy(fresh, old, old_size < size ? old_size : size);
  return fresh;
}

void *parlor_memory(size_t size) {
  void *fresh = take(size);
  memset(fresh, 0, size);
  return fresh;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------------- */

/* The small letter; of the two small sigmas, which a capital one may be, always the same. */
static unsigned small(unsigned code) {
  return code == 0x3C2 ? 0x3C3 : (unsigned)towlower((wint_t)code);
}

/* Whether a text of this length is another one, but for capitals. */
static bool is_same(const char *text, size_t length, const char *other) {
  const char *end = text + length;
  while (text < end && *other) {
    unsigned one, two;
    text = character(text, &one);
    other = character(other, &two);
    if (small(one) != small(two)) return false;
  }
  return text >= end && !*other;
}

/* The host ends a plugin whose texts are no UTF-8, and whoever cuts a text may cut a character. */
plugin_string_t parlor_text(const char *text) {
  size_t replaced = 0;
  unsigned code;
  const char *end = text;
  for (const char *at = text; at && *at; at = end) {
    end = character(at, &code);
    replaced += code == REPLACEMENT && strncmp(at, "\xEF\xBF\xBD", 3);
  }
  if (!replaced) return (plugin_string_t){(uint8_t *)text, (size_t)(end - text)};
  char *whole = take((size_t)(end - text) + 3 * replaced), *last = whole;
  for (const char *at = text; *at;) {
    at = character(at, &code);
    last = utf8(last, code);
  }
  return (plugin_string_t){(uint8_t *)whole, (size_t)(last - whole)};
}

static const char *some(plugin_string_t text) {
  return text.len ? (const char *)text.ptr : "";
}

static const char *maybe(plugin_option_string_t text) {
  return text.is_some ? some(text.val) : NULL;
}

static const char *formatted(const char *format, va_list values) {
  va_list again;
  va_copy(again, values);
  int size = vsnprintf(NULL, 0, format, values);
  if (size < 0) size = 0;
  char *text = take((size_t)size);
  vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  return text;
}

#define FORMATTED(into)            \
  va_list values;                  \
  va_start(values, format);        \
  into = formatted(format, values); \
  va_end(values)

const char *parlor_format(const char *format, ...) {
  FORMATTED(const char *text);
  return text;
}

time_t parlor_time(const char *at) {
  struct tm read = {0};
  const char *end = at ? strptime(at, "%Y-%m-%dT%H:%M:%S", &read) : NULL;
  if (!end) return -1;
  if (*end == '.') end += 1 + strspn(end + 1, "0123456789");
  return strcmp(end, "Z") ? -1 : timegm(&read);
}

const char *parlor_time_text(time_t at) {
  struct tm utc;
  if (at == -1 || !gmtime_r(&at, &utc)) return NULL;
  return parlor_format("%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static bool is_space(char sign) {
  return sign == ' ' || (sign >= '\t' && sign <= '\r');
}

/* How a character is written inside of XML; NULL = as it is. */
static const char *escaped(const unsigned char *text) {
  switch (*text) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&apos;";
    /* Unescaped, a parser makes a space or a line feed of these. */
    case '\t': return "&#9;";
    case '\n': return "&#10;";
    case '\r': return "&#13;";
    default: return *text < 0x20 ? "\xEF\xBF\xBD" : NULL;
  }
}

const char *parlor_escape(const char *text) {
  if (!text) text = "";
  /* No character becomes more than six. */
  char *whole = take(strlen(text) * 6), *end = whole;
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    const char *name = escaped(at);
    if (name) {
      end = stpcpy(end, name);
    } else if (at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE) {
      /* U+FFFE and U+FFFF are no characters of XML. */
      end = stpcpy(end, "\xEF\xBF\xBD");
      at += 2;
    } else {
      *end++ = (char)*at;
    }
  }
  *end = 0;
  return whole;
}

struct parlor_xml_name {
  const char *name;
  struct parlor_xml_name *around;
};

static void append(parlor_xml *xml, const char *text) {
  size_t size = strlen(text);
  if (xml->length + size >= xml->room) {
    xml->room = 2 * (xml->length + size) + 64;
    char *larger = take(xml->room);
    if (xml->length) memcpy(larger, xml->text, xml->length);
    xml->text = larger;
  }
  memcpy(xml->text + xml->length, text, size + 1);
  xml->length += size;
}

static void end_tag(parlor_xml *xml) {
  if (xml->in_tag) append(xml, ">");
  xml->in_tag = false;
}

void parlor_xml_open(parlor_xml *xml, const char *name) {
  struct parlor_xml_name *open = take(sizeof *open);
  *open = (struct parlor_xml_name){name, xml->open};
  xml->open = open;
  end_tag(xml);
  append(xml, "<");
  append(xml, name);
  xml->in_tag = true;
}

void parlor_xml_attribute(parlor_xml *xml, const char *name, const char *value) {
  if (!xml->in_tag || !value) return;
  append(xml, parlor_format(" %s='%s'", name, parlor_escape(value)));
}

void parlor_xml_text(parlor_xml *xml, const char *text) {
  if (!text) return;
  end_tag(xml);
  append(xml, parlor_escape(text));
}

void parlor_xml_close(parlor_xml *xml) {
  if (!xml->open) return;
  append(xml, xml->in_tag ? "/>" : parlor_format("</%s>", xml->open->name));
  xml->in_tag = false;
  xml->open = xml->open->around;
}

const char *parlor_xml_end(parlor_xml *xml) {
  while (xml->open) parlor_xml_close(xml);
  return xml->text ? xml->text : "";
}

static const char *copied(const char *text, size_t size) {
  char *copy = take(size);
  memcpy(copy, text, size);
  return copy;
}

/* Nothing that is read is longer than what it was read from, but half of a reference. */
static const char *unescaped(const char *text, size_t size) {
  static const char *const names[] = {"lt;", "gt;", "amp;", "quot;", "apos;"};
  char *whole = take(2 * size), *end = whole;
  for (const char *at = text; at < text + size;) {
    if (*at != '&') {
      *end++ = *at++;
      continue;
    }
    at++;
    if (*at == '#') {
      bool is_hex = at[1] == 'x';
      char *behind;
      unsigned long code = strtoul(at + 1 + is_hex, &behind, is_hex ? 16 : 10);
      bool is_none = !code || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000);
      end = utf8(end, is_none ? REPLACEMENT : (unsigned)code);
      at = *behind == ';' ? behind + 1 : behind;
      continue;
    }
    size_t known = 0;
    while (known < 5 && strncmp(at, names[known], strlen(names[known]))) known++;
    *end++ = "<>&\"'&"[known];
    if (known < 5) at += strlen(names[known]);
  }
  *end = 0;
  return whole;
}

static const char *past_spaces(const char *text) {
  while (is_space(*text)) text++;
  return text;
}

static const char *past_name(const char *text) {
  while (*text && !is_space(*text) && !strchr("/>=", *text)) text++;
  return text;
}

/* Reads the attributes of a tag, and returns where they end; NULL = it is no tag. */
static const char *attributes(const char *at, parlor_element *element) {
  const parlor_attribute **last = &element->attributes;
  for (at = past_spaces(at); *at != '/' && *at != '>'; at = past_spaces(at + 1)) {
    parlor_attribute *fresh = parlor_memory(sizeof *fresh);
    const char *end = past_name(at);
    fresh->name = copied(at, (size_t)(end - at));
    end = past_spaces(end);
    if (*end != '=') return NULL;
    const char *value = past_spaces(end + 1);
    if (*value != '"' && *value != '\'') return NULL;
    at = strchr(value + 1, *value);
    if (!at) return NULL;
    fresh->value = unescaped(value + 1, (size_t)(at - value - 1));
    if (!strcmp(fresh->name, "xmlns")) element->xmlns = fresh->value;
    *last = fresh;
    last = &fresh->next;
  }
  return at;
}

/* Deeper than the host lets anything in. */
#define DEEPEST 200

static parlor_element *element(const char **from, const char *xmlns, int depth) {
  const char *name = *from + 1, *at = past_name(name);
  if (**from != '<' || at == name || depth > DEEPEST) return NULL;
  parlor_element *read = parlor_memory(sizeof *read);
  *read = (parlor_element){.name = copied(name, (size_t)(at - name)), .xmlns = xmlns, .text = ""};
  at = attributes(at, read);
  if (!at) return NULL;
  if (*at == '/') {
    *from = at + 2;
    return at[1] == '>' ? read : NULL;
  }
  const parlor_element **last = &read->inside;
  parlor_xml text = {0};
  for (at++;;) {
    const char *end = strchr(at, '<');
    if (!end) return NULL;
    if (end > at) append(&text, unescaped(at, (size_t)(end - at)));
    at = end;
    if (at[1] == '/') break;
    parlor_element *inside = element(&at, read->xmlns, depth + 1);
    if (!inside) return NULL;
    *last = inside;
    last = &inside->next;
  }
  if (text.text) read->text = text.text;
  name = at + 2;
  at = past_name(name);
  if ((size_t)(at - name) != strlen(read->name) || strncmp(name, read->name, (size_t)(at - name))) return NULL;
  at = past_spaces(at);
  *from = at + 1;
  return *at == '>' ? read : NULL;
}

const parlor_element *parlor_xml_read(const char *xml) {
  const char *at = past_spaces(xml ? xml : "");
  const parlor_element *read = element(&at, NULL, 0);
  return read && !*past_spaces(at) ? read : NULL;
}

const parlor_element *parlor_xml_find(const parlor_element *element, const char *name, const char *xmlns) {
  const parlor_element *at = element ? element->inside : NULL;
  while (at && (strcmp(at->name, name) || (xmlns && (!at->xmlns || strcmp(at->xmlns, xmlns))))) at = at->next;
  return at;
}

const char *parlor_xml_value(const parlor_element *element, const char *name) {
  const parlor_attribute *at = element ? element->attributes : NULL;
  while (at && strcmp(at->name, name)) at = at->next;
  return at ? at->value : NULL;
}

const char *parlor_quote(const char *text) {
  if (!text) return "null";
  char *quoted = take(strlen(text) * 6 + 2), *end = quoted;
  *end++ = '"';
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') {
      *end++ = '\\';
      *end++ = *text;
    } else if ((unsigned char)*text < 0x20) {
      end += snprintf(end, 7, "\\u%04x", (unsigned)*text);
    } else {
      *end++ = *text;
    }
  }
  *end++ = '"';
  *end = 0;
  return quoted;
}

static bool hex4(const char *digits, unsigned *code) {
  *code = 0;
  for (int i = 0; i < 4; i++) {
    char digit = digits[i];
    unsigned value = digit >= '0' && digit <= '9' ? (unsigned)(digit - '0') : digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a' + 10) : digit >= 'A' && digit <= 'F' ? (unsigned)(digit - 'A' + 10) : 16;
    if (value == 16) return false;
    *code = *code * 16 + value;
  }
  return true;
}

const char *parlor_unquote(const char *json) {
  static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  if (!json || *json++ != '"') return NULL;
  char *text = take(strlen(json)), *end = text;
  for (; *json != '"'; json++) {
    if (!*json) return NULL;
    if (*json != '\\') {
      *end++ = *json;
      continue;
    }
    const char *known = *++json ? strchr(escapes, *json) : NULL;
    unsigned code, low;
    if (known) {
      *end++ = meant[known - escapes];
    } else if (*json == 'u' && hex4(json + 1, &code)) {
      json += 4;
      if (code >= 0xD800 && code < 0xDC00 && json[1] == '\\' && json[2] == 'u' && hex4(json + 3, &low) && low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        json += 6;
      }
      /* Half of a pair is no character, and NUL would end the text. */
      end = utf8(end, (code >= 0xD800 && code < 0xE000) || !code ? 0xFFFD : code);
    } else {
      return NULL;
    }
  }
  *end = 0;
  return text;
}

const char *parlor_json_text(const char *json, const char *otherwise) {
  const char *text = parlor_unquote(json);
  return text ? text : otherwise;
}

double parlor_json_number(const char *json, double otherwise) {
  char *end = NULL;
  double number = json ? strtod(json, &end) : otherwise;
  return json && end != json ? number : otherwise;
}

bool parlor_json_flag(const char *json, bool otherwise) {
  return json && !strcmp(json, "true") ? true : json && !strcmp(json, "false") ? false : otherwise;
}

/* ---- Errors ------------------------------------------------------------------------------------------------------------ */

const parlor_failure *parlor_failed(void) {
  return &failure;
}

/* Has the last failure say which call it was, whom or what it was about, and where. */
static void in_call(const char *call, const char *about) {
  failure.call = call;
  failure.place = parlor_called.place;
  if (!failure.place) return;
  /* As the author calls the file. */
  if (!strncmp(failure.place, "./", 2)) failure.place += 2;
  failure.where = parlor_format(
      "%s%s%s%sat %s", failure.call ? failure.call : "", failure.call ? " " : "", about ? parlor_quote(about) : "",
      about ? " " : "", failure.place);
}

/* Returns the subject of the last generated function. An address has no query there, which may hold a secret of the plugin, and no
 * fragment, which is the key of an encrypted file. */
static const char *named_about(void) {
  if (!noted.length) return NULL;
  const char *about = copied((const char *)noted.about, noted.length);
  return strstr(about, "://") ? copied(about, strcspn(about, "?#")) : about;
}

/* The text for the log. */
static const char *logged(void) {
  return failure.where ? parlor_format("%s (%s)", failure.text, failure.where) : failure.text;
}

parlor_error parlor_fail(const char *format, ...) {
  failure = (parlor_failure){.error = PARLOR_OTHER};
  FORMATTED(failure.text);
  in_call(NULL, NULL);
  return PARLOR_OTHER;
}

parlor_error parlor_done(bool done, const parlor_plugin_types_error_t *error) {
  if (done) return PARLOR_OK;
  failure = (parlor_failure){.error = (parlor_error)(error->tag + 1)};
  switch (error->tag) {
    case PARLOR_PLUGIN_TYPES_ERROR_DENIED:
      failure.permission = some(error->val.denied.permission);
      failure.scope = maybe(error->val.denied.scope);
      failure.hint = some(error->val.denied.hint);
      failure.text = parlor_format("not granted: %s%s%s", failure.permission, failure.scope ? " for " : "", failure.scope ? failure.scope : "");
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_INVALID:
      failure.argument = some(error->val.invalid.name);
      failure.reason = some(error->val.invalid.reason);
      failure.text = parlor_format("invalid %s: %s", failure.argument, failure.reason);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_STANZA:
      failure.condition = some(error->val.stanza.condition);
      failure.kind = some(error->val.stanza.kind);
      failure.xml = some(error->val.stanza.xml);
      failure.temporary = !strcmp(failure.kind, "wait");
      failure.text = error->val.stanza.text.is_some ? parlor_format("%s: %s", failure.condition, some(error->val.stanza.text.val)) : failure.condition;
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_NOT_FOUND:
      failure.name = some(error->val.not_found);
      failure.text = parlor_format("not found: %s", failure.name);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_NOT_READY:
      failure.name = some(error->val.not_ready);
      failure.temporary = true;
      failure.text = parlor_format("too early: %s has not come yet", failure.name);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_UNSUPPORTED:
      failure.reason = some(error->val.unsupported);
      failure.text = parlor_format("unsupported: %s", failure.reason);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_REJECTED:
      failure.reason = some(error->val.rejected);
      failure.text = parlor_format("rejected: %s", failure.reason);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_TIMED_OUT:
      failure.text = "no answer came in time";
      failure.temporary = true;
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_OFFLINE:
      failure.text = "there is no connection to the server";
      failure.temporary = true;
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_STOPPED:
      failure.text = "what the call waited for has ended";
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_OVER_LIMIT:
      failure.text = parlor_format("over a limit: %s", some(error->val.over_limit));
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_UNREACHABLE:
      failure.text = some(error->val.unreachable);
      failure.temporary = true;
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_TLS:
      failure.text = some(error->val.tls);
      break;
    case PARLOR_PLUGIN_TYPES_ERROR_PROTOCOL:
      failure.text = some(error->val.protocol);
      break;
    default:
      failure.error = PARLOR_OTHER;
      failure.text = some(error->val.other);
  }
  /* An author's own call of a generated function has no other name. */
  in_call(parlor_called.name ? parlor_called.name : noted.name, named_about());
  return failure.error;
}

_Static_assert(PARLOR_PLUGIN_TYPES_ERROR_DENIED + 1 == PARLOR_DENIED, "the contract's order");
_Static_assert(PARLOR_PLUGIN_TYPES_ERROR_STANZA + 1 == PARLOR_STANZA, "the contract's order");
_Static_assert(PARLOR_PLUGIN_TYPES_ERROR_OTHER + 1 == PARLOR_OTHER, "the contract's order");

/* ---- Log --------------------------------------------------------------------------------------------------------------- */

void parlor_log(parlor_level level, const char *format, ...) {
  FORMATTED(const char *text);
  plugin_string_t line = parlor_text(text);
  parlor_plugin_log_write((parlor_plugin_log_level_t)level, &line);
}

/* ---- Events ------------------------------------------------------------------------------------------------------------ */

typedef struct listener {
  struct listener *next;
  uint64_t number;
  parlor_handler *handler;
  void *context;
  /* Of a command, its name; else NULL. */
  char *command;
  bool once, timer;
} listener;

static listener *listeners;

static void listen(uint64_t number, parlor_handler *handler, void *context, bool once, bool timer, const char *command) {
  listener *fresh = malloc(sizeof(listener));
  if (!fresh) abort();
  *fresh = (listener){NULL, number, handler, context, command ? strdup(command) : NULL, once, timer};
  /* In the order in which they were added. */
  listener **last = &listeners;
  while (*last) last = &(*last)->next;
  *last = fresh;
}

static void unlisten(listener *gone) {
  for (listener **at = &listeners; *at; at = &(*at)->next) {
    if (*at == gone) {
      *at = gone->next;
      free(gone->command);
      free(gone);
      return;
    }
  }
}

static plugin_option_string_t option(const char *text) {
  return (plugin_option_string_t){text != NULL, parlor_text(text)};
}

static parlor_error subscribe(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context, bool once) {
  plugin_string_t event = parlor_text(name);
  parlor_plugin_listen_filter_t wanted = {0};
  if (filter) {
    wanted = (parlor_plugin_listen_filter_t){
        {filter->from != NULL, parlor_text(filter->from)}, {filter->room != NULL, parlor_text(filter->room)}, option(filter->kind),
        option(filter->prefix), option(filter->webhook), filter->own, filter->delayed, filter->xml, option(filter->schedule)};
  }
  uint64_t number;
  parlor_plugin_types_error_t error;
  bool done = (once ? parlor_plugin_listen_once : parlor_plugin_listen_on)(&event, filter ? &wanted : NULL, &number, &error);
  if (done) listen(number, handler, context, once, false, NULL);
  return parlor_done(done, &error);
}

parlor_error parlor_on(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context) {
  return subscribe(name, filter, handler, context, false);
}

parlor_error parlor_once(const char *name, const parlor_filter *filter, parlor_handler *handler, void *context) {
  return subscribe(name, filter, handler, context, true);
}

parlor_error parlor_on_mention(parlor_handler *handler, void *context) {
  return parlor_on("messageNotification", &(parlor_filter){.kind = "groupchat"}, handler, context);
}

/* A handler that waits for the account to be there; `called` once it was. */
typedef struct waiting {
  parlor_handler *handler;
  void *context;
  bool called;
} waiting;

static parlor_error ready(const parlor_event *event, void *context) {
  waiting *one = context;
  if (one->called) return PARLOR_OK;
  one->called = true;
  return one->handler(event, one->context);
}

/* If the event has come already, it does not come again. No other handler runs while this one waits. */
static parlor_error ready_already(const parlor_event *event, void *context) {
  /* A plugin that starts during a cut is called when the connection is back. */
  if (!parlor_plugin_connection_connected()) return parlor_once("reconnected", NULL, ready_already, context);
  return parlor_wait_until("initialized", NULL) == PARLOR_OK ? ready(event, context) : PARLOR_OK;
}

parlor_error parlor_on_ready(parlor_handler *handler, void *context) {
  waiting *one = malloc(sizeof *one);
  if (!one) abort();
  *one = (waiting){handler, context, false};
  parlor_error error = parlor_once("initialized", NULL, ready, one);
  if (error) return error;
  return parlor_after(0, ready_already, one);
}

static bool is_with(const listener *at, parlor_handler *handler, const void *context) {
  if (at->handler != ready && at->handler != ready_already) return at->handler == handler && at->context == context;
  const waiting *one = at->context;
  return one->handler == handler && one->context == context;
}

parlor_error parlor_off(parlor_handler *handler, void *context) {
  parlor_error result = PARLOR_OK;
  for (listener *at = listeners, *next; at; at = next) {
    next = at->next;
    if (!is_with(at, handler, context)) continue;
    parlor_plugin_types_error_t error;
    bool done = at->timer ? parlor_plugin_timers_cancel(at->number, &error) : parlor_plugin_listen_not(at->number, &error);
    /* A subscription for one event may have ended by itself, with that event still on its way. */
    if (!done && error.tag != PARLOR_PLUGIN_TYPES_ERROR_NOT_FOUND) result = parlor_done(done, &error);
    if (at->command) {
      plugin_string_t name = parlor_text(at->command);
      done = parlor_plugin_commands_remove(&name, &error);
      if (!done) result = parlor_done(done, &error);
    }
    unlisten(at);
  }
  return result;
}

/* Asks the host for a command. */
typedef bool asking(void *wanted, parlor_plugin_types_error_t *error);

static parlor_error add_command(const char *name, asking *ask, void *wanted, parlor_handler *handler, void *context) {
  plugin_string_t event = parlor_text("command");
  uint64_t number;
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_listen_on(&event, NULL, &number, &error)) return parlor_done(false, &error);
  if (!ask(wanted, &error)) {
    parlor_error failed = parlor_done(false, &error);
    parlor_plugin_listen_not(number, &error);
    return failed;
  }
  /* The host says it without the plugin's id. */
  const char *dot = strrchr(name, '.');
  const char *own = dot ? dot + 1 : name;
  /* A command that is added again replaces the older one: the older handler ends. */
  for (listener *at = listeners, *next; at; at = next) {
    next = at->next;
    if (!at->command || !is_same(own, strlen(own), at->command)) continue;
    parlor_plugin_listen_not(at->number, &error);
    unlisten(at);
  }
  listen(number, handler, context, false, false, own);
  return PARLOR_OK;
}

static bool ask_to_add(void *wanted, parlor_plugin_types_error_t *error) {
  plugin_string_t *texts = wanted;
  return parlor_plugin_commands_add(&texts[0], &texts[1], &texts[2], error);
}

parlor_error parlor_commands_add(const char *name, const char *help, const char *usage, parlor_handler *handler, void *context) {
  plugin_string_t texts[] = {parlor_text(name), parlor_text(help), parlor_text(usage ? usage : "")};
  return add_command(name, ask_to_add, texts, handler, context);
}

/* Whole ones, rounded up: nothing comes too early. */
static uint64_t milliseconds(double seconds) {
  double exact = seconds * 1000;
  if (!(exact > 0)) return 0;
  if (exact >= 0x1p63) return UINT64_MAX;
  uint64_t whole = (uint64_t)exact;
  /* The error of a sum of times is not worth another one. */
  return exact - (double)whole > 1e-6 ? whole + 1 : whole;
}

static bool ask_to_declare(void *wanted, parlor_plugin_types_error_t *error) {
  return parlor_plugin_commands_declare(wanted, error);
}

/* Notes an invalid argument, and returns PARLOR_INVALID. */
static parlor_error invalid(const char *argument, const char *reason) {
  failure = (parlor_failure){.error = PARLOR_INVALID, .argument = argument, .reason = reason};
  failure.text = parlor_format("invalid %s: %s", argument, reason);
  in_call(parlor_called.name, NULL);
  return PARLOR_INVALID;
}

static plugin_list_string_t list_of(const char *const *texts) {
  size_t count = 0;
  while (texts && texts[count]) count++;
  plugin_string_t *list = parlor_memory((count + 1) * sizeof *list);
  for (size_t at = 0; at < count; at++) list[at] = parlor_text(texts[at]);
  return (plugin_list_string_t){list, count};
}

/* The kinds of the contract are in the same order. */
_Static_assert(PARLOR_PLUGIN_COMMANDS_KIND_TEXT == PARLOR_ARGUMENT_TEXT, "the contract's order");
_Static_assert(PARLOR_PLUGIN_COMMANDS_KIND_JID == PARLOR_ARGUMENT_JID, "the contract's order");
_Static_assert(PARLOR_PLUGIN_COMMANDS_KIND_REST == PARLOR_ARGUMENT_REST, "the contract's order");
_Static_assert(PARLOR_PLUGIN_COMMANDS_PEOPLE_CONTACTS + 1 == PARLOR_PEOPLE_CONTACTS, "the contract's order");
_Static_assert(PARLOR_PLUGIN_COMMANDS_PEOPLE_JID + 1 == PARLOR_PEOPLE_JID, "the contract's order");
_Static_assert(PARLOR_PLUGIN_COMMANDS_PEOPLE_OWNERS + 1 == PARLOR_PEOPLE_OWNERS, "the contract's order");

static parlor_plugin_commands_argument_t argument_of(const parlor_argument *one) {
  bool is_flag = one->kind == PARLOR_ARGUMENT_FLAG;
  parlor_plugin_commands_argument_t argument = {
      .name = parlor_text(one->name), .optional = one->optional || one->otherwise || is_flag, .default_ = option(one->otherwise),
      .named = one->named || is_flag, .help = parlor_text(one->help ? one->help : ""), .page = option(one->page)};
  argument.kind.tag = (uint8_t)one->kind;
  if (one->kind == PARLOR_ARGUMENT_INTEGER) {
    bool is_any = one->least == 0 && one->most == 0;
    argument.kind.val.integer.f0 = is_any ? INT64_MIN : one->least;
    argument.kind.val.integer.f1 = is_any ? INT64_MAX : one->most;
  }
  if (one->kind == PARLOR_ARGUMENT_NUMBER) {
    bool is_any = one->lowest == 0 && one->highest == 0;
    argument.kind.val.number.f0 = is_any ? -DBL_MAX : one->lowest;
    argument.kind.val.number.f1 = is_any ? DBL_MAX : one->highest;
  }
  if (one->kind == PARLOR_ARGUMENT_CHOICE) argument.kind.val.choice = list_of(one->choices);
  return argument;
}

/* The reason why the bounds of an argument are not those of its kind; NULL: they are. They would do nothing. */
static const char *wrong_bounds(const parlor_argument *one) {
  if ((one->least || one->most) && one->kind != PARLOR_ARGUMENT_INTEGER)
    return "`least` and `most` are for PARLOR_ARGUMENT_INTEGER; PARLOR_ARGUMENT_NUMBER has `lowest` and `highest`";
  if ((one->lowest != 0 || one->highest != 0) && one->kind != PARLOR_ARGUMENT_NUMBER)
    return "`lowest` and `highest` are for PARLOR_ARGUMENT_NUMBER; PARLOR_ARGUMENT_INTEGER has `least` and `most`";
  return NULL;
}

static parlor_plugin_commands_people_t people_of(const parlor_people *one) {
  parlor_plugin_commands_people_t people = {.tag = (uint8_t)(one->kind - 1)};
  plugin_string_t name = parlor_text(one->name ? one->name : "");
  if (one->kind == PARLOR_PEOPLE_GROUP) people.val.group = name;
  if (one->kind == PARLOR_PEOPLE_JID) people.val.jid = name;
  if (one->kind == PARLOR_PEOPLE_ROLE) people.val.role = name;
  if (one->kind == PARLOR_PEOPLE_AFFILIATION) people.val.affiliation = name;
  return people;
}

parlor_error parlor_commands_declare(const parlor_declaration *command, parlor_handler *handler, void *context) {
  size_t arguments = 0, people = 0;
  while (command->arguments && command->arguments[arguments].name) {
    const char *wrong = wrong_bounds(&command->arguments[arguments]);
    if (wrong) return invalid(command->arguments[arguments].name, wrong);
    arguments++;
  }
  while (command->allow && command->allow[people].kind) people++;
  parlor_plugin_commands_declaration_t wanted = {
      .name = parlor_text(command->name), .help = parlor_text(command->help ? command->help : ""),
      .aliases = list_of(command->aliases), .person_cooldown = milliseconds(command->person_cooldown),
      .room_cooldown = milliseconds(command->room_cooldown), .place = option(command->place)};
  wanted.arguments.ptr = parlor_memory((arguments + 1) * sizeof *wanted.arguments.ptr);
  for (; wanted.arguments.len < arguments; wanted.arguments.len++)
    wanted.arguments.ptr[wanted.arguments.len] = argument_of(&command->arguments[wanted.arguments.len]);
  wanted.allow.ptr = parlor_memory((people + 1) * sizeof *wanted.allow.ptr);
  for (; wanted.allow.len < people; wanted.allow.len++) wanted.allow.ptr[wanted.allow.len] = people_of(&command->allow[wanted.allow.len]);
  return add_command(command->name, ask_to_declare, &wanted, handler, context);
}

/* The value of an argument; NULL: it was left out, or is of another kind. */
static const parlor_plugin_types_value_t *value_of(const parlor_command *command, const char *name, uint8_t tag) {
  for (size_t at = 0; at < command->all->values.len; at++) {
    const parlor_plugin_types_tuple2_string_value_t *one = &command->all->values.ptr[at];
    if (strcmp(some(one->f0), name) == 0) return one->f1.tag == tag ? &one->f1 : NULL;
  }
  return NULL;
}

const char *parlor_command_text(const parlor_command *command, const char *name) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_TEXT);
  if (value) return some(value->val.text);
  value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_DATE);
  if (value) return some(value->val.date);
  value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_TIME);
  return value ? some(value->val.time) : parlor_command_jid(command, name);
}

const char *parlor_command_jid(const parlor_command *command, const char *name) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_JID);
  return value ? some(value->val.jid) : NULL;
}

bool parlor_command_flag(const parlor_command *command, const char *name) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_FLAG);
  return value && value->val.flag;
}

bool parlor_command_integer(const parlor_command *command, const char *name, int64_t *number) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_INTEGER);
  if (value) *number = value->val.integer;
  return value != NULL;
}

bool parlor_command_number(const parlor_command *command, const char *name, double *number) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_NUMBER);
  if (value) *number = value->val.number;
  return value != NULL;
}

bool parlor_command_duration(const parlor_command *command, const char *name, double *seconds) {
  const parlor_plugin_types_value_t *value = value_of(command, name, PARLOR_PLUGIN_TYPES_VALUE_DURATION);
  if (value) *seconds = (double)value->val.duration / 1000;
  return value != NULL;
}

parlor_error parlor_after(double seconds, parlor_handler *handler, void *context) {
  uint64_t number;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_timers_after(milliseconds(seconds), &number, &error);
  if (done) listen(number, handler, context, true, true, NULL);
  return parlor_done(done, &error);
}

parlor_error parlor_every(double seconds, parlor_handler *handler, void *context) {
  uint64_t number;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_timers_every(milliseconds(seconds), &number, &error);
  if (done) listen(number, handler, context, false, true, NULL);
  return parlor_done(done, &error);
}

void parlor_sleep(double seconds) {
  parlor_plugin_timers_sleep(milliseconds(seconds));
}

/* The C library's own would hold up the plugin in the same way, without a word. These take their place where a plugin calls one. */
static void sleep_with_warning(const char *name, double seconds) {
  static bool warned;
  if (!warned) parlor_log(PARLOR_WARN, "%s holds up all other events of this plugin: use parlor_after, or parlor_sleep where it has to be", name);
  warned = true;
  parlor_sleep(seconds);
}

unsigned sleep(unsigned seconds) {
  sleep_with_warning("sleep", seconds);
  return 0;
}

int usleep(useconds_t microseconds) {
  sleep_with_warning("usleep", microseconds / 1e6);
  return 0;
}

int nanosleep(const struct timespec *time, struct timespec *left) {
  sleep_with_warning("nanosleep", (double)time->tv_sec + time->tv_nsec / 1e9);
  if (left) *left = (struct timespec){0};
  return 0;
}

parlor_error parlor_emit(const char *name, const char *json) {
  plugin_string_t event = parlor_text(name), payload = parlor_text(json);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_api_emit(&event, json ? &payload : NULL, &error), &error);
}

parlor_error parlor_promises_add(const char *name) {
  plugin_string_t promise = parlor_text(name);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_promises_add(&promise, &error), &error);
}

parlor_error parlor_promises_reject(const char *name, const char *reason) {
  plugin_string_t promise = parlor_text(name), why = parlor_text(reason);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_promises_reject(&promise, &why, &error), &error);
}

static const char *text_of(const parlor_plugin_types_payload_t *payload) {
  switch (payload->tag) {
    case PARLOR_PLUGIN_TYPES_PAYLOAD_TEXT:
      return some(payload->val.text);
    case PARLOR_PLUGIN_TYPES_PAYLOAD_STANZA:
      return some(payload->val.stanza);
    default:
      return NULL;
  }
}

static const char *json_of(const parlor_plugin_types_payload_t *payload) {
  return payload->tag == PARLOR_PLUGIN_TYPES_PAYLOAD_JSON ? some(payload->val.json) : NULL;
}

parlor_error parlor_wait_until(const char *name, const char **value) {
  plugin_string_t promise = parlor_text(name);
  parlor_plugin_types_payload_t *payload = parlor_memory(sizeof *payload);
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_api_wait_until(&promise, payload, &error);
  if (done && value) *value = json_of(payload) ? json_of(payload) : text_of(payload);
  return parlor_done(done, &error);
}

/* ---- Saying something -------------------------------------------------------------------------------------------------- */

static parlor_error chat(const char *jid, const char *text, const char *thread) {
  plugin_string_t to = parlor_text(jid), id;
  parlor_plugin_types_outgoing_t message = {.body = option(text), .thread = option(thread)};
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_chats_send(&to, &message, &id, &error), &error);
}

static parlor_error room(const char *jid, const char *text, const char *thread) {
  plugin_string_t to = parlor_text(jid), id;
  parlor_plugin_types_outgoing_t message = {.body = option(text), .thread = option(thread)};
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_send(&to, &message, &id, &error), &error);
}

static bool from_room(const parlor_message *message) {
  return !strcmp(message->kind, "groupchat");
}

static const char **texts(plugin_list_string_t all) {
  const char **each = parlor_memory((all.len + 1) * sizeof *each);
  for (size_t i = 0; i < all.len; i++) each[i] = some(all.ptr[i]);
  return each;
}

static parlor_file shown_file(const parlor_plugin_types_file_t *all) {
  return (parlor_file){some(all->url), maybe(all->name), maybe(all->media_type), all->size.is_some ? all->size.val : 0};
}

/* NULL where there are none. */
static const parlor_file *shown_files(parlor_plugin_types_list_file_t all) {
  if (!all.len) return NULL;
  parlor_file *files = parlor_memory((all.len + 1) * sizeof *files);
  for (size_t i = 0; i < all.len; i++) files[i] = shown_file(&all.ptr[i]);
  return files;
}

/* NULL where there are none. */
static const parlor_link_preview *shown_previews(parlor_plugin_types_list_link_preview_t all) {
  if (!all.len) return NULL;
  parlor_link_preview *previews = parlor_memory((all.len + 1) * sizeof *previews);
  for (size_t i = 0; i < all.len; i++) {
    const parlor_plugin_types_link_preview_t *one = &all.ptr[i];
    previews[i] = (parlor_link_preview){some(one->url), maybe(one->title), maybe(one->description), maybe(one->image)};
  }
  return previews;
}

static const parlor_message *message_of(const parlor_plugin_types_message_t *all) {
  parlor_message *message = parlor_memory(sizeof *message);
  *message = (parlor_message){
      .id = maybe(all->id), .stanza_id = maybe(all->stanza_id), .origin_id = maybe(all->origin_id), .chat = some(all->chat),
      .from = some(all->from), .to = some(all->to), .nick = maybe(all->nick), .kind = some(all->kind), .body = maybe(all->body),
      .occupant_id = maybe(all->occupant_id),
      .subject = maybe(all->subject), .thread = maybe(all->thread), .at = some(all->at), .carbon = maybe(all->carbon),
      .command = maybe(all->command), .cut = maybe(all->cut), .delayed = all->delayed, .own = all->own,
      .encryption = maybe(all->encryption), .device_trust = maybe(all->device_trust), .all = all};
  if (!all->extensions.is_some) return message;
  const parlor_plugin_types_extensions_t *extensions = &all->extensions.val;
  message->replaces = maybe(extensions->replace);
  message->retracts = maybe(extensions->retract);
  if (extensions->moderated.is_some) message->moderates = some(extensions->moderated.val.id);
  message->files = shown_files(extensions->files);
  message->spoiler = maybe(extensions->spoiler);
  message->unstyled = extensions->unstyled;
  message->previews = shown_previews(extensions->previews);
  if (extensions->reply.is_some) message->replies_to = some(extensions->reply.val.id);
  if (extensions->reactions.is_some) {
    message->reacts_to = some(extensions->reactions.val.id);
    message->emojis = texts(extensions->reactions.val.emojis);
    message->emoji_count = extensions->reactions.val.emojis.len;
  }
  return message;
}

static parlor_occupant as_occupant(const parlor_plugin_types_occupant_t *all) {
  return (parlor_occupant){
      .room = some(all->room), .nick = some(all->nick), .role = some(all->role), .affiliation = some(all->affiliation),
      .jid = all->jid.is_some ? some(all->jid.val) : NULL, .left = maybe(all->left),
      .previous_nick = maybe(all->previous_nick), .own = all->own, .all = all};
}

static const parlor_occupant *shown_occupant(const parlor_plugin_types_occupant_t *all) {
  parlor_occupant *shown = parlor_memory(sizeof *shown);
  *shown = as_occupant(all);
  return shown;
}

parlor_error parlor_rooms_occupants(const char *room, const parlor_occupant **occupants, size_t *count) {
  *occupants = NULL;
  *count = 0;
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_list_occupant_t there;
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_rooms_occupants(&jid, &there, &error)) return parlor_done(false, &error);
  parlor_occupant *shown = parlor_memory((there.len + 1) * sizeof *shown);
  for (size_t i = 0; i < there.len; i++) shown[i] = as_occupant(&there.ptr[i]);
  *occupants = shown;
  *count = there.len;
  return PARLOR_OK;
}

parlor_error parlor_rooms_occupant(const char *room, const char *nick, const parlor_occupant **occupant) {
  *occupant = NULL;
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_list_occupant_t there;
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_rooms_occupants(&jid, &there, &error)) return parlor_done(false, &error);
  for (size_t i = 0; i < there.len; i++) {
    const parlor_plugin_types_occupant_t *one = &there.ptr[i];
    if (strcmp(some(one->nick), nick)) continue;
    *occupant = shown_occupant(one);
    break;
  }
  return PARLOR_OK;
}

parlor_error parlor_occupant_of(const parlor_message *message, const parlor_occupant **occupant) {
  *occupant = NULL;
  /* A person who writes from a room to us alone has a chat of their own. */
  const char *slash = from_room(message) ? NULL : strchr(message->chat, '/');
  const char *nick = slash ? slash + 1 : from_room(message) ? message->nick : NULL;
  if (!nick) return PARLOR_OK;
  const char *room = slash ? parlor_format("%.*s", (int)(slash - message->chat), message->chat) : message->chat;
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_list_occupant_t there;
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_rooms_occupants(&jid, &there, &error)) return parlor_done(false, &error);
  const parlor_plugin_types_occupant_t *author = NULL;
  for (size_t i = 0; i < there.len; i++) {
    const parlor_plugin_types_occupant_t *one = &there.ptr[i];
    const char *id = maybe(one->occupant_id);
    bool is_called_so = !strcmp(some(one->nick), nick);
    /* The author may have another nickname by now, and somebody else the old one. */
    bool is_author = message->occupant_id && id ? !strcmp(id, message->occupant_id) : is_called_so;
    if (is_author && (!author || is_called_so)) author = one;
  }
  if (author) *occupant = shown_occupant(author);
  return PARLOR_OK;
}

/* The body without what is only there for clients that lack one of these features. */
static const char *body_without(const parlor_message *message, const char *const *features, size_t count) {
  const char *body = message->body ? message->body : "";
  const parlor_plugin_types_list_fallback_t parts = message->all->extensions.val.fallback;
  char *kept = take(strlen(body)), *end = kept;
  uint32_t at = 0;
  unsigned code;
  for (const char *next; *body; body = next, at++) {
    next = character(body, &code);
    bool is_kept = true;
    for (size_t i = 0; message->all->extensions.is_some && i < parts.len; i++) {
      const parlor_plugin_types_fallback_t *one = &parts.ptr[i];
      bool is_meant = !one->feature.is_some;
      for (size_t j = 0; !is_meant && j < count; j++) is_meant = !strcmp(some(one->feature.val), features[j]);
      if (!is_meant) continue;
      if (!one->part.is_some || (one->part.val.f0 <= at && at < one->part.val.f1)) is_kept = false;
    }
    if (!is_kept) continue;
    memcpy(end, body, (size_t)(next - body));
    end += next - body;
  }
  *end = 0;
  return kept;
}

const char *parlor_body_without_fallback(const parlor_message *message, const char *feature) {
  return body_without(message, &feature, 1);
}

/* The body without what stands there for a reply, for reactions or for a retraction, which plugins read beside it. */
static const char *said(const parlor_message *message) {
  return body_without(message, (const char *const[]){PARLOR_NS_REPLY, PARLOR_NS_REACTIONS, PARLOR_NS_RETRACTION}, 3);
}

/* Returns the text of a message as a quotation, each line with a mark before it, and its length in characters. */
static const char *quotation(const parlor_message *message, uint32_t *length) {
  const char *text = said(message);
  char *quoted = take(strlen(text) * 3 + 3), *end = quoted;
  for (bool begins = true; *text; text++) {
    if (begins) end = stpcpy(end, "> ");
    begins = *text == '\n';
    if (text[0] != '\r' || text[1] != '\n') *end++ = *text;
  }
  if (end > quoted && end[-1] != '\n') *end++ = '\n';
  *end = 0;
  *length = 0;
  unsigned code;
  for (const char *at = quoted; *at; at = character(at, &code)) ++*length;
  return quoted;
}

const char *parlor_reference(const parlor_message *message) {
  if (from_room(message)) return message->stanza_id;
  return message->origin_id ? message->origin_id : message->id;
}

/* The words of a text, which may be NULL. */
static plugin_list_string_t words(const char *text) {
  if (!text) text = "";
  plugin_list_string_t all = {parlor_memory((strlen(text) / 2 + 1) * sizeof(plugin_string_t)), 0};
  for (text = past_spaces(text); *text; text = past_spaces(text)) {
    size_t size = 0;
    while (text[size] && !is_space(text[size])) size++;
    all.ptr[all.len++] = parlor_text(copied(text, size));
    text += size;
  }
  return all;
}

/* The files of a list, which may be NULL. */
static parlor_plugin_types_list_file_t files_of(const parlor_file *files) {
  size_t count = 0;
  while (files && files[count].url) count++;
  if (!count) return (parlor_plugin_types_list_file_t){0};
  parlor_plugin_types_file_t *all = parlor_memory(count * sizeof *all);
  for (size_t i = 0; i < count; i++) {
    all[i] = (parlor_plugin_types_file_t){
        parlor_text(files[i].url), option(files[i].name), option(files[i].media_type), {files[i].size != 0, files[i].size}};
  }
  return (parlor_plugin_types_list_file_t){all, count};
}

/* The previews of a list, which may be NULL. */
static parlor_plugin_types_list_link_preview_t previews_of(const parlor_link_preview *previews) {
  size_t count = 0;
  while (previews && previews[count].url) count++;
  if (!count) return (parlor_plugin_types_list_link_preview_t){0};
  parlor_plugin_types_link_preview_t *all = parlor_memory(count * sizeof *all);
  for (size_t i = 0; i < count; i++) {
    const parlor_link_preview *one = &previews[i];
    all[i] = (parlor_plugin_types_link_preview_t){
        parlor_text(one->url), option(one->title), option(one->description), option(one->image)};
  }
  return (parlor_plugin_types_list_link_preview_t){all, count};
}

/* Converts a message to the contract's record; it lives until the handler returns, like all its parts. */
static parlor_error wire(const parlor_outgoing *message, parlor_plugin_types_outgoing_t *whole) {
  static plugin_string_t store = {(uint8_t *)"store", 5};
  *whole = (parlor_plugin_types_outgoing_t){
      option(message->body), option(message->subject), option(message->thread), {.is_some = true}, option(message->encryption)};
  parlor_plugin_types_extensions_t *extensions = &whole->extensions.val;
  extensions->replace = option(message->replace);
  extensions->retract = option(message->retract);
  extensions->receipt_requested = message->request_receipt;
  extensions->receipt = option(message->receipt);
  extensions->markable = message->request_markers;
  extensions->marker = option(message->marker);
  extensions->marked = option(message->marked);
  extensions->chat_state = option(message->chat_state);
  extensions->files = files_of(message->files);
  extensions->spoiler = option(message->spoiler);
  extensions->unstyled = message->unstyled;
  extensions->previews = previews_of(message->previews);
  const parlor_message *to = message->reply_to;
  if (to && parlor_reference(to)) {
    extensions->reply.is_some = true;
    extensions->reply.val = (parlor_plugin_types_reply_t){parlor_text(parlor_reference(to)), {true, parlor_text(to->from)}};
  }
  if (to && message->quote) {
    parlor_plugin_types_fallback_t *part = parlor_memory(sizeof *part);
    const char *quoted = quotation(to, &part->part.val.f1);
    part->part.is_some = true;
    part->feature = option(PARLOR_NS_REPLY);
    if (*quoted) {
      extensions->fallback = (parlor_plugin_types_list_fallback_t){part, 1};
      whole->body = option(parlor_format("%s%s", quoted, message->body ? message->body : ""));
    }
  }
  if (message->react_to) {
    if (!parlor_reference(message->react_to)) return invalid("message", "has no id that a reaction could name");
    extensions->reactions.is_some = true;
    extensions->reactions.val = (parlor_plugin_types_reactions_t){parlor_text(parlor_reference(message->react_to)), words(message->emoji)};
  }
  const parlor_message *of = message->mark_of;
  if (of) {
    /* Outside of rooms a marker goes by the message's own id, whatever else the author calls it. */
    const char *id = from_room(of) ? of->stanza_id : of->id;
    if (!id) return invalid("message", "has no id that a marker could name");
    extensions->marked = option(id);
  }
  /* They have no body, by which servers see what is worth keeping (XEP-0334). */
  if (message->react_to || message->receipt || message->marker) extensions->hints = (plugin_list_string_t){&store, 1};
  return PARLOR_OK;
}

typedef bool sending(plugin_string_t *, parlor_plugin_types_outgoing_t *, plugin_string_t *, parlor_plugin_types_error_t *);

/* By the call of a chat or of a room, which is given, so that a plugin imports the one that it makes and not the other. */
static parlor_error send_message(sending *send, const char *jid, const parlor_outgoing *message, const char **id) {
  plugin_string_t to = parlor_text(jid), sent;
  parlor_plugin_types_outgoing_t whole;
  parlor_plugin_types_error_t error;
  if (wire(message, &whole)) return PARLOR_INVALID;
  bool done = send(&to, &whole, &sent, &error);
  if (done && id) *id = some(sent);
  return parlor_done(done, &error);
}

parlor_error parlor_chats_send_message(const char *jid, const parlor_outgoing *message, const char **id) {
  return send_message(parlor_plugin_chats_send, jid, message, id);
}

parlor_error parlor_rooms_send_message(const char *jid, const parlor_outgoing *message, const char **id) {
  return send_message(parlor_plugin_rooms_send, jid, message, id);
}

parlor_error parlor_acknowledge(const parlor_message *message) {
  bool asks = message->all->extensions.is_some && message->all->extensions.val.receipt_requested && message->id;
  /* Everybody in a room would send one, and errors, history and copies are not answered. */
  if (!asks || from_room(message) || !strcmp(message->kind, "error") || message->own || message->delayed) return PARLOR_OK;
  if (message->carbon) return PARLOR_OK;
  return parlor_chats_send_message(message->from, &(parlor_outgoing){.receipt = message->id}, NULL);
}

/* An error is not answered. */
static parlor_error answerable(const parlor_message *message) {
  return strcmp(message->kind, "error") ? PARLOR_OK : invalid("message", "an error must not be answered (RFC 6120, section 8.3.1)");
}

/* Returns the address for a private answer; for a message from a room, that of its author there. */
static const char *in_private(const parlor_message *to) {
  return from_room(to) ? to->from : to->chat;
}

static parlor_error chat_reply(const parlor_message *to, const char *text) {
  parlor_error error = answerable(to);
  return error ? error : chat(in_private(to), text, to->thread);
}

static parlor_error room_reply(const parlor_message *to, const char *text) {
  parlor_error error = answerable(to);
  return error ? error : room(to->chat, text, to->thread);
}

/* In the thread of what it answers, unless it names one; by the call of a chat or of a room, as above. */
static parlor_error reply_message(sending *send, const char *jid, const parlor_message *to, const parlor_outgoing *message, const char **id) {
  parlor_error error = answerable(to);
  if (error) return error;
  parlor_outgoing answer = *message;
  if (!answer.thread) answer.thread = to->thread;
  return send_message(send, jid, &answer, id);
}

parlor_error parlor_chats_reply_message(const parlor_message *to, const parlor_outgoing *message, const char **id) {
  return reply_message(parlor_plugin_chats_send, in_private(to), to, message, id);
}

parlor_error parlor_reply_message(const parlor_message *to, const parlor_outgoing *message, const char **id) {
  return reply_message(from_room(to) ? parlor_plugin_rooms_send : parlor_plugin_chats_send, to->chat, to, message, id);
}

parlor_error parlor_chats_send(const char *jid, const char *format, ...) {
  FORMATTED(const char *text);
  return chat(jid, text, NULL);
}

parlor_error parlor_chats_reply(const parlor_message *to, const char *format, ...) {
  FORMATTED(const char *text);
  return chat_reply(to, text);
}

parlor_error parlor_rooms_send(const char *jid, const char *format, ...) {
  FORMATTED(const char *text);
  return room(jid, text, NULL);
}

parlor_error parlor_rooms_reply(const parlor_message *to, const char *format, ...) {
  FORMATTED(const char *text);
  return room_reply(to, text);
}

parlor_error parlor_reply(const parlor_message *to, const char *format, ...) {
  FORMATTED(const char *text);
  return from_room(to) ? room_reply(to, text) : chat_reply(to, text);
}

static parlor_error in_form(const parlor_event *event, const char *text, bool more) {
  plugin_string_t form = event->command->all->form.val, said = parlor_text(text);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_commands_answer(&form, &said, more, &error), &error);
}

static bool has_form(const parlor_event *event) {
  return event->command && event->command->all->form.is_some;
}

parlor_error parlor_answer(const parlor_event *event, const char *format, ...) {
  FORMATTED(const char *text);
  if (has_form(event)) return in_form(event, text, false);
  return from_room(event->message) ? room_reply(event->message, text) : chat_reply(event->message, text);
}

parlor_error parlor_progress(const parlor_event *event, const char *format, ...) {
  FORMATTED(const char *text);
  return has_form(event) ? in_form(event, text, true) : PARLOR_OK;
}

/* ---- Markup ------------------------------------------------------------------------------------------------------------- */

/* Behind it a sign begins nothing: U+2060, which cannot be seen and is no white space. */
#define JOINER "\xE2\x81\xA0"

static bool is_sign(unsigned code) {
  return code == '*' || code == '_' || code == '~' || code == '`';
}

static bool is_blank(unsigned code) {
  bool is_wide = code == 0x85 || code == 0xA0 || code == 0x1680 || code == 0x202F || code == 0x205F || code == 0x3000;
  return code == ' ' || (code >= '\t' && code <= '\r') || is_wide || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029;
}

static char *put(char *end, const char *text, size_t size) {
  memcpy(end, text, size);
  return end + size;
}

const char *parlor_styling_escape(const char *text) {
  if (!text) text = "";
  /* Three bytes go before each character at most. */
  char *whole = take(4 * strlen(text)), *end = whole;
  unsigned before = '\n', code;
  for (const char *next; *text; text = next, before = code) {
    next = character(text, &code);
    bool begins = is_sign(code) && (is_blank(before) || is_sign(before));
    if (begins || (code == '>' && before == '\n')) end = stpcpy(end, JOINER);
    end = put(end, text, (size_t)(next - text));
  }
  *end = 0;
  return whole;
}

/* Puts the sign around each line, without the white space at its ends. A line with the sign in it stays as it is, or is escaped. */
static const char *spans(char sign, const char *text, bool escapes) {
  if (!text) text = "";
  /* A line gets two signs, or three bytes before each of its own. */
  char *whole = take(4 * strlen(text) + 2), *end = whole;
  for (;; text++) {
    size_t length = strcspn(text, "\n"), start = 0, stop = length;
    while (start < stop && is_space(text[start])) start++;
    while (stop > start && is_space(text[stop - 1])) stop--;
    if (start < stop && !memchr(text + start, sign, stop - start)) {
      end = put(end, text, start);
      *end++ = sign;
      end = put(end, text + start, stop - start);
      *end++ = sign;
      end = put(end, text + stop, length - stop);
    } else {
      end = escapes ? stpcpy(end, parlor_styling_escape(copied(text, length))) : put(end, text, length);
    }
    text += length;
    if (!*text) break;
    *end++ = '\n';
  }
  *end = 0;
  return whole;
}

const char *parlor_styling_bold(const char *text) {
  return spans('*', text, false);
}

const char *parlor_styling_italic(const char *text) {
  return spans('_', text, false);
}

const char *parlor_styling_strike(const char *text) {
  return spans('~', text, false);
}

const char *parlor_styling_monospace(const char *text) {
  return spans('`', text, true);
}

/* Puts before each line what the function gives for it, three bytes at most. A line break at the end of the text begins no line. */
static const char *each_line(const char *text, const char *(*before)(const char *line)) {
  if (!text) text = "";
  size_t size = strlen(text);
  if (size && text[size - 1] == '\n') size--;
  char *whole = take(4 * size + 3), *end = whole;
  for (const char *line = text, *last = text + size;; line++) {
    const char *stop = memchr(line, '\n', (size_t)(last - line));
    if (!stop) stop = last;
    end = put(stpcpy(end, before(line)), line, (size_t)(stop - line));
    line = stop;
    if (line == last) break;
    *end++ = '\n';
  }
  *end = 0;
  return whole;
}

static const char *quoted_by(const char *line) {
  (void)line;
  return "> ";
}

const char *parlor_styling_quote(const char *text) {
  return each_line(text, quoted_by);
}

/* Such a line would end the block. */
static const char *kept_in_block(const char *line) {
  return strncmp(line + strspn(line, " \t\v\f\r"), "```", 3) ? "" : JOINER;
}

const char *parlor_styling_code_block(const char *text) {
  return parlor_format("```\n%s\n```", each_line(text, kept_in_block));
}

/* ---- Rooms ------------------------------------------------------------------------------------------------------------- */

parlor_error parlor_rooms_open(const char *room, const char *nick, const char *password) {
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_attributes_t attributes = {.nick = option(nick), .password = option(password)};
  parlor_plugin_types_room_t opened;
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_open(&jid, &attributes, &opened, &error), &error);
}

static const parlor_room *shown_room(const parlor_plugin_types_room_t *all) {
  parlor_room *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_room){
      .jid = some(all->jid), .nick = some(all->nick), .role = some(all->role), .affiliation = some(all->affiliation),
      .name = maybe(all->name), .subject = maybe(all->subject), .left = maybe(all->left), .joined = all->joined, .all = all};
  return shown;
}

parlor_error parlor_rooms_get_or_create(const char *room, const char *nick, const char *password, bool create, const parlor_room **found) {
  *found = NULL;
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_attributes_t attributes = {.nick = option(nick), .password = option(password)};
  parlor_plugin_rooms_option_room_t *there = parlor_memory(sizeof *there);
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_rooms_get_or_create(&jid, &attributes, create, there, &error);
  if (done && there->is_some) *found = shown_room(&there->val);
  return parlor_done(done, &error);
}

static size_t field_count(const parlor_field *fields) {
  size_t count = 0;
  while (fields && fields[count].name) count++;
  return count;
}

/* Several fields of one name, one behind the other, are several values of one. */
static parlor_plugin_rooms_list_tuple2_string_config_value_t room_config(const parlor_field *fields) {
  size_t count = field_count(fields), pairs_count = 0;
  parlor_plugin_rooms_tuple2_string_config_value_t *pairs = parlor_memory(count * sizeof *pairs);
  for (size_t at = 0, end; at < count; at = end) {
    for (end = at + 1; end < count && !strcmp(fields[end].name, fields[at].name);) end++;
    plugin_string_t *texts = parlor_memory((end - at) * sizeof *texts);
    for (size_t one = at; one < end; one++) texts[one - at] = parlor_text(fields[one].value);
    parlor_plugin_rooms_config_value_t value = {.tag = PARLOR_PLUGIN_ROOMS_CONFIG_VALUE_TEXT, .val.text = texts[0]};
    if (end > at + 1) {
      value.tag = PARLOR_PLUGIN_ROOMS_CONFIG_VALUE_TEXTS;
      value.val.texts = (plugin_list_string_t){texts, end - at};
    }
    pairs[pairs_count++] = (parlor_plugin_rooms_tuple2_string_config_value_t){parlor_text(fields[at].name), value};
  }
  return (parlor_plugin_rooms_list_tuple2_string_config_value_t){pairs, pairs_count};
}

parlor_error parlor_rooms_open_configured(const char *room, const char *nick, const char *password, const parlor_field *config) {
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_attributes_t attributes = {
      .nick = option(nick), .password = option(password), .auto_configure = true, .roomconfig = room_config(config)};
  parlor_plugin_types_room_t opened;
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_open(&jid, &attributes, &opened, &error), &error);
}

parlor_error parlor_rooms_configure(const char *room, const parlor_field *config) {
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_rooms_list_tuple2_string_config_value_t fields = room_config(config);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_configure(&jid, &fields, &error), &error);
}

parlor_error parlor_rooms_close(const char *room) {
  plugin_string_t jid = parlor_text(room);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_close(&jid, &error), &error);
}

parlor_error parlor_rooms_get_attribute(const char *of, const char *name, const char **json) {
  *json = NULL;
  plugin_string_t jid = parlor_text(of), key = parlor_text(name);
  parlor_plugin_rooms_option_json_t value;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_rooms_get_attribute(&jid, &key, &value, &error);
  if (done && value.is_some) *json = some(value.val);
  return parlor_done(done, &error);
}

parlor_error parlor_rooms_set_attribute(const char *of, const char *name, const char *json) {
  plugin_string_t jid = parlor_text(of), key = parlor_text(name), value = parlor_text(json ? json : "null");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_set_attribute(&jid, &key, &value, &error), &error);
}

parlor_error parlor_chats_get_attribute(const char *of, const char *name, const char **json) {
  *json = NULL;
  plugin_string_t jid = parlor_text(of), key = parlor_text(name);
  parlor_plugin_chats_option_json_t value;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_chats_get_attribute(&jid, &key, &value, &error);
  if (done && value.is_some) *json = some(value.val);
  return parlor_done(done, &error);
}

parlor_error parlor_chats_set_attribute(const char *of, const char *name, const char *json) {
  plugin_string_t jid = parlor_text(of), key = parlor_text(name), value = parlor_text(json ? json : "null");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_chats_set_attribute(&jid, &key, &value, &error), &error);
}

typedef bool putting_out(plugin_string_t *, plugin_string_t *, plugin_string_t *, parlor_plugin_types_error_t *);

/* By the call that is given, so that a plugin imports no other one; so below. */
static parlor_error put_out(putting_out *call, const char *room, const char *whom, const char *reason) {
  plugin_string_t jid = parlor_text(room), who = parlor_text(whom), why = parlor_text(reason);
  parlor_plugin_types_error_t error;
  return parlor_done(call(&jid, &who, reason ? &why : NULL, &error), &error);
}

parlor_error parlor_rooms_kick(const char *room, const char *nick, const char *reason) {
  return put_out(parlor_plugin_rooms_kick, room, nick, reason);
}

parlor_error parlor_rooms_ban(const char *room, const char *jid, const char *reason) {
  return put_out(parlor_plugin_rooms_ban, room, jid, reason);
}

parlor_error parlor_rooms_retract(const char *room, const char *id, const char *reason) {
  return put_out(parlor_plugin_rooms_retract, room, id, reason);
}

typedef bool making(plugin_string_t *, plugin_string_t *, plugin_string_t *, plugin_string_t *, parlor_plugin_types_error_t *);

static parlor_error make(making *call, const char *room, const char *whom, const char *what, const char *reason) {
  plugin_string_t jid = parlor_text(room), who = parlor_text(whom), be = parlor_text(what), why = parlor_text(reason);
  parlor_plugin_types_error_t error;
  return parlor_done(call(&jid, &who, &be, reason ? &why : NULL, &error), &error);
}

parlor_error parlor_rooms_set_role(const char *room, const char *nick, const char *role, const char *reason) {
  return make(parlor_plugin_rooms_set_role, room, nick, role, reason);
}

parlor_error parlor_rooms_set_affiliation(const char *room, const char *jid, const char *affiliation, const char *reason) {
  return make(parlor_plugin_rooms_set_affiliation, room, jid, affiliation, reason);
}

parlor_error parlor_rooms_set_subject(const char *room, const char *subject) {
  plugin_string_t jid = parlor_text(room), text = parlor_text(subject);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_set_subject(&jid, &text, &error), &error);
}

parlor_error parlor_rooms_invite(const char *room, const char *jid, const parlor_invitation *invitation) {
  plugin_string_t to = parlor_text(room), whom = parlor_text(jid);
  parlor_plugin_rooms_invitation_t said = {.direct = invitation && invitation->direct};
  if (invitation) said.reason = option(invitation->reason), said.password = option(invitation->password);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_rooms_invite(&to, &whom, &said, &error), &error);
}

/* ---- Contacts and the own status ----------------------------------------------------------------------------------------- */

parlor_error parlor_contacts_accept(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_contacts_accept(&whom, &error), &error);
}

parlor_error parlor_contacts_deny(const char *jid) {
  plugin_string_t whom = parlor_text(jid);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_contacts_deny(&whom, &error), &error);
}

parlor_error parlor_user_set_status(const char *value, const char *message) {
  plugin_string_t status = parlor_text(value), text = parlor_text(message);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_user_set_status(&status, message ? &text : NULL, &error), &error);
}

/* ---- Archives ---------------------------------------------------------------------------------------------------------- */

/* How many messages come at once. */
#define PAGE 50

/* Whether another page comes after one of which this was answered: an empty one is the last, whatever else it says (XEP-0059,
 * section 2.5). */
static bool has_next(const parlor_plugin_archive_options_t *answered) {
  return answered->last.is_some && !(answered->complete.is_some && answered->complete.val);
}

/* Outlives what is forgotten. */
static char *lasting(const char *text) {
  char *own = strdup(text);
  if (!own) abort();
  return own;
}

/* Asks for one page. If the owner allows fewer messages in an answer, this page and those after it ask for fewer. A page that ends
 * where it begins, or where an earlier one did, is an error. */
static parlor_error ask_page(parlor_plugin_archive_options_t *options, const char *before, parlor_plugin_archive_page_t *page) {
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_archive_query(options, page, &error);
  while (!done && error.tag == PARLOR_PLUGIN_TYPES_ERROR_OVER_LIMIT && options->max.val > 1) {
    options->max.val /= 2;
    done = parlor_plugin_archive_query(options, page, &error);
  }
  if (!done) return parlor_done(false, &error);
  if (!has_next(&page->rsm)) return PARLOR_OK;
  const char *after = maybe(options->after), *last = some(page->rsm.last.val);
  bool is_where_it_was = (after && !strcmp(after, last)) || (before && !strcmp(before, last));
  return is_where_it_was ? parlor_fail("the archive gives the same page again and again") : PARLOR_OK;
}

parlor_error parlor_archive_query_all(const parlor_archive_options *options, parlor_reader *reader, void *context) {
  parlor_plugin_archive_options_t asked = {.max = {true, PAGE}};
  if (options) {
    asked.with = (parlor_plugin_archive_option_jid_t){options->with != NULL, parlor_text(options->with)};
    asked.start = option(options->start);
    asked.end = option(options->end);
    asked.after = option(options->after);
    asked.xml = options->xml;
  }
  /* The id that the next page comes after: with a page all else of it is forgotten. And one of before, which is moved here after
     1, 2, 4, 8 ... pages, to see that an archive goes in a circle. */
  char *last = NULL, *before = NULL;
  unsigned long pages = 0, next = 1;
  parlor_error error = PARLOR_OK;
  for (bool enough = false; !error && !enough;) {
    uint64_t mark = parlor_mark();
    parlor_plugin_archive_page_t page;
    error = ask_page(&asked, before, &page);
    for (size_t i = 0; !error && !enough && i < page.messages.len; i++) {
      error = reader(message_of(&page.messages.ptr[i].message), &enough, context);
    }
    if (!error && !enough && !has_next(&page.rsm)) enough = true;
    if (!error && !enough) {
      free(last);
      last = lasting(some(page.rsm.last.val));
      if (++pages == next) {
        free(before);
        before = lasting(last);
        next *= 2;
      }
    }
    parlor_forget(mark);
    asked.after = option(last);
  }
  free(before);
  free(last);
  return error;
}

/* ---- Stanzas ----------------------------------------------------------------------------------------------------------- */

parlor_error parlor_api_send(const char *xml) {
  plugin_string_t stanza = parlor_text(xml);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_api_send(&stanza, &error), &error);
}

parlor_error parlor_api_send_iq(const char *iq, const char **answer) {
  plugin_string_t stanza = parlor_text(iq), result;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_api_send_iq(&stanza, &result, &error);
  *answer = done ? some(result) : NULL;
  return parlor_done(done, &error);
}

/* ---- Settings and storage ---------------------------------------------------------------------------------------------- */

const char *parlor_settings_get(const char *key) {
  plugin_string_t name = parlor_text(key);
  parlor_plugin_settings_option_json_t value;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_settings_get(&name, &value, &error);
  return done && value.is_some ? some(value.val) : NULL;
}

const char *parlor_settings_get_in(const char *room, const char *key) {
  plugin_string_t jid = parlor_text(room), name = parlor_text(key);
  parlor_plugin_settings_option_json_t value;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_settings_get_in(&jid, &name, &value, &error);
  return done && value.is_some ? some(value.val) : NULL;
}

const char *parlor_settings_get_text(const char *key, const char *otherwise) {
  return parlor_json_text(parlor_settings_get(key), otherwise);
}

double parlor_settings_get_number(const char *key, double otherwise) {
  return parlor_json_number(parlor_settings_get(key), otherwise);
}

bool parlor_settings_get_flag(const char *key, bool otherwise) {
  return parlor_json_flag(parlor_settings_get(key), otherwise);
}

/* Returns where an entry of a list ends. */
static const char *past_entry(const char *json) {
  int depth = 0;
  bool is_text = false;
  for (; *json; json++) {
    if (*json == '"') is_text = !is_text;
    if (is_text && *json == '\\' && json[1]) json++;
    if (is_text) continue;
    if (depth == 0 && (*json == ',' || *json == ']')) break;
    if (*json == '[' || *json == '{') depth++;
    if (*json == ']' || *json == '}') depth--;
  }
  return json;
}

size_t parlor_settings_get_list(const char *key, const char ***items) {
  const char *at = parlor_settings_get(key);
  size_t count = 0;
  *items = NULL;
  if (!at || *at != '[') return 0;
  *items = parlor_memory(strlen(at) * sizeof **items);
  for (at = past_spaces(at + 1); *at && *at != ']'; at = past_spaces(at)) {
    const char *end = past_entry(at), *entry = copied(at, (size_t)(end - at)), *text = parlor_unquote(entry);
    (*items)[count++] = text ? text : entry;
    at = *end == ',' ? end + 1 : end;
  }
  return count;
}

parlor_error parlor_settings_set(const char *key, const char *json) {
  plugin_string_t name = parlor_text(key), value = parlor_text(json);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_settings_set(&name, &value, &error), &error);
}

parlor_error parlor_settings_update(const parlor_field *values) {
  size_t count = field_count(values);
  parlor_plugin_settings_tuple2_string_json_t *pairs = parlor_memory(count * sizeof *pairs);
  for (size_t at = 0; at < count; at++) {
    pairs[at].f0 = parlor_text(values[at].name);
    pairs[at].f1 = parlor_text(values[at].value);
  }
  parlor_plugin_settings_list_tuple2_string_json_t list = {pairs, count};
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_settings_update(&list, &error), &error);
}

/* Returns the milliseconds, at least one; NULL for ever. */
static uint64_t *lasting_for(double expires) {
  if (expires == 0) return NULL;
  uint64_t *lasts = parlor_memory(sizeof *lasts);
  *lasts = milliseconds(expires);
  if (*lasts == 0) *lasts = 1;
  return lasts;
}

/* Gives the headers, and puts into `count` how many there are. `type` is the content-type of the body, or NULL; it stands unless the author
 * gave another one, and always where it is `needed`. */
static parlor_plugin_types_header_t *headers_of(const parlor_field *fields, const char *type, bool needed, size_t *count) {
  size_t given = field_count(fields), kept = 0;
  parlor_plugin_types_header_t *headers = parlor_memory((given + 1) * sizeof *headers);
  for (size_t at = 0; at < given; at++) {
    bool is_type = type && is_same(fields[at].name, strlen(fields[at].name), "content-type");
    if (is_type && needed) continue;
    if (is_type) type = NULL;
    headers[kept++] = (parlor_plugin_types_header_t){parlor_text(fields[at].name), parlor_text(fields[at].value)};
  }
  if (type) headers[kept++] = (parlor_plugin_types_header_t){parlor_text("content-type"), parlor_text(type)};
  *count = kept;
  return headers;
}

static const parlor_field *shown_headers(const parlor_plugin_types_header_t *headers, size_t count) {
  parlor_field *fields = parlor_memory((count + 1) * sizeof *fields);
  for (size_t at = 0; at < count; at++) fields[at] = (parlor_field){some(headers[at].name), some(headers[at].value)};
  return fields;
}

/* A body without a size ends with its NUL. */
static plugin_list_u8_t body_of(const char *body, size_t size) {
  return (plugin_list_u8_t){(uint8_t *)body, body && !size ? strlen(body) : size};
}

/* A name for a header of a form, escaped as browsers do (RFC 7578, section 4.2). */
static const char *form_name(const char *name) {
  char *escaped = take(3 * strlen(name) + 1), *end = escaped;
  for (; *name; name++) {
    const char *sign = *name == '"' ? "%22" : *name == '\r' ? "%0D" : *name == '\n' ? "%0A" : NULL;
    if (sign) end = stpcpy(end, sign);
    else *end++ = *name;
  }
  *end = 0;
  return escaped;
}

/* A media type with spaces in the place of line ends, which would begin another header. */
static const char *on_one_line(const char *type) {
  char *line = take(strlen(type) + 1), *end = line;
  for (; *type; type++) {
    bool is_end = *type == '\r' || *type == '\n';
    if (!is_end) *end++ = *type;
    else if (end == line || end[-1] != ' ') *end++ = ' ';
  }
  *end = 0;
  return line;
}

/* The boundary and the headers of a part, which come before its content. */
static const char *part_head(const parlor_http_part *part, const char *boundary) {
  const char *head = parlor_format("--%s\r\ncontent-disposition: form-data; name=\"%s\"", boundary, form_name(part->name));
  if (!part->file_name) return parlor_format("%s\r\n\r\n", head);
  const char *type = on_one_line(part->media_type ? part->media_type : "application/octet-stream");
  return parlor_format("%s; filename=\"%s\"\r\ncontent-type: %s\r\n\r\n", head, form_name(part->file_name), type);
}

static size_t part_size(const parlor_http_part *part) {
  return part->content ? body_of(part->content, part->size).len : 0;
}

/* Puts a form as browsers send it into `body`, and its content-type into `type`. */
static parlor_error form_of(const parlor_http_part *parts, const char **type, plugin_list_u8_t *body) {
  /* Random, so that no part can have it. */
  uint64_t random[2];
  if (getentropy(random, sizeof random)) return parlor_fail("there are no random numbers for a form");
  const char *boundary = parlor_format("parlor-%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
  size_t count = 0;
  while (parts[count].name) count++;
  const char **heads = parlor_memory((count + 1) * sizeof *heads), *last = parlor_format("--%s--\r\n", boundary);
  uint64_t size = strlen(last);
  for (size_t at = 0; at < count; at++) {
    heads[at] = part_head(&parts[at], boundary);
    size += strlen(heads[at]) + part_size(&parts[at]) + strlen("\r\n");
  }
  if (size > SIZE_MAX / 2) return invalid("request.form", "is too large for the memory of a plugin");
  uint8_t *whole = take(size + 1), *end = whole;
  for (size_t at = 0; at < count; at++) {
    end = (uint8_t *)stpcpy((char *)end, heads[at]);
    size_t content = part_size(&parts[at]);
    if (content) memcpy(end, parts[at].content, content);
    end = (uint8_t *)stpcpy((char *)end + content, "\r\n");
  }
  stpcpy((char *)end, last);
  *type = parlor_format("multipart/form-data; boundary=%s", boundary);
  *body = (plugin_list_u8_t){whole, size};
  return PARLOR_OK;
}

/* Encodes a text for a query and a form, and gives its end. Braces are encoded, too: a {{name}} of a person must not become a credential. */
static char *form_text(char *end, const char *text) {
  static const char digits[] = "0123456789ABCDEF";
  for (; *text; text++) {
    unsigned char sign = (unsigned char)*text;
    bool is_letter = (sign >= 'A' && sign <= 'Z') || (sign >= 'a' && sign <= 'z');
    if (sign == ' ') {
      *end++ = '+';
    } else if (is_letter || (sign >= '0' && sign <= '9') || strchr("-._~", sign)) {
      *end++ = (char)sign;
    } else {
      *end++ = '%';
      *end++ = digits[sign >> 4];
      *end++ = digits[sign & 15];
    }
  }
  return end;
}

/* Fields as a query and a form have them (application/x-www-form-urlencoded of the URL standard). */
static const char *form_fields(const parlor_field *fields) {
  size_t count = field_count(fields), size = 1;
  for (size_t at = 0; at < count; at++) {
    if (fields[at].value) size += 3 * (strlen(fields[at].name) + strlen(fields[at].value)) + 2;
  }
  char *pairs = take(size), *end = pairs;
  for (size_t at = 0; at < count; at++) {
    if (!fields[at].value) continue;
    if (end > pairs) *end++ = '&';
    end = form_text(end, fields[at].name);
    *end++ = '=';
    end = form_text(end, fields[at].value);
  }
  *end = 0;
  return pairs;
}

/* The address with its whole query. A client does not send the fragment, the part from the # on (RFC 3986, section 3.5). */
static const char *address_of(const parlor_http_request *request) {
  const char *url = request->url ? request->url : "", *query = form_fields(request->query);
  if (!*query) return url;
  size_t end = strcspn(url, "#");
  return parlor_format("%.*s%c%s%s", (int)end, url, memchr(url, '?', end) ? '&' : '?', query, url + end);
}

/* Puts a request as the contract has it into `asked`. */
static parlor_error request_of(const parlor_http_request *request, parlor_plugin_http_request_t *asked) {
  const char *fields = request->fields ? form_fields(request->fields) : NULL;
  const char *text = request->json ? request->json : fields, *body = text ? text : request->body;
  const char *type = request->json ? "application/json" : fields ? "application/x-www-form-urlencoded" : NULL;
  plugin_list_u8_t whole = body_of(body, text ? 0 : request->size);
  if ((request->body != NULL) + (request->json != NULL) + (request->form != NULL) + (fields != NULL) > 1) {
    return invalid("request", "has more than one of body, json, form and fields");
  }
  parlor_error error = request->form ? form_of(request->form, &type, &whole) : PARLOR_OK;
  if (error) return error;
  size_t credentials = 0;
  while (request->credentials && request->credentials[credentials]) credentials++;
  plugin_string_t *names = parlor_memory(credentials * sizeof *names);
  for (size_t at = 0; at < credentials; at++) names[at] = parlor_text(request->credentials[at]);
  uint64_t *timeout = lasting_for(request->timeout);
  *asked = (parlor_plugin_http_request_t){
      .method = parlor_text(request->method ? request->method : "GET"),
      .url = parlor_text(address_of(request)),
      .body = {body || request->form, whole},
      .credentials = {names, credentials},
      .follow = request->follow,
      .timeout = {timeout != NULL, timeout ? *timeout : 0},
  };
  asked->headers.ptr = headers_of(request->headers, type, request->form != NULL, &asked->headers.len);
  return PARLOR_OK;
}

parlor_error parlor_http_fetch(const parlor_http_request *request, parlor_http_response *response) {
  parlor_plugin_http_request_t asked;
  parlor_plugin_http_response_t answer;
  parlor_plugin_types_error_t error;
  *response = (parlor_http_response){0};
  parlor_error refused = request_of(request, &asked);
  if (refused) return refused;
  bool done = parlor_plugin_http_fetch(&asked, &answer, &error);
  if (done) {
    char *body = parlor_memory(answer.body.len + 1);
    memcpy(body, answer.body.ptr, answer.body.len);
    body[answer.body.len] = 0;
    const parlor_field *headers = shown_headers(answer.headers.ptr, answer.headers.len);
    *response = (parlor_http_response){answer.status, some(answer.url), headers, body, answer.body.len};
  }
  return parlor_done(done, &error);
}

parlor_error parlor_http_get(const char *url, parlor_http_response *response) {
  return parlor_http_fetch(&(parlor_http_request){.url = url}, response);
}

/* How many bytes the host takes of a body at once. */
#define MOST_WRITTEN (1u << 20)

typedef bool writing(uint64_t, plugin_list_u8_t *, parlor_plugin_types_error_t *);

/* By the call that is given, so that a plugin imports no other one; so below. */
static parlor_error write_all(writing *send, uint64_t to, const void *part, size_t size) {
  for (const uint8_t *at = part; size > 0;) {
    plugin_list_u8_t piece = {(uint8_t *)at, size < MOST_WRITTEN ? size : MOST_WRITTEN};
    parlor_plugin_types_error_t error;
    if (!send(to, &piece, &error)) return parlor_done(false, &error);
    at += piece.len;
    size -= piece.len;
  }
  return PARLOR_OK;
}

/* The block of the part that was read last. The next one takes its place, so that a long body is never whole in memory. */
static uint64_t last_part;

typedef bool reading(uint64_t, plugin_option_list_u8_t *, parlor_plugin_types_error_t *);

static parlor_error read_next(reading *next, uint64_t from, const char **part, size_t *size) {
  *part = NULL;
  *size = 0;
  if (last_part) forget_one(last_part);
  last_part = 0;
  plugin_option_list_u8_t read;
  parlor_plugin_types_error_t error;
  if (!next(from, &read, &error)) return parlor_done(false, &error);
  if (!read.is_some) return PARLOR_OK;
  *part = read.val.len ? (const char *)read.val.ptr : "";
  *size = read.val.len;
  if (blocks && blocks->data == read.val.ptr) last_part = blocks->number;
  return PARLOR_OK;
}

parlor_error parlor_http_open(const parlor_http_request *request, uint64_t *exchange) {
  *exchange = 0;
  parlor_plugin_http_request_t asked;
  parlor_error refused = request_of(request, &asked);
  if (refused) return refused;
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_http_open(&asked, exchange, &error), &error);
}

parlor_error parlor_http_write(uint64_t exchange, const void *part, size_t size) {
  return write_all(parlor_plugin_http_write, exchange, part, size);
}

parlor_error parlor_http_answer(uint64_t exchange, parlor_http_head *head) {
  *head = (parlor_http_head){0};
  parlor_plugin_http_head_t answer;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_http_answer(exchange, &answer, &error);
  if (done) *head = (parlor_http_head){answer.status, shown_headers(answer.headers.ptr, answer.headers.len)};
  return parlor_done(done, &error);
}

parlor_error parlor_http_read(uint64_t exchange, const char **part, size_t *size) {
  return read_next(parlor_plugin_http_read, exchange, part, size);
}

void parlor_http_close(uint64_t exchange) {
  parlor_plugin_types_error_t error;
  /* One that has ended need not be closed. */
  if (exchange) (void)parlor_plugin_http_close(exchange, &error);
}

parlor_error parlor_files_upload(const char *name, const char *media_type, uint64_t size, uint64_t *transfer) {
  *transfer = 0;
  plugin_string_t file = parlor_text(name), kind = parlor_text(media_type);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_files_upload(&file, &kind, size, transfer, &error), &error);
}

parlor_error parlor_files_upload_encrypted(const char *name, const char *media_type, uint64_t size, uint64_t *transfer) {
  *transfer = 0;
  plugin_string_t file = parlor_text(name), kind = parlor_text(media_type);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_files_upload_encrypted(&file, &kind, size, transfer, &error), &error);
}

parlor_error parlor_files_write(uint64_t transfer, const void *part, size_t size) {
  return write_all(parlor_plugin_files_write, transfer, part, size);
}

parlor_error parlor_files_finish(uint64_t transfer, parlor_file *file) {
  *file = (parlor_file){0};
  parlor_plugin_types_file_t sent;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_files_finish(transfer, &sent, &error);
  if (done) *file = shown_file(&sent);
  return parlor_done(done, &error);
}

parlor_error parlor_files_open(const char *url, parlor_opened *opened) {
  *opened = (parlor_opened){0};
  plugin_string_t address = parlor_text(url);
  parlor_plugin_files_opened_t all;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_files_open(&address, &all, &error);
  if (done) *opened = (parlor_opened){all.transfer, all.size.is_some ? all.size.val : 0, maybe(all.media_type)};
  return parlor_done(done, &error);
}

parlor_error parlor_files_read(uint64_t transfer, const char **part, size_t *size) {
  return read_next(parlor_plugin_files_read, transfer, part, size);
}

void parlor_files_close(uint64_t transfer) {
  parlor_plugin_types_error_t error;
  if (transfer) (void)parlor_plugin_files_close(transfer, &error);
}

const char *parlor_webhook_header(const parlor_webhook *hook, const char *name) {
  for (const parlor_field *at = hook->headers; at->name; at++) {
    if (is_same(at->name, strlen(at->name), name)) return at->value;
  }
  return NULL;
}

/* The value of a digit, or -1. */
static int digit_of(char sign) {
  if (sign >= '0' && sign <= '9') return sign - '0';
  if (sign >= 'a' && sign <= 'f') return sign - 'a' + 10;
  return sign >= 'A' && sign <= 'F' ? sign - 'A' + 10 : -1;
}

/* A text of a query or a form. A % without two digits behind it stays. */
static const char *form_decoded(const char *text, size_t length) {
  char *decoded = take(length), *end = decoded;
  for (size_t at = 0; at < length; at++) {
    int high = length - at > 2 ? digit_of(text[at + 1]) : -1, low = high < 0 ? -1 : digit_of(text[at + 2]);
    if (text[at] == '%' && low >= 0) {
      *end++ = (char)(high * 16 + low);
      at += 2;
    } else {
      *end++ = text[at] == '+' ? ' ' : text[at];
    }
  }
  *end = 0;
  return decoded;
}

const char *parlor_webhook_field(const char *fields, const char *name) {
  while (fields && *fields) {
    size_t length = strcspn(fields, "&"), key = strcspn(fields, "=&");
    if (length > 0 && !strcmp(form_decoded(fields, key), name)) {
      return key < length ? form_decoded(fields + key + 1, length - key - 1) : "";
    }
    fields += length + (fields[length] == '&');
  }
  return NULL;
}

parlor_error parlor_webhooks_answer(const char *id, const parlor_webhook_answer *answer) {
  if (answer->body && answer->json) return invalid("answer", "has more than one of body and json");
  plugin_string_t request = parlor_text(id);
  const char *body = answer->json ? answer->json : answer->body;
  parlor_plugin_webhooks_response_t response = {
      /* A size that is too large for the contract is too large for the host, too. */
      .status = answer->status > UINT16_MAX ? UINT16_MAX : (uint16_t)(answer->status ? answer->status : 200),
      .body = body ? body_of(body, answer->json ? 0 : answer->size) : (plugin_list_u8_t){0},
  };
  response.headers.ptr = headers_of(answer->headers, answer->json ? "application/json" : NULL, false, &response.headers.len);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_webhooks_answer(&request, &response, &error), &error);
}

parlor_error parlor_webhooks_address(const char *name, const char **address) {
  plugin_string_t webhook = parlor_text(name), found;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_webhooks_address(&webhook, &found, &error);
  *address = done ? some(found) : NULL;
  return parlor_done(done, &error);
}

/* Puts a text of a call into `place`, which may be NULL: NULL where the call failed. */
static parlor_error told(bool done, plugin_string_t text, parlor_plugin_types_error_t *error, const char **place) {
  if (place) *place = done ? some(text) : NULL;
  return parlor_done(done, error);
}

parlor_error parlor_schedules_every(const char *name, double seconds, uint32_t catch_up, const char **first) {
  plugin_string_t schedule = parlor_text(name), due = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_every(&schedule, milliseconds(seconds), catch_up, &due, &error);
  return told(done, due, &error, first);
}

parlor_error parlor_schedules_at(const char *name, const char *due, uint32_t catch_up, bool *set) {
  plugin_string_t schedule = parlor_text(name), moment = parlor_text(due);
  bool is_set = false;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_at(&schedule, &moment, catch_up, &is_set, &error);
  if (set) *set = done && is_set;
  return parlor_done(done, &error);
}

parlor_error parlor_schedules_cron(const char *name, const char *expression, const char *zone, uint32_t catch_up, const char **first) {
  plugin_string_t schedule = parlor_text(name), fields = parlor_text(expression), where = parlor_text(zone), due = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_cron(&schedule, &fields, &where, catch_up, &due, &error);
  return told(done, due, &error, first);
}

static parlor_schedule shown_schedule(const parlor_plugin_schedules_schedule_t *all) {
  parlor_schedule shown = {
      .name = some(all->name), .catch_up = all->catch_up, .next = all->next.is_some ? some(all->next.val) : NULL, .paused = all->paused};
  switch (all->timing.tag) {
    case PARLOR_PLUGIN_SCHEDULES_TIMING_EVERY:
      shown.every = (double)all->timing.val.every / 1000;
      break;
    case PARLOR_PLUGIN_SCHEDULES_TIMING_AT:
      shown.at = some(all->timing.val.at);
      break;
    case PARLOR_PLUGIN_SCHEDULES_TIMING_CRON:
      shown.cron = some(all->timing.val.cron.f0);
      shown.zone = some(all->timing.val.cron.f1);
      break;
  }
  return shown;
}

parlor_error parlor_schedules_list(parlor_schedule **schedules, size_t *count) {
  parlor_plugin_schedules_list_schedule_t all = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_list(&all, &error);
  *count = done ? all.len : 0;
  *schedules = parlor_memory((*count + 1) * sizeof **schedules);
  for (size_t i = 0; i < *count; i++) (*schedules)[i] = shown_schedule(&all.ptr[i]);
  return parlor_done(done, &error);
}

parlor_error parlor_schedules_cancel(const char *name, bool *there) {
  plugin_string_t schedule = parlor_text(name);
  bool was_there = false;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_cancel(&schedule, &was_there, &error);
  if (there) *there = done && was_there;
  return parlor_done(done, &error);
}

parlor_error parlor_schedules_to_local(const char *moment, const char *zone, parlor_local_time *local) {
  plugin_string_t time = parlor_text(moment), where = parlor_text(zone);
  parlor_plugin_schedules_local_time_t shown;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_to_local(&time, &where, &shown, &error);
  *local = (parlor_local_time){0};
  if (done) {
    *local = (parlor_local_time){shown.year,   shown.month,   shown.day,    shown.hour,   shown.minute,
                                 shown.second, shown.weekday, shown.offset, some(shown.abbreviation)};
  }
  return parlor_done(done, &error);
}

parlor_error parlor_schedules_format(const char *moment, const char *zone, const char *pattern, const char **text) {
  plugin_string_t time = parlor_text(moment), where = parlor_text(zone), how = parlor_text(pattern), shown = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_format(&time, &where, &how, &shown, &error);
  return told(done, shown, &error, text);
}

parlor_error parlor_schedules_parse(const char *text, const char *zone, const char **moment) {
  plugin_string_t said = parlor_text(text), where = parlor_text(zone), meant = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_schedules_parse(&said, &where, &meant, &error);
  return told(done, meant, &error, moment);
}

parlor_error parlor_iq_answer(const char *id, const char *xml) {
  plugin_string_t request = parlor_text(id), payload = parlor_text(xml ? xml : "");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_iq_answer(&request, xml ? &payload : NULL, &error), &error);
}

parlor_error parlor_iq_refuse(const char *id, const char *condition, const char *text) {
  plugin_string_t request = parlor_text(id), which = parlor_text(condition), why = parlor_text(text ? text : "");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_iq_refuse(&request, &which, text ? &why : NULL, &error), &error);
}

parlor_error parlor_plugins_call(const char *plugin, const char *name, const char *json, const char **answer) {
  plugin_string_t asked = parlor_text(plugin), which = parlor_text(name), value = parlor_text(json ? json : "null"), given;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_plugins_call(&asked, &which, &value, &given, &error);
  *answer = done ? some(given) : NULL;
  return parlor_done(done, &error);
}

parlor_error parlor_plugins_answer(const char *id, const char *json) {
  plugin_string_t request = parlor_text(id), value = parlor_text(json ? json : "null");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_plugins_answer(&request, &value, &error), &error);
}

parlor_error parlor_plugins_refuse(const char *id, const char *text) {
  plugin_string_t request = parlor_text(id), why = parlor_text(text);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_plugins_refuse(&request, &why, &error), &error);
}

parlor_error parlor_hooks_allow(const char *id) {
  plugin_string_t question = parlor_text(id);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_hooks_allow(&question, &error), &error);
}

parlor_error parlor_hooks_alter(const char *id, const char *body, const char *subject) {
  plugin_string_t question = parlor_text(id), text = parlor_text(body ? body : ""), about = parlor_text(subject ? subject : "");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_hooks_alter(&question, body ? &text : NULL, subject ? &about : NULL, &error), &error);
}

parlor_error parlor_hooks_stop(const char *id, const char *reason) {
  plugin_string_t question = parlor_text(id), why = parlor_text(reason ? reason : "");
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_hooks_stop(&question, reason ? &why : NULL, &error), &error);
}

parlor_error parlor_hooks_mark(const char *id, const char *label) {
  plugin_string_t question = parlor_text(id), text = parlor_text(label);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_hooks_mark(&question, &text, &error), &error);
}

/* A question that waits for its answer. */
typedef struct question {
  uint64_t number;
  parlor_answered *answered;
  void *context;
} question;

static parlor_error dialog_ended(const parlor_event *event, void *context) {
  (void)event;
  question asked = *(question *)context;
  free(context);
  parlor_plugin_dialogs_answer_t given = {0};
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_dialogs_take(asked.number, &given, &error)) {
    parlor_error why = parlor_done(false, &error);
    return asked.answered(NULL, why, asked.context);
  }
  parlor_dialog_answer answer = {.text = some(given.text), .choice = given.choice.is_some ? (int)given.choice.val : -1};
  return asked.answered(&answer, PARLOR_OK, asked.context);
}

static parlor_plugin_dialogs_question_t question_of(const parlor_question *one) {
  parlor_plugin_dialogs_question_t wanted = {.text = parlor_text(one->text), .choices = list_of(one->choices)};
  wanted.timeout.is_some = one->timeout != 0;
  wanted.timeout.val = milliseconds(one->timeout);
  return wanted;
}

static void await_answer(uint64_t number, parlor_answered *answered, void *context) {
  question *asked = malloc(sizeof *asked);
  if (!asked) abort();
  *asked = (question){number, answered, context};
  listen(number, dialog_ended, asked, true, false, NULL);
}

parlor_error parlor_dialogs_ask(const char *to, const parlor_question *one, parlor_answered *answered, void *context) {
  plugin_string_t person = parlor_text(to);
  parlor_plugin_dialogs_question_t wanted = question_of(one);
  uint64_t number;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_dialogs_begin(&person, &wanted, &number, &error);
  if (done) await_answer(number, answered, context);
  return parlor_done(done, &error);
}

parlor_error parlor_dialogs_ask_in_room(const char *room, const char *nick, const parlor_question *one, parlor_answered *answered, void *context) {
  plugin_string_t where = parlor_text(room), who = parlor_text(nick ? nick : "");
  parlor_plugin_dialogs_question_t wanted = question_of(one);
  uint64_t number;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_dialogs_begin_in_room(&where, &who, &wanted, &number, &error);
  if (done) await_answer(number, answered, context);
  return parlor_done(done, &error);
}

parlor_error parlor_ask_author(const parlor_message *of, const parlor_question *one, parlor_answered *answered, void *context) {
  bool in_room = strcmp(of->kind, "groupchat") == 0;
  if (in_room) return parlor_dialogs_ask_in_room(of->chat, of->nick, one, answered, context);
  return parlor_dialogs_ask(of->chat, one, answered, context);
}

parlor_error parlor_dialogs_cancel(parlor_answered *answered, void *context) {
  parlor_error result = PARLOR_NOT_FOUND;
  for (listener *at = listeners, *next; at; at = next) {
    next = at->next;
    if (at->handler != dialog_ended) continue;
    question *asked = at->context;
    if (asked->answered != answered || asked->context != context) continue;
    parlor_plugin_types_error_t error;
    /* It may have ended, with the event still on its way. */
    parlor_plugin_dialogs_cancel(asked->number, &error);
    free(asked);
    unlisten(at);
    result = PARLOR_OK;
  }
  return result;
}

static parlor_plugin_pubsub_node_options_t node_options(const parlor_node_options *options) {
  parlor_plugin_pubsub_node_options_t wanted = {0};
  if (!options) return wanted;
  wanted.access = option(options->access);
  wanted.publishers = option(options->publishers);
  wanted.title = option(options->title);
  wanted.persist.is_some = options->persist != 0;
  wanted.persist.val = options->persist > 0;
  wanted.max_items.is_some = options->max_items != 0;
  wanted.max_items.val = options->max_items;
  return wanted;
}

static parlor_node_item shown_node_item(const parlor_plugin_pubsub_node_item_t *all) {
  return (parlor_node_item){
      .id = some(all->id), .publisher = all->publisher.is_some ? some(all->publisher.val) : NULL, .xml = maybe(all->xml), .cut = all->cut};
}

parlor_error parlor_pubsub_publish(const char *service, const char *node, const char *id, const char *xml, const parlor_node_options *options,
                                   const char **published) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node), payload = parlor_text(xml), item = parlor_text(id ? id : ""), given = {0};
  parlor_plugin_pubsub_node_options_t wanted = node_options(options);
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_pubsub_publish(&of, &in, &payload, id ? &item : NULL, options ? &wanted : NULL, &given, &error);
  if (published) *published = done ? some(given) : NULL;
  return parlor_done(done, &error);
}

parlor_error parlor_pubsub_retract(const char *service, const char *node, const char *id) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node), item = parlor_text(id);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_retract(&of, &in, &item, &error), &error);
}

parlor_error parlor_pubsub_items(const char *service, const char *node, uint32_t most, const char *after, parlor_node_item **items, size_t *count,
                                 const char **last) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node), place = parlor_text(after ? after : "");
  parlor_plugin_pubsub_node_page_t page = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_pubsub_items(&of, &in, most, after ? &place : NULL, &page, &error);
  *count = done ? page.items.len : 0;
  *items = parlor_memory((*count + 1) * sizeof **items);
  for (size_t i = 0; i < *count; i++) (*items)[i] = shown_node_item(&page.items.ptr[i]);
  if (last) *last = done ? maybe(page.last) : NULL;
  return parlor_done(done, &error);
}

parlor_error parlor_pubsub_item(const char *service, const char *node, const char *id, parlor_node_item **item) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node), which = parlor_text(id);
  parlor_plugin_pubsub_option_node_item_t found = {0};
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_pubsub_item(&of, &in, &which, &found, &error);
  *item = NULL;
  if (done && found.is_some) {
    *item = parlor_memory(sizeof **item);
    **item = shown_node_item(&found.val);
  }
  return parlor_done(done, &error);
}

parlor_error parlor_pubsub_subscribe(const char *service, const char *node, bool *in_force) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  bool is_in_force = false;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_pubsub_subscribe(&of, &in, &is_in_force, &error);
  if (in_force) *in_force = done && is_in_force;
  return parlor_done(done, &error);
}

parlor_error parlor_pubsub_unsubscribe(const char *service, const char *node) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_unsubscribe(&of, &in, &error), &error);
}

parlor_error parlor_pubsub_create(const char *service, const char *node, const parlor_node_options *options) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  parlor_plugin_pubsub_node_options_t wanted = node_options(options);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_create(&of, &in, options ? &wanted : NULL, &error), &error);
}

parlor_error parlor_pubsub_configure(const char *service, const char *node, const parlor_node_options *options) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  parlor_plugin_pubsub_node_options_t wanted = node_options(options);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_configure(&of, &in, &wanted, &error), &error);
}

parlor_error parlor_pubsub_purge(const char *service, const char *node) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_purge(&of, &in, &error), &error);
}

parlor_error parlor_pubsub_delete(const char *service, const char *node) {
  plugin_string_t of = parlor_text(service), in = parlor_text(node);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_pubsub_delete(&of, &in, &error), &error);
}

parlor_error parlor_storage_set(const char *key, const char *text, double expires) {
  if (!text) return invalid("value", "there is none to keep; parlor_storage_delete forgets the one that is there");
  plugin_string_t name = parlor_text(key);
  plugin_list_u8_t value = {(uint8_t *)text, strlen(text)};
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_storage_set(&name, &value, lasting_for(expires), &error), &error);
}

parlor_error parlor_storage_get(const char *key, const char **text) {
  plugin_string_t name = parlor_text(key);
  plugin_option_list_u8_t value;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_storage_get(&name, &value, &error);
  *text = done && value.is_some ? (value.val.len ? (const char *)value.val.ptr : "") : NULL;
  return parlor_done(done, &error);
}

static plugin_list_u8_t bytes(const char *text) {
  return (plugin_list_u8_t){(uint8_t *)text, text ? strlen(text) : 0};
}

parlor_error parlor_storage_compare_and_set(const char *key, const char *expected, const char *text, double expires, bool *done) {
  plugin_string_t name = parlor_text(key);
  plugin_list_u8_t old = bytes(expected), fresh = bytes(text), *before = expected ? &old : NULL, *after = text ? &fresh : NULL;
  bool is_set = false;
  parlor_plugin_types_error_t error;
  bool is_done = parlor_plugin_storage_compare_and_set(&name, before, after, lasting_for(expires), &is_set, &error);
  if (done) *done = is_done && is_set;
  return parlor_done(is_done, &error);
}

parlor_error parlor_storage_delete(const char *key) {
  plugin_string_t name = parlor_text(key);
  bool there;
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_storage_delete(&name, &there, &error), &error);
}

parlor_error parlor_storage_keys(const char *prefix, const char ***keys, size_t *count) {
  plugin_string_t begin = parlor_text(prefix), after;
  const char **all = NULL;
  size_t known = 0, room = 0;
  bool more = false;
  *keys = NULL;
  *count = 0;
  do {
    parlor_plugin_storage_page_t page;
    parlor_plugin_types_error_t error;
    if (!parlor_plugin_storage_list(&begin, more ? &after : NULL, 1000, &page, &error)) return parlor_done(false, &error);
    if (known + page.keys.len >= room) {
      room = 2 * (known + page.keys.len) + 1;
      const char **longer = parlor_memory(room * sizeof *longer);
      if (known) memcpy(longer, all, known * sizeof *longer);
      all = longer;
    }
    for (size_t i = 0; i < page.keys.len; i++) all[known++] = some(page.keys.ptr[i]);
    more = page.next.is_some;
    after = page.next.val;
  } while (more);
  *keys = all;
  *count = known;
  return PARLOR_OK;
}

/* The entries of all pages so far. */
typedef struct collected {
  parlor_entry *all;
  size_t known, room;
} collected;

static void collect(collected *entries, const parlor_plugin_storage_list_entry_t *page) {
  if (entries->known + page->len >= entries->room) {
    entries->room = 2 * (entries->known + page->len) + 1;
    parlor_entry *longer = parlor_memory(entries->room * sizeof *longer);
    if (entries->known) memcpy(longer, entries->all, entries->known * sizeof *longer);
    entries->all = longer;
  }
  for (size_t i = 0; i < page->len; i++) {
    const parlor_plugin_storage_entry_t *one = &page->ptr[i];
    entries->all[entries->known++] = (parlor_entry){some(one->key), (const char *)one->value.ptr, one->value.len};
  }
}

parlor_error parlor_storage_entries(const char *prefix, parlor_entry **entries, size_t *count) {
  plugin_string_t begin = parlor_text(prefix), after;
  collected found = {0};
  bool more = false;
  *entries = NULL;
  *count = 0;
  do {
    parlor_plugin_storage_entries_page_t page;
    parlor_plugin_types_error_t error;
    if (!parlor_plugin_storage_entries(&begin, more ? &after : NULL, 1000, &page, &error)) return parlor_done(false, &error);
    collect(&found, &page.entries);
    more = page.next.is_some;
    after = page.next.val;
  } while (more);
  *entries = found.all;
  *count = found.known;
  return PARLOR_OK;
}

parlor_error parlor_storage_range(const parlor_range *range, parlor_entry **entries, size_t *count) {
  plugin_string_t after;
  collected found = {0};
  bool more = false;
  *entries = NULL;
  *count = 0;
  do {
    parlor_plugin_storage_key_range_t wanted = {.prefix = parlor_text(range->prefix ? range->prefix : ""), .descending = range->descending};
    wanted.from.is_some = range->from != NULL;
    if (range->from) wanted.from.val = parlor_text(range->from);
    wanted.to.is_some = range->to != NULL;
    if (range->to) wanted.to.val = parlor_text(range->to);
    size_t left = range->limit ? range->limit - found.known : 1000;
    parlor_plugin_storage_entries_page_t page;
    parlor_plugin_types_error_t error;
    if (!parlor_plugin_storage_range(&wanted, more ? &after : NULL, left < 1000 ? (uint32_t)left : 1000, &page, &error)) {
      return parlor_done(false, &error);
    }
    collect(&found, &page.entries);
    more = page.next.is_some && (!range->limit || found.known < range->limit);
    after = page.next.val;
  } while (more);
  *entries = found.all;
  *count = found.known;
  return PARLOR_OK;
}

static parlor_plugin_storage_add_number_t number_of(const char *key, int64_t amount, double expires) {
  parlor_plugin_storage_add_number_t number = {.key = parlor_text(key), .amount = amount};
  uint64_t *lasts = lasting_for(expires);
  number.expires.is_some = lasts != NULL;
  if (lasts) number.expires.val = *lasts;
  return number;
}

parlor_error parlor_storage_add(const char *key, int64_t amount, double expires, int64_t *sum) {
  parlor_plugin_storage_add_number_t number = number_of(key, amount, expires);
  int64_t added = 0;
  parlor_plugin_types_error_t error;
  bool done = parlor_plugin_storage_add(&number, &added, &error);
  if (sum) *sum = done ? added : 0;
  return parlor_done(done, &error);
}

/* Returns a change as the contract has it. */
static parlor_plugin_storage_key_change_t change_of(const parlor_change *change) {
  parlor_plugin_storage_key_change_t made = {0};
  uint64_t *lasts;
  switch (change->kind) {
    case PARLOR_CHANGE_SET:
      made.tag = PARLOR_PLUGIN_STORAGE_KEY_CHANGE_SET;
      made.val.set.key = parlor_text(change->key);
      made.val.set.value = bytes(change->text);
      lasts = lasting_for(change->expires);
      made.val.set.expires.is_some = lasts != NULL;
      if (lasts) made.val.set.expires.val = *lasts;
      break;
    case PARLOR_CHANGE_ADD:
      made.tag = PARLOR_PLUGIN_STORAGE_KEY_CHANGE_ADD;
      made.val.add = number_of(change->key, change->amount, change->expires);
      break;
    case PARLOR_CHANGE_DELETE:
      made.tag = PARLOR_PLUGIN_STORAGE_KEY_CHANGE_DELETE;
      made.val.delete_ = parlor_text(change->key);
      break;
    case PARLOR_CHANGE_EXPECT:
      made.tag = PARLOR_PLUGIN_STORAGE_KEY_CHANGE_EXPECT;
      made.val.expect.f0 = parlor_text(change->key);
      made.val.expect.f1.is_some = change->text != NULL;
      made.val.expect.f1.val = bytes(change->text);
      break;
  }
  return made;
}

parlor_error parlor_storage_change(const parlor_change *changes, bool *done) {
  size_t count = 0;
  bool is_made = false;
  if (done) *done = false;
  for (; changes[count].key; count++) {
    if (changes[count].kind == PARLOR_CHANGE_SET && !changes[count].text) return invalid("changes", "one sets a text, and has none");
  }
  parlor_plugin_storage_list_key_change_t all = {parlor_memory(count * sizeof *all.ptr), count};
  for (size_t at = 0; at < count; at++) all.ptr[at] = change_of(&changes[at]);
  parlor_plugin_types_error_t error;
  bool is_done = parlor_plugin_storage_change(&all, &is_made, &error);
  if (done) *done = is_done && is_made;
  return parlor_done(is_done, &error);
}

const char *parlor_user_bare_jid(void) {
  plugin_string_t jid;
  parlor_plugin_user_bare_jid(&jid);
  return some(jid);
}

/* ---- What the host calls ----------------------------------------------------------------------------------------------- */

#define TOO_EARLY "a plugin starts before its account is logged in; wait for `initialized`, or use parlor_on_ready"

__attribute__((__weak__)) void parlor_stop(void) {}

/* It is there where something prints, and asking for it here does not bring it. */
extern FILE *const stdout __attribute__((__weak__));

/* Without it a plugin links as well, so that the build says in its own words what is missing. */
__attribute__((__weak__)) parlor_error parlor_start(void);

bool exports_parlor_plugin_guest_initialize(plugin_string_t *error) {
  /* The log is no terminal, for which C would keep lines until there are many. */
  if (&stdout) setvbuf(stdout, NULL, _IOLBF, 0);
  if (parlor_start() == PARLOR_OK) {
    forget_all();
    return true;
  }
  /* It lives on for the host, which reads it and ends the plugin. */
  const char *reason = failure.text ? logged() : "parlor_start did not return PARLOR_OK";
  if (failure.error == PARLOR_OFFLINE) reason = parlor_format("%s: " TOO_EARLY, reason);
  *error = parlor_text(reason);
  return false;
}

void exports_parlor_plugin_guest_stop(void) {
  parlor_stop();
}

/* Returns where the white space, or the word, at the beginning of a text ends. */
static const char *end_of(const char *text, bool white) {
  unsigned code;
  const char *next;
  for (; *text; text = next) {
    next = character(text, &code);
    if (is_white(code) != white) break;
  }
  return text;
}

/* A text without the white space at its end. */
static const char *trimmed(const char *text) {
  const char *end = text;
  for (const char *at = text; *at; at = end_of(at, true)) at = end = end_of(at, false);
  return parlor_format("%.*s", (int)(end - text), text);
}

/* Returns the text after a command's name; the prefix is before the name, in the same word or in one of its own. */
static const char *rest_of(const char *name, const char *body) {
  while (body && *body) {
    const char *word = end_of(body, true);
    body = end_of(word, false);
    bool is_it = false;
    unsigned code;
    for (; word < body && !is_it; word = character(word, &code)) is_it = is_same(word, (size_t)(body - word), name);
    if (is_it) return trimmed(end_of(body, true));
  }
  return "";
}

static const parlor_command *command_of(const parlor_plugin_types_command_t *all) {
  parlor_command *command = parlor_memory(sizeof *command);
  command->name = some(all->name);
  command->count = all->args.len;
  const parlor_message message = {.body = maybe(all->message.body), .all = &all->message};
  command->rest = rest_of(command->name, said(&message));
  command->arguments = texts(all->args);
  command->all = all;
  return command;
}

static const parlor_contact *shown_contact(const parlor_plugin_types_contact_t *all) {
  parlor_contact *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_contact){
      .jid = some(all->jid), .fullname = some(all->fullname), .subscription = some(all->subscription),
      .chat_status = some(all->chat_status), .status = maybe(all->status), .requesting = all->requesting, .all = all};
  return shown;
}

static const char *or_null(const char *text) {
  return text ? parlor_quote(text) : "null";
}

static const char *resources(parlor_plugin_types_list_resource_t all) {
  const char *list = "";
  for (size_t at = 0; at < all.len; at++) {
    const parlor_plugin_types_resource_t *one = &all.ptr[at];
    list = parlor_format(
        "%s%s{\"name\":%s,\"priority\":%d,\"show\":%s,\"status\":%s,\"since\":%s}", list, at ? "," : "", parlor_quote(some(one->name)),
        one->priority, or_null(maybe(one->show)), or_null(maybe(one->status)), parlor_quote(some(one->since)));
  }
  return parlor_format("[%s]", list);
}

static const char *groups(plugin_list_string_t all) {
  const char *list = "";
  for (size_t at = 0; at < all.len; at++) list = parlor_format("%s%s%s", list, at ? "," : "", parlor_quote(some(all.ptr[at])));
  return parlor_format("[%s]", list);
}

/* Whether this is a name such as `chat_status`, which any language may spell in its own way: `chat-status`, `chatStatus`. */
static bool is_called(const char *name, const char *known) {
  for (char before = 0; *known; before = *name++, known++) {
    bool is_capital = *name >= 'A' && *name <= 'Z' && before >= 'a' && before <= 'z';
    if (is_capital && *known == '_') known++;
    char sign = is_capital ? (char)(*name - 'A' + 'a') : *name == '-' ? '_' : *name;
    if (sign != *known) return false;
  }
  return !*name;
}

const char *parlor_contact_get(const parlor_contact *contact, const char *name) {
  const parlor_plugin_types_contact_t *all = contact->all;
  if (is_called(name, "id") || is_called(name, "jid")) return contact->jid;
  if (is_called(name, "fullname")) return contact->fullname;
  if (is_called(name, "user_id")) return some(all->user_id);
  if (is_called(name, "subscription")) return contact->subscription;
  if (is_called(name, "ask")) return maybe(all->ask);
  if (is_called(name, "requesting")) return contact->requesting ? "true" : "false";
  if (is_called(name, "groups")) return groups(all->groups);
  if (is_called(name, "chat_status")) return contact->chat_status;
  if (is_called(name, "status")) return contact->status;
  if (is_called(name, "resources")) return resources(all->resources);
  if (is_called(name, "image")) return maybe(all->image);
  if (is_called(name, "image_type")) return maybe(all->image_type);
  if (is_called(name, "url")) return maybe(all->url);
  if (is_called(name, "vcard_updated")) return all->vcard_updated.is_some ? some(all->vcard_updated.val) : NULL;
  return NULL;
}

const char *parlor_contact_address(const parlor_contact *contact) {
  return contact ? contact->jid : NULL;
}

const char *parlor_room_address(const parlor_room *room) {
  return room ? room->jid : NULL;
}

const char *parlor_occupant_address(const parlor_occupant *occupant) {
  return occupant ? parlor_format("%s/%s", occupant->room, occupant->nick) : NULL;
}

const char *parlor_types_contact_address(const parlor_plugin_types_contact_t *contact) {
  return contact ? some(contact->jid) : NULL;
}

const char *parlor_types_chat_address(const parlor_plugin_types_chat_t *chat) {
  return chat ? some(chat->jid) : NULL;
}

const char *parlor_types_view_address(const parlor_plugin_types_view_t *view) {
  return view ? some(view->jid) : NULL;
}

const char *parlor_types_room_address(const parlor_plugin_types_room_t *room) {
  return room ? some(room->jid) : NULL;
}

const char *parlor_types_occupant_address(const parlor_plugin_types_occupant_t *occupant) {
  return occupant ? parlor_format("%s/%s", some(occupant->room), some(occupant->nick)) : NULL;
}

const char *parlor_text_address(const char *address) {
  return address;
}

parlor_error parlor_vcard_get(const char *address, bool again, const parlor_vcard **card) {
  *card = NULL;
  plugin_string_t jid = parlor_text(address);
  parlor_plugin_vcard_card_t *all = parlor_memory(sizeof *all);
  parlor_plugin_types_error_t error;
  if (!parlor_plugin_vcard_get(&jid, again, all, &error)) return parlor_done(false, &error);
  parlor_vcard *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_vcard){
      .fn = maybe(all->fn), .nickname = maybe(all->nickname), .url = maybe(all->url), .role = maybe(all->role),
      .email = maybe(all->email), .image = maybe(all->image), .image_type = maybe(all->image_type),
      .updated = some(all->vcard_updated)};
  *card = shown;
  return PARLOR_OK;
}

parlor_error parlor_vcard_update(const char *address, bool again) {
  plugin_string_t jid = parlor_text(address);
  parlor_plugin_types_error_t error;
  return parlor_done(parlor_plugin_vcard_update(&jid, again, &error), &error);
}

static const parlor_invite *shown_invite(const parlor_plugin_types_invite_t *all) {
  parlor_invite *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_invite){
      .room = some(all->room), .from = some(all->from), .reason = maybe(all->reason), .password = maybe(all->password)};
  return shown;
}

static const parlor_webhook *shown_webhook(const parlor_plugin_types_webhook_t *all) {
  parlor_webhook *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_webhook){
      .id = some(all->id), .name = some(all->name), .attempt = all->attempt, .method = some(all->method), .query = maybe(all->query),
      .path = maybe(all->path), .headers = shown_headers(all->headers.ptr, all->headers.len), .body = all->body.len ? (const char *)all->body.ptr : "", .size = all->body.len};
  return shown;
}

static const parlor_due_time *shown_due_time(const parlor_plugin_types_due_time_t *all) {
  parlor_due_time *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_due_time){
      .name = some(all->name), .due = some(all->due), .late = (double)all->late / 1000, .missed = all->missed, .attempt = all->attempt};
  return shown;
}

static const parlor_iq *shown_iq(const parlor_plugin_types_iq_request_t *all) {
  parlor_iq *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_iq){
      .id = some(all->id), .from = some(all->from), .kind = some(all->kind), .ns = some(all->namespace_), .name = some(all->name),
      .xml = some(all->xml)};
  return shown;
}

static const parlor_request *shown_request(const parlor_plugin_types_plugin_request_t *all) {
  parlor_request *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_request){.id = some(all->id), .plugin = some(all->plugin), .name = some(all->name), .json = some(all->value)};
  return shown;
}

static const parlor_hook *shown_hook(const parlor_plugin_types_hook_t *all) {
  parlor_hook *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_hook){
      .id = some(all->id), .plugin = maybe(all->plugin), .arguments = texts(all->args), .count = all->args.len,
      .message = message_of(&all->message)};
  return shown;
}

static const parlor_pubsub *shown_pubsub(const parlor_plugin_types_pubsub_item_t *all) {
  parlor_pubsub *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_pubsub){
      .kind = some(all->kind), .service = some(all->service), .node = some(all->node), .id = maybe(all->id),
      .publisher = all->publisher.is_some ? some(all->publisher.val) : NULL, .xml = maybe(all->xml), .cut = all->cut};
  return shown;
}

static const parlor_undecryptable *shown_undecryptable(const parlor_plugin_types_undecryptable_t *all) {
  parlor_undecryptable *shown = parlor_memory(sizeof *shown);
  *shown = (parlor_undecryptable){
      .chat = some(all->chat), .from = some(all->from), .kind = some(all->kind), .at = some(all->at), .encryption = some(all->encryption),
      .reason = some(all->reason), .id = maybe(all->id), .stanza_id = maybe(all->stanza_id), .nick = maybe(all->nick),
      .delayed = all->delayed, .own = all->own};
  return shown;
}

/* The name of an event for the log. For a command, a webhook, a schedule or a request, it names which one. */
static const char *named(const parlor_event *event) {
  const char *which = event->command   ? event->command->name
                      : event->webhook ? event->webhook->name
                      : event->due     ? event->due->name
                      : event->iq      ? event->iq->name
                      : event->request ? event->request->name
                      : event->pubsub  ? event->pubsub->node
                                       : NULL;
  return which ? parlor_format("%s %s", event->name, which) : event->name;
}

/* False: the handler failed, and the log says how. */
static bool handle(uint64_t number, const parlor_event *event) {
  for (listener *at = listeners; at; at = at->next) {
    if (at->number != number || (at->command && (!event->command || !is_same(at->command, strlen(at->command), event->command->name)))) continue;
    parlor_handler *handler = at->handler;
    void *context = at->context;
    if (at->once) unlisten(at);
    failure = (parlor_failure){0};
    parlor_error error = handler(event, context);
    if (error) {
      const char *why = failure.text ? logged() : parlor_format("error %d", error);
      parlor_log(PARLOR_ERROR, "a handler of %s failed: %s", named(event), why);
    }
    return !error;
  }
  /* It ended while the event was on its way. */
  return true;
}

bool exports_parlor_plugin_guest_handle_event(exports_parlor_plugin_guest_event_t *all) {
  parlor_event event = {.name = some(all->name), .at = some(all->at), .text = text_of(&all->payload), .json = json_of(&all->payload), .all = &all->payload};
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_MESSAGE) event.message = message_of(&all->payload.val.message);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_OCCUPANT) event.occupant = shown_occupant(&all->payload.val.occupant);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_ROOM) event.room = shown_room(&all->payload.val.room);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_CONTACT) event.contact = shown_contact(&all->payload.val.contact);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_INVITE) event.invite = shown_invite(&all->payload.val.invite);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_IQ_REQUEST) event.iq = shown_iq(&all->payload.val.iq_request);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_PLUGIN_REQUEST) event.request = shown_request(&all->payload.val.plugin_request);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_HOOK) event.hook = shown_hook(&all->payload.val.hook);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_PUBSUB_ITEM) event.pubsub = shown_pubsub(&all->payload.val.pubsub_item);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_UNDECRYPTABLE) event.undecryptable = shown_undecryptable(&all->payload.val.undecryptable);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_WEBHOOK) event.webhook = shown_webhook(&all->payload.val.webhook);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_SCHEDULE) event.due = shown_due_time(&all->payload.val.schedule);
  if (all->payload.tag == PARLOR_PLUGIN_TYPES_PAYLOAD_COMMAND) {
    event.message = message_of(&all->payload.val.command.message);
    event.command = command_of(&all->payload.val.command);
  }
  bool done = true;
  for (size_t i = 0; i < all->subscriptions.len; i++) done &= handle(all->subscriptions.ptr[i], &event);
  forget_all();
  return done;
}
