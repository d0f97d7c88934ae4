#pragma once

#include <simclr/data/npy.h>

#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// The names of the arrays in an .npz file, without ".npy", in the file's order; members of other names are left out.
/// Throws Error where the file is missing or damaged, and in a build without libarchive.
SIMCLR_API std::vector<std::string> list_npz(const std::string& path);

/// Unpacks one of them into memory. Throws Error as list_npz() and npy_in_memory() do, where there is no such array,
/// and before memory is taken where it would need more than is free, or promises more than the file can hold.
SIMCLR_API std::shared_ptr<const NpyArray> read_npz(const std::string& path, const std::string& name);

}  // namespace simclr::data
