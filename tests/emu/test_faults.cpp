// Shipped kernels with one line changed each (tests/CMakeLists.txt says which): the emulated device reports every
// fault, and has nothing to say about the kernels as they are.
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/nt_xent.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace simclr::kernels {
extern const ElementwiseKernels elementwise_missing_syncthreads, elementwise_divergent_barrier,
    elementwise_global_out_of_bounds, elementwise_shared_out_of_bounds, elementwise_uninitialised_shared;
extern const NtXentKernels nt_xent_missing_syncwarp, nt_xent_early_release;
}  // namespace simclr::kernels

using namespace simclr;
using namespace simclr::kernels;
using Catch::Contains;

namespace {

/// What is said while `call` runs in a process of its own, which AddressSanitizer may end: its Error, else "no error".
std::string report_of(const std::function<void()>& call) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    emu::set_checks(emu::Checks::thorough);
    const std::string message = test::message_of(call);
    const auto written = write(ends[1], message.data(), message.size());
    _exit(written == static_cast<ssize_t>(message.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string report;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) report.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return report;
}

std::string bias_backward_report(const ElementwiseKernels& kernels) {
  const Tensor dy = test::random_tensor({70, 40}, 1, DType::f32).to(Device{DeviceType::emu});
  Tensor dbias = Tensor::zeros({40}, DType::f32, dy.device());
  return report_of([&] { kernels.bias_backward(dy, dbias); });
}

std::string nt_xent_report(const NtXentKernels& kernels, std::int64_t rows = 64, bool wgmma = false) {
  const Tensor z = test::random_tensor({rows, 128}, 2, DType::f32).to(DType::bf16).to(Device{DeviceType::emu});
  const NtXentSaved saved = nt_xent_forward(z, z, 0.5, {}, wgmma).saved;
  const Tensor dloss = Tensor::full({}, 1.0, DType::f32, z.device());
  NtXentGradient gradient{Tensor::empty_like(z), {}};
  return report_of([&] { kernels.backward(saved, dloss, gradient); });
}

}  // namespace

TEST_CASE("the shipped kernels give nothing to report") {
  CHECK(bias_backward_report(elementwise_slot.on({DeviceType::emu})) == "no error");
  CHECK(nt_xent_report(nt_xent_slot.on({DeviceType::emu})) == "no error");
}

TEST_CASE("a missing __syncwarp is reported") {
  CHECK_THAT(nt_xent_report(nt_xent_missing_syncwarp),
             Contains("nt_xent_gradient_kernel: reads shared memory that nobody has written") ||
                 Contains("nt_xent_gradient_kernel: depends on the order of its threads"));
}

TEST_CASE("a tile that is given back while a product reads it is reported") {
  const std::int64_t rows = 10 * 128;  // more tiles than there is room for
  CHECK(nt_xent_report(nt_xent_slot.on({DeviceType::emu}), rows, true) == "no error");
  CHECK_THAT(nt_xent_report(nt_xent_early_release, rows, true),
             Contains("nt_xent_weights_sm90_kernel: depends on the order"));
}

TEST_CASE("a missing __syncthreads is reported") {
  CHECK_THAT(
      bias_backward_report(elementwise_missing_syncthreads),
      Contains("bias_partial_kernel: reads shared memory that nobody has written") || Contains("a barrier is missing"));
}

TEST_CASE("a divergent barrier is reported") {
  CHECK_THAT(bias_backward_report(elementwise_divergent_barrier), Contains("bias_partial_kernel: divergent barrier"));
}

TEST_CASE("a write out of bounds is reported, to global and to shared memory") {
  for (const auto* kernels : {&elementwise_global_out_of_bounds, &elementwise_shared_out_of_bounds}) {
    // Under the sanitizers they see it first.
    CHECK_THAT(bias_backward_report(*kernels), Contains("bias_sum_kernel: wrote out of bounds") ||
                                                   Contains("bias_partial_kernel: wrote out of bounds") ||
                                                   Contains("AddressSanitizer") || Contains("runtime error: index"));
  }
}

TEST_CASE("a read of shared memory that nobody has written is reported") {
  CHECK_THAT(bias_backward_report(elementwise_uninitialised_shared),
             Contains("bias_partial_kernel: reads shared memory that nobody has written"));
}
