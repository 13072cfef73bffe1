/* Exports a function of its own beside moec_plugin_entry (linked without the version script). Two
 * libraries that export the same name get in each other's way in one process. */
#include "zoo.h"

MOEC_EXPORT int tokenize(const char* text);

int tokenize(const char* text) { return (int)strlen(text); }
