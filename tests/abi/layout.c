/* Holds today's headers to what a release promised: in its major, every member where it was and of
 * its size, no struct smaller, the frozen ones as they were, constants of equal value. It compiles
 * or it does not. RELEASED is the layout.h that record_layout.py wrote for that release. */
#include <moecollab/abi.h>
#include <moecollab/ext/encoder.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>
#include <moecollab/note.h>

#define MEMBER(type, member, offset, size)                                                   \
  _Static_assert(offsetof(type, member) == (offset) && sizeof(((type*)0)->member) == (size), \
                 #type "." #member " moved or changed its size");
#define STRUCT(type, size) _Static_assert(sizeof(type) >= (size), #type " lost members");
#define FROZEN(type, size) _Static_assert(sizeof(type) == (size), #type " is frozen");
#define CONSTANT(name, value) _Static_assert((name) == (value), #name " changed its value");

#include RELEASED
