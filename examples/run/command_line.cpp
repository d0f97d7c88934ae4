#include "run/command_line.h"

#include "run/host.h"
#include "run/nearest_name.h"

#include <simclr/core/context.h>
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/runtime.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

using simclr::Device;
using simclr::DeviceType;

namespace {

/// CLI11's own message has the words from the last to the first, and no suggestion.
[[noreturn]] void fail_unknown(const CLI::App& program) {
  const CLI::App& app = program.get_subcommands().empty() ? program : *program.get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  std::string words, near;
  for (const std::string& word : program.remaining(true)) {
    words += " " + word;
    const std::size_t begin = word.find_first_not_of('-');
    if (!near.empty() || begin == 0 || begin == std::string::npos) continue;
    near = nearest_name(word.substr(begin, word.find('=') - begin), names);
  }
  std::replace(words.begin(), words.end(), '\n', ' ');
  simclr::fail("not expected:", words, near.empty() ? "" : " (did you mean --" + near + "?)", "; see ", command_of(app),
               " --help");
}

}  // namespace

std::string command_of(const CLI::App& app) {
  return (app.get_parent() ? command_of(*app.get_parent()) + " " : "") + app.get_name();
}

void refuse_repeated_options(int argc, char** argv) {
  std::set<std::string_view> seen;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i], name = word.substr(0, word.find('='));
    if (word == "--") return;  // what follows are no options
    if (!name.starts_with("--")) continue;
    SIMCLR_CHECK(seen.insert(name).second, simclr::printable(std::string(name)), ": given twice; ",
                 name == "--data" ? "several places are given as one, --data A::B" : "leave one of them out");
  }
}

bool parse(CLI::App& app, int argc, char** argv) {
  refuse_repeated_options(argc, argv);
  app.set_version_flag("--version", SIMCLR_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    fail_unknown(app);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help and --version
      std::ostringstream text;
      app.exit(e, text, text);
      print("%s", text.str().c_str());
      return false;
    }
    std::string message = e.what();
    for (char& c : message) c = c == '\n' ? ' ' : c;
    simclr::fail(message, "; see ", app.get_name(), " --help");
  }
  return true;
}

int run_program(const char* name, const std::function<void()>& work) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond `ulimit -f` fails as on a full disk
  try {
    work();
    errno = 0;
    const bool printed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    SIMCLR_CHECK(printed, "standard output could not be written",
                 errno != 0 ? ": " + std::generic_category().message(errno) : "", "; what was printed is not complete");
    return 0;
  } catch (const std::bad_alloc&) {
    std::fflush(stdout);
    std::fprintf(stderr,
                 "%s: out of memory: the system gave no more; close other programs, raise the limit that `ulimit -v` "
                 "shows, or compute less at a time (--batch-size)\n",
                 name);
    return 1;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

simclr::Existing existing_output(bool overwrite) {
  return overwrite ? simclr::Existing::replace : simclr::Existing::keep;
}

void refuse_to_replace(const std::string& path, bool overwrite) {
  std::error_code error;
  SIMCLR_CHECK(path.empty() || overwrite || !std::filesystem::exists(std::filesystem::symlink_status(path, error)),
               path, ": exists already and would be lost; choose another name, or add --overwrite");
}

void check_output(const std::string& path, bool overwrite) {
  if (path.empty()) return;
  std::error_code error;
  SIMCLR_CHECK(!std::filesystem::is_directory(path, error), path, ": is a folder; name a file, in it or elsewhere");
  refuse_to_replace(path, overwrite);
  const std::filesystem::path parent = std::filesystem::path(path).parent_path(),
                              folder = parent.empty() ? "." : parent;
  SIMCLR_CHECK(std::filesystem::is_directory(folder, error), path, ": there is no folder ", folder.string(),
               "; make the folder first");
  SIMCLR_CHECK(access(folder.c_str(), W_OK | X_OK) == 0, path, ": the folder ", folder.string(),
               " cannot be written to: ", std::generic_category().message(errno), "; choose another");
}

Device open_device(ComputeOptions& o) {
  if (o.threads > 0) simclr::set_threads(o.threads);
  const Device device = choose_device(o.device, "computing");
  o.workers = workers_for(device, o.workers);
  return device;
}

int workers_for(Device device, int asked) {
  if (asked >= 0) return asked;
  return device.type == DeviceType::cpu ? 0 : std::min(simclr::threads(), 1024);
}

Device device_of(const std::string& option) {
  if (option == "auto") return simclr::default_device();
  try {
    return simclr::parse_device(option);
  } catch (const simclr::Error& error) {  // which begins with "device: "
    simclr::fail("--", error.what());
  }
}

Device choose_device(const std::string& option, const char* doing, const simclr::World& world) {
  const Device device = device_of_rank(world, device_of(option));
  if (option == "auto") {
    if (device.type == DeviceType::cpu) {
      print("%s on the CPU: %s\n", doing, simclr::device_problem(DeviceType::cuda).c_str());
    }
    return device;
  }
  simclr::Context::of(device);  // says what is wrong, before anything is read
  return device;
}

std::string utf8(const std::string& bytes) {
  const auto replace = nlohmann::json::error_handler_t::replace;
  return nlohmann::json::parse(nlohmann::json(bytes).dump(-1, ' ', false, replace)).get<std::string>();
}
