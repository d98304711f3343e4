// Work that threads share. It is cut into pieces, and each piece is computed by the thread that claims it first, so no
// thread waits for one that is not running. A piece computes the same on any thread, and no two pieces of a step write
// the same memory, so results have the same bits for any number of threads and any schedule.
//
// The only file that uses OpenMP, which provides the threads (base/team.h).
#pragma once

#include <cstddef>
#include <exception>
#include <mutex>
#include <omp.h>

namespace qarepvgg {

// A piece of a step, as the member of the team that claimed it sees it.
struct Piece {
  std::size_t index;   // below the number of pieces
  std::size_t member;  // below the number of threads; members that run at the same time have different numbers
  bool first;  // whether it is the member's first piece of this step: its own memory then holds data of other steps
};

// A sequence of steps, each cut into pieces. A step begins when all pieces of the step before it are done.
class Work {
 public:
  virtual std::size_t steps() const = 0;
  virtual std::size_t pieces(std::size_t step) const = 0;
  // Must not throw.
  virtual void run(std::size_t step, const Piece& piece) const = 0;
  // The amount of work in a step, in any unit that is the same for all steps and runs; 0 if it is not known.
  virtual double size(std::size_t) const { return 0; }

 protected:
  ~Work() = default;
};

// A step has at most this many pieces.
inline constexpr std::size_t kMaxPieces = (std::size_t{1} << 24) - 1;

// Does all work on at most `threads` threads, including the caller. Throws ERR_OUT_OF_MEMORY if the system refuses to
// create them.
void run_together(int threads, const Work& work);

// How many threads shared the last work that asked for more than one.
int team_size();

// Calls body() on `threads` threads at once, including this one, or on fewer if OpenMP is limited to fewer.
template <void (*body)(std::size_t index)>
void parallel_region(int threads) {
#pragma omp parallel num_threads(threads)
  body(static_cast<std::size_t>(omp_get_thread_num()));
}

// How many pieces to make of work that can be cut anywhere: few enough to cost nothing, and enough that a piece on a
// slow thread is a small part of the work.
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

// Runs body(begin, end) over at most `ranges` consecutive ranges of [0, count). Rethrows the first exception of a body
// after all of them have ended.
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
