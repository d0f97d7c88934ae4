#pragma once

/// Marks what a shared libsimclr exports; everything else stays hidden.
#define SIMCLR_API __attribute__((visibility("default")))

/// Functions that the CPU and a CUDA kernel share, compiled alike for both.
#if defined(__CUDACC__)
#define SIMCLR_HOST_DEVICE __host__ __device__
#else
#define SIMCLR_HOST_DEVICE
#endif
