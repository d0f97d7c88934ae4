// Matrix product by cuBLAS. cuBLAS counts in columns: a row-major c [M,N] is to it the matrix c^T [N,M], so
//   c^T = alpha op(b)^T op(a)^T + beta c^T
// is asked for, with b as the left factor; nothing is moved. cuBLAS gives the same bits each time: one stream, a
// workspace of our own, no atomics.
// Tests: tests/device/test_gemm.cpp compares with the CPU in f64; tests/test_gemm.cpp has the plain loops (reference).
#include <simclr/kernels/cuda/runtime.h>
#include <simclr/kernels/gemm.h>

namespace simclr::kernels {
namespace {

cudaDataType_t cuda_type(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

void scale_gpu(cublasHandle_t handle, Tensor& c, float beta) {
  if (beta == 0) return c.fill(0);
  if (beta == 1) return;
  cuda::check(cublasScalEx_64(handle, c.numel(), &beta, CUDA_R_32F, c.raw_data(), cuda_type(c.dtype()), 1, CUDA_R_32F),
              "cublasScalEx");
}

void gemm_gpu(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  const std::int64_t m = c.dim(0), n = c.dim(1), k = a.dim(options.transpose_a ? 0 : 1);
  if (m == 0 || n == 0) return;
  const auto handle = cuda::cublas(c.device());
  const float alpha = static_cast<float>(options.alpha), beta = static_cast<float>(options.beta);
  if (k == 0) return scale_gpu(handle, c, beta);

  // Pedantic: no TF32, whatever the environment says. bf16 products are exact in f32; partial sums must not be bf16.
  const cublasComputeType_t compute = a.dtype() == DType::f32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
  cuda::check(cublasSetMathMode(handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode");
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  cuda::check(cublasGemmEx_64(handle, operation(options.transpose_b), operation(options.transpose_a), n, m, k, &alpha,
                              b.raw_data(), cuda_type(b.dtype()), b.dim(1), a.raw_data(), cuda_type(a.dtype()),
                              a.dim(1), &beta, c.raw_data(), cuda_type(c.dtype()), n, compute, CUBLAS_GEMM_DEFAULT),
              "cublasGemmEx");
}

}  // namespace

extern const GemmKernels gemm_cuda;
const GemmKernels gemm_cuda = {gemm_gpu};

}  // namespace simclr::kernels
