/* Compiled with the generated bindings: memory that the host hands over is forgotten all at once when a handler returns, or by
 * `parlor_forget`. */
#include <stdlib.h>
#include <stdint.h>
#define free(memory) ((void)(memory))

/* Each call says what it is, and whom or what it is about: for the error that it may give. */
void parlor_note(const char *name, const uint8_t *about, size_t length);
