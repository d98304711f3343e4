// Weights of convolutions that are packed before the graph around them is known: while JavaScript optimises it, the
// compute thread has nothing else to do.
#pragma once

#include <memory>
#include <unordered_map>

#include "base/arena.h"
#include "program/op.h"

namespace qarepvgg {

class EarlyWeights {
 public:
  // Packs what the nodes need, each with a weight as operand 1. Operands that are not constant count as maps. If it
  // throws, there are no early weights.
  void pack(const GraphSpec& spec);
  // Something has changed a weight.
  void forget(const std::byte* weight) { packed_.erase(weight); }
  // Lets the op use what has been packed from this weight, if that is what it would pack. Returns whether it does.
  bool give(const std::byte* weight, Op& op);
  // Frees what has not been given.
  void finish();
  // Of what has been given.
  std::size_t bytes() const { return given_; }

 private:
  struct Packed {
    std::unique_ptr<Op> op;
    std::byte* memory;
  };
  // By weight. Convolutions may share one.
  std::unordered_multimap<const std::byte*, Packed> packed_;
  AlignedBuffer memory_;
  std::size_t given_ = 0;
};

}  // namespace qarepvgg
