// Requests of one session, in order of arrival. Requests that wait together run together, so that a long queue of
// single images keeps every thread busy with its own image.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "program/infer/graph_program.h"

namespace qarepvgg {

struct GraphRequest {
  std::vector<Dims> dims;  // of each task's inputs
  std::vector<GraphTask> tasks;
  // Called on the compute thread, or on the caller's if it is cancelled while it waits. Must not throw.
  std::function<void()> done;
  std::exception_ptr failure;
  // Its share of the time of the pass.
  std::chrono::duration<double, std::milli> compute_time{0};
  bool cancelled = false;  // set before done() is called
};

class GraphQueue : public std::enable_shared_from_this<GraphQueue> {
 public:
  explicit GraphQueue(std::unique_ptr<GraphProgram> program) : program_(std::move(program)) {}

  const GraphProgram& program() const { return *program_; }
  // done() is called once, later. If submit() throws, nothing has changed.
  void submit(std::shared_ptr<GraphRequest> request);
  // A waiting request is dropped at once; a running one stops between two steps, unless others run with it. A finished
  // one does not change. done() is called in any case.
  void cancel(const std::shared_ptr<GraphRequest>& request);
  // Runs on the compute thread while the caller waits. Throws the errors of the program.
  void run_now(GraphRequest& request);

 private:
  void run_pass() noexcept;
  void run_together();

  std::unique_ptr<GraphProgram> program_;
  std::mutex mutex_;  // guards the lists
  // Lists, because moving a request between lists cannot fail.
  std::list<std::shared_ptr<GraphRequest>> waiting_, running_;
  std::atomic<bool> stop_{false};
};

}  // namespace qarepvgg
