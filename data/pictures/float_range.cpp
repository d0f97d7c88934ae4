#include <simclr/core/text.h>
#include <simclr/data/pictures/float_range.h>

#include <algorithm>
#include <sstream>

namespace simclr::data {

void FloatRange::add(std::span<const float> values) {
  ++samples_;
  for (const float value : values) {
    low_ = values_ == 0 ? value : std::min(low_, value);
    high_ = values_ == 0 ? value : std::max(high_, value);
    outside_ += value < 0 || value > 1 ? 1 : 0;
    ++values_;
  }
}

double FloatRange::outside() const {
  return values_ == 0 ? 0 : static_cast<double>(outside_) / static_cast<double>(values_);
}

std::string FloatRange::text() const {
  std::ostringstream line;
  line << "the " << sample_ << "s' floating-point values go from " << low_ << " to " << high_;
  return line.str();
}

std::string FloatRange::remedy() const {
  // In all likelihood: what was looked at need not hold the least and the greatest value of all.
  if (low_ >= 0) return high_ > 128 && high_ <= 255 ? "save x / 255" : "save x / x.max()";
  return low_ >= -1 && high_ <= 1 ? "save (x + 1) / 2" : "save (x - x.min()) / (x.max() - x.min())";
}

std::string FloatRange::warning() const {
  if (outside() <= much) return {};
  return text() + " in the " + counted(samples_, sample_) +
         " looked at, and what lies outside of 0 to 1 becomes 0 or 1; " + remedy();
}

}  // namespace simclr::data
