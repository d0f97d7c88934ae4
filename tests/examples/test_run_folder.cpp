#include "run/run_folder.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <barrier>
#include <string>
#include <thread>

using Catch::Matchers::Contains;

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
