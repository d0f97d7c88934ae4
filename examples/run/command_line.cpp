#include "run/command_line.h"

#include "run/nearest_name.h"

#include <simclr/core/context.h>
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/runtime.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <system_error>

using simclr::Device;
using simclr::DeviceType;

namespace {

/// CLI11's own message has the words from the last to the first, and no suggestion.
[[noreturn]] void fail_unknown(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  std::string words, near;
  for (const std::string& word : app.remaining()) {
    words += " " + word;
    const std::size_t begin = word.find_first_not_of('-');
    if (!near.empty() || begin == 0 || begin == std::string::npos) continue;
    near = nearest_name(word.substr(begin, word.find('=') - begin), names);
  }
  std::replace(words.begin(), words.end(), '\n', ' ');
  simclr::fail("not expected:", words, near.empty() ? "" : " (did you mean --" + near + "?)", "; see ", app.get_name(),
               " --help");
}

}  // namespace

bool parse(CLI::App& app, int argc, char** argv) {
  app.set_version_flag("--version", SIMCLR_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    fail_unknown(app);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help and --version
      app.exit(e);
      return false;
    }
    std::string message = e.what();
    for (char& c : message) c = c == '\n' ? ' ' : c;
    simclr::fail(message, "; see ", app.get_name(), " --help");
  }
  return true;
}

int run_program(const char* name, const std::function<void()>& work) {
  try {
    work();
    return 0;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

CLI::Option* add_seed_option(CLI::App& app, std::uint64_t& seed, const std::string& help) {
  const auto check = [](const std::string& text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    SIMCLR_CHECK(error == std::errc() && stop == end && !text.empty(), "--seed ", simclr::printable(text),
                 ": must be a whole number from 0 to ", std::numeric_limits<std::uint64_t>::max());
    return std::string();
  };
  return app.add_option("--seed", seed, help)->check(CLI::Validator(check, ""));
}

void add_dataset_options(CLI::App& app, std::string& dataset, std::string& dir, int& classes_at,
                         const std::string& without_data) {
  const char* group = "Data";
  app.add_option(
         "--dataset", dataset,
         "auto, cifar10, cifar100, fashion-mnist, idx or folder. auto takes what is found in --data; without it " +
             without_data)
      ->group(group);
  app.add_option("--data", dir, "Where the data set lies. Unset: data-cache, where scripts/download puts it")
      ->group(group);
  app.add_option("--classes-at", classes_at,
                 "Of a folder: how many folders of a picture's path name its class; 0: no classes")
      ->group(group);
}

void add_overwrite_option(CLI::App& app, bool& overwrite) {
  app.add_flag("--overwrite", overwrite, "Replace what is there under the name of the output");
}

void refuse_to_replace(const std::string& path, bool overwrite) {
  std::error_code error;
  SIMCLR_CHECK(path.empty() || overwrite || !std::filesystem::exists(std::filesystem::symlink_status(path, error)),
               path, ": exists already and would be lost; choose another name, or add --overwrite");
}

void add_compute_options(CLI::App& app, ComputeOptions& o) {
  const char* group = "Computing";
  app.add_option("--device", o.device, "auto (a GPU where there is one), cpu, cuda or cuda:N")->group(group);
  app.add_option("--batch-size", o.batch_size, "Pictures that are computed together")->group(group);
  app.add_option("--threads", o.threads, "Compute threads; 0: one a processor")->group(group);
  app.add_option("--workers", o.workers,
                 "Threads that read pictures ahead; 0: read in between. -1: 0 on a CPU, as many as --threads on a GPU")
      ->group(group);
}

Device open_device(ComputeOptions& o) {
  SIMCLR_CHECK(o.batch_size >= 1 && o.batch_size <= 65536, "--batch-size ", o.batch_size, ": must be 1 to 65536");
  SIMCLR_CHECK(o.threads >= 0 && o.threads <= 1024, "--threads ", o.threads, ": must be 0 (one a processor) to 1024");
  SIMCLR_CHECK(o.workers >= -1 && o.workers <= 1024, "--workers ", o.workers,
               ": must be 0 to 1024, or -1 (0 on a CPU, as many as --threads on a GPU)");
  if (o.threads > 0) simclr::set_threads(o.threads);
  const Device device = choose_device(o.device, "computing");
  o.workers = workers_for(device, o.workers);
  return device;
}

int workers_for(Device device, int asked) {
  if (asked >= 0) return asked;
  return device.type == DeviceType::cpu ? 0 : std::min(simclr::threads(), 1024);
}

Device choose_device(const std::string& option, const char* doing) {
  if (option == "auto") {
    const Device device = simclr::default_device();
    if (device.type == DeviceType::cpu) {
      std::printf("%s on the CPU: %s\n", doing, simclr::device_problem(DeviceType::cuda).c_str());
    }
    return device;
  }
  const Device device = simclr::parse_device(option);
  simclr::Context::of(device);  // says what is wrong, before anything is read
  return device;
}

std::string utf8(const std::string& bytes) {
  const auto replace = nlohmann::json::error_handler_t::replace;
  return nlohmann::json::parse(nlohmann::json(bytes).dump(-1, ' ', false, replace)).get<std::string>();
}
