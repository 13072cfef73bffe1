// Throws an int out of forward() where it should refuse: written against abi.h in C++, without the
// helper's catch (...). The host dies: its own catch (...) does not work with another C++ runtime.
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch == nullptr) throw 7;
  return zoo_forward(expert, exec, batch, logits, error);
}
