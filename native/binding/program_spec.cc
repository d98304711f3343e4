#include "binding/program_spec.h"

#include "binding/arguments.h"
#include "binding/graph_spec.h"

namespace qarepvgg::binding {

ProgramSpec read_program_spec(const Napi::Value& value) {
  const Napi::Object object = object_of(value, "the program");
  ProgramSpec spec;
  spec.input = read_dims(object, "input");
  for_each(object, "tensors", [&](const Napi::Value& item) {
    const Napi::Object tensor = object_of(item, "a tensor");
    spec.tensors.push_back({size_of(tensor, "offset"), read_dims(tensor, "dims")});
  });
  for_each(object, "nodes",
           [&](const Napi::Value& node) { spec.nodes.push_back(read_node(object_of(node, "a node"))); });
  spec.state_length = size_of(object, "stateLength");
  spec.training = flag_of(object, "training");
  spec.gradients = flag_of(object, "gradients");
  spec.threads = read_threads(object);
  return spec;
}

}  // namespace qarepvgg::binding
