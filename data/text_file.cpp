#include "text_file.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <filesystem>
#include <string_view>
#include <system_error>

namespace simclr::data {

std::ifstream open_text(const std::string& path, const std::string& wanted) {
  std::error_code error;
  SIMCLR_CHECK(std::filesystem::exists(path, error), printable(path), ": there is no such file");
  SIMCLR_CHECK(!std::filesystem::is_directory(path, error), printable(path), ": is a folder; ", wanted);
  SIMCLR_CHECK(std::filesystem::is_regular_file(path, error), printable(path), ": is no file; ", wanted);
  std::ifstream file(path, std::ios::binary);
  SIMCLR_CHECK(file.good(), printable(path), ": cannot be opened");
  char mark[3] = {};
  file.read(mark, 3);
  const std::string_view first(mark, static_cast<std::size_t>(file.gcount()));
  SIMCLR_CHECK(!first.starts_with("\xff\xfe") && !first.starts_with("\xfe\xff"), printable(path),
               ": is text of UTF-16; save it as UTF-8");
  file.clear();
  file.seekg(first == "\xef\xbb\xbf" ? 3 : 0);
  return file;
}

}  // namespace simclr::data
