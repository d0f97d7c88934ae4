#include <simclr/core/error.h>
#include <simclr/data/subset.h>

#include <algorithm>
#include <string>
#include <utility>

namespace simclr::data {
namespace {

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> whole, std::vector<std::int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {
    for (const std::int64_t i : indices_) {
      SIMCLR_CHECK(i >= 0 && i < whole_->size(), "subset: sample ", i, " of ", whole_->size());
      if (!whole_->groups().empty()) groups_.push_back(whole_->groups()[static_cast<std::size_t>(i)]);
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Sample sample(std::int64_t i, int part) const override { return whole_->sample(index(i), part); }
  int parts() const override { return whole_->parts(); }
  std::int32_t label(std::int64_t i) const override { return whole_->label(index(i)); }
  const std::vector<std::int32_t>& groups() const override { return groups_; }
  const std::vector<std::string>& classes() const override { return whole_->classes(); }
  std::string file(std::int64_t i) const override { return whole_->file(index(i)); }
  std::string place(std::int64_t i) const override { return whole_->place(index(i)); }
  std::string describe() const override {
    const bool part = dynamic_cast<const Subset*>(whole_.get()) != nullptr;  // "1000 of 45000 samples of CIFAR-10"
    return std::to_string(size()) + (part ? " of " : " samples of ") + whole_->describe();
  }

 private:
  std::int64_t index(std::int64_t i) const {
    SIMCLR_CHECK(i >= 0 && i < size(), "subset: sample ", i, " of ", size());
    return indices_[static_cast<std::size_t>(i)];
  }

  std::shared_ptr<const Dataset> whole_;
  std::vector<std::int64_t> indices_;
  std::vector<std::int32_t> groups_;  // of these; empty: they have none
};

}  // namespace

std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> whole, std::vector<std::int64_t> indices) {
  return std::make_shared<Subset>(std::move(whole), std::move(indices));
}

std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(size, count)));
  const std::int64_t taken = std::ssize(indices);
  for (std::int64_t i = 0; i < taken; ++i) indices[static_cast<std::size_t>(i)] = i * size / taken;
  return indices;
}

std::shared_ptr<const Dataset> spread(std::shared_ptr<const Dataset> whole, std::int64_t count) {
  if (count >= whole->size()) return whole;
  std::vector<std::int64_t> indices = spread_indices(whole->size(), count);
  return subset(std::move(whole), std::move(indices));
}

}  // namespace simclr::data
