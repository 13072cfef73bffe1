/* Its table has no get_extension(), because it has no extensions. The host calls address 0. */
#define ZOO_ENTRY
#include "zoo.h"

const moec_library* moec_plugin_entry(void) {
  static moec_library table;
  table = zoo_table;
  table.get_extension = NULL;
  return &table;
}
