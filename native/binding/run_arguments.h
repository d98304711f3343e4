// Arguments of a session's run: inputs, count, and dims if they differ from those that it was made for.
#pragma once

#include <memory>
#include <napi.h>
#include <vector>

#include "base/buffer_pool.h"
#include "binding/arguments.h"
#include "binding/image_arguments.h"
#include "program/infer/queue.h"

namespace qarepvgg::binding {

// One input of all tasks, borrowed or copied.
struct InputMemory {
  const std::byte* data;
  std::size_t bytes;
  bool is_image;  // bytes [n, h, w, c] instead of floats
};

// A copy that a job can keep.
class InputCopy {
 public:
  InputCopy(const InputMemory& memory, const std::shared_ptr<BufferPool>& pool);
  InputMemory memory() const { return {buffer_.data(), bytes_, is_image_}; }

 private:
  PooledBuffer buffer_;  // pooled, because the JavaScript thread waits for the copy
  std::size_t bytes_;
  bool is_image_;
};

struct RunArguments {
  std::size_t count;
  std::vector<Dims> dims;           // of one task's inputs
  std::vector<TensorType> outputs;  // of one task
  std::vector<Napi::Value> inputs;
  std::vector<Dtype> types;  // of the inputs
  bool takes_bytes;

  // Throws ERR_DTYPE, ERR_BUFFER_SIZE or ERR_BUFFER_DETACHED.
  std::vector<InputMemory> borrow_inputs(const Borrow& borrow) const;
};

// Reads a list of dims for each input; without an argument, those of the program. Throws ERR_INVALID_ARG, and ERR_SHAPE
// for another number of images.
std::vector<Dims> read_dims(const Napi::Value& value, const GraphProgram& program);

// Reads all arguments except the outputs, without borrowing memory. Throws ERR_INVALID_ARG, ERR_SHAPE.
RunArguments read_run(const Napi::CallbackInfo& info, const GraphProgram& program);

// Adds a task for each image. Inputs and outputs of the tasks follow one another in memory.
void add_tasks(GraphRequest& request, const RunArguments& run, const std::vector<InputMemory>& inputs,
               const std::vector<std::byte*>& outputs, const ByteScale* scale);

}  // namespace qarepvgg::binding
