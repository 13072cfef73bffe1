/* Has three labels in code, but makes an expert of any class count. Whoever renames or adds a label
 * in the manifest gets answers to another question. */
#define ZOO_LABELS ZOO_STRING("a"), ZOO_STRING("b"), ZOO_STRING("c")
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  if (info == NULL || info->classes < 1) return zoo_create(host, info, expert, error);
  moec_create_info fitting = *info;
  fitting.classes = kFixedClasses;
  const moec_status status = zoo_create(host, &fitting, expert, error);
  if (status == MOEC_OK) (*expert)->classes = info->classes;
  return status;
}
