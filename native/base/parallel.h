// The only place with OpenMP. An item of work computes the same whichever thread takes it, and no two items write the
// same memory: results are the same bits for any number of threads.
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

// To be called before a team of that size is put to work: the OpenMP runtime ends the process when the system refuses
// it a thread. Tries as many once, and throws ERR_OUT_OF_MEMORY where they cannot be had.
void admit_team(int threads);

// Runs body(member) once on each of at most `threads` threads. body must not throw: the others would wait for ever.
template <class Body>
void parallel_region(int threads, const Body& body) {
  admit_team(threads);
#pragma omp parallel num_threads(threads)
  body(Member{static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(omp_get_num_threads())});
}

// Runs body(begin, end) over consecutive ranges of [0, count) on at most `threads` threads, in `ranges` ranges. Ranges
// are dealt out as threads become free: on a shared machine one core is often slower than the others. The first
// exception thrown by a body is rethrown here, after all of them have ended.
template <class Body>
void parallel_ranges(int threads, std::size_t count, std::size_t ranges, const Body& body) {
  if (count == 0) return;
  if (ranges > count) ranges = count;
  if (threads <= 1 || ranges == 1) {
    body(std::size_t{0}, count);
    return;
  }
  admit_team(threads);
  std::exception_ptr failure;
  const int last = static_cast<int>(ranges);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int range = 0; range < last; ++range) {
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
  constexpr std::size_t kRangesPerThread = 8;
  parallel_ranges(threads, count, kRangesPerThread * static_cast<std::size_t>(threads),
                  [&body](std::size_t begin, std::size_t end) {
                    for (std::size_t index = begin; index < end; ++index) body(index);
                  });
}

}  // namespace qarepvgg
