#include "common/run_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/serialize.h>

#include <chrono>
#include <ctime>
#include <filesystem>

namespace fs = std::filesystem;

namespace {

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

}  // namespace

RunFolder::RunFolder(const std::string& dir, const std::string& name, bool overwrite)
    : path_(dir.empty() ? "runs/" + name + "-" + time_stamp() : dir) {
  std::error_code error;
  fs::create_directories(path_, error);
  SIMCLR_CHECK(!error && fs::is_directory(path_), "--out ", path_, ": cannot make this folder",
               error ? ": " + error.message() : "");
  const bool used = fs::exists(file("config.json")) || fs::exists(file("log.jsonl")) || fs::exists(file(weights_file));
  SIMCLR_CHECK(!used || overwrite, "--out ", path_, " already holds a run; choose another folder or add --overwrite");
  fs::remove(file(weights_file), error);  // another run's weights must not stand beside this one's log
  SIMCLR_CHECK(!error, file(weights_file), ": cannot be removed: ", error.message());
  log_.open(file("log.jsonl"), std::ios::trunc);
  SIMCLR_CHECK(log_.good(), file("log.jsonl"), ": cannot be written; check the folder's permissions");
}

void RunFolder::write(const std::string& name, const nlohmann::ordered_json& json) const {
  simclr::write_file_atomically(file(name), json.dump(2) + "\n");
}

void RunFolder::log(const nlohmann::ordered_json& entry) {
  log_ << entry.dump() << '\n' << std::flush;
  SIMCLR_CHECK(log_.good(), file("log.jsonl"), ": cannot be written; is the disk full?");
}
