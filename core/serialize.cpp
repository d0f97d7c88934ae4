#include <simclr/core/crc64.h>
#include <simclr/core/serialize.h>

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_set>

namespace simclr {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr std::uint64_t longest_header = 100'000'000;
constexpr const char* metadata_key = "__metadata__";

const char* file_name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::bf16: return "BF16";
    case DType::u8: return "U8";
    case DType::i32: return "I32";
  }
  return "?";
}

/// The format's dtypes. Those below a byte are packed.
struct FileDType {
  const char* name;
  std::uint64_t bits;
  std::optional<DType> ours;
};

constexpr std::array<FileDType, 22> file_dtypes = {{
    {"BOOL", 8, {}},         {"F4", 4, {}},      {"F6_E2M3", 6, {}},      {"F6_E3M2", 6, {}}, {"U8", 8, DType::u8},
    {"I8", 8, {}},           {"F8_E5M2", 8, {}}, {"F8_E4M3", 8, {}},      {"F8_E8M0", 8, {}}, {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},  {"I16", 16, {}},    {"U16", 16, {}},         {"F16", 16, {}},    {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32}, {"U32", 32, {}},    {"F32", 32, DType::f32}, {"C64", 64, {}},    {"F64", 64, DType::f64},
    {"I64", 64, {}},         {"U64", 64, {}},
}};

const FileDType* dtype_from(const std::string& text) {
  const auto* found =
      std::find_if(file_dtypes.begin(), file_dtypes.end(), [&](const FileDType& dtype) { return text == dtype.name; });
  return found == file_dtypes.end() ? nullptr : found;
}

/// A file's own text in an error message: one line, and not a long one.
std::string printable(std::string text) {
  if (text.size() > 100) text.resize(100);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

/// One tensor's place: [begin, end) in the bytes behind the header.
struct Entry {
  std::string name;
  const FileDType* dtype = nullptr;
  std::vector<std::int64_t> sizes;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Takes the header's JSON token by token, so that repeated keys are seen and nothing that the format does not have
/// costs memory.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string where) : where_(std::move(where)) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (depth_ > 1 || in_array_) refuse("has an object too many");
    ++depth_;
    field_.clear();
    fields_.clear();
    if (depth_ == 2 && !in_metadata()) {
      entry_ = {};
      entry_.name = name_;
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata()) finish_entry();
    --depth_;
    return true;
  }

  bool key(std::string& text) override {
    std::string& place = depth_ == 1 ? name_ : field_;
    place = text;
    if (!(depth_ == 1 ? names_ : fields_).insert(text).second) refuse("occurs twice");
    const bool known = depth_ == 1 || in_metadata() || text == "dtype" || text == "shape" || text == "data_offsets";
    if (!known) refuse("is not part of the format");
    return true;
  }

  bool string(std::string& text) override {
    if (depth_ == 2 && in_metadata()) {
      metadata[field_] = text;
      return true;
    }
    if (depth_ != 2 || field_ != "dtype") refuse("cannot be a string");
    entry_.dtype = dtype_from(text);
    if (entry_.dtype == nullptr) refuse("is '" + printable(text) + "', which the format does not have");
    return true;
  }

  bool start_array(std::size_t) override {
    const bool expected =
        depth_ == 2 && !in_metadata() && !in_array_ && (field_ == "shape" || field_ == "data_offsets");
    if (!expected) refuse("cannot be an array");
    in_array_ = true;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (!in_array_) refuse("cannot be a number");
    if (value > std::uint64_t{1} << 62) refuse("has a number that overflows");
    if (numbers_.size() == 64) refuse("has more than 64 numbers");
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    if (field_ == "shape") {
      entry_.sizes = numbers_;
    } else {
      if (numbers_.size() != 2) refuse("must be two numbers");
      entry_.begin = static_cast<std::uint64_t>(numbers_[0]);
      entry_.end = static_cast<std::uint64_t>(numbers_[1]);
    }
    return true;
  }

  bool null() override { refuse("cannot be null"); }
  bool boolean(bool) override { refuse("cannot be true or false"); }
  bool number_integer(std::int64_t) override { refuse("has a negative number"); }
  bool number_float(double, const std::string&) override { refuse("has a number that is no integer or overflows"); }
  bool binary(nlohmann::json::binary_t&) override { refuse("cannot be binary"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(where_, "the header is not JSON at its byte ", position);
  }

 private:
  bool in_metadata() const { return name_ == metadata_key; }

  void finish_entry() {
    field_.clear();
    if (fields_.size() != 3) refuse("needs dtype, shape and data_offsets");
    std::uint64_t bits = entry_.dtype->bits;
    for (const std::int64_t size : entry_.sizes) {
      if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(size), &bits)) refuse("has a shape that overflows");
    }
    if (bits % 8 != 0) refuse("ends within a byte");
    if (entry_.end < entry_.begin || entry_.end - entry_.begin != bits / 8) {
      refuse("takes " + std::to_string(bits / 8) + " bytes by its dtype and shape, but its data_offsets are " +
             std::to_string(entry_.begin) + " to " + std::to_string(entry_.end));
    }
    entries.push_back(std::move(entry_));
  }

  [[noreturn]] void refuse(const std::string& why) const {
    fail(where_, printable(name_), depth_ == 2 && !field_.empty() ? ": " + printable(field_) : "", " ", why);
  }

  std::string where_;
  int depth_ = 0;
  bool in_array_ = false;
  std::string name_;   // the key at the first level: a tensor's name or __metadata__
  std::string field_;  // the key at the second
  std::unordered_set<std::string> names_, fields_;
  std::vector<std::int64_t> numbers_;
  Entry entry_;
};

/// An open file, read in order.
class Input {
 public:
  explicit Input(const std::filesystem::path& path) : where_("read " + path.string() + ": ") {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block; the check below refuses it
    if (file_ < 0) fail(where_, std::generic_category().message(errno));
  }
  ~Input() { close(file_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  std::uint64_t size() const {
    struct stat status {};
    if (fstat(file_, &status) != 0) fail(where_, std::generic_category().message(errno));
    SIMCLR_CHECK(S_ISREG(status.st_mode), where_, "not a regular file");
    return static_cast<std::uint64_t>(status.st_size);
  }

  void read(void* data, std::uint64_t bytes) {
    constexpr std::uint64_t most = std::uint64_t{1} << 18;  // so that the digest finds it in the cache
    auto* next = static_cast<char*>(data);
    while (bytes > 0) {
      const ssize_t count = ::read(file_, next, std::min(bytes, most));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(where_, std::generic_category().message(errno));
      SIMCLR_CHECK(count > 0, where_, "the file shrank while it was read");
      digest.update(next, static_cast<std::size_t>(count));
      next += count;
      bytes -= static_cast<std::uint64_t>(count);
    }
  }

  /// Reads `bytes` for the digest's sake.
  void pass(std::uint64_t bytes) {
    std::vector<char> block(std::min<std::uint64_t>(bytes, std::uint64_t{1} << 16));
    for (; bytes > 0; bytes -= block.size()) {
      block.resize(std::min<std::uint64_t>(bytes, block.size()));
      read(block.data(), block.size());
    }
  }

  Crc64 digest;  // of what has been read

  const std::string& where() const { return where_; }

 private:
  std::string where_;
  int file_ = -1;
};

/// How a header begins that holds a digest; 16 hexadecimal digits follow.
constexpr std::string_view digest_prefix = R"({"__metadata__":{"digest":"crc64xz:)";
constexpr std::size_t digest_digits = 16;

/// Of the file's first bytes, the header and its length, with the digest's digits taken as zeros.
Crc64 digest_of(std::string header) {
  if (header.starts_with(digest_prefix) && header.size() >= digest_prefix.size() + digest_digits) {
    header.replace(digest_prefix.size(), digest_digits, digest_digits, '0');
  }
  const std::uint64_t length = header.size();
  Crc64 digest;
  digest.update(&length, 8);
  digest.update(header.data(), header.size());
  return digest;
}

std::string text_of(const Crc64& digest) {
  std::array<char, digest_digits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(digest.value()));
  return digits.data();
}

std::string read_header(Input& input, std::uint64_t size) {
  SIMCLR_CHECK(size >= 8, input.where(), "not a safetensors file: ", size, " bytes");
  std::uint64_t length = 0;
  input.read(&length, 8);
  SIMCLR_CHECK(length <= longest_header, input.where(), "not a safetensors file: a header of ", length,
               " bytes, the most is ", longest_header);
  SIMCLR_CHECK(length <= size - 8, input.where(), "truncated: the header has ", length, " bytes, the file ", size);
  std::string header(length, '\0');
  input.read(header.data(), length);
  // The JSON reader would take a byte order mark, and would end at a zero byte whatever follows.
  SIMCLR_CHECK(header.starts_with('{') && header.find('\0') == std::string::npos, input.where(),
               "not a safetensors file: the header does not begin with '{' or holds a zero byte");
  return header;
}

std::string header_of(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  SIMCLR_CHECK(!metadata.contains("digest"),
               "save_tensors: metadata cannot be called digest, save_tensors writes that");
  nlohmann::ordered_json header = {{metadata_key, {{"digest", "crc64xz:" + std::string(digest_digits, '0')}}}};
  for (const auto& [key, value] : metadata) header[metadata_key][key] = value;
  std::uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    SIMCLR_CHECK(tensor.name != metadata_key, "save_tensors: a tensor cannot be called ", metadata_key);
    SIMCLR_CHECK(!header.contains(tensor.name), "save_tensors: two tensors are called ", tensor.name);
    const std::uint64_t end = offset + tensor.value.bytes();
    header[tensor.name] = {
        {"dtype", file_name_of(tensor.value.dtype())},
        {"shape", std::vector<std::int64_t>(tensor.value.shape().begin(), tensor.value.shape().end())},
        {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    fail("save_tensors: a name or a metadata text is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  SIMCLR_CHECK(text.size() <= longest_header, "save_tensors: names and metadata take ", text.size(),
               " bytes, the most is ", longest_header);
  return text;
}

}  // namespace

void save_tensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  for (const NamedTensor& tensor : tensors) {
    SIMCLR_CHECK(tensor.value.defined(), "save_tensors: ", tensor.name, " is undefined");
  }
  auto ordered = tensors;
  std::stable_sort(ordered.begin(), ordered.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return size_of(a.value.dtype()) > size_of(b.value.dtype());
  });
  std::string header = header_of(ordered, metadata);
  const auto for_each_value = [&](const auto& function) {
    for (const NamedTensor& tensor : ordered) {
      const Tensor host = is_host_memory(tensor.value.device()) ? tensor.value : tensor.value.to(Device{});
      function(host.raw_data(), host.bytes());
    }
  };
  Crc64 digest = digest_of(header);
  for_each_value([&](const void* data, std::size_t bytes) { digest.update(data, bytes); });
  header.replace(digest_prefix.size(), digest_digits, text_of(digest));

  const std::uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, 8);
  file.write(header.data(), header.size());
  for_each_value([&](const void* data, std::size_t bytes) { file.write(data, bytes); });
  file.commit();
}

TensorFile load_tensors(const std::filesystem::path& path, const LoadOptions& options) {
  Input input(path);
  const std::uint64_t size = input.size();
  const std::string header = read_header(input, size);
  HeaderReader reader(input.where());
  nlohmann::json::sax_parse(header, &reader);

  auto& entries = reader.entries;
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;  // empty tensors before what shares their place
  });
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {  // all is checked before any memory is taken
    SIMCLR_CHECK(entry.begin == offset, input.where(), printable(entry.name), " begins at byte ", entry.begin,
                 ", the tensors before it end at ", offset);
    offset = entry.end;
  }
  const std::uint64_t present = size - 8 - header.size();
  SIMCLR_CHECK(offset == present, input.where(), present < offset ? "truncated" : "bytes are left over",
               ": the tensors take ", offset, " bytes, the file has ", present);
  const bool has_digest = header.starts_with(digest_prefix);
  SIMCLR_CHECK(has_digest || !options.require_digest, input.where(),
               "damaged, or not written by save_tensors: it has no digest; use another copy");

  TensorFile result;
  result.metadata = std::move(reader.metadata);
  input.digest = digest_of(header);
  for (const Entry& entry : entries) {
    if (options.skip && options.skip(entry.name)) {
      input.pass(entry.end - entry.begin);
      continue;
    }
    const std::string problem = " can only be skipped: this library has no ";
    SIMCLR_CHECK(entry.dtype->ours, input.where(), printable(entry.name), problem, entry.dtype->name,
                 ", only F32, F64, BF16, U8 and I32");
    SIMCLR_CHECK(entry.sizes.size() <= Shape::max_rank, input.where(), printable(entry.name), problem,
                 entry.sizes.size(), " dimensions, at most ", Shape::max_rank);
    Tensor tensor = Tensor::empty(Shape(entry.sizes), *entry.dtype->ours);
    input.read(tensor.raw_data(), tensor.bytes());
    result.tensors.push_back({entry.name, tensor});
  }
  if (has_digest) {
    SIMCLR_CHECK(result.metadata["digest"] == "crc64xz:" + text_of(input.digest), input.where(),
                 "damaged: its digest differs; use another copy");
    result.metadata.erase("digest");
  }
  return result;
}

}  // namespace simclr
