#include "run/npy.h"

#include <simclr/core/error.h>
#include <simclr/data/npy.h>

#include <bit>

using simclr::DType;
using simclr::Tensor;

static_assert(std::endian::native == std::endian::little, "the values are written as little-endian floats");

void write_npy(const std::string& path, const Tensor& matrix, simclr::Existing existing) {
  SIMCLR_CHECK(matrix.rank() == 2 && matrix.dtype() == DType::f32, "write_npy: an f32 matrix is needed, got ",
               describe(matrix));
  const std::string header = simclr::data::npy_header("<f4", {matrix.dim(0), matrix.dim(1)});
  const Tensor host = matrix.to(simclr::Device{});
  simclr::AtomicFile file(path, existing);
  file.write(header.data(), header.size());
  file.write(host.raw_data(), host.bytes());
  file.commit();
}

Tensor read_npy(const std::string& path) {
  const auto array = simclr::data::open_npy(path);
  const simclr::data::NpyHeader& header = array->header();
  SIMCLR_CHECK(header.descr == "<f4" && !header.fortran_order && header.shape.size() == 2, path,
               ": not a float32 matrix in C order, as embed writes it");
  Tensor matrix = Tensor::empty({header.shape[0], header.shape[1]});
  array->read(0, {static_cast<std::uint8_t*>(matrix.raw_data()), static_cast<std::size_t>(matrix.bytes())});
  return matrix;
}
