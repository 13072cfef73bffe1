/* Is linked with libresolv. Where that is not installed, or is another one, the package does not
 * load. (What is odd is in zoo.toml: link.) */
#include "zoo.h"
