#include "run/run_folder.h"

#include "run/data_places.h"
#include "run/host.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/nn/checkpoint.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
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

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

/// What helps where a file cannot be opened to write.
std::string remedy_of(int error) {
  if (error == EACCES || error == EPERM || error == EROFS) return "check the folder's permissions";
  if (error == EMFILE || error == ENFILE) return "raise the limit of open files that `ulimit -n` shows";
  if (error == ENOSPC || error == EDQUOT) return "make room";
  return "choose another folder";
}

/// The first of BEGIN1END, BEGIN2END, ... that is free.
std::string numbered(const std::string& begin, const std::string& end) {
  for (int n = 1;; ++n) {
    std::string path = begin + std::to_string(n) + end;
    if (!exists(path)) return path;
  }
}

/// Makes the folder `path`, or the first of PATH-2, PATH-3, ... that no other process has made; returns which.
std::string make_new_folder(const std::string& path) {
  if (const fs::path parent = fs::path(path).parent_path(); !parent.empty()) make_folder(parent.string());
  std::string folder = path;
  std::error_code error;
  for (int n = 2; !fs::create_directory(folder, error) && exists(folder); ++n) folder = path + "-" + std::to_string(n);
  return folder;
}

void rename_file(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  SIMCLR_CHECK(!error, from, ": cannot be renamed to ", to, ": ", error.message());
}

bool begins_and_ends(const std::string& name, std::string_view begin, std::string_view end) {
  return name.size() >= begin.size() + end.size() && name.starts_with(begin) && name.ends_with(end);
}

/// Whether a training program or finetune gives a file this name.
bool runs_name(const std::string& name) {
  return name == checkpoint_folder || name == weights_file || name == config_name || name == report_name ||
         is_event_file(name) || begins_and_ends(name, "labels-", ".safetensors") ||
         begins_and_ends(name, "log.cut-", ".jsonl") || begins_and_ends(name, "config.before-", ".json") ||
         begins_and_ends(name, "report.before-", ".html") || name.starts_with("events.before-");
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
  const std::vector<std::string> places = split_places(folder);
  if (places.size() > 1) {
    return std::any_of(places.begin(), places.end(), [&](const auto& place) { return lies_in(path, place); });
  }
  const fs::path inner = whole_path(path), outer = whole_path(folder);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

void refuse_in_data(const std::string& option, const std::string& path, const std::string& data) {
  if (path.empty() || data.empty()) return;
  for (const std::string& place : split_places(data)) {
    std::error_code error;
    if (!lies_in(path, place)) continue;
    SIMCLR_CHECK(!fs::is_directory(place, error), option, " ", path,
                 ": lies in the data's folder; choose another, so that data and results stay apart");
    simclr::fail(option, " ", path, ": is read here, and would be lost; choose another name");
  }
}

void refuse_in_run(const std::string& option, const std::string& path) {
  if (path.empty()) return;
  const fs::path whole = whole_path(path), folder = whole.parent_path();
  const bool kept = folder.filename() == checkpoint_folder && exists((folder.parent_path() / config_name).string());
  const bool own = runs_name(whole.filename().string()) || whole.filename() == log_name;
  SIMCLR_CHECK(!kept && !(own && exists((folder / config_name).string())), option, " ", path,
               ": is a file of a run, which would be lost; choose another name");
}

std::string beside_data(const std::string& path, const std::string& data) {
  if (!lies_in(path, data)) return path;
  const std::vector<std::string> places = split_places(data);
  const auto holds = [&path](const std::string& place) { return lies_in(path, place); };
  std::error_code error;
  const fs::path beside = fs::canonical(*std::find_if(places.begin(), places.end(), holds), error).parent_path() / path;
  return error ? path : fs::relative(beside, error).string();
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  SIMCLR_CHECK(!error && fs::is_directory(path), "--out ", path, ": cannot make this folder",
               error ? ": " + error.message() : "");
}

std::string free_name(const std::string& path) {
  std::error_code error;
  if (!exists(path) || fs::is_directory(path, error)) return path;  // what writes there says that it is a folder
  const fs::path whole = path;
  const std::string stem = (whole.parent_path() / whole.stem()).string(), extension = whole.extension().string();
  for (int n = 2;; ++n) {
    std::string other = stem + "-" + std::to_string(n) + extension;
    if (!exists(other)) return other;
  }
}

RunFolder::RunFolder(const std::string& dir, const std::string& name, const std::string& data)
    : path_(dir.empty() ? make_new_folder(beside_data("runs/" + name + "-" + time_stamp(), data)) : dir) {
  make_folder(path_);
  const int flags = O_RDWR | O_APPEND | O_CLOEXEC;
  int log = open(file(log_name).c_str(), flags);
  if (log < 0 && errno == ENOENT) {
    log = open(file(log_name).c_str(), flags | O_CREAT | O_EXCL, 0666);
    made_log_ = log >= 0;
    if (log < 0 && errno == EEXIST) log = open(file(log_name).c_str(), flags);  // of another process, just now
  }
  SIMCLR_CHECK(log >= 0, file(log_name), ": cannot be written (", error_text(), "); ", remedy_of(errno));
  if (flock(log, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(log);
    simclr::fail("--out ", path_, ": another process is writing this run; wait for it or choose another folder");
  }
  log_ = log;
  struct stat status {};
  if (fstat(log_, &status) == 0) log_bytes_ = status.st_size;
}

RunFolder::~RunFolder() {
  if (log_ < 0) return;
  if (made_log_ && log_bytes_ == 0) unlink(file(log_name).c_str());  // while it is locked
  close(log_);
}

bool RunFolder::has(const std::string& name) const {
  return exists(file(name));
}

std::vector<std::string> RunFolder::runs_files() const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(path_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (runs_name(name) || (name == log_name && log_bytes_ > 0)) found.push_back(name);
  }
  SIMCLR_CHECK(!error, path_, ": cannot be listed: ", error.message());
  return found;
}

void RunFolder::clear() {
  for (const std::string& name : runs_files()) {
    if (name == log_name) continue;
    std::error_code error;
    if (name == checkpoint_folder && fs::is_directory(file(name), error)) {
      simclr::nn::CheckpointFolder(file(name)).clear();
    } else {
      fs::remove(file(name), error);
      SIMCLR_CHECK(!error, file(name), ": cannot be removed: ", error.message());
    }
  }
  truncate_log(0);
}

void RunFolder::write_config(const nlohmann::ordered_json& config) const {
  const std::string text = config.dump(2) + "\n";
  std::ifstream there(file(config_name), std::ios::binary);
  std::ostringstream was;
  was << there.rdbuf();
  if (there.good() && was.str() == text) return;
  set_aside(config_name);
  simclr::write_file_atomically(file(config_name), text);
}

void RunFolder::set_aside(const std::string& name) const {
  if (!has(name)) return;
  const fs::path parts = name;
  rename_file(file(name), numbered(file(parts.stem().string()) + ".before-", parts.extension().string()));
}

void RunFolder::set_events_aside() const {
  for (const std::string& name : runs_files()) {
    if (is_event_file(name)) rename_file(file(name), numbered(file("events.before-"), ""));
  }
}

void RunFolder::open_events() {
  events_.emplace(path_, entries());
}

std::vector<LogEntry> RunFolder::entries() const {
  return read_run_log(file(log_name));
}

void RunFolder::log(nlohmann::ordered_json entry) {
  if (log_ < 0) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  entry["time"] = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) / 1e3;
  const std::string line = entry.dump() + "\n";
  const ssize_t written = ::write(log_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    const std::string why = written < 0 ? error_text() : "the disk is full";
    truncate_log(log_bytes_);  // no half line stays
    simclr::fail(file(log_name), ": cannot be written: ", why, "; make room, then go on with --resume");
  }
  log_bytes_ += written;
  if (events_) events_->append(entry);
  if (Host* const host = Host::current()) host->logged(line);
}

void RunFolder::flush_log() {
  if (log_ < 0) return;
  SIMCLR_CHECK(fsync(log_) == 0, file(log_name), ": flushing to disk failed: ", error_text());
}

bool RunFolder::cut_log(std::int64_t bytes) {
  std::ifstream in(file(log_name), std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  SIMCLR_CHECK(in.good() || in.eof(), file(log_name), ": cannot be read");
  const auto length = static_cast<std::size_t>(bytes);
  if (all.size() < length || (length > 0 && all[length - 1] != '\n')) {
    if (!all.empty() && all.back() != '\n') {  // the next line begins anew
      SIMCLR_CHECK(::write(log_, "\n", 1) == 1, file(log_name), ": cannot be written: ", error_text());
      ++log_bytes_;
    }
    return false;
  }
  if (all.size() == length) return true;
  simclr::write_file_atomically(numbered(file("log.cut-"), ".jsonl"), std::string_view(all).substr(length));
  truncate_log(bytes);
  return true;
}

void RunFolder::truncate_log(std::int64_t bytes) {
  SIMCLR_CHECK(ftruncate(log_, bytes) == 0, file(log_name), ": cannot be shortened: ", error_text());
  log_bytes_ = bytes;
}
