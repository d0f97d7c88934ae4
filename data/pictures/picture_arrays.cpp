#include "array_pixels.h"
#include "image_codecs.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/free_memory.h>
#include <simclr/data/pictures/picture_arrays.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::int64_t max_label = 65535;

std::vector<std::int32_t> labels_from(const NpyArray& array, std::int64_t count) {
  const NpyHeader& h = array.header();
  const auto& s = h.shape;
  SIMCLR_CHECK((h.kind == 'i' || h.kind == 'u' || h.kind == 'b') && h.value_bytes <= 8, array.name(),
               ": labels of type ", h.descr, " are no integers; save .astype('int64'), or leave them out");
  SIMCLR_CHECK(s.size() == 1 || (s.size() == 2 && s[1] == 1), array.name(), ": labels of shape ", h.shape_text(),
               ", [N] or [N,1] is needed: one class a picture");
  SIMCLR_CHECK(s[0] == count, array.name(), ": ", s[0], " labels for ", count,
               " pictures; give two arrays that belong together");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(h.bytes()));
  array.read(0, bytes);
  std::vector<std::int32_t> labels;
  const auto size = static_cast<std::size_t>(h.value_bytes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    std::uint64_t value = 0;
    for (std::size_t b = 0; b < size; ++b) value = value << 8 | bytes[i * size + (h.big_endian ? b : size - 1 - b)];
    const bool negative = h.kind == 'i' && (value >> (8 * size - 1) & 1) != 0;
    if (negative && size < 8) value |= ~std::uint64_t{0} << (8 * size);
    const auto number = static_cast<std::int64_t>(value);
    const bool known = negative ? number == -1 : value <= max_label;
    SIMCLR_CHECK(known, array.name(), ": label ", i, " is ", negative ? std::to_string(number) : std::to_string(value),
                 "; classes count from 0 to at most ", max_label, ", -1 is none");
    labels.push_back(static_cast<std::int32_t>(number));
  }
  return labels;
}

class PictureArray final : public Dataset {
 public:
  PictureArray(std::shared_ptr<const NpyArray> array, const NpyArray* labels)
      : array_(std::move(array)), pixels_(array_pixels(array_->header(), true, array_->name())) {
    if (array_->header().fortran_order && array_->in_memory().empty()) read_whole();
    labels_.assign(static_cast<std::size_t>(pixels_.count), -1);
    if (labels != nullptr) labels_ = labels_from(*labels, pixels_.count);
    const std::int32_t largest = *std::max_element(labels_.begin(), labels_.end());
    for (std::int32_t i = 0; i <= largest; ++i) classes_.push_back(std::to_string(i));
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
