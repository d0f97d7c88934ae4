#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pairs/pairs.h>

#include <utility>

namespace simclr::data {
namespace {

class Pairs final : public Dataset {
 public:
  Pairs(PairList list, PairHalves sides) : list_(std::move(list)), sides_(std::move(sides)) {
    description_ = counted(size(), "pair") + " of " + list_.sides[0].column + " and " + list_.sides[1].column + " in " +
                   printable(list_.source) +
                   (list_.classes.empty() ? "" : ", " + counted(std::ssize(list_.classes), "class", "es")) +
                   (list_.left_out.empty() ? "" : " (left out: " + joined(list_.left_out, ", ") + ")");
  }

  std::int64_t size() const override { return list_.size(); }
  int parts() const override { return 2; }

  Sample sample(std::int64_t i, int part) const override {
    const std::int32_t own_label = label(i);
    SIMCLR_CHECK(part == 0 || part == 1, "pairs: part ", part, " of two");
    const auto at = static_cast<std::size_t>(part);
    Sample sample = sides_[at]->sample(list_.pairs[static_cast<std::size_t>(i)][at]);
    sample.label = own_label;
    return sample;
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "pairs: pair ", i, " of ", size());
    return list_.labels[static_cast<std::size_t>(i)];
  }

  const std::vector<std::int32_t>& groups() const override { return list_.groups; }
  const std::vector<std::string>& classes() const override { return list_.classes; }

  std::string place(std::int64_t i) const override {
    const auto& [first, second] = list_.pairs[static_cast<std::size_t>(i)];
    return place_of(0, first) + " and " + place_of(1, second);
  }

  std::string describe() const override { return description_; }

 private:
  std::string place_of(int side, std::int32_t half) const {
    constexpr std::size_t most_shown = 60;
    const std::string path = list_.path(side, half);
    return list_.sides[static_cast<std::size_t>(side)].texts ? "\"" + printable(path, most_shown) + "\"" : path;
  }

  PairList list_;
  PairHalves sides_;
  std::string description_;
};

}  // namespace

std::unique_ptr<Dataset> pair_dataset(PairList list, PairHalves sides) {
  for (std::size_t s = 0; s < 2; ++s) {
    SIMCLR_CHECK(sides[s] != nullptr && sides[s]->size() == std::ssize(list.sides[s].halves),
                 "pairs: ", sides[s] ? sides[s]->size() : 0, " samples for the ", list.sides[s].halves.size(),
                 " halves of ", printable(list.sides[s].column));
  }
  return std::make_unique<Pairs>(std::move(list), std::move(sides));
}

}  // namespace simclr::data
