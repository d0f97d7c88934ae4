#include "array_pixels.h"
#include "image_codecs.h"
#include "numbered_labels.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/free_memory.h>
#include <simclr/data/pictures/picture_arrays.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <utility>

namespace simclr::data {
namespace {

void check_labels(const NpyArray& array, std::int64_t count) {
  const NpyHeader& h = array.header();
  const auto& s = h.shape;
  const bool texts = h.kind == 'S' || h.kind == 'U';
  const bool whole = (h.kind == 'i' || h.kind == 'u' || h.kind == 'b') && h.value_bytes <= 8;
  const bool floats = h.kind == 'f' && (h.value_bytes == 4 || h.value_bytes == 8);
  SIMCLR_CHECK(whole || floats, array.name(), ": labels of type ", h.descr, " are ",
               texts ? "texts; save np.unique(y, return_inverse=True)[1]" : "no integers; save .astype('int64')",
               ", or leave them out");
  SIMCLR_CHECK(s.size() == 1 || (s.size() == 2 && s[1] == 1), array.name(), ": labels of shape ", h.shape_text(),
               ", [N] or [N,1] is needed: one class a picture; of one-hot labels save y.argmax(1)");
  SIMCLR_CHECK(s[0] == count, array.name(), ": ", s[0], " labels for ", count,
               " pictures; give two arrays that belong together");
}

/// What is no class, nor none.
template <class T>
[[noreturn]] void bad_label(const NpyArray& array, std::size_t i, T label) {
  std::ostringstream text;
  text << label;
  fail(array.name(), ": label ", i, " is ", text.str(), "; classes are whole numbers from 0 on, -1",
       array.header().kind == 'f' ? " or NaN" : "", " is none; mend it, or leave the labels out");
}

/// A floating-point label, as tables have them where some are missing.
std::int64_t whole_label(const NpyArray& array, std::size_t i, double label) {
  constexpr double exact = 9007199254740992;  // 2^53, beyond which not every whole number is one of them
  if (std::isnan(label)) return NumberedLabels::none;
  if (label != std::floor(label) || label < -1 || label > exact) bad_label(array, i, label);
  return static_cast<std::int64_t>(label);
}

std::vector<std::int64_t> labels_from(const NpyArray& array, std::int64_t count) {
  check_labels(array, count);
  const NpyHeader& h = array.header();
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(h.bytes()));
  array.read(0, bytes);
  std::vector<std::int64_t> labels;
  const auto size = static_cast<std::size_t>(h.value_bytes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    std::uint64_t value = 0;
    for (std::size_t b = 0; b < size; ++b) value = value << 8 | bytes[i * size + (h.big_endian ? b : size - 1 - b)];
    if (h.kind == 'f') {
      labels.push_back(whole_label(
          array, i,
          size == 8 ? std::bit_cast<double>(value) : std::bit_cast<float>(static_cast<std::uint32_t>(value))));
      continue;
    }
    const bool negative = h.kind == 'i' && (value >> (8 * size - 1) & 1) != 0;
    if (negative && size < 8) value |= ~std::uint64_t{0} << (8 * size);
    const auto number = static_cast<std::int64_t>(value);
    if (negative && number != -1) bad_label(array, i, number);
    if (!negative && number < 0) bad_label(array, i, value);  // above 2^63
    labels.push_back(number);
  }
  return labels;
}

class PictureArray final : public Dataset {
 public:
  PictureArray(std::shared_ptr<const NpyArray> array, const NpyArray* labels)
      : array_(std::move(array)), pixels_(array_pixels(array_->header(), ArrayOf::pictures, array_->name())) {
    if (array_->header().fortran_order && array_->in_memory().empty()) read_whole();
    if (labels == nullptr) {
      labels_.assign(static_cast<std::size_t>(pixels_.count), -1);
      return;
    }
    NumberedLabels numbered(labels_from(*labels, pixels_.count));
    labels_ = std::move(numbered.labels);
    classes_ = std::move(numbered.classes);
  }

  std::int64_t size() const override { return pixels_.count; }

  Sample sample(std::int64_t i, int) const override {
    Sample sample;
    sample.label = label(i);
    sample.shape = shape();
    sample.dtype = pixels_.dtype;
    const NpyHeader& header = array_->header();
    const std::int64_t begin = i * pixels_.picture_step * header.value_bytes;
    auto bytes = whole_.empty() ? array_->in_memory() : std::span<const std::uint8_t>(whole_);
    if (!bytes.empty()) {
      bytes = bytes.subspan(static_cast<std::size_t>(begin));
    } else {
      const auto values = vector_of(pixels_.values() * header.value_bytes);
      array_->read(begin, *values);
      bytes = *values;
      sample.owner = values;
    }
    if (pixels_.as_they_are && is_aligned(bytes.data())) {
      bytes = bytes.first(static_cast<std::size_t>(pixels_.bytes()));
    } else {
      const auto picture = vector_of(pixels_.bytes());
      read_pixels(header, pixels_, bytes, *picture, name_of(i));
      bytes = *picture;
      sample.owner = picture;
    }
    if (pixels_.dtype == DType::f32) check_finite(bytes, pixels_.width, pixels_.channels, name_of(i));
    sample.finite = true;
    sample.bytes = std::as_bytes(bytes);
    return sample;
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "picture_array: picture ", i, " of ", size());
    return labels_[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return classes_; }

  std::string describe() const override {
    std::ostringstream line;
    line << counted(size(), "picture") << " " << shape() << ", ";
    if (pixels_.dtype != DType::u8) line << name(pixels_.dtype) << ", ";
    if (classes_.empty()) {
      line << "unlabelled";
    } else {
      line << counted(std::ssize(classes_), "class", "es");
      const auto none = std::count(labels_.begin(), labels_.end(), -1);
      if (none > 0) line << " (" << none << " without a label)";
    }
    line << ", from " << array_->name();
    return line.str();
  }

 private:
  static std::shared_ptr<std::vector<std::uint8_t>> vector_of(std::int64_t bytes) {
    return std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(bytes));
  }

  /// In Fortran order a picture's values lie all over the file.
  void read_whole() {
    const std::int64_t bytes = array_->header().bytes(), free = free_memory();
    SIMCLR_CHECK(bytes <= free, array_->name(), ": lies in Fortran order, which needs its ", bytes,
                 " bytes in memory, and ", free, " are free; save np.ascontiguousarray(x) instead");
    whole_.resize(static_cast<std::size_t>(bytes));
    array_->read(0, whole_);
  }

  Shape shape() const { return {pixels_.height, pixels_.width, pixels_.channels}; }
  std::string name_of(std::int64_t i) const { return array_->name() + ", picture " + std::to_string(i); }
  bool is_aligned(const std::uint8_t* at) const {
    return reinterpret_cast<std::uintptr_t>(at) % static_cast<std::uintptr_t>(size_of(pixels_.dtype)) == 0;
  }

  std::shared_ptr<const NpyArray> array_;
  ArrayPixels pixels_;
  std::vector<std::uint8_t> whole_;  // its values, where it was read into memory
  std::vector<std::int32_t> labels_;
  std::vector<std::string> classes_;
};

}  // namespace

std::unique_ptr<Dataset> picture_array(std::shared_ptr<const NpyArray> pictures,
                                       const std::shared_ptr<const NpyArray>& labels) {
  return std::make_unique<PictureArray>(std::move(pictures), labels.get());
}

}  // namespace simclr::data
