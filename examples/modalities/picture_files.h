#pragma once

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/views.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Pictures that have names: by which features are listed. Each is a class of its own, so that the label of a sample,
/// or of a row of features, says which picture it is of.
class PictureFiles final : public simclr::data::Dataset {
 public:
  struct Source {
    std::string folder;                                      // what goes before the names in messages: "photos/"
    std::vector<std::string> names;                          // a line break in one becomes \n: files.txt has one a line
    std::function<simclr::data::Raster(std::int64_t)> read;  // picture `i`; thread-safe
    std::string left_out;                                    // what else is there, in words; empty: nothing
  };
  /// For views of `channels` channels: a picture that they cannot be made of throws from sample().
  PictureFiles(Source source, int channels);

  std::int64_t size() const override;
  simclr::data::Sample sample(std::int64_t i, int part = 0) const override;
  std::int32_t label(std::int64_t i) const override;
  const std::vector<std::string>& classes() const override { return source_.names; }
  std::string describe() const override;

  /// The picture as it is.
  simclr::data::Raster read(std::int64_t i) const { return source_.read(i); }
  const std::string& left_out() const { return source_.left_out; }

 private:
  Source source_;
  int channels_;
};

/// Those of dataset_kinds() whose pictures have names, and auto.
const std::vector<std::string>& named_picture_kinds();

/// All pictures of what `place` names, which is of `kind`, one of named_picture_kinds(), or with auto told by its name:
/// a folder, a list or several of these (picture_places.h), named by their paths from it ("cats/1.jpg"); tar shards
/// (picture_shards.h), named by the shard's path, from the folder where all lie in one, and the member's ("003.tar:
/// n01/7.jpg"), with their index in `cache_dir` as open_datasets() has it; an array file, "train_images/17", or with
/// `kind` arrays a folder of them. A look at some of them tells whether they fit: throws simclr::Error where the
/// encoder is for other channels than theirs, and where there are none; warns of floating-point values beyond white.
std::shared_ptr<const PictureFiles> open_picture_files(const std::string& kind, const std::string& place, int channels,
                                                       const std::function<void(const std::string&)>& on_warning,
                                                       const std::string& cache_dir = {});

/// The view [1,S,S,C] of any picture, to be looked at, by what makes them without randomness: of channels that are
/// neither grey nor RGB the first three, or the first.
simclr::Tensor drawn_picture(const simclr::data::Raster& picture, const simclr::data::ViewMaker& views);
