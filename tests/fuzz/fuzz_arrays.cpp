#include "targets.h"

#include <simclr/data/npz.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_arrays.h>

#include <algorithm>
#include <memory>

namespace simclr::fuzz {
namespace {

using Array = std::shared_ptr<const data::NpyArray>;

void look_at(const data::Dataset& pictures) {
  for (std::int64_t i = 0; i < std::min<std::int64_t>(pictures.size(), 4); ++i) {
    std::string message;
    succeeds(
        [&] {
          const data::Sample sample = pictures.sample(i);
          const std::int64_t bytes = sample.shape.numel() * size_of(sample.dtype);
          if (static_cast<std::int64_t>(sample.bytes.size()) != bytes) finding("a sample of another size");
          const auto zeros = std::count(sample.bytes.begin(), sample.bytes.end(), std::byte{});  // reads them all
          if (zeros > bytes) finding("more zeros than bytes");
          const auto classes = static_cast<std::int32_t>(pictures.classes().size());
          if (sample.label < -1 || sample.label >= classes) finding("a label of no class");
        },
        message);
  }
}

/// As pictures, and with the other array as their labels.
void look_at(const Array& pictures, const Array& labels) {
  std::string message;
  succeeds([&] { look_at(*data::picture_array(pictures)); }, message);
  succeeds([&] { look_at(*data::picture_array(pictures, labels)); }, message);
}

}  // namespace

void arrays(Bytes bytes) {
  std::string message;
  if (bytes.size() < 4 || bytes[0] != 'P') {
    succeeds(
        [&] {
          const data::Raster raster = data::decode_raster(bytes, "picture");
          if (raster.bytes.size() != std::size_t(raster.height) * std::size_t(raster.width) *
                                         std::size_t(raster.channels) * std::size_t(size_of(raster.dtype))) {
            finding("values that are not the raster's size");
          }
        },
        message);
    succeeds(
        [&] {
          const Array array = data::npy_in_memory({bytes.begin(), bytes.end()}, "array");
          look_at(array, array);
        },
        message);
    return;
  }
  static const MemoryFile file;
  file.write(bytes);
  succeeds(
      [&] {
        Array before;
        const auto names = data::list_npz(file.path());
        for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 4); ++i) {
          const Array array = data::read_npz(file.path(), names[i]);
          look_at(before ? before : array, array);
          before = array;
        }
      },
      message);
}

}  // namespace simclr::fuzz
