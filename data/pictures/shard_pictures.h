#pragma once

#include <simclr/core/export.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/shards.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// The pictures in tar shards, in the order of the samples. A sample's picture is its first member of a kind that is
/// read by the whole of its ending ("jpg"), else by the end of it ("seg.png"). .npy members are pictures where there
/// are no others.
class SIMCLR_API ShardPictureList {
 public:
  /// Throws Error where there is none.
  explicit ShardPictureList(std::shared_ptr<const Shards> shards);

  const Shards& shards() const { return *shards_; }
  std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()); }
  /// The sample of picture `i`. Throws Error for an index outside [0, size).
  std::int64_t sample(std::int64_t i) const;
  /// "shards/003.tar: n01/7.jpg".
  std::string name(std::int64_t i) const { return shards_->name(sample(i), member(i)); }
  /// ".jpg".
  std::string ending(std::int64_t i) const;
  /// Thread-safe. Throws Error, opened by the name, where it cannot be read or decoded.
  Raster read(std::int64_t i) const;
  /// Members that are not read, by their endings, and pictures besides a sample's own, in words; empty: there are none.
  const std::string& left_out() const { return left_out_; }

 private:
  int member(std::int64_t i) const;

  std::shared_ptr<const Shards> shards_;
  std::vector<std::uint32_t> samples_;
  bool arrays_ = false;  // the pictures are .npy members
  std::string left_out_;
};

/// Of how many channels views of them are, as of a folder's pictures.
SIMCLR_API PictureChannels channels_of_pictures(const ShardPictureList& pictures,
                                                LookAt which = LookAt::may_have_bands);

/// Those pictures as a data set, each decoded when it is asked for, as image_folder() does: samples are u8, u16 or f32
/// [height,width,channels], with their labels and classes. A picture that views of `channels` channels cannot be made
/// of, or that cannot be read, throws from sample(); 0 takes any. Without `labels` they have none.
SIMCLR_API std::unique_ptr<Dataset> shard_pictures(ShardPictureList pictures, int channels = 0, bool labels = true);

}  // namespace simclr::data
