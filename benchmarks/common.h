#pragma once

// What the benchmarks share: the command line, timing, the machine's limits, and the lines they print.
//
// A case is timed so that the host hardly counts: after a warm-up, calls are queued back to back between two waits for
// the device, on CUDA as one graph. The calls go round over inputs and outputs of their own, more than a cache holds.

#include <simclr/core/graph.h>
#include <simclr/core/tensor.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bench {

using Call = std::function<void()>;
using Json = nlohmann::ordered_json;

struct Times {
  double median = 0, least = 0, most = 0;

  double spread() const { return (most - least) / median; }
};

Times summarize(std::vector<double> samples);

/// Something to be timed again and again: `calls` do the same work on tensors of their own, and take turns.
class Timed {
 public:
  /// Warms up. `graph`: all calls are captured and replayed together. A sample takes at least `sample_seconds`.
  Timed(simclr::Device device, std::vector<Call> calls, double sample_seconds, bool graph);
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  /// Seconds a call.
  double sample();

 private:
  double run(int passes);

  const simclr::Context& context_;
  std::vector<Call> calls_;
  std::optional<simclr::CapturedStep> graph_;
  int calls_a_pass_ = 1;
  int passes_ = 1;        // of a sample
  std::size_t next_ = 0;  // the call whose turn it is
};

/// What a call reads and writes at least, each byte once, what it multiplies and adds, and the powers that it takes. 0:
/// does not count. `in_place`: it writes where it has read, which on a CPU is twice as fast as to copy: memory that is
/// written is read first.
struct Cost {
  double bytes = 0, flop = 0, exps = 0;
  bool in_place = false;
};

/// A benchmark program: its options, and what it prints, one line of JSON a case.
class Bench {
 public:
  explicit Bench(const std::string& description);
  /// Ends the program where the command line asks for the impossible, or for help.
  void parse(int argc, char** argv);
  /// The program's exit code: 1 where a case failed.
  int exit_code() const { return failed_ ? 1 : 0; }

  CLI::App app;  // for options of the program's own, before parse()
  simclr::Device device;
  simclr::DType dtype = simclr::DType::f32;  // of activations
  double seconds = 1.0;                      // for each case

  bool on_gpu() const { return device.type == simclr::DeviceType::cuda; }
  /// The first on CUDA, the second on the CPU, the last on the emulated device: what each does in useful time.
  template <class T>
  T by_device(T cuda, T cpu, T emu) const {
    return on_gpu() ? cuda : device.type == simclr::DeviceType::cpu ? cpu : emu;
  }

  /// Uniform in [-1, 1), on the device, of `dtype`.
  simclr::Tensor random(const simclr::Shape& shape, std::uint64_t seed) const;

  /// Times the calls that `make` makes and prints a line. Each call has tensors of its own, which it keeps until it
  /// runs again: so many are made that together they exceed the caches.
  /// The line has the figures of `further` too.
  void measure(const std::string& name, const Cost& cost, const std::function<Call()>& make,
               const std::function<Json(const Times&)>& further = {});
  /// Prints a line: the case, the device, `figures`.
  void print(const std::string& name, const Json& figures) const;
  /// The most memory that the device's allocator handed out at a time during the call, beyond what it had before.
  std::size_t peak_bytes(const Call& call) const;

 private:
  /// A call cannot take less, by what the machine was seen to do.
  struct Limit {
    const char* name;
    double seconds;
  };

  Times time(const std::function<Call()>& make) const;
  std::vector<Limit> limits_of(const Cost& cost);
  // Measured and printed once:
  double copy_bandwidth();    // bytes read and written a second
  double update_bandwidth();  // the same, in place
  double gemm_rate();         // FLOP a second
  double exp2_rate();         // powers of two a second
  double launch_seconds();    // one kernel that does next to nothing

  std::string device_name_ = "cpu", dtype_name_;
  int threads_;
  int cold_ = -1;  // MB
  double copy_bandwidth_ = 0, update_bandwidth_ = 0, gemm_rate_ = 0, exp2_rate_ = 0, launch_seconds_ = 0;
  bool failed_ = false;
};

}  // namespace bench
