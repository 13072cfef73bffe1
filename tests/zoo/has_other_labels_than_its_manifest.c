/* Its labels are fixed in code, in another order than in the manifest (a, b, c). Every answer "a"
 * means "c". */
#define ZOO_LABELS ZOO_STRING("c"), ZOO_STRING("b"), ZOO_STRING("a")
#include "zoo.h"
