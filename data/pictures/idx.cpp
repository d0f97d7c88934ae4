#include "../file.h"
#include "numbered_labels.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/idx.h>

#ifdef SIMCLR_HAVE_ZLIB
#include <zlib.h>
#endif

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <system_error>
#include <tuple>
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
               rank == 3 ? "pictures" : "labels", " have ", 0x0800 + rank, "; ",
               word(0) == 0x0804 ? "of several channels save an array: .npy"
               : rank == 3       ? "give the -images-idx3-ubyte file"
                                 : "give the -labels-idx1-ubyte file");
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

std::vector<std::int64_t> unpack_header(Inflater& gzip, int rank, const std::string& path) {
  std::uint8_t header[16];
  SIMCLR_CHECK(gzip.read(header, header_bytes(rank)) == header_bytes(rank), "idx: ", path,
               " ends inside its header; fetch it again");
  return parse_header(header, rank, path);
}

std::vector<std::int64_t> packed_sizes(const Bytes& begin, int rank, const std::string& path) {
  Inflater gzip(begin, path);
  return unpack_header(gzip, rank, path);
}

Bytes unpack(const Bytes& packed, int rank, const std::string& path, std::vector<std::int64_t>& sizes) {
  Inflater gzip(packed, path);
  sizes = unpack_header(gzip, rank, path);
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
std::vector<std::int64_t> packed_sizes(const Bytes&, int, const std::string& path) {
  fail("idx: ", path, " is gzipped and this build has no zlib; unpack it with gunzip");
}

Bytes unpack(const Bytes& packed, int rank, const std::string& path, std::vector<std::int64_t>&) {
  packed_sizes(packed, rank, path);
  return {};
}
#endif

bool is_packed(const Bytes& begin) {
  return begin.size() >= 2 && begin[0] == 0x1f && begin[1] == 0x8b;
}

/// What the header says, of a file that begins with `begin`.
std::vector<std::int64_t> sizes_in(const Bytes& begin, int rank, const std::string& path) {
  if (is_packed(begin)) return packed_sizes(begin, rank, path);
  SIMCLR_CHECK(std::ssize(begin) >= header_bytes(rank), "idx: ", path, " has ", begin.size(),
               " bytes, its header alone needs ", header_bytes(rank), "; fetch it again");
  return parse_header(begin.data(), rank, path);
}

/// What follows the header, whose sizes go to `sizes`.
Bytes read_idx(const std::string& path, int rank, std::vector<std::int64_t>& sizes) {
  Bytes bytes = read_file(path, "idx", max_content);
  if (is_packed(bytes)) return unpack(bytes, rank, path, sizes);
  const auto size = static_cast<std::int64_t>(bytes.size());
  sizes = sizes_in(bytes, rank, path);
  const std::int64_t promised = product_of(sizes);
  SIMCLR_CHECK(size - header_bytes(rank) == promised, "idx: ", path, " holds ", size - header_bytes(rank),
               " bytes after its header, which promises ", promised, "; fetch it again");
  bytes.erase(bytes.begin(), bytes.begin() + header_bytes(rank));
  return bytes;
}

using Classes = std::vector<std::string>;

/// A class for each character.
Classes each_of(const std::string& characters) {
  Classes classes;
  for (const char c : characters) classes.emplace_back(1, c);
  return classes;
}

const std::string digits = "0123456789";

/// What the sets of the MNIST family differ in.
struct Family {
  std::string title;
  Classes classes;
  std::uint8_t first_label = 0;
  bool transposed = false;  // the pictures lie column by column
};

/// Turns the pictures [N,height,width] that `sizes` says into [N,width,height].
Bytes transposed(const Bytes& pixels, std::vector<std::int64_t>& sizes) {
  Bytes turned(pixels.size());
  const auto height = static_cast<std::size_t>(sizes[1]), width = static_cast<std::size_t>(sizes[2]);
  for (std::size_t first = 0; first < pixels.size(); first += height * width) {
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) turned[first + x * height + y] = pixels[first + y * width + x];
    }
  }
  std::swap(sizes[1], sizes[2]);
  return turned;
}

std::unique_ptr<Dataset> read_unlabelled(const std::string& images) {
  std::vector<std::int64_t> sizes;
  MemoryData data;
  const Bytes pixels = read_idx(images, 3, sizes);
  data.samples = Tensor::from(pixels, {sizes[0], sizes[1], sizes[2], 1});
  data.labels.assign(static_cast<std::size_t>(sizes[0]), -1);
  std::ostringstream line;
  line << "idx: " << sizes[0] << " pictures " << Shape{sizes[1], sizes[2], 1} << ", unlabelled, from " << images;
  data.description = line.str();
  return memory_dataset(std::move(data));
}

/// Of each label the class. Throws Error for one that the set does not have.
std::vector<std::int32_t> labels_of(const Family& set, const Bytes& bytes, const std::string& path) {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int label = bytes[i] - set.first_label;
    SIMCLR_CHECK(label < std::ssize(set.classes), "idx: label ", i, " of ", path, " is ", int{bytes[i]},
                 ", the largest is ", set.classes.size() - 1 + set.first_label, "; damaged or of another data set");
    SIMCLR_CHECK(label >= 0, "idx: label ", i, " of ", path, " is ", int{bytes[i]}, ", the smallest is ",
                 int{set.first_label}, "; damaged or of another data set");
    labels.push_back(label);
  }
  return labels;
}

/// Without classes of its own the set has the numbers that occur among the labels.
std::unique_ptr<Dataset> read_pair(Family set, const std::string& images, const std::string& labels) {
  std::vector<std::int64_t> sizes, label_sizes;
  const Bytes label_bytes = read_idx(labels, 1, label_sizes);
  NumberedLabels numbered({label_bytes.begin(), label_bytes.end()});
  const bool own = !set.classes.empty();
  MemoryData data{.samples = {},
                  .labels = own ? labels_of(set, label_bytes, labels) : numbered.labels,
                  .classes = own ? set.classes : numbered.classes,
                  .description = {}};
  Bytes pixels = read_idx(images, 3, sizes);
  SIMCLR_CHECK(sizes[0] == label_sizes[0], "idx: ", images, " has ", sizes[0], " pictures, ", labels, " has ",
               label_sizes[0], " labels; give two files that belong together");
  if (set.transposed) pixels = transposed(pixels, sizes);
  data.samples = Tensor::from(pixels, {sizes[0], sizes[1], sizes[2], 1});
  std::ostringstream line;
  line << set.title << ": " << data.labels.size() << " pictures " << Shape{sizes[1], sizes[2], 1} << ", "
       << data.classes.size() << " classes, from " << images;
  data.description = line.str();
  return memory_dataset(std::move(data));
}

/// Of a split, in the names of files.
std::string published_part(Split split) {
  return split == Split::train ? "train" : "t10k";
}

/// DIR/NAME or DIR/NAME.gz, whichever is there; empty: neither.
std::string file_there(const std::string& dir, const std::string& file) {
  const std::string path = (std::filesystem::path(dir) / file).string();
  std::error_code ignored;
  for (const char* ending : {"", ".gz"}) {
    if (std::filesystem::exists(path + ending, ignored)) return path + ending;
  }
  return {};
}

/// The same, which must be there.
std::string find_file(const std::string& dir, const std::string& file, const std::string& who = "idx_files") {
  if (std::string found = file_there(dir, file); !found.empty()) return found;
  const std::string path = (std::filesystem::path(dir) / file).string();
  fail(who, ": there is no ", path, " or ", path, ".gz; ",
       who == std::string("fashion_mnist") ? "install dataset-fashion-mnist or " : "", "give their folder");
}

/// The files of `dir` whose names begin with `part`.
std::unique_ptr<Dataset> read_part(const Family& set, const std::string& dir, const std::string& part,
                                   const std::string& who) {
  const std::string images = find_file(dir, part + "-images-idx3-ubyte", who);
  return read_pair(set, images, find_file(dir, part + "-labels-idx1-ubyte", who));
}

/// EMNIST's sets by their names in those of the files (Cohen et al., arXiv 1702.05373, table II).
const std::map<std::string, Family>& emnist_families() {
  const std::string upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", lower = "abcdefghijklmnopqrstuvwxyz";
  const auto family = [](const std::string& set, Classes classes, std::uint8_t first = 0) {
    return std::pair(set, Family{"EMNIST " + set, std::move(classes), first, true});
  };
  Classes both;  // cases of a letter
  for (std::size_t i = 0; i < upper.size(); ++i) both.push_back({upper[i], lower[i]});
  const Classes merged = each_of(digits + upper + "abdefghnqrt");  // the others look alike in both cases
  static const std::map<std::string, Family> families = {
      family("balanced", merged), family("byclass", each_of(digits + upper + lower)),
      family("bymerge", merged),  family("digits", each_of(digits)),
      family("letters", both, 1), family("mnist", each_of(digits))};
  return families;
}

}  // namespace

std::unique_ptr<Dataset> idx(const std::string& images, const std::string& labels, const Classes& classes) {
  return read_pair({"idx", classes.empty() ? each_of(digits) : classes}, images, labels);
}

std::unique_ptr<Dataset> idx_files(const std::string& dir, const std::string& part, bool labels) {
  const std::string images = find_file(dir, part + "-images-idx3-ubyte");
  const std::string label_file = labels ? file_there(dir, part + "-labels-idx1-ubyte") : "";
  return label_file.empty() ? read_unlabelled(images) : read_pair({"idx", {}}, images, label_file);
}

std::vector<std::string> idx_parts(const std::string& dir, PartRole role) {
  // The shortest of names that are equally likely; "t10k", whose place is 0, before "test".
  std::set<std::tuple<std::size_t, std::size_t, std::string>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    const std::size_t named = file.find("-images-idx3-ubyte");
    if (named == std::string::npos) continue;  // most of a folder may be none of them
    const std::string part = file.substr(0, named);
    const PartName name = part_name(part);
    const bool published = part == published_part(Split::test);
    if ((published ? PartRole::test : name.role) == role) found.emplace(name.place, part.size(), part);
  }
  std::vector<std::string> parts;
  for (const auto& [place, size, part] : found) {
    if (!file_there(dir, part + "-images-idx3-ubyte").empty()) parts.push_back(part);
  }
  return parts;
}

bool is_fashion_mnist(const std::string& dir) {
  constexpr std::uint8_t first_labels[] = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5};
  std::vector<std::int64_t> sizes;
  const std::string file = file_there(dir, "train-labels-idx1-ubyte");
  if (file.empty()) return false;
  const Bytes labels = read_idx(file, 1, sizes);
  return labels.size() >= std::size(first_labels) &&
         std::equal(std::begin(first_labels), std::end(first_labels), labels.begin());
}

std::int64_t idx_count(const std::string& dir, const std::string& part) {
  constexpr std::int64_t enough = 1 << 17;  // a gzipped file begins with a name, which may be long
  const OpenFile file(find_file(dir, part + "-images-idx3-ubyte"), "idx");
  Bytes begin(static_cast<std::size_t>(std::min(file.size(), enough)));
  const std::string problem = file.read(0, begin);
  SIMCLR_CHECK(problem.empty(), "idx: ", file.path(), ": cannot be read: ", problem);
  return sizes_in(begin, 3, file.path()).front();
}

std::unique_ptr<Dataset> fashion_mnist(const std::string& dir, Split split) {
  return read_part(
      {std::string("Fashion-MNIST ") + name(split),
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
      dir, published_part(split), "fashion_mnist");
}

std::unique_ptr<Dataset> mnist(const std::string& dir, Split split) {
  return read_part({std::string("MNIST ") + name(split), each_of(digits)}, dir, published_part(split), "mnist");
}

std::unique_ptr<Dataset> kmnist(const std::string& dir, Split split) {
  return read_part({std::string("KMNIST ") + name(split), {"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"}},
                   dir, published_part(split), "kmnist");
}

std::vector<std::string> emnist_sets(const std::string& dir) {
  std::vector<std::string> sets;
  for (const auto& [set, family] : emnist_families()) {
    if (!file_there(dir, "emnist-" + set + "-train-images-idx3-ubyte").empty()) sets.push_back(set);
  }
  return sets;
}

std::unique_ptr<Dataset> emnist(const std::string& dir, const std::string& set, Split split) {
  const auto found = emnist_families().find(set);
  SIMCLR_CHECK(found != emnist_families().end(), "emnist: there is no set \"", set,
               "\"; it has balanced, byclass, bymerge, digits, letters and mnist");
  Family family = found->second;
  family.title += std::string(" ") + name(split);
  return read_part(family, dir, "emnist-" + set + "-" + name(split), "emnist");
}

}  // namespace simclr::data
