#include "program/infer/memory_layout.h"

#include <algorithm>
#include <cstring>

#include "ops/byte_map.h"

namespace qarepvgg {
namespace {

// The memory of a map is kept for a similar map for so many stages before other values may use it. Chains of
// convolutions alternate between two maps.
constexpr std::size_t kPatience = 4;

// Values that use one place one after the other: a single plain tensor, or maps of the same kind, so that halos are
// written only once.
struct Tenancy {
  std::vector<BufferId> tenants;
  std::size_t first, last;    // stages
  std::size_t bytes, offset;  // of all images
};

bool are_alike(const ValueType& a, const ValueType& b) {
  return a.layout == Layout::kMap && b.layout == Layout::kMap && a.tensor == b.tensor && a.halo == b.halo &&
         a.quantization == b.quantization && a.element == b.element;
}

class Planner {
 public:
  Planner(const std::vector<Buffer>& buffers, const std::vector<Life>& lives, std::size_t images, bool batched)
      : buffers_(buffers), lives_(lives), images_(images), batched_(batched) {}

  // Places them after everything that is laid out already.
  void add_to(MemoryLayout& layout) {
    std::vector<BufferId> order;
    for (BufferId id = 0; id < lives_.size(); ++id)
      if (lives_[id].is_lived() && lives_[id].batched == batched_ && buffers_[id].home == Buffer::Home::kMemory)
        order.push_back(id);
    std::stable_sort(order.begin(), order.end(),
                     [&](BufferId a, BufferId b) { return lives_[a].first < lives_[b].first; });
    for (BufferId id : order) find_place(id);
    // The largest first, because small ones fit into the remaining gaps.
    std::stable_sort(tenancies_.begin(), tenancies_.end(),
                     [](const Tenancy& a, const Tenancy& b) { return a.bytes > b.bytes; });
    ArenaPlanner arena;
    for (Tenancy& place : tenancies_)
      place.offset = arena.reserve(place.bytes / sizeof(float), place.first, place.last) * sizeof(float);
    for (const Tenancy& place : tenancies_) {
      for (BufferId id : place.tenants) layout.places[id] = {layout.bytes + place.offset, batched_ ? stride_of(id) : 0};
      const BufferId map = place.tenants.front();
      if (buffers_[map].type.layout == Layout::kMap &&
          arena.overlaps(place.offset / sizeof(float), place.bytes / sizeof(float)))
        layout.clears.push_back({place.first, map});
    }
    layout.bytes = checked_add(layout.bytes, checked_mul(arena.size(), sizeof(float)));
  }

 private:
  std::size_t stride_of(BufferId id) const {
    const ValueType& type = buffers_[id].type;
    return type.layout == Layout::kMap ? type.bytes() : round_up(type.bytes(), kAlignment);
  }

  void find_place(BufferId id) {
    const ValueType& type = buffers_[id].type;
    const Life& life = lives_[id];
    const auto found = std::find_if(tenancies_.begin(), tenancies_.end(), [&](const Tenancy& place) {
      return are_alike(buffers_[place.tenants[0]].type, type) && place.last < life.first &&
             life.first - place.last <= kPatience;
    });
    if (found != tenancies_.end()) {
      found->tenants.push_back(id);
      found->last = life.last;
      return;
    }
    // Loading a vector may reach beyond the last pixel.
    const std::size_t spare = type.layout == Layout::kMap ? kAlignment : 0;
    const std::size_t bytes = checked_add(checked_mul(stride_of(id), images_), spare);
    tenancies_.push_back({{id}, life.first, life.last, round_up(bytes, kAlignment), 0});
  }

  const std::vector<Buffer>& buffers_;
  const std::vector<Life>& lives_;
  std::size_t images_;
  bool batched_;
  std::vector<Tenancy> tenancies_;
};

}  // namespace

MemoryLayout lay_out_memory(const std::vector<Buffer>& buffers, const std::vector<Life>& lives, std::size_t together) {
  MemoryLayout layout;
  layout.places.resize(buffers.size());
  for (bool batched : {false, true}) Planner(buffers, lives, batched ? together : 1, batched).add_to(layout);
  return layout;
}

void clear_halo(const ValueType& type, std::byte* map) {
  const std::uint8_t zero = type.quantization ? type.quantization->zero_point() : 0;
  const MapShape shape = type.map();
  const auto fill = [&](std::byte* data, std::size_t bytes) {
    if (type.quantization) return fill_elements(data, bytes / type.element, type.element, zero);
    std::memset(data, 0, bytes);
  };
  const ByteMap view(map, shape, type.element);
  const std::size_t side = shape.halo * view.pixel(), border = shape.halo * view.row();
  if (side == 0) return;
  for (std::size_t n = 0; n < shape.n; ++n) {
    std::byte* image = map + n * view.image();
    fill(image, border);
    for (std::size_t y = 0; y < shape.h; ++y) {
      std::byte* row = image + border + y * view.row();
      fill(row, side);
      fill(row + view.row() - side, side);
    }
    fill(image + view.image() - border, border);
  }
}

}  // namespace qarepvgg
