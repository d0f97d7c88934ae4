// Writes MP4 files for tests/test_clip_programs.py into the folders "run" and "jump" of the folder VIDEOS, which the
// environment names: a Catch program, as videos.h checks by Catch.
#include "support/videos.h"

#include <cstdlib>
#include <filesystem>
#include <string>

TEST_CASE("videos are written") {
  const char* const folder = std::getenv("VIDEOS");
  REQUIRE(folder != nullptr);
  for (const std::string label : {"run", "jump"}) {
    const std::filesystem::path of = std::filesystem::path(folder) / label;
    std::filesystem::create_directories(of);
    for (int i = 0; i < 8; ++i) {  // no two are alike
      const std::string name = "s" + std::to_string(i % 4) + "_" + std::to_string(i) + ".mp4";
      simclr::test::write_video(
          (of / name).string(),
          {.frames = 16 + i, .width = label == "run" ? 48 + 2 * i : 32, .height = 32 + 2 * i, .between_keys = 6});
    }
  }
}
