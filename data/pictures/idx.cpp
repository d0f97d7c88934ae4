#include "../file.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/idx.h>

#ifdef SIMCLR_HAVE_ZLIB
#include <zlib.h>
#endif

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <utility>

namespace simclr::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::int64_t max_content = 4'000'000'000;
constexpr std::int64_t max_side = 65500;
// DEFLATE cannot shrink further than this, so a header that promises more is wrong before memory is taken for it.
constexpr std::int64_t max_deflate_ratio = 1032;

std::int64_t header_bytes(int rank) {
  return 4 + 4 * rank;
}

/// The sizes that a header gives, outermost first; their product is at most max_content.
std::vector<std::int64_t> parse_header(const std::uint8_t* header, int rank, const std::string& path) {
  const auto word = [&](int i) {
    const std::uint8_t* b = header + 4 * i;
    return static_cast<std::int64_t>(b[0]) << 24 | b[1] << 16 | b[2] << 8 | b[3];
  };
  SIMCLR_CHECK(word(0) == 0x0800 + rank, "idx: ", path, " has magic number ", word(0), ", idx ",
               rank == 3 ? "pictures" : "labels", " have ", 0x0800 + rank, "; give the ",
               rank == 3 ? "-images-idx3-ubyte" : "-labels-idx1-ubyte", " file");
  std::vector<std::int64_t> sizes;
  std::int64_t product = 1;
  for (int i = 0; i < rank; ++i) {
    sizes.push_back(word(i + 1));
    SIMCLR_CHECK(sizes[i] > 0, "idx: size ", i, " in the header of ", path, " is 0; there is nothing to read");
    SIMCLR_CHECK(i == 0 || sizes[i] <= max_side, "idx: ", path, " promises pictures with a side of ", sizes[i],
                 ", at most ", max_side, " is supported; damaged?");
    SIMCLR_CHECK(product <= max_content / sizes[i], "idx: the header of ", path, " promises more than ", max_content,
                 " bytes; damaged?");
    product *= sizes[i];
  }
  return sizes;
}

std::int64_t product_of(const std::vector<std::int64_t>& sizes) {
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) product *= size;
  return product;
}

#ifdef SIMCLR_HAVE_ZLIB
/// Unpacks one gzip member piece by piece.
class Inflater {
 public:
  Inflater(const Bytes& packed, const std::string& path) : path_(path) {
    stream_.next_in = const_cast<Bytef*>(packed.data());
    stream_.avail_in = static_cast<uInt>(packed.size());
    SIMCLR_CHECK(inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK, "idx: zlib does not start for ", path);
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Unpacks up to `count` bytes; fewer only where the data end.
  std::int64_t read(std::uint8_t* out, std::int64_t count) {
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(count);
    while (stream_.avail_out > 0 && !ended_) {
      const int result = inflate(&stream_, Z_NO_FLUSH);
      ended_ = result == Z_STREAM_END;
      SIMCLR_CHECK(ended_ || stream_.avail_in > 0 || stream_.avail_out == 0, "idx: ", path_,
                   " is truncated inside its gzip data; fetch it again");
      SIMCLR_CHECK(ended_ || result == Z_OK, "idx: ", path_, " has damaged gzip data (",
                   stream_.msg ? stream_.msg : "unknown", "); fetch it again");
    }
    return count - static_cast<std::int64_t>(stream_.avail_out);
  }

  bool input_left() const { return stream_.avail_in > 0; }

 private:
  z_stream stream_{};
  std::string path_;
  bool ended_ = false;
};

Bytes unpack(const Bytes& packed, int rank, const std::string& path, std::vector<std::int64_t>& sizes) {
  Inflater gzip(packed, path);
  std::uint8_t header[16];
  SIMCLR_CHECK(gzip.read(header, header_bytes(rank)) == header_bytes(rank), "idx: ", path,
               " ends inside its header; fetch it again");
  sizes = parse_header(header, rank, path);
  const std::int64_t promised = product_of(sizes);
  SIMCLR_CHECK(promised / max_deflate_ratio <= static_cast<std::int64_t>(packed.size()), "idx: ", path, " promises ",
               promised, " bytes, more than its ", packed.size(), " packed ones can hold; fetch it again");
  Bytes content(static_cast<std::size_t>(promised));
  const std::int64_t got = gzip.read(content.data(), promised);
  SIMCLR_CHECK(got == promised, "idx: ", path, " holds ", got, " bytes after its header, which promises ", promised,
               "; fetch it again");
  std::uint8_t more;  // reading on also makes zlib compare the checksum
  SIMCLR_CHECK(gzip.read(&more, 1) == 0 && !gzip.input_left(), "idx: ", path, " goes on after the ", promised,
               " bytes that its header promises; fetch it again");
  return content;
}
#else
Bytes unpack(const Bytes&, int, const std::string& path, std::vector<std::int64_t>&) {
  fail("idx: ", path, " is gzipped and this build has no zlib; unpack it with gunzip");
}
#endif

/// What follows the header, whose sizes go to `sizes`.
Bytes read_idx(const std::string& path, int rank, std::vector<std::int64_t>& sizes) {
  Bytes bytes = read_file(path, "idx", max_content);
  if (bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) return unpack(bytes, rank, path, sizes);
  const auto size = static_cast<std::int64_t>(bytes.size());
  SIMCLR_CHECK(size >= header_bytes(rank), "idx: ", path, " has ", size, " bytes, its header alone needs ",
               header_bytes(rank), "; fetch it again");
  sizes = parse_header(bytes.data(), rank, path);
  const std::int64_t promised = product_of(sizes);
  SIMCLR_CHECK(size - header_bytes(rank) == promised, "idx: ", path, " holds ", size - header_bytes(rank),
               " bytes after its header, which promises ", promised, "; fetch it again");
  bytes.erase(bytes.begin(), bytes.begin() + header_bytes(rank));
  return bytes;
}

std::unique_ptr<Dataset> read_pair(const std::string& title, const std::string& images, const std::string& labels,
                                   const std::vector<std::string>& classes) {
  std::vector<std::int64_t> sizes, label_sizes;
  MemoryData data{.samples = {}, .labels = {}, .classes = classes, .description = {}};
  const Bytes label_bytes = read_idx(labels, 1, label_sizes);
  const Bytes pixels = read_idx(images, 3, sizes);
  SIMCLR_CHECK(sizes[0] == label_sizes[0], "idx: ", images, " has ", sizes[0], " pictures, ", labels, " has ",
               label_sizes[0], " labels; give two files that belong together");
  data.samples = Tensor::from(pixels, {sizes[0], sizes[1], sizes[2], 1});
  for (std::size_t i = 0; i < label_bytes.size(); ++i) {
    SIMCLR_CHECK(label_bytes[i] < classes.size(), "idx: label ", i, " of ", labels, " is ", int{label_bytes[i]},
                 ", the largest is ", classes.size() - 1, "; damaged or of another data set");
    data.labels.push_back(label_bytes[i]);
  }
  std::ostringstream line;
  line << title << ": " << data.labels.size() << " pictures " << Shape{sizes[1], sizes[2], 1} << ", " << classes.size()
       << " classes, from " << images;
  data.description = line.str();
  return memory_dataset(std::move(data));
}

/// Of a split, in the names of files.
std::string part_name(Split split) {
  return split == Split::train ? "train" : "t10k";
}

/// DIR/NAME or DIR/NAME.gz, whichever is there.
std::string find_file(const std::string& dir, const std::string& file, const std::string& who = "idx_files") {
  namespace fs = std::filesystem;
  const std::string path = (fs::path(dir) / file).string();
  std::error_code ignored;
  for (const char* ending : {"", ".gz"}) {
    if (fs::exists(path + ending, ignored)) return path + ending;
  }
  fail(who, ": there is no ", path, " or ", path, ".gz; ",
       who == std::string("fashion_mnist") ? "install dataset-fashion-mnist or " : "", "give their folder");
}

}  // namespace

std::unique_ptr<Dataset> idx(const std::string& images, const std::string& labels,
                             const std::vector<std::string>& classes) {
  static const std::vector<std::string> digits = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  return read_pair("idx", images, labels, classes.empty() ? digits : classes);
}

std::unique_ptr<Dataset> idx_files(const std::string& dir, Split split) {
  const std::string part = part_name(split);
  return idx(find_file(dir, part + "-images-idx3-ubyte"), find_file(dir, part + "-labels-idx1-ubyte"));
}

bool is_fashion_mnist(const std::string& dir) {
  constexpr std::uint8_t first_labels[] = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5};
  std::vector<std::int64_t> sizes;
  const Bytes labels = read_idx(find_file(dir, "train-labels-idx1-ubyte"), 1, sizes);
  return labels.size() >= std::size(first_labels) &&
         std::equal(std::begin(first_labels), std::end(first_labels), labels.begin());
}

std::unique_ptr<Dataset> fashion_mnist(const std::string& dir, Split split) {
  const std::string part = part_name(split);
  const std::string images = find_file(dir, part + "-images-idx3-ubyte", "fashion_mnist");
  const std::string labels = find_file(dir, part + "-labels-idx1-ubyte", "fashion_mnist");
  return read_pair(
      std::string("Fashion-MNIST ") + name(split), images, labels,
      {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"});
}

}  // namespace simclr::data
