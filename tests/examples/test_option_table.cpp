// Every option is on the command line, in config.json and back, refused outside its range, and compared on --resume:
// asked of each row of the table, so that none can be forgotten.
#include "modalities/pairs.h"
#include "modalities/pictures.h"
#include "modalities/sounds.h"
#include "support/catch.h"
#include "support/option_words.h"
#include "train/training_config.h"
#include "train/training_rows.h"

#include <cmath>
#include <deque>
#include <iomanip>
#include <sstream>

using Json = nlohmann::ordered_json;
using Make = std::function<OptionTable(TrainingOptions&)>;
using Catch::Matchers::Contains;
using simclr::test::complaint;
using simclr::test::read_words;

namespace {

/// All of train_cifar's; each table has pictures' own options as the recipe says.
OptionTable pictures_table(TrainingOptions& o) {
  static std::deque<Pictures> kept;  // whose fields the rows refer to
  Pictures& pictures = kept.emplace_back();
  if (!o.recipe.name.empty()) pictures.use_recipe(o.recipe.name);
  return training_table(o, pictures);
}

/// All of train_speech's.
OptionTable sounds_table(TrainingOptions& o) {
  static std::deque<Sounds> kept;
  Sounds& sounds = kept.emplace_back();
  use_recipe(o, sounds, "");
  return training_table(o, sounds);
}

const OptionRow& row_named(const OptionTable& table, const std::string& name) {
  for (const OptionRow& row : table.rows()) {
    if (row.name() == name) return row;
  }
  throw std::runtime_error("no row " + name);
}

/// All of train_pairs's: pictures' rows, and recordings' beside them.
OptionTable pairs_table(TrainingOptions& o) {
  static std::deque<Pairs> kept;
  Pairs& pairs = kept.emplace_back();
  use_recipe(o, pairs, "");
  OptionTable table = training_table(o, pairs);
  row_named(table, "crop-min").set(0.08);  // the recipe's is above other values that are tried as --crop-max
  return table;
}

TrainingOptions quick() {
  TrainingOptions o;
  o.recipe = recipe("quick");
  return o;
}

/// {"augmentation": {"hue": value}}
Json with_key(const std::string& key, const Json& value) {
  const std::size_t dot = key.find('.');
  if (dot == std::string::npos) return {{key, value}};
  return {{key.substr(0, dot), {{key.substr(dot + 1), value}}}};
}

bool is_number(const OptionRow& row) {
  return row.kind() == OptionKind::integer || row.kind() == OptionKind::real;
}

Json repeated(const OptionRow& row, const Json& value) {
  if (row.count() == 1) return value;
  return Json(std::vector<Json>(static_cast<std::size_t>(std::max(row.count(), 1)), value));
}

/// Another value that the row takes, which its field then has; null where there is none.
Json change(const OptionRow& row) {
  const Json now = row.value();
  std::vector<Json> candidates;
  if (row.kind() == OptionKind::flag) candidates = {!now.get<bool>()};
  if (row.kind() == OptionKind::text) candidates = {"elsewhere"};
  if (row.kind() == OptionKind::name) candidates.assign(row.names().begin(), row.names().end());
  if (is_number(row)) {
    const double first = (now.is_array() ? now[0] : now).get<double>();
    for (const double each : {first + 1, first - 1, first / 2, (row.range().least + row.range().most) / 2,
                              row.range().least, row.range().most}) {
      if (row.kind() == OptionKind::real) candidates.push_back(repeated(row, each));
      if (row.kind() == OptionKind::integer && std::abs(each) < 1e9) {
        candidates.push_back(repeated(row, static_cast<std::int64_t>(each)));
      }
    }
  }
  for (const Json& each : candidates) {
    if (each != now && row.set(each).empty() && row.value() != now) return row.value();
  }
  return {};
}

/// The word or words that give the row this value.
std::vector<std::string> words_for(const OptionRow& row, const Json& value) {
  if (value == false) return {"--" + row.opposite()};
  if (value == true) return {"--" + row.name()};
  std::string text;
  for (const Json& each : value.is_array() ? value : Json::array({value})) {
    text += (text.empty() ? "" : ",") + (each.is_string() ? each.get<std::string>() : each.dump());
  }
  return {"--" + row.name() + "=" + text};
}

/// Words beside which alone the row of that name is taken; pairs' temperature is learned otherwise.
std::vector<std::string> words_beside(const std::string& name, bool pairs) {
  if (name == "resume") return {"--out=x"};
  if (name == "dclw-sigma") return {"--loss=dclw"};
  if (name != "class-prior" && name != "hardness") return {};
  std::vector<std::string> words{"--loss=hard"};
  if (pairs) words.push_back("--fixed-temperature");
  return words;
}

/// What the row of that name should not do. `make` makes the table anew.
class RowCheck {
 public:
  RowCheck(Make make, std::string name) : make_(std::move(make)), name_(std::move(name)) {
    TrainingOptions o = quick();
    const OptionTable table = make_(o);
    before_ = values(table);
    config_ = to_json(table);
    const OptionRow& row = row_named(table, name_);
    value_ = change(row);
    if (value_.is_null()) {
      say("takes no other value");
      return;
    }
    after_ = values(table);
    for (const auto& [each, value] : after_.items()) {
      if (each != name_ && value != before_[each]) say("shares its field with " + each);
    }
    if (row.help().size() < 5) say("has no help");
    on_command_line(row);
    in_file(row);
    outside(row);
    on_resume(row);
  }

  std::string faults;

 private:
  void say(const std::string& fault) { faults += name_ + " " + fault + "\n"; }

  static Json values(const OptionTable& table) {
    Json all;
    for (const OptionRow& row : table.rows()) all[row.name()] = row.value();
    return all;
  }

  void on_command_line(const OptionRow& changed) {
    if (!changed.on_command_line()) return;
    TrainingOptions o = quick();
    OptionTable table = make_(o);
    std::vector<std::string> words = words_for(changed, value_);
    const std::vector<std::string> beside = words_beside(name_, table.rows().size() > 100);
    words.insert(words.end(), beside.begin(), beside.end());
    const std::string message = read_words(table, words);
    if (!message.empty()) return say("is not taken from the command line: " + message);
    if (row_named(table, name_).value() != value_) say("is lost on the command line");
    if (!beside.empty()) std::erase_if(table.sources, [&](const auto& each) { return each.first != name_; });
    if (table.sources != std::map<std::string, std::string>{{name_, ""}} && name_ != "resume") say("has no source");
  }

  void in_file(const OptionRow& changed) {
    if (changed.key().empty()) {
      if (!changed.on_command_line()) say("is nowhere");
      return;
    }
    TrainingOptions o = quick(), again = quick();
    OptionTable written = make_(o), read = make_(again);
    row_named(written, name_).set(value_);
    const std::string text = to_json(written).dump();
    const std::string message = complaint([&] { read_options(read, parse_config(text, "file"), "file"); });
    if (!message.empty()) return say("does not come back from its file: " + message);
    if (values(read) != after_) say("comes back from its file as another");
    const std::string wrong = complaint([&] { read_options(read, with_key(changed.key(), Json::object()), "file"); });
    if (!wrong.starts_with("file: \"" + changed.key() + "\": {} must be ")) say("takes an object: " + wrong);
  }

  void refused(const OptionRow& row, const std::string& number) {
    std::string text = number;
    for (int i = 1; i < row.count(); ++i) text += "," + number;
    TrainingOptions o = quick();
    OptionTable table = make_(o);
    if (row.on_command_line()) {
      const std::string message = read_words(table, {"--" + name_ + "=" + text});
      if (!message.starts_with("--" + name_ + " " + text + ": ")) say("takes " + text + ": " + message);
    }
    if (row.key().empty() || number.find("inf") != std::string::npos || number == "nan") return;
    const bool is_name = row.kind() == OptionKind::name;
    const Json value = repeated(row, is_name ? Json(number) : parse_config("{\"x\":" + number + "}", "")["x"]);
    const std::string message = complaint([&] { read_options(table, with_key(row.key(), value), "file"); });
    if (!message.starts_with("file: \"" + row.key() + "\": ")) say("takes " + text + " from a file: " + message);
    if (values(table) != before_) say("is changed by what it refuses");
  }

  void outside(const OptionRow& row) {
    if (row.kind() == OptionKind::name) {
      refused(row, "nothing-like-it");
      return;
    }
    if (!is_number(row)) return;
    const OptionRange& range = row.range();
    if (!range.given) return say("has no range");
    const auto text = [&](double value) { return (std::ostringstream() << std::setprecision(17) << value).str(); };
    const bool whole = row.kind() == OptionKind::integer;
    if (!whole) {
      for (const char* none : {"nan", "inf", "-inf"}) refused(row, none);
    }
    // Where the row says nothing the field's type ends it.
    double below = range.above ? range.least : whole ? range.least - 1 : std::nextafter(range.least, -HUGE_VAL);
    if (range.besides && *range.besides == below) --below;
    const bool is_float = below != double{static_cast<float>(below)};
    if (is_float) below = range.least - 1e-3 * std::max(1.0, std::abs(range.least));
    if (std::isfinite(range.least)) refused(row, text(below));
    if (!std::isfinite(range.least)) refused(row, whole ? "-9223372036854775809" : "-1e300");
    const double more = whole ? range.most + 1 : range.most + 1e-3 * std::max(1.0, range.most);
    if (std::isfinite(range.most)) refused(row, text(range.below ? range.most : more));
    if (!std::isfinite(range.most)) refused(row, whole ? "18446744073709551616" : "inf");
  }

  void on_resume(const OptionRow& changed) {
    TrainingOptions o = quick();
    OptionTable table = make_(o);
    row_named(table, name_).set(value_);
    table.sources[name_] = "";
    const auto found = differences(table, config_);
    const bool free = changed.changeable() || changed.key().empty();
    if (found.size() != std::size_t{free ? 0U : 1U})
      return say("makes " + std::to_string(found.size()) + " differences on resume");
    if (free) return;
    if (found[0].key != changed.key() || found[0].after != value_.dump()) say("is another on resume: " + found[0].key);
    const std::string word = words_for(changed, value_)[0];
    const std::string name = changed.on_command_line() ? word.substr(0, word.find('=')).substr(0, 5) : "\"";
    if (!found[0].said.starts_with(name)) say("is called " + found[0].said + " on resume");
  }

  Make make_;
  std::string name_;
  Json before_, after_, value_, config_;
};

std::string faults_of(const Make& make) {
  TrainingOptions o = quick();
  const OptionTable table = make(o);
  std::string faults;
  for (const OptionRow& row : table.rows()) {
    if (row.name() == "method" && Json(table.constants()).dump().find("pairs") != std::string::npos)
      continue;  // have one
    faults += RowCheck(make, row.name()).faults;
  }
  return faults;
}

/// The faults of a table with one more row.
std::string faults_with(const std::function<void(OptionTable&, TrainingOptions&)>& plant) {
  return faults_of([&plant](TrainingOptions& o) {
    OptionTable table = pictures_table(o);
    plant(table, o);
    return table;
  });
}

}  // namespace

TEST_CASE("A run of a version without an option goes on with its default, and refuses another value", "[options]") {
  TrainingOptions o = quick();
  OptionTable table = pictures_table(o);
  Json before = to_json(table);
  before.erase("method");
  CHECK(differences(table, before).empty());
  row_named(table, "method").set("supcon");
  table.sources["method"] = "";
  REQUIRE(differences(table, before).size() == 1);
  CHECK(differences(table, before)[0].key == "method");
}

TEST_CASE("Every row is on the command line, in the file and back, in its range, and compared on resume", "[options]") {
  CHECK(faults_of(pictures_table) == "");
  TrainingOptions o;
  CHECK(pictures_table(o).rows().size() > 70);
  CHECK(faults_of(sounds_table) == "");
  CHECK(sounds_table(o).rows().size() > 70);
  CHECK(faults_of(pairs_table) == "");
  CHECK(pairs_table(o).rows().size() > 100);
}

TEST_CASE("Rows of one kind among others have its name before theirs, and their own objects in the file", "[options]") {
  TrainingOptions o;
  const OptionTable table = pairs_table(o);
  CHECK(row_named(table, "width").key() == "width");
  CHECK(row_named(table, "sound-width").key() == "sound.width");
  CHECK(row_named(table, "sound-time-masks").key() == "sound_augmentation.time_masks");
  CHECK(row_named(table, "hue").key() == "augmentation.hue");
  CHECK(row_named(table, "share-encoder").key() == "share_encoder");  // of no kind again
  bool on = false;
  OptionTable own;
  own.of("sound");
  own.group("Flags");
  own.flag("loud", "quiet", on, "A flag");
  CHECK(own.rows().front().opposite() == "sound-quiet");
}

TEST_CASE("A row that is forgotten somewhere is found", "[options]") {
  static int number;  // each table's begins as the plant says
  static bool on;
  CHECK_THAT(faults_with([](OptionTable& t, TrainingOptions&) { t.add("new", number = 3, "A number"); }),
             Contains("new has no range"));
  CHECK_THAT(faults_with([](OptionTable& t, TrainingOptions& o) {
               t.add("new", o.recipe.epochs, "A field that has a row").at_least(1);
             }),
             Contains("new shares its field with epochs"));
  CHECK_THAT(faults_with([](OptionTable& t, TrainingOptions&) {
               t.add("new", number = 3, "A key that is taken").at_least(1).key("epochs");
             }),
             Contains("new comes back from its file as another"));
  CHECK_THAT(faults_with([](OptionTable& t, TrainingOptions&) {
               t.add("new", number = 3, "In neither").at_least(1).command_line_only().file_only();
             }),
             Contains("new is nowhere"));
  CHECK_THAT(
      faults_with([](OptionTable& t, TrainingOptions&) { t.flag("new", "", on = true, "A flag that stays on"); }),
      Contains("new is lost on the command line"));
  CHECK_THAT(faults_with([](OptionTable& t, TrainingOptions&) { t.add("new", number = 3, "").at_least(1); }),
             Contains("new has no help"));
  CHECK_THAT(complaint([] { faults_with([](OptionTable& t, TrainingOptions&) { t.add("epochs", number, "Twice"); }); }),
             Contains("two rows are called epochs"));
}

TEST_CASE("Every preset keeps to the ranges and the rules", "[options]") {
  for (const PictureRecipe& each : recipes()) {
    INFO(each.name);
    TrainingOptions o;
    o.recipe = each;
    const OptionTable table = pictures_table(o);
    for (const OptionRow& row : table.rows()) CHECK(row.set(row.value()) == "");
    table.check_rules();
    CHECK(to_json(table) == to_json(pictures_table(o)));
  }
}

TEST_CASE("Every preset of recordings keeps to the ranges and the rules", "[options]") {
  for (const SoundRecipe& each : sound_recipes()) {
    INFO(each.name);
    TrainingOptions o;
    o.recipe = each;
    Sounds sounds(each);
    const OptionTable table = training_table(o, sounds);
    for (const OptionRow& row : table.rows()) CHECK(row.set(row.value()) == "");
    table.check_rules();
    CHECK(sounds.towers(true).front().maker->view_shape().rank() == 3);  // log-mels of the rate are possible
    sounds.configure(to_json(table));
    CHECK(sounds.own().mels == each.mels);
    CHECK(sounds.own().sound.seconds == each.sound.seconds);
  }
}

TEST_CASE("Every preset of pairs keeps to the ranges and the rules", "[options]") {
  for (const PairRecipe& each : pair_recipes()) {
    INFO(each.name);
    TrainingOptions o;
    o.recipe = each;
    Pairs pairs;
    pairs.use_recipe(each.name);
    const OptionTable table = training_table(o, pairs);
    for (const OptionRow& row : table.rows()) CHECK(row.set(row.value()) == "");
    table.check_rules();
  }
}
