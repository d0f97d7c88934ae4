#pragma once

// Private: whole files, for the readers of this folder.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// The size of a regular file. Throws Error, opened by `who`, where there is none at `path`.
std::int64_t file_size(const std::string& path, const char* who);

/// The bytes of a regular file. Throws Error, opened by `who`, when it is missing, unreadable or longer than
/// `max_bytes`.
std::vector<std::uint8_t> read_file(const std::string& path, const char* who, std::int64_t max_bytes);

/// As many bytes as `bytes` has, from `offset` on. Throws Error, opened by `who`, when the file is missing, unreadable
/// or has fewer.
void read_part(const std::string& path, const char* who, std::int64_t offset, std::span<std::uint8_t> bytes);

/// ": No such file or directory", or nothing where the system gave no reason.
std::string system_reason(int error_number);

}  // namespace simclr::data
