#pragma once

#include <simclr/core/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// NumPy's .npy format, versions 1.0 to 3.0: a magic number, a header that is a Python dictionary, and the values.
namespace simclr::data {

/// What a header says.
struct NpyHeader {
  std::string descr;                // the values' type as NumPy writes it: "|u1", "<f4"
  char kind = 0;                    // of it: 'u', 'i', 'f' (numbers), 'b' (bool), 'c' (complex), 'S', 'U' (texts), ...
  std::int64_t value_bytes = 0;     // of one value
  bool big_endian = false;          // only of values of more than one byte
  bool fortran_order = false;       // the first index moves fastest
  std::vector<std::int64_t> shape;  // empty: a single value
  std::int64_t begin = 0;           // where the values begin, in bytes

  std::int64_t count() const;                                   // of values
  std::string shape_text() const;                               // "[2,3]"
  std::int64_t bytes() const { return count() * value_bytes; }  // of all values
};

/// Bytes enough for every header that is read.
inline constexpr std::int64_t max_npy_header = 1 << 16;

/// Reads a header. `start`: the file's first bytes, all of it or max_npy_header; `name` opens the messages. Throws
/// Error for another magic number or version, a header that is cut off, longer than max_npy_header or no such
/// dictionary, structured values, Python objects, and a product of sizes above 2^62 bytes.
SIMCLR_API NpyHeader parse_npy(std::span<const std::uint8_t> start, const std::string& name);

/// Magic number and header, version 1.0, of values in C order; a multiple of 64 bytes.
SIMCLR_API std::string npy_header(std::string_view descr, const std::vector<std::int64_t>& shape);

/// An array whose values are read when they are asked for. Safe to read from several threads at once.
class SIMCLR_API NpyArray {
 public:
  virtual ~NpyArray();

  const std::string& name() const { return name_; }  // for messages
  const NpyHeader& header() const { return header_; }
  /// Fills `out` with the bytes of the values from `offset` on. Throws Error where the file cannot be read.
  virtual void read(std::int64_t offset, std::span<std::uint8_t> out) const = 0;
  /// All of the values' bytes where they lie in memory, else empty.
  virtual std::span<const std::uint8_t> in_memory() const { return {}; }

 protected:
  std::string name_;
  NpyHeader header_;
};

/// The array in a file, which stays open and is not copied into memory: what is read lies in the system's cache. (A
/// file that somebody cuts meanwhile gives an Error and not the signal that a mapping of it would.) Throws Error as
/// parse_npy() does, and where the file is missing, shorter or longer than its header says.
SIMCLR_API std::shared_ptr<const NpyArray> open_npy(const std::string& path);

/// The same of a file's bytes in memory.
SIMCLR_API std::shared_ptr<const NpyArray> npy_in_memory(std::vector<std::uint8_t> bytes, const std::string& name);

}  // namespace simclr::data
