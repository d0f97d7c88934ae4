#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/shard_pictures.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {
namespace {

std::string dotted_ending(const Shards& shards, std::int64_t sample, int member) {
  return "." + std::string(shards.member(sample, member).ending);
}

/// The member that is a sample's picture; -1: there is none.
int picture_of(const Shards& shards, std::int64_t sample, bool arrays) {
  int by_end = -1;
  for (int m = 0; m < shards.members(sample); ++m) {
    const std::string ending = dotted_ending(shards, sample, m);
    if (arrays ? ending == ".npy" : is_read_kind(ending)) return m;
    if (!arrays && by_end < 0 && is_picture_name("picture" + ending)) by_end = m;
  }
  return by_end;
}

/// What is not read, by kinds.
class LeftOutSamples {
 public:
  void add(const Shards& shards, std::int64_t sample) {
    std::string endings;
    for (int m = 0; m < shards.members(sample); ++m) {
      const std::string ending = dotted_ending(shards, sample, m), package = missing_package(ending);
      if (!package.empty()) packages_.insert(package);
      endings += (m == 0 ? "" : " ") + ending;
    }
    constexpr std::size_t most_kinds = 5;
    if (kinds_.size() >= most_kinds && kinds_.find(endings) == kinds_.end()) endings = "other kinds";
    ++kinds_[endings];
  }
  /// The pictures of a sample besides its first.
  void add_further(const Shards& shards, std::int64_t sample) {
    int pictures = 0;
    for (int m = 0; m < shards.members(sample); ++m) {
      const std::string ending = dotted_ending(shards, sample, m);
      if (!is_picture_name("picture" + ending)) continue;
      const bool numbered = ending[1] >= '0' && ending[1] <= '9';  // not "seg.png", which masks are called
      if (++pictures > 1 && dotted_.empty() && numbered) {
        dotted_ = std::string(shards.key(sample)) + ending;
      }
    }
    further_ += std::max(pictures - 1, 0);
  }

  std::string text() const {
    std::string text;
    for (const auto& [kind, count] : kinds_) {
      text += (text.empty() ? "" : ", ") + counted(count, "sample") + " of " + printable(kind);
    }
    for (const std::string& package : packages_) text += ", for which a build needs " + package;
    if (further_ > 0) {
      text += (text.empty() ? "" : ", ") + counted(further_, "picture") + " of samples that have one already";
      if (!dotted_.empty()) {
        text += ": a sample's name ends at its first dot, so " + printable(dotted_) +
                " is not one of its own; pack it without that dot";
      }
    }
    return text;
  }

 private:
  std::map<std::string, std::int64_t> kinds_;
  std::set<std::string> packages_;  // that would read some of these
  std::int64_t further_ = 0;        // pictures of samples that have one already
  std::string dotted_;              // one of them whose name has several dots
};

class ShardPictures final : public Dataset {
 public:
  ShardPictures(ShardPictureList pictures, int channels, bool labels)
      : pictures_(std::move(pictures)), channels_(channels), labels_(labels) {}

  std::int64_t size() const override { return pictures_.size(); }

  Sample sample(std::int64_t i, int) const override {
    return picture_sample(pictures_.read(i), label(i), channels_, pictures_.name(i));
  }

  std::int32_t label(std::int64_t i) const override {
    return labels_ ? pictures_.shards().label(pictures_.sample(i)) : -1;
  }
  const std::vector<std::string>& classes() const override {
    static const std::vector<std::string> none;
    return labels_ ? pictures_.shards().classes() : none;
  }

  std::string describe() const override {
    const auto count = std::ssize(classes());
    const std::string& left_out = pictures_.left_out();
    std::int64_t unlabelled = 0;
    for (std::int64_t i = 0; count > 0 && i < size(); ++i) unlabelled += label(i) < 0 ? 1 : 0;
    return counted(size(), "picture") + " in " + pictures_.shards().describe() + ", " +
           (count == 0 ? "unlabelled" : counted(count, "class", "es")) +
           (unlabelled == 0 ? "" : ", " + std::to_string(unlabelled) + " without a label") +
           (left_out.empty() ? "" : " (left out: " + left_out + ")");
  }

 private:
  ShardPictureList pictures_;
  int channels_;  // of views
  bool labels_;
};

}  // namespace

ShardPictureList::ShardPictureList(std::shared_ptr<const Shards> shards) : shards_(std::move(shards)) {
  const std::int64_t all = shards_->size();
  SIMCLR_CHECK(all < std::int64_t{1} << 32, "shard_pictures: ", all, " samples, at most 2^32-1");
  samples_.reserve(static_cast<std::size_t>(all));
  for (const bool arrays : {false, true}) {
    arrays_ = arrays;
    LeftOutSamples left_out;
    for (std::int64_t i = 0; i < all; ++i) {
      if (picture_of(*shards_, i, arrays) < 0) {
        left_out.add(*shards_, i);
        continue;
      }
      samples_.push_back(static_cast<std::uint32_t>(i));
      if (!arrays) left_out.add_further(*shards_, i);
    }
    left_out_ = left_out.text();
    if (!samples_.empty()) break;
  }
  samples_.shrink_to_fit();
  SIMCLR_CHECK(!samples_.empty(), "shard_pictures: no ", read_kinds(), " pictures in ", printable(shards_->describe()),
               left_out_.empty() ? "" : " (left out: " + left_out_ + ")");
}

std::int64_t ShardPictureList::sample(std::int64_t i) const {
  SIMCLR_CHECK(i >= 0 && i < size(), "shard_pictures: picture ", i, " of ", size());
  return samples_[static_cast<std::size_t>(i)];
}

int ShardPictureList::member(std::int64_t i) const {
  return picture_of(*shards_, sample(i), arrays_);
}

std::string ShardPictureList::ending(std::int64_t i) const {
  return dotted_ending(*shards_, sample(i), member(i));
}

Raster ShardPictureList::read(std::int64_t i) const {
  const std::int64_t at = sample(i);
  const int m = member(i);
  const std::int64_t bytes = shards_->member(at, m).bytes;
  SIMCLR_CHECK(bytes <= max_picture_file, shards_->name(at, m), ": has ", bytes, " bytes, more than the ",
               max_picture_file, " that are read");
  return decode_raster(shards_->read(at, m), shards_->name(at, m));
}

PictureChannels channels_of_pictures(const ShardPictureList& pictures) {
  return channels_of_pictures(
      pictures.size(), [&](std::int64_t i) { return "picture" + pictures.ending(i); },
      [&](std::int64_t i) { return pictures.read(i); });
}

std::unique_ptr<Dataset> shard_pictures(ShardPictureList pictures, int channels, bool labels) {
  return std::make_unique<ShardPictures>(std::move(pictures), channels, labels);
}

}  // namespace simclr::data
