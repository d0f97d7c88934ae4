#include "targets.h"

#include <simclr/data/pictures/cifar.h>

#include <filesystem>
#include <vector>

namespace simclr::fuzz {
/// The first byte's bits: 1 CIFAR-100; 2 the bytes are followed by zeros up to a whole record; 4 they are the names of
/// the classes, beside one record of zeros.
void cifar(Bytes bytes) {
  static const Folder folder;
  if (bytes.empty()) return;
  const unsigned flags = bytes[0];
  const bool hundred = flags & 1u;
  const std::size_t record = hundred ? 3074 : 3073;
  const std::string names = hundred ? "fine_label_names.txt" : "batches.meta.txt";
  std::vector<std::uint8_t> content(bytes.begin() + 1, bytes.end());
  std::filesystem::remove(folder.path + "/" + names);
  if (flags & 4u) {
    folder.write(names, content);
    content.assign(record, 0);
  } else if (flags & 2u) {
    content.resize((content.size() + record - 1) / record * record);
  }
  folder.write(hundred ? "test.bin" : "test_batch.bin", content);

  std::string message;
  succeeds(
      [&] {
        const auto dataset =
            hundred ? data::cifar100(folder.path, data::Split::test) : data::cifar10(folder.path, data::Split::test);
        const auto classes = static_cast<std::int32_t>(dataset->classes().size());
        if (classes != (hundred ? 100 : 10)) finding("another number of classes");
        for (std::int64_t i = 0; i < dataset->size(); ++i) {
          const data::Sample sample = dataset->sample(i);
          if (sample.bytes.size() != 3072) finding("a sample of another size");
          if (sample.label < 0 || sample.label >= classes) finding("a label of no class");
        }
      },
      message);
}

}  // namespace simclr::fuzz
