#include <simclr/core/crc64.h>
#include <simclr/core/posix.h>
#include <simclr/core/safetensors.h>
#include <simclr/core/serialize.h>
#include <simclr/core/text.h>

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>

namespace simclr {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

/// An open file, read in order.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) : where_("read " + path.string() + ": ") {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block; the check below refuses it
    if (file_ < 0) fail(where_, std::generic_category().message(errno));
  }
  ~InputFile() { close(file_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const {
    struct stat status {};
    if (fstat(file_, &status) != 0) fail(where_, std::generic_category().message(errno));
    SIMCLR_CHECK(S_ISREG(status.st_mode), where_, "not a regular file");
    return static_cast<std::uint64_t>(status.st_size);
  }

  void read(void* data, std::uint64_t bytes) {
    constexpr std::size_t most = std::size_t{1} << 18;  // so that the digest finds it in the cache
    auto* begin = static_cast<char*>(data);
    const int error = posix::transfer(bytes, [&](std::size_t done, std::size_t count) {
      const ssize_t got = ::read(file_, begin + done, std::min(count, most));
      if (got > 0) digest.update(begin + done, static_cast<std::size_t>(got));
      return got;
    });
    SIMCLR_CHECK(error != posix::end_of_file, where_, "the file shrank while it was read");
    if (error != 0) fail(where_, std::generic_category().message(error));
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

/// Of the file's first bytes, the header's length and the header, with the digest's digits taken as zeros.
Crc64 digest_of(std::string_view header) {
  const std::uint64_t length = header.size();
  Crc64 digest;
  digest.update(&length, 8);
  if (header.starts_with(digest_prefix) && header.size() >= digest_prefix.size() + digest_digits) {
    digest.update(header.data(), digest_prefix.size());
    digest.update(std::string(digest_digits, '0').data(), digest_digits);
    header.remove_prefix(digest_prefix.size() + digest_digits);
  }
  digest.update(header.data(), header.size());
  return digest;
}

std::string read_header(InputFile& input, std::uint64_t size) {
  SIMCLR_CHECK(size >= 8, input.where(), "not a safetensors file: ", size, " bytes");
  std::uint64_t length = 0;
  input.read(&length, 8);
  SIMCLR_CHECK(length <= safetensors::longest_header, input.where(), "not a safetensors file: a header of ", length,
               " bytes, the most is ", safetensors::longest_header);
  SIMCLR_CHECK(length <= size - 8, input.where(), "truncated: the header has ", length, " bytes, the file ", size);
  std::string header(length, '\0');
  input.read(header.data(), length);
  return header;
}

/// IEEE 754's binary16 as an f32, exactly.
float widened(std::uint16_t half) {
  const std::uint32_t exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu;
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16;
  if (exponent == 0) {  // zero and subnormal numbers
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign == 0 ? value : -value;
  }
  const std::uint32_t placed = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | placed << 23 | mantissa << 13);
}

bool is_widened(const safetensors::Entry& entry, const LoadOptions& options) {
  return options.widen_f16 && entry.dtype->name == "F16";
}

/// Reads the halves into the second half of a tensor's memory, and widens them from its front on.
void read_widened(InputFile& input, std::uint64_t bytes, Tensor& tensor) {
  auto* const values = static_cast<std::byte*>(tensor.raw_data());
  input.read(values + bytes, bytes);
  for (std::uint64_t i = 0; i < bytes / 2; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, values + bytes + 2 * i, 2);
    const float value = widened(half);
    std::memcpy(values + 4 * i, &value, 4);
  }
}

/// Memory for the values, of just their size: the allocator rounds, which a file's size must bound.
Tensor tensor_for(const safetensors::Entry& entry, const LoadOptions& options, const std::string& where) {
  const std::string name = printable(entry.name, safetensors::most_shown);
  const bool widen = is_widened(entry, options);
  SIMCLR_CHECK(entry.dtype->ours || widen, where, name, " is ", entry.dtype->name,
               ", and this library has only F32, F64, BF16, U8, I32 and U16; convert it or skip it");
  SIMCLR_CHECK(entry.rank <= Shape::max_rank, where, name, " has ", entry.rank, " dimensions, at most ",
               Shape::max_rank, " are supported; reshape it or skip it");
  constexpr std::uint64_t line = 64;
  const std::uint64_t bytes = (entry.end - entry.begin) * (widen ? 2 : 1);
  std::unique_ptr<void, decltype(&std::free)> values(
      std::aligned_alloc(line, std::max(line, (bytes + line - 1) / line * line)), &std::free);
  SIMCLR_CHECK(values, where, "no memory for the ", bytes, " bytes of ", name);
  const std::vector<std::int64_t> sizes(entry.sizes.data(), entry.sizes.data() + entry.rank);
  const Tensor tensor =
      Tensor::wrap(values.get(), Shape(sizes), entry.dtype->ours.value_or(DType::f32), {}, &std::free);
  values.release();
  return tensor;
}

std::string header_of(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  SIMCLR_CHECK(!metadata.contains("digest"),
               "save_tensors: metadata cannot be called digest, save_tensors writes that");
  const std::string metadata_key(safetensors::metadata_key);
  nlohmann::ordered_json header = {{metadata_key, {{"digest", "crc64xz:" + std::string(digest_digits, '0')}}}};
  for (const auto& [key, value] : metadata) header[metadata_key][key] = value;
  std::uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    SIMCLR_CHECK(tensor.name != metadata_key, "save_tensors: a tensor cannot be called ", metadata_key);
    SIMCLR_CHECK(!header.contains(tensor.name), "save_tensors: two tensors are called ", tensor.name);
    const std::uint64_t end = offset + tensor.value.bytes();
    header[tensor.name] = {
        {"dtype", safetensors::file_dtype(tensor.value.dtype()).name},
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
  SIMCLR_CHECK(text.size() <= safetensors::longest_header, "save_tensors: names and metadata take ", text.size(),
               " bytes, the most is ", safetensors::longest_header);
  return text;
}

}  // namespace

void save_tensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                  const std::map<std::string, std::string>& metadata, Existing existing) {
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
  header.replace(digest_prefix.size(), digest_digits, hex(digest.value()));

  const std::uint64_t length = header.size();
  AtomicFile file(path, existing);
  file.write(&length, 8);
  file.write(header.data(), header.size());
  for_each_value([&](const void* data, std::size_t bytes) { file.write(data, bytes); });
  file.commit();
}

TensorFile load_tensors(const std::filesystem::path& path, const LoadOptions& options) {
  InputFile input(path);
  const std::uint64_t size = input.size();
  std::vector<safetensors::Entry> entries;
  TensorFile result;
  bool has_digest = false;
  {
    const std::string text = read_header(input, size);
    auto header =
        safetensors::parse(text, size - 8 - text.size(), input.where());  // all is checked before values are read
    entries = std::move(header.entries);
    result.metadata = std::move(header.metadata);
    has_digest = text.starts_with(digest_prefix);
    input.digest = digest_of(text);
  }
  SIMCLR_CHECK(has_digest || !options.require_digest, input.where(),
               "damaged, or not written by save_tensors: it has no digest; use another copy");

  result.tensors.reserve(entries.size());
  for (safetensors::Entry& entry : entries) {
    const std::uint64_t bytes = entry.end - entry.begin;
    if (options.skip && options.skip(entry.name)) {
      input.pass(bytes);
      continue;
    }
    Tensor tensor = tensor_for(entry, options, input.where());
    is_widened(entry, options) ? read_widened(input, bytes, tensor) : input.read(tensor.raw_data(), bytes);
    result.tensors.push_back({std::move(entry.name), std::move(tensor)});
  }
  if (has_digest) {
    SIMCLR_CHECK(result.metadata["digest"] == "crc64xz:" + hex(input.digest.value()), input.where(),
                 "damaged: its digest differs; use another copy");
    result.metadata.erase("digest");
  }
  return result;
}

}  // namespace simclr
