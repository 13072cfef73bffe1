/* vjp() does not write the gradient of its features. What trains beneath it, such as the encoder,
 * moves by whatever lay there. */
#define ZOO_GX write_gx
#include "zoo_linear.h"

static void write_gx(moec_expert* expert, const moec_batch* batch, const float* gy, float* gx) {
  (void)expert;
  (void)batch;
  (void)gy;
  (void)gx;
}
