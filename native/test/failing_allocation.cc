// Allocations that fail on demand, in an addon built with QAREPVGG_FAIL_ALLOCATIONS: operator new, memory mapped from
// the system, and threads. scripts/check-allocation.mjs uses it.
#include "test/failing_allocation.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <pthread.h>
#include <sys/mman.h>

namespace {

std::atomic<long> countdown{-1};  // allocations until one fails; none fails if it is below 0
std::atomic<bool> for_good{false};
std::atomic<bool> failed{false};
std::atomic<long> live{0};

// An index in the environment makes an allocation fail while the addon is loaded.
const bool from_environment = [] {
  if (const char* index = std::getenv("QAREPVGG_FAIL_ALLOCATION")) countdown = std::atol(index);
  return true;
}();

bool fails() noexcept {
  long left = countdown.load();
  while (left >= 0) {
    const bool now = left == 0;
    if (!countdown.compare_exchange_weak(left, now && for_good ? 0 : left - 1)) continue;
    if (now) failed = true;
    return now;
  }
  return false;
}

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (fails()) return nullptr;
  const std::size_t rounded = (bytes + alignment) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded);
  if (memory != nullptr) ++live;
  return memory;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* const memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) --live;
  std::free(memory);
}

constexpr std::size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, kDefault); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, kDefault); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes, kDefault); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, kDefault); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }

extern "C" {

void* __real_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset);
void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (!fails()) return __real_mmap(address, bytes, protection, flags, file, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}

int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  return fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

}  // extern "C"

namespace qarepvgg::test {

void define_failing_allocation(Napi::Env env, Napi::Object exports) {
  // (index, for good): the allocation with that index from now on fails; with `for good`, all after it fail, too.
  exports.Set("failAllocation", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                for_good = info[1].ToBoolean().Value();
                failed = false;
                countdown = info[0].ToNumber().Int32Value();
              }));
  // Stops failing. Returns whether an allocation has failed.
  exports.Set("allowAllocation", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                countdown = -1;
                return Napi::Boolean::New(info.Env(), failed);
              }));
  exports.Set("liveAllocations", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                return Napi::Number::New(info.Env(), static_cast<double>(live.load()));
              }));
}

}  // namespace qarepvgg::test
