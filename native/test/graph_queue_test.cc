// Requests from several threads at once: each is answered once, with its own result.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "base/compute_queue.h"
#include "program/infer/queue.h"
#include "test/chain_program.h"
#include "test/random_chain.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

// One request with memory of its own.
struct Call {
  std::size_t image = 0;  // index of the image that every task computes
  std::vector<std::vector<float>> outputs;
  std::shared_ptr<GraphRequest> request = std::make_shared<GraphRequest>();
  std::atomic<int> done{0};
};

// Images of two sizes with their expected results, and a size that the network does not accept.
struct Work {
  Chain chain;
  std::shared_ptr<GraphQueue> queue;
  std::vector<ImageSize> sizes;
  std::vector<std::vector<float>> images;
  std::vector<reference::Values> expected;

  explicit Work(Rng& rng) : chain(random_chain(rng, 20)) {
    chain.spec.threads = static_cast<int>(rng.between(1, 3));
    InferenceProgram program(chain, Algorithm::kAuto, 0);
    while (sizes.size() < 2) {
      const ImageSize size = sizes.empty() ? chain.size() : ImageSize{rng.between(1, 24), rng.between(1, 24)};
      if (code_of([&] { program.output_shape(size); }) != "no error") continue;
      const reference::Values image = random_image(rng, chain, size);
      sizes.push_back(size);
      images.emplace_back(image.begin(), image.end());
      expected.push_back(infer(rng, program, size, {image}, 1).front());
    }
    queue = std::make_shared<GraphQueue>(std::make_unique<GraphProgram>(chain.graph(Algorithm::kAuto), 0));
  }

  std::vector<Dims> dims_of(ImageSize size) const { return {{1, chain.channels(), size.h, size.w}}; }

  void prepare(Call& call, Rng& rng) const {
    call.image = rng.between(0, 1);
    call.outputs.assign(rng.between(0, 4), std::vector<float>(expected[call.image].size()));
    call.request->dims = dims_of(sizes[call.image]);
    for (std::vector<float>& output : call.outputs)
      call.request->tasks.push_back({{reinterpret_cast<const std::byte*>(images[call.image].data())},
                                     {reinterpret_cast<std::byte*>(output.data())}});
    call.request->done = [&call] { ++call.done; };
  }

  bool right(const Call& call) const {
    for (const std::vector<float>& output : call.outputs)
      if (first_difference({output.begin(), output.end()}, expected[call.image], 0) != output.size()) return false;
    return true;
  }
};

// Waits until the compute thread has finished all earlier requests.
void wait_for_compute_thread() {
  compute_now([] {});
}

// Keeps the compute thread busy, so that requests wait.
class BusyComputeThread {
 public:
  BusyComputeThread() {
    compute_later([this] {
      while (!released_) std::this_thread::yield();
    });
  }
  ~BusyComputeThread() { release(); }
  BusyComputeThread(const BusyComputeThread&) = delete;
  BusyComputeThread& operator=(const BusyComputeThread&) = delete;

  void release() {
    released_ = true;
    wait_for_compute_thread();
  }

 private:
  std::atomic<bool> released_{false};
};

TEST(graph_queue_answers_each_request_once) {
  test.repeat(40, [](Rng& rng) {
    const Work work(rng);
    constexpr std::size_t kThreads = 3, kCalls = 12;
    std::vector<Call> calls(kThreads * kCalls);
    for (Call& call : calls) work.prepare(call, rng);
    std::atomic<std::size_t> wrong_now{0};
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread, seed = rng.next()] {
        Rng own(seed);
        for (std::size_t i = 0; i < kCalls; ++i) {
          Call& call = calls[thread * kCalls + i];
          work.queue->submit(call.request);
          if (own.chance(0.3)) std::this_thread::sleep_for(std::chrono::microseconds(own.between(0, 100)));
          // Any request of this thread, whether it waits, runs, is done or is cancelled already.
          if (own.chance(0.4)) work.queue->cancel(calls[thread * kCalls + own.between(0, i)].request);
          if (own.chance(0.2)) {
            Call now;
            work.prepare(now, own);
            work.queue->run_now(*now.request);
            if (!work.right(now) || now.done != 0) ++wrong_now;
          }
        }
      });
    for (std::thread& thread : threads) thread.join();
    wait_for_compute_thread();
    CHECK_EQUAL(wrong_now, std::size_t{0}, describe(work.chain));
    for (const Call& call : calls) {
      CHECK_EQUAL(call.done, 1, describe(work.chain));
      CHECK(call.request->failure == nullptr, describe(work.chain));
      CHECK(call.request->cancelled || work.right(call), describe(work.chain));
    }
    for (const Call& call : calls) work.queue->cancel(call.request);
    for (const Call& call : calls) CHECK_EQUAL(call.done, 1, "cancelled after it was done");
  });
}

// A request that is cancelled while it waits never starts.
TEST(graph_queue_drops_what_waits) {
  test.repeat(40, [](Rng& rng) {
    const Work work(rng);
    std::vector<Call> calls(8);
    BusyComputeThread busy;
    for (Call& call : calls) {
      work.prepare(call, rng);
      work.queue->submit(call.request);
    }
    for (std::size_t i = 0; i < calls.size(); i += 2) {
      work.queue->cancel(calls[i].request);
      CHECK_EQUAL(calls[i].done, 1, "cancelled while waiting");
      CHECK_EQUAL(calls[i + 1].done, 0, "still waiting");
    }
    busy.release();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      CHECK_EQUAL(calls[i].done, 1, describe(work.chain));
      CHECK_EQUAL(calls[i].request->cancelled, i % 2 == 0, describe(work.chain));
      if (i % 2 == 1) CHECK(work.right(calls[i]), describe(work.chain));
      for (const std::vector<float>& output : calls[i].outputs)
        if (i % 2 == 0) CHECK(output == std::vector<float>(output.size()), "outputs of what never ran");
    }
  });
}

// A request that cannot run fails alone, and the queue lives as long as its requests.
TEST(graph_queue_failures) {
  test.repeat(40, [](Rng& rng) {
    Work work(rng);
    std::vector<Call> calls(6);
    std::vector<Call*> bad;
    BusyComputeThread busy;
    for (Call& call : calls) {
      work.prepare(call, rng);
      if (rng.chance(0.4)) {
        call.request->dims = work.dims_of({0, 5});
        bad.push_back(&call);
      }
      work.queue->submit(call.request);
    }
    const std::weak_ptr<GraphQueue> queue = work.queue;
    work.queue = nullptr;
    CHECK(!queue.expired(), "requests are waiting");
    busy.release();
    CHECK(queue.expired(), "nobody needs the queue any more");
    for (const Call& call : calls) {
      CHECK_EQUAL(call.done, 1, describe(work.chain));
      CHECK(!call.request->cancelled, describe(work.chain));
      if (call.request->failure == nullptr) {
        CHECK(work.right(call), describe(work.chain));
        continue;
      }
      CHECK_EQUAL(code_of([&] { std::rethrow_exception(call.request->failure); }), code::kShape, describe(work.chain));
    }
    for (const Call* call : bad) CHECK(call->request->failure != nullptr, describe(work.chain));
    Work other(rng);
    GraphRequest request;
    request.dims = other.dims_of({0, 1});
    CHECK_EQUAL(code_of([&] { other.queue->run_now(request); }), code::kShape, "the caller waits for it");
  });
}

}  // namespace
}  // namespace qarepvgg::test
