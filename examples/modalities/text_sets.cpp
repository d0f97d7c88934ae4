#include "modalities/text_sets.h"

#include "run/data_places.h"
#include "train/test_part.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
using data::TextList;

namespace {

/// A set that is published as files of these names.
struct PublishedTexts {
  const char* kind;
  const char* name;
  std::vector<std::pair<const char*, const char*>> files;  // and the label of all its lines; empty: each has its own
};

const std::vector<PublishedTexts>& published_texts() {
  static const std::vector<PublishedTexts> all = {
      {"mr", "movie reviews", {{"rt-polarity.neg", "negative"}, {"rt-polarity.pos", "positive"}}},
      {"subj", "subjectivity", {{"subj.objective", "objective"}, {"subj.subjective", "subjective"}}},
      {"trec", "TREC's questions", {{"TREC.train", ""}, {"TREC.test", ""}}}};
  return all;
}

bool lies_there(const PublishedTexts& set, const std::string& folder) {
  return std::all_of(set.files.begin(), set.files.end(), [&](const auto& file) {
    std::error_code error;
    return fs::is_regular_file(fs::path(folder) / file.first, error);
  });
}

bool is_question_file(const std::string& path) {
  return fs::path(path).filename().string().starts_with("TREC.");
}

/// The tables of a folder whose names begin so, in order.
std::vector<std::string> tables_in(const std::string& folder, const std::string& begin) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = simclr::lower_case(entry.path().filename().string());
    if (name.starts_with(begin) && data::is_table_name(name) && entry.is_regular_file(error)) {
      found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// A set of texts in its parts.
struct Parts {
  explicit Parts(const std::string& place) : train(place), test(place) {}

  /// A fifth of `all` becomes the test part, where there is something to tell apart.
  void part(const TextList& all) {
    if (all.classes().size() < 2) {
      train.append(all);
      return;
    }
    std::vector<std::int64_t> of[2];
    for (std::int64_t i = 0; i < all.size(); ++i) {
      const bool tests = all.label(i) >= 0 && data::is_test_text(data::digest_of_text(all[i]));
      of[tests ? 1 : 0].push_back(i);
    }
    train.append(all.selected(of[0]));
    test.append(all.selected(of[1]));
    train.take_losses(all);
    how = "a fifth of the labelled texts is kept for the evaluation, by a digest of their words";
  }

  TextList train, test;
  std::string how = {};  // the parts came about
  std::vector<std::string> notes = {};
};

void add_table(const std::string& path, Parts& parts) {
  data::TextTable table = data::read_text_table(path);
  parts.notes.push_back(table.texts.columns);
  if (table.parts.empty()) return parts.part(table.texts);
  std::vector<std::int64_t> train, test;
  std::set<std::string> others;
  for (std::int64_t i = 0; i < table.texts.size(); ++i) {
    const std::int32_t part = table.part_of[static_cast<std::size_t>(i)];
    const std::string name = part < 0 ? "" : simclr::lower_case(table.parts[static_cast<std::size_t>(part)]);
    if (name == "test") {
      test.push_back(i);
    } else if (name == "train" || name == "training" || name.empty()) {
      train.push_back(i);
    } else {
      others.insert(table.parts[static_cast<std::size_t>(part)]);
    }
  }
  const std::int64_t left = table.texts.size() - std::ssize(train) - std::ssize(test);
  if (left > 0) {
    parts.notes.push_back("not used: " + simclr::counted(left, "text") + " of the part " +
                          simclr::listed({others.begin(), others.end()}, 4));
  }
  SIMCLR_CHECK(!train.empty(), simclr::printable(path), ": its column of parts says train of no text");
  parts.train.append(table.texts.selected(train));
  parts.test.append(table.texts.selected(test));
  parts.train.take_losses(table.texts);
}

Parts read_published(const PublishedTexts& set, const std::string& folder) {
  Parts parts(folder);
  const auto path = [&](const char* name) { return (fs::path(folder) / name).string(); };
  if (set.kind == std::string("trec")) {
    parts.train.append(data::read_question_lines(path("TREC.train")));
    parts.test.append(data::read_question_lines(path("TREC.test")));
    parts.train.sort_classes();
    return parts;
  }
  TextList all(folder);
  for (const auto& [name, label] : set.files) all.append(data::read_text_lines(path(name), label));
  all.sort_classes();
  parts.part(all);
  return parts;
}

/// A file, or a folder of tables.
Parts read_place(const std::string& place) {
  Parts parts(place);
  std::error_code error;
  if (fs::is_directory(place, error)) {
    const auto train = tables_in(place, "train"), test = tables_in(place, "test");
    SIMCLR_CHECK(!train.empty(), simclr::printable(place),
                 ": holds neither movie reviews (rt-polarity.pos, rt-polarity.neg), subjectivity (subj.objective, "
                 "subj.subjective) nor TREC's questions (TREC.train, TREC.test), nor a table train.tsv or train.csv; "
                 "give a file of lines, or a table");
    for (const std::string& path : train) {
      if (test.empty()) {
        add_table(path, parts);
      } else {
        const data::TextTable table = data::read_text_table(path);
        parts.notes.push_back(table.texts.columns);
        parts.train.append(table.texts);
      }
    }
    for (const std::string& path : test) {
      const TextList tested = data::read_text_table(path).texts;
      parts.notes.push_back(tested.columns);
      parts.test.append(tested);
    }
    parts.train.sort_classes();
    return parts;
  }
  if (data::is_table_name(place)) {
    add_table(place, parts);
  } else if (is_question_file(place)) {
    parts.part(data::read_question_lines(place));
  } else {
    parts.train.append(data::read_text_lines(place));
  }
  return parts;
}

/// The published set that the kind names, or of `auto` the one that the folder holds; null: none is.
const PublishedTexts* chosen_set(const std::string& kind, const std::string& place) {
  std::vector<const PublishedTexts*> there;
  std::string names;
  for (const PublishedTexts& set : published_texts()) {
    const bool lies = lies_there(set, place);
    if (kind == set.kind) {
      SIMCLR_CHECK(lies, "--dataset ", kind, ": ", simclr::printable(place), " does not hold ", set.files[0].first,
                   " and ", set.files[1].first, "; give the folder that holds them");
      return &set;
    }
    if (!lies) continue;
    there.push_back(&set);
    names += (names.empty() ? "" : ", ") + std::string(set.kind);
  }
  if (kind != "auto") return nullptr;
  SIMCLR_CHECK(there.size() <= 1, simclr::printable(place),
               ": holds several sets; say by --dataset which one is "
               "evaluated on: ",
               names);
  return there.empty() ? nullptr : there.front();
}

/// Puts the parts together so that no text is trained on that is tested with, and none twice.
class Gathered {
 public:
  explicit Gathered(const std::string& places) : texts(places) {}

  void forbid(const TextList& tested) {
    for (std::int64_t i = 0; i < tested.size(); ++i) tested_.insert(data::digest_of_text(tested[i]));
  }

  void add(const TextList& more, bool labels) {
    std::vector<std::int64_t> fresh;
    for (std::int64_t i = 0; i < more.size(); ++i) {
      const std::uint64_t digest = data::digest_of_text(more[i]);
      if (tested_.contains(digest)) {
        ++tested_with_;
      } else if (!seen_.insert(digest).second) {
        ++repeated_;
      } else {
        fresh.push_back(i);
      }
    }
    texts.append(more.selected(fresh), labels);
    texts.take_losses(more);
  }

  std::string note() const {
    std::string line;
    if (tested_with_ > 0) line = simclr::counted(tested_with_, "text") + " that say what a test text says";
    if (repeated_ > 0) line += (line.empty() ? "" : ", and ") + simclr::counted(repeated_, "repeated text");
    return line.empty() ? "" : "not trained on: " + line;
  }

  TextList texts;

 private:
  std::unordered_set<std::uint64_t> tested_, seen_;
  std::int64_t tested_with_ = 0, repeated_ = 0;
};

/// Of all texts: a file may change and keep its size.
std::string digest_of(const std::vector<const TextList*>& lists) {
  simclr::Crc64 digest;
  for (const TextList* list : lists) {
    for (std::int64_t i = 0; i < list->size(); ++i) {
      const std::string_view text = (*list)[i];
      digest.update(text.data(), text.size());
      digest.update("", 1);
    }
  }
  return simclr::hex(digest.value());
}

/// Keeps a test part out of what is trained on, and its digest in sets.within. `is_own`: of the set that is evaluated
/// on.
void forbid(const TextList& tested, bool is_own, Gathered& gathered, TextSets& sets) {
  gathered.forbid(tested);
  if (tested.size() == 0) return;
  const std::string name = test_part_within + (is_own ? "" : " " + std::to_string(sets.within_training.size() + 2));
  sets.within[name] = digest_of({&tested});
  if (!is_own) sets.within_training.insert(name);  // nobody is tested with it
}

/// The parts of the published sets that lie in a folder, but for `evaluated`; notes name them.
void add_published(const std::string& folder, const PublishedTexts* evaluated, std::vector<Parts>& more,
                   TextSets& sets) {
  for (const PublishedTexts& set : published_texts()) {
    if (&set == evaluated || !lies_there(set, folder)) continue;
    more.push_back(read_published(set, folder));
    sets.add_note(std::string("trained on without its labels: ") + set.name + " in " + simclr::printable(folder) +
                  ", but for the test part");
  }
}

/// What is trained on besides the set that is evaluated on.
std::vector<Parts> read_further(const std::vector<std::string>& places, const PublishedTexts* evaluated,
                                TextSets& sets) {
  std::vector<Parts> more;
  if (evaluated) add_published(places.front(), evaluated, more, sets);
  for (std::size_t i = 1; i < places.size(); ++i) {
    const std::size_t before = more.size();
    add_published(places[i], nullptr, more, sets);
    if (more.size() > before) continue;
    Parts& further = more.emplace_back(read_place(places[i]));
    if (further.how.empty()) continue;
    further.train.append(further.test, false);  // nobody is tested with it
    further.test = TextList(places[i]);
  }
  return more;
}

/// What is evaluated on, and what is trained on besides. `place`: of the first, `places` of all, for messages.
TextSets gathered_sets(TextSets sets, Parts parts, const std::vector<Parts>& more, const std::string& place,
                       const std::string& places) {
  Gathered gathered(places);
  forbid(parts.test, true, gathered, sets);
  for (const Parts& each : more) forbid(each.test, false, gathered, sets);
  gathered.add(parts.train, true);
  for (const Parts& each : more) gathered.add(each.train, false);
  sets.add_note(gathered.note());
  SIMCLR_CHECK(gathered.texts.size() > 0, simclr::printable(places), ": no text is left to train on; ",
               gathered.note());
  sets.warnings = gathered.texts.warnings;
  sets.warnings.insert(sets.warnings.end(), parts.test.warnings.begin(), parts.test.warnings.end());
  gathered.texts.sort_classes();
  sets.within["the data"] = digest_of({&gathered.texts, &parts.test});
  sets.within_training.insert("the data");  // the test parts are told by themselves
  sets.texts = std::make_shared<TextList>(std::move(gathered.texts));
  sets.labelled = sets.train = data::text_dataset(sets.texts);
  if (parts.test.size() > 0) {
    take_test_part(sets, data::text_dataset(std::make_shared<TextList>(std::move(parts.test))), place, "its test part");
  } else {
    sets.no_test = sets.train->classes().size() < 2 ? "no labels" : "no test part";
  }
  return sets;
}

}  // namespace

const std::vector<std::string>& text_kinds() {
  static const std::vector<std::string> all = {"auto", "mr", "subj", "trec", "texts"};
  return all;
}

TextSets open_texts(const std::string& kind, const std::string& places_text) {
  SIMCLR_CHECK(
      !places_text.empty(),
      "--data says where the texts lie: a file with a text a line, a table of them, or a folder of a published "
      "set; further ones to train on follow behind ::");
  const std::vector<std::string> places = split_places(places_text);
  std::error_code error;
  for (const std::string& place : places) {
    SIMCLR_CHECK(fs::exists(place, error), "--data ", simclr::printable(place), ": there is no such file or folder");
  }
  TextSets sets;
  const PublishedTexts* set = chosen_set(kind, places.front());
  sets.kind = set ? set->kind : "texts";
  Parts parts = set ? read_published(*set, places.front()) : read_place(places.front());
  for (const std::string& note : parts.notes) sets.add_note(note);
  sets.add_note(parts.how);
  const std::vector<Parts> more = read_further(places, set, sets);
  return gathered_sets(std::move(sets), std::move(parts), more, places.front(), places_text);
}

TextSets texts_in_memory(const TextList& texts, const TextList& test) {
  TextSets sets;
  sets.kind = "texts";
  Parts parts(texts.source());
  if (test.size() > 0) {
    parts.train.append(texts);
    parts.test.append(test);
  } else {
    parts.part(texts);
    sets.add_note(parts.how);
  }
  return gathered_sets(std::move(sets), std::move(parts), {}, texts.source(), texts.source());
}

std::vector<std::string> text_files(const std::string& kind, const std::string& places_text) {
  std::vector<std::string> files;
  const std::vector<std::string> places = split_places(places_text);
  for (const std::string& place : places) {
    std::error_code error;
    if (!fs::is_directory(place, error)) {
      files.push_back(place);
      continue;
    }
    bool published = false;
    for (const PublishedTexts& set : published_texts()) {
      const bool own = &place == &places.front();  // of further places all published sets are read
      if ((own && kind == "texts") || !lies_there(set, place)) continue;
      published = true;
      for (const auto& [name, label] : set.files) files.push_back((fs::path(place) / name).string());
    }
    if (published) continue;
    for (const char* part : {"train", "test"}) {
      for (const std::string& table : tables_in(place, part)) files.push_back(table);
    }
  }
  return files;
}

TextList read_text_file(const std::string& path) {
  return data::is_table_name(path) ? data::read_text_table(path).texts
         : is_question_file(path)  ? data::read_question_lines(path)
                                   : data::read_text_lines(path);
}
