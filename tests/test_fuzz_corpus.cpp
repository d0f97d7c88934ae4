// Every file of the fuzzer's corpus, the findings of the past among them, in the ordinary build.

#include "fuzz/targets.h"
#include "support/catch.h"
#include "support/source_folder.h"
#include "support/temp_dir.h"

#include <filesystem>
#include <functional>
#include <map>

using namespace simclr;
namespace fs = std::filesystem;

TEST_CASE("the fuzzer's corpus is read as the fuzzer reads it") {
  std::map<std::string, std::function<void(fuzz::Bytes)>> targets = {
      {"arrays", fuzz::arrays}, {"cifar", fuzz::cifar},
      {"idx", fuzz::idx},       {"images", fuzz::images},
      {"shards", fuzz::shards}, {"shard_index", fuzz::shard_index},
      {"table", fuzz::table},   {"safetensors", fuzz::safetensors},
      {"sound", fuzz::sound},   {"text", fuzz::text},
      {"clips", fuzz::clips}};
#ifdef SIMCLR_FUZZ_EXAMPLES
  targets["config"] = fuzz::config;
#else
  targets["config"] = [](fuzz::Bytes) {};  // a build without the examples
#endif
  std::size_t folders = 0;
  for (const auto& folder : fs::directory_iterator(test::source_folder() + "/fuzz/corpus")) {
    ++folders;
    const auto target = targets.find(folder.path().filename());
    INFO(folder.path());
    REQUIRE(target != targets.end());
    std::size_t files = 0;
    for (const auto& file : fs::directory_iterator(folder)) {
      ++files;
      INFO(file.path());  // Catch shows it also where a finding ends the program
      target->second(test::read_bytes(file.path()));
      SUCCEED();
    }
    CHECK(files > 0);
  }
  CHECK(folders == targets.size());
}
