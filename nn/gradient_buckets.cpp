#include <simclr/core/autograd.h>
#include <simclr/core/error.h>
#include <simclr/nn/gradient_buckets.h>

#include <unordered_map>
#include <vector>

namespace simclr::nn {
namespace {

/// A range of the gradient arena, and how many of its parameters are not complete.
struct Bucket {
  std::int64_t begin = 0, end = 0;  // elements
  int left = 0;
};

class Buckets {
 public:
  Buckets(World& world, const Optimizer& optimizer, std::int64_t bytes)
      : world_(world), gradients_(optimizer.gradients()) {
    const std::vector<Parameter>& parameters = optimizer.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::int64_t begin = optimizer.offsets()[i];
      if (buckets_.empty() || (begin - buckets_.back().begin) * size_of(gradients_.dtype()) >= bytes) {
        if (!buckets_.empty()) buckets_.back().end = begin;
        buckets_.push_back({.begin = begin});
      }
      ++buckets_.back().left;
      bucket_of_[parameters[i].value.impl().get()] = buckets_.size() - 1;
    }
    buckets_.back().end = gradients_.numel();
  }

  void complete(const Tensor& leaf) {
    const auto found = bucket_of_.find(leaf.impl().get());
    if (found == bucket_of_.end()) return;  // not the optimizer's
    Bucket& bucket = buckets_[found->second];
    if (--bucket.left == 0) reduce(bucket);
  }

  void finish() {
    for (Bucket& bucket : buckets_) {
      if (bucket.left > 0) reduce(bucket);
    }
    world_.join();
  }

 private:
  void reduce(Bucket& bucket) {
    world_.start_all_reduce(gradients_.narrow(bucket.begin, bucket.end - bucket.begin));
    bucket.left = 0;
  }

  World& world_;
  Tensor gradients_;
  std::vector<Bucket> buckets_;
  std::unordered_map<const void*, std::size_t> bucket_of_;
};

}  // namespace

void backward(World& world, const Tensor& loss, const Optimizer& optimizer, std::int64_t bucket_bytes) {
  SIMCLR_CHECK(bucket_bytes >= 0, "backward: buckets of ", bucket_bytes, " bytes; 0 or more are wanted");
  if (world.size() == 1) return loss.backward();
  if (bucket_bytes == 0) {
    loss.backward();
    return world.all_reduce(optimizer.gradients());
  }
  Buckets buckets(world, optimizer, bucket_bytes);
  {
    const CompleteGradients watch([&](const Tensor& leaf) { buckets.complete(leaf); });
    loss.backward();
  }
  buckets.finish();
}

}  // namespace simclr::nn
