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

std::vector<ValueType> types_of(const std::vector<BufferId>& ids, const std::vector<ValueType>& types) {
  std::vector<ValueType> list;
  for (BufferId id : ids) list.push_back(id == kNoBuffer ? ValueType{} : types[id]);
  return list;
}

// Returns the types of a stage's outputs. If its inputs have other dims than those of the layout, sets `op` to the op
// for them.
std::vector<ValueType> outputs_of(const StageLayout& stage, const std::vector<ValueType>& types,
                                  const GraphLayout& layout, std::unique_ptr<Op>& op) {
  if (stage.job == Job::kOp) {
    op = layout.ops[stage.op]->resized(types_of(stage.inputs, types));
    if (op == nullptr)
      fail(code::kShape, "expected inputs of the dims that the graph was compiled for (", layout.names[stage.op], ")");
    return op->outputs();
  }
  const ValueType type = types[stage.inputs[0]];
  if (stage.job == Job::kImport) return {in_layout(type, Layout::kMap)};
  return {stage.job == Job::kExport ? in_layout(type, Layout::kPlain) : type};
}

// Only heights and widths of images may differ from the dims that weights were packed for.
void check_dims(const Dims& given, const Dims& own) {
  bool fits = given.size() == own.size();
  for (std::size_t i = 0; fits && i < own.size(); ++i)
    fits = given[i] == own[i] || (own.size() == 4 && i >= 2 && given[i] > 0);
  if (!fits) fail(code::kShape, "expected dims like ", text_of(own), ", received ", text_of(given));
}

}  // namespace

Resized resize(const GraphLayout& layout, const std::vector<Dims>& inputs) {
  Resized resized;
  resized.ops.resize(layout.ops.size());
  for (const Buffer& buffer : layout.buffers) resized.types.push_back(buffer.type);
  for (BufferId id = 0; id < layout.buffers.size(); ++id) {
    const Buffer& buffer = layout.buffers[id];
    if (buffer.home != Home::kInput) continue;
    check_dims(inputs[buffer.index], buffer.type.dims());
    resized.types[id].tensor.dims = inputs[buffer.index];
  }
  const auto is_as_made = [&](BufferId id) {
    return id == kNoBuffer || resized.types[id].tensor == layout.buffers[id].type.tensor;
  };
  for (const StageLayout& stage : layout.stages) {
    if (std::all_of(stage.inputs.begin(), stage.inputs.end(), is_as_made)) continue;
    std::unique_ptr<Op> op;
    const std::vector<ValueType> outputs = outputs_of(stage, resized.types, layout, op);
    for (std::size_t i = 0; i < outputs.size(); ++i) resized.types[stage.outputs[i]] = outputs[i];
    if (stage.job == Job::kOp) resized.ops[stage.op] = std::move(op);
  }
  return resized;
}

// ---- planning ----------------------------------------------------------------------------------------------------

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
  scratch_ = AlignedBuffer(checked_mul(scratch_bytes_, members) / sizeof(float));
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

// ---- running -----------------------------------------------------------------------------------------------------

class GraphPlan::Run final : public Work {
 public:
  Run(GraphPlan& plan, const GraphTask* tasks, const std::atomic<bool>& stop)
      : plan_(plan), tasks_(tasks), stop_(stop) {}

  std::size_t steps() const override { return plan_.parts_.size(); }
  std::size_t pieces(std::size_t part) const override { return plan_.parts_[part].pieces; }
  double size(std::size_t number) const override {
    const Part& part = plan_.parts_[number];
    if (part.kind != Part::kStage) return 0;
    std::size_t repeats;
    const Step& step = Stage::step(plan_.stages_[part.stage].shared, part.images.count, repeats);
    return step.size() * static_cast<double>(repeats);
  }

  void run(std::size_t number, const Piece& piece) const override {
    if (stopped()) return;
    const Part& part = plan_.parts_[number];
    std::byte* shared = plan_.memory_of(0);
    switch (part.kind) {
      case Part::kGroups:
        return run_group(even_tile(part.images.count, part.pieces, piece.index), piece.member);
      case Part::kFronts: {
        const Images image{part.images.first + piece.index, 1, part.images.slot + piece.index};
        run_stages(0, plan_.front_, image, {plan_.memory_of(piece.member), shared}, piece.member);
        return;
      }
      case Part::kStage: {
        std::size_t repeats;
        const Step& step = Stage::step(plan_.stages_[part.stage].shared, part.images.count, repeats);
        const std::size_t image = piece.index / step.pieces();
        if (piece.index == 0) clear_halos(part.stage, part.images, {shared, shared});
        run_step(part.stage, part.images.first + image, part.images.slot + image, {shared, shared}, piece.member,
                 [&](const Operands& at, std::byte* scratch) {
                   step.run_piece(at, scratch, piece.index % step.pieces(), piece.first || repeats > 1);
                 });
      }
    }
  }

 private:
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  std::byte* locate(BufferId id, std::size_t image, std::size_t slot, const Memory& memory) const {
    if (id == kNoBuffer) return nullptr;
    const BufferId whole = plan_.whole_of(id);
    const std::size_t offset = whole == id ? 0 : plan_.buffers_[id].offset;
    const Buffer& buffer = plan_.buffers_[whole];
    const MemoryLayout::Place& place = plan_.memory_.places[whole];
    switch (buffer.home) {
      case Home::kInput:
        return const_cast<std::byte*>(tasks_[image].inputs[buffer.index]) + offset;
      case Home::kOutput:
        return tasks_[image].outputs[buffer.index] + offset;
      case Home::kConstant:
        return const_cast<std::byte*>(plan_.weights_) + buffer.offset + offset;
      default:
        return (place.stride > 0 ? memory.batched + slot * place.stride : memory.single) + place.offset + offset;
    }
  }

  // Can run at the same time as the other pieces of the stage, because these write nothing in halos.
  void clear_halos(std::size_t stage, const Images& images, const Memory& memory) const {
    for (BufferId id : plan_.stages_[stage].clears)
      for (std::size_t i = 0; i < images.count; ++i)
        clear_halo(plan_.buffers_[id].type, locate(id, images.first + i, images.slot + i, memory));
  }

  template <class Body>
  void run_step(std::size_t number, std::size_t image, std::size_t slot, const Memory& memory, std::size_t member,
                const Body& body) const {
    const Stage& stage = plan_.stages_[number];
    std::byte** first = plan_.operands_.data() + member * plan_.operand_count_;
    std::byte** next = first;
    for (const auto* list : {&stage.inputs, &stage.outputs})
      for (BufferId id : *list) *next++ = locate(id, image, slot, memory);
    const std::int64_t start = plan_.profile_ ? Profile::now() : 0;
    body(Operands{first, first + stage.inputs.size(), tasks_[image].image}, plan_.scratch_of(member));
    if (plan_.profile_) plan_.profile_->add_piece(number, start, Profile::now());
  }

  // Runs stages [first, end) on one member. Returns false if the run was stopped.
  bool run_stages(std::size_t first, std::size_t end, const Images& images, const Memory& memory,
                  std::size_t member) const {
    for (std::size_t number = first; number < end; ++number) {
      clear_halos(number, images, memory);
      std::size_t repeats;
      const Step& step = Stage::step(plan_.stages_[number].alone, images.count, repeats);
      for (std::size_t i = 0; i < repeats; ++i)
        run_step(number, images.first + i, images.slot + i, memory, member,
                 [&](const Operands& at, std::byte* scratch) { step.run_all(at, scratch); });
      if (stopped()) return false;
    }
    return true;
  }

  void run_group(const Tile& images, std::size_t member) const {
    const Memory memory{plan_.memory_of(member), plan_.memory_of(member)};
    for (std::size_t i = 0; i < images.length; ++i)
      if (!run_stages(0, plan_.front_, {images.first + i, 1, i}, memory, member)) return;
    run_stages(plan_.front_, plan_.stages_.size(), {images.first, images.length, 0}, memory, member);
  }

  GraphPlan& plan_;
  const GraphTask* tasks_;
  const std::atomic<bool>& stop_;
};

void GraphPlan::run(const GraphTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
  parts_.clear();
  if (is_shared_) {
    const std::size_t chunks = ceil_div(count, limits_.together);
    for (std::size_t i = 0; i < chunks; ++i) {
      const Tile images = even_tile(count, chunks, i);
      add_chunk({images.first, images.length, 0});
    }
  } else {
    add_groups(count);
  }
  const std::int64_t start = profile_ ? Profile::now() : 0;
  run_together(is_shared_ ? limits_.threads : static_cast<int>(maps_.size()), Run(*this, tasks, stop));
  if (profile_) profile_->end_run(start, Profile::now());
}

// Small graphs: every member takes images through the whole graph, several at a time if there are enough for all
// members.
void GraphPlan::add_groups(std::size_t count) {
  if (count == 0) return;
  const std::size_t threads = static_cast<std::size_t>(limits_.threads);
  const std::size_t pieces = threads == 1 ? 1 : kPiecesPerThread * threads;
  const std::size_t images = std::clamp<std::size_t>(ceil_div(count, pieces), 1, limits_.together);
  parts_.push_back({Part::kGroups, ceil_div(count, images), {0, count, 0}, 0});
  ensure_members(std::min(threads, parts_.back().pieces));
}

// Adds images that go through the graph together. In the first stages, a member takes an image alone as long as every
// member gets the same number. The remaining images, and all other stages, are shared by the team.
void GraphPlan::add_chunk(const Images& images) {
  const std::size_t members = static_cast<std::size_t>(limits_.threads), whole = images.count / members * members;
  if (whole > 0) {
    parts_.push_back({Part::kFronts, whole, {images.first, whole, 0}, 0});
    ensure_members(members);
  }
  for (std::size_t i = whole; i < images.count; ++i) add_stages(0, front_, {images.first + i, 1, i});
  add_stages(front_, stages_.size(), images);
}

void GraphPlan::add_stages(std::size_t first, std::size_t end, const Images& images) {
  for (std::size_t stage = first; stage < end; ++stage) {
    std::size_t repeats;
    const Step& step = Stage::step(stages_[stage].shared, images.count, repeats);
    parts_.push_back({Part::kStage, step.pieces() * repeats, images, stage});
  }
}

}  // namespace qarepvgg
