// Chooses the layouts of a graph's values, and inserts conversions.
#include <algorithm>
#include <utility>

#include "program/infer/conversion.h"
#include "program/infer/early_weights.h"
#include "program/infer/graph_layout.h"
#include "program/ops/activation.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kMaxNodes = 100000;

class Builder {
 public:
  explicit Builder(const GraphSpec& spec) : spec_(spec) {}

  GraphLayout build(int threads) {
    count_readers();
    add_sources();
    for (const NodeSpec& node : spec_.nodes) add_node(node);
    add_outputs();
    pack(threads);
    return std::move(layout_);
  }

 private:
  using Job = StageLayout::Job;
  static constexpr std::size_t kNoNode = static_cast<std::size_t>(-1);
  // The buffers of a value: one for each layout that something has needed.
  struct Places {
    BufferId plain = kNoBuffer, map = kNoBuffer;
    std::size_t maker = kNoNode;  // the node that will make it in the layout that is needed first

    BufferId& in(Layout layout) { return layout == Layout::kMap ? map : plain; }
  };
  BufferId add_buffer(const Buffer& buffer) {
    layout_.buffers.push_back(buffer);
    return layout_.buffers.size() - 1;
  }

  BufferId add_stage(Job job, BufferId input, const ValueType& type) {
    const BufferId output = add_buffer({type});
    layout_.stages.push_back({job, 0, {}, {input}, {output}});
    return output;
  }

  void add_sources() {
    for (std::size_t i = 0; i < spec_.inputs.size(); ++i)
      places_.push_back({add_buffer({{spec_.inputs[i], Layout::kPlain, 0}, Buffer::Home::kInput, i}), kNoBuffer});
    for (const Constant& constant : spec_.constants) {
      if (constant.type.elements() > 0 && constant.data == nullptr)
        fail(code::kInvalidArg, "expected a constant's elements");
      places_.push_back({add_buffer({{constant.type, Layout::kPlain, 0}, Buffer::Home::kConstant}), kNoBuffer});
    }
    constant_used_.resize(spec_.constants.size(), false);
  }

  void count_readers() {
    if (spec_.nodes.size() > kMaxNodes) fail(code::kInvalidArg, "expected at most ", kMaxNodes, " nodes");
    readers_.resize(value_count(), 0);
    const auto count = [&](ValueId value) {
      if (value == kNoValue) return;
      if (value >= readers_.size())
        fail(code::kInvalidArg, "expected an operand that is computed before, received value ", value);
      ++readers_[value];
    };
    for (const NodeSpec& node : spec_.nodes)
      for (ValueId value : node.inputs) count(value);
    for (ValueId value : spec_.outputs) count(value);
    unread_ = readers_;
  }

  std::size_t value_count() const {
    std::size_t count = spec_.inputs.size() + spec_.constants.size();
    for (const NodeSpec& node : spec_.nodes) count += node.outputs.size();
    return count;
  }

  const Constant* constant_of(ValueId value) const {
    const bool is_constant = value >= spec_.inputs.size() && value - spec_.inputs.size() < spec_.constants.size();
    return is_constant ? &spec_.constants[value - spec_.inputs.size()] : nullptr;
  }

  Source source_of(ValueId value) const {
    if (value == kNoValue) return {};
    if (value >= places_.size())
      fail(code::kInvalidArg, "expected an operand that is computed before, received value ", value);
    const Places& places = places_[value];
    if (places.maker != kNoNode) return {true, spec_.nodes[places.maker].outputs[0], Layout::kPlain, nullptr, {}};
    const BufferId buffer = places.map != kNoBuffer ? places.map : places.plain;
    const Constant* constant = constant_of(value);
    const ValueType& type = layout_.buffers[buffer].type;
    return {true, type.tensor, type.layout, constant != nullptr ? constant->data : nullptr, type.quantization};
  }

  std::unique_ptr<Op> op_of(const NodeSpec& node, Layout wanted) const {
    std::vector<Source> sources;
    for (ValueId value : node.inputs) sources.push_back(source_of(value));
    return make_op({node, sources, spec_.algorithm, wanted});
  }

  // Returns the buffer that holds a value in this layout. If there is none, adds a conversion.
  BufferId place(ValueId value, Layout layout) {
    const std::size_t maker = std::exchange(places_[value].maker, kNoNode);
    if (maker != kNoNode) {
      if (layout == Layout::kMap) layout_.ops[maker] = op_of(spec_.nodes[maker], layout);
      add_stage_of(maker, value);
    }
    Places& places = places_[value];
    if (constant_of(value) != nullptr) constant_used_[value - spec_.inputs.size()] = true;
    if (places.in(layout) != kNoBuffer) return places.in(layout);
    const BufferId there = layout == Layout::kMap ? places.plain : places.map;
    const ValueType& type = layout_.buffers[there].type;
    if (layout == Layout::kMap && (type.dims().size() != 4 || type.type() != Dtype::kFloat32))
      fail(code::kShape, "expected float32 of 4 dims, received ", name_of(type.type()), " ", text_of(type.dims()));
    return places.in(layout) =
               add_stage(layout == Layout::kMap ? Job::kImport : Job::kExport, there, in_layout(type, layout));
  }

  void add_node(const NodeSpec& node) {
    const std::size_t index = layout_.ops.size();
    layout_.ops.push_back(op_of(node, Layout::kPlain));
    layout_.names.push_back(node.op + " " + node.name);
    const Op& op = *layout_.ops.back();
    const ValueId first = places_.size();
    places_.resize(first + node.outputs.size());
    check_outputs(node, op.outputs());
    if (op.may_be_map() && !op.offset_in_operand(0) && !activation_of(node.attributes))
      places_[first].maker = index;
    else
      add_stage_of(index, first);
  }

  // `first`: the value that is the node's first output.
  void add_stage_of(std::size_t index, ValueId first) {
    const NodeSpec& node = spec_.nodes[index];
    StageLayout draft{Job::kOp, index, {}, {}, {}};
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Op::Access access = node.inputs[i] == kNoValue ? Op::Access::kNone : layout_.ops[index]->access(i);
      draft.inputs.push_back(access == Op::Access::kNone
                                 ? kNoBuffer
                                 : place(node.inputs[i], access == Op::Access::kMap ? Layout::kMap : Layout::kPlain));
    }
    take_front(index, draft);
    const Op& op = *layout_.ops[index];
    const std::vector<ValueType> types = op.outputs();
    const std::size_t addend = op.replaces();
    // Nothing else reads the addend from now on, not even another operand of this stage.
    const bool overwrites = addend != kNoValue && unread_[node.inputs[addend]] == 1 &&
                            std::count(draft.inputs.begin(), draft.inputs.end(), draft.inputs[addend]) == 1;
    for (ValueId value : node.inputs)
      if (value != kNoValue) --unread_[value];
    const std::optional<UnaryFunction> activation = activation_of(node.attributes);
    for (const ValueType& type : types) {
      const BufferId buffer = overwrites ? draft.inputs[addend] : add_buffer({type});
      places_[first + draft.outputs.size()].in(type.layout) = buffer;
      draft.outputs.push_back(buffer);
    }
    // An activation writes over its operand, which others may read.
    if (!activation) draft.is_done = outputs_are_parts(op, draft) || inputs_are_parts(op, draft);
    const std::vector<BufferId> outputs = draft.outputs;
    layout_.stages.push_back(std::move(draft));
    if (activation && !op.applies_activation()) {
      if (types.size() != 1 || types[0].type() != Dtype::kFloat32)
        fail(code::kInvalidArg, "node '", node.name, "': expected an activation of one result of float32");
      layout_.stages.push_back({Job::kActivation, 0, *activation, outputs, outputs});
    }
  }

  // Lets the stage do the work of the last one, too, if that is better and only this one reads its output.
  void take_front(std::size_t index, StageLayout& stage) {
    if (layout_.stages.empty() || spec_.nodes[index].inputs.empty()) return;
    const StageLayout& front = layout_.stages.back();
    if (front.job != Job::kOp || front.is_done || front.outputs.size() != 1 || front.outputs[0] != stage.inputs[0] ||
        readers_[spec_.nodes[index].inputs[0]] != 1)
      return;
    std::unique_ptr<Op> both = layout_.ops[index]->behind(*layout_.ops[front.op]);
    if (both == nullptr) return;
    layout_.ops[index] = std::move(both);
    layout_.names[index] += " behind " + layout_.names[front.op];
    stage.inputs[0] = front.inputs[0];
    layout_.stages.pop_back();
  }

  // Makes the outputs parts of the operand, if they can be. Returns whether all are.
  bool outputs_are_parts(const Op& op, const StageLayout& stage) {
    for (std::size_t i = 0; i < stage.outputs.size(); ++i) {
      const std::optional<std::size_t> offset = op.offset_in_operand(i);
      if (!offset) return false;
      put_into(stage.outputs[i], stage.inputs[0], *offset);
    }
    return true;
  }

  // Makes the operands parts of the output, as far as they can be. Returns whether all are.
  bool inputs_are_parts(const Op& op, const StageLayout& stage) {
    bool are_parts = true;
    for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
      const std::optional<std::size_t> offset = op.offset_in_output(i);
      const BufferId operand = offset ? same_memory(stage.inputs[i]) : kNoBuffer;
      const bool is_free = operand != kNoBuffer && layout_.buffers[operand].home == Buffer::Home::kMemory;
      if (is_free) put_into(operand, stage.outputs[0], *offset);
      are_parts = are_parts && is_free;
    }
    return are_parts;
  }

  void put_into(BufferId part, BufferId whole, std::size_t offset) {
    Buffer& buffer = layout_.buffers[part];
    buffer.home = Buffer::Home::kPart;
    buffer.index = whole;
    buffer.offset = offset;
  }

  // The buffer whose elements are those of a part that is all of it; the buffer itself if it is no such part.
  BufferId same_memory(BufferId id) const {
    const Buffer& buffer = layout_.buffers[id];
    if (buffer.home != Buffer::Home::kPart) return id;
    return buffer.type.bytes() == layout_.buffers[buffer.index].type.bytes() ? same_memory(buffer.index) : id;
  }

  void check_outputs(const NodeSpec& node, const std::vector<ValueType>& types) const {
    if (types.size() != node.outputs.size())
      fail(code::kInvalidArg, "node '", node.name, "': expected ", types.size(), " results, received ",
           node.outputs.size());
    for (std::size_t i = 0; i < types.size(); ++i)
      if (!(types[i].tensor == node.outputs[i]))
        fail(code::kShape, "node '", node.name, "': expected result ", i, " to be ", name_of(types[i].type()), " ",
             text_of(types[i].dims()), ", received ", name_of(node.outputs[i].type), " ",
             text_of(node.outputs[i].dims));
  }

  // Outputs are plain tensors in the caller's memory. A value that is a plain tensor is written there directly, unless
  // it must be somewhere else.
  void add_outputs() {
    for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
      const ValueId value = spec_.outputs[i];
      if (value >= places_.size())
        fail(code::kInvalidArg, "expected an output that is computed, received value ", value);
      const BufferId plain = place(value, Layout::kPlain);
      BufferId buffer = same_memory(plain);
      if (layout_.buffers[buffer].home != Buffer::Home::kMemory)
        buffer = add_stage(Job::kCopy, plain, ValueType{layout_.buffers[plain].type});
      layout_.buffers[buffer].home = Buffer::Home::kOutput;
      layout_.buffers[buffer].index = i;
      layout_.outputs.push_back(plain);
    }
  }

  void pack(int threads) {
    const std::vector<bool> has_weights = use_early_weights();
    std::vector<std::size_t> offsets;
    std::size_t bytes = 0;
    const auto reserve = [&](std::size_t size) {
      offsets.push_back(bytes);
      bytes = checked_add(bytes, round_up(size, kAlignment));
    };
    const std::size_t ops = layout_.ops.size();
    for (std::size_t i = 0; i < ops; ++i) reserve(has_weights[i] ? 0 : layout_.ops[i]->weight_bytes());
    for (std::size_t i = 0; i < spec_.constants.size(); ++i)
      reserve(constant_used_[i] ? spec_.constants[i].type.bytes() : 0);
    layout_.weights = AlignedBuffer(bytes / sizeof(float));
    auto* memory = reinterpret_cast<std::byte*>(layout_.weights.data());
    for (std::size_t i = 0; i < ops; ++i) {
      if (!has_weights[i]) layout_.ops[i]->pack(memory + offsets[i], threads);
      for (ValueId value : spec_.nodes[i].inputs) release(value);
    }
    for (std::size_t i = 0; i < spec_.constants.size(); ++i) {
      layout_.buffers[places_[spec_.inputs.size() + i].plain].offset = offsets[ops + i];
      if (constant_used_[i])
        std::copy_n(spec_.constants[i].data, spec_.constants[i].type.bytes(), memory + offsets[ops + i]);
    }
  }

  // Returns which ops have weights that were packed before.
  std::vector<bool> use_early_weights() {
    std::vector<bool> has_weights(layout_.ops.size(), false);
    if (spec_.early == nullptr) return has_weights;
    for (std::size_t i = 0; i < has_weights.size(); ++i) {
      const std::vector<ValueId>& inputs = spec_.nodes[i].inputs;
      const Constant* weight = inputs.size() < 2 || inputs[1] == kNoValue ? nullptr : constant_of(inputs[1]);
      has_weights[i] = weight != nullptr && spec_.early->give(weight->data, *layout_.ops[i]);
    }
    spec_.early->finish();
    layout_.early = spec_.early;
    return has_weights;
  }

  // One reader of a value has been packed. After the last, a file's weights need not lie beside packed ones.
  void release(ValueId value) {
    const Constant* constant = value == kNoValue ? nullptr : constant_of(value);
    if (constant == nullptr || --readers_[value] > 0 || constant_used_[value - spec_.inputs.size()]) return;
    if (constant->is_owned) drop_pages(constant->data, constant->type.bytes());
  }

  const GraphSpec& spec_;
  GraphLayout layout_;
  std::vector<Places> places_;  // by value
  std::vector<bool> constant_used_;
  std::vector<std::size_t> readers_;  // by value: how many operands and outputs it is
  std::vector<std::size_t> unread_;   // the same without operands of nodes that have their stage
};

}  // namespace

GraphLayout make_layout(const GraphSpec& spec, int threads) { return Builder(spec).build(threads); }

}  // namespace qarepvgg
