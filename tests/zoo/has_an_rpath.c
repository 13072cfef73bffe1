/* Is linked with an RPATH into its author's home. Whoever can write there decides what code the
 * host runs. (zoo.toml: flags.) */
#include "zoo.h"
