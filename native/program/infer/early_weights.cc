#include "program/infer/early_weights.h"

#include <utility>
#include <vector>

#include "base/threads.h"

namespace qarepvgg {

void EarlyWeights::pack(const GraphSpec& spec) {
  std::vector<Source> sources;
  for (const TensorType& type : spec.inputs) sources.push_back({true, type, Layout::kMap});
  for (const Constant& constant : spec.constants)
    sources.push_back({true, constant.type, Layout::kPlain, constant.data});
  std::vector<std::pair<const std::byte*, std::unique_ptr<Op>>> ops;
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
  for (const NodeSpec& node : spec.nodes) {
    std::vector<Source> operands;
    for (ValueId value : node.inputs) {
      if (value >= sources.size())
        fail(code::kInvalidArg, "expected an operand that is computed before, received value ", value);
      operands.push_back(sources[value]);
    }
    if (operands.size() < 2 || operands[1].constant == nullptr)
      fail(code::kInvalidArg, "node '", node.name, "': expected a constant weight");
    ops.emplace_back(operands[1].constant, make_op({node, operands, spec.algorithm}));
    offsets.push_back(bytes);
    bytes = checked_add(bytes, round_up(ops.back().second->weight_bytes(), kAlignment));
    for (const TensorType& type : node.outputs) sources.push_back({true, type, Layout::kMap});
  }
  const int threads = spec.threads > 0 ? spec.threads : thread_budget().count;
  AlignedBuffer memory(bytes / sizeof(float));
  decltype(packed_) packed;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    auto& [weight, op] = ops[i];
    std::byte* const place = reinterpret_cast<std::byte*>(memory.data()) + offsets[i];
    op->pack(place, threads);
    packed.emplace(weight, Packed{std::move(op), place});
  }
  packed_ = std::move(packed);
  memory_ = std::move(memory);
}

bool EarlyWeights::give(const std::byte* weight, Op& op) {
  const auto [first, end] = packed_.equal_range(weight);
  for (auto at = first; at != end; ++at)
    if (op.adopt(*at->second.op)) {
      given_ += round_up(at->second.op->weight_bytes(), kAlignment);
      packed_.erase(at);
      return true;
    }
  return false;
}

void EarlyWeights::finish() {
  for (const auto& [weight, packed] : packed_) drop_pages(packed.memory, packed.op->weight_bytes());
  packed_.clear();
}

}  // namespace qarepvgg
