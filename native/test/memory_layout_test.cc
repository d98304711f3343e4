// Memory of plans: values with random lifetimes are written and read in turn. None may change while it is alive, and
// maps must find zeros in their halos, whatever used the memory before.
#include "program/infer/memory_layout.h"

#include <algorithm>
#include <cstring>

#include "ops/byte_map.h"
#include "test/harness.h"

namespace qarepvgg::test {
namespace {

constexpr std::size_t kStages = 24, kFront = 12;

struct Values {
  std::vector<Buffer> buffers;
  std::vector<Life> lives;
};

Values random_values(Rng& rng) {
  Values values;
  const std::size_t count = rng.between(2, 30);
  for (std::size_t i = 0; i < count; ++i) {
    Buffer buffer;
    buffer.type.tensor.dims = {1, rng.pick({std::size_t{5}, std::size_t{16}, std::size_t{32}}), rng.between(1, 3), 4};
    if (rng.chance(0.7)) {
      buffer.type.layout = Layout::kMap;
      buffer.type.halo = rng.between(0, 2);
      if (rng.chance(0.2)) {
        buffer.type.element = rng.between(1, 2);
        buffer.type.quantization.emplace(0.5, static_cast<double>(rng.between(0, 3)), "a test");
      }
    }
    Life life;
    life.first = rng.between(0, kStages - 1);
    life.last = std::min(kStages - 1, life.first + rng.between(0, 6));
    life.batched = life.last >= kFront;
    if (rng.chance(0.05)) life = {};
    values.buffers.push_back(buffer);
    values.lives.push_back(life);
  }
  return values;
}

// The elements of a map's pixels, or all of a tensor.
template <class Visit>
void for_each_run(const ValueType& type, std::byte* data, const Visit& visit) {
  if (type.layout == Layout::kPlain) return visit(data, type.bytes());
  const ByteMap map(data, type.map(), type.element);
  for (std::size_t y = 0; y < map.shape.h; ++y)
    for (std::size_t x = 0; x < map.shape.w; ++x)
      visit(map.at(0, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)), map.pixel());
}

void write(const ValueType& type, std::byte* data, int value) {
  for_each_run(type, data, [&](std::byte* run, std::size_t bytes) { std::memset(run, value, bytes); });
}

// Whether everything that write() does not write represents zero.
bool has_zeros(const ValueType& type, const std::byte* data) {
  if (type.layout == Layout::kPlain) return true;
  std::vector<std::byte> copy(data, data + type.bytes()), expected(type.bytes());
  write(type, copy.data(), 7);
  if (type.quantization)
    fill_elements(expected.data(), expected.size() / type.element, type.element, type.quantization->zero_point());
  write(type, expected.data(), 7);
  return copy == expected;
}

bool holds(const ValueType& type, std::byte* data, int value) {
  bool same = true;
  for_each_run(type, data, [&](const std::byte* run, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) same = same && run[i] == static_cast<std::byte>(value);
  });
  return same && has_zeros(type, data);
}

// One run: stages up to kFront run for one image at a time, the others for all images together.
class Simulation {
 public:
  Simulation(const Values& values, const MemoryLayout& layout, std::size_t images, std::vector<std::byte>& memory)
      : values_(values), layout_(layout), images_(images), memory_(memory) {}

  void run() const {
    for (std::size_t image = 0; image < images_; ++image)
      for (std::size_t stage = 0; stage < kFront; ++stage) run_stage(stage, image, image + 1);
    for (std::size_t stage = kFront; stage < kStages; ++stage) run_stage(stage, 0, images_);
  }

 private:
  std::byte* at(BufferId id, std::size_t image) const {
    return memory_.data() + layout_.places[id].offset + image * layout_.places[id].stride;
  }

  void run_stage(std::size_t stage, std::size_t first, std::size_t end) const {
    for (std::size_t image = first; image < end; ++image) {
      for (const MemoryLayout::Clear& clear : layout_.clears)
        if (clear.stage == stage) clear_halo(values_.buffers[clear.map].type, at(clear.map, image));
      for (BufferId id = 0; id < values_.buffers.size(); ++id) {
        const ValueType& type = values_.buffers[id].type;
        if (values_.lives[id].first != stage) continue;
        CHECK(has_zeros(type, at(id, image)), "value ", id, ", stage ", stage);
        write(type, at(id, image), mark(id, image));
      }
    }
    for (std::size_t image = first; image < end; ++image)
      for (BufferId id = 0; id < values_.buffers.size(); ++id)
        if (const Life& life = values_.lives[id]; life.first <= stage && stage <= life.last)
          CHECK(holds(values_.buffers[id].type, at(id, image), mark(id, image)), "value ", id, ", stage ", stage);
  }

  static int mark(BufferId id, std::size_t image) { return static_cast<int>(id * 4 + image + 10); }

  const Values& values_;
  const MemoryLayout& layout_;
  std::size_t images_;
  std::vector<std::byte>& memory_;
};

TEST(values_keep_their_memory_while_they_live) {
  test.repeat(200, [](Rng& rng) {
    const Values values = random_values(rng);
    const std::size_t together = rng.between(1, 3);
    const MemoryLayout layout = lay_out_memory(values.buffers, values.lives, together);
    std::vector<std::byte> memory(layout.bytes);
    // Plans begin by filling maps of integers with their zero points.
    for (BufferId id = 0; id < values.buffers.size(); ++id)
      if (const ValueType& type = values.buffers[id].type; type.quantization && values.lives[id].is_lived())
        for (std::size_t image = 0; image < (layout.places[id].stride > 0 ? together : 1); ++image)
          fill_elements(memory.data() + layout.places[id].offset + image * layout.places[id].stride,
                        type.map().floats(), type.element, type.quantization->zero_point());
    for (std::size_t run = 0; run < 3; ++run) Simulation(values, layout, rng.between(1, together), memory).run();
  });
}

TEST(values_that_do_not_meet_share_memory) {
  // A chain of maps that halve at each stage: two are alive at a time.
  Values values;
  for (std::size_t stage = 0; stage < 5; ++stage) {
    Buffer buffer;
    buffer.type = {{Dtype::kFloat32, {1, 16, 64u >> stage, 64u >> stage}}, Layout::kMap, 1};
    values.buffers.push_back(buffer);
    values.lives.push_back({stage, stage + 1, false});
  }
  const MemoryLayout layout = lay_out_memory(values.buffers, values.lives, 1);
  const std::size_t largest = values.buffers[0].type.bytes() + values.buffers[1].type.bytes();
  CHECK(layout.bytes <= largest + 4 * kAlignment, layout.bytes, " bytes for ", largest);
}

// No plan can take less than what is alive at one stage. The worst of these plans takes one and a half times that.
TEST(plans_are_near_the_least_memory) {
  test.repeat(500, [](Rng& rng) {
    Values values;
    std::size_t alive[kStages + 1]{};
    for (std::size_t stage = 0; stage < kStages; ++stage) {
      Buffer buffer;
      const std::size_t side = std::size_t{1} << rng.between(2, 6);
      buffer.type = {{Dtype::kFloat32, {1, 16 * rng.between(1, 8), side, side}}, Layout::kMap, rng.between(0, 1)};
      // Mostly for the next stage; some are skips to a later one.
      const std::size_t last = std::min(kStages, stage + (rng.chance(0.7) ? 1 : rng.between(2, 12)));
      for (std::size_t i = stage; i <= last; ++i) alive[i] += buffer.type.bytes();
      values.buffers.push_back(buffer);
      values.lives.push_back({stage, last, false});
    }
    const std::size_t least = *std::max_element(alive, alive + kStages + 1);
    const std::size_t bytes = lay_out_memory(values.buffers, values.lives, 1).bytes;
    CHECK(bytes <= 2 * least, bytes, " bytes, at least ", least);
  });
}

}  // namespace
}  // namespace qarepvgg::test
