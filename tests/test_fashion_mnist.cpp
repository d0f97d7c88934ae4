// The files of Debian's package, where it is installed. A program of its own, because a skip counts for all of one.

#include <simclr/data/pictures/idx.h>

#include "support/catch.h"

#include <filesystem>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;

TEST_CASE("Debian's Fashion-MNIST has 70,000 pictures, equally many a class") {
  if (!std::filesystem::exists(fashion_mnist_dir)) {
    test::skip(std::string("no ") + fashion_mnist_dir + " (Debian: dataset-fashion-mnist)");
    return;
  }
  for (const Split split : {Split::train, Split::test}) {
    const auto set = fashion_mnist(fashion_mnist_dir, split);
    const std::int64_t expected = split == Split::train ? 60000 : 10000;
    REQUIRE(set->size() == expected);
    CHECK(set->sample(0).shape == Shape{28, 28, 1});
    CHECK(set->label(0) == 9);
    std::vector<std::int64_t> counts(10);
    for (std::int64_t i = 0; i < expected; ++i) ++counts[static_cast<std::size_t>(set->label(i))];
    CHECK(counts == std::vector<std::int64_t>(10, expected / 10));
  }
}
