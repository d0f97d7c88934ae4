// Processes are killed until 200 were while they saved: the old file or the new one is there, whole.

#include "support/catch.h"
#include "support/temp_dir.h"

#include <simclr/core/serialize.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <new>
#include <random>
#include <thread>

using namespace simclr;

namespace {

constexpr std::int64_t values = 50000;

/// What a process that is killed has told: it survives it.
struct Progress {
  std::atomic<int> begun{0};  // the save under way, or the last one
  std::atomic<int> done{0};   // saves that have returned
};

void save(const std::string& path, int number, const Tensor& tensor) {
  std::fill_n(tensor.data<float>(), values, static_cast<float>(number));
  save_tensors(path, {{"values", tensor}}, {{"number", std::to_string(number)}});
}

/// The number of the file at `path`, all of which it must consist of.
int number_in(const std::string& path) {
  const TensorFile file = load_tensors(path, {.require_digest = true});
  const int number = std::stoi(file.metadata.at("number"));
  const float* found = file.tensors.at(0).value.data<float>();
  REQUIRE(std::count(found, found + values, static_cast<float>(number)) == values);
  return number;
}

}  // namespace

TEST_CASE("a kill inside save leaves the old file or the new one") {
  const test::TempDir folder;
  const auto path = folder.path("x.safetensors");
  const std::set<std::string> saved = {"x.safetensors"};
  const Tensor tensor = Tensor::empty({values});
  void* shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto& progress = *new (shared) Progress;
  save(path, 0, tensor);

  const auto begin = std::chrono::steady_clock::now();
  for (int number = 1; number <= 10; ++number) save(path, number, tensor);
  const auto one_save = (std::chrono::steady_clock::now() - begin) / 10;

  std::mt19937 random(1);
  int inside = 0, halves = 0, old_files = 0, new_files = 0, last = 10, kills = 0;
  for (; inside < 200; ++kills) {
    REQUIRE(kills < 1000);
    progress.begun = progress.done = last;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int number = last + 1;; ++number) {
        progress.begun = number;
        save(path, number, tensor);
        progress.done = number;
      }
    }
    while (progress.begun == last) std::this_thread::yield();
    std::this_thread::sleep_for(one_save * (random() % 3000) / 1000);
    REQUIRE(kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    CAPTURE(kills, progress.begun, progress.done);
    const bool within = progress.begun != progress.done;
    inside += within;
    last = number_in(path);
    CHECK((last == progress.begun || (within && last == progress.done)));
    if (within) ++(last == progress.begun ? new_files : old_files);
    const auto names = folder.names();
    halves += names != saved;
    CHECK(names.size() <= 2);  // however many were killed
  }
  std::printf("%d of %d kills inside save: the old file %d times, the new one %d times; %d half files\n", inside, kills,
              old_files, new_files, halves);
  CHECK(halves >= 20);
  CHECK(old_files >= 20);
  save(path, 1, tensor);
  CHECK(folder.names() == saved);
  munmap(shared, sizeof(Progress));
}
