#pragma once

#include <simclr/core/file.h>
#include <simclr/core/tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// Tensors in files, in the safetensors format: 8 bytes of header length, a JSON header, the values. Other frameworks
/// read it, and reading it runs no code.
namespace simclr {

struct TensorFile {
  std::vector<NamedTensor> tensors;             // in the order of their bytes in the file
  std::map<std::string, std::string> metadata;  // the header's __metadata__
};

/// Writes all dtypes (f32 F32, f64 F64, bf16 BF16, u8 U8, i32 I32, u16 U16), from any device. The file is replaced as a
/// whole or not at all (see AtomicFile), and with Existing::keep not where one is there; the same tensors in the same
/// order give the same bytes. Wider dtypes come first, so that every value is aligned to its size.
///
/// The metadata gets one more key, "digest": "crc64xz:" and 16 hexadecimal digits, the CRC-64/XZ of the whole file with
/// these digits taken as zeros. It finds damage, not forgery. Who rewrites the file must leave it out of the metadata.
///
/// Throws Error for an undefined tensor, for names that are equal, "__metadata__" or not UTF-8, for metadata called
/// "digest", and when the disk refuses.
SIMCLR_API void save_tensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                             const std::map<std::string, std::string>& metadata = {},
                             Existing existing = Existing::replace);

struct LoadOptions {
  /// Says of which tensors, by name, the values stay in the file; whatever their dtype is.
  std::function<bool(const std::string& name)> skip = {};
  /// Refuse a file without digest, as other programs write them: for files that save_tensors is known to have written.
  bool require_digest = false;
  /// Read F16, which this library lacks, as f32. Such a tensor takes twice its bytes in the file.
  bool widen_f16 = false;
};

/// Reads such a file into CPU tensors, whoever wrote it. A digest is checked, and left out of the metadata. Files of
/// other programs hold none, and may hold dtypes and ranks that this library lacks: those tensors must be skipped.
///
/// Trusts nothing: throws Error for a header over 100,000,000 bytes, for anything in it that the format does not have,
/// a repeated key, another dtype, more than 6 dimensions, sizes that overflow or differ from the bytes, gaps, overlaps,
/// bytes missing from the end or left over there, and a digest that differs.
///
/// Takes no more memory than the file's size and 1 MiB, whatever the file says. Only where more than a thousand tensors
/// are loaded, each may take 3/4 KiB beside its values; a file is refused where this would be more than all its values.
SIMCLR_API TensorFile load_tensors(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace simclr
