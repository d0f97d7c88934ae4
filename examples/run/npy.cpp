#include "run/npy.h"

#include <simclr/core/error.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <regex>

using simclr::DType;
using simclr::Tensor;

namespace {

static_assert(std::endian::native == std::endian::little, "the values are written as little-endian floats");

constexpr char magic[] = "\x93NUMPY\x01";  // and a zero byte: version 1.0
constexpr std::size_t preamble = 10;       // magic, version and the header's length

}  // namespace

void write_npy(const std::string& path, const Tensor& matrix, simclr::Existing existing) {
  SIMCLR_CHECK(matrix.rank() == 2 && matrix.dtype() == DType::f32, "write_npy: an f32 matrix is needed, got ",
               describe(matrix));
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(matrix.dim(0)) + ", " +
                       std::to_string(matrix.dim(1)) + "), }";
  header.append(63 - (preamble + header.size()) % 64, ' ').push_back('\n');  // the values begin at a multiple of 64
  const auto length = static_cast<std::uint16_t>(header.size());
  const Tensor host = matrix.to(simclr::Device{});
  simclr::AtomicFile file(path, existing);
  file.write(magic, 8);
  file.write(&length, 2);
  file.write(header.data(), header.size());
  file.write(host.raw_data(), host.bytes());
  file.commit();
}

Tensor read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  SIMCLR_CHECK(file.good(), path, ": cannot be opened");
  char start[preamble] = {};
  file.read(start, preamble);
  SIMCLR_CHECK(file.good() && std::memcmp(start, magic, 8) == 0, path, ": not a .npy file of version 1.0");
  std::uint16_t length = 0;
  std::memcpy(&length, start + 8, 2);
  std::string header(length, '\0');
  file.read(header.data(), length);

  static const std::regex pattern(
      R"(\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,12}), (\d{1,9})\), \}\s*)");
  std::smatch sizes;
  SIMCLR_CHECK(file.good() && std::regex_match(header, sizes, pattern), path,
               ": not a float32 matrix in C order, as embed writes it");
  const auto begin = file.tellg();
  file.seekg(0, std::ios::end);
  const simclr::Shape shape{std::stoll(sizes[1]), std::stoll(sizes[2])};
  SIMCLR_CHECK(file.tellg() - begin == 4 * shape.numel(), path, ": its size does not fit its ", shape,
               " values; is it whole?");
  file.seekg(begin);
  Tensor matrix = Tensor::empty(shape);
  file.read(static_cast<char*>(matrix.raw_data()), static_cast<std::streamsize>(matrix.bytes()));
  SIMCLR_CHECK(file.good(), path, ": cannot be read");
  return matrix;
}
