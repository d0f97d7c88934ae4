#include "targets.h"

#include <simclr/data/pairs/pair_list.h>
#include <simclr/data/pictures/picture_table.h>
#include <simclr/data/table.h>

#include <sstream>
#include <vector>

#ifdef SIMCLR_FUZZ_EXAMPLES
#include "modalities/imagenet_sets.h"
#endif

namespace simclr::fuzz {
namespace {

void rows(const std::string& path, std::size_t bytes) {
  data::TableReader rows(path);
  std::size_t columns = 0;
  for (std::int64_t before = 0; rows.next(); before = rows.line()) {
    if (rows.line() <= before) finding("a row that is not behind the one before");
    if (rows.line() > static_cast<std::int64_t>(bytes)) finding("more lines than bytes");
    if (!rows.problem().empty()) continue;
    if (columns == 0) columns = rows.fields().size();
    if (rows.fields().empty() || rows.fields().size() != columns) finding("a row of another number of fields");
    std::size_t length = 0;
    for (const std::string& field : rows.fields()) length += field.size();
    if (length > bytes) finding("fields longer than the file");
  }
}

/// As a list of pictures, of which a.png and b are there.
void pictures(const std::string& path) {
  const data::PictureTable table = data::read_picture_table(path);
  const data::PictureList& list = table.pictures;
  if (list.files.empty() || list.labels.size() != list.files.size()) finding("another number of labels than of files");
  std::vector<bool> seen(list.classes.size());
  for (const std::int32_t label : list.labels) {
    if (label < -1 || label >= std::ssize(list.classes)) finding("a label of no class");
    if (label >= 0) seen[static_cast<std::size_t>(label)] = true;
  }
  for (const bool one : seen) {
    if (!one) finding("a class without a picture");
  }
  if (!table.part_of.empty() && table.part_of.size() != list.files.size())
    finding("another number of parts than files");
  for (const std::uint32_t part : table.part_of) {
    if (part >= table.parts.size()) finding("a picture of no part");
  }
  for (const std::string& warning : list.warnings) {
    if (warning.find('\n') != std::string::npos) finding("a warning is not one line: " + warning);
  }
  if (list.left_out.text().find('\n') != std::string::npos) finding("no one line: " + list.left_out.text());
  std::istringstream lines(table.columns);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(path + ": ")) finding("a line that does not begin with the list: " + line);
  }
}

/// As a list of pairs, of which a.png and b are there.
void pairs(const std::string& path) {
  const data::PairList list =
      data::read_pair_list(path, "", [](std::string_view value) { return value.ends_with(".png") || value == "b"; });
  const auto count = static_cast<std::size_t>(list.size());
  if (count == 0 || list.groups.size() != count || list.labels.size() != count)
    finding("pairs without a group or label");
  if (!list.part_of.empty() && list.part_of.size() != count) finding("another number of parts than pairs");
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t s = 0; s < 2; ++s) {
      const std::int32_t half = list.pairs[i][s];
      if (half < 0 || half >= std::ssize(list.sides[s].halves)) finding("a pair of no half");
      if (list.sides[s].groups[static_cast<std::size_t>(half)] != list.groups[i]) finding("a half of another group");
    }
    if (list.labels[i] < -1 || list.labels[i] >= std::ssize(list.classes)) finding("a label of no class");
  }
  for (const auto* lines : {&list.warnings, &list.left_out}) {
    for (const std::string& line : *lines) {
      if (line.find('\n') != std::string::npos) finding("no one line: " + line);
    }
  }
}

#ifdef SIMCLR_FUZZ_EXAMPLES
/// As the classes of ImageNet's and Tiny-ImageNet's validation pictures.
void annotations(const std::string& folder) {
  data::PictureList part{.dir = folder, .files = {}};
  part.files.push_back("images/a.png");
  part.left_out.files[".txt"] = 1;
  if (annotate(part).empty()) finding("annotations that are not found");
  if (part.labels.size() != part.files.size()) finding("a picture without a place for its label");
  for (const std::int32_t label : part.labels) {
    if (label < -1 || label >= std::ssize(part.classes)) finding("a label of no class");
  }
  for (const std::string& name : part.classes) {
    if (name.empty()) finding("a class without a name");
  }
}

/// As the words of their classes.
void words(const std::string& folder) {
  Datasets sets;
  sets.train = sets.labelled = data::memory_dataset(
      {.samples = Tensor::zeros({1, 1, 1, 1}, DType::u8), .labels = {0}, .classes = {"n1"}, .description = ""});
  add_class_words(sets, folder);
  if (!sets.train->classes().front().starts_with("n1")) finding("a class without its number");
}
#endif

}  // namespace

void table(Bytes bytes) {
  static const MemoryFile file;
  static const Folder folder;
  static const bool made = [] {
    for (const char* name : {"list.csv", "tiny/val_annotations.txt", "tiny/words.txt", "kaggle/LOC_val_solution.csv",
                             "kaggle/LOC_synset_mapping.txt"}) {
      folder.link(name, file.path());
    }
    const std::uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    for (const char* name : {"a.png", "b"}) folder.write(name, png);
    return true;
  }();
  file.write(bytes);
  std::string message;
  succeeds([&] { rows(file.path(), bytes.size()); }, message);
  if (made) succeeds([&] { pictures(folder.path + "/list.csv"); }, message);
  if (made) succeeds([&] { pairs(folder.path + "/list.csv"); }, message);
#ifdef SIMCLR_FUZZ_EXAMPLES
  for (const char* set : {"/tiny", "/kaggle/val"}) {
    succeeds([&] { annotations(folder.path + set); }, message);
    succeeds([&] { words(folder.path + set); }, message);
  }
#endif
}

}  // namespace simclr::fuzz
