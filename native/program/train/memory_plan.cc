#include "program/train/memory_plan.h"

#include <algorithm>

namespace qarepvgg {
namespace {

struct Life {
  std::size_t first, last;

  void reach(std::size_t step) {
    first = std::min(first, step);
    last = std::max(last, step);
  }
};

// A map in the arena, kept to find out whether it shares its memory.
struct Placement {
  std::size_t offset, floats, first;
  std::size_t value;
  bool grad;
};

class Planner {
 public:
  Planner(const std::vector<std::unique_ptr<TrainedOp>>& ops, const std::vector<Value>& values, const ProgramSpec& spec)
      : ops_(ops), values_(values), gradients_(spec.gradients), steps_{ops.size()} {
    plan_.omits_input_gradient = !spec.input_gradient;
    for (std::size_t i = 0; i < ops_.size(); ++i)
      if (reads(i, 0) && !ops_[i]->may_omit_input_gradient()) plan_.omits_input_gradient = false;
  }

  MemoryPlan plan() {
    plan_.steps = steps_.count();
    place_maps();
    if (gradients_) place_gradients();
    place_workspaces();
    find_shared();
    plan_.floats = arena_.size();
    return std::move(plan_);
  }

 private:
  void place_maps() {
    const std::size_t count = values_.size();
    std::vector<std::size_t> root(count), halos(count, 0);
    std::vector<Life> lives(count, Life{steps_.count(), 0});
    for (std::size_t id = 0; id < count; ++id) {
      root[id] = sum_in_place(id) ? root[ops_[id - 1]->inputs().back()] : id;
      Life& life = lives[root[id]];
      life.reach(id);  // value i + 1 is written by op i at step i + 1, value 0 is imported at step 0
      if (id + 1 == count) life.reach(steps_.export_output());
      if (gradients_ && id > 0 && ops_[id - 1]->backward_reads_output()) life.reach(steps_.backward(id - 1));
      for (std::size_t i = 0; i < ops_.size(); ++i) {
        if (!reads(i, id)) continue;
        life.reach(steps_.forward(i));
        if (gradients_ && ops_[i]->backward_reads_input() && !only_adds(i, id)) life.reach(steps_.backward(i));
      }
      halos[root[id]] = std::max(halos[root[id]], values_[id].map.shape.halo);
    }
    plan_.maps = place(root, lives, halos, false);
  }

  // The gradient of a summand is the gradient of the sum: unless something else writes it, no copy is made. An op may
  // also overwrite the gradient of its output if nothing else reads that.
  void place_gradients() {
    const std::size_t count = values_.size();
    std::vector<std::size_t> root(count);
    for (std::size_t id = 0; id < count; ++id) root[id] = id;
    for (std::size_t i = ops_.size(); i-- > 0;) {
      const std::vector<MapId>& inputs = ops_[i]->inputs();
      for (std::size_t operand = ops_[i]->first_addend(); operand < inputs.size(); ++operand)
        if (may_alias(inputs[operand])) root[inputs[operand]] = root[i + 1];
      const MapId first = inputs.front();
      if (ops_[i]->backward_in_place() && root[i + 1] == i + 1 && may_alias(first)) root[first] = i + 1;
    }

    std::vector<Life> lives(count, Life{steps_.count(), 0});
    std::vector<std::size_t> halos(count, 0);
    for (std::size_t id = 0; id < count; ++id) {
      Life& life = lives[root[id]];
      life.reach(id == 0 ? steps_.export_gradient() : steps_.backward(id - 1));
      if (id + 1 == count) life.reach(steps_.import_gradient());
      for (std::size_t i = 0; i < ops_.size(); ++i)
        if (reads(i, id)) life.reach(steps_.backward(i));
      if (id > 0) halos[root[id]] = std::max(halos[root[id]], ops_[id - 1]->output_gradient_halo());
    }
    plan_.grads = place(root, lives, halos, true);

    std::vector<bool> written(count);
    plan_.accumulate.resize(ops_.size());
    for (std::size_t i = ops_.size(); i-- > 0;)
      for (MapId id : ops_[i]->inputs()) {
        plan_.accumulate[i].push_back(written[id]);
        written[id] = true;
      }
  }

  void place_workspaces() {
    plan_.accumulate.resize(ops_.size());
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      const std::size_t forward = steps_.forward(i), backward = steps_.backward(i);
      // From one step earlier, because the op before may write there (hand_over_input_pass).
      plan_.saved.push_back(arena_.reserve(ops_[i]->saved_floats(), forward - 1, gradients_ ? backward : forward));
      plan_.forward_scratch.push_back(arena_.reserve(ops_[i]->forward_scratch_floats(), forward, forward));
      plan_.backward_scratch.push_back(
          gradients_ ? arena_.reserve(ops_[i]->backward_scratch_floats(), backward, backward) : 0);
    }
  }

  // If other tensors overwrite a map's halo or padding lanes between two runs, these must be cleared again.
  void find_shared() {
    for (const Placement& map : placements_)
      if (arena_.overlaps(map.offset, map.floats)) plan_.clears.push_back({map.first, map.value, map.grad});
  }

  // Reserves one map for all values of a root, with the lifetime and the halo that they need together.
  std::vector<MemoryPlan::Placed> place(const std::vector<std::size_t>& root, const std::vector<Life>& lives,
                                        const std::vector<std::size_t>& halos, bool grad) {
    std::vector<MemoryPlan::Placed> placed(root.size());
    for (std::size_t id = 0; id < root.size(); ++id) {
      if (root[id] != id || (grad && id == 0 && plan_.omits_input_gradient)) continue;
      MapShape shape = values_[id].map.shape;
      shape.halo = halos[id];
      placed[id] = {reserve(shape, lives[id], id, grad), halos[id]};
    }
    for (std::size_t id = 0; id < root.size(); ++id) placed[id] = placed[root[id]];
    return placed;
  }

  std::size_t reserve(const MapShape& shape, const Life& life, std::size_t value, bool grad) {
    const std::size_t floats = shape.floats(), offset = arena_.reserve(floats, life.first, life.last);
    placements_.push_back({offset, floats, life.first, value, grad});
    return offset;
  }

  bool reads(std::size_t op, MapId map) const {
    const std::vector<MapId>& inputs = ops_[op]->inputs();
    return std::find(inputs.begin(), inputs.end(), map) != inputs.end();
  }

  bool only_adds(std::size_t op, MapId map) const {
    const std::vector<MapId>& inputs = ops_[op]->inputs();
    return std::find(inputs.begin(), inputs.end(), map) - inputs.begin() >= signed_size(ops_[op]->first_addend());
  }

  // Whether an op may overwrite its addend with its output: nothing else may read the addend.
  bool sum_in_place(MapId id) const {
    if (id == 0 || !ops_[id - 1]->overwrites_addend()) return false;
    const MapId addend = ops_[id - 1]->inputs().back();
    return addend > 0 && reader_count(addend) == 1 && !(gradients_ && ops_[addend - 1]->backward_reads_output());
  }

  std::size_t reader_count(MapId id) const {
    std::size_t readers = 0;
    for (const auto& op : ops_)
      readers += static_cast<std::size_t>(std::count(op->inputs().begin(), op->inputs().end(), id));
    return readers;
  }

  // Whether the gradient of an operand may be that of the sum: nothing else may read the value, and its producer must
  // not overwrite the gradient that it gets (a fused ReLU of a convolution or sum masks it in place).
  bool may_alias(MapId id) const {
    return id > 0 && reader_count(id) == 1 && !ops_[id - 1]->overwrites_output_gradient();
  }

  const std::vector<std::unique_ptr<TrainedOp>>& ops_;
  const std::vector<Value>& values_;
  bool gradients_;
  StepNumbers steps_;
  ArenaPlanner arena_;
  MemoryPlan plan_;
  std::vector<Placement> placements_;
};

}  // namespace

MemoryPlan plan_memory(const std::vector<std::unique_ptr<TrainedOp>>& ops, const std::vector<Value>& values,
                       const ProgramSpec& spec) {
  return Planner(ops, values, spec).plan();
}

}  // namespace qarepvgg
