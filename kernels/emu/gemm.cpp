// The matrix product on the emulated device: the CPU's, as cuBLAS would do it. bf16 operands are widened, multiplied in
// f32 and rounded once.
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/host.h>
#include <simclr/kernels/gemm.h>

namespace simclr::kernels {
namespace {

void gemm_on_emu(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  emu::queue([a = emu::memory_of(a), b = emu::memory_of(b), c = emu::memory_of(c), options]() mutable {
    Tensor product = emu::on_host(c);  // holds c's values, for beta
    gemm(emu::on_host(a), emu::on_host(b), product, options);
    emu::back_to(c, product);
  });
}

}  // namespace

extern const GemmKernels gemm_emu;
const GemmKernels gemm_emu = {gemm_on_emu};

}  // namespace simclr::kernels
