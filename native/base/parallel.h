// The only place with OpenMP. Work is split into contiguous ranges by index, so which thread computes an item never
// changes what is computed: results are the same bits for any thread count.
#pragma once

#include <cstddef>
#include <exception>

#include <omp.h>

namespace qarepvgg {

// One of the threads inside parallel_region.
struct Member {
  std::size_t index, count;

  // This member's contiguous part of [0, items).
  std::size_t begin(std::size_t items) const { return items * index / count; }
  std::size_t end(std::size_t items) const { return items * (index + 1) / count; }
  // Waits until every member has come here.
  void barrier() const {
#pragma omp barrier
  }
};

// Runs body(member) once on each of at most `threads` threads. body must not throw: the others would wait for ever.
template <class Body>
void parallel_region(int threads, const Body& body) {
#pragma omp parallel num_threads(threads)
  body(Member{static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(omp_get_num_threads())});
}

// Runs body(begin, end) over [0, count) on at most `threads` threads. The first exception thrown by a body is rethrown
// here, after all of them have ended.
template <class Body>
void parallel_ranges(int threads, std::size_t count, const Body& body) {
  if (count == 0) return;
  if (static_cast<std::size_t>(threads) > count) threads = static_cast<int>(count);
  if (threads <= 1) {
    body(std::size_t{0}, count);
    return;
  }
  // The runtime may grant fewer threads than asked for, so ranges are numbered and dealt out by the loop schedule.
  const std::size_t ranges = static_cast<std::size_t>(threads);
  std::exception_ptr failure;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int range = 0; range < threads; ++range) {
    const std::size_t index = static_cast<std::size_t>(range);
    try {
      body(count * index / ranges, count * (index + 1) / ranges);
    } catch (...) {
#pragma omp critical(qarepvgg_parallel)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// Runs body(index) for every index in [0, count).
template <class Body>
void parallel_for(int threads, std::size_t count, const Body& body) {
  parallel_ranges(threads, count, [&body](std::size_t begin, std::size_t end) {
    for (std::size_t index = begin; index < end; ++index) body(index);
  });
}

}  // namespace qarepvgg
