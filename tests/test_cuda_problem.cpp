#include <simclr/core/runtime.h>
#include <simclr/core/tensor.h>
#include <simclr/kernels/cuda/problem.h>

#include "support/catch.h"
#include "support/message_of.h"

using namespace simclr;
using cuda::describe_problem;
using cuda::DriverState;

namespace {

constexpr int runtime = 13000;

// What cudaGetDeviceCount says of a driver that is missing and of one that is too old alike.
const std::string insufficient = "CUDA driver version is insufficient for CUDA runtime version";

}  // namespace

TEST_CASE("without a driver the driver is named, not its version") {
  const std::string text = describe_problem({.driver = 0, .runtime = runtime, .error = insufficient});
  CHECK(text == "no NVIDIA driver is loaded; install one (nvidia-smi shows it), or use the CPU");
  // What is visible makes no difference then.
  CHECK(describe_problem({.driver = 0, .runtime = runtime, .error = insufficient, .visible = "="}) == text);
}

TEST_CASE("a driver that is too old is told from a new one by the major version") {
  CHECK(
      describe_problem({.driver = 12090, .runtime = runtime, .error = insufficient}) ==
      "the NVIDIA driver is too old: it supports CUDA 12.9, this build needs 13.0; update the driver, or use the CPU");
  // Minor versions of one major version work together, and newer drivers run older programs.
  CHECK(describe_problem({.driver = 13000, .runtime = 13020, .devices = 1}).empty());
  CHECK(describe_problem({.driver = 13010, .runtime = 12040, .devices = 1}).empty());
}

TEST_CASE("a driver without a device says so, and names CUDA_VISIBLE_DEVICES only where it is set") {
  CHECK(describe_problem({.driver = 13000, .runtime = runtime}) ==
        "there is a driver, but no CUDA device; see nvidia-smi, or use the CPU");
  CHECK(describe_problem({.driver = 13000, .runtime = runtime, .visible = "=7"}) ==
        "CUDA_VISIBLE_DEVICES=7 leaves no CUDA device; unset it, or use the CPU");
  CHECK(describe_problem({.driver = 13000, .runtime = runtime, .visible = "="}) ==
        "CUDA_VISIBLE_DEVICES= leaves no CUDA device; unset it, or use the CPU");
}

TEST_CASE("another error is passed on") {
  CHECK(describe_problem({.driver = 13000, .runtime = runtime, .error = "initialization error"}) ==
        "CUDA does not start: initialization error; see nvidia-smi, or use the CPU");
}

TEST_CASE("devices that can be used are no problem, whatever is visible") {
  CHECK(describe_problem({.driver = 13000, .runtime = runtime, .devices = 2}).empty());
  CHECK(describe_problem({.driver = 13000, .runtime = runtime, .devices = 1, .visible = "=1"}).empty());
}

TEST_CASE("a device that cannot be used says why, whoever asks for it") {
  CHECK(device_problem(DeviceType::cpu).empty());
  for (const DeviceType type : {DeviceType::cuda, DeviceType::emu}) {
    const std::string problem = device_problem(type);
    CAPTURE(problem);
    const bool in_build = runtime_slot.tables[static_cast<std::size_t>(type)] != nullptr;
    if (!in_build) {
      CHECK(problem == std::string("this build has no ") + name(type) + " support");
    } else {
      CHECK(device_problem(type) == problem);
    }
    const Device device{type};
    if (problem.empty()) {
      CHECK(Context::of(device).device() == device);
    } else {
      const std::string refused = to_string(device) + ": " + problem + (in_build ? "" : "; use cpu");
      CHECK(test::message_of([&] { Context::of(device); }) == refused);
      CHECK(test::message_of([&] { Tensor::zeros({2}, DType::f32, device); }) == refused);
      CHECK(test::message_of([&] { Tensor::zeros({2}).to(device); }) == refused);
    }
  }
  CHECK(test::message_of([] {
          Context::of({DeviceType::cpu, 1});
        }) == "cpu: this machine has 1 such devices, numbered from 0");
  CHECK(default_device().type == (device_problem(DeviceType::cuda).empty() ? DeviceType::cuda : DeviceType::cpu));
}

TEST_CASE("a GPU that is older than every kernel of the build is named, with the remedy") {
  const auto message = [](int capability, const char* compiled) {
    return cuda::describe_architecture("Tesla T4", capability, compiled);
  };
  CHECK(message(75, "80 90") ==
        "Tesla T4 is of sm_75, this build's kernels are for sm_80, sm_90 and newer; build with "
        "-DCMAKE_CUDA_ARCHITECTURES=75, or use the CPU");
  CHECK(message(89, "90").find("are for sm_90 and newer") != std::string::npos);
  for (const int fine : {80, 86, 90, 100}) CHECK(message(fine, "80 90").empty());
  CHECK(message(75, "native").empty());  // of the machine that built it
}
