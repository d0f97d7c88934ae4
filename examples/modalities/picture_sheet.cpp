#include "modalities/picture_sheet.h"

#include "modalities/picture_files.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_views.h>

#include <algorithm>
#include <cmath>

namespace data = simclr::data;

namespace {

constexpr int side = 128, gap = 6, columns_at_most = 6;  // of a square, in pixels; around it; in a row
constexpr std::uint8_t frame[3] = {220, 60, 30};

}  // namespace

void write_contact_sheet(const std::string& path, int count, const std::function<data::Raster(int)>& read,
                         simclr::Existing existing) {
  const data::PictureViews squares(data::Augmentation::evaluation(side, 3));
  const int columns = std::min(count, columns_at_most);
  const int rows = (count + columns - 1) / columns, pitch = side + gap;
  data::Picture sheet{.height = rows * pitch + gap, .width = columns * pitch + gap, .channels = 3, .pixels = {}};
  sheet.pixels.assign(std::size_t{3} * static_cast<std::size_t>(sheet.height) * static_cast<std::size_t>(sheet.width),
                      255);
  const auto pixel = [&](int y, int x) {
    return sheet.pixels.data() + std::ptrdiff_t{3} * (std::ptrdiff_t{y} * sheet.width + x);
  };
  for (int y = 0; y < pitch + gap; ++y) {  // what the first square leaves of this is its frame
    for (int x = 0; x < pitch + gap; ++x) std::copy_n(frame, 3, pixel(y, x));
  }
  for (int i = 0; i < count; ++i) {
    const auto view = drawn_picture(read(i), squares).to_vector<float>();
    const int top = gap + i / columns * pitch, left = gap + i % columns * pitch;
    for (int y = 0; y < side; ++y) {
      std::transform(view.begin() + std::ptrdiff_t{3} * side * y, view.begin() + std::ptrdiff_t{3} * side * (y + 1),
                     pixel(top + y, left),
                     [](float v) { return static_cast<std::uint8_t>(std::lround(255 * std::clamp(v, 0.0f, 1.0f))); });
    }
  }
  data::write_png(path, sheet, existing);
}
