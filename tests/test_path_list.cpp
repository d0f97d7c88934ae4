// Lists of paths: what goes in comes out.
#include <simclr/data/path_list.h>

#include "support/catch.h"

#include <string>
#include <vector>

using simclr::data::PathList;

TEST_CASE("A list of paths gives them back in their order") {
  const std::vector<std::string> paths = {"1.png", "2.png",  "a/1.png", "a/b/1.png", "a/b/2.png",
                                          "a/3",   "/abs/x", "y",       ""};
  PathList list;
  CHECK(list.empty());
  for (const std::string& path : paths) list.push_back(path);
  CHECK(list.size() == paths.size());
  CHECK(list == paths);
  CHECK_FALSE(list == std::vector<std::string>{"1.png"});
  CHECK(list[3] == "a/b/1.png");
  CHECK(std::vector<std::string>(list.begin(), list.end()) == paths);
  const PathList copy = list;
  CHECK(copy == paths);
  CHECK(PathList(paths) == paths);
}

TEST_CASE("A list of paths whose folders come in turns") {
  std::vector<std::string> paths;
  for (int i = 0; i < 1000; ++i) paths.push_back("folder " + std::to_string(i % 37) + "/" + std::to_string(i));
  PathList list;
  for (const std::string& path : paths) list.push_back(path);
  CHECK(list == paths);
}
