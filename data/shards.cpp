#include "class_names.h"
#include "no_label.h"
#include "shard_index.h"
#include "shard_label.h"
#include "shard_warnings.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/text.h>
#include <simclr/data/shards.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::size_t most_paths = 1'000'000;

/// What stands between two braces: a range or a list.
std::vector<std::string> alternatives(const std::string& inner, const std::string& pattern) {
  std::vector<std::string> all;
  const std::size_t dots = inner.find("..");
  if (dots != std::string::npos) {
    const std::string first = inner.substr(0, dots), last = inner.substr(dots + 2);
    const auto from = whole_number(first), to = whole_number(last);
    SIMCLR_CHECK(from && to && *from >= 0 && *from <= *to && *to - *from < std::int64_t{most_paths}, printable(pattern),
                 ": {", printable(inner), "} is no range; write {000..127}, at most ", most_paths, " numbers");
    const auto padded = [](const std::string& number) { return number.size() > 1 && number.starts_with('0'); };
    const std::size_t width = padded(first) || padded(last) ? std::max(first.size(), last.size()) : 0;
    for (std::int64_t i = *from; i <= *to; ++i) {
      std::string number = std::to_string(i);
      if (number.size() < width) number.insert(0, width - number.size(), '0');
      all.push_back(std::move(number));
    }
    return all;
  }
  for (std::size_t begin = 0; begin <= inner.size();) {
    const std::size_t comma = std::min(inner.find(',', begin), inner.size());
    all.push_back(inner.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return all;
}

}  // namespace

bool reads_shards() {
  return can_index_shards();
}

bool are_indexed(const std::vector<std::string>& paths, const std::string& index_folder) {
  return !index_folder.empty() && std::all_of(paths.begin(), paths.end(), [&index_folder](const std::string& path) {
    try {
      return kept_shard_index(index_folder, OpenFile(path, "shards")).owner != nullptr;
    } catch (const Error&) {
      return false;  // no file
    }
  });
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  std::vector<std::string> paths = {""};
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t open = std::min(pattern.find('{', at), pattern.size());
    for (std::string& path : paths) path += pattern.substr(at, open - at);
    if (open == pattern.size()) break;
    const std::size_t close = pattern.find('}', open);
    SIMCLR_CHECK(close != std::string::npos, printable(pattern), ": a { is not closed; write {000..127} or {a,b}");
    SIMCLR_CHECK(pattern.find('{', open + 1) > close, printable(pattern),
                 ": braces within braces are not read; write {a,b} or {000..127} side by side");
    const auto choices = alternatives(pattern.substr(open + 1, close - open - 1), pattern);
    SIMCLR_CHECK(choices.size() * paths.size() <= most_paths, printable(pattern), ": more than ", most_paths, " paths");
    std::vector<std::string> longer;
    for (const std::string& path : paths) {
      for (const std::string& choice : choices) longer.push_back(path + choice);
    }
    paths = std::move(longer);
    at = close + 1;
  }
  return paths;
}

struct ShardsState {
  /// A file that opening found.
  struct Found {
    std::string problem;  // why it has no index
    std::string unkept;   // why its index is not kept
  };

  std::vector<std::string> paths;
  std::vector<Found> found;
  std::vector<ShardIndex> indices;
  std::vector<std::int64_t> begins;  // the first sample of each shard, and the number of all
  std::vector<std::int32_t> labels;
  std::vector<std::string> classes;

  // Of thousands of shards not all may stay open.
  static constexpr std::size_t most_open = 256;
  mutable std::mutex mutex;  // guards what follows
  mutable std::vector<std::shared_ptr<const OpenFile>> files;
  mutable std::deque<std::size_t> open;   // the longest first
  mutable std::vector<FileState> known;   // of each shard, when its index was last found to be right
  mutable std::vector<std::mutex> looks;  // one thread looks at a shard again, the others wait for what it finds

  void open_shard(std::size_t s, const std::string& index_folder);
  void report(const ShardOptions& options, const std::vector<std::string>& label_notes) const;
  /// Returns what was made of odd labels.
  std::vector<std::string> read_labels();
  /// The shard of a sample, and its number there.
  std::pair<std::size_t, std::size_t> place(std::int64_t i) const;
  const ShardIndex::Member& member(std::int64_t i, int m) const;
  std::shared_ptr<const OpenFile> file(std::size_t s) const;
  /// Whether a shard holds what it did, though somebody put it there once more or changed who may read it.
  bool is_known(std::size_t s, const OpenFile& shard) const;
};

void ShardsState::open_shard(std::size_t s, const std::string& index_folder) {
  try {
    const OpenFile shard(paths[s], "shards");
    known[s] = shard.state();
    ShardIndex& index = indices[s];
    if (!index_folder.empty()) index = kept_shard_index(index_folder, shard);
    if (index.owner) return;
    index = make_shard_index(shard);
    if (index_folder.empty()) return;
    try {
      keep_shard_index(index_folder, shard, index);
      ShardIndex kept = kept_shard_index(index_folder, shard);
      if (kept.owner) index = std::move(kept);  // whose memory the system may take back
    } catch (const Error& error) {
      found[s].unkept = error.what();
    }
  } catch (const Error& error) {
    found[s].problem = printable(error.what());
  }
}

void ShardsState::report(const ShardOptions& options, const std::vector<std::string>& label_notes) const {
  const auto warn = [&options](const std::string& line) {
    if (options.on_warning) {
      options.on_warning(line);
    } else {
      std::cerr << "warning: " + line + "\n";
    }
  };
  constexpr std::size_t most_told = 5;
  const bool any = begins.back() > 0;
  const std::string left_out = any ? " (shard left out)" : "";  // else the first of these is the error
  std::vector<std::string> problems;
  std::string unkept;
  for (std::size_t s = 0; s < paths.size(); ++s) {
    const ShardIndex& index = indices[s];
    if (!found[s].problem.empty()) problems.push_back(found[s].problem + left_out);
    if (index.problem != ShardIndex::none) {
      problems.push_back(
          printable(paths[s]) + ": " + printable(index.text(index.problem)) +
          (index.samples.empty() ? left_out : " (" + counted(std::ssize(index.samples), "sample") + " of it used)"));
    }
    if (unkept.empty()) unkept = found[s].unkept;
  }
  const std::size_t told = any ? 0 : 1;
  for (std::size_t i = told; i < std::min(problems.size(), most_told); ++i) warn(problems[i]);
  if (problems.size() > most_told)
    warn(counted(std::ssize(problems), "shard") + " of " + std::to_string(paths.size()) +
         " in all are missing or not whole");
  if (!unkept.empty()) warn("the index of the shards is made again each time: " + printable(unkept));
  for (const std::string& line : shard_warnings(paths, indices)) warn(line);
  const std::string where = printable(paths.front()) + (paths.size() > 1 ? " and others: " : ": ");
  for (const std::string& note : label_notes) warn(where + note);
  SIMCLR_CHECK(any, problems.empty() ? "shards: no sample in " + printable(paths.front()) : problems.front(),
               paths.size() > 1 ? "; none of the " + std::to_string(paths.size()) + " shards has a sample" : "");
}

std::vector<std::string> ShardsState::read_labels() {
  std::map<std::string, std::int64_t> texts;  // of the samples: a shard also has those that another member overrules
  for (const ShardIndex& index : indices) {
    std::map<std::uint32_t, std::int64_t> used;
    for (const ShardIndex::Sample& sample : index.samples) ++used[sample.label];
    for (const auto& [label, count] : used) {
      if (ShardIndex::is_label(label)) texts[index.text(index.labels[label])] += count;
    }
  }
  LabelClasses named = classes_of_labels(texts, "sample");
  classes = std::move(named.classes);
  labels.reserve(static_cast<std::size_t>(begins.back()));
  for (const ShardIndex& index : indices) {
    std::vector<std::int32_t> of_shard;
    for (const std::uint32_t label : index.labels) {
      const auto place = named.places.find(index.text(label));
      of_shard.push_back(place == named.places.end() ? -1 : place->second);
    }
    for (const ShardIndex::Sample& sample : index.samples) {
      labels.push_back(ShardIndex::is_label(sample.label) ? of_shard[sample.label] : -1);
    }
  }
  return std::move(named.notes);
}

std::pair<std::size_t, std::size_t> ShardsState::place(std::int64_t i) const {
  SIMCLR_CHECK(i >= 0 && i < begins.back(), "shards: sample ", i, " of ", begins.back());
  const auto shard = std::upper_bound(begins.begin(), begins.end(), i) - begins.begin() - 1;
  return {static_cast<std::size_t>(shard), static_cast<std::size_t>(i - begins[static_cast<std::size_t>(shard)])};
}

const ShardIndex::Member& ShardsState::member(std::int64_t i, int m) const {
  const auto [s, k] = place(i);
  const auto all = indices[s].members_of(k);
  SIMCLR_CHECK(m >= 0 && m < std::ssize(all), "shards: member ", m, " of ", all.size(), " of sample ", i);
  return all[static_cast<std::size_t>(m)];
}

bool ShardsState::is_known(std::size_t s, const OpenFile& shard) const {
  const FileState& now = shard.state();
  const auto before = [&] {
    const std::lock_guard lock(mutex);
    return known[s];
  };
  if (before() == now) return true;
  const std::lock_guard look(looks[s]);
  const FileState last = before();
  if (last == now) return true;  // another thread has looked
  if (now.bytes != last.bytes || now.modified != last.modified) return false;
  if (!finds_the_same(indices[s], make_shard_index(shard))) return false;
  const std::lock_guard lock(mutex);
  known[s] = now;
  return true;
}

std::shared_ptr<const OpenFile> ShardsState::file(std::size_t s) const {
  {
    const std::lock_guard lock(mutex);
    if (files[s]) return files[s];
  }
  auto opened = std::make_shared<const OpenFile>(paths[s], "shards");
  SIMCLR_CHECK(is_known(s, *opened), printable(paths[s]),
               ": the shard has changed since this program opened it; start it again");
  const std::lock_guard lock(mutex);
  if (files[s]) return files[s];  // another thread was faster
  if (open.size() == most_open) {
    files[open.front()].reset();  // closed once nobody reads it
    open.pop_front();
  }
  open.push_back(s);
  files[s] = opened;
  return opened;
}

Shards::Shards(std::vector<std::string> paths, const ShardOptions& options) {
  SIMCLR_CHECK(reads_shards(), "shards: this build reads no tar files; install libarchive-dev and build again");
  SIMCLR_CHECK(!paths.empty(), "shards: no paths are given");
  auto state = std::make_unique<ShardsState>();
  const std::size_t count = paths.size();
  state->paths = std::move(paths);
  state->found.resize(count);
  state->indices.resize(count);
  state->files.resize(count);
  state->known.resize(count);
  state->looks = std::vector<std::mutex>(count);
  parallel_for(static_cast<std::int64_t>(count), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) state->open_shard(static_cast<std::size_t>(s), options.index_folder);
  });
  state->begins = {0};
  for (const ShardIndex& index : state->indices) {
    state->begins.push_back(state->begins.back() + std::ssize(index.samples));
  }
  state->report(options, state->read_labels());
  state_ = std::move(state);
}

Shards::~Shards() = default;

std::int64_t Shards::size() const {
  return state_->begins.back();
}

std::string_view Shards::key(std::int64_t i) const {
  const auto [s, k] = state_->place(i);
  const ShardIndex& index = state_->indices[s];
  return index.text(index.samples[k].key);
}

int Shards::members(std::int64_t i) const {
  const auto [s, k] = state_->place(i);
  return static_cast<int>(state_->indices[s].members_of(k).size());
}

ShardMember Shards::member(std::int64_t i, int m) const {
  const ShardIndex::Member& member = state_->member(i, m);
  const ShardIndex& index = state_->indices[state_->place(i).first];
  return {.ending = index.text(index.endings[member.ending]),
          .offset = static_cast<std::int64_t>(member.offset),
          .bytes = member.bytes};
}

std::string Shards::name(std::int64_t i, int m) const {
  const auto [s, k] = state_->place(i);
  state_->member(i, m);  // throws where there is none
  return printable(state_->paths[s] + ": " + member_name(state_->indices[s], k, static_cast<std::size_t>(m)));
}

std::vector<std::uint8_t> Shards::read(std::int64_t i, int m) const {
  return begin_of(i, m, ShardIndex::most_member_bytes);
}

std::vector<std::uint8_t> Shards::begin_of(std::int64_t i, int m, std::int64_t most) const {
  const ShardIndex::Member& member = state_->member(i, m);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min<std::int64_t>(member.bytes, most)));
  const std::shared_ptr<const OpenFile> file = state_->file(state_->place(i).first);
  const std::string problem = file->read(static_cast<std::int64_t>(member.offset), bytes);
  SIMCLR_CHECK(!file->changed(), name(i, m), ": the shard has changed since this program opened it; start it again");
  SIMCLR_CHECK(problem.empty(), name(i, m), ": cannot be read: ", problem);
  return bytes;
}

std::vector<std::uint64_t> Shards::digests() const {
  std::vector<std::uint64_t> digests;
  for (const ShardIndex& index : state_->indices) {
    Crc64 digest;
    for (std::size_t i = 0; i < index.samples.size(); ++i) {
      const std::string_view key = index.text(index.samples[i].key);
      digest.update(key.data(), key.size() + 1);
      for (const ShardIndex::Member& member : index.members_of(i)) {
        const std::string_view ending = index.text(index.endings[member.ending]);
        if (says_label(ending)) continue;
        digest.update(ending.data(), ending.size() + 1);
        digest.update(&member.bytes, sizeof member.bytes);
      }
    }
    digests.push_back(digest.value());
  }
  return digests;
}

std::int32_t Shards::label(std::int64_t i) const {
  SIMCLR_CHECK(i >= 0 && i < size(), "shards: sample ", i, " of ", size());
  return state_->labels[static_cast<std::size_t>(i)];
}

bool Shards::has_unreadable_label(std::int64_t i) const {
  const auto [s, k] = state_->place(i);
  return state_->indices[s].samples[k].label == ShardIndex::unreadable;
}

const std::vector<std::string>& Shards::classes() const {
  return state_->classes;
}

std::string Shards::describe() const {
  std::int64_t used = 0;
  std::string first;
  std::vector<std::string> folders;
  for (std::size_t s = 0; s < state_->paths.size(); ++s) {
    if (state_->indices[s].samples.empty()) continue;
    if (used++ == 0) first = state_->paths[s];
    std::string folder = std::filesystem::path(state_->paths[s]).parent_path().string();
    if (folder.empty()) folder = ".";
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
  }
  return used == 1 ? "the shard " + first : counted(used, "shard") + " in " + listed(folders, 3);
}

}  // namespace simclr::data
