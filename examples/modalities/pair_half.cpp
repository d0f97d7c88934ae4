#include "modalities/pair_half.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/shards.h>

#include <utility>

namespace data = simclr::data;

namespace {

class Files final : public data::Dataset {
 public:
  Files(std::shared_ptr<const PairHalf> half, HalfFiles files) : half_(std::move(half)), files_(std::move(files)) {}

  std::int64_t size() const override { return std::ssize(files_.names); }
  data::Sample sample(std::int64_t i, int) const override {
    const std::string& name = files_.names[static_cast<std::size_t>(label(i))];
    return files_.bytes ? half_->decode(files_.bytes(i), name, label(i)) : half_->read(name, label(i));
  }
  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), half_->name(), " ", i, " of ", size());
    return static_cast<std::int32_t>(i);
  }
  const std::vector<std::string>& classes() const override { return files_.names; }
  std::string file(std::int64_t i) const override {
    return files_.bytes ? "" : files_.names[static_cast<std::size_t>(label(i))];
  }
  std::string place(std::int64_t i) const override { return files_.names[static_cast<std::size_t>(label(i))]; }
  std::string describe() const override { return simclr::counted(size(), half_->name()); }

 private:
  std::shared_ptr<const PairHalf> half_;
  HalfFiles files_;
};

}  // namespace

HalfFiles halves_of(const data::PairList& list, int side) {
  const data::PairSide& of = list.sides[static_cast<std::size_t>(side)];
  if (list.shards) {
    return {of.halves, [shards = list.shards, members = of.members](std::int64_t i) {
              const data::PairMember& at = members[static_cast<std::size_t>(i)];
              return shards->read(at.sample, at.member);
            }};
  }
  if (of.texts) return halves_of_texts(of.halves);
  HalfFiles files;
  for (std::int32_t i = 0; i < std::ssize(of.halves); ++i) files.names.push_back(list.path(side, i));
  return files;
}

HalfFiles halves_of_texts(std::vector<std::string> texts) {
  const auto bytes = [texts](std::int64_t i) {
    const std::string& text = texts[static_cast<std::size_t>(i)];
    return std::vector<std::uint8_t>(text.begin(), text.end());
  };
  return {std::move(texts), bytes};
}

std::shared_ptr<const data::Dataset> files_of(std::shared_ptr<const PairHalf> half, HalfFiles files) {
  return std::make_shared<Files>(std::move(half), std::move(files));
}
