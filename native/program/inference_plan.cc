#include "program/inference_plan.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

// Layers with larger maps take images one by one: their maps fill the cache, their weights are small. Later layers
// stream large weights and share them between images.
constexpr std::size_t kSinglePixels = 256;

}  // namespace

InferencePlan::InferencePlan(const std::vector<std::unique_ptr<InferenceLayer>>& layers, const MapShape& input,
                             std::size_t together, int threads, double min_macs)
    : input_(input), together_(together), threads_(threads) {
  plan_places(layers);
  for (std::size_t images = 1; images <= together_; ++images) alone_.push_back(make_chain(layers, images, 1));
  shared_ = make_chain(layers, 1, team_for_one(layers, min_macs));
  const auto reach = [this](const Chain& chain) {
    for (const auto& step : chain.steps)
      scratch_bytes_ = std::max(scratch_bytes_, round_up(step->scratch_bytes(), kAlignment));
  };
  for (const Chain& chain : alone_) reach(chain);
  reach(shared_);
  const std::size_t bytes = checked_mul(checked_add(map_bytes_, scratch_bytes_), static_cast<std::size_t>(threads));
  memory_ = AlignedBuffer(bytes / sizeof(float));
  for (std::size_t member = 0; member < static_cast<std::size_t>(threads); ++member) fill_borders(memory_of(member));
}

std::size_t InferencePlan::team_for_one(const std::vector<std::unique_ptr<InferenceLayer>>& layers,
                                        double min_macs) const {
  double macs = layers.front()->macs(input_);
  for (std::size_t i = 1; i < layers.size(); ++i) macs += layers[i]->macs(places_[i - 1].shape);
  const double most = static_cast<double>(threads_), waits = static_cast<double>(layers.size());
  if (macs >= min_macs * waits * most) return static_cast<std::size_t>(threads_);
  return static_cast<std::size_t>(std::max(macs / (min_macs * waits), 1.0));
}

std::byte* InferencePlan::memory_of(std::size_t member) {
  return reinterpret_cast<std::byte*>(memory_.data()) + member * (map_bytes_ + scratch_bytes_);
}

void InferencePlan::plan_places(const std::vector<std::unique_ptr<InferenceLayer>>& layers) {
  struct Pool {
    Place place;
    std::size_t offsets[2];
    std::size_t used;
  };
  std::vector<Pool> pools;
  MapShape shape = input_;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    shape = layers[i]->output(shape);
    shape.halo = i + 1 < layers.size() ? layers[i + 1]->input_halo() : 0;
    const bool batched = !places_.empty() && (places_.back().batched || shape.h * shape.w <= kSinglePixels);
    if (!batched) single_ = i + 1;
    Place place{0, shape, layers[i]->elements(), batched};
    auto pool = std::find_if(pools.begin(), pools.end(), [&](const Pool& other) { return other.place.like(place); });
    if (pool == pools.end()) pool = pools.insert(pool, Pool{place, {0, 0}, 0});
    if (pool->used < 2) {
      pool->offsets[pool->used] = map_bytes_;
      const std::size_t bytes = checked_product({batched ? together_ : 1, shape.image(), place.elements.bytes});
      map_bytes_ = checked_add(map_bytes_, round_up(bytes, kAlignment));
    }
    place.offset = pool->offsets[pool->used % 2];
    places_.push_back(place);
    ++pool->used;
  }
}

// Memory is zero to begin with, which is what borders of floats and most borders of integers are.
void InferencePlan::fill_borders(std::byte* memory) const {
  for (const Place& place : places_)
    if (place.elements.zero_point != 0)
      fill_elements(memory + place.offset, (place.batched ? together_ : 1) * place.shape.image(), place.elements.bytes,
                    place.elements.zero_point);
}

InferencePlan::Chain InferencePlan::make_chain(const std::vector<std::unique_ptr<InferenceLayer>>& layers,
                                               std::size_t images, std::size_t members) const {
  Chain chain{images, members, {}};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    MapShape in = i == 0 ? input_ : places_[i - 1].shape;
    in.n = i == 0 || !places_[i - 1].batched ? 1 : images;
    chain.steps.push_back(layers[i]->plan(in, members));
  }
  return chain;
}

ByteMap InferencePlan::map_of(std::size_t layer, std::byte* memory, std::size_t first_image, std::size_t images) const {
  const Place& place = places_[layer];
  ByteMap map(memory + place.offset, place.shape, place.elements.bytes);
  if (place.batched) map.data += first_image * map.image();
  map.shape.n = images;
  return map;
}

void InferencePlan::run_chain(const Chain& chain, const ImageTask* tasks, std::byte* memory, std::byte* scratch,
                              const Member& member, const std::atomic<bool>& stop) {
  const std::size_t last = chain.steps.size() - 1;
  // Steps [first, end) over images [image, image + count) of the chain.
  const auto run_steps = [&](std::size_t first, std::size_t end, std::size_t image, std::size_t count) {
    for (std::size_t i = first; i < end; ++i) {
      StepInput in;
      if (i == 0)
        in.image = tasks[image].input;
      else
        in.map = map_of(i - 1, memory, image, count);
      chain.steps[i]->run_part(in, map_of(i, memory, image, count), scratch, member);
      if (member.count == 1) {
        if (stop.load(std::memory_order_relaxed)) return false;
        continue;
      }
      std::atomic<bool>& stopping = stopping_[i % 2];
      if (member.index == 0) stopping.store(stop.load(std::memory_order_relaxed), std::memory_order_relaxed);
      member.barrier();
      if (stopping.load(std::memory_order_relaxed)) return false;
    }
    return true;
  };
  const auto export_image = [&](std::size_t image) {
    export_image_part(map_of(last, memory, image, 1).floats(), 0, tasks[image].output, active_kernels(), member);
  };
  // The step that fills the first batched map still takes its images one by one. Where that is the last step, or there
  // is no batched map, the next image would overwrite what is not exported at once.
  const std::size_t split = std::min(single_ + 1, last + 1);
  for (std::size_t image = 0; image < chain.images; ++image) {
    if (!run_steps(0, split, image, 1)) return;
    if (split > last) export_image(image);
  }
  if (split > last) return;
  if (!run_steps(split, last + 1, 0, chain.images)) return;
  for (std::size_t image = 0; image < chain.images; ++image) export_image(image);
}

void InferencePlan::run(const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
  const std::size_t threads = static_cast<std::size_t>(threads_);
  // As many images as give every member the same number; each takes its share through the network by itself.
  const std::size_t whole = shared_.members > 1 ? count / threads * threads : count;
  if (whole > 0)
    parallel_region(static_cast<int>(std::min(threads, whole)), [&](const Member& member) {
      std::byte* own = memory_of(member.index);
      std::size_t image = member.begin(whole);
      while (image < member.end(whole) && !stop.load(std::memory_order_relaxed)) {
        const std::size_t images = std::min(together_, member.end(whole) - image);
        run_chain(alone_[images - 1], tasks + image, own, own + map_bytes_, Member{0, 1}, stop);
        image += images;
      }
    });
  if (whole == count) return;
  // The rest, and single images, are shared.
  parallel_region(static_cast<int>(shared_.members), [&](const Member& member) {
    for (std::size_t rest = whole; rest < count; ++rest) {
      run_chain(shared_, tasks + rest, memory_of(0), memory_of(member.index) + map_bytes_, member, stop);
      member.barrier();
    }
  });
}

}  // namespace qarepvgg
