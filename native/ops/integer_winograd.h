// 3x3 convolution of integers with stride 1 by Winograd's minimal filtering in whole numbers (kernels/integer_kernels.h
// has the points and the proof). It has the same bits as the direct form, with a quarter of the multiplications, on
// 16-bit words.
//
// A plan holds what depends only on shapes; running it allocates nothing.
#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "ops/byte_map.h"
#include "ops/convolution.h"
#include "ops/quantization.h"
#include "ops/winograd_tiles.h"

namespace qarepvgg {

class IntegerWinograd {
 public:
  // Whether the algorithm can compute this shape, as in ops/winograd.h.
  static bool supports(const ConvShape& shape);
  // Whether it is faster than the direct form: a fixed rule.
  static bool pays(const ConvShape& shape, const IntegerKernels& kernels);
  // Whether sums of these weights stay below 2^25 for every output channel and any input. weight:
  // [out][in / groups][3][3].
  static bool is_exact(const ConvShape& shape, const std::int8_t* weight);

  // `members`: size of the team that will share a run. Weights packed by one plan fit any other plan with the same
  // channels, groups and panels.
  IntegerWinograd(const ConvShape& shape, const Panels& panels, std::size_t members, const IntegerKernels& kernels);
  static Panels choose(const ConvShape& shape, const IntegerKernels& kernels);

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return 0; }  // subtracted from elements in its sums
  std::size_t weight_bytes() const;
  void pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const;

  // Scratch of one member of the team.
  std::size_t scratch_bytes() const;
  // As in ops/winograd.h.
  std::size_t items() const { return tiles_.blocks() * shape_.groups * panels_.count(); }
  void run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                 std::byte* scratch, const Tile& items, bool first) const;

 private:
  using TileRef = WinogradTiles::TileRef;
  using Block = WinogradTiles::Block;
  // Scratch: transformed input, products of one panel, and the pixels of a tile that overhangs the border.
  struct Scratch {
    std::int16_t* v;
    std::int32_t* m;
    std::byte* patch;
  };

  void run_panel(const Block& block, std::size_t index, const std::byte* weights, const SumStore& sums,
                 const ByteMap& out, const Scratch& scratch) const;
  void multiply(const Block& block, const std::int16_t* weights, std::size_t group, int vectors,
                const Scratch& scratch) const;
  void transform_input(const TileRef& tile, const ByteMap& in, std::int16_t* v, std::byte* patch) const;
  void transform_output(const TileRef& tile, const std::int32_t* m, const SumStore& sums, std::size_t lane,
                        std::size_t channel, std::size_t width, const ByteMap& out, std::byte* patch) const;
  std::size_t v_point() const;  // words from one point to the next in the transformed input
  std::size_t m_point() const;  // numbers from one point to the next in the products of one panel

  ConvShape shape_;
  Panels panels_;
  const IntegerKernels* kernels_;
  WinogradTiles tiles_;
};

}  // namespace qarepvgg
