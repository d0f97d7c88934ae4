#include "pair_groups.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <array>
#include <cstddef>
#include <numeric>
#include <unordered_map>
#include <vector>

namespace simclr::data {
namespace {

/// Sets that grow together (union and find).
class Joined {
 public:
  explicit Joined(std::size_t count) : above_(count) { std::iota(above_.begin(), above_.end(), std::size_t{0}); }
  std::size_t find(std::size_t i) {
    while (above_[i] != i) i = above_[i] = above_[above_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) { above_[find(a)] = find(b); }

 private:
  std::vector<std::size_t> above_;
};

}  // namespace

void join_groups(PairList& list) {
  const std::size_t first = list.sides[0].halves.size();
  Joined joined(first + list.sides[1].halves.size());
  for (const auto& [a, b] : list.pairs) joined.join(static_cast<std::size_t>(a), first + static_cast<std::size_t>(b));
  std::unordered_map<std::size_t, std::int32_t> numbers;
  list.groups.clear();
  for (PairSide& side : list.sides) side.groups.assign(side.halves.size(), -1);
  for (const auto& [a, b] : list.pairs) {
    const auto number = static_cast<std::int32_t>(numbers.size());
    const std::int32_t group = numbers.emplace(joined.find(static_cast<std::size_t>(a)), number).first->second;
    list.groups.push_back(group);
    list.sides[0].groups[static_cast<std::size_t>(a)] = list.sides[1].groups[static_cast<std::size_t>(b)] = group;
  }
}

PairList selected_pairs(const PairList& list, const std::vector<std::int64_t>& which) {
  PairList some{.dir = list.dir,
                .source = list.source,
                .columns = list.columns,
                .shards = list.shards,
                .classes = list.classes,
                .parts = list.parts};
  std::array<std::unordered_map<std::int32_t, std::int32_t>, 2> numbers;
  for (std::size_t s = 0; s < 2; ++s) {
    some.sides[s].column = list.sides[s].column;
    some.sides[s].texts = list.sides[s].texts;
  }
  for (const std::int64_t i : which) {
    SIMCLR_CHECK(i >= 0 && i < list.size(), "pairs: pair ", i, " of ", list.size());
    const auto at = static_cast<std::size_t>(i);
    std::array<std::int32_t, 2> pair = {};
    for (std::size_t s = 0; s < 2; ++s) {
      const PairSide& from = list.sides[s];
      const std::int32_t half = list.pairs[at][s];
      const auto [found, is_new] = numbers[s].emplace(half, static_cast<std::int32_t>(numbers[s].size()));
      if (is_new) {
        some.sides[s].halves.push_back(from.halves[static_cast<std::size_t>(half)]);
        if (!from.members.empty()) some.sides[s].members.push_back(from.members[static_cast<std::size_t>(half)]);
      }
      pair[s] = found->second;
    }
    some.pairs.push_back(pair);
    some.labels.push_back(list.labels[at]);
    if (!list.part_of.empty()) some.part_of.push_back(list.part_of[at]);
  }
  join_groups(some);
  return some;
}

std::array<PairList, 2> split_pairs(const PairList& list, std::int64_t nth) {
  SIMCLR_CHECK(nth >= 2, "split_pairs: every ", nth, "th; at least every second is needed");
  std::vector<std::int64_t> sizes;  // of each group
  for (const std::int32_t group : list.groups) {
    if (group >= std::ssize(sizes)) sizes.resize(static_cast<std::size_t>(group) + 1);
    ++sizes[static_cast<std::size_t>(group)];
  }
  const std::int64_t most = (list.size() + nth - 1) / nth;
  std::int64_t count = 0;  // of pairs that are kept
  std::vector<bool> kept(sizes.size());
  bool due = false;
  for (std::size_t g = 0; g < sizes.size(); ++g) {
    due = due || static_cast<std::int64_t>(g) % nth == nth / 2;
    if (!due || count + sizes[g] > most) continue;
    kept[g] = true;
    count += sizes[g];
    due = false;
  }
  std::array<std::vector<std::int64_t>, 2> which;  // left, kept
  for (std::int64_t i = 0; i < list.size(); ++i) {
    which[kept[static_cast<std::size_t>(list.groups[static_cast<std::size_t>(i)])] ? 1 : 0].push_back(i);
  }
  SIMCLR_CHECK(!which[0].empty() && !which[1].empty(), printable(list.source), ": ", counted(list.size(), "pair"),
               " in groups that share no half are too few to keep every ", nth, "th");
  std::array<PairList, 2> parts = {selected_pairs(list, which[0]), selected_pairs(list, which[1])};
  parts[0].left_out = list.left_out;
  return parts;
}

}  // namespace simclr::data
