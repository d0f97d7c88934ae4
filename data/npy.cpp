#include "file.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/npy.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::int64_t max_bytes = std::int64_t{1} << 62;
constexpr const char* no_objects =
    "holds Python objects, which only Python can read; make one array of numbers of them (np.stack(list)) and save "
    "that by np.save(..., allow_pickle=False)";

/// Reads the dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, its keys in any order.
class Dictionary {
 public:
  Dictionary(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  NpyHeader read() {
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = text();
      expect(':');
      if (key == "descr" && !std::exchange(descr, true)) {
        read_descr();
      } else if (key == "fortran_order" && !std::exchange(order, true)) {
        read_order();
      } else if (key == "shape" && !std::exchange(shape, true)) {
        read_shape();
      } else {
        bad();
      }
      if (!take(',') && !ahead('}')) bad();
    }
    space();
    if (!rest_.empty() || !descr || !order || !shape) bad();
    return std::move(header_);
  }

 private:
  [[noreturn]] void bad() const {
    fail(name_, ": its header is no dictionary of descr, fortran_order and shape as NumPy writes it; damaged?");
  }

  void space() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
  }

  bool ahead(char c) {
    space();
    return rest_.starts_with(c);
  }

  bool take(char c) {
    if (!ahead(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!take(c)) bad();
  }

  std::string text() {
    const char quote = ahead('"') ? '"' : '\'';
    expect(quote);
    const std::size_t end = rest_.find(quote);
    if (end == std::string_view::npos) bad();
    std::string value(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return value;
  }

  std::int64_t number() {
    space();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && std::isdigit(static_cast<unsigned char>(rest_[digits])) != 0; ++digits) {
      if (digits == 18) bad();
      value = 10 * value + (rest_[digits] - '0');
    }
    if (digits == 0) bad();
    rest_.remove_prefix(digits);
    return value;
  }

  void read_descr() {
    SIMCLR_CHECK(!ahead('['), name_, ": its values are structured (several fields each); save each field by itself");
    std::string& descr = header_.descr = text();
    SIMCLR_CHECK(descr.find('O') == std::string::npos, name_, ": ", no_objects);
    const bool order = !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
    header_.big_endian = order && descr[0] == '>';
    const std::string type = descr.substr(order ? 1 : 0);
    const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    const auto end = type.size() < 2 ? type.begin() : std::find_if_not(type.begin() + 1, type.end(), digit);
    // Behind a date's digits stands its unit.
    const bool known = type.size() >= 2 && end - type.begin() > 1 && end - type.begin() <= 10 &&
                       std::string_view("uifbcSUVmM").find(type[0]) != std::string_view::npos &&
                       (end == type.end() || type[0] == 'm' || type[0] == 'M');
    SIMCLR_CHECK(known, name_, ": values of type \"", printable(descr, 40), "\" are not known; save numbers");
    header_.kind = type[0];
    header_.value_bytes = std::stoll(std::string(type.begin() + 1, end)) * (type[0] == 'U' ? 4 : 1);
    const bool number = std::string_view("uifb").find(type[0]) != std::string_view::npos;
    SIMCLR_CHECK(!number || (header_.value_bytes >= 1 && header_.value_bytes <= 16), name_, ": values of type \"",
                 printable(descr, 40), "\" are not known; damaged?");
  }

  void read_order() {
    space();
    header_.fortran_order = rest_.starts_with("True");
    if (!header_.fortran_order && !rest_.starts_with("False")) bad();
    rest_.remove_prefix(header_.fortran_order ? 4 : 5);
  }

  void read_shape() {
    expect('(');
    while (!take(')')) {
      header_.shape.push_back(number());
      take('L');  // as Python 2 wrote
      if (!take(',') && !ahead(')')) bad();
      if (header_.shape.size() > 64) bad();
    }
  }

  std::string_view rest_;
  const std::string& name_;
  NpyHeader header_;
};

void check_size(const NpyHeader& header, const std::string& name) {
  std::int64_t most = max_bytes / std::max<std::int64_t>(header.value_bytes, 1);
  for (const std::int64_t size : header.shape) {
    SIMCLR_CHECK(size <= most, name, ": its header promises more bytes than any file has; damaged?");
    most /= std::max<std::int64_t>(size, 1);
  }
}

void check_values(const NpyHeader& header, std::int64_t bytes, const std::string& name) {
  const std::int64_t values = bytes - header.begin;
  SIMCLR_CHECK(values >= header.bytes(), name, ": holds ", values, " bytes after its header, which promises ",
               header.bytes(), "; it is cut off: save or fetch it again");
  SIMCLR_CHECK(values == header.bytes(), name, ": goes on after the ", header.bytes(),
               " bytes that its header promises; save each array in a file of its own");
}

class FileArray final : public NpyArray {
 public:
  explicit FileArray(const std::string& path) : file_(path, "npy") {
    name_ = path;
    std::vector<std::uint8_t> start(static_cast<std::size_t>(std::min(file_.size(), max_npy_header)));
    read_at(0, start);
    header_ = parse_npy(start, name_);
    check_values(header_, file_.size(), name_);
  }

  void read(std::int64_t offset, std::span<std::uint8_t> out) const override { read_at(header_.begin + offset, out); }

 private:
  void read_at(std::int64_t offset, std::span<std::uint8_t> out) const {
    const std::string problem = file_.read(offset, out);
    SIMCLR_CHECK(problem.empty(), name_, ": cannot be read: ", problem);
  }

  OpenFile file_;
};

class ArrayInMemory final : public NpyArray {
 public:
  ArrayInMemory(std::vector<std::uint8_t> bytes, const std::string& name) : bytes_(std::move(bytes)) {
    name_ = name;
    header_ = parse_npy(bytes_, name_);
    check_values(header_, std::ssize(bytes_), name_);
  }

  void read(std::int64_t offset, std::span<std::uint8_t> out) const override {
    SIMCLR_CHECK(offset >= 0 && offset <= header_.bytes() - std::ssize(out), name_, ": byte ", offset, " of ",
                 header_.bytes());
    std::copy_n(bytes_.begin() + header_.begin + offset, out.size(), out.begin());
  }

  std::span<const std::uint8_t> in_memory() const override {
    return std::span(bytes_).subspan(static_cast<std::size_t>(header_.begin));
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

std::int64_t NpyHeader::count() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::string NpyHeader::shape_text() const {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ",") + std::to_string(size);
  return "[" + text + "]";
}

NpyHeader parse_npy(std::span<const std::uint8_t> start, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  SIMCLR_CHECK(text.starts_with(magic), name, ": not a .npy file by its first bytes; save it by np.save");
  SIMCLR_CHECK(start.size() >= 12, name, ": ends inside its header; save or fetch it again");
  const int version = start[6];
  SIMCLR_CHECK(version >= 1 && version <= 3, name, ": version ", version,
               " of the .npy format is not known; 1 to 3 are read");
  std::int64_t length = start[8] | start[9] << 8;
  if (version > 1) length |= static_cast<std::int64_t>(start[10]) << 16 | static_cast<std::int64_t>(start[11]) << 24;
  const std::int64_t preamble = version == 1 ? 10 : 12;
  SIMCLR_CHECK(preamble + length <= max_npy_header, name, ": promises a header of ", length, " bytes, at most ",
               max_npy_header - preamble, " are read; damaged?");
  SIMCLR_CHECK(preamble + length <= std::ssize(start), name, ": ends inside its header; save or fetch it again");
  const auto from = static_cast<std::size_t>(preamble);
  NpyHeader header = Dictionary(text.substr(from, static_cast<std::size_t>(length)), name).read();
  header.begin = preamble + length;
  check_size(header, name);
  return header;
}

std::string npy_header(std::string_view descr, const std::vector<std::int64_t>& shape) {
  std::string text = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  text += shape.size() == 1 ? ",), }" : "), }";
  constexpr std::size_t preamble = 10;  // magic, version and the length
  text.append(63 - (preamble + text.size()) % 64, ' ').push_back('\n');
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

NpyArray::~NpyArray() = default;

std::shared_ptr<const NpyArray> open_npy(const std::string& path) {
  return std::make_shared<FileArray>(path);
}

std::shared_ptr<const NpyArray> npy_in_memory(std::vector<std::uint8_t> bytes, const std::string& name) {
  return std::make_shared<ArrayInMemory>(std::move(bytes), name);
}

}  // namespace simclr::data
