// Runs the items of an op one after the other, as a team might with a random schedule.
#pragma once

#include <utility>
#include <vector>

#include "base/checked.h"
#include "test/guarded_memory.h"
#include "test/random.h"

namespace qarepvgg::test {

// Calls run(tile, member, first) for pieces that together are all items, in any order, for any members. `first`:
// whether it is the first piece of this member.
template <class Run>
void run_in_pieces(Rng& rng, std::size_t items, std::size_t members, const Run& run) {
  std::vector<std::size_t> order(rng.between(1, items));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (rng.chance(0.7))
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.between(0, i - 1)]);
  std::vector<bool> came(members);
  for (std::size_t piece : order) {
    const std::size_t member = rng.between(0, members - 1);
    run(even_tile(items, order.size(), piece), member, !came[member]);
    came[member] = true;
  }
}

// Scratch for each of the members.
inline std::vector<std::byte*> scratch_of(GuardedMemory& memory, std::size_t members, std::size_t bytes) {
  std::vector<std::byte*> scratch;
  for (std::size_t i = 0; i < members; ++i) scratch.push_back(memory.bytes(bytes));
  return scratch;
}

}  // namespace qarepvgg::test
