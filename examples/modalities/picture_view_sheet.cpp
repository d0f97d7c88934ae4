#include "modalities/picture_view_sheet.h"

#include "modalities/shown_picture.h"
#include "run/run_folder.h"
#include "train/drawn_views.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/data/pictures/picture_views.h>

#include <algorithm>
#include <array>
#include <vector>

namespace data = simclr::data;

namespace {

/// Draws `picture` into the square at (top, left), whole and centred, by its nearest pixels so that they can be
/// counted.
void draw(data::Picture& sheet, int top, int left, int side, const data::Picture& picture) {
  const int longest = std::max(picture.height, picture.width);
  const int height = std::max(1, side * picture.height / longest), width = std::max(1, side * picture.width / longest);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int from = y * picture.height / height * picture.width + x * picture.width / width;
      const int to = (top + (side - height) / 2 + y) * sheet.width + left + (side - width) / 2 + x;
      for (int c = 0; c < 3; ++c) {
        sheet.pixels[static_cast<std::size_t>(3 * to + c)] =
            picture.pixels[static_cast<std::size_t>(picture.channels * from + (picture.channels < 3 ? 0 : c))];
      }
    }
  }
}

/// A picture and its two views.
using Row = std::array<data::Picture, 3>;

std::vector<Row> rows_of(const data::Dataset& pictures, const data::Augmentation& policy, std::uint64_t seed,
                         std::int64_t count) {
  std::vector<Row> rows;
  const std::vector<data::Tower> towers = {{.maker = std::make_shared<data::PictureViews>(policy)}};
  for (const DrawnViews& drawn : draw_views(pictures, towers, seed, count)) {
    const std::vector<simclr::Tensor>& views = drawn.towers.front();
    rows.push_back(Row{picture_of(drawn.sample, policy.channels), picture_of_view(views[0], policy),
                       picture_of_view(views[1], policy)});
  }
  return rows;
}

}  // namespace

std::string write_view_sheet(const std::string& path, const data::Dataset& pictures, const data::Augmentation& policy,
                             std::uint64_t seed) {
  constexpr int side = 96, gap = 6, most_rows = 8;
  const std::vector<Row> rows = rows_of(pictures, policy, seed, most_rows);
  data::Picture sheet{.height = static_cast<int>(rows.size()) * (side + gap) + gap,
                      .width = 3 * (side + gap) + gap,
                      .channels = 3,
                      .pixels = {}};
  sheet.pixels.assign(std::size_t{3} * static_cast<std::size_t>(sheet.height) * static_cast<std::size_t>(sheet.width),
                      255);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t k = 0; k < 3; ++k) {
      draw(sheet, gap + static_cast<int>(i) * (side + gap), gap + static_cast<int>(k) * (side + gap), side, rows[i][k]);
    }
  }
  for (;;) {
    const std::string free = free_name(path);
    try {
      data::write_png(free, sheet, simclr::Existing::keep);
      return "look at them in " + free + ": each picture and its two views";
    } catch (const simclr::FileExists&) {  // another process has taken the name in between
    } catch (const simclr::Error& error) {
      return "they cannot be drawn: " + std::string(error.what());
    }
  }
}
