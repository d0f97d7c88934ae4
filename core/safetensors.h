#pragma once

// Private to core: what the header of a safetensors file says.

#include <simclr/core/dtype.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::safetensors {

inline constexpr std::uint64_t longest_header = 100'000'000;
inline constexpr std::string_view metadata_key = "__metadata__";

/// The format's dtypes. Those below a byte are packed.
struct FileDType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DType> ours;  // none: the library lacks it
};

const FileDType& file_dtype(DType dtype);

/// One tensor: its place is [begin, end) in the bytes behind the header.
struct Entry {
  std::string name;
  const FileDType* dtype = nullptr;
  std::array<std::int64_t, 6> sizes{};  // the first six, where there are more
  std::size_t rank = 0;
  std::uint64_t begin = 0, end = 0;
};

/// Bytes of a file's own text in an error message: one line, and not a long one.
inline constexpr std::size_t most_shown = 100;

struct Header {
  std::vector<Entry> entries;  // in the order of their bytes, of which none is left out
  std::map<std::string, std::string> metadata;
};

/// Reads the header's JSON, behind which the file has `values` bytes. What it takes is counted beforehand: at most
/// `values` + 7/8 MiB. Throws Error, opened by `where`, for anything that the format does not have.
Header parse(std::string_view text, std::uint64_t values, const std::string& where);

}  // namespace simclr::safetensors
