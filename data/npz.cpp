#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/free_memory.h>
#include <simclr/data/npz.h>

#ifdef SIMCLR_HAVE_ARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#endif

#include <filesystem>
#include <utility>

namespace simclr::data {
#ifdef SIMCLR_HAVE_ARCHIVE
namespace {

// DEFLATE, NumPy's only packing, cannot shrink further than this.
constexpr std::int64_t max_deflate_ratio = 1032;

/// libarchive gives names in the locale's letters, of which C, every program's first, has none beyond ASCII.
class Utf8Names {
 public:
  Utf8Names() : names_(newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
    if (names_ != locale_t{}) before_ = uselocale(names_);
  }
  ~Utf8Names() {
    if (names_ == locale_t{}) return;
    uselocale(before_);
    freelocale(names_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t names_, before_{};  // of this thread
};

class Zip {
 public:
  explicit Zip(const std::string& path) : path_(path), zip_(archive_read_new()) {
    SIMCLR_CHECK(zip_ != nullptr, "npz: no memory to read ", path);
    archive_read_support_format_zip_seekable(zip_);
    if (archive_read_open_filename(zip_, path.c_str(), 1 << 16) != ARCHIVE_OK) {
      const std::string why = problem();
      archive_read_free(zip_);
      fail("npz: cannot read ", path, ": ", why, "; save or fetch it again");
    }
  }
  ~Zip() { archive_read_free(zip_); }
  Zip(const Zip&) = delete;
  Zip& operator=(const Zip&) = delete;

  /// The next member's name without ".npy"; false: there is none.
  bool next(std::string& name) {
    constexpr std::string_view ending = ".npy";
    const Utf8Names utf8;
    for (;;) {
      ++count_;
      const int result = archive_read_next_header(zip_, &entry_);
      if (result == ARCHIVE_EOF) return false;
      // A warning is of a name that has no letters even so: then its number stands for it.
      SIMCLR_CHECK(result == ARCHIVE_OK || result == ARCHIVE_WARN, "npz: ", path_, " is no whole .npz file (",
                   problem(), "); save or fetch it again");
      const char* text = archive_entry_pathname_utf8(entry_);
      if (text == nullptr) text = archive_entry_pathname(entry_);
      name = text == nullptr ? "#" + std::to_string(count_) + ".npy" : text;
      if (!name.ends_with(ending)) continue;
      name.resize(name.size() - ending.size());
      return true;
    }
  }

  /// All of the member that next() came to.
  std::vector<std::uint8_t> read(const std::string& name) {
    SIMCLR_CHECK(archive_entry_size_is_set(entry_) != 0 && archive_entry_is_encrypted(entry_) == 0, name,
                 ": is encrypted or of unknown size; save it again by np.savez");
    const std::int64_t size = archive_entry_size(entry_), free = free_memory();
    std::error_code error;
    const auto packed = static_cast<std::int64_t>(std::filesystem::file_size(path_, error));
    SIMCLR_CHECK(!error && size / max_deflate_ratio <= packed, name, ": promises ", size, " bytes, more than the ",
                 packed, " of its file can hold; save or fetch it again");
    SIMCLR_CHECK(size <= free, name, ": needs ", size, " bytes of memory, ", free,
                 " are free; save it by np.save: a .npy file is not read into memory");
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
    std::int64_t done = 0;
    while (done < size) {
      const auto got = archive_read_data(zip_, bytes.data() + done, static_cast<std::size_t>(size - done));
      SIMCLR_CHECK(got > 0, name, ": cannot be unpacked (", got == 0 ? "it ends too early" : problem(),
                   "); save or fetch it again");
      done += got;
    }
    std::uint8_t more = 0;  // reading on also compares the checksum
    SIMCLR_CHECK(archive_read_data(zip_, &more, 1) == 0, name, ": is damaged (", problem(),
                 "); save or fetch it again");
    return bytes;
  }

 private:
  std::string problem() const {
    const char* text = archive_error_string(zip_);
    return text == nullptr ? "damaged" : printable(text);
  }

  const std::string path_;
  archive* zip_;
  archive_entry* entry_ = nullptr;
  std::int64_t count_ = 0;  // of members that next() came to
};

}  // namespace

std::vector<std::string> list_npz(const std::string& path) {
  Zip zip(path);
  std::vector<std::string> names;
  for (std::string name; zip.next(name);) names.push_back(name);
  return names;
}

std::shared_ptr<const NpyArray> read_npz(const std::string& path, const std::string& name) {
  Zip zip(path);
  for (std::string each; zip.next(each);) {
    const std::string title = path + " (" + printable(name) + ")";
    if (each == name) return npy_in_memory(zip.read(title), title);
  }
  fail("npz: ", path, " holds no array ", printable(name));
}
#else
namespace {
[[noreturn]] void no_archive(const std::string& path) {
  fail("npz: ", path,
       ": this build reads no .npz; install libarchive-dev and build again, or save each array by np.save");
}
}  // namespace

std::vector<std::string> list_npz(const std::string& path) {
  no_archive(path);
}

std::shared_ptr<const NpyArray> read_npz(const std::string& path, const std::string&) {
  no_archive(path);
}
#endif

}  // namespace simclr::data
