#pragma once

#include "train/training.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// What the processes of a run (simclr/core/world.h) do together: each holds a part of every batch, all decide alike,
/// and rank 0 alone measures, prints and writes. All ranks call these, in one order; a run of one process has nothing
/// to wait for.

/// How long ranks wait for what takes no known time: opening a data set, rank 0's evaluation or report.
inline constexpr std::chrono::milliseconds patience = std::chrono::hours(24);

/// The greatest of what the ranks have.
int greatest_of_ranks(simclr::World& world, int own);

/// How many numbers the ranks have, those of several counted once.
std::int64_t count_of_ranks(simclr::World& world, const std::vector<std::int64_t>& own);

/// Sets the compute threads of a rank: `asked`, or where that is 0 its part of the processors that the ranks of its
/// machine may run on. Tells rank 0's `on_warning` where all ranks' threads are more.
void set_threads_of_rank(simclr::World& world, int asked, const std::function<void(const std::string&)>& on_warning);

/// Throws simclr::Error on all ranks unless they are of one version, configuration and data set.
void require_same_run(const Training& training);

/// Calls `work` on rank 0 alone, while the others wait. Throws Stopped on all ranks where `work` does. Any other
/// exception ends the run: ranks that wait are ended by their engine.
void on_first_rank(const Training& training, const std::function<void()>& work,
                   std::chrono::milliseconds limit = patience);

/// The limit for what saves a checkpoint.
std::chrono::milliseconds saving_limit(const Training& training);
