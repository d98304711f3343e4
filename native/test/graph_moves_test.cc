// Graphs that move numbers: reshapes, transpositions, splits, slices and concatenations between maps and plain tensors,
// most of which share memory, against copies element by element.
#include <algorithm>
#include <numeric>

#include "test/graph_maker.h"
#include "test/harness.h"

namespace qarepvgg::test {
namespace {

constexpr std::size_t kMostChannels = 24;
constexpr std::size_t kElements[]{24, 36, 60, 96};

using List = std::vector<double>;

List list_of(const Dims& dims) { return {dims.begin(), dims.end()}; }

// A row-major tensor whose element at an index is `at(index)`.
template <class At>
Floats filled(const Dims& dims, const At& at) {
  Floats values;
  Dims index(dims.size(), 0);
  for (std::size_t left = elements_of(dims); left > 0; --left) {
    values.push_back(at(index));
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      if (++index[axis] < dims[axis]) break;
      index[axis] = 0;
    }
  }
  return values;
}

struct Value {
  ValueId id;
  Dims dims;
  Floats expected;

  float at(const Dims& index) const {
    std::size_t offset = 0;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) offset = offset * dims[axis] + index[axis];
    return expected[offset];
  }
};

Dims random_dims(Rng& rng, std::size_t elements, std::size_t rank) {
  Dims dims(rank, 1);
  for (std::size_t factor = 2; elements > 1;) {
    if (elements % factor != 0) {
      ++factor;
      continue;
    }
    dims[rng.between(0, rank - 1)] *= factor;
    elements /= factor;
  }
  return dims;
}

class RandomMoves {
 public:
  explicit RandomMoves(Rng& rng) : rng_(rng) {
    for (int i = 0; i < 2; ++i) {
      const Dims dims = random_dims(rng, rng.pick(kElements), rng.between(2, 4));
      maker.input(dims);
      inputs.push_back(random_floats(rng, elements_of(dims)));
      values_.push_back({values_.size(), dims, inputs.back()});
    }
    constant_ = random_floats(rng, 12);
    values_.push_back({maker.constant({12}, constant_), {12}, constant_});
    // The kernel of a convolution of `c` channels that returns its input.
    for (std::size_t c = 1; c <= kMostChannels; ++c)
      maker.constant({c, 1, 3, 3}, filled({c, 9}, [](const Dims& at) { return at[1] == 4 ? 1.0f : 0.0f; }));
    for (std::size_t steps = rng.between(1, 14); steps > 0; --steps) add_step();
    for (std::size_t count = rng.between(1, 3); count > 0; --count) {
      const Value& value = values_[rng.between(2, values_.size() - 1)];
      maker.spec.outputs.push_back(value.id);
      expected.push_back(value.expected);
    }
    maker.spec.threads = static_cast<int>(rng.between(1, 3));
    maker.finish();
  }

  Maker maker;
  std::vector<Floats> inputs, expected;

 private:
  void add(const std::string& op, const std::vector<ValueId>& from, const Dims& dims, const Attributes& attributes,
           Floats result) {
    values_.push_back({maker.node(op, from, dims, attributes), dims, std::move(result)});
  }

  void add_step() {
    const Value x = values_[rng_.between(0, values_.size() - 1)];
    const std::size_t axis = rng_.between(0, x.dims.size() - 1);
    Attributes attributes;
    switch (rng_.between(0, 6)) {
      case 0: {
        attributes.set("kind", std::string("neg"));
        Floats negated = x.expected;
        for (float& value : negated) value = -value;
        return add("unary", {x.id}, x.dims, attributes, negated);
      }
      case 1:
        return add_map(x);
      case 2: {
        const Dims dims = random_dims(rng_, x.expected.size(), rng_.between(1, 5));
        attributes.set("dims", list_of(dims));
        return add("reshape", {x.id}, dims, attributes, x.expected);
      }
      case 3:
        return add_transpose(x);
      case 4:
        return add_split(x, axis);
      case 5: {
        attributes.set("axis", static_cast<double>(axis));
        std::vector<Value> parts{x};
        for (const Value& other : values_) {
          Dims rest = other.dims;
          if (rest.size() == x.dims.size()) rest[axis] = x.dims[axis];
          if (rest == x.dims && rng_.chance(0.5)) parts.push_back(other);
        }
        return add_concat(parts, axis, attributes);
      }
      default:
        return add_slice(x, axis);
    }
  }

  // A convolution needs a halo around its input.
  void add_map(const Value& x) {
    if (x.dims.size() != 4 || x.dims[1] > kMostChannels) return;
    const ValueId kernel = maker.spec.inputs.size() + x.dims[1];
    add("conv", {x.id, kernel}, x.dims, square_window(3, 1, 1, 1, x.dims[1]), x.expected);
  }

  void add_transpose(const Value& x) {
    Attributes attributes;
    Value seen = x;
    if (rng_.chance(0.5)) {
      seen.dims = random_dims(rng_, x.expected.size(), rng_.between(1, 5));
      attributes.set("dims", list_of(seen.dims));
    }
    std::vector<std::size_t> perm(seen.dims.size());
    std::iota(perm.begin(), perm.end(), std::size_t{0});
    // Often between channels first and channels last.
    if (perm.size() == 4 && rng_.chance(0.5))
      std::rotate(perm.begin() + 1, perm.begin() + (rng_.chance(0.5) ? 2 : 3), perm.end());
    else
      for (std::size_t i = perm.size(); i-- > 1;) std::swap(perm[i], perm[rng_.between(0, i)]);
    attributes.set("perm", list_of(perm));
    Dims dims;
    for (std::size_t from : perm) dims.push_back(seen.dims[from]);
    add("transpose", {x.id}, dims, attributes, filled(dims, [&](const Dims& index) {
          Dims own(index.size());
          for (std::size_t i = 0; i < perm.size(); ++i) own[perm[i]] = index[i];
          return seen.at(own);
        }));
  }

  static Floats part_of(const Value& x, const Dims& dims, std::size_t axis, std::size_t first) {
    return filled(dims, [&](Dims index) {
      index[axis] += first;
      return x.at(index);
    });
  }

  void add_split(const Value& x, std::size_t axis) {
    const std::size_t length = x.dims[axis], first = rng_.between(1, length);
    if (first == length) return;
    Attributes attributes;
    attributes.set("axis", static_cast<double>(axis));
    attributes.set("sizes", List{static_cast<double>(first), static_cast<double>(length - first)});
    Dims left = x.dims, right = x.dims;
    left[axis] = first;
    right[axis] = length - first;
    const ValueId id = maker.node("split", {x.id}, left, attributes);
    maker.spec.nodes.back().outputs.push_back(Maker::type(right));
    values_.push_back({id, left, part_of(x, left, axis, 0)});
    values_.push_back({id + 1, right, part_of(x, right, axis, first)});
  }

  void add_slice(const Value& x, std::size_t axis) {
    Dims starts(x.dims.size(), 0), sizes = x.dims;
    starts[axis] = rng_.between(0, x.dims[axis] - 1);
    sizes[axis] = rng_.between(1, x.dims[axis] - starts[axis]);
    Attributes attributes;
    attributes.set("starts", list_of(starts));
    attributes.set("sizes", list_of(sizes));
    attributes.set("steps", List(x.dims.size(), 1));
    add("slice", {x.id}, sizes, attributes, part_of(x, sizes, axis, starts[axis]));
  }

  void add_concat(const std::vector<Value>& parts, std::size_t axis, const Attributes& attributes) {
    Dims dims = parts[0].dims;
    dims[axis] = 0;
    std::vector<ValueId> ids;
    for (const Value& part : parts) {
      dims[axis] += part.dims[axis];
      ids.push_back(part.id);
    }
    if (elements_of(dims) > 4000) return;
    add("concat", ids, dims, attributes, filled(dims, [&](Dims index) {
          std::size_t i = 0;
          for (; index[axis] >= parts[i].dims[axis]; ++i) index[axis] -= parts[i].dims[axis];
          return parts[i].at(index);
        }));
  }

  Rng& rng_;
  Floats constant_;
  std::vector<Value> values_;
};

TEST(graph_moves) {
  test.repeat(3000, [](Rng& rng) {
    RandomMoves moves(rng);
    GraphProgram program(moves.maker.spec);
    std::vector<Dims> dims;
    for (const TensorType& type : program.inputs()) dims.push_back(type.dims);
    for (int repeat = 0; repeat < 2; ++repeat) {
      const std::vector<Floats> outputs = run_all(program, dims, moves.inputs);
      for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(outputs[i] == moves.expected[i], "output ", i);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
