#include <simclr/core/error.h>
#include <simclr/core/safetensors.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace simclr::safetensors {
namespace {

constexpr std::array<FileDType, 22> file_dtypes = {{
    {"BOOL", 8, {}},         {"F4", 4, {}},      {"F6_E2M3", 6, {}},      {"F6_E3M2", 6, {}}, {"U8", 8, DType::u8},
    {"I8", 8, {}},           {"F8_E5M2", 8, {}}, {"F8_E4M3", 8, {}},      {"F8_E8M0", 8, {}}, {"F8_E5M2FNUZ", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},  {"I16", 16, {}},    {"U16", 16, DType::u16}, {"F16", 16, {}},    {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32}, {"U32", 32, {}},    {"F32", 32, DType::f32}, {"C64", 64, {}},    {"F64", 64, DType::f64},
    {"I64", 64, {}},         {"U64", 64, {}},
}};

// What an entry costs with all that is made of it later but its values: the entry itself (twice, as its vector grows),
// the tensor, its storage and what malloc adds. And a pair of metadata.
constexpr std::uint64_t entry_cost = 768;
constexpr std::uint64_t metadata_cost = 192;
constexpr std::uint64_t allowance = 7u << 17;  // beside the values; the rest of 1 MiB is for buffers

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80u | ((code >> shift) & 0x3fu)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0u | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0u | (code >> 12));
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0u | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

/// The format is so small a part of JSON that reading just that is shorter than refusing the rest, and takes no memory
/// that is not counted.
class Parser {
 public:
  Parser(std::string_view text, std::uint64_t values, const std::string& where)
      : text_(text), where_(where), budget_(values + allowance) {}

  Header read() {
    if (peek() != '{') refuse("does not begin with '{'");
    read_object([&](std::string name) {
      subject_ = name.empty() ? "''" : printable(name, most_shown);
      field_.clear();
      if (name == metadata_key) {
        read_metadata();
      } else {
        read_entry(std::move(name));
      }
    });
    subject_ = "the header";
    field_.clear();
    skip_space();
    if (at_ != text_.size()) refuse("goes on behind its end");
    return std::move(header_);
  }

 private:
  template <class Member>
  void read_object(const Member& member) {
    expect('{');
    if (accept('}')) return;
    do {
      std::string key = read_string();
      expect(':');
      member(std::move(key));
    } while (accept(','));
    if (!accept('}')) refuse_here("',' or '}'");
  }

  void read_metadata() {
    if (std::exchange(has_metadata_, true)) refuse("occurs twice");
    read_object([&](std::string key) {
      charge(metadata_cost);
      field_ = printable(key, most_shown);
      if (!header_.metadata.emplace(std::move(key), read_string()).second) refuse("occurs twice");
    });
  }

  void read_entry(std::string name) {
    charge(entry_cost);
    Entry entry;
    entry.name = std::move(name);
    std::uint64_t bits = 1;
    bool has_shape = false, has_offsets = false;
    read_object([&](const std::string& field) {
      field_ = printable(field, most_shown);
      if (field == "dtype") {
        if (entry.dtype != nullptr) refuse("occurs twice");
        entry.dtype = read_dtype();
      } else if (field == "shape") {
        if (std::exchange(has_shape, true)) refuse("occurs twice");
        read_numbers([&](std::uint64_t size) {
          constexpr std::uint64_t most = std::uint64_t{1} << 57;  // so that bits can be counted
          if (size > most || (size != 0 && bits > most / size)) refuse("overflows");
          bits *= size;
          if (entry.rank < entry.sizes.size()) entry.sizes[entry.rank] = static_cast<std::int64_t>(size);
          ++entry.rank;
        });
      } else if (field == "data_offsets") {
        if (std::exchange(has_offsets, true)) refuse("occurs twice");
        int count = 0;
        read_numbers([&](std::uint64_t offset) {
          if (count < 2) (count == 0 ? entry.begin : entry.end) = offset;
          ++count;
        });
        if (count != 2) refuse("must be two numbers");
      } else {
        refuse("is not part of the format");
      }
    });
    field_.clear();
    if (entry.dtype == nullptr || !has_shape || !has_offsets) refuse("needs dtype, shape and data_offsets");
    bits *= entry.dtype->bits;
    if (bits % 8 != 0) refuse("ends within a byte");
    if (entry.end < entry.begin || entry.end - entry.begin != bits / 8) {
      refuse("takes ", bits / 8, " bytes by its dtype and shape, but its data_offsets are ", entry.begin, " to ",
             entry.end);
    }
    header_.entries.push_back(std::move(entry));
  }

  const FileDType* read_dtype() {
    const std::string text = read_string();
    const auto found = std::find_if(file_dtypes.begin(), file_dtypes.end(),
                                    [&](const FileDType& dtype) { return text == dtype.name; });
    if (found == file_dtypes.end()) refuse("is '", printable(text, most_shown), "', which the format does not have");
    return &*found;
  }

  template <class Use>
  void read_numbers(const Use& use) {
    expect('[');
    if (accept(']')) return;
    do {
      use(read_number());
    } while (accept(','));
    if (!accept(']')) refuse_here("',' or ']'");
  }

  std::uint64_t read_number() {
    skip_space();
    const std::size_t begin = at_;
    std::uint64_t number = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      const auto digit = static_cast<std::uint64_t>(peek() - '0');
      if (number > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) refuse("has a number that overflows");
      number = 10 * number + digit;
    }
    if (at_ == begin) refuse_here("a number from 0 up");
    if (text_[begin] == '0' && at_ > begin + 1) refuse("has a number with a zero before it");
    return number;
  }

  std::string read_string() {
    expect('"');
    std::string out;
    const std::size_t most = string_size();
    charge(most);
    out.reserve(most);
    while (peek() != '"') {
      if (peek() == '\\') {
        ++at_;
        read_escape(out);
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (at_ == text_.size() || length == 0 || static_cast<unsigned char>(peek()) < 0x20) {
        refuse_here("UTF-8 text");
      }
      out += text_.substr(at_, length);
      at_ += length;
    }
    ++at_;
    return out;
  }

  /// Bytes up to the closing quote, an upper bound for the string.
  std::size_t string_size() const {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    return std::min(end, text_.size()) - at_;
  }

  void read_escape(std::string& out) {
    constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    const std::size_t known = letters.find(peek());
    if (at_ < text_.size() && known != std::string_view::npos) {
      ++at_;
      out += meant[known];
      return;
    }
    std::uint32_t code = read_hex();
    if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair
      if (peek() != '\\') refuse_here("the second half of a surrogate pair");
      ++at_;
      const std::uint32_t second = read_hex();
      if (second < 0xdc00 || second > 0xdfff) refuse_here("the second half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      refuse_here("no second half of a surrogate pair alone");
    }
    append_utf8(out, code);
  }

  std::uint32_t read_hex() {
    if (peek() != 'u') refuse_here("an escape that JSON has");
    ++at_;
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      constexpr std::string_view digits = "0123456789abcdef";
      const char c = peek();
      const std::size_t digit = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (at_ == text_.size() || digit == std::string_view::npos) refuse_here("four hexadecimal digits");
      code = 16 * code + static_cast<std::uint32_t>(digit);
    }
    return code;
  }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  /// The next character; zero at the end, which no token begins with.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool accept(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) refuse_here(std::string{'\'', c, '\''});
  }

  void charge(std::uint64_t bytes) {
    if (bytes > budget_) {
      fail(where_, "the header has so many tensors or so much text that reading it would take more memory than the ",
           "file has values; split the file");
    }
    budget_ -= bytes;
  }

  std::string subject() const { return subject_ + (field_.empty() ? "" : ": " + field_); }

  [[noreturn]] void refuse_here(std::string_view wanted) const {
    fail(where_, subject(), ": ", wanted, " is wanted at the header's byte ", at_,
         at_ == text_.size() ? ", where it ends" : "");
  }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... why) const {
    fail(where_, subject(), " ", why...);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const std::string& where_;
  std::uint64_t budget_;
  bool has_metadata_ = false;
  std::string subject_ = "the header";  // then the key at the first level: a tensor's name or __metadata__
  std::string field_;                   // the key at the second
  Header header_;
};

}  // namespace

const FileDType& file_dtype(DType dtype) {
  return *std::find_if(file_dtypes.begin(), file_dtypes.end(), [&](const FileDType& one) { return one.ours == dtype; });
}

Header parse(std::string_view text, std::uint64_t values, const std::string& where) {
  Header header = Parser(text, values, where).read();
  auto& entries = header.entries;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  const auto same = [](const Entry& a, const Entry& b) { return a.name == b.name; };
  const auto twice = std::adjacent_find(entries.begin(), entries.end(), same);
  if (twice != entries.end()) fail(where, printable(twice->name, most_shown), " occurs twice");
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) <
           std::tie(b.begin, b.end, b.name);  // empty ones before what shares their place
  });
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {
    SIMCLR_CHECK(entry.begin == offset, where, printable(entry.name, most_shown), " begins at byte ", entry.begin,
                 ", the tensors before it end at ", offset);
    offset = entry.end;
  }
  SIMCLR_CHECK(offset == values, where, values < offset ? "truncated" : "bytes are left over", ": the tensors take ",
               offset, " bytes, the file has ", values);
  return header;
}

}  // namespace simclr::safetensors
