/* Is linked with a RUNPATH, the younger form of RPATH, relative to the working folder. Whoever can
 * write there decides what code the host runs. (zoo.toml: flags.) */
#include "zoo.h"
