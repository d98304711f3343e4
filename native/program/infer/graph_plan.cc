#include "program/infer/graph_plan.h"

#include <algorithm>

#include "ops/byte_map.h"
#include "program/infer/conversion.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

using Home = Buffer::Home;
using Job = StageLayout::Job;

// Stages with larger maps take images one by one, because their maps fill the cache and their weights are small. Later
// stages stream large weights and share them between images.
constexpr std::size_t kSinglePixels = 256;

// Scratch that fills most of a huge page takes one: a transform writes to 36 or 81 places at once, far apart, and a CPU
// knows fewer small pages at a time.
constexpr std::size_t kHugePage = 2 << 20;

std::size_t in_huge_page(std::size_t bytes) { return bytes > kHugePage / 2 && bytes < kHugePage ? kHugePage : bytes; }

bool is_large(const ValueType& type) {
  return type.layout == Layout::kMap && type.dims()[2] * type.dims()[3] > kSinglePixels;
}

bool is_empty(const StageLayout& stage, const std::vector<ValueType>& types) {
  return stage.is_done || std::all_of(stage.outputs.begin(), stage.outputs.end(),
                                      [&](BufferId id) { return types[id].tensor.elements() == 0; });
}

// Calls visit(buffer) for every buffer that a stage reads or writes.
template <class Stage, class Visit>
void for_each_buffer(const Stage& stage, const Visit& visit) {
  for (const auto* list : {&stage.inputs, &stage.outputs})
    for (BufferId id : *list)
      if (id != kNoBuffer) visit(id);
}

}  // namespace

GraphPlan::GraphPlan(const GraphLayout& layout, const std::vector<Dims>& inputs, const PlanLimits& limits)
    : dims_(inputs),
      limits_(limits),
      buffers_(layout.buffers),
      weights_(reinterpret_cast<const std::byte*>(layout.weights.data())),
      resized_(resize(layout, inputs)),
      profile_(Profile::if_wanted()) {
  plan_types(layout);
  plan_steps(layout);
  plan_memory();
  const std::size_t members = static_cast<std::size_t>(limits_.threads);
  scratch_ = AlignedBuffer(in_huge_page(checked_mul(scratch_bytes_, members)) / sizeof(float));
  operand_count_ = round_up(operand_count_, kAlignment / sizeof(std::byte*));
  operands_.resize(checked_mul(operand_count_, members));
  ensure_members(1);
}

std::size_t GraphPlan::memory_bytes() const {
  std::size_t bytes = scratch_.bytes();
  for (const AlignedBuffer& maps : maps_) bytes += maps.bytes();
  return bytes;
}

// A map's halo is as wide as its widest reader needs.
void GraphPlan::plan_types(const GraphLayout& layout) {
  for (BufferId id = 0; id < buffers_.size(); ++id) buffers_[id].type = resized_.types[id];
  for (const StageLayout& stage : layout.stages)
    if (stage.job == Job::kOp)
      for (std::size_t i = 0; i < stage.inputs.size(); ++i)
        if (stage.inputs[i] != kNoBuffer) {
          ValueType& type = buffers_[stage.inputs[i]].type;
          if (type.layout == Layout::kMap) type.halo = std::max(type.halo, op_of(layout, stage).halo(i));
        }
  for (BufferId id = 0; id < buffers_.size(); ++id) resized_.types[id] = buffers_[id].type;
  // A part of a part is one of the whole.
  for (Buffer& part : buffers_)
    while (part.home == Home::kPart && buffers_[part.index].home == Home::kPart) {
      part.offset += buffers_[part.index].offset;
      part.index = buffers_[part.index].index;
    }
}

const Op& GraphPlan::op_of(const GraphLayout& layout, const StageLayout& draft) const {
  const auto& own = resized_.ops[draft.op];
  return own != nullptr ? *own : *layout.ops[draft.op];
}

ValueType GraphPlan::batched_type(BufferId id, std::size_t images) const {
  ValueType type = id == kNoBuffer ? ValueType{} : buffers_[id].type;
  if (!type.tensor.dims.empty()) type.tensor.dims[0] *= images;
  return type;
}

// The op for several images together; null if it takes them one by one.
std::unique_ptr<Op> GraphPlan::batched_op(const GraphLayout& layout, const StageLayout& draft,
                                          std::size_t images) const {
  if (draft.job != Job::kOp) return nullptr;
  // Several images are contiguous only in maps.
  bool are_maps = true;
  for_each_buffer(draft, [&](BufferId id) {
    are_maps = are_maps && buffers_[id].home == Home::kMemory && buffers_[id].type.layout == Layout::kMap;
  });
  if (!are_maps) return nullptr;
  std::vector<ValueType> inputs;
  for (BufferId id : draft.inputs) inputs.push_back(batched_type(id, images));
  return op_of(layout, draft).resized(inputs);
}

// Number of the first stages that take images one by one: up to the last one that uses a large map or an input. All
// stages, if no later one gains from several images.
std::size_t GraphPlan::front_stages(const GraphLayout& layout) const {
  std::size_t front = 0, count = 0;
  bool gains = false;
  for (const StageLayout& stage : layout.stages) {
    if (is_empty(stage, resized_.types)) continue;
    ++count;
    bool is_front = false;
    for_each_buffer(stage, [&](BufferId id) {
      is_front = is_front || buffers_[id].home == Home::kInput || is_large(buffers_[id].type);
    });
    if (is_front) {
      front = count;
      gains = false;
    } else if (batched_op(layout, stage, 1) != nullptr) {
      gains = true;
    }
  }
  return limits_.together > 1 && gains ? front : count;
}

std::size_t GraphPlan::team_for(std::size_t images) const {
  const double members = static_cast<double>(images) * members_per_image_;
  if (!(members < static_cast<double>(limits_.threads))) return static_cast<std::size_t>(limits_.threads);
  return std::max<std::size_t>(static_cast<std::size_t>(members), 1);
}

void GraphPlan::plan_steps(const GraphLayout& layout) {
  front_ = front_stages(layout);
  double macs = 0;
  std::size_t multiplying = 0;
  for (const StageLayout& stage : layout.stages)
    if (stage.job == Job::kOp && op_of(layout, stage).macs() > 0) {
      macs += op_of(layout, stage).macs();
      ++multiplying;
    }
  members_per_image_ = macs / (limits_.min_macs * static_cast<double>(std::max<std::size_t>(multiplying, 1)));
  is_shared_ = team_for(1) > 1;
  for (const StageLayout& stage : layout.stages)
    if (!is_empty(stage, resized_.types)) add_steps(layout, stage, stages_.size() >= front_);
}

void GraphPlan::add_steps(const GraphLayout& layout, const StageLayout& draft, bool batched) {
  Stage stage{draft.inputs, draft.outputs, {}, {}, {}};
  const auto add = [&](Steps& steps, const Op* op, std::size_t members) {
    steps.push_back(step_of(draft, op, members));
    scratch_bytes_ = std::max(scratch_bytes_, round_up(steps.back()->scratch_bytes(), kAlignment));
  };
  const Op* own = draft.job == Job::kOp ? &op_of(layout, draft) : nullptr;
  if (!batched || !is_shared_) add(stage.alone, own, 1);
  if (is_shared_) add(stage.shared, own, team_for(1));
  for (std::size_t images = 2; batched && images <= limits_.together; ++images) {
    std::unique_ptr<Op> op = batched_op(layout, draft, images);
    if (op == nullptr) break;
    add(is_shared_ ? stage.shared : stage.alone, op.get(), is_shared_ ? team_for(images) : 1);
    batched_ops_.push_back(std::move(op));
  }
  operand_count_ = std::max(operand_count_, draft.inputs.size() + draft.outputs.size());
  if (profile_)
    profile_->add_step(describe(layout, draft), (is_shared_ ? stage.shared : stage.alone).front()->pieces(),
                       own != nullptr ? own->macs() : 0);
  stages_.push_back(std::move(stage));
}

std::string GraphPlan::describe(const GraphLayout& layout, const StageLayout& draft) const {
  static constexpr const char* kJobs[]{"", "to a map", "to a plain tensor", "copy", "activation"};
  std::string name = draft.job == Job::kOp ? layout.names[draft.op] : kJobs[static_cast<std::size_t>(draft.job)];
  for (BufferId id : draft.outputs) name += " " + text_of(buffers_[id].type.dims());
  return name;
}

std::unique_ptr<Step> GraphPlan::step_of(const StageLayout& draft, const Op* op, std::size_t members) const {
  switch (draft.job) {
    case Job::kImport:
      return make_import_step(buffers_[draft.outputs[0]].type.map(), members);
    case Job::kExport:
      return make_export_step(buffers_[draft.inputs[0]].type, members);
    case Job::kCopy:
      return make_copy_step(buffers_[draft.inputs[0]].type.tensor.bytes(), members);
    case Job::kActivation:
      return make_unary_step(draft.activation, buffers_[draft.outputs[0]].type, members);
    case Job::kOp:
      break;
  }
  // The step is for as many images as the op.
  std::vector<ValueType> outputs = op->outputs();
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i].halo = buffers_[draft.outputs[i]].type.halo;
  const std::size_t own = outputs.empty() || outputs[0].dims().empty() ? 1 : outputs[0].dims()[0];
  const Dims& one = buffers_[draft.outputs[0]].type.dims();
  const std::size_t images = one.empty() || one[0] == 0 ? 1 : own / one[0];
  std::vector<ValueType> inputs;
  for (BufferId id : draft.inputs) inputs.push_back(batched_type(id, images));
  return op->plan(inputs, outputs, members);
}

// A value is alive from the stage that writes it to the last one that reads it.
void GraphPlan::plan_memory() {
  std::vector<Life> lives(buffers_.size());
  for (std::size_t i = 0; i < stages_.size(); ++i)
    for_each_buffer(stages_[i], [&](BufferId id) {
      Life& life = lives[whole_of(id)];
      life.first = std::min(life.first, i);
      life.last = i;
      life.batched = i >= front_;
    });
  memory_ = lay_out_memory(buffers_, lives, limits_.together);
  for (const MemoryLayout::Clear& clear : memory_.clears) stages_[clear.stage].clears.push_back(clear.map);
}

// New memory is zero, which is the border of maps of floats and of most maps of integers.
void GraphPlan::ensure_members(std::size_t count) {
  while (maps_.size() < count) {
    AlignedBuffer memory(memory_.bytes / sizeof(float));
    auto* bytes = reinterpret_cast<std::byte*>(memory.data());
    for (BufferId id = 0; id < buffers_.size(); ++id) {
      const ValueType& type = buffers_[id].type;
      if (buffers_[id].home != Home::kMemory || !type.quantization || type.quantization->zero_point() == 0) continue;
      const std::size_t images = memory_.places[id].stride > 0 ? limits_.together : 1;
      fill_elements(bytes + memory_.places[id].offset, images * type.map().floats(), type.element,
                    type.quantization->zero_point());
    }
    maps_.push_back(std::move(memory));
  }
}

}  // namespace qarepvgg
