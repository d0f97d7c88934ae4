#include "modalities/pair_parts.h"

#include "modalities/field_parts.h"
#include "modalities/picture_shards.h"
#include "run/command_line.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pairs/pair_shards.h>
#include <simclr/data/pictures/part_names.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

enum class Use : std::size_t { train, test, gallery, none };

/// What each text of the column of parts is for. Of several test parts the likeliest is taken.
std::vector<Use> uses_of(const std::vector<std::string>& parts) {
  std::vector<Use> uses;
  std::size_t best = std::numeric_limits<std::size_t>::max(), test = parts.size();
  for (const std::string& part : parts) {
    const data::PartName name = data::part_name(part);
    const std::string lower = simclr::lower_case(part);
    const bool gallery = lower == "gallery" || lower == "candidates";
    uses.push_back(gallery ? Use::gallery : is_trained_on(part) ? Use::train : Use::none);
    if (name.role != data::PartRole::test || gallery || name.place >= best) continue;
    best = name.place;
    test = uses.size() - 1;
  }
  if (test < uses.size()) uses[test] = Use::test;
  return uses;
}

/// `all`: "12 pairs".
std::string trained_on_too(std::int64_t both, const std::string& all) {
  return std::to_string(both) + " of the " + all + " of the test part " + (both == 1 ? "is" : "are") +
         " trained on, too";
}

/// Says what a list has in its test part and trains on, too. Halves and pairs are numbers of the whole list.
void tell_shared(const data::PairList& list, const std::vector<std::int64_t>& train,
                 const std::vector<std::int64_t>& test, PairParts& parts) {
  std::set<std::array<std::int32_t, 2>> pairs;
  std::array<std::set<std::int32_t>, 2> trained, shared;
  for (const std::int64_t i : train) {
    const auto& pair = *pairs.insert(list.pairs[static_cast<std::size_t>(i)]).first;
    for (std::size_t s = 0; s < 2; ++s) trained[s].insert(pair[s]);
  }
  std::int64_t whole = 0;
  for (const std::int64_t i : test) {
    const auto& pair = list.pairs[static_cast<std::size_t>(i)];
    whole += pairs.contains(pair) ? 1 : 0;
    for (std::size_t s = 0; s < 2; ++s) {
      if (trained[s].contains(pair[s])) shared[s].insert(pair[s]);
    }
  }
  for (std::size_t s = 0; s < 2; ++s) {
    if (shared[s].empty()) continue;
    const std::int64_t all = std::ssize(parts.test.sides[s].halves);
    parts.notes.push_back(
        list.sides[s].column + ": " +
        trained_on_too(std::ssize(shared[s]), std::to_string(all) + (all == 1 ? " half" : " halves")));
  }
  if (whole == 0) return;
  parts.warnings.push_back(simclr::printable(list.source) + ": " +
                           trained_on_too(whole, simclr::counted(parts.test.size(), "pair")) +
                           ": to find it shows nothing");
}

PairParts by_column(const data::PairList& list) {
  const std::vector<Use> uses = uses_of(list.parts);
  std::array<std::vector<std::int64_t>, 4> which;
  std::vector<std::int64_t> unused(list.parts.size() + 1);  // the last: without a part
  for (std::int64_t i = 0; i < list.size(); ++i) {
    const std::int32_t part = list.part_of[static_cast<std::size_t>(i)];
    const Use use = part < 0 ? Use::none : uses[static_cast<std::size_t>(part)];
    which[static_cast<std::size_t>(use)].push_back(i);
    if (use == Use::none) ++unused[part < 0 ? list.parts.size() : static_cast<std::size_t>(part)];
  }
  const auto rows = [&](Use use) -> std::vector<std::int64_t>& { return which[static_cast<std::size_t>(use)]; };
  PairParts parts{
      data::selected_pairs(list, rows(Use::train)), data::selected_pairs(list, rows(Use::test)), {}, "", {}};
  std::vector<std::int64_t> candidates = rows(Use::test);
  candidates.insert(candidates.end(), rows(Use::gallery).begin(), rows(Use::gallery).end());
  parts.candidates = data::selected_pairs(list, candidates);
  SIMCLR_CHECK(parts.train.size() > 0, simclr::printable(list.source),
               ": none of its parts is to be trained on; they are called ", simclr::listed(list.parts, 6),
               ", and one must be called train");
  parts.train.left_out = list.left_out;
  for (std::size_t p = 0; p < unused.size(); ++p) {
    if (unused[p] == 0) continue;
    parts.notes.push_back(
        "not used: " + simclr::counted(unused[p], "pair") +
        (p < list.parts.size() ? " of the part " + simclr::printable(list.parts[p]) : " without a part"));
  }
  if (parts.test.size() == 0) parts.no_test = "no pair of a part that is called test";
  tell_shared(list, rows(Use::train), rows(Use::test), parts);
  return parts;
}

PairParts by_groups(const data::PairList& list, const std::string& how) {
  constexpr std::int64_t fifth = 5;
  const std::int32_t groups = 1 + *std::max_element(list.groups.begin(), list.groups.end());
  if (groups < 2 * fifth) {
    return {list,
            data::selected_pairs(list, {}),
            data::selected_pairs(list, {}),
            "too few pairs that share no half to keep some back",
            {"all pairs are trained on: they are too few that share no half to keep some back for an evaluation"}};
  }
  std::array<data::PairList, 2> two = data::split_pairs(list, fifth);
  PairParts parts{std::move(two[0]), two[1], std::move(two[1]), "", {}};
  const bool far = 2 * fifth * parts.test.size() < list.size();
  const std::string kept =
      far ? std::to_string(parts.test.size()) + " of " + simclr::counted(list.size(), "pair") +
                " are kept for the evaluation, and not every fifth: " + std::to_string(largest_group(list.groups)) +
                " hang together by halves that they share"
          : "every fifth pair is kept for the evaluation, with all that share a half with it: " +
                simclr::counted(parts.test.size(), "pair");
  parts.notes.push_back(kept + " (to choose them, " + how + ")");
  return parts;
}

/// Opens shards, and adds what they hold to sets.within, by their paths from `first`'s folder. `training`: they hold
/// nothing else.
data::PairList open_part(const std::vector<std::string>& paths, const std::string& first, bool training,
                         const PairSource& source, const data::IsHalf& is_half, Datasets& sets) {
  const auto warn = [&sets](const std::string& line) { sets.warnings.push_back(line); };
  const std::shared_ptr<const data::Shards> shards = open_tar_files(paths, source.cache_dir, warn);
  const fs::path folder = fs::path(first).parent_path();
  const std::vector<std::uint64_t> digests = shards->digests();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string name = utf8(fs::path(paths[i]).lexically_proximate(folder).string());
    sets.within[name] = simclr::hex(digests[i]);
    if (training) sets.within_training.insert(name);
  }
  data::PairList list = data::read_pair_shards(shards, source.columns, is_half);
  sets.warnings.insert(sets.warnings.end(), list.warnings.begin(), list.warnings.end());
  return list;
}

/// The files that a list names.
data::PathList named_by(const data::PairList& list) {
  data::PathList files;
  for (const data::PairSide& side : list.sides) {
    for (std::size_t i = 0; !side.texts && i < side.halves.size(); ++i) files.push_back(side.halves[i]);
  }
  return files;
}

/// Of the pairs of all parts, with their labels, in order: a list may change and keep its size.
std::string digest_of(const PairParts& parts) {
  simclr::Crc64 digest;
  const auto add_texts = [&digest](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) digest.update(text.c_str(), text.size() + 1);
  };
  for (const data::PairList* part : {&parts.train, &parts.test, &parts.candidates}) {
    const std::int64_t size = part->size();
    digest.update(&size, sizeof size);
    for (const data::PairSide& side : part->sides) add_texts(side.halves);
    digest.update(part->pairs.data(), part->pairs.size() * sizeof part->pairs[0]);
    digest.update(part->labels.data(), part->labels.size() * sizeof part->labels[0]);
    add_texts(part->classes);
  }
  return simclr::hex(digest.value());
}

/// Gives both the classes of `train`, then those of `test` alone: shards have numbers of their own.
void share_classes(data::PairList& train, data::PairList& test) {
  std::map<std::string, std::int32_t> numbers;
  for (const std::string& name : train.classes) numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
  for (const std::string& name : test.classes) {
    if (numbers.emplace(name, static_cast<std::int32_t>(numbers.size())).second) train.classes.push_back(name);
  }
  for (std::int32_t& label : test.labels) {
    if (label >= 0) label = numbers.at(test.classes[static_cast<std::size_t>(label)]);
  }
  test.classes = train.classes;
}

/// Says which shards beside those that are trained on and tested on there are.
void tell_unused(const ShardParts& found, PairParts& parts) {
  for (std::size_t i = 1; i < found.test.size(); ++i) parts.notes.push_back("not used: " + found.test[i].name);
  for (std::size_t i = 1; i < found.unlabelled.size(); ++i) {
    parts.notes.push_back("not used: " + found.unlabelled[i].name);
  }
  if (!found.repeated.empty()) {
    parts.notes.push_back("not used: " + simclr::listed(found.repeated, 3) + " (named before)");
  }
  if (!found.others.empty()) {
    parts.notes.push_back("not used: " + simclr::listed(found.others, 3) + " (" +
                          simclr::counted(std::ssize(found.others), "shard") + " that --data does not name)");
  }
}

PairParts open_shard_pairs(PairSource source, const data::IsHalf& is_half, Datasets& sets) {
  const ShardParts found = find_shard_parts(source.data);
  const std::string& first = found.train.front();
  std::vector<std::string> trained_on = found.train;
  std::string note = "train: " + simclr::printable(source.data);
  if (!found.unlabelled.empty()) {
    const ShardParts::Part& more = found.unlabelled.front();
    trained_on.insert(trained_on.end(), more.paths.begin(), more.paths.end());
    note += " and " + more.name;
  }
  data::PairList train = open_part(trained_on, first, !found.test.empty(), source, is_half, sets);
  PairParts parts;
  if (found.test.empty()) {
    parts = parts_of_pairs(train, "name shards train-... and test-...");
    if (!found.unlabelled.empty()) parts.notes.push_back(note);
  } else {
    source.columns = train.sides[0].column + "," + train.sides[1].column;
    parts.train = std::move(train);
    parts.test = open_part(found.test.front().paths, first, false, source, is_half, sets);
    share_classes(parts.train, parts.test);
    parts.candidates = parts.test;
    parts.notes.push_back(note + "; test: " + found.test.front().name);
  }
  tell_unused(found, parts);
  return parts;
}

PairParts open_listed_pairs(const PairSource& source, const data::IsHalf& is_half, Datasets& sets,
                            data::PathList& files) {
  const data::PairList list = data::read_pair_list(source.data, source.columns, is_half, source.values, source.kinds);
  sets.warnings.insert(sets.warnings.end(), list.warnings.begin(), list.warnings.end());
  files.push_back(fs::path(source.data).filename().string());
  for (const std::string& file : named_by(list)) files.push_back(file);
  PairParts parts = parts_of_pairs(list);
  sets.within["the list"] = digest_of(parts);
  return parts;
}

/// Which classes have a pair in a list.
std::vector<bool> classes_in(const data::PairList& list) {
  std::vector<bool> there(list.classes.size());
  for (const std::int32_t label : list.labels) {
    if (label >= 0) there[static_cast<std::size_t>(label)] = true;
  }
  return there;
}

/// A note of the classes that only one of the parts has, whose number `lacks` does not.
void tell_lacking(const std::vector<bool>& has, const std::vector<bool>& lacks, const char* part, PairParts& parts) {
  constexpr std::size_t most_named = 5;
  std::vector<std::string> names;
  for (std::size_t c = 0; c < has.size(); ++c) {
    if (has[c] && !lacks[c]) names.push_back(parts.train.classes[c]);
  }
  if (names.empty()) return;
  parts.notes.push_back(std::string("classes that the ") + part + " part lacks: " + simclr::listed(names, most_named));
}

/// Takes the labels of test pairs away whose class is not trained on, and all where kNN and probe have nothing to learn
/// or to tell then: the pairs are asked for without. The candidates keep theirs, for which there may be prompts.
void settle_classes(PairParts& parts) {
  if (parts.train.classes.size() < 2 || parts.test.size() == 0) return;
  const std::vector<bool> trained = classes_in(parts.train), tested = classes_in(parts.test);
  std::int64_t known = 0;
  for (std::int32_t& label : parts.test.labels) {
    if (label >= 0 && !trained[static_cast<std::size_t>(label)]) label = -1;
    known += label >= 0 ? 1 : 0;
  }
  const std::int64_t count = std::count(trained.begin(), trained.end(), true);
  if (count < 2 || known == 0) {
    parts.no_classes =
        "no kNN and no linear probe: " + (count < 2 ? "the train part has " + simclr::counted(count, "class", "es")
                                                    : "no test pair has a class of the train part");
    parts.notes.push_back(parts.no_classes);
    for (data::PairList* part : {&parts.train, &parts.test}) {
      part->classes.clear();
      std::fill(part->labels.begin(), part->labels.end(), -1);
    }
    return;
  }
  tell_lacking(tested, trained, "train", parts);
  tell_lacking(trained, tested, "test", parts);
  if (known == parts.test.size()) return;
  parts.notes.push_back("kNN and the linear probe leave out " + std::to_string(parts.test.size() - known) + " of the " +
                        simclr::counted(parts.test.size(), "test pair") + ", which have no class of the train part");
}

}  // namespace

std::int64_t largest_group(const std::vector<std::int32_t>& groups) {
  std::map<std::int32_t, std::int64_t> sizes;
  for (const std::int32_t group : groups) ++sizes[group];
  std::int64_t largest = 0;
  for (const auto& [group, size] : sizes) largest = std::max(largest, size);
  return largest;
}

PairParts parts_of_pairs(const data::PairList& list, const std::string& how) {
  return list.part_of.empty() ? by_groups(list, how) : by_column(list);
}

data::PathList files_of_pairs(const PairSource& source, const data::IsHalf& is_half) {
  if (names_shards(source.data)) return {};
  return named_by(data::read_pair_list(source.data, source.columns, is_half, source.values, source.kinds));
}

PairParts open_pairs(const PairSource& source, const data::IsHalf& is_half, Datasets& sets, data::PathList& files) {
  files = {};
  PairParts parts = names_shards(source.data) ? open_shard_pairs(source, is_half, sets)
                                              : open_listed_pairs(source, is_half, sets, files);
  sets.warnings.insert(sets.warnings.end(), parts.warnings.begin(), parts.warnings.end());
  settle_classes(parts);
  return parts;
}
