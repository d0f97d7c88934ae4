#include "common.h"

#include "exp2_rate.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/random.h>
#include <simclr/core/runtime.h>
#include <simclr/kernels/gemm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace bench {

using simclr::CapturedStep;
using simclr::Context;
using simclr::Device;
using simclr::DType;
using simclr::Shape;
using simclr::Tensor;

namespace {

constexpr int samples_a_case = 9;
constexpr int least_samples = 3;           // of cases that take longer than they should
constexpr double graph_seconds = 2e-3;     // at least, so that the gaps between graphs do not count
constexpr double most_rounds = 32;         // of all calls, in a graph
constexpr std::size_t most_copies = 1024;  // of a case's tensors

/// Why the device cannot be used, or nothing.
std::string problem(const std::string& device_name) {
  try {
    return simclr::device_problem(simclr::parse_device(device_name).type);
  } catch (const simclr::Error& error) {
    return error.what();
  }
}

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Tensor uniform(const Shape& shape, std::uint64_t seed, DType dtype, Device device) {
  constexpr std::size_t period = 1'000'003;  // a prime, so that no two rows are equal
  const simclr::Random random(seed, simclr::RandomPurpose::user);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i < period ? 2 * random.uniform(static_cast<std::uint32_t>(i)) - 1 : values[i - period];
  }
  return Tensor::from(values, shape).to(dtype).to(device);
}

}  // namespace

Times summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return {samples[samples.size() / 2], samples.front(), samples.back()};
}

Timed::Timed(Device device, std::vector<Call> calls, double sample_seconds, bool graph)
    : context_(Context::of(device)), calls_(std::move(calls)) {
  // Before a capture libraries must have their plans; without, every call's memory be there, but not at any price.
  const auto start = std::chrono::steady_clock::now();
  const auto enough = [&] { return graph || since(start) > sample_seconds; };
  for (std::size_t i = 0; i < calls_.size() && (i == 0 || !enough()); ++i) calls_[i]();
  double pass = run(1);
  if (graph) {
    const double turn = pass * static_cast<double>(calls_.size());
    const auto rounds = static_cast<std::size_t>(std::clamp(std::ceil(graph_seconds / turn), 1.0, most_rounds));
    calls_a_pass_ = static_cast<int>(rounds * calls_.size());
    graph_.emplace(device, [this, rounds] {
      for (std::size_t i = 0; i < rounds; ++i) {
        for (const Call& call : calls_) call();
      }
    });
    run(1);
    pass = run(1) * calls_a_pass_;
  }
  passes_ = static_cast<int>(std::clamp(std::ceil(sample_seconds / std::max(pass, 1e-9)), 1.0, 1e8));
}

double Timed::run(int passes) {
  context_.synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < passes; ++i) {
    if (graph_) {
      graph_->replay();
    } else {
      calls_[next_++ % calls_.size()]();
    }
  }
  context_.synchronize();
  return since(start) / passes / calls_a_pass_;
}

double Timed::sample() {
  return run(passes_);
}

Bench::Bench(const std::string& description) : app(description), threads_(simclr::threads()) {
  app.option_defaults()->always_capture_default();
  app.add_option("--device", device_name_, "cpu, cuda, or emu to try the code only")->check(problem);
  app.add_option("--dtype", dtype_name_, "Of activations, f32 or bf16; as it is: bf16 on cuda, else f32")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--seconds", seconds, "To be spent on each case, about")->check(CLI::Range(0.0, 3600.0));
  app.add_option("--threads", threads_, "Compute threads")->check(CLI::Range(1, 1024));
  app.add_option("--cold", cold_,
                 "MB of tensors that calls go round over, so that caches are cold; as it is: 256 on cuda, 64 on cpu")
      ->check(CLI::Range(0, 1 << 20));
}

void Bench::parse(int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  device = simclr::parse_device(device_name_);
  dtype = dtype_name_ == "bf16" || (dtype_name_.empty() && on_gpu()) ? DType::bf16 : DType::f32;
  if (cold_ < 0) cold_ = by_device(256, 64, 0);
  simclr::set_threads(threads_);
}

Tensor Bench::random(const Shape& shape, std::uint64_t seed) const {
  return uniform(shape, seed, dtype, device);
}

Times Bench::time(const std::function<Call()>& make) const {
  const Context& context = Context::of(device);
  std::vector<Call> calls = {make()};
  calls[0]();  // libraries take their workspaces
  const std::size_t before = context.allocator().stats().in_use;
  calls.push_back(make());
  calls[1]();
  const std::size_t bytes = std::max<std::size_t>(context.allocator().stats().in_use - before, 1);
  const std::size_t copies = std::min((static_cast<std::size_t>(cold_) << 20) / bytes + 1, most_copies);
  while (calls.size() < copies) calls.push_back(make());

  Timed timed(device, std::move(calls), seconds / samples_a_case, on_gpu());
  std::vector<double> samples;
  const auto start = std::chrono::steady_clock::now();
  while (samples.size() < least_samples || (samples.size() < samples_a_case && since(start) < seconds)) {
    samples.push_back(timed.sample());
  }
  return summarize(samples);
}

void Bench::measure(const std::string& name, const Cost& cost, const std::function<Call()>& make,
                    const std::function<Json(const Times&)>& further) {
  try {
    const std::vector<Limit> limits = limits_of(cost);
    const Times t = time(make);
    Json figures = {{"seconds", t.median}, {"least", t.least}, {"most", t.most}, {"spread", t.spread()}};
    if (cost.bytes > 0) figures["gb_per_second"] = cost.bytes / t.median / 1e9;
    if (cost.flop > 0) figures["tflops"] = cost.flop / t.median / 1e12;
    const auto limit = std::max_element(limits.begin(), limits.end(),
                                        [](const Limit& a, const Limit& b) { return a.seconds < b.seconds; });
    if (limit != limits.end()) {
      figures["share_of_limit"] = limit->seconds / t.median;
      figures["limit"] = limit->name;
    }
    if (further) figures.update(further(t));
    print(name, figures);
  } catch (const simclr::Error& error) {
    failed_ = true;
    print(name, {{"error", error.what()}});
  }
}

std::vector<Bench::Limit> Bench::limits_of(const Cost& cost) {
  std::vector<Limit> limits;
  if (device.type != simclr::DeviceType::cpu) limits.push_back({"launch", launch_seconds()});
  const bool update = cost.in_place && device.type == simclr::DeviceType::cpu;
  if (update) limits.push_back({"update", cost.bytes / update_bandwidth()});
  if (cost.bytes > 0 && !update) limits.push_back({"copy", cost.bytes / copy_bandwidth()});
  const double products = cost.flop > 0 ? cost.flop / gemm_rate() : 0;
  const double powers = cost.exps > 0 && has_exp2(device) ? cost.exps / exp2_rate() : 0;
  if (products > 0) limits.push_back({"gemm", products});
  if (powers > 0) limits.push_back({"exp2", powers});
  // A GPU has units of their own for both; on the CPU the same ones compute them.
  if (products > 0 && powers > 0 && !on_gpu()) limits.push_back({"gemm + exp2", products + powers});
  return limits;
}

void Bench::print(const std::string& name, const Json& figures) const {
  Json line = {{"case", name}, {"device", to_string(device)}, {"dtype", simclr::name(dtype)}};
  if (!on_gpu()) line["threads"] = simclr::threads();
  line.update(figures);
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

std::size_t Bench::peak_bytes(const Call& call) const {
  simclr::Allocator& allocator = Context::of(device).allocator();
  call();
  const std::size_t before = allocator.stats().in_use;
  allocator.reset_peak();
  call();
  return allocator.stats().peak - before;
}

double Bench::copy_bandwidth() {
  if (copy_bandwidth_ > 0) return copy_bandwidth_;
  const std::int64_t bytes = std::int64_t{by_device(512, 64, 1)} << 20;
  const Tensor from = Tensor::zeros({bytes}, DType::u8, device);
  const Times t =
      time([&]() -> Call { return [from, to = Tensor::empty_like(from)]() mutable { to.copy_from(from); }; });
  copy_bandwidth_ = 2 * static_cast<double>(bytes) / t.median;
  print("limit: copy",
        {{"seconds", t.median}, {"spread", t.spread()}, {"bytes", bytes}, {"gb_per_second", copy_bandwidth_ / 1e9}});
  return copy_bandwidth_;
}

double Bench::update_bandwidth() {
  if (update_bandwidth_ > 0) return update_bandwidth_;
  constexpr std::int64_t count = 1 << 24;
  const Times t = time([]() -> Call {
    return [x = Tensor::full({count}, 1, DType::f32)]() mutable {
      float* values = x.data<float>();
      simclr::parallel_for(count, 1 << 14, [=](std::int64_t begin, std::int64_t end) {
        for (; begin < end; ++begin) values[begin] *= 1.0001f;
      });
    };
  });
  const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(float));
  update_bandwidth_ = 2 * static_cast<double>(bytes) / t.median;
  print("limit: update",
        {{"seconds", t.median}, {"spread", t.spread()}, {"bytes", bytes}, {"gb_per_second", update_bandwidth_ / 1e9}});
  return update_bandwidth_;
}

double Bench::gemm_rate() {
  if (gemm_rate_ > 0) return gemm_rate_;
  const std::int64_t n = by_device(8192, 1024, 64);
  const DType type = on_gpu() ? DType::bf16 : DType::f32;
  const Tensor a = uniform({n, n}, 1, type, device), b = uniform({n, n}, 2, type, device);
  const Times t = time([&]() -> Call {
    return [a, b, c = Tensor::empty_like(a)]() mutable { simclr::kernels::gemm(a, b, c, {.transpose_b = true}); };
  });
  gemm_rate_ = 2 * std::pow(static_cast<double>(n), 3) / t.median;
  print("limit: gemm", {{"seconds", t.median}, {"spread", t.spread()}, {"size", n}, {"tflops", gemm_rate_ / 1e12}});
  return gemm_rate_;
}

double Bench::exp2_rate() {
  if (exp2_rate_ > 0) return exp2_rate_;
  const std::int64_t count = by_device(1 << 22, 1 << 16, 1 << 10);
  const int rounds = by_device(256, 64, 2);
  const Tensor x = uniform({count}, 3, DType::f32, device);
  const Times t = time([&]() -> Call { return [x = x.clone(), rounds]() mutable { exp2(x, rounds); }; });
  exp2_rate_ = static_cast<double>(count) * rounds / t.median;
  print("limit: exp2", {{"seconds", t.median}, {"spread", t.spread()}, {"exps_per_second", exp2_rate_}});
  return exp2_rate_;
}

double Bench::launch_seconds() {
  if (launch_seconds_ > 0) return launch_seconds_;
  const Tensor one = Tensor::zeros({1}, DType::f32, device);
  const Times t = time([&]() -> Call { return [one = one.clone()]() mutable { one.fill(1); }; });
  launch_seconds_ = t.median;
  print("limit: launch", {{"seconds", t.median}, {"spread", t.spread()}});
  return launch_seconds_;
}

}  // namespace bench
