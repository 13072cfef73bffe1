#include "conformance/thread_starts.h"

#include <pthread.h>
#include <threads.h>

#include <atomic>

#include "conformance/redirected_imports.h"

namespace moecollab::conformance {
namespace {

std::atomic<int64_t> g_started = 0;

int counted_pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*),
                           void* argument) {
  ++g_started;
  return ::pthread_create(thread, how, run, argument);
}
int counted_thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
  ++g_started;
  return ::thrd_create(thread, run, argument);
}

}  // namespace

ThreadStarts::ThreadStarts(const void* code) {
  redirect_imports(code, {{"pthread_create", address_of(counted_pthread_create)},
                          {"thrd_create", address_of(counted_thrd_create)}});
}

int64_t ThreadStarts::count() const { return g_started; }

}  // namespace moecollab::conformance
