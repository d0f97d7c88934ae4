#include "train/datasets.h"

#include <simclr/core/error.h>
#include <simclr/data/free_memory.h>

#include <cstdio>
#include <limits>

namespace data = simclr::data;

void Datasets::add_note(const std::string& line) {
  if (!line.empty()) note += (note.empty() ? "" : "\n") + line;
}

double cache_bytes(double cache_gb, const std::string& cache_dir) {
  if (!cache_dir.empty()) return std::numeric_limits<double>::infinity();
  return cache_gb < 0 ? static_cast<double>(data::free_memory()) / 2 : cache_gb * 1e9;
}

void cache_decoded(Datasets& sets, double cache_gb, const std::string& cache_dir) {
  if (!sets.decoded) return;
  const double memory = cache_bytes(cache_gb, "");
  const bool apart = sets.labelled != sets.train;
  std::vector<std::shared_ptr<const data::Dataset>*> parts;
  double samples = 0;
  for (auto* set : {&sets.train, &sets.test, &sets.held_out, apart ? &sets.labelled : nullptr}) {
    if (!set || !*set) continue;
    parts.push_back(set);
    samples += static_cast<double>((*set)->size());
  }
  decltype(sets.caches) caches;
  for (const auto* set : parts) {
    const double share = memory * static_cast<double>((*set)->size()) / samples;
    caches.push_back(std::make_shared<data::DecodedCache>(
        *set, data::DecodedCacheOptions{.memory_bytes = static_cast<std::int64_t>(share), .spill_folder = cache_dir}));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) *parts[i] = caches[i];  // once all are there
  sets.caches = std::move(caches);
  if (!apart) sets.labelled = sets.train;
}

void share_caches(Datasets& sets, simclr::World& world) {
  for (const auto& cache : sets.caches) cache->share(world);
}

void cache_where_run_did(Datasets& sets, const std::string& cache_dir) {
  try {
    cache_decoded(sets, -1, cache_dir);
  } catch (const simclr::Error& error) {
    sets.add_note(std::string(error.what()) + "; decoded " + sets.sample_name + "s are kept in memory alone");
    cache_decoded(sets, -1, "");
  }
}

std::string cache_line(const Datasets& sets) {
  data::DecodedCache::State sum;
  for (const auto& cache : sets.caches) {
    const data::DecodedCache::State state = cache->state();
    sum.in_memory += state.in_memory;
    sum.memory_bytes += state.memory_bytes;
    sum.in_file += state.in_file;
    sum.file_bytes += state.file_bytes;
    sum.full = sum.full || state.full;
    if (sum.file_problem.empty()) sum.file_problem = state.file_problem;
    if (sum.not_shared.empty()) sum.not_shared = state.not_shared;
    sum.ranks = state.ranks;
  }
  if (sum.in_memory + sum.in_file == 0) return "";
  const auto part = [](std::int64_t count, std::int64_t bytes, const char* where) {
    const double unit = bytes >= 1'000'000'000 ? 1e9 : bytes >= 1'000'000 ? 1e6 : 1e3;
    char text[96];
    std::snprintf(text, sizeof text, "%lld in %s (%.1f %s)", static_cast<long long>(count), where,
                  static_cast<double>(bytes) / unit,
                  unit == 1e9   ? "GB"
                  : unit == 1e6 ? "MB"
                                : "kB");
    return std::string(text);
  };
  std::string line = "decoded " + sets.sample_name + "s are kept: " + part(sum.in_memory, sum.memory_bytes, "memory");
  if (sum.in_file > 0) line += ", " + part(sum.in_file, sum.file_bytes, "a temporary file");
  if (sum.ranks > 1) line += ", once for the " + std::to_string(sum.ranks) + " processes of this host";
  if (!sum.not_shared.empty()) line += ", by this process for itself, as by each: " + sum.not_shared;
  if (!sum.file_problem.empty()) line += "; the file takes no more: " + sum.file_problem;
  if (sum.full) line += "; the others are decoded in every epoch, --cache-gb and --cache-dir keep more";
  return line;
}
