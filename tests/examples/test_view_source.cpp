#include "train/view_source.h"

#include "support/catch.h"
#include "support/tensors.h"

#include <array>
#include <atomic>

using simclr::Device;
using simclr::DType;
using simclr::Tensor;
namespace data = simclr::data;

namespace {

/// Grey squares of 4 x 4, and how many of them were read.
class Squares : public data::Dataset {
 public:
  Squares() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::uint8_t>(i / 16 * 20);
  }
  std::int64_t size() const override { return 12; }
  data::Sample sample(std::int64_t i) const override {
    ++reads;
    return {std::span(bytes_).subspan(static_cast<std::size_t>(i) * 16, 16), {4, 4, 1}, -1, nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "squares"; }

  mutable std::atomic<int> reads = 0;

 private:
  std::array<std::uint8_t, 12 * 16> bytes_;
  std::vector<std::string> classes_;
};

}  // namespace

TEST_CASE("the next batch is fetched when the step is queued, not before") {
  const auto squares = std::make_shared<Squares>();
  TrainingOptions options;
  options.views_on = "host";
  options.workers = 0;  // views are made when they are asked for
  options.recipe.batch_size = 4;
  options.recipe.augmentation = data::Augmentation::evaluation(4, 1);
  const auto source = make_view_source(squares, options, Device{}, DType::bf16, {});
  for (const bool prefetch : {true, false}) {
    squares->reads = 0;
    source->begin(1, 0);
    std::vector<Tensor> seen;
    while (source->next()) {
      const int batches = static_cast<int>(seen.size()) + 1;
      CHECK(squares->reads == 4 * batches);
      seen.push_back(source->views().clone());
      if (!prefetch) continue;
      for (int times = 0; times < 2; ++times) source->prefetch();
      CHECK(squares->reads == 4 * std::min(batches + 1, 3));
      CHECK(simclr::test::same_bits(source->views(), seen.back()));
    }
    CHECK(seen.size() == 3);
    CHECK(!simclr::test::same_bits(seen[0], seen[1]));
    CHECK(!source->next());
  }
}
