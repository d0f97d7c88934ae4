#include "../shard_label.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/pictures/shard_pictures.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
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

/// Members that are not read, by kinds.
class UnreadMembers {
 public:
  explicit UnreadMembers(const Shards& shards) : shards_(shards) {}

  /// Those of a sample of which member `picture` is read; -1: none is.
  void add(std::int64_t sample, int picture) {
    int pictures = 0;
    for (int m = 0; m < shards_.members(sample); ++m) {
      const Ending& ending = known(shards_.member(sample, m).ending);
      if (ending.is_picture) {
        if (pictures++ > 0) add_further(sample, m);
      } else if (m != picture && (picture < 0 || !ending.says_label)) {
        add_file(sample, m, ending.last);
      } else if (m != picture && shards_.label(sample) < 0 && !shards_.has_unreadable_label(sample)) {
        ++silent_[ending.last];
      }
    }
  }

  std::string text() const {
    std::string text = left_out_.text();
    const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
    for (const auto& [ending, count] : silent_) {
      add(counted(count, ending + " file") + (count == 1 ? " that says" : " that say") + " no label");
    }
    if (further_ == 0) return text;
    add(counted(further_, "picture") + " of samples that have one already");
    if (!dotted_.empty()) {
      text +=
          ": a sample's name ends at its first dot, so " + dotted_ + " is not one of its own; pack it without that dot";
    }
    return text;
  }

 private:
  struct Ending {
    std::string last;  // ".png" of "seg.png"
    bool is_picture = false, says_label = false;
  };

  /// There are millions of members, of few endings.
  const Ending& known(std::string_view text) {
    const auto found = endings_.find(text);
    if (found != endings_.end()) return found->second;
    const std::string name = "picture." + std::string(text);
    return endings_
        .emplace(text,
                 Ending{.last = ending_of(name), .is_picture = is_picture_name(name), .says_label = says_label(text)})
        .first->second;
  }

  void add_further(std::int64_t sample, int m) {
    ++further_;
    const std::string_view ending = shards_.member(sample, m).ending;
    const bool numbered = ending[0] >= '0' && ending[0] <= '9';  // not "seg.png", which masks are called
    if (dotted_.empty() && numbered) dotted_ = shards_.name(sample, m);
  }

  /// What files of this ending are, the first one's bytes tell: there may be a million.
  void add_file(std::int64_t sample, int m, std::string ending) {
    constexpr std::size_t most_kinds = 8;
    auto kind = kinds_.find(ending);
    if (kind == kinds_.end() && kinds_.size() >= most_kinds) kind = kinds_.find(ending = "other");
    if (kind == kinds_.end()) kind = kinds_.emplace(ending, ending == "other" ? "" : kind_of(sample, m)).first;
    left_out_.add_ending(ending, "", kind->second);
  }

  std::string kind_of(std::int64_t sample, int m) const {
    const std::string ending = dotted_ending(shards_, sample, m);
    if (!missing_package(ending).empty()) return ending;
    try {
      const std::string kind = picture_kind(shards_.begin_of(sample, m, 32));
      return kind == ".npy" ? "" : kind;
    } catch (const Error&) {  // whoever reads the shard tells
      return "";
    }
  }

  const Shards& shards_;
  LeftOut left_out_;
  std::map<std::string, Ending, std::less<>> endings_;
  std::map<std::string, std::string> kinds_;    // of files, by endings
  std::map<std::string, std::int64_t> silent_;  // members of samples with a picture and no label that may say one
  std::int64_t further_ = 0;                    // pictures of samples that have one already
  std::string dotted_;                          // one of them whose name has several dots
};

class ShardPictures final : public Dataset {
 public:
  ShardPictures(ShardPictureList pictures, int channels, bool labels)
      : pictures_(std::move(pictures)), channels_(channels), labels_(labels) {}

  std::int64_t size() const override { return pictures_.size(); }

  Sample sample(std::int64_t i, int) const override {
    return picture_sample(pictures_.read(i), label(i), channels_, pictures_.name(i));
  }

  std::string place(std::int64_t i) const override { return pictures_.name(i); }
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
    UnreadMembers unread(*shards_);
    for (std::int64_t i = 0; i < all; ++i) {
      const int picture = picture_of(*shards_, i, arrays);
      unread.add(i, picture);
      if (picture >= 0) samples_.push_back(static_cast<std::uint32_t>(i));
    }
    left_out_ = unread.text();
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

PictureChannels channels_of_pictures(const ShardPictureList& pictures, LookAt which) {
  return channels_of_pictures(
      pictures.size(), [&](std::int64_t i) { return "picture" + pictures.ending(i); },
      [&](std::int64_t i) { return pictures.read(i); }, which);
}

std::unique_ptr<Dataset> shard_pictures(ShardPictureList pictures, int channels, bool labels) {
  return std::make_unique<ShardPictures>(std::move(pictures), channels, labels);
}

}  // namespace simclr::data
