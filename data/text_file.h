#pragma once

// Private: files of text.

#include <fstream>
#include <string>

namespace simclr::data {

/// Opens a file of UTF-8 behind its byte order mark, if it has one. `wanted`: what to do about a path that is no file,
/// "give a table". Throws Error for what is no file or cannot be opened, and for UTF-16.
std::ifstream open_text(const std::string& path, const std::string& wanted);

}  // namespace simclr::data
