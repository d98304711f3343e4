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

// Makes the nodes, infers every shape, and widens halos to what the nodes need.
void Program::build() {
  if (spec_.ops.empty()) fail(code::kInvalidArg, "expected at least one op, received none");
  for (std::size_t dim : {spec_.n, spec_.c, spec_.h, spec_.w})
    if (dim == 0) fail(code::kShape, "expected input dims of at least 1, received 0");

  values_.resize(spec_.ops.size() + 1);
  values_[0].map.shape = {spec_.n, spec_.c, spec_.h, spec_.w};
  std::vector<bool> used(values_.size());
  const Run probe{nullptr, nullptr, nullptr, threads_};
  for (std::size_t i = 0; i < spec_.ops.size(); ++i) {
    const OpSpec& op = spec_.ops[i];
    std::vector<MapShape> shapes;
    for (ValueId id : op.inputs) {
      if (id > i) fail(code::kInvalidArg, "expected op ", i, " to read values 0 to ", i, ", received ", id);
      used[id] = true;
      shapes.push_back(values_[id].map.shape);
      shapes.back().halo = 0;
    }
    NewNode made = make_node(op, shapes, {spec_.training, spec_.gradients, threads_});
    check_state(spec_, op, shapes.front());
    values_[i + 1].map.shape = made.output;
    for (ValueId id : op.inputs) {
      std::size_t& halo = values_[id].map.shape.halo;
      halo = std::max(halo, made.node->input_halo());
    }
    serial_ = serial_ && probe.team(made.node->work()) == 1;
    nodes_.push_back(std::move(made.node));
  }
  used.back() = true;
  for (std::size_t id = 0; id < used.size(); ++id)
    if (!used[id]) fail(code::kInvalidArg, "expected every value to be used, value ", id, " is not");
}

void Program::place() {
  const MemoryPlan plan = plan_memory(nodes_, values_, spec_);
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
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node::Wiring wiring;
    for (ValueId id : nodes_[i]->spec().inputs) wiring.inputs.push_back(&values_[id]);
    wiring.output = &values_[i + 1];
    wiring.accumulate = plan.accumulate[i];
    wiring.saved = at(plan.saved[i]);
    wiring.forward_scratch = at(plan.forward_scratch[i]);
    wiring.backward_scratch = at(plan.backward_scratch[i]);
    if (nodes_[i]->makes_output_pass()) wiring.output_pass = pass_behind(i);
    if (spec_.gradients && i > 0 && reads_first(i, i) && nodes_[i]->makes_gradient_pass())
      wiring.gradient_pass = nodes_[i - 1]->hand_over_gradient_pass();
    nodes_[i]->wire(std::move(wiring));
  }
  if (spec_.gradients) import_pass_ = nodes_.back()->hand_over_gradient_pass();
  clears_.resize(plan.steps);
  for (const MemoryPlan::Clear& clear : plan.clears) {
    const Value& value = values_[clear.value];
    clears_[clear.step].push_back({clear.grad ? &value.grad : &value.map, value.map.shape.c % kAlignedFloats != 0});
  }
}

// The pass that a node makes over its output: for the next node, or the export.
ChunkTask Program::pass_behind(std::size_t node) {
  if (node + 1 == nodes_.size())
    return [this, chunks = RowChunks(values_.back().map.shape)](std::size_t chunk) {
      export_chunk(values_.back().map, chunks, chunk, output_, active_kernels());
    };
  return reads_first(node + 1, node + 1) ? nodes_[node + 1]->hand_over_input_pass() : ChunkTask{};
}

bool Program::reads_first(std::size_t node, ValueId value) const {
  const std::vector<ValueId>& inputs = nodes_[node]->spec().inputs;
  return inputs.front() == value && std::count(inputs.begin(), inputs.end(), value) == 1;
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
  const StepNumbers steps{nodes_.size()};
  const int edge_team = serial_ ? 1 : threads_;
  clear_for(steps.import_input(), edge_team);
  import(values_.front().map, edge_team);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    clear_for(steps.forward(i), edge_team);
    nodes_[i]->forward(run);
  }
  if (!nodes_.back()->makes_output_pass()) export_nchw(values_.back().map, output, active_kernels(), edge_team);
  graph_kept_ = spec_.gradients;
}

void Program::backward(const float* grad_output, const float* state, float* gradients, float* grad_input) {
  if (!graph_kept_)
    fail(code::kInvalidState, "expected one forward with gradients before each backward, there was none");
  graph_kept_ = false;
  const Run run{state, nullptr, gradients, threads_};
  const StepNumbers steps{nodes_.size()};
  const int edge_team = serial_ ? 1 : threads_;
  clear_for(steps.import_gradient(), edge_team);
  import_nchw(grad_output, values_.back().grad, import_pass_, active_kernels(), edge_team);
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    clear_for(steps.backward(i), edge_team);
    nodes_[i]->backward(run);
  }
  if (grad_input != nullptr) export_nchw(values_.front().grad, grad_input, active_kernels(), edge_team);
}

}  // namespace qarepvgg
