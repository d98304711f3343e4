// Requests of one inference session, in the order in which they came. Requests that wait together run together, so that
// a deep queue of single images keeps every thread busy with an image of its own.
#pragma once

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "program/inference.h"

namespace qarepvgg {

struct InferenceRequest {
  ImageSize size{};
  std::vector<ImageTask> tasks;
  std::function<void()> done;  // called on the compute thread, or on the caller's when cancelled while waiting
  std::exception_ptr failure;
  bool cancelled = false;  // set before done() is called
};

class InferenceQueue : public std::enable_shared_from_this<InferenceQueue> {
 public:
  explicit InferenceQueue(std::unique_ptr<InferenceProgram> program) : program_(std::move(program)) {}

  const InferenceProgram& program() const { return *program_; }
  // done() is called once, later.
  void submit(std::shared_ptr<InferenceRequest> request);
  // A waiting request is dropped at once; a running one stops between layers unless others run with it. One that is
  // done stays done. done() is called all the same.
  void cancel(const std::shared_ptr<InferenceRequest>& request);
  // Runs on the compute thread while the caller waits. Throws what the program throws.
  void run_now(InferenceRequest& request);

 private:
  void run_pass();

  std::unique_ptr<InferenceProgram> program_;
  std::mutex mutex_;  // guards what follows
  std::deque<std::shared_ptr<InferenceRequest>> waiting_;
  std::vector<std::shared_ptr<InferenceRequest>> running_;
  std::atomic<bool> stop_{false};
};

}  // namespace qarepvgg
