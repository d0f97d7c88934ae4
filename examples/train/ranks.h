#pragma once

#include "train/training.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// What the processes of a run (simclr/core/world.h) do together: each holds a part of every batch, all decide alike,
/// and rank 0 alone measures, prints and writes. All ranks call these, in one order; a run of one process has nothing
/// to wait for.

/// How long ranks wait for what takes no known time: opening a data set, rank 0's evaluation or report.
inline constexpr std::chrono::milliseconds patience = std::chrono::hours(24);

/// What a command line says of the ranks.
struct Start {
  std::string device = "cpu";  // as device_of() reads it
  std::chrono::seconds timeout{60};
};

/// The whole of a program that may be several ranks: as run_program(), but what all have met, a command line that
/// cannot be read say, is printed once. `parse` reads the command line; nothing: there is no more to do, as behind
/// --help. `work` returns the exit code. All ranks but the first print what goes wrong with their own part, and no
/// more.
int run_ranks(const char* name, const std::function<std::optional<Start>()>& parse,
              const std::function<int(const std::shared_ptr<simclr::World>&)>& work);

/// The greatest of what the ranks have.
double greatest_of_ranks(simclr::World& world, double own);
int greatest_of_ranks(simclr::World& world, int own);

/// How many numbers the ranks have, those of several counted once.
std::int64_t count_of_ranks(simclr::World& world, const std::vector<std::int64_t>& own);

/// Sets the compute threads of a rank: `asked`, or where that is 0 its part of the processors that the ranks of its
/// machine may run on. Tells rank 0's `on_warning` where all ranks' threads are more.
void set_threads_of_rank(simclr::World& world, int asked, const std::function<void(const std::string&)>& on_warning);

/// Throws CommonError unless the ranks are of one version, configuration and data set.
void require_same_run(const Training& training);

/// Calls `work` on all ranks, which share it and may take any time for their parts.
void on_all_ranks(const Training& training, const std::function<void()>& work);

/// Calls `work` on rank 0 alone, while the others wait. Throws Stopped on all ranks where `work` does. Any other
/// exception ends the run: ranks that wait are ended by their engine.
void on_first_rank(const Training& training, const std::function<void()>& work,
                   std::chrono::milliseconds limit = patience);

/// The limit for what saves a checkpoint.
std::chrono::milliseconds saving_limit(const Training& training);
