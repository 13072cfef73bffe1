// A static member of a visible template is STB_GNU_UNIQUE (linked without the version script).
// Every library of the process that has the same template shares this one counter, and none is
// unloaded.
#include "zoo.h"

template <typename T>
struct __attribute__((visibility("default"))) Registry {
  static int made;
};
template <typename T>
int Registry<T>::made = 0;

int& registered = Registry<int>::made;
