// read_sounds RATE: reads the recordings whose paths stand in the lines of its input. Of each it writes "RATE SAMPLES"
// and the samples, f32; of one that cannot be read "0 BYTES" and the error.
// read_sounds RATE folder DIR PATTERN FIELD VALUES, read_sounds RATE table FILE FIELD VALUES: lists and splits them,
// and prints how many are in train and test, how many speakers are in both, and what the test part is.

#include <simclr/core/error.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_list.h>

#include <iostream>
#include <string>
#include <utility>

using namespace simclr::data;

namespace {

void read_all(std::int32_t rate) {
  for (std::string path; std::getline(std::cin, path);) {
    try {
      const Sound sound = read_sound(path, rate);
      std::cout << sound.rate << ' ' << sound.samples.size() << '\n';
      std::cout.write(reinterpret_cast<const char*>(sound.samples.data()),
                      static_cast<std::streamsize>(sound.samples.size() * sizeof(float)));
    } catch (const simclr::Error& error) {
      const std::string what = error.what();
      std::cout << "0 " << what.size() << '\n' << what;
    }
  }
}

void split(const FieldList& list, std::int32_t rate, const std::string& field, const std::string& values) {
  const FieldListParts parts = split_list(list, field, values_of(values));
  const char* group = list.field("speaker") ? "speaker" : "fold";
  std::cout << parts.train.size() << ' ' << parts.test.size() << ' '
            << shared_values(*parts.train.field(group), *parts.test.field(group)).size() << ' '
            << parts.test.field(group)->values.size() << '\n'
            << sound_folder(parts.test, rate)->describe() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::int32_t rate = argc > 1 ? std::stoi(argv[1]) : 0;
    const std::string kind = argc > 2 ? argv[2] : "";
    if (kind == "folder") split(list_sounds(argv[3], argv[4]), rate, argv[5], argv[6]);
    if (kind == "table") split(read_sound_table(argv[3]), rate, argv[4], argv[5]);
    if (kind.empty()) read_all(rate);
  } catch (const simclr::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
