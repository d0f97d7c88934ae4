#pragma once

#include "recipes/recipe.h"

#include <map>
#include <string>

/// Everything that a training program can be told.
struct TrainingOptions {
  std::string program = "train";  // what it is called, for messages
  Recipe recipe;

  std::string dataset = "auto";
  std::string data_dir;
  std::string started_in;          // as the configuration says it: run_data.h
  std::string data_found;          // where data_dir lies; empty: there
  std::string cache_found;         // the same of cache_dir
  int classes_at = 1;              // how many folders of a file's path name its class; 0: no classes
  std::int64_t classes = 0;        // of a method that takes labels: how many the data have; 0: it takes none
  std::int64_t limit = 0;          // train on so many samples, spread over the set; 0: all
  std::int64_t shuffle_block = 0;  // samples that are read close in time: data::LoaderOptions; 0: no blocks
  double cache_gb = -1;            // of decoded samples in memory; negative: half of what is free
  std::string cache_dir;           // where those that do not fit are kept in a temporary file; empty: nowhere

  std::string device = "auto";    // auto: the first GPU, else the CPU
  std::string dtype = "auto";     // f32, bf16 or auto: bf16 on a GPU
  std::string views_on = "auto";  // where samples are kept and views made: auto, host or device
  bool graph = true;              // capture a step and replay it, on a GPU
  bool wgmma = false;             // NT-Xent by the tiles for Hopper: nn::NtXentOptions
  std::int64_t micro_batch = 0;   // samples that the network computes at a time; 0: the whole batch

  std::uint64_t seed = 0;
  int threads = 0;         // of each rank; 0: one a processor. In config.json those of all ranks of a machine
  int workers = -1;        // threads that make views ahead of the step; -1: as workers_for() says
  int world_timeout = 60;  // seconds that a rank waits for the others
  int local_ranks = 1;     // on this machine

  bool profile = false;  // say where the time of the steps went
  bool check = false;    // see whether a run would work, and end
  std::string out;
  bool overwrite = false;
  bool resume = false;             // go on with the run in `out`
  double checkpoint_minutes = 10;  // between checkpoints; 0: one after each step
  int keep_checkpoints = 3;        // of the last; with hold_out the best one stays too

  double hold_out = 0;              // share of the labelled training samples to choose the best checkpoint on
  int knn_every = 5;                // epochs; 0: never
  std::int64_t knn_samples = 5000;  // training samples that the kNN during training compares with
  int knn_k = 200;
  double knn_temperature = 0.1;
  int probe_epochs = 100;
  bool evaluate = true;

  /// The paths of the data and of the folder for caches from the current folder.
  const std::string& data_path() const { return data_found.empty() ? data_dir : data_found; }
  const std::string& cache_path() const { return cache_found.empty() ? cache_dir : cache_found; }

  std::map<std::string, std::string> sources;  // where options were given: OptionTable::sources
};
