// Times the opening of large sets: a folder of small pictures, and tar shards without a kept index and with one. Each
// is opened in a process of its own, whose memory tells what it takes.
#include "common.h"
#include "support/tar.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/shard_pictures.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

namespace fs = std::filesystem;
namespace data = simclr::data;

namespace {

/// A folder that is removed at the end.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) {
    std::string pattern = (fs::path(parent) / "simclr-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) simclr::fail("bench_open: cannot make a folder in ", parent);
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// As ImageNet's are called: "n00000042/n00000042_000000000123".
std::string key_of(std::int64_t i, std::int64_t classes) {
  std::array<char, 64> text{};
  const auto label = static_cast<int>(i % classes);
  std::snprintf(text.data(), text.size(), "n%08d/n%08d_%012lld", label, label, static_cast<long long>(i));
  return text.data();
}

std::string small_picture() {
  const auto bytes =
      data::png_bytes({.height = 2, .width = 2, .channels = 3, .pixels = std::vector<std::uint8_t>(12)}, "a");
  return {bytes.begin(), bytes.end()};
}

void write_folder(const fs::path& folder, std::int64_t count, std::int64_t classes) {
  const std::string picture = small_picture();
  for (std::int64_t i = 0; i < count; ++i) {
    const fs::path path = folder / (key_of(i, classes) + ".png");
    if (i < classes) fs::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file.write(picture.data(), static_cast<std::streamsize>(picture.size()));
    if (!file.flush()) simclr::fail("bench_open: cannot write ", path.string());
  }
}

/// Returns their bytes.
double write_shards(const std::vector<std::string>& paths, std::int64_t count, std::int64_t classes,
                    std::int64_t picture_bytes) {
  std::string picture = small_picture();
  picture.resize(std::max(picture.size(), static_cast<std::size_t>(picture_bytes)));
  double bytes = 0;
  const std::int64_t shards = std::ssize(paths);
  for (std::int64_t s = 0; s < shards; ++s) {
    const std::string& path = paths[static_cast<std::size_t>(s)];
    std::ofstream tar(path, std::ios::binary);
    for (std::int64_t i = s * count / shards; i < (s + 1) * count / shards; ++i) {
      tar << simclr::test::tar_member(key_of(i, classes) + ".png", picture)
          << simclr::test::tar_member(key_of(i, classes) + ".cls", std::to_string(i % classes));
    }
    tar << simclr::test::tar_end();
    if (!tar.flush()) simclr::fail("bench_open: cannot write ", path);
    bytes += static_cast<double>(fs::file_size(path));
  }
  return bytes;
}

/// Bytes by a line of /proc/self/status.
double status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::strtod(line.c_str() + key.size() + 1, nullptr) * 1024;
  }
  return 0;
}

struct Opening {
  double seconds = 0, growth = 0, kept = 0, samples = 0;
};

/// What opening takes, in a child process: its most memory beyond what it had before, and what stays.
Opening measure(const std::function<std::unique_ptr<data::Dataset>()>& open) {
  int ends[2];
  if (::pipe(ends) != 0) simclr::fail("bench_open: cannot make a pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    const double before = status_bytes("VmRSS");
    std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM begins anew
    const auto start = std::chrono::steady_clock::now();
    try {
      const auto set = open();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const Opening result{seconds, status_bytes("VmHWM") - before, status_bytes("VmRSS") - before,
                           static_cast<double>(set->size())};
      ::_exit(::write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    } catch (const simclr::Error& error) {
      std::fprintf(stderr, "bench_open: %s\n", error.what());
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  Opening result;
  const bool whole = child > 0 && ::read(ends[0], &result, sizeof result) == sizeof result;
  ::close(ends[0]);
  if (child > 0) ::waitpid(child, nullptr, 0);
  if (!whole) simclr::fail("bench_open: the opening failed");
  return result;
}

bench::Json figures(const Opening& opening) {
  return {{"samples", opening.samples},
          {"seconds", opening.seconds},
          {"megabytes", opening.growth / 1e6},
          {"megabytes_kept", opening.kept / 1e6}};
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times the opening of large folders and tar shards: seconds, and the memory that it takes.");
  std::int64_t count = 1'000'000, classes = 1000, shards = 100, picture_bytes = 4096;
  std::string scratch = fs::temp_directory_path().string();
  bench.app.add_option("--n", count, "Files, and samples")->check(CLI::Range(1, 1 << 30));
  bench.app.add_option("--classes", classes, "Folders of the files")->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--shards", shards, "Tar files")->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--picture-bytes", picture_bytes, "Of each picture in a shard")->check(CLI::Range(1, 1 << 24));
  bench.app.add_option("--scratch", scratch, "A folder with room for them; they are removed at the end");
  bench.parse(argc, argv);

  // In a child the pool's threads are missing.
  const simclr::SerialScope serial;
  const Scratch folder(scratch);
  {
    write_folder(folder.path() / "files", count, classes);
    const Opening opening = measure([&] { return data::image_folder((folder.path() / "files").string()); });
    bench.print("open a folder", figures(opening));
  }
  if (!data::reads_shards()) return bench.exit_code();
  const auto paths = data::expand_braces((folder.path() / ("{0.." + std::to_string(shards - 1) + "}.tar")).string());
  const double bytes = write_shards(paths, count, classes, picture_bytes);
  const auto open = [&] {
    return data::shard_pictures(data::ShardPictureList(std::make_shared<const data::Shards>(
        paths, data::ShardOptions{.index_folder = (folder.path() / "index").string(), .on_warning = {}})));
  };
  for (const char* name : {"open shards, first", "open shards, again"}) {
    const Opening opening = measure(open);
    bench::Json line = figures(opening);
    line["megabytes_per_second"] = bytes / opening.seconds / 1e6;
    bench.print(name, line);
  }
  return bench.exit_code();
}
