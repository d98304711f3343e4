// A graph planned for the dims of its inputs: steps and their memory, so that a run allocates nothing.
//
// A run is cut into pieces that the members of a team claim. In a small graph, a piece is some images that go through
// the whole graph. In a large graph, the first stages, whose maps are large, take images one by one, each on one member
// as long as all members get the same number. The other stages take several images together, because their weights
// stream from memory. The result of an image has the same bits in all cases.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "program/infer/memory_layout.h"
#include "program/infer/profile.h"
#include "program/infer/resized.h"

namespace qarepvgg {

// One run of the graph: memory of its inputs and outputs, row-major. `image`: the first input, if it is bytes.
struct GraphTask {
  std::vector<const std::byte*> inputs;
  std::vector<std::byte*> outputs;
  Image image{};
};

struct PlanLimits {
  std::size_t together;  // at most how many images one thread takes through the graph together
  int threads;
  double min_macs;  // threads share an image if each gets about so many multiply-adds per op
};

class GraphPlan {
 public:
  GraphPlan(const GraphLayout& layout, const std::vector<Dims>& inputs, const PlanLimits& limits);

  const std::vector<Dims>& dims() const { return dims_; }
  std::size_t memory_bytes() const;
  // Throws ERR_OUT_OF_MEMORY if so many tasks need memory for more members than have run before.
  void run(const GraphTask* tasks, std::size_t count, const std::atomic<bool>& stop);

 private:
  // By number of images - 1. A single step is used for any number, image by image.
  using Steps = std::vector<std::unique_ptr<Step>>;
  struct Repeated {
    const Step& step;
    std::size_t times;
  };
  static Repeated step_for(const Steps& steps, std::size_t images) {
    return steps.size() >= images ? Repeated{*steps[images - 1], 1} : Repeated{*steps[0], images};
  }

  struct Stage {
    std::vector<BufferId> inputs, outputs;
    Steps alone, shared;           // for one member, for a team
    std::vector<BufferId> clears;  // maps whose halos it must write, too
  };

  // Memory for the values of some images: that of the first stages, and that of the others.
  struct Memory {
    std::byte *single, *batched;
  };

  // Some images: their indices in the run, and the place of the first one in batched memory.
  struct Images {
    std::size_t first, count, slot;
  };

  // A part of a run whose pieces are independent.
  struct Part {
    enum Kind {
      kGroups,  // a piece takes some images through all stages
      kFronts,  // a piece takes one image through the first stages
      kStage    // a piece is a part of one stage
    } kind;
    std::size_t pieces;
    Images images;
    std::size_t stage;
  };
  class Run;

  void plan_types(const GraphLayout& layout);
  // The buffer that a part is in, if it is one.
  BufferId whole_of(BufferId id) const { return buffers_[id].home == Buffer::Home::kPart ? buffers_[id].index : id; }
  std::size_t front_stages(const GraphLayout& layout) const;
  void plan_steps(const GraphLayout& layout);
  void add_steps(const GraphLayout& layout, const StageLayout& draft, bool batched);
  std::unique_ptr<Step> step_of(const StageLayout& draft, const Op* op, std::size_t members) const;
  std::unique_ptr<Op> batched_op(const GraphLayout& layout, const StageLayout& draft, std::size_t images) const;
  const Op& op_of(const GraphLayout& layout, const StageLayout& draft) const;
  ValueType batched_type(BufferId id, std::size_t images) const;
  void plan_memory();
  std::string describe(const GraphLayout& layout, const StageLayout& draft) const;
  // How many members share so many images, at most all threads.
  std::size_t team_for(std::size_t images) const;
  void ensure_members(std::size_t count);

  std::byte* memory_of(std::size_t member) { return reinterpret_cast<std::byte*>(maps_[member].data()); }
  std::byte* scratch_of(std::size_t member) {
    return reinterpret_cast<std::byte*>(scratch_.data()) + member * scratch_bytes_;
  }

  void add_groups(std::size_t count);
  void add_chunk(const Images& images);
  void add_stages(std::size_t first, std::size_t end, const Images& images);

  std::vector<Dims> dims_;
  PlanLimits limits_;
  std::vector<Buffer> buffers_;  // with the types and halos of this plan
  const std::byte* weights_;
  Resized resized_;
  std::vector<std::unique_ptr<Op>> batched_ops_;  // own the steps for several images
  std::vector<Stage> stages_;
  std::size_t front_ = 0;         // stages that take images one by one
  double members_per_image_ = 0;  // how many members an image has work for
  bool is_shared_ = false;
  MemoryLayout memory_;
  std::size_t scratch_bytes_ = 0, operand_count_ = 0;
  std::vector<AlignedBuffer> maps_;   // by member
  AlignedBuffer scratch_;             // of all members
  std::vector<std::byte*> operands_;  // of the step that a member runs
  std::vector<Part> parts_;           // of the current run
  std::unique_ptr<Profile> profile_;  // null unless wanted
};

}  // namespace qarepvgg
