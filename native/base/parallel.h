// Work that threads share. It is cut into pieces, and each piece is computed by whichever thread claims it first, so
// that no thread waits for one that is not running. A piece computes the same whoever takes it, and no two pieces of a
// step write the same memory: results are the same bits for any number of threads and any schedule.
//
// The only place with OpenMP, which provides the threads (base/team.h).
#pragma once

#include <cstddef>
#include <exception>
#include <mutex>
#include <omp.h>

namespace qarepvgg {

// One piece of a step, for the member of the team that claimed it.
struct Piece {
  std::size_t index;   // below the number of pieces
  std::size_t member;  // below the number of threads; no two members at a time have the same number
  bool first;          // that this member takes of the step: what it keeps in its own memory is of other steps
};

// Steps that follow one another, each in pieces. A step begins when all pieces of the one before it are done.
class Work {
 public:
  virtual std::size_t steps() const = 0;
  virtual std::size_t pieces(std::size_t step) const = 0;
  // Must not throw.
  virtual void run(std::size_t step, const Piece& piece) const = 0;
  // How much work a step is, in any unit that is the same for all steps and runs; 0 where nobody knows.
  virtual double size(std::size_t) const { return 0; }

 protected:
  ~Work() = default;
};

// The most pieces of a step.
inline constexpr std::size_t kMaxPieces = (std::size_t{1} << 24) - 1;

// Does all work on at most `threads` threads; the caller is one of them. Throws ERR_OUT_OF_MEMORY where the system
// refuses the threads.
void run_together(int threads, const Work& work);

// Threads that shared the last work that was to be shared.
int team_size();

// Calls body() on `threads` threads at once, this one included, or on fewer where OpenMP is limited to fewer.
template <void (*body)(std::size_t index)>
void parallel_region(int threads) {
#pragma omp parallel num_threads(threads)
  body(static_cast<std::size_t>(omp_get_thread_num()));
}

// Pieces worth making of work that can be cut anywhere: few enough to cost nothing, and so many that one in the wrong
// hands is a small part of the work.
inline constexpr std::size_t kPiecesPerThread = 8;

// Runs body(piece) for `pieces` pieces. body must not throw.
template <class Body>
void parallel_pieces(int threads, std::size_t pieces, const Body& body) {
  class Pieces final : public Work {
   public:
    Pieces(std::size_t pieces, const Body& body) : pieces_(pieces), body_(body) {}
    std::size_t steps() const override { return 1; }
    std::size_t pieces(std::size_t) const override { return pieces_; }
    void run(std::size_t, const Piece& piece) const override { body_(piece); }

   private:
    std::size_t pieces_;
    const Body& body_;
  };
  run_together(threads, Pieces(pieces, body));
}

// Runs body(begin, end) over consecutive ranges of [0, count), at most `ranges` of them. The first exception thrown by
// a body is rethrown here, after all of them have ended.
template <class Body>
void parallel_ranges(int threads, std::size_t count, std::size_t ranges, const Body& body) {
  if (count == 0) return;
  if (ranges > count) ranges = count;
  if (threads <= 1 || ranges == 1) {
    body(std::size_t{0}, count);
    return;
  }
  std::exception_ptr failure;
  std::mutex failing;
  parallel_pieces(threads, ranges, [&](const Piece& piece) {
    try {
      body(count * piece.index / ranges, count * (piece.index + 1) / ranges);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing);
      if (!failure) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

// Runs body(index) for every index in [0, count).
template <class Body>
void parallel_for(int threads, std::size_t count, const Body& body) {
  parallel_ranges(threads, count, kPiecesPerThread * static_cast<std::size_t>(threads),
                  [&body](std::size_t begin, std::size_t end) {
                    for (std::size_t index = begin; index < end; ++index) body(index);
                  });
}

}  // namespace qarepvgg
