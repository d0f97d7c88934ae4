#include "modalities/pairs.h"

#include "modalities/pair_parts.h"
#include "modalities/picture_data_files.h"
#include "modalities/picture_shards.h"
#include "modalities/unknown_folder.h"
#include "run/data_places.h"
#include "run/host.h"
#include "run/option_file.h"
#include "run/shared_rows.h"
#include "train/data_files.h"
#include "train/looked_at.h"
#include "train/named_files.h"
#include "train/training.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pairs/pairs.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
namespace nn = simclr::nn;

namespace {

/// What --first and --second take.
std::vector<std::string> kind_names(const std::vector<std::shared_ptr<PairHalf>>& halves) {
  std::vector<std::string> names = {"auto"};
  for (const auto& half : halves) names.push_back(half->name());
  return names;
}

/// Reads both halves of some pairs, spread over all; adds a finding of those that cannot be read.
void look_at_pairs(const data::Dataset& pairs, Findings& findings) {
  constexpr std::int64_t most_looked_at = 300;
  std::int64_t read = 0;
  const Unread unread = look_at_some(pairs, most_looked_at, [&](std::int64_t i) {
    for (int part = 0; part < 2; ++part) pairs.sample(i, part);
    ++read;
  });
  find_unread(unread, read, "pair", findings);
}

/// Throws simclr::Error for a folder, and for several lists.
void check_place(const std::string& place) {
  std::error_code error;
  const std::string shards = fs::is_directory(place, error) ? how_to_read_shards(place, "--data ") : "";
  SIMCLR_CHECK(shards.empty(), "--data ", simclr::printable(place), ": ", shards);
  SIMCLR_CHECK(names_shards(place) || split_places(place).size() == 1, "--data ", simclr::printable(place),
               ": pairs are read from one list; put the rows of all into one");
}

}  // namespace

Pairs::Pairs() {
  halves_.push_back(picture_half());
  halves_.push_back(sound_half());
  halves_.push_back(text_half());
  use_recipe(pair_recipes().front().name);
}

std::shared_ptr<const PairHalf> Pairs::half_at(int side) const {
  const std::string& kind = kinds_[static_cast<std::size_t>(side)];
  const auto found =
      std::find_if(halves_.begin(), halves_.end(), [&](const auto& half) { return half->name() == kind; });
  return found == halves_.end() ? halves_.front() : *found;
}

/// Null: none does.
const PairHalf* Pairs::reader_of(std::string_view file, bool in_shards) const {
  const auto found = std::find_if(halves_.begin(), halves_.end(), [&](const auto& half) {
    return (in_shards || half->of_files()) && half->reads(file);
  });
  return found == halves_.end() ? nullptr : found->get();
}

const PairHalf& Pairs::reader_of(const data::PairList& list, std::size_t side) const {
  const data::PairSide& of = list.sides[side];
  const PairHalf* reader = reader_of(of.halves.front(), list.shards != nullptr);
  for (const auto& half : halves_) {
    if (of.texts && !half->of_files()) reader = half.get();
  }
  return reader ? *reader : *halves_.front();
}

/// As data::IsHalf has it.
int Pairs::number_of(const PairHalf* kind) const {
  const auto found = std::find_if(halves_.begin(), halves_.end(), [&](const auto& half) { return half.get() == kind; });
  return found == halves_.end() ? 0 : 1 + static_cast<int>(found - halves_.begin());
}

data::IsHalf Pairs::is_half(const std::string& data) const {
  return [this, shards = names_shards(data)](std::string_view file) { return number_of(reader_of(file, shards)); };
}

PairSource Pairs::source(const std::string& data, const std::string& cache_dir) const {
  PairSource source{.data = data, .columns = columns_, .cache_dir = cache_dir};
  for (std::size_t s = 0; s < 2; ++s) {
    if (kinds_[s] == "auto") continue;
    const bool files = half_at(static_cast<int>(s))->of_files();
    source.values[s] = files ? data::PairValues::files : data::PairValues::texts;
    if (files) source.kinds[s] = number_of(half_at(static_cast<int>(s)).get());
  }
  return source;
}

void Pairs::options(OptionTable& table, TrainingOptions& o) {
  table.group("Data");
  table
      .add("data", o.data_dir,
           "The list of the pairs, LIST.csv, or tar shards 'DIR/{000..127}.tar', of which there may be several, 'A::B'")
      .may_change();
  table.add(
      "columns", columns_,
      "The list's two columns of halves, by name or by number: image,caption or 1,3; of shards two endings: jpg,wav. "
      "Unset: the first two of files that are read; behind these one that is called caption, text or the like");
  table.add("halves", halves_at_, "The columns or endings that were taken").file_only();
  table.add("first", kinds_[0], kind_names(halves_),
            "What the first of them holds; auto: as the files' names say, and texts where there are no files");
  table.add("second", kinds_[1], kind_names(halves_), "What the second holds");
  table
      .add("prompts", prompts_file_,
           "A list of halves that stand for classes, with the columns label and one of the sides': the other side's "
           "test halves are classified by them. Unset: they are not")
      .may_change();
  add_cache_rows(table, o, "file", "the index of tar shards");
  for (const auto& half : halves_) half->options(table);
  table.group("Model");
  table.flag("share-encoder", "two-encoders", share_encoder_,
             "One encoder for both sides, each with a head of its own, where they are of one kind: for few pairs");
  table.flag("learn-temperature", "fixed-temperature", learn_temperature_,
             "The temperature is learned, from --temperature on, down to 0.01, or stays");
  table.rule([this, &o](const OptionTable& rows) {
    SIMCLR_CHECK(o.recipe.method == "simclr", rows.said(o.recipe.method),
                 ": a pair's halves are each other's positives, and no labels are looked at; leave it out");
    constexpr double least = 0.01;
    SIMCLR_CHECK(!learn_temperature_ || o.recipe.temperature >= least, rows.said(o.recipe.temperature),
                 ": one that is learned begins at ", least, " or more; to keep a lower one add --fixed-temperature");
    const bool reweighted = o.recipe.loss == "debiased" || o.recipe.loss == "hard";
    SIMCLR_CHECK(!learn_temperature_ || !reweighted, rows.said(o.recipe.loss),
                 ": its temperature is not learned; add --fixed-temperature");
  });
}

std::vector<OptionPath> Pairs::paths() {
  std::vector<OptionPath> all = {{"prompts", &prompts_file_, &prompts_found_}};
  for (const auto& half : halves_) {
    for (const OptionPath& each : half->paths()) all.push_back(each);
  }
  return all;
}

std::vector<Recipe> Pairs::recipes() const {
  return {pair_recipes().begin(), pair_recipes().end()};
}

void Pairs::use_recipe(const std::string& name) {
  const PairRecipe& recipe = pair_recipe(name);
  for (const auto& half : halves_) half->use_recipe(recipe);
  kinds_ = {"auto", "auto"};
  columns_.clear();
  halves_at_.clear();
  prompts_file_.clear();
  prompts_found_.clear();
  learn_temperature_ = recipe.learn_temperature;
  share_encoder_ = recipe.share_encoder;
}

void Pairs::tell_kinds(const data::PairList& list, const OptionTable& table) {
  for (std::size_t s = 0; s < 2; ++s) {
    constexpr std::size_t most_shown = 60;
    const std::string kind = reader_of(list, s).name();
    SIMCLR_CHECK(kinds_[s] == "auto" || kinds_[s] == kind, table.said(kinds_[s]), ": the column ",
                 simclr::printable(list.sides[s].column), " of ", simclr::printable(list.source), " holds ", kind,
                 "s: ", simclr::printable(list.sides[s].halves.front(), most_shown));
    kinds_[s] = kind;
  }
  SIMCLR_CHECK(!share_encoder_ || half_at(0) == half_at(1), table.said(share_encoder_), ": the sides are a ", kinds_[0],
               " and a ", kinds_[1], ", which one encoder does not take; leave it out");
}

void Pairs::look_at_halves(const PairParts& parts, const OptionTable& table, bool resumed, Datasets& sets) {
  for (const auto& half : halves_) {
    HalfPlaces halves{.place = parts.train.source};
    for (int s = 0; s < 2; ++s) {
      if (half_at(s) != half) continue;
      halves.trained_on.push_back(halves_of(parts.train, s));
      halves.found_among.push_back(halves_of(parts.candidates, s));
    }
    if (!halves.trained_on.empty()) half->look(halves, table, resumed, sets);
  }
}

data::PairHalves Pairs::files_in(const data::PairList& list) const {
  return {files_of(half_at(0), halves_of(list, 0)), files_of(half_at(1), halves_of(list, 1))};
}

Datasets Pairs::open(TrainingOptions& o) {
  const OptionTable table = training_table(o, *this);
  SIMCLR_CHECK(!o.data_path().empty(),
               "--data: give the list of the pairs, a .csv or .tsv file with both halves in two columns, as paths of "
               "files or as texts, or tar shards");
  check_place(o.data_path());
  const std::string& prompts = prompts_found_.empty() ? prompts_file_ : prompts_found_;
  std::error_code error;
  SIMCLR_CHECK(prompts.empty() || fs::exists(prompts, error), "--prompts ", simclr::printable(prompts),
               ": no such file");
  Datasets sets;
  sets.sample_name = "pair";
  sets.kind = "pairs";
  sets.decoded = true;
  const PairParts parts = open_pairs(source(o.data_path(), o.cache_path()), is_half(o.data_path()), sets, files_);
  halves_at_ = parts.train.columns;
  tell_kinds(parts.train, table);
  look_at_halves(parts, table, o.resume, sets);
  for (const std::string& note : parts.notes) sets.add_note(note);
  sets.train = data::pair_dataset(parts.train, files_in(parts.train));
  sets.groups = parts.train.groups;
  sets.no_test = parts.no_test;
  open_test(parts, sets);
  prompts_ = {};
  if (!prompts.empty()) prompts_ = read_prompts(prompts, parts.candidates, {half_at(0), half_at(1)}, sets);
  if (!prompts.empty() && gallery_.candidates.size() > 0) sets.add_note(check_asked(prompts_, gallery_));
  return sets;
}

void Pairs::open_test(const PairParts& parts, Datasets& sets) {
  gallery_ = {};
  if (parts.test.size() == 0) return;
  sets.test = data::pair_dataset(parts.test, files_in(parts.test));
  gallery_.candidates = parts.candidates;
  gallery_.halves = files_in(parts.candidates);
  for (std::size_t s = 0; s < 2; ++s) gallery_.asked[s] = std::ssize(parts.test.sides[s].halves);
}

std::string Pairs::folders(const std::string&, const std::string& place) const {
  if (names_shards(place)) return folders_of_pictures("shards", place);
  return join_places(folders_of_list(place, files_of_pairs(source(place, ""), is_half(place))));
}

void Pairs::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                      const std::string& place) const {
  if (names_shards(place)) return refuse_in_pictures(option, outputs, "shards", place);
  Modality::refuse_in(option, outputs, dataset, place);
  const bool none = std::all_of(outputs.begin(), outputs.end(), [](const auto& output) { return output.empty(); });
  if (none || place.empty()) return;
  check_place(place);
  NamedFiles named;
  named.add_list(place, files_of_pairs(source(place, ""), is_half(place)));
  refuse_in_named(option, outputs, named);
}

nlohmann::ordered_json Pairs::data_files(const TrainingOptions& o) const {
  return pair_data_files(o.data_path(), files_);
}

nlohmann::ordered_json pair_data_files(const std::string& data, const data::PathList& files) {
  if (names_shards(data)) return list_picture_files("shards", data);
  const std::string folder = fs::path(data).parent_path().string();
  return list_data_files(folder.empty() ? "." : folder, files);
}

void Pairs::configure(const nlohmann::ordered_json& config) {
  for (const auto& half : halves_) half->modality().configure(config);
  config.at("first").get_to(kinds_[0]);
  config.at("second").get_to(kinds_[1]);
  share_encoder_ = config.value("share_encoder", false);
  halves_at_ = text_at(config, "halves");
  columns_ = halves_at_.empty() ? text_at(config, "columns") : halves_at_;  // runs before there was the first
  for (int side = 0; side < 2; ++side) {
    const std::string& kind = kinds_[static_cast<std::size_t>(side)];
    SIMCLR_CHECK(half_at(side)->name() == kind, "a side is of ", simclr::printable(kind));
  }
}

std::string Pairs::kept_in_weights() const {
  const std::string first = kind(0).kept_in_weights();
  return first.empty() ? kind(1).kept_in_weights() : first;
}

void Pairs::take_kept(const simclr::Tensor& kept) {
  for (const auto& half : halves_) half->modality().take_kept(kept);
}

std::string Pairs::encoder_name() const {
  if (named_side_ >= 0) return kind(named_side_).encoder_name();
  const std::string first = kind(0).encoder_name();
  return first + (share_encoder_ ? " for both sides" : " beside " + kind(1).encoder_name());
}

std::string Pairs::view_name() const {
  if (named_side_ >= 0) return kind(named_side_).view_name();
  return kind(0).view_name() + (half_at(0) == half_at(1) ? "" : ", " + kind(1).view_name());
}

std::shared_ptr<nn::Module> Pairs::make_encoder(std::uint64_t seed) const {
  return kind(0).make_encoder(seed);
}

std::unique_ptr<nn::Model> Pairs::make_model(const TrainingOptions& o) const {
  const std::shared_ptr<nn::Module> first = make_encoder(o.seed);
  return make_two_towers(o, {first, share_encoder_ ? first : kind(1).make_encoder(encoder_seed(o.seed, 1))},
                         learn_temperature_);
}

std::uint64_t Pairs::encoder_seed(std::uint64_t seed, int side) const {
  return side == 1 && !share_encoder_ ? seed + 1 : seed;
}

std::vector<data::Tower> Pairs::towers(bool random) const {
  return {{.maker = kind(0).towers(random).front().maker, .views = 1, .part = 0},
          {.maker = kind(1).towers(random).front().maker, .views = 1, .part = 1}};
}

OwnEvaluation Pairs::evaluate(nn::Model& trained, nn::Model& untrained, const EvaluationOptions& options) const {
  if (gallery_.candidates.size() == 0) return {};
  PairGallery gallery = gallery_;
  const std::vector<data::Tower> views = towers(false);
  for (std::size_t s = 0; s < 2; ++s) gallery.towers[s] = {.maker = views[s].maker, .views = 1, .part = 0};
  OwnEvaluation found;
  const auto add = [&](const OwnEvaluation& more) {
    found.table += more.table;
    found.figures.update(more.figures);
  };
  attempt("retrieval", options, [&] { add(measure_retrieval(gallery, trained, untrained, options)); });
  attempt("zero-shot classification", options, [&] {  // is there without the other
    add(measure_prompts(prompts_, half_at(prompts_.side), gallery, trained, untrained, options));
  });
  return found;
}

void Pairs::look(const LookedAt& at, Findings& findings) const {
  const data::Dataset& train = *at.sets.train;
  const std::int64_t largest = largest_group(train.groups());
  print("views: %s\n", view_name().c_str());
  look_at_pairs(train, findings);
  if (largest > 1) {
    print("  pairs that share a half are no negatives of each other; the most that hang together are %lld\n",
          static_cast<long long>(largest));
  }
  if (2 * largest <= train.size()) return;
  findings.push_back({.about = "pairs",
                      .problem = std::to_string(largest) + " of " + std::to_string(train.size()) +
                                 " pairs hang together by halves that they share, so a batch has hardly any negatives",
                      .remedy = "leave out the halves that most pairs have, or name other columns by --columns",
                      .unusable = true});
}

Shown Pairs::shown(const data::Sample& sample, int tower, int side) const {
  return kind(tower).shown(sample, 0, side);
}

Shown Pairs::shown_view(const simclr::Tensor& view, int tower, int side) const {
  return kind(tower).shown_view(view, 0, side);
}
