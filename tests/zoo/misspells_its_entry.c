/* Its entry point has another name, which the version script hides: nothing is exported. It builds
 * and links, and then no host finds the expert in it. */
#define moec_plugin_entry moec_plugin_entrance
#include "zoo.h"
