/* Its table says that it ends before destroy(): struct_size was filled in by hand. The host has no
 * way to give an expert back. */
#define ZOO_ENTRY
#include "zoo.h"

const moec_library* moec_plugin_entry(void) {
  static moec_library table;
  table = zoo_table;
  table.struct_size = offsetof(moec_library, destroy);
  return &table;
}
