#include "modalities/picture_places.h"

#include "modalities/folder_notes.h"
#include "modalities/imagenet_sets.h"
#include "modalities/picture_array_files.h"
#include "modalities/picture_shards.h"
#include "run/data_places.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_classes.h>
#include <simclr/data/pictures/picture_table.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <unordered_set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

using Parts = std::vector<PictureParts::Part>;

void add_line(std::string& text, const std::string& line) {
  if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
}

/// Whether the places before have all of these pictures.
bool is_known(const data::PictureList& pictures) {
  return pictures.files.empty() && pictures.left_out.known > 0;
}

/// The folders that the pictures' paths begin with, if all lie in some.
std::vector<std::string> first_folders(const data::PictureList& pictures) {
  std::set<std::string> folders;
  std::string last;  // files of one folder follow each other
  for (const std::string& file : pictures.files) {
    if (!last.empty() && file.starts_with(last)) continue;
    const std::size_t end = file.find('/');
    if (end == std::string::npos) return {};
    last = file.substr(0, end + 1);
    folders.insert(file.substr(0, end));
  }
  return {folders.begin(), folders.end()};
}

/// The role that the name of a folder or list has among parts.
data::PartRole role_of(const fs::path& place) {
  return data::part_role((place.has_filename() ? place : place.parent_path()).stem().string());
}

/// A line that says so where `place`, one of several, which has no parts, is called like a test part.
std::string called_test(const std::string& place) {
  if (role_of(place) != data::PartRole::test) return {};
  return place +
         " is called like a test part and is trained on: parts are folders in a place, or what a list's column "
         "split says";
}

/// Whether there is an unlabelled part and none to train on.
bool is_unlabelled(const PictureParts& parts) {
  return parts.train.empty() && !parts.unlabelled.empty();
}

/// What is said of a list's column of parts: what is trained on where none is called train, and the parts of which no
/// row is left.
std::string note_on_parts(const data::PictureTable& table, const PictureParts& parts) {
  std::string note;
  const std::string place = simclr::printable(table.pictures.place());
  if (!table.parts.empty() && parts.train.empty() && !is_unlabelled(parts)) {
    note = place + ": no part is called train (" + simclr::listed(table.parts, 3) + "), so all are trained on";
  } else if (!parts.train.empty() && data::part_role(parts.train.front().name) == data::PartRole::none) {
    const std::string& name = parts.train.front().name;
    note = place + ": no part is called train, so " +
           (name.empty() ? "the rows of no part are" : simclr::printable(name) + " is") +
           " trained on, beside which there are test parts alone";
  }
  const std::vector<std::string>& gone = table.parts_without_rows;
  if (!gone.empty()) {
    add_line(note, place + ": no row of the " + (gone.size() == 1 ? "part " : "parts ") + simclr::listed(gone, 3) +
                       " is left");
  }
  return note;
}

/// The likeliest of what may be meant by the folders of what is trained on, in a line. `whole`: they are no part, but
/// all of a folder's; `alone`: of the only place.
std::string note_on_folders(const data::PictureList& trained, int classes_at, bool whole, bool alone) {
  std::string note = whole ? parts_in_folders(trained) : "";
  if (note.empty() && whole && classes_at > 0) note = classes_like_parts(trained.dir, first_folders(trained));
  if (note.empty() && whole && alone) note = all_in_one_folder(trained, classes_at);
  return note.empty() ? deeper_classes(trained, classes_at) : note;
}

/// One place, with a train part or an unlabelled one. `alone`: it is the only one.
PicturePlaces read_place(const std::string& place, int classes_at, bool list, bool alone) {
  PicturePlaces read{.parts = {}, .all_lists = is_list(place, list), .notes = {}, .no_test = {}};
  data::PictureList whole;
  if (read.all_lists) {
    data::PictureTable table = data::read_picture_table(place);
    read.notes = table.columns;
    read.parts = table_parts(table);
    add_line(read.notes, note_on_parts(table, read.parts));
    whole = std::move(table.pictures);
  } else {
    Parts beside;
    const std::string inner = folder_of_parts(place, &beside);
    read.parts = find_parts(inner);
    const bool found = !read.parts.train.empty() || is_unlabelled(read.parts);
    if (!found) whole = data::list_pictures(place);
    if (found && inner != place) {
      read.notes = place + " holds but one folder, so the parts of " + inner + " are taken";
      std::move(beside.begin(), beside.end(), std::back_inserter(read.parts.others));
    }
  }
  if (is_unlabelled(read.parts)) return read;
  read.whole = read.parts.train.empty();
  if (read.whole) read.parts = {.train = {{"", std::move(whole)}}, .test = {}, .unlabelled = {}, .others = {}};
  const data::PictureList& trained = read.parts.train.front().pictures;
  add_line(read.notes, note_on_folders(trained, classes_at, read.whole && !read.all_lists, alone));
  return read;
}

/// Puts the likeliest part of each place together, before all others: train parts, test parts, or with `classes_at` 0
/// unlabelled ones. Of a train part, which is `needed`, what cannot be used is an error; of others a line of `notes`
/// says it. A test part without classes is used only where none has some: then what is tested on tells why it is not.
Parts join_parts(std::vector<Parts> of_places, int classes_at, bool needed, std::string& notes) {
  Parts parts(1);
  std::vector<data::PictureList> likeliest;
  const bool test = !needed && classes_at > 0;
  const bool some_have_classes = std::any_of(of_places.begin(), of_places.end(), [](const Parts& each) {
    return !each.empty() && tells_classes(each.front().pictures);
  });
  for (Parts& each : of_places) {
    if (each.empty()) continue;
    data::PictureList& pictures = each.front().pictures;
    for (PictureParts::Part& part : each) {
      if (is_known(part.pictures)) {
        for (const std::string& warning : part.pictures.warnings) add_line(notes, warning);
        add_line(notes, "not used: " + unused_part(part.pictures.place(), 0, part.pictures.left_out.text()));
      } else if (&part.pictures != &pictures) {
        parts.push_back(std::move(part));
      }
    }
    if (is_known(pictures)) continue;
    try {
      SIMCLR_CHECK(!test || !some_have_classes || tells_classes(pictures), "it has no labels");
      const std::string file = test ? annotate(pictures) : "";  // that has its labels
      if (!file.empty()) add_line(notes, pictures.place() + " has the labels of " + file);
      data::name_classes(pictures, classes_at);
    } catch (const simclr::Error& error) {
      if (needed) throw;
      add_line(notes, "not used: " + unused_part(pictures.place(), std::ssize(pictures.files), pictures.left_out.text(),
                                                 error.what()));
      continue;
    }
    parts.front().name = each.front().name;
    likeliest.push_back(std::move(pictures));
  }
  if (likeliest.empty()) {
    parts.erase(parts.begin());
    return parts;
  }
  parts.front().pictures = data::joined(std::move(likeliest), classes_at);
  return parts;
}

/// Of all parts that may be used, so that what is tested on in one place is not trained on in another.
void leave_out_known(PictureParts& parts, std::unordered_set<std::size_t>& known) {
  std::vector<data::PictureList*> lists;
  for (Parts* role : {&parts.train, &parts.test, &parts.unlabelled}) {
    for (PictureParts::Part& part : *role) lists.push_back(&part.pictures);
  }
  data::leave_out_known(lists, known);
}

/// Test parts, the first that has classes before those that are likelier by their names.
Parts with_classes_first(Parts parts) {
  const auto first = std::find_if(parts.begin(), parts.end(),
                                  [](const PictureParts::Part& part) { return tells_classes(part.pictures); });
  if (first != parts.end()) std::rotate(parts.begin(), first, first + 1);
  return parts;
}

}  // namespace

bool is_list(const std::string& place, bool lists) {
  std::error_code error;
  return lists || (data::is_table_name(place) && !fs::is_directory(place, error));
}

bool names_list(const std::string& data) {
  return is_list(data) || split_places(data).size() > 1;
}

void check_places(const std::string& data) {
  const std::vector<std::string> places = split_places(data);
  if (places.size() == 1) return;
  for (const std::string& place : places) {
    SIMCLR_CHECK(!is_array_file(place), "--data ", simclr::printable(data), ": ", simclr::printable(place),
                 " holds arrays, which are read from one place; save all of them in one file");
  }
  const auto shards = std::count_if(places.begin(), places.end(), names_shards);
  SIMCLR_CHECK(
      shards == 0 || shards == std::ssize(places), "--data ", simclr::printable(data),
      ": tar shards do not mix with folders and lists; give shards alone, 'A/{0..9}.tar::B/{0..9}.tar', or none");
}

PicturePlaces read_places(const std::string& data, int classes_at, bool lists) {
  const std::vector<std::string> places = split_places(data);
  if (places.size() == 1) {
    PicturePlaces one = read_place(places.front(), classes_at, lists, true);
    if (is_unlabelled(one.parts)) one.parts.train.swap(one.parts.unlabelled);
    return one;
  }
  PicturePlaces all{.parts = {}, .whole = true, .notes = {}, .no_test = {}};
  std::vector<Parts> train, test, unlabelled;
  bool labels = false;
  std::unordered_set<std::size_t> known;  // files of the places before
  for (const std::string& place : places) {
    PicturePlaces one = read_place(place, classes_at, lists, false);
    all.whole = all.whole && one.whole;
    all.all_lists = all.all_lists && one.all_lists;
    add_line(all.notes, one.notes);
    if (one.whole) add_line(all.notes, called_test(place));
    leave_out_known(one.parts, known);
    labels = labels || (!one.parts.train.empty() && tells_classes(one.parts.train.front().pictures));
    train.push_back(std::move(one.parts.train));
    test.push_back(with_classes_first(std::move(one.parts.test)));
    unlabelled.push_back(std::move(one.parts.unlabelled));
    std::move(one.parts.others.begin(), one.parts.others.end(), std::back_inserter(all.parts.others));
  }
  for (std::size_t i = 0; i < places.size() && !labels; ++i) {  // nothing parts them from the others then
    if (!train[i].empty() || unlabelled[i].empty() || is_known(unlabelled[i].front().pictures)) continue;
    data::name_classes(unlabelled[i].front().pictures, 0);
    train[i].swap(unlabelled[i]);
  }
  all.parts.train = join_parts(std::move(train), classes_at, true, all.notes);
  const bool tests = std::any_of(test.begin(), test.end(),
                                 [](const Parts& each) { return !each.empty() && !is_known(each.front().pictures); });
  all.parts.test = join_parts(std::move(test), classes_at, false, all.notes);
  if (tests && all.parts.test.empty()) all.no_test = "none of the test parts can be used";
  all.parts.unlabelled = join_parts(std::move(unlabelled), 0, false, all.notes);
  return all;
}

data::PictureList pictures_of_places(const std::string& data, bool lists) {
  const auto pictures_of = [lists](const std::string& place) {
    return is_list(place, lists) ? data::read_picture_table(place).pictures : data::list_pictures(place);
  };
  const std::vector<std::string> places = split_places(data);
  if (places.size() == 1) return pictures_of(places.front());
  std::vector<data::PictureList> all;
  std::unordered_set<std::size_t> known;
  for (const std::string& place : places) {
    all.push_back(pictures_of(place));
    data::leave_out_known({&all.back()}, known);
  }
  return data::joined(std::move(all), 0);
}

std::string folder_of_place(const std::string& place, bool list) {
  return is_list(place, list) ? fs::path(place).parent_path().string() : place;
}
