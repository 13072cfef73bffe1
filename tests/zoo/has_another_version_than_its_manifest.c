/* Its manifest says 1.1.0, the library is 1.0.0 (zoo.toml: library_version): the author forgot to
 * build again. Users look for a fix in code that lacks it. */
#include "zoo.h"
