#include "train/labelled_part.h"

#include "support/catch.h"

#include <algorithm>
#include <cmath>
#include <map>

using Indices = std::vector<std::int64_t>;

namespace {

/// 300 samples of class 0, 50 of class 1, 4 of class 2 and 7 without a label, mixed.
std::vector<std::int32_t> mixed_labels() {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 361; ++i) labels.push_back(i % 7 == 3 && i < 350 ? 1 : i % 90 == 5 ? 2 : i % 50 == 8 ? -1 : 0);
  return labels;
}

std::map<std::int32_t, std::int64_t> count(const std::vector<std::int32_t>& labels, const Indices& part) {
  std::map<std::int32_t, std::int64_t> counts;
  for (const std::int64_t i : part) ++counts[labels[static_cast<std::size_t>(i)]];
  return counts;
}

}  // namespace

TEST_CASE("A part of the labels has its share of every class", "[labelled_part]") {
  const auto labels = mixed_labels();
  const auto all = labelled_part(labels, 100, 1);
  auto whole = count(labels, all);
  CHECK(static_cast<std::int64_t>(all.size()) == 361 - std::count(labels.begin(), labels.end(), -1));
  CHECK_FALSE(whole.contains(-1));
  CHECK(std::is_sorted(all.begin(), all.end()));

  const auto tenth = labelled_part(labels, 10, 1);
  auto share = count(labels, tenth);
  CHECK(share[0] == std::lround(0.1 * static_cast<double>(whole[0])));
  CHECK(share[1] == 5);
  CHECK(share[2] == 1);  // a tenth of four, but none is left without
  CHECK(count(labels, labelled_part(labels, 0.001, 1)) == std::map<std::int32_t, std::int64_t>{{0, 1}, {1, 1}, {2, 1}});
}

TEST_CASE("The seed chooses the labels, and a smaller part lies within a larger one", "[labelled_part]") {
  const auto labels = mixed_labels();
  const auto tenth = labelled_part(labels, 10, 1), third = labelled_part(labels, 33, 1);
  CHECK(tenth == labelled_part(labels, 10, 1));
  CHECK(tenth != labelled_part(labels, 10, 2));
  CHECK(std::includes(third.begin(), third.end(), tenth.begin(), tenth.end()));
  CHECK(std::adjacent_find(third.begin(), third.end()) == third.end());  // none twice
}

TEST_CASE("Percents are named", "[labelled_part]") {
  CHECK(percent_text(10) == "10");
  CHECK(percent_text(0.5) == "0.5");
}

TEST_CASE("a fifth of each class is spread over it, and tiny classes give none") {
  std::vector<std::int32_t> labels(10, 0);
  for (int i = 0; i < 10; ++i) labels[static_cast<std::size_t>(i)] = i % 2;  // five of each
  CHECK(every_fifth(labels) == Indices{0, 1});
  for (const int size : {1, 2})
    CHECK(every_fifth(std::vector<std::int32_t>(static_cast<std::size_t>(size), 3)).empty());
  CHECK(every_fifth(std::vector<std::int32_t>(10, 0)) == Indices{0, 5});
  const auto mixed = mixed_labels();
  const auto counts = count(mixed, every_fifth(mixed)), all = count(mixed, labelled_part(mixed, 100, 0));
  for (const auto& [label, number] : all) CHECK(counts.at(label) == std::lround(static_cast<double>(number) / 5));
  CHECK(counts.size() == 3);  // none of the unlabelled
}

TEST_CASE("what is held out leaves each class something, and follows from the seed") {
  const auto labels = mixed_labels();
  const auto all = count(labels, labelled_part(labels, 100, 0));
  for (const double share : {0.001, 0.1, 0.5, 0.999}) {
    const Indices part = held_out_part(labels, share, 1);
    CHECK(part == held_out_part(labels, share, 1));
    CHECK(std::is_sorted(part.begin(), part.end()));
    const auto counts = count(labels, part);
    for (const auto& [label, number] : all) {
      INFO(share << " of class " << label);
      CHECK(counts.at(label) >= 1);
      CHECK(counts.at(label) < number);
    }
  }
  CHECK(held_out_part(labels, 0.1, 1) != held_out_part(labels, 0.1, 2));
  CHECK(count(labels, held_out_part(labels, 0.5, 1)).at(0) == std::lround(0.5 * static_cast<double>(all.at(0))));
  CHECK(held_out_part({0, 1, 1}, 0.5, 0).size() == 1);  // a class of one sample gives none
}

TEST_CASE("a fifth of the groups is taken whole, class by class, without what has no label") {
  std::vector<std::int32_t> labels, groups;
  for (std::int32_t g = 0; g < 10; ++g) {
    for (int i = 0; i < 3; ++i) {
      labels.push_back(i == 2 && g == 0 ? -1 : g % 2);
      groups.push_back(100 - g);
    }
  }
  CHECK(fifth_of_groups(labels, groups) == std::vector<std::int64_t>{0, 1, 3, 4, 5});  // of the groups 100 and 99
}
