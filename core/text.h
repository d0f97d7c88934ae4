#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Texts for messages.
namespace simclr {

/// `text` for a terminal: control characters, as the name of somebody's file may hold, become '?'. Of more than `most`
/// bytes the whole UTF-8 characters within the first `most`.
SIMCLR_API std::string printable(std::string_view text, std::size_t most = std::string_view::npos);

/// Bytes of the well-formed UTF-8 character that `text` begins with (Unicode, table 3-7); 0: there is none.
SIMCLR_API std::size_t utf8_length(std::string_view text);
/// Whether `text` is well-formed UTF-8.
SIMCLR_API bool is_utf8(std::string_view text);

/// "1 file" or "3 files"; `ending` is the plural's: "2 class" + "es".
SIMCLR_API std::string counted(std::int64_t count, std::string_view what, std::string_view ending = "s");

/// "a, b, c and 7 more": the first `most` of them, each printable().
SIMCLR_API std::string listed(const std::vector<std::string>& all, std::size_t most);

/// "a, b, c", with this between each two.
SIMCLR_API std::string joined(const std::vector<std::string>& parts, std::string_view between);

/// "a, b or c".
SIMCLR_API std::string one_of(const std::vector<std::string>& names);

/// The letters A to Z in lower case; other bytes as they are.
SIMCLR_API std::string lower_case(std::string_view text);

/// 16 hexadecimal digits.
SIMCLR_API std::string hex(std::uint64_t value);

}  // namespace simclr
