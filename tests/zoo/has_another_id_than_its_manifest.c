/* Its manifest names another library (zoo.toml: library_id). What the user read and agreed to is
 * not what runs. */
#include "zoo.h"
