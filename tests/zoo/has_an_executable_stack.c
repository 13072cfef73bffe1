/* Is linked with -z execstack. Loading it makes the host's stacks executable, so that a mistake
 * anywhere in the process is easier to exploit. (zoo.toml: flags.) */
#include "zoo.h"
