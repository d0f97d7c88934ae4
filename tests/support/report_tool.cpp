// Writes reports and event files for tests/test_report.py and tests/test_event_file.py.
//   report_tool report FOLDER KIND        from its config.json and log.jsonl; KIND: labelled, unlabelled, hostile,
//                                         many (classes), large (pictures) or none
//   report_tool events FOLDER COUNT       from log.jsonl, the first COUNT entries at once, the others one by one
#include "modalities/shown_picture.h"
#include "report/report.h"
#include "run/event_file.h"

#include <simclr/core/random.h>
#include <simclr/nn/losses.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

namespace {

const simclr::Random noise(1, simclr::RandomPurpose::user);

/// A disc of the class's colour on noise.
simclr::data::Picture picture(int height, int width, int channels, std::uint32_t label, std::uint32_t id) {
  simclr::data::Picture p{.height = height, .width = width, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double inside = std::hypot(y - height / 2.0, x - width / 2.0) / std::min(height, width);
      for (int c = 0; c < channels; ++c) {
        const std::uint32_t colour = 60 + (label * (53 + 40 * static_cast<std::uint32_t>(c)) + 90) % 180;
        const std::uint32_t slot = id * 4096 + static_cast<std::uint32_t>((y * width + x) * channels + c);
        p.pixels.push_back(static_cast<std::uint8_t>((inside < 0.35 ? colour : 40u) + noise.below(30, slot)));
      }
    }
  }
  return p;
}

ReportMaterial material_of(const std::string& kind) {
  ReportMaterial m;
  if (kind == "none") return m;
  const std::int32_t classes = kind == "unlabelled" ? 0 : kind == "many" ? 100 : 10;
  for (std::int32_t c = 0; c < classes; ++c) m.classes.push_back("class " + std::to_string(c));
  m.program = "train_cifar";
  m.sample = "picture";
  m.chance = simclr::nn::nt_xent_chance(64);
  m.bound = simclr::nn::nt_xent_bound(64, 0.5);
  m.features = 128;
  m.data = "made for a test";
  m.map_samples = "600 of 10,000 test pictures";
  m.query_samples = "test pictures";
  m.compared_samples = "5,000 training pictures";
  if (kind == "hostile") {
    m.classes = {"<script>document.title='owned'</script>",
                 "</script><img src=x onerror=\"document.title='owned'\">",
                 "a&b <b>bold</b>",
                 "\xff\xfe not UTF-8",
                 "\"'` {{x}} ${y}",
                 "<!-- ",
                 "]]>",
                 "&lt;",
                 "a name that goes on and on without any space: " + std::string(150, 'x'),
                 "\n\t"};
    m.data = "in /tmp/<script>document.title='owned'</script>";
    m.notes.push_back("<img src=x onerror=\"document.title='owned'\">");
  }
  if (kind == "labelled") m.notes.push_back("Interrupted at epoch 3, step 40; resume with train_cifar --resume DIR");
  const int height = kind == "large" ? 400 : 20, width = kind == "large" ? 300 : 24, channels = kind == "large" ? 4 : 3;
  const auto label_of = [&](std::uint32_t i) { return classes == 0 ? -1 : static_cast<std::int32_t>(i) % classes; };
  for (std::uint32_t i = 0; i < 8; ++i) {
    const int side = kind == "large" ? 224 : 16;
    m.viewed.push_back({{shown_picture(picture(height, width, channels, i, i), 96), label_of(i)},
                        {{shown_picture(picture(side, side, 3, i, 100 + i), 96),
                          shown_picture(picture(side, side, 1, i, 200 + i), 96)}}});
    ReportMaterial::Query query{{shown_picture(picture(height, width, channels, i, 300 + i), 64), label_of(i)}, {}};
    for (std::uint32_t k = 0; k < 8; ++k) {
      const std::uint32_t of = k % 4 == 3 ? i + 1 : i;
      query.neighbours.push_back(
          {{shown_picture(picture(height, width, channels, of, 400 + 8 * i + k), 64), label_of(of)}, 0.99 - 0.03 * k});
    }
    m.queries.push_back(query);
  }
  for (std::uint32_t i = 0; i < 600; ++i) {
    const std::int32_t label = label_of(i);
    const float angle = static_cast<float>(i % 10);
    const float x = std::cos(angle) + 0.5f * noise.uniform(2 * i),
                y = std::sin(angle) + 0.5f * noise.uniform(2 * i + 1);
    m.map_labels.push_back(label);
    m.tsne.push_back({30 * x, 30 * y});
    m.pca.points.push_back({0.1f * y, 0.05f * x});
  }
  m.pca.variance_shares = {0.31, 0.12};
  return m;
}

void write_events(const std::string& folder, std::size_t count) {
  const auto log = read_run_log(folder + "/log.jsonl");
  EventFile file(folder, {log.begin(), log.begin() + static_cast<std::ptrdiff_t>(std::min(count, log.size()))});
  for (std::size_t i = count; i < log.size(); ++i) file.append(log[i]);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::strcmp(argv[1], "report") == 0) {
      write_report(argv[2], material_of(argv[3]));
      return 0;
    }
    if (argc == 4 && std::strcmp(argv[1], "events") == 0) {
      write_events(argv[2], std::stoul(argv[3]));
      return 0;
    }
    std::fprintf(stderr, "usage: report_tool report FOLDER KIND | report_tool events FOLDER COUNT\n");
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "report_tool: %s\n", error.what());
    return 1;
  }
}
