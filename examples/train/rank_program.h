#pragma once

#include <simclr/core/world.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

/// The start of a program that may be several processes.

/// What a command line says of the ranks.
struct Start {
  std::string device = "cpu";  // as device_of() reads it
  std::chrono::seconds timeout{60};
  std::string what = {};  // the program is to do, in a few words; the ranks must agree on it
};

/// The whole of a program that may be several ranks: as run_program(), but what all have met, a command line that
/// cannot be read say, is printed once. `parse` reads the command line; nothing: there is no more to do, as behind
/// --help. `work` returns the exit code. All ranks but the first print what goes wrong with their own part, and no
/// more.
int run_ranks(const char* name, const std::function<std::optional<Start>()>& parse,
              const std::function<int(const std::shared_ptr<simclr::World>&)>& work);

/// Sets the compute threads of a rank: `asked`, or where that is 0 its part of the processors that the ranks of its
/// machine may run on. Tells rank 0's `on_warning` where all ranks' threads are more.
void set_threads_of_rank(simclr::World& world, int asked, const std::function<void(const std::string&)>& on_warning);
