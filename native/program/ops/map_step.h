// Steps that compute the rows of one map independently.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "kernels/dispatch.h"
#include "program/op.h"
#include "program/ops/activation.h"

namespace qarepvgg {

// Applies a function to output rows [first, end) of a map, numbered through all images. Padding lanes stay zero.
void apply_to_rows(const UnaryFunction& function, const FeatureMap& map, std::size_t first, std::size_t end);

// Runs `rows(at, first, end)` over rows of the output, numbered through all images, and then the activation.
template <class Rows>
class RowStep final : public Step {
 public:
  // work: how much work an element of the output is, compared with copying it.
  RowStep(const MapShape& out, std::size_t members, std::optional<UnaryFunction> activation, double work, Rows rows)
      : Step({out.n * out.h, members, map_size(out) * work}),
        out_(out),
        activation_(activation),
        rows_(std::move(rows)) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    rows_(at, items.first, items.first + items.length);
    if (activation_) apply_to_rows(*activation_, at.output_map(out_), items.first, items.first + items.length);
  }

  MapShape out_;
  std::optional<UnaryFunction> activation_;
  Rows rows_;
};

template <class Rows>
std::unique_ptr<Step> make_row_step(const MapShape& out, std::size_t members, std::optional<UnaryFunction> activation,
                                    double work, Rows rows) {
  return std::make_unique<RowStep<Rows>>(out, members, activation, work, std::move(rows));
}

}  // namespace qarepvgg
