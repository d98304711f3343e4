// How a plan runs.
#include <algorithm>

#include "base/parallel.h"
#include "program/infer/conversion.h"
#include "program/infer/graph_plan.h"

namespace qarepvgg {

using Home = Buffer::Home;

class GraphPlan::Run final : public Work {
 public:
  Run(GraphPlan& plan, const GraphTask* tasks, const std::atomic<bool>& stop)
      : plan_(plan), tasks_(tasks), stop_(stop) {}

  std::size_t steps() const override { return plan_.parts_.size(); }
  std::size_t pieces(std::size_t part) const override { return plan_.parts_[part].pieces; }
  double size(std::size_t number) const override {
    const Part& part = plan_.parts_[number];
    if (part.kind != Part::kStage) return 0;
    const Repeated work = step_for(plan_.stages_[part.stage].shared, part.images.count);
    return work.step.size() * static_cast<double>(work.times);
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
        const Repeated work = step_for(plan_.stages_[part.stage].shared, part.images.count);
        const std::size_t pieces = work.step.pieces(), image = piece.index / pieces;
        if (piece.index == 0) clear_halos(part.stage, part.images, {shared, shared});
        run_step(part.stage, part.images.first + image, part.images.slot + image, {shared, shared}, piece.member,
                 [&](const Operands& at, std::byte* scratch) {
                   work.step.run_piece(at, scratch, piece.index % pieces, piece.first || work.times > 1);
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
      const Repeated work = step_for(plan_.stages_[number].alone, images.count);
      for (std::size_t i = 0; i < work.times; ++i)
        run_step(number, images.first + i, images.slot + i, memory, member,
                 [&](const Operands& at, std::byte* scratch) { work.step.run_all(at, scratch); });
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
    const Repeated work = step_for(stages_[stage].shared, images.count);
    parts_.push_back({Part::kStage, work.step.pieces() * work.times, images, stage});
  }
}

}  // namespace qarepvgg
