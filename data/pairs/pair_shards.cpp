#include "pair_groups.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pairs/pair_shards.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>
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

/// "txt" and "fr.txt".
bool is_of_texts(const std::string& ending) {
  return ("." + ending).ends_with(".txt");
}

/// The words of a member; its name where it cannot be read, which is said when it is asked for.
std::string words_of(const Shards& shards, const PairMember& at) {
  try {
    const std::vector<std::uint8_t> bytes = shards.read(at.sample, at.member);
    const std::string words(bytes.begin(), bytes.end());
    return std::string(trimmed(words));
  } catch (const Error&) {
    return shards.name(at.sample, at.member);
  }
}

class Reader {
 public:
  Reader(std::shared_ptr<const Shards> shards, const Endings& endings) : shards_(*shards), endings_(endings) {
    list_.source = shards->describe();
    list_.columns = endings[0] + "," + endings[1];
    list_.classes = shards->classes();
    list_.shards = std::move(shards);
    for (std::size_t s = 0; s < 2; ++s) list_.sides[s].column = endings[s];
  }

  PairList read() {
    for (std::int64_t i = 0; i < shards_.size(); ++i) take(i);
    for (const auto& [what, count] : left_out_) list_.left_out.push_back(counted(count, "pair") + " " + what);
    if (all_left_out_ > most_named) {
      list_.warnings.push_back(list_.source + ": " + counted(all_left_out_ - most_named, "more pair") + " left out");
    }
    SIMCLR_CHECK(list_.size() > 0, list_.source, ": no sample has both a ", printable(endings_[0]), " and a ",
                 printable(endings_[1]));
    join_groups(list_);
    return std::move(list_);
  }

 private:
  void take(std::int64_t i) {
    std::array<PairMember, 2> halves;
    std::array<std::string, 2> words;
    for (std::size_t s = 0; s < 2; ++s) {
      const std::string ending = printable(endings_[s]);
      halves[s] = {i, member_with(shards_, i, endings_[s])};
      if (halves[s].member < 0) {
        return leave_out("without a " + ending,
                         shards_.name(i, 0) + ": there is no " + ending + " of this name beside it");
      }
      if (!is_of_texts(endings_[s])) continue;
      words[s] = words_of(shards_, halves[s]);
      if (const std::string why = wrong_with_text(words[s]); !why.empty()) {
        return leave_out("whose " + ending + (words[s].empty() ? " is empty" : " cannot be read"),
                         shards_.name(i, halves[s].member) + ": " + why);
      }
    }
    auto& pair = list_.pairs.emplace_back();
    for (std::size_t s = 0; s < 2; ++s) {
      PairSide& side = list_.sides[s];
      pair[s] = static_cast<std::int32_t>(side.halves.size());
      if (is_of_texts(endings_[s])) {
        const auto [known, is_new] = texts_[s].emplace(words[s], pair[s]);
        pair[s] = known->second;
        if (!is_new) continue;
      }
      side.halves.push_back(shards_.name(i, halves[s].member));
      side.members.push_back(halves[s]);
    }
    list_.labels.push_back(shards_.label(i));
  }

  void leave_out(const std::string& what, const std::string& why) {
    ++left_out_[what];
    if (all_left_out_++ < most_named) list_.warnings.push_back(why + " (pair left out)");
  }

  const Shards& shards_;
  const Endings endings_;
  PairList list_;
  std::array<std::unordered_map<std::string, std::int32_t>, 2> texts_;  // of sides of texts, their numbers
  std::map<std::string, std::int64_t> left_out_;
  std::int64_t all_left_out_ = 0;
};

}  // namespace

PairList read_pair_shards(std::shared_ptr<const Shards> shards, const std::string& columns, const IsHalf& is_half) {
  const Endings endings = columns.empty() ? found_endings(*shards, is_half) : asked_endings(columns);
  return Reader(std::move(shards), endings).read();
}

}  // namespace simclr::data
