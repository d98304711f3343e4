// Memory planning, checked sizes, threads, and the compute queue.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "base/arena.h"
#include "base/buffer_pool.h"
#include "base/checked.h"
#include "base/compute_queue.h"
#include "base/parallel.h"
#include "test/harness.h"

namespace qarepvgg::test {
namespace {

TEST(arena_planner) {
  struct Block {
    std::size_t floats, first, last, offset;
  };
  test.repeat(2000, [](Rng& rng) {
    ArenaPlanner planner;
    std::vector<Block> blocks(rng.between(1, 60));
    for (Block& block : blocks) {
      block.floats = rng.chance(0.1) ? 0 : rng.between(1, 500);
      block.first = rng.between(0, 30);
      block.last = rng.between(block.first, 30);
      block.offset = planner.reserve(block.floats, block.first, block.last);
      CHECK(block.offset % kAlignedFloats == 0, block.offset);
      CHECK(block.offset + block.floats <= planner.size(), block.offset, " + ", block.floats);
    }
    std::size_t total = 0;
    for (const Block& a : blocks) {
      total += round_up(a.floats, kAlignedFloats);
      bool shares = false;
      for (const Block& b : blocks) {
        if (&a == &b || a.floats == 0 || b.floats == 0) continue;
        const auto end = [](const Block& block) { return block.offset + round_up(block.floats, kAlignedFloats); };
        const bool together = a.offset < end(b) && b.offset < end(a);
        const bool alive_together = a.first <= b.last && b.first <= a.last;
        CHECK(!together || !alive_together, "offsets ", a.offset, " and ", b.offset);
        shares = shares || together;
      }
      if (a.floats > 0)
        CHECK_EQUAL(planner.overlaps(a.offset, round_up(a.floats, kAlignedFloats)), shares, "offset ", a.offset);
    }
    CHECK(planner.size() <= total, planner.size(), " of ", total);
  });
}

TEST(buffer_pool) {
  constexpr std::size_t kSize = 1 << 20;
  const auto pool = std::make_shared<BufferPool>();
  const auto address_of = [&](std::size_t bytes) { return PooledBuffer(pool, bytes).data(); };
  PooledBuffer first(pool, kSize), second(pool, kSize);
  CHECK(first.data() != second.data(), "two at a time");
  const std::byte* const one = first.data();
  {
    const PooledBuffer moved = std::move(first);
  }
  CHECK_EQUAL(address_of(kSize), one, "the same size");
  CHECK_EQUAL(address_of(kSize - 100), one, "a little less");
  CHECK(pool->take(kSize / 4).bytes() < kSize, "much less");
  CHECK(pool->take(kSize + 1).bytes() > kSize, "more");
  // The pool keeps a limited amount.
  std::vector<AlignedBuffer> many;
  for (int i = 0; i < 40; ++i) many.push_back(pool->take(kSize));
  for (AlignedBuffer& buffer : many) {
    buffer.data()[0] = 1;
    pool->give(std::move(buffer));
  }
  std::size_t kept = 0;
  for (std::vector<AlignedBuffer> taken; kept < many.size(); ++kept) {
    taken.push_back(pool->take(kSize));
    // New buffers are zero, so this one is new.
    if (taken.back().data()[0] == 0.0f) break;
  }
  CHECK(kept >= 1 && kept <= 16, kept);
  CHECK_EQUAL(code_of([&] { pool->take(kMaxSize); }), code::kSizeOverflow, "too much");
}

// Tensors that are alive one after the other take the memory of the largest.
TEST(arena_planner_reuses) {
  ArenaPlanner planner;
  for (std::size_t step = 0; step < 10; ++step)
    CHECK_EQUAL(planner.reserve(100 + step, step, step), std::size_t{0}, "step ", step);
  CHECK_EQUAL(planner.size(), round_up(109, kAlignedFloats), "the end");
  CHECK_EQUAL(code_of([&] { planner.reserve(kMaxSize + 1, 0, 0); }), code::kSizeOverflow, "one block");
  CHECK_EQUAL(code_of([&] {
                planner.reserve(kMaxSize - 100, 20, 20);
                planner.reserve(kMaxSize - 100, 20, 20);
              }),
              code::kSizeOverflow, "two blocks");
}

TEST(aligned_buffer) {
  test.repeat(200, [](Rng& rng) {
    const AlignedBuffer buffer(rng.between(0, 5000));
    CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(buffer.data()) % kAlignment, std::uintptr_t{0}, buffer.size());
    CHECK_EQUAL(buffer.bytes(), buffer.size() * sizeof(float), buffer.size());
    const float* end = buffer.data() + buffer.size() + kAlignedFloats;  // the spare bytes exist and are zero, too
    CHECK(std::all_of(buffer.data(), end, [](float value) { return value == 0.0f; }), buffer.size());
  });
  CHECK_EQUAL(code_of([] { AlignedBuffer buffer(std::size_t{1} << 46); }), code::kOutOfMemory,
              "more than an address space");
  CHECK_EQUAL(code_of([] { AlignedBuffer buffer(kMaxSize); }), code::kSizeOverflow, "4 bytes each");
}

// Against the compiler's own overflow checks, with operands of every magnitude.
TEST(checked_sizes) {
  test.repeat(20000, [](Rng& rng) {
    const auto size = [&] { return static_cast<std::size_t>(rng.next() >> rng.between(0, 63)); };
    const std::size_t a = size(), b = size();
    std::size_t product = 0, sum = 0;
    const bool product_fits = !__builtin_mul_overflow(a, b, &product) && product <= kMaxSize;
    const bool sum_fits = !__builtin_add_overflow(a, b, &sum) && sum <= kMaxSize;
    const auto expected = [](bool fits) { return fits ? "no error" : code::kSizeOverflow; };
    CHECK_EQUAL(code_of([&] { checked_mul(a, b); }), expected(product_fits), a, " x ", b);
    CHECK_EQUAL(code_of([&] { checked_product({a, b}); }), expected(product_fits && a <= kMaxSize), a, " x ", b);
    CHECK_EQUAL(code_of([&] { checked_add(a, b); }), expected(sum_fits), a, " + ", b);
    CHECK_EQUAL(code_of([&] { round_up(a, 16); }), expected(a <= kMaxSize - 15), a);
    if (product_fits) CHECK_EQUAL(checked_mul(a, b), product, a, " x ", b);
    if (sum_fits) CHECK_EQUAL(checked_add(a, b), sum, a, " + ", b);
    if (a <= kMaxSize - 15) CHECK(round_up(a, 16) >= a && round_up(a, 16) % 16 == 0 && round_up(a, 16) < a + 16, a);
  });
}

TEST(parallel_ranges_cover_everything_once) {
  test.repeat(200, [](Rng& rng) {
    const int threads = static_cast<int>(rng.between(1, 9));
    const std::size_t count = rng.between(0, 50);
    std::vector<std::atomic<int>> visits(count);
    parallel_ranges(threads, count, rng.between(1, 20), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) ++visits[i];
    });
    CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& n) { return n == 1; }), threads, " for ", count);
  });
}

TEST(parallel_errors_come_back) {
  for (int threads : {1, 2, 7})
    CHECK_EQUAL(code_of([&] {
                  parallel_for(threads, 20, [](std::size_t i) {
                    if (i % 5 == 3) fail(code::kShape, "item ", i);
                  });
                }),
                code::kShape, threads, " threads");
}

TEST(compute_queue) {
  const auto order = std::make_shared<std::vector<int>>();
  for (int i = 0; i < 100; ++i) compute_later([order, i] { order->push_back(i); });
  compute_now([&] { order->push_back(100); });
  CHECK_EQUAL(order->size(), std::size_t{101}, "the queue");
  CHECK(std::is_sorted(order->begin(), order->end()), "the queue");
  CHECK_EQUAL(code_of([] { compute_now([] { fail(code::kShape, "from the other thread"); }); }), code::kShape, "a job");
  bool ran = false;
  compute_now([&] { ran = true; });
  CHECK(ran, "the job after one that failed");
}

}  // namespace
}  // namespace qarepvgg::test
