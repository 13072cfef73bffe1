/* Takes as many classes as the manifest names: here seven, one of them in Greek. */
#include "zoo.h"
