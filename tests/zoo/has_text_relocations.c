/* Its code holds an address that the loader has to write, as code built without -fPIC does. Its
 * pages are writable while it loads, and hardened systems refuse it. */
#include "zoo.h"

__asm__(".pushsection .text\n\t.quad .\n\t.popsection");
