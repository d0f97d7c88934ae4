#pragma once

#include "run/progress.h"
#include "train/shared_work.h"
#include "train/training.h"

#include <chrono>
#include <cstdint>
#include <functional>

/// What the processes of a training (simclr/core/world.h) decide together: each holds a part of every batch and of what
/// is measured, and rank 0 alone prints and writes. All ranks call these, in one order; a run of one process has
/// nothing to wait for.

/// Throws CommonError unless the ranks have one configuration and data set.
void require_same_run(const Training& training);

/// What one rank has warned of none of the others says again: each may read the samples of another later.
void share_warnings(simclr::World& world, Progress& progress);

/// Throws simclr::Error where the ranks cannot share the batches of a run that goes on, which keep their size.
void check_number_of_ranks(const simclr::World& world, std::int64_t batch_size);

/// Calls `work` on all ranks, which share it and may take any time for their parts.
void on_all_ranks(const Training& training, const std::function<void()>& work);

/// Calls `work` on rank 0 alone, while the others wait. Throws Stopped on all ranks where `work` does. Any other
/// exception ends the run: once it has ended this process, the engine ends the ranks that wait.
void on_first_rank(const Training& training, const std::function<void()>& work,
                   std::chrono::milliseconds limit = patience);

/// Of the gradients that ranks add up at once, for nn::backward(). Beside the backward pass where a GPU can; on the CPU
/// the rank that sends does not compute meanwhile, and buckets gain nothing: there 0 (docs/performance.md).
std::int64_t bucket_bytes(simclr::Device device);

/// The limit for what saves a checkpoint.
std::chrono::milliseconds saving_limit(const Training& training);
