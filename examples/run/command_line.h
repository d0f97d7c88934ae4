#pragma once

#include <simclr/core/device.h>
#include <simclr/core/file.h>
#include <simclr/core/world.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <string>

/// What the programs' command lines have in common.

/// Reads the command line; on --help or --version prints and returns false. Throws simclr::Error, one line, where it
/// cannot be read.
bool parse(CLI::App& app, int argc, char** argv);

/// What one types to run it: "torchvision_weights import" for a subcommand.
std::string command_of(const CLI::App& app);

/// Throws simclr::Error where a word "--name" occurs twice. parse() asks; who looks at the words before asks first.
void refuse_repeated_options(int argc, char** argv);

/// Runs a program's work: an error is one line on stderr, opened by the program's name, and makes the exit code 1. So
/// does output that could not be written.
int run_program(const char* name, const std::function<void()>& work);

/// What a program computes on that uses a trained encoder.
struct ComputeOptions {
  std::string device = "auto";  // auto: the first GPU, else the CPU
  int threads = 0;              // 0: one a processor
  int workers = -1;             // threads that read samples ahead; -1: as workers_for() says
  std::int64_t batch_size = 64;
};

/// What becomes of a file that is there when the output is written: another process may have written it in between.
simclr::Existing existing_output(bool overwrite);

/// Throws simclr::Error where `path` exists and --overwrite was not given. To be asked before the work begins; an empty
/// path is no file.
void refuse_to_replace(const std::string& path, bool overwrite);
/// As refuse_to_replace(), and throws where `path` is a folder, or the one that it would lie in is missing or may not
/// be written to.
void check_output(const std::string& path, bool overwrite);

/// Applies --threads, opens --device, and settles how many workers there are. Throws simclr::Error where the device
/// cannot be used, and for impossible options.
simclr::Device open_device(ComputeOptions& options);

/// How many threads prepare batches ahead: `asked`; where it is negative none on a CPU, all of whose cores compute, and
/// as many as compute threads on a GPU, which leaves the host's cores idle.
int workers_for(simclr::Device device, int asked);

/// As `option` says: auto, cpu, cuda or cuda:N. Throws simclr::Error where it is none of them.
simclr::Device device_of(const std::string& option);

/// The same, of which something is to be computed; for a rank of several on GPUs its own. Where `auto` falls back to
/// the CPU, a line says why, opened by `doing`. Throws simclr::Error where the device cannot be used.
simclr::Device choose_device(const std::string& option, const char* doing,
                             const simclr::World& world = simclr::World());

/// `bytes` as text for JSON, which holds only UTF-8: a folder's name may be any bytes.
std::string utf8(const std::string& bytes);
