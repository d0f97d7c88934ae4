// What cuDNN plans for a GPU that is only described: its heuristics, its limits and every call but the last one run on
// any machine that has the library.
#include <simclr/kernels/cuda/convolution_plan.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

using namespace simclr;
using namespace simclr::cuda;
using kernels::Conv2dDirection;
using kernels::Conv2dSizes;

#if CUDNN_VERSION >= 90800

namespace {

struct Gpu {
  std::string name;
  int capability, multiprocessors, shared_memory;
};

/// In the words in which cuDNN serialises a device's properties.
CudnnDescriptor describe(const Gpu& gpu) {
  const std::string text = R"({"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"warpSize":32,)"
                           R"("regsPerBlock":65536,"maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerSM":2048,)"
                           R"("maxThreadsPerBlock":1024,"maxSharedMemoryPerBlock":49152,"pciDeviceId":0,)"
                           R"("reservedSharedMemoryPerBlock":1024,"isTccDriver":0,"supportCoopLaunch":1,)"
                           R"("totalGlobalMem":85000000000,"smClockRateKHz":1980000,"memClockRateKHz":2619000,)"
                           R"("l2CacheSize":52428800,"cudaDeviceId":0,"driverVer":13000,"deviceName":")" +
                           gpu.name + R"(","deviceVer":)" + std::to_string(gpu.capability) +
                           R"(,"multiProcessorCount":)" + std::to_string(gpu.multiprocessors) +
                           R"(,"maxSharedMemoryPerBlockOptin":)" + std::to_string(gpu.shared_memory) + "}";
  CudnnDescriptor description(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  check_plan(cudnnBackendSetAttribute(description.raw(), CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                      static_cast<std::int64_t>(text.size()), text.data()),
             "description");
  description.finalize("description");
  return description;
}

const std::vector<Gpu> gpus = {{"NVIDIA H100 80GB HBM3", 900, 132, 232448},
                               {"NVIDIA A100-SXM4-40GB", 800, 108, 166912}};

const std::vector<Conv2dDirection> directions = {Conv2dDirection::forward, Conv2dDirection::backward_data,
                                                 Conv2dDirection::backward_weights};

struct Case {
  std::int64_t size, in, out;
  kernels::PerAxis kernel, stride, padding;
};

/// ResNet-18's and -50's, with either stem.
const std::vector<Case> networks = {
    {32, 3, 64, 3, 1, 1},    {32, 64, 64, 3, 1, 1},   {32, 64, 128, 3, 2, 1},  {32, 64, 128, 1, 2, 0},
    {16, 128, 128, 3, 1, 1}, {16, 128, 256, 3, 2, 1}, {16, 128, 256, 1, 2, 0}, {8, 256, 256, 3, 1, 1},
    {8, 256, 512, 3, 2, 1},  {8, 256, 512, 1, 2, 0},  {4, 512, 512, 3, 1, 1},  {224, 3, 64, 7, 2, 3},
    {56, 64, 256, 1, 1, 0},  {56, 256, 128, 1, 1, 0}, {56, 256, 512, 1, 2, 0}, {7, 512, 2048, 1, 1, 0},
};

/// What the CPU's tests try.
const std::vector<Case> odd = {
    {1, 1, 1, 1, 1, 0},
    {7, 3, 31, 3, 2, 1},
    {9, 1, 33, 5, 1, 2},
    {11, 3, 64, 7, 2, 3},
    {6, 33, 64, 1, 1, 0},
    {10, 31, 33, 3, 3, 1},
    {3, 64, 3, 3, 1, 0},
    {9, 1, 1, 7, 1, 3},
    {15, 3, 2, 5, 3, 3},
    {5, 1, 64, 1, 3, 0},
    {32, 64, 144, {3, 1}, 1, {1, 0}},
    {32, 64, 96, {3, 1}, {2, 1}, {1, 0}},
    {21, 40, 64, {1, 5}, {1, 2}, {0, 2}},
    {11, 33, 31, {5, 3}, {3, 2}, {2, 1}},
};

Conv2dSizes sizes_of(const Case& one, std::int64_t n) {
  return {{n, one.size, one.size, one.in},
          {one.out, one.kernel.height, one.kernel.width, one.in},
          {one.stride, one.padding}};
}

}  // namespace

TEST_CASE("cuDNN has a plan for every convolution, deterministic and within the workspace") {
  for (const Gpu& gpu : gpus) {
    const CudnnDescriptor description = describe(gpu);
    for (const std::vector<Case>& cases : {networks, odd}) {
      for (const Case& one : cases) {
        for (const std::int64_t n : {1, 7, 256}) {
          for (const DType dtype : {DType::f32, DType::bf16}) {
            for (const Conv2dDirection direction : directions) {
              CAPTURE(gpu.name, one.size, one.in, one.out, one.kernel, one.stride, one.padding, n, dtype,
                      static_cast<int>(direction));
              const Conv2dSizes sizes = sizes_of(one, n);
              const ConvolutionPlan plan(sizes, direction, dtype, {.description = &description});
              CHECK(plan.workspace_bytes() <= ConvolutionPlan::workspace_limit(sizes, dtype));
              alignas(256) std::byte memory[4];
              CHECK_NOTHROW(plan.operands(memory, memory + 1, memory + 2, memory + 3));
              CHECK_NOTHROW(plan.operands(memory, memory + 1, memory + 2, nullptr));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("bf16 convolutions of the networks run on tensor cores, f32 never does") {
  for (const Gpu& gpu : gpus) {
    const CudnnDescriptor description = describe(gpu);
    for (const Case& one : networks) {
      for (const Conv2dDirection direction : directions) {
        CAPTURE(gpu.name, one.size, one.in, one.out, one.kernel, static_cast<int>(direction));
        const PlanTarget target{.description = &description};
        const ConvolutionPlan bf16(sizes_of(one, 512), direction, DType::bf16, target);
        CHECK(bf16.uses_tensor_cores());
        // Channels last as they are: only three channels are padded, to eight; the rest is partial sums of dw.
        const std::int64_t padded = one.in == 3 ? 512 * one.size * one.size * 8 * 2 : 0;
        CHECK(bf16.workspace_bytes() <= padded + (32 << 20));
        CHECK(!ConvolutionPlan(sizes_of(one, 512), direction, DType::f32, target).uses_tensor_cores());
      }
    }
  }
}

TEST_CASE("the same sizes get the same plan") {
  const CudnnDescriptor description = describe(gpus[0]), again = describe(gpus[0]);
  for (const Case& one : networks) {
    const ConvolutionPlan a(sizes_of(one, 64), Conv2dDirection::backward_weights, DType::bf16,
                            {.description = &description});
    const ConvolutionPlan b(sizes_of(one, 64), Conv2dDirection::backward_weights, DType::bf16, {.description = &again});
    CHECK(a.engine() == b.engine());
    CHECK(a.workspace_bytes() == b.workspace_bytes());
  }
}

TEST_CASE("a convolution that cuDNN cannot plan says its sizes") {
  const CudnnDescriptor description = describe(gpus[0]);
  Conv2dSizes wrong = sizes_of(networks[1], 2);
  wrong.p += 1;  // does not follow from the others
  const std::string message = test::message_of(
      [&] { ConvolutionPlan(wrong, Conv2dDirection::forward, DType::f32, {.description = &description}); });
  CHECK(message.rfind("conv2d: operation: ", 0) == 0);
}

#else

TEST_CASE("cuDNN plans without a device") {
  test::skip("describing a device takes cuDNN 9.8");
}

#endif
