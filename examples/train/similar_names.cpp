#include "train/similar_names.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace {

/// Letters, each with the one that it has below its accent, and the accent.
constexpr std::pair<std::string_view, std::string_view> composed[] = {
    {"ÀAÈEÌIÒOÙUàaèeìiòoùu", "\u0300"},
    {"ÁAÉEÍIÓOÚUÝYáaéeíióoúuýyĆCćcĹLĺlŃNńnŔRŕrŚSśsŹZźz", "\u0301"},
    {"ÂAÊEÎIÔOÛUâaêeîiôoûuĈCĉcĜGĝgĤHĥhĴJĵjŜSŝsŴWŵwŶYŷy", "\u0302"},
    {"ÃAÑNÕOãañnõoĨIĩiŨUũu", "\u0303"},
    {"ĀAāaĒEēeĪIīiŌOōoŪUūu", "\u0304"},
    {"ĂAăaĔEĕeĞGğgĬIĭiŎOŏoŬUŭu", "\u0306"},
    {"ĊCċcĖEėeĠGġgİIŻZżz", "\u0307"},
    {"ÄAËEÏIÖOÜUäaëeïiöoüuÿyŸY", "\u0308"},
    {"ÅAåaŮUůu", "\u030a"},
    {"ŐOőoŰUűu", "\u030b"},
    {"ČCčcĎDďdĚEěeĽLľlŇNňnŘRřrŠSšsŤTťtŽZžz", "\u030c"},
    {"ÇCçcĢGģgĶKķkĻLļlŅNņnŖRŗrŞSşsŢTţt", "\u0327"},
    {"ĄAąaĘEęeĮIįiŲUųu", "\u0328"}};

/// Of each of these letters, which are two bytes long, what stands for it.
std::map<std::string_view, std::string> parted_letters() {
  std::map<std::string_view, std::string> all;
  for (const auto& [letters, accent] : composed) {
    for (std::size_t i = 0; i + 3 <= letters.size(); i += 3) {
      all.emplace(letters.substr(i, 2), std::string(letters.substr(i + 2, 1)).append(accent));
    }
  }
  return all;
}

std::string with_parted_letters(std::string_view name) {
  static const std::map<std::string_view, std::string> all = parted_letters();
  std::string parted;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto found = all.find(name.substr(i, 2));
    if (found == all.end()) {
      parted += name[i];
    } else {
      parted += found->second;
      ++i;
    }
  }
  return parted;
}

std::string_view without_blanks_around(std::string_view name) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t begin = std::min(name.find_first_not_of(blanks), name.size());
  return name.substr(begin, name.find_last_not_of(blanks) + 1 - begin);
}

}  // namespace

std::string plain_name(std::string_view name) {
  return simclr::lower_case(with_parted_letters(without_blanks_around(name)));
}

NameDifference name_difference(std::string_view a, std::string_view b) {
  const std::string_view inner_a = without_blanks_around(a), inner_b = without_blanks_around(b);
  const bool blanks = inner_a.size() != a.size() || inner_b.size() != b.size();
  const std::string parted_a = with_parted_letters(inner_a), parted_b = with_parted_letters(inner_b);
  const bool accents = (inner_a == parted_a) != (inner_b == parted_b);
  const bool letters = parted_a != parted_b;  // in their case
  std::vector<std::string> by, mend;
  const auto add = [&](bool found, const char* what, const char* remedy) {
    if (!found) return;
    by.emplace_back(what);
    mend.emplace_back(remedy);
  };
  add(blanks, "blanks around them", "take the blanks around them away");
  add(accents, "how letters with accents are written", "write both in one form of Unicode (NFC)");
  add(letters, "their case", "give both the same case");
  return {"by " + simclr::listed(by, by.size()) + (by.size() == 1 && letters ? " alone" : ""),
          simclr::listed(mend, mend.size())};
}
