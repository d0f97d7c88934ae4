#include "run/run_folder.h"
#include "train/run_data.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <barrier>
#include <filesystem>
#include <string>
#include <thread>

using Catch::Matchers::Contains;

TEST_CASE("A run's data are found from the run: shards, several places, and what lies here") {
  const simclr::test::TempDir dir;
  const auto begun = std::filesystem::current_path();
  for (const char* name : {"p/a/01.tar", "p/b/x", "p/runs/r/checkpoints/1", "q/a/00.tar", "q/c/x", "q/runs/r/x"}) {
    dir.write(name, std::string("x"));
  }
  std::filesystem::current_path(dir.path("p"));
  CHECK(started_in("", "", "runs/r").empty());
  CHECK(started_in(dir.path("p/b"), dir.path("p/b"), "runs/r").empty());
  CHECK(started_in(dir.path("p/b") + "::b", "", "runs/r") == "../..");
  CHECK(started_in(dir.path("p/b"), "b", "runs/r") == "../..");
  const std::string from = started_in("b", "", "runs/r"), run = "../p/runs/r";
  CHECK(from == "../..");
  CHECK(data_of_run("./b", from, "runs/r") == "./b");  // as it was written
  std::filesystem::current_path(dir.path("q"));
  CHECK(data_of_run("b", from, run) == "../p/b");
  CHECK(data_of_run("a/{00..01}.tar", from, run) == "../p/a/{00..01}.tar");
  CHECK(data_of_run("a/{00..01}.tar", "", run) == "a/{00..01}.tar");
  CHECK(data_of_run("b::a", from, run + "/checkpoints/1") == "../p/b::../p/a");
  CHECK(data_of_run("c", from, run) == "c");  // it is there no more
  dir.write("p/c-old/x", std::string("x"));   // and this is another folder
  CHECK(data_of_run("c", from, run) == "c");
  dir.write("p/c-backup.tar", std::string("x"));  // nor is this part of an idx set
  CHECK(data_of_run("c", from, run) == "c");
  dir.write("p/c-test-images-idx3-ubyte.gz", std::string("x"));
  CHECK(data_of_run("c", from, run) == "../p/c");
  CHECK(data_of_run(dir.path("p/b"), from, run) == dir.path("p/b"));
  CHECK(cache_of_run("b", from, run) == "../p/b");
  CHECK(cache_of_run(dir.path("q/c"), from, run) == dir.path("q/c"));
  CHECK(cache_of_run("c", from, run).empty());  // c lies here, which the run never saw
  CHECK(cache_of_run("c", "", run).empty());
  CHECK(cache_of_run(".", "", run).empty());
  CHECK(cache_of_run("", from, run).empty());
  CHECK(started_in_from(from, run, "runs/r") == "../../../p");
  CHECK(simclr::test::message_of([&] { data_of_run("d", from, run); }) ==
        run + ": was trained on d, which is not there; say by --data where it lies now");
  std::filesystem::current_path(begun);
}

TEST_CASE("Of two that begin a run at once each has it or is told of the other") {
  for (int round = 0; round < 300; ++round) {
    const simclr::test::TempDir dir;
    std::barrier start(2);
    std::string messages[2];
    const auto begin = [&](std::string& message) {
      start.arrive_and_wait();
      message = simclr::test::message_of([&] {
        RunFolder run(dir.path("run"), "name", "");
        run.log({{"event", "begin"}});
      });
    };
    std::thread other(begin, std::ref(messages[1]));
    begin(messages[0]);
    other.join();
    for (const std::string& message : messages) {
      if (message != "no error") CHECK_THAT(message, Contains("another process is writing this run"));
    }
  }
}

TEST_CASE("Nothing is written into the data, which may be in several places") {
  const simclr::test::TempDir dir;
  for (const char* name : {"a/1", "b/1", "c::d/1", "x"}) dir.write(name, std::string("x"));
  const std::string places = dir.path("a") + "::" + dir.path("b");
  CHECK(lies_in(dir.path("b/runs"), places));
  CHECK_FALSE(lies_in(dir.path("runs"), places));
  CHECK(lies_in(dir.path("c::d/runs"), dir.path("c::d")));
  CHECK(beside_data(dir.path("runs"), places) == dir.path("runs"));
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path("b"));
  CHECK_FALSE(lies_in(beside_data("runs", places), places));
  std::filesystem::current_path(before);
}
