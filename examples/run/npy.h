#pragma once

#include <simclr/core/file.h>
#include <simclr/core/tensor.h>

#include <string>

/// NumPy's .npy format, version 1.0: matrices of f32, which numpy.load() reads.

/// Writes `matrix` [N,F] f32, from any device: the whole file, or nothing. Throws simclr::Error as AtomicFile does.
void write_npy(const std::string& path, const simclr::Tensor& matrix,
               simclr::Existing existing = simclr::Existing::replace);

/// Reads what write_npy() or numpy.save() wrote. Throws simclr::Error for anything but a whole f32 matrix in C order.
simclr::Tensor read_npy(const std::string& path);
