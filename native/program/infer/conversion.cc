#include "program/infer/conversion.h"

#include <algorithm>
#include <cstring>

#include "kernels/dispatch.h"
#include "program/ops/map_step.h"

namespace qarepvgg {
namespace {

class ConversionStep final : public Step {
 public:
  ConversionStep(const MapShape& map, bool imports, std::size_t members)
      : Step({map.n * strip_count(map), members, map_size(map)}), map_(map), imports_(imports) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const std::size_t strips = strip_count(map_), end = items.first + items.length;
    for (std::size_t item = items.first; item < end;) {
      const std::size_t n = item / strips, next = std::min(end, (n + 1) * strips),
                        offset = n * map_.c * map_.h * map_.w;
      const Tile part{item - n * strips, next - item};
      if (imports_) {
        FeatureMap image = at.output_map(map_);
        image.data += n * map_.image();
        import_strips(at.input(0) + offset, image, active_kernels(), part);
      } else {
        FeatureMap image = at.input_map(0, map_);
        image.data += n * map_.image();
        export_strips(image, at.output() + offset, active_kernels(), part);
      }
      item = next;
    }
  }

  MapShape map_;
  bool imports_;
};

class CopyStep final : public Step {
 public:
  CopyStep(std::size_t bytes, std::size_t members) : Step({bytes, members, 2 * bytes_size(bytes)}) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    std::memcpy(at.outputs[0] + items.first, at.inputs[0] + items.first, items.length);
  }
};

}  // namespace

ValueType in_layout(ValueType type, Layout layout) {
  type.layout = layout;
  type.halo = 0;
  if (layout == Layout::kPlain) type.quantization.reset();
  return type;
}

std::unique_ptr<Step> make_import_step(const MapShape& map, std::size_t members) {
  return std::make_unique<ConversionStep>(map, true, members);
}
std::unique_ptr<Step> make_export_step(const ValueType& map, std::size_t members) {
  if (!map.quantization) return std::make_unique<ConversionStep>(map.map(), false, members);
  const auto rows = [map](const Operands& at, std::size_t first, std::size_t end) {
    export_rows(at.input_bytes(0, map), reinterpret_cast<std::uint8_t*>(at.outputs[0]), first, end);
  };
  return make_row_step(map.map(), members, std::nullopt, 1, rows);
}
std::unique_ptr<Step> make_copy_step(std::size_t bytes, std::size_t members) {
  return std::make_unique<CopyStep>(bytes, members);
}

}  // namespace qarepvgg
