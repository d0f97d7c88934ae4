#include "common/run_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <system_error>

namespace fs = std::filesystem;

namespace {

constexpr const char* config_name = "config.json";
constexpr const char* log_name = "log.jsonl";
constexpr const char* report_name = "report.html";

std::string time_stamp() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

std::string error_text() {
  return std::generic_category().message(errno);
}

}  // namespace

std::string shell_quoted(const std::string& path) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=,@%:";
  if (!path.empty() && path.find_first_not_of(plain) == std::string::npos) return path;
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

bool lies_in(const std::string& path, const std::string& folder) {
  if (folder.empty()) return false;
  std::error_code error;
  const fs::path inner = fs::weakly_canonical(fs::absolute(path, error), error);
  const fs::path outer = fs::weakly_canonical(fs::absolute(folder, error), error);
  return !error && std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

std::string beside_data(const std::string& path, const std::string& data) {
  if (!lies_in(path, data)) return path;
  std::error_code error;
  const fs::path beside = fs::canonical(data, error).parent_path() / path;
  return error ? path : fs::relative(beside, error).string();
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  SIMCLR_CHECK(!error && fs::is_directory(path), "--out ", path, ": cannot make this folder",
               error ? ": " + error.message() : "");
}

RunFolder::RunFolder(const std::string& dir, const std::string& name, const std::string& data)
    : path_(dir.empty() ? beside_data("runs/" + name + "-" + time_stamp(), data) : dir) {
  make_folder(path_);
  const int log = open(file(log_name).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  SIMCLR_CHECK(log >= 0, file(log_name), ": cannot be written (", error_text(), "); check the folder's permissions");
  if (flock(log, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(log);
    simclr::fail("--out ", path_, ": another process is writing this run; wait for it or choose another folder");
  }
  log_ = log;
  struct stat status {};
  if (fstat(log_, &status) == 0) log_bytes_ = status.st_size;
}

RunFolder::~RunFolder() {
  close(log_);
}

bool RunFolder::used() const {
  return fs::exists(file(config_name)) || log_bytes_ > 0 || fs::exists(file(weights_file)) ||
         fs::exists(file(checkpoint_folder));
}

void RunFolder::clear() {
  std::error_code error;
  for (const char* name : {checkpoint_folder, weights_file, config_name, report_name}) {
    fs::remove_all(file(name), error);
    SIMCLR_CHECK(!error, file(name), ": cannot be removed: ", error.message());
  }
  cut_log(0);
}

void RunFolder::write(const std::string& name, const nlohmann::ordered_json& json) const {
  simclr::write_file_atomically(file(name), json.dump(2) + "\n");
}

void RunFolder::open_events() {
  events_.emplace(path_, read_run_log(file(log_name)));
}

void RunFolder::log(nlohmann::ordered_json entry) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  entry["time"] = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) / 1e3;
  const std::string line = entry.dump() + "\n";
  const ssize_t written = ::write(log_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    const std::string why = written < 0 ? error_text() : "the disk is full";
    cut_log(log_bytes_);  // no half line stays
    simclr::fail(file(log_name), ": cannot be written: ", why, "; make room, then go on with --resume");
  }
  log_bytes_ += written;
  if (events_) events_->append(entry);
}

void RunFolder::flush_log() {
  SIMCLR_CHECK(fsync(log_) == 0, file(log_name), ": flushing to disk failed: ", error_text());
}

bool RunFolder::cut_log(std::int64_t bytes) {
  struct stat status {};
  if (fstat(log_, &status) != 0 || status.st_size < bytes) return false;
  SIMCLR_CHECK(ftruncate(log_, bytes) == 0, file(log_name), ": cannot be shortened: ", error_text());
  log_bytes_ = bytes;
  return true;
}
