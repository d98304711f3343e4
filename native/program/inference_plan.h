// The steps of an inference program for one input size, and the memory they work in.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/arena.h"
#include "program/inference.h"
#include "program/inference_layer.h"

namespace qarepvgg {

class InferencePlan {
 public:
  // together: most images that one thread takes through the network at once. min_macs: as in InferenceProgram.
  InferencePlan(const std::vector<std::unique_ptr<InferenceLayer>>& layers, const MapShape& input, std::size_t together,
                int threads, double min_macs);

  ImageSize size() const { return {input_.h, input_.w}; }
  std::size_t memory_bytes() const { return memory_.bytes(); }
  void run(const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop);

 private:
  // The steps of the network for one number of images and one size of team. The first `single` steps, whose maps are
  // large, take the images one by one; the others take them together.
  struct Chain {
    std::size_t images, members;
    std::vector<std::unique_ptr<InferenceStep>> steps;
  };

  // Where a layer's output lies within a member's memory. Maps that are alike take turns at two places, and no others
  // ever use them: halos and padding lanes are written once, when memory is planned.
  struct Place {
    std::size_t offset;  // bytes
    MapShape shape;      // of one image
    Elements elements;
    bool batched;  // room for `together` images

    bool like(const Place& other) const {
      return batched == other.batched && elements == other.elements && shape.same_dims(other.shape) &&
             shape.halo == other.shape.halo;
    }
  };

  void plan_places(const std::vector<std::unique_ptr<InferenceLayer>>& layers);
  void fill_borders(std::byte* memory) const;
  // Members that share one image, at most all threads.
  std::size_t team_for_one(const std::vector<std::unique_ptr<InferenceLayer>>& layers, double min_macs) const;
  Chain make_chain(const std::vector<std::unique_ptr<InferenceLayer>>& layers, std::size_t images,
                   std::size_t members) const;
  void run_chain(const Chain& chain, const ImageTask* tasks, std::byte* memory, std::byte* scratch,
                 const Member& member, const std::atomic<bool>& stop);
  ByteMap map_of(std::size_t layer, std::byte* memory, std::size_t first_image, std::size_t images) const;
  // Of one member: maps, then scratch.
  std::byte* memory_of(std::size_t member);

  MapShape input_;
  std::size_t together_;
  int threads_;
  std::size_t single_ = 0;
  std::vector<Place> places_;  // by layer
  std::vector<Chain> alone_;   // by number of images - 1, for one thread
  Chain shared_;               // one image, for a team
  std::size_t map_bytes_ = 0, scratch_bytes_ = 0;
  AlignedBuffer memory_;  // per thread: maps, then scratch
  // What member 0 read of `stop` before a barrier, so that all members leave after the same one. Two take turns: a slow
  // member may still read one while member 0 writes the other.
  std::atomic<bool> stopping_[2] = {false, false};
};

}  // namespace qarepvgg
