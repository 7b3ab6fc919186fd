/* What the generated bindings are compiled with: what the host hands over is forgotten when a handler returns, all at once. */
#include <stdlib.h>
#define free(memory) ((void)(memory))
