#include "targets.h"

#include <simclr/data/pictures/idx.h>

#include <algorithm>

namespace simclr::fuzz {

void idx(Bytes bytes) {
  static const MemoryFile images, labels;
  if (bytes.size() < 2) return;
  const std::size_t length = std::min<std::size_t>(bytes[0] + 256u * bytes[1], bytes.size() - 2);
  labels.write(bytes.subspan(2, length));
  images.write(bytes.subspan(2 + length));

  std::string message;
  succeeds(
      [&] {
        const auto dataset = data::idx(images.path(), labels.path());
        for (std::int64_t i = 0; i < dataset->size(); ++i) {
          const data::Sample sample = dataset->sample(i);
          if (static_cast<std::int64_t>(sample.bytes.size()) != sample.shape.numel())
            finding("a sample of another size");
          if (sample.label < 0 || sample.label > 9 || sample.label != dataset->label(i)) finding("a label of no class");
        }
      },
      message);
}

}  // namespace simclr::fuzz
