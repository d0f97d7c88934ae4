#include "run/option_line.h"
#include "run/shared_rows.h"

#include "support/catch.h"

#include <simclr/core/parallel.h>

using simclr::Device;
using simclr::DeviceType;

TEST_CASE("Workers follow the device unless they are asked for") {
  const int before = simclr::threads();
  simclr::set_threads(3);
  for (const Device gpu : {Device{DeviceType::cuda, 0}, Device{DeviceType::cuda, 1}}) {
    CHECK(workers_for(gpu, -1) == 3);
    CHECK(workers_for(gpu, 0) == 0);
    CHECK(workers_for(gpu, 7) == 7);
  }
  CHECK(workers_for(Device{}, -1) == 0);
  CHECK(workers_for(Device{}, 2) == 2);
  simclr::set_threads(before);
}

TEST_CASE("A seed is a whole number from 0 on") {
  const auto parsed = [](const char* text) {
    CLI::App app("", "program");
    OptionTable table;
    std::uint64_t seed = 7;
    add_seed_row(table, seed, "");
    const char* words[] = {"program", "--seed", text};
    parse(app, table, 3, const_cast<char**>(words));
    return seed;
  };
  CHECK(parsed("0") == 0);
  CHECK(parsed("12") == 12);
  CHECK(parsed("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"-1", "18446744073709551616", "1.5", "1e3", "+1", " 1", "0x10", "x"}) {
    CHECK_THROWS_WITH(parsed(text), Catch::Contains(std::string("--seed ") + text + ": must be a whole number from 0"));
  }
}

TEST_CASE("Opening a device applies the threads and settles the workers") {
  const int before = simclr::threads();
  ComputeOptions options{.device = "cpu", .threads = 2};
  CHECK(open_device(options) == Device{});
  CHECK(simclr::threads() == 2);
  CHECK(options.workers == 0);
  options.workers = 5;
  open_device(options);
  CHECK(options.workers == 5);
  simclr::set_threads(before);
}
