#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pairs/pair_shards.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

namespace simclr::data {
namespace {

constexpr std::int64_t most_looked_at = 100;  // samples, by which the endings are told
constexpr std::int64_t most_named = 3;        // samples that are left out

using Endings = std::array<std::string, 2>;

Endings asked_endings(const std::string& columns) {
  const std::size_t comma = columns.find(',');
  SIMCLR_CHECK(comma != std::string::npos && columns.find(',', comma + 1) == std::string::npos, "--columns ",
               printable(columns), ": of shards two endings with a comma between them, jpg,wav");
  Endings endings = {lower_case(columns.substr(0, comma)), lower_case(columns.substr(comma + 1))};
  SIMCLR_CHECK(endings[0] != endings[1], "--columns ", printable(columns),
               ": is one ending twice; a pair has two halves");
  return endings;
}

Endings found_endings(const Shards& shards, const IsHalf& is_half) {
  std::vector<std::string> seen, halves;
  for (std::int64_t i = 0; i < std::min(most_looked_at, shards.size()); ++i) {
    for (int m = 0; m < shards.members(i); ++m) {
      const std::string ending(shards.member(i, m).ending);
      if (std::find(seen.begin(), seen.end(), ending) != seen.end()) continue;
      seen.push_back(ending);
      if (is_half("half." + ending)) halves.push_back(ending);
    }
  }
  SIMCLR_CHECK(halves.size() >= 2, shards.describe(), ": of the members' endings ", listed(seen, 8),
               halves.empty() ? " none is" : " only one is",
               " of a kind that is read; a pair has two: say by --columns which");
  return {halves[0], halves[1]};
}

/// The member of sample `i` with this ending; -1: none.
int member_with(const Shards& shards, std::int64_t i, const std::string& ending) {
  for (int m = 0; m < shards.members(i); ++m) {
    if (shards.member(i, m).ending == ending) return m;
  }
  return -1;
}

}  // namespace

PairList read_pair_shards(std::shared_ptr<const Shards> shards, const std::string& columns, const IsHalf& is_half) {
  const Endings endings = columns.empty() ? found_endings(*shards, is_half) : asked_endings(columns);
  PairList list{.source = shards->describe(),
                .columns = endings[0] + "," + endings[1],
                .shards = shards,
                .classes = shards->classes()};
  std::map<std::string, std::int64_t> without;
  std::int64_t left_out = 0;
  for (std::int64_t i = 0; i < shards->size(); ++i) {
    std::array<PairMember, 2> halves;
    std::string missing;
    for (std::size_t s = 0; s < 2 && missing.empty(); ++s) {
      halves[s] = {i, member_with(*shards, i, endings[s])};
      if (halves[s].member < 0) missing = endings[s];
    }
    if (!missing.empty()) {
      ++without[missing];
      if (left_out++ >= most_named) continue;
      list.warnings.push_back(shards->name(i, 0) + ": there is no " + printable(missing) +
                              " of this name beside it (pair left out)");
      continue;
    }
    const auto number = static_cast<std::int32_t>(list.size());
    for (std::size_t s = 0; s < 2; ++s) {
      list.sides[s].halves.push_back(shards->name(i, halves[s].member));
      list.sides[s].members.push_back(halves[s]);
      list.sides[s].groups.push_back(number);
    }
    list.pairs.push_back({number, number});
    list.groups.push_back(number);
    list.labels.push_back(shards->label(i));
  }
  for (std::size_t s = 0; s < 2; ++s) list.sides[s].column = endings[s];
  for (const auto& [ending, count] : without) {
    list.left_out.push_back(counted(count, "pair") + " without a " + printable(ending));
  }
  if (left_out > most_named) {
    list.warnings.push_back(list.source + ": " + counted(left_out - most_named, "more pair") + " left out");
  }
  SIMCLR_CHECK(list.size() > 0, list.source, ": no sample has both a ", printable(endings[0]), " and a ",
               printable(endings[1]));
  return list;
}

}  // namespace simclr::data
