#include <simclr/core/error.h>
#include <simclr/core/shape.h>

#include <algorithm>

namespace simclr {

Shape::Shape(std::initializer_list<std::int64_t> sizes) {
  assign(sizes.begin(), sizes.size());
}

Shape::Shape(const std::vector<std::int64_t>& sizes) {
  assign(sizes.data(), sizes.size());
}

void Shape::assign(const std::int64_t* sizes, std::size_t count) {
  SIMCLR_CHECK(count <= max_rank, "shape: ", count, " dimensions, at most ", max_rank, " are supported");
  constexpr std::int64_t limit = std::int64_t{1} << 59;
  std::int64_t numel = 1;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t size = sizes[i];
    SIMCLR_CHECK(size >= 0, "shape: dimension ", i, " is ", size, ", sizes cannot be negative");
    SIMCLR_CHECK(size == 0 || numel <= limit / size, "shape: the product of the sizes overflows");
    numel *= size;
    sizes_[i] = size;
  }
  rank_ = static_cast<int>(count);
  numel_ = numel;
}

std::int64_t Shape::operator[](int i) const {
  const int index = i < 0 ? i + rank_ : i;
  SIMCLR_CHECK(index >= 0 && index < rank_, "shape: dimension ", i, " of ", *this, ", which has rank ", rank_);
  return sizes_[static_cast<std::size_t>(index)];
}

Shape Shape::with_first(std::int64_t size) const {
  SIMCLR_CHECK(rank_ > 0, "shape: a scalar has no first dimension");
  std::vector<std::int64_t> sizes(begin(), end());
  sizes[0] = size;
  return Shape(sizes);
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(size);
  }
  return text + "]";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << to_string(shape);
}

}  // namespace simclr
