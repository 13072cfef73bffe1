/* Ends the message of an error with a 0 one byte after it. The host finds one of its own variables
 * changed, and looks for the reason in its own code. */
#define ZOO_CREATE create
#include "zoo.h"

static void end_text(char* text, size_t capacity) { text[capacity] = '\0'; }

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  const moec_status status = zoo_create(host, info, expert, error);
  if (status != MOEC_OK && error != NULL) end_text(error->message, sizeof(error->message));
  return status;
}
