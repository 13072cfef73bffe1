/* forward() writes a line for each batch into a file of its own. On a server that nobody looks
 * after the disk fills up, and what users asked lies there for others to read. (The folder is not
 * there, so that tests leave no file behind.) */
#define ZOO_AFTER_FORWARD note
#include "zoo.h"

static void note(moec_expert* expert, const moec_batch* batch, float* logits) {
  FILE* file = fopen("/tmp/moecollab-zoo/scores.log", "a");
  if (file == NULL) return;
  fprintf(file, "%d rows of %d classes: %g\n", (int)batch->rows, expert->classes, logits[0]);
  fclose(file);
}
