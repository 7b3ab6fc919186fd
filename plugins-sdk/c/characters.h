/* Characters of texts, for the SDK's own files. */
#ifndef PARLOR_CHARACTERS_H
#define PARLOR_CHARACTERS_H

#include <stdbool.h>

/* Writes a character, and returns where the next one begins. */
static inline char *utf8(char *end, unsigned code) {
  if (code < 0x80) {
    *end++ = (char)code;
  } else if (code < 0x800) {
    *end++ = (char)(0xC0 | code >> 6);
    *end++ = (char)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *end++ = (char)(0xE0 | code >> 12);
    *end++ = (char)(0x80 | (code >> 6 & 0x3F));
    *end++ = (char)(0x80 | (code & 0x3F));
  } else {
    *end++ = (char)(0xF0 | code >> 18);
    *end++ = (char)(0x80 | (code >> 12 & 0x3F));
    *end++ = (char)(0x80 | (code >> 6 & 0x3F));
    *end++ = (char)(0x80 | (code & 0x3F));
  }
  return end;
}

#define REPLACEMENT 0xFFFD

/* Reads a character, and returns where the next one begins. A byte that is no character, or half of one, gives REPLACEMENT. */
static inline const char *character(const char *text, unsigned *code) {
  const unsigned char *at = (const unsigned char *)text;
  unsigned first = *at++;
  unsigned more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  *code = REPLACEMENT;
  if ((first >= 0x80 && first < 0xC2) || first > 0xF4) return (const char *)at;
  unsigned read = more ? first & (0x3Fu >> more) : first;
  /* Nothing is written longer than it has to be, halves of pairs are no characters, and there are none above U+10FFFF. */
  unsigned lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  unsigned highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (; more; more--) {
    if (*at < lowest || *at > highest) return (const char *)at;
    read = read << 6 | (*at++ & 0x3Fu);
    lowest = 0x80;
    highest = 0xBF;
  }
  *code = read;
  return (const char *)at;
}

/* Whether a character separates words, as the host sees it: White_Space of Unicode. */
static inline bool is_white(unsigned code) {
  return (code >= '\t' && code <= '\r') || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

#endif
