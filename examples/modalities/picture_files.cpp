#include "modalities/picture_files.h"

#include "modalities/picture_array_files.h"
#include "modalities/picture_array_sets.h"
#include "modalities/picture_places.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_shards.h"
#include "modalities/published_sets.h"
#include "modalities/shown_picture.h"
#include "modalities/unknown_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/pictures/picture_views.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

simclr::Tensor view_of(const data::Sample& sample, const data::ViewMaker& views) {
  const simclr::Shape shape = views.view_shape();
  simclr::Tensor view = simclr::Tensor::empty({1, shape[0], shape[1], shape[2]});
  views.make_view(sample, {}, static_cast<std::byte*>(view.raw_data()));
  return view;
}

/// Whether views of so many channels can be made of one of the pictures that were looked at.
bool any_fits(const data::PictureChannels& found, int channels) {
  if (found.seen.empty()) return true;  // none can be read, which their reader tells
  // RGB and a channel that its file says nothing of is either.
  if (simclr::kernels::is_colour(channels)) return found.seen.contains(3) || found.seen.contains(4);
  return found.seen.contains(channels) || (channels == 4 && found.rgb_and_one > 0);
}

/// `look` at some of all `count` pictures. Throws simclr::Error where the encoder is for views of other channels than
/// all have; warns where only those looked at have others, and of values that lie beyond white.
void check_look(const std::function<data::PictureChannels(data::LookAt)>& look, std::int64_t count, int channels,
                const std::string& place, const std::function<void(const std::string&)>& on_warning) {
  const std::string name = simclr::printable(place);
  const data::PictureChannels found =
      look(simclr::kernels::is_colour(channels) ? data::LookAt::may_have_bands : data::LookAt::all);
  if (!any_fits(found, channels)) {
    std::int64_t looked_at = 0;
    for (const auto& [each, pictures] : found.seen) looked_at += pictures;
    const std::string have = other_channels(found.channels, channels);
    SIMCLR_CHECK(looked_at < count, name, ": its pictures ", have);
    on_warning(name + ": the " + simclr::counted(looked_at, "picture") + " looked at " + have +
               "; those that do not fit are left out");
  }
  if (const std::string beyond = found.floats.warning(); !beyond.empty()) on_warning(name + ": " + beyond);
}

/// What is said of a folder without pictures.
std::string what_it_holds(const std::string& dir) {
  if (const PublishedSet* set = published_set_in(dir)) {
    return "; it holds " + std::string(set->name) + ", whose pictures are no files of their own";
  }
  const std::string shards = how_to_read_shards(dir, "");
  return shards.empty() ? "" : "; it " + shards;
}

PictureFiles::Source in_places(const std::string& places, bool lists, int channels,
                               const std::function<void(const std::string&)>& on_warning) {
  std::error_code error;
  if (!is_list(places, lists) && fs::is_regular_file(places, error)) {
    simclr::fail(simclr::printable(places), ": is not a folder but a file; ", how_to_read_file(places));
  }
  const data::PictureList list = pictures_of_places(places, lists);
  for (const std::string& warning : list.warnings) on_warning(warning);
  const std::string left_out = list.left_out.text();
  SIMCLR_CHECK(!list.files.empty(), simclr::printable(list.place()), ": holds no ", data::read_kinds(),
               " pictures, nor do the folders below it", left_out.empty() ? "" : " (left out: " + left_out + ")",
               what_it_holds(places));
  check_look([&list](data::LookAt which) { return data::channels_of_pictures(list, which); }, std::ssize(list.files),
             channels, list.place(), on_warning);
  const std::string folder = list.dir.empty() ? "" : (fs::path(list.dir) / "").string();
  const auto read = [folder, files = list.files](std::int64_t i) {
    return data::read_raster((fs::path(folder) / files[static_cast<std::size_t>(i)]).string());
  };
  return {.folder = folder,
          .names = std::vector<std::string>(list.files.begin(), list.files.end()),
          .read = read,
          .left_out = left_out};
}

PictureFiles::Source in_arrays(const std::string& path, int channels,
                               const std::function<void(const std::string&)>& on_warning) {
  const auto pictures = pictures_of_arrays(path, channels, on_warning);
  const auto read = [pictures](std::int64_t i) {
    const data::Sample sample = pictures->sample(i);
    data::Raster raster{.height = static_cast<std::int32_t>(sample.shape[0]),
                        .width = static_cast<std::int32_t>(sample.shape[1]),
                        .channels = static_cast<std::int32_t>(sample.shape[2]),
                        .dtype = sample.dtype};
    raster.bands = !simclr::kernels::is_colour(raster.channels);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(sample.bytes.data());
    raster.bytes.assign(bytes, bytes + sample.bytes.size());
    return raster;
  };
  return {.folder = "", .names = pictures->classes(), .read = read, .left_out = {}};
}

PictureFiles::Source in_shards(const std::string& pattern, int channels,
                               const std::function<void(const std::string&)>& on_warning,
                               const std::string& cache_dir) {
  const ShardParts parts = find_shard_parts(pattern);
  const std::vector<std::string>& paths = parts.train;
  if (!parts.repeated.empty()) on_warning(simclr::listed(parts.repeated, 3) + ": named before, and taken once");
  const auto list = std::make_shared<const data::ShardPictureList>(list_shard_pictures(paths, cache_dir, on_warning));
  check_look([&list](data::LookAt which) { return data::channels_of_pictures(*list, which); }, list->size(), channels,
             pattern, on_warning);
  const std::string& first = paths.front();
  PictureFiles::Source source{.folder = first.substr(0, first.rfind('/') + 1),  // empty where there is none
                              .names = {},
                              .read = [list](std::int64_t i) { return list->read(i); },
                              .left_out = list->left_out()};
  const bool in_one =
      std::all_of(paths.begin(), paths.end(), [&](const std::string& path) { return path.starts_with(source.folder); });
  if (!in_one) source.folder.clear();
  for (std::int64_t i = 0; i < list->size(); ++i) source.names.push_back(list->name(i).substr(source.folder.size()));
  return source;
}

}  // namespace

PictureFiles::PictureFiles(Source source, int channels) : source_(std::move(source)), channels_(channels) {
  for (std::string& name : source_.names) {
    for (std::size_t at = 0; (at = name.find('\n', at)) != std::string::npos;) name.replace(at, 1, "\\n");
  }
}

std::int64_t PictureFiles::size() const {
  return std::ssize(source_.names);
}

data::Sample PictureFiles::sample(std::int64_t i, int) const {
  return data::picture_sample(read(i), label(i), channels_,
                              source_.folder + source_.names[static_cast<std::size_t>(label(i))]);
}

std::int32_t PictureFiles::label(std::int64_t i) const {
  SIMCLR_CHECK(i >= 0 && i < size(), "picture ", i, " of ", size());
  return static_cast<std::int32_t>(i);
}

std::string PictureFiles::describe() const {
  return simclr::counted(size(), "picture") + " in " + source_.folder;
}

const std::vector<std::string>& named_picture_kinds() {
  static const std::vector<std::string> all = {"auto", "arrays", "folder", "list", "shards"};
  return all;
}

std::shared_ptr<const PictureFiles> open_picture_files(const std::string& kind, const std::string& place, int channels,
                                                       const std::function<void(const std::string&)>& on_warning,
                                                       const std::string& cache_dir) {
  const auto warn = [&on_warning](const std::string& line) {
    if (on_warning) on_warning(line);
  };
  check_places(place);
  const auto open = [&]() -> PictureFiles::Source {
    const bool any = kind == "auto";
    if (kind == "arrays" || (any && is_array_file(place))) return in_arrays(place, channels, warn);
    if (kind == "shards" || (any && (names_shards(place) || names_packed_shards(place))))
      return in_shards(place, channels, warn, cache_dir);
    return in_places(place, kind == "list", channels, warn);
  };
  PictureFiles::Source source = open();
  const auto broken = std::count_if(source.names.begin(), source.names.end(),
                                    [](const std::string& name) { return name.find('\n') != std::string::npos; });
  if (broken > 0) {
    warn(simclr::counted(broken, "picture") + (broken == 1 ? " has a name" : " have names") +
         " with a line break, for which \\n stands in lists of names");
  }
  return std::make_shared<PictureFiles>(std::move(source), channels);
}

simclr::Tensor drawn_picture(const data::Raster& raster, const data::ViewMaker& views) {
  const data::Picture picture = picture_of({.bytes = std::as_bytes(std::span(raster.bytes)),
                                            .shape = {raster.height, raster.width, raster.channels},
                                            .dtype = raster.dtype,
                                            .label = -1,
                                            .owner = nullptr},
                                           raster.bands ? raster.channels : 3);
  return view_of({.bytes = std::as_bytes(std::span(picture.pixels)),
                  .shape = {picture.height, picture.width, picture.channels},
                  .label = -1,
                  .owner = nullptr},
                 views);
}
