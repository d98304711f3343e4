#include "program/train/program.h"

#include <algorithm>

#include "base/threads.h"
#include "kernels/dispatch.h"
#include "program/train/memory_plan.h"

namespace qarepvgg {

Program::Program(const ProgramSpec& spec) : spec_(spec) {
  threads_ = spec.threads > 0 ? spec.threads : thread_budget().count;
  build();
  place();
}

// Makes the ops, infers every shape, and widens halos to what the ops need.
void Program::build() {
  const Dims& input = spec_.input;
  if (spec_.nodes.empty()) fail(code::kInvalidArg, "expected at least one node, received none");
  if (input.size() != 4 || std::count(input.begin(), input.end(), 0u) > 0)
    fail(code::kShape, "expected input dims [n, c, h, w] of at least 1, received ", text_of(input));
  elements_of(input);  // throws if there are too many

  values_.resize(1);
  values_[0].map.shape = {input[0], input[1], input[2], input[3]};
  std::vector<bool> used(spec_.nodes.size() + 1);
  const Run probe{nullptr, nullptr, nullptr, threads_};
  for (const NodeSpec& node : spec_.nodes) {
    ops_.push_back(op_of(node));
    const TrainedOp& op = *ops_.back();
    for (MapId id : op.inputs()) {
      used[id] = true;
      std::size_t& halo = values_[id].map.shape.halo;
      halo = std::max(halo, op.input_halo());
    }
    values_.emplace_back();
    values_.back().map.shape = op.output();
    serial_ = serial_ && probe.team(op.work()) == 1;
  }
  used.back() = true;
  if (!used[0]) fail(code::kInvalidArg, "expected the input to be used");
  for (std::size_t i = 0; i < spec_.nodes.size(); ++i)
    if (!used[i + 1]) fail(code::kInvalidArg, "expected the output of node '", spec_.nodes[i].name, "' to be used");
}

// The next node's op, which may read the input, tensors, and the outputs so far.
std::unique_ptr<TrainedOp> Program::op_of(const NodeSpec& node) const {
  std::vector<Source> sources;
  for (ValueId id : node.inputs) {
    if (id == kNoValue) {
      sources.emplace_back();
    } else if (const StateTensor* tensor = spec_.tensor(id)) {
      sources.push_back({true, {Dtype::kFloat32, tensor->dims}});
    } else {
      const MapId map = spec_.map(id);
      if (map >= values_.size())
        fail(code::kInvalidArg, "node '", node.name, "': expected an operand that is computed before, received value ",
             id);
      const MapShape& shape = values_[map].map.shape;
      sources.push_back({true, {Dtype::kFloat32, {shape.n, shape.c, shape.h, shape.w}}, Layout::kMap});
    }
  }
  return make_trained_op({node, sources, spec_, threads_});
}

std::vector<StateRange> Program::statistics() const {
  std::vector<StateRange> all;
  for (const auto& op : ops_) {
    const std::vector<StateRange> some = op->statistics();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void Program::place() {
  const MemoryPlan plan = plan_memory(ops_, values_, spec_);
  arena_ = AlignedBuffer(plan.floats);
  const auto at = [this](std::size_t offset) { return arena_.data() + offset; };
  for (std::size_t id = 0; id < values_.size(); ++id) {
    values_[id].map.data = at(plan.maps[id].offset);
    values_[id].map.shape.halo = plan.maps[id].halo;
    if (!spec_.gradients) continue;
    const bool omitted = id == 0 && plan.omits_input_gradient;
    values_[id].grad = {omitted ? nullptr : at(plan.grads[id].offset), values_[id].map.shape};
    values_[id].grad.shape.halo = plan.grads[id].halo;
  }
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    TrainedOp::Wiring wiring;
    for (MapId id : ops_[i]->inputs()) wiring.inputs.push_back(&values_[id]);
    wiring.output = &values_[i + 1];
    wiring.accumulate = plan.accumulate[i];
    wiring.saved = at(plan.saved[i]);
    wiring.forward_scratch = at(plan.forward_scratch[i]);
    wiring.backward_scratch = at(plan.backward_scratch[i]);
    if (ops_[i]->makes_output_pass()) wiring.output_pass = pass_behind(i);
    if (spec_.gradients && i > 0 && reads_first(i, i) && ops_[i]->makes_gradient_pass())
      wiring.gradient_pass = ops_[i - 1]->hand_over_gradient_pass();
    ops_[i]->wire(std::move(wiring));
  }
  if (spec_.gradients) import_pass_ = ops_.back()->hand_over_gradient_pass();
  clears_.resize(plan.steps);
  for (const MemoryPlan::Clear& clear : plan.clears) {
    const Value& value = values_[clear.value];
    clears_[clear.step].push_back({clear.grad ? &value.grad : &value.map, value.map.shape.c % kAlignedFloats != 0});
  }
}

// The pass that an op makes over its output: for the next op, or the export.
ChunkTask Program::pass_behind(std::size_t op) {
  if (op + 1 == ops_.size())
    return [this, chunks = RowChunks(values_.back().map.shape)](std::size_t chunk) {
      export_chunk(values_.back().map, chunks, chunk, output_, active_kernels());
    };
  return reads_first(op + 1, op + 1) ? ops_[op + 1]->hand_over_input_pass() : ChunkTask{};
}

bool Program::reads_first(std::size_t op, MapId map) const {
  const std::vector<MapId>& inputs = ops_[op]->inputs();
  return inputs.front() == map && std::count(inputs.begin(), inputs.end(), map) == 1;
}

void Program::clear_for(std::size_t step, int threads) const {
  for (const Clear& clear : clears_[step]) clear_map(*clear.map, clear.all, threads);
}

void Program::forward(const float* input, float* state, float* output) {
  forward([&](const FeatureMap& map, int threads) { import_nchw(input, map, {}, active_kernels(), threads); }, state,
          output);
}

void Program::forward(const Import& import, float* state, float* output) {
  graph_kept_ = false;
  output_ = output;
  const Run run{state, spec_.training ? state : nullptr, nullptr, threads_};
  const StepNumbers steps{ops_.size()};
  const int edge_team = serial_ ? 1 : threads_;
  clear_for(steps.import_input(), edge_team);
  import(values_.front().map, edge_team);
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    clear_for(steps.forward(i), edge_team);
    ops_[i]->forward(run);
  }
  if (!ops_.back()->makes_output_pass()) export_nchw(values_.back().map, output, active_kernels(), edge_team);
  graph_kept_ = spec_.gradients;
}

void Program::backward(const float* grad_output, const float* state, float* gradients, float* grad_input) {
  if (!graph_kept_)
    fail(code::kInvalidState, "expected one forward with gradients before each backward, there was none");
  graph_kept_ = false;
  const Run run{state, nullptr, gradients, threads_};
  const StepNumbers steps{ops_.size()};
  const int edge_team = serial_ ? 1 : threads_;
  clear_for(steps.import_gradient(), edge_team);
  import_nchw(grad_output, values_.back().grad, import_pass_, active_kernels(), edge_team);
  for (std::size_t i = ops_.size(); i-- > 0;) {
    clear_for(steps.backward(i), edge_team);
    ops_[i]->backward(run);
  }
  if (grad_input != nullptr) export_nchw(values_.front().grad, grad_input, active_kernels(), edge_team);
}

}  // namespace qarepvgg
