// Term frequencies times inverse document frequencies, against figures worked out by hand.

#include <simclr/core/error.h>
#include <simclr/data/text/text_list.h>
#include <simclr/data/text/tfidf.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;

namespace {

std::shared_ptr<const Dataset> texts(const std::vector<std::string>& all) {
  auto list = std::make_shared<TextList>("test");
  for (const std::string& text : all) list->add(text, 1);
  return text_dataset(list);
}

}  // namespace

TEST_CASE("TF-IDF of words and of two in a row") {
  // Of two texts "a" has 2, "a b", "b" and the others one each.
  const auto known = texts({"a b", "A a"});
  const Tfidf tfidf(*known);
  CHECK(tfidf.size() == 4);  // a; then a a, a b, b
  const double often = std::log(3.0 / 3.0) + 1, seldom = std::log(3.0 / 2.0) + 1;
  const auto row = tfidf.features(*texts({"b a a c", "zzz"})).to_vector<double>();
  REQUIRE(row.size() == 8);
  const double norm = std::sqrt(4 * often * often + 2 * seldom * seldom);  // a twice, a a, b
  CHECK(row[0] == Approx(2 * often / norm));
  CHECK(row[1] == Approx(seldom / norm));
  CHECK(row[2] == 0);
  CHECK(row[3] == Approx(seldom / norm));
  for (std::size_t c = 4; c < 8; ++c) CHECK(row[c] == 0);
}

TEST_CASE("TF-IDF of the most frequent runs alone") {
  const Tfidf tfidf(*texts({"x y", "x z", "x"}), {.features = 1});
  CHECK(tfidf.size() == 1);
  CHECK(tfidf.features(*texts({"y x"})).to_vector<float>() == std::vector<float>{1});
  CHECK(Tfidf(*texts({"x y", "x z"}), {.longest = 1}).size() == 3);
  CHECK(test::message_of([] { Tfidf(*texts({" "})); }).starts_with("tfidf: there is no word"));
  CHECK(test::message_of([] { Tfidf(*texts({"x"}), {.features = 0}); }).starts_with("tfidf: 0 features"));
}
