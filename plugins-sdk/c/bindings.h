/* What the generated bindings are compiled with: what the host hands over is forgotten when a handler returns, all at once, or
 * by `parlor_forget`. */
#include <stdlib.h>
#define free(memory) ((void)(memory))
