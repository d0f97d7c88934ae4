#include "modalities/pair_kind.h"

#include "modalities/named_texts.h"
#include "modalities/pair_sides.h"
#include "modalities/pairs.h"
#include "modalities/picture_files.h"
#include "modalities/picture_shards.h"
#include "run/data_places.h"
#include "run/option_file.h"
#include "train/labelled_part.h"
#include "train/named_files.h"
#include "train/run_data.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/shards.h>
#include <simclr/data/subset.h>
#include <simclr/data/table.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

using Warn = std::function<void(const std::string&)>;

/// One side's halves, each once, with the label that all its pairs with a label have; -1: none, or several.
class OneSide final : public data::Dataset {
 public:
  OneSide(const data::PairList& list, int side, const std::shared_ptr<const PairHalf>& half)
      : classes_(list.classes), halves_(files_of(half, halves_of(list, side))) {
    const auto s = static_cast<std::size_t>(side);
    std::vector<std::set<std::int32_t>> labels(list.sides[s].halves.size());
    for (std::size_t i = 0; i < list.pairs.size(); ++i) {
      if (list.labels[i] >= 0) labels[static_cast<std::size_t>(list.pairs[i][s])].insert(list.labels[i]);
    }
    for (const std::set<std::int32_t>& each : labels) {
      labels_.push_back(each.size() == 1 ? *each.begin() : -1);
      several_ += each.size() > 1 ? 1 : 0;
      without_ += each.empty() ? 1 : 0;
    }
    description_ = simclr::counted(size(), half->name()) + " of " + simclr::counted(list.size(), "pair") + " of " +
                   simclr::printable(list.source) + ", " + simclr::counted(std::ssize(classes()), "class", "es");
  }

  std::int64_t size() const override { return std::ssize(labels_); }
  data::Sample sample(std::int64_t i, int) const override {
    data::Sample half = halves_->sample(i);
    half.label = label(i);
    return half;
  }
  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "half ", i, " of ", size());
    return labels_[static_cast<std::size_t>(i)];
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string file(std::int64_t i) const override { return halves_->file(i); }
  std::string place(std::int64_t i) const override { return halves_->place(i); }
  std::string describe() const override { return description_; }
  std::int64_t of_several_classes() const { return several_; }
  std::int64_t without_a_label() const { return without_; }

 private:
  std::vector<std::string> classes_;
  std::shared_ptr<const data::Dataset> halves_;
  std::vector<std::int32_t> labels_;
  std::int64_t several_ = 0, without_ = 0;
  std::string description_;
};

std::set<std::int32_t> labels_in(const std::vector<std::int32_t>& labels) {
  std::set<std::int32_t> there(labels.begin(), labels.end());
  there.erase(-1);
  return there;
}

/// The halves of these classes.
std::shared_ptr<const data::Dataset> of_classes(const std::shared_ptr<const data::Dataset>& halves,
                                                const std::set<std::int32_t>& classes) {
  std::vector<std::int64_t> known;
  for (std::int64_t i = 0; i < halves->size(); ++i) {
    if (classes.contains(halves->label(i))) known.push_back(i);
  }
  return data::subset(halves, std::move(known));
}

bool has_ending(const data::Shards& shards, const std::string& ending) {
  for (std::int64_t i = 0; i < shards.size(); ++i) {
    for (int m = 0; m < shards.members(i); ++m) {
      if (shards.member(i, m).ending == ending) return true;
    }
  }
  return false;
}

/// What a text is called by; the member's name where that says nothing: whoever reads it says why.
std::string words_in(const data::Shards& shards, std::int64_t i, int m) {
  try {
    const std::vector<std::uint8_t> bytes = shards.read(i, m);
    return std::string(data::text_of(text_sample({bytes.begin(), bytes.end()}, shards.name(i, m))));
  } catch (const simclr::Error&) {
    return shards.name(i, m);
  }
}

class PairKind final : public Kind {
 public:
  PairKind(std::unique_ptr<Kind> inner, nlohmann::ordered_json config, int side, const std::string& run)
      : inner_(std::move(inner)), side_(side), run_(run) {
    std::error_code error;
    if (fs::is_directory(run_, error)) run_ /= "config.json";
    add_started_in(config, run_.string());
    try {
      pairs_.configure(config);
    } catch (const std::exception&) {  // open_encoder() says what is wrong
      return;
    }
    run_data_ = path_of_run(text_at(config, "data"), text_at(config, started_in_key), run_.string());
  }

  Modality& modality() override { return inner_->modality(); }
  const Modality& modality() const override { return std::as_const(*inner_).modality(); }
  const char* sample() const override { return inner_->sample(); }
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override {
    if (!names_shards(place) && !lists_pairs(place)) return inner_->refuse_in(option, outputs, dataset, place);
    pairs_.refuse_in(option, outputs, dataset, place);
  }
  std::string folders(const std::string& dataset, const std::string& place) const override {
    if (!names_shards(place) && !lists_pairs(place)) return inner_->folders(dataset, place);
    return pairs_.folders(dataset, place);
  }

  NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile& file,
                          const Warn& on_warning) const override {
    if (names_shards(place)) return in_shards(dataset, place, file, on_warning);
    if (!lists_pairs(place)) return inner_->open_named(dataset, place, file, on_warning);
    check_place(dataset, {"auto", "list"});
    const PairSource source = pairs_.source(place, "");
    const data::PairList list =
        data::read_pair_list(place, source.columns, pairs_.is_half(place), source.values, source.kinds);
    for (const std::string& warning : list.warnings) on_warning(warning);
    const data::PairSide& side = list.sides[static_cast<std::size_t>(side_)];
    return named(halves_of(list, side_), list.dir.empty() ? "" : list.dir + "/", side.halves, list.left_out, file);
  }
  data::Sample read(const std::string& path, const EncoderFile& file) const override {
    std::error_code error;
    const std::shared_ptr<const PairHalf> half = pairs_.half_at(side_), other = pairs_.half_at(1 - side_);
    SIMCLR_CHECK(half->of_files() || !other->of_files() || !other->reads(path) || !fs::is_regular_file(path, error),
                 simclr::printable(path), ": is a ", other->name(), ", and the ",
                 side_names()[static_cast<std::size_t>(side_)], " side of these pairs is of ", half->name(),
                 "s; give a ", half->name(), ", or name the ", side_names()[static_cast<std::size_t>(1 - side_)],
                 " side");
    SIMCLR_CHECK(!half->of_files() || other->of_files() || half->reads(path) || fs::exists(path, error),
                 simclr::printable(path), ": is no ", half->name(), " file; if these are words, they are of the ",
                 side_names()[static_cast<std::size_t>(1 - side_)], " side: add --from ",
                 side_names()[static_cast<std::size_t>(1 - side_)]);
    return inner_->read(path, file);
  }
  void check_sheet(const std::string& sheet) const override { inner_->check_sheet(sheet); }
  void write_sheet(const std::string& sheet, const std::string& path, const NamedSamples& samples,
                   const std::vector<std::int64_t>& found, simclr::Existing existing) const override {
    inner_->write_sheet(sheet, path, samples, found, existing);
  }

  void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const override {
    SIMCLR_CHECK(!place.data_dir.empty(), file.path, ": was trained on pairs; name labelled ", sample(), "s by --data");
    if (!run_data_.empty() && whole_path(place.data_dir) == whole_path(run_data_)) {
      place.run_data = data_files_of_run(run);
    }
  }
  Datasets open_labelled(const LabelledPlace& place, const EncoderFile& file) const override {
    const std::string& at = place.data_dir;
    if (!lists_pairs(at) && !shards_pairs(at, file)) return inner_->open_labelled(place, file);
    check_place(place.dataset, {"auto", "list", "shards"}, place.classes_at);
    refuse_part_rows(place, sample());
    Datasets sets;
    sets.sample_name = "pair";  // while these are compared with the run's
    sets.kind = "pairs";
    sets.decoded = true;
    data::PathList files;
    const PairParts parts = open_pairs(pairs_.source(at, file.cache_dir), pairs_.is_half(at), sets, files);
    nlohmann::ordered_json now = pair_data_files(at, files);
    now["within"] = sets.within;  // the labels, too
    compare_with_run(sets, place, now);
    sets.sample_name = sample();
    for (const std::string& note : parts.notes) sets.add_note(note);
    sets.no_test = parts.no_test;
    SIMCLR_CHECK(parts.train.classes.size() >= 2 || parts.test.size() == 0, "--data ", at, ": ",
                 parts.no_classes.empty() ? "" : parts.no_classes + "; ", "this program needs two classes or more, ",
                 names_shards(at) ? "which shards have in members that end in .cls"
                                  : "in a column called label, class or category");
    take_halves(parts, at, sets);
    return learned_from(std::move(sets), place);
  }
  std::uint64_t encoder_seed(std::uint64_t seed) const override { return pairs_.encoder_seed(seed, side_); }
  std::shared_ptr<const data::ViewMaker> light_views(double crop_min) const override {
    return inner_->light_views(crop_min);
  }
  std::optional<Baseline> baseline(const Datasets& sets, const EvaluationOptions& options) const override {
    return inner_->baseline(sets, options);
  }

 private:
  bool of_texts() const { return !pairs_.half_at(side_)->of_files(); }

  /// Makes this side's halves, each once, what is learned from and tested on; notes say which are left out and why.
  /// Throws simclr::Error where a test part is there and those of one class each are too few.
  void take_halves(const PairParts& parts, const std::string& place, Datasets& sets) const {
    constexpr std::size_t most_named = 5;
    const std::string name = sample();
    const std::shared_ptr<const PairHalf> half = pairs_.half_at(side_);
    const auto train = std::make_shared<OneSide>(parts.train, side_, half);
    const auto test = std::make_shared<OneSide>(parts.test, side_, half);
    if (const std::int64_t several = train->of_several_classes() + test->of_several_classes(); several > 0) {
      sets.add_note("left out: " + simclr::counted(several, name) + " whose pairs are of several classes");
    }
    if (train->without_a_label() > 0) {
      sets.add_note("left out: " + simclr::counted(train->without_a_label(), name) +
                    " of the train part whose pairs have no label");
    }
    sets.train = sets.labelled = train;
    if (test->size() == 0) return;  // sets.no_test says why
    const std::set<std::int32_t> learned = labels_in(labels_of(*train)), tested = labels_in(labels_of(*test));
    std::vector<std::string> names, lost;  // of those that are learned, and of those with all their halves left out
    for (const std::int32_t label : labels_in(parts.train.labels)) {
      (learned.contains(label) ? names : lost).push_back(train->classes()[static_cast<std::size_t>(label)]);
    }
    SIMCLR_CHECK(learned.size() >= 2, "--data ", place, ": the train part has no ", name,
                 " whose pairs are of one class", names.empty() ? "" : ", but for those of ",
                 simclr::listed(names, most_named), "; this program needs two classes or more");
    sets.train = sets.labelled = of_classes(train, learned);
    sets.test = of_classes(test, learned);
    if (!lost.empty()) {
      const std::int64_t others = of_classes(test, tested)->size() - sets.test->size();
      sets.add_note("the train part has no " + name + " whose pairs are of one class for " +
                    simclr::listed(lost, most_named) + "; left out: " + simclr::counted(others, "test " + name) +
                    " of such a class");
    }
    SIMCLR_CHECK(sets.test->size() > 0, "--data ", place, ": the test part has no ", name,
                 " whose pairs are of one class that is learned");
  }

  /// The columns, or endings, of both sides; empty: the run does not say.
  std::array<std::string, 2> columns() const {
    const std::string both = pairs_.source("", "").columns;
    const std::size_t comma = both.find(',');
    if (comma == std::string::npos) return {};
    return {both.substr(0, comma), both.substr(comma + 1)};
  }

  /// Whether it is a list with the columns that the run took, or the run's own, whose columns may have no names.
  bool lists_pairs(const std::string& place) const {
    std::error_code error;
    const auto [first, second] = columns();
    if (first.empty() || names_shards(place) || !fs::is_regular_file(place, error)) return false;
    if (whole_path(place) == whole_path(run_data_)) return true;
    try {
      data::TableReader rows(place);
      if (!rows.next()) return false;
      const auto has = [&rows](const std::string& name) {
        return std::find(rows.fields().begin(), rows.fields().end(), name) != rows.fields().end();
      };
      return has(first) && has(second);
    } catch (const simclr::Error&) {  // it is no table: a file of lines, or arrays
      return false;
    }
  }

  std::shared_ptr<const data::Shards> open(const std::string& place, const EncoderFile& file, const Warn& warn) const {
    return open_tar_files(find_shard_parts(place).train, file.cache_dir, warn);
  }

  bool shards_pairs(const std::string& place, const EncoderFile& file) const {
    if (!names_shards(place)) return false;
    const std::shared_ptr<const data::Shards> shards = open(place, file, [](const std::string&) {});
    const auto [first, second] = columns();
    return has_ending(*shards, first) && has_ending(*shards, second);
  }

  NamedSamples in_shards(const std::string& dataset, const std::string& place, const EncoderFile& file,
                         const Warn& on_warning) const {
    const std::shared_ptr<const data::Shards> shards = open(place, file, on_warning);
    std::string ending = columns()[static_cast<std::size_t>(side_)];
    if (ending.empty() || !has_ending(*shards, ending)) ending = of_texts() ? "txt" : "";
    if (ending.empty()) return inner_->open_named(dataset, place, file, on_warning);
    check_place(dataset, {"auto", "shards"});
    data::PairList list{.shards = shards};
    data::PairSide& side = list.sides[static_cast<std::size_t>(side_)];
    std::vector<std::string> names, left_out;
    std::set<std::string> known;  // texts, each of which is taken once
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < shards->size(); ++i) {
      for (int m = 0; m < shards->members(i); ++m) {
        if (shards->member(i, m).ending != ending) continue;
        ++found;
        const std::string name = of_texts() ? words_in(*shards, i, m) : shards->name(i, m);
        if (of_texts() && !known.insert(name).second) continue;
        names.push_back(name);
        side.halves.push_back(shards->name(i, m));
        side.members.push_back({i, m});
      }
    }
    SIMCLR_CHECK(found > 0, shards->describe(), ": has no member that ends in .", ending, ", as texts in shards do");
    const std::int64_t without = shards->size() - found;
    if (without > 0) left_out.push_back(simclr::counted(without, "sample") + " without a " + ending);
    return named(halves_of(list, side_), "", std::move(names), left_out, file);
  }

  NamedSamples named(HalfFiles halves, const std::string& folder, std::vector<std::string> names,
                     const std::vector<std::string>& left_out, const EncoderFile& file) const {
    const std::shared_ptr<const PairHalf> half = pairs_.half_at(side_);
    if (half->name() != std::string("picture")) {
      for (std::string& name : names) name = on_one_line(std::move(name));
      return with_names(files_of(half, std::move(halves)), std::move(names), left_out);
    }
    const auto read = [halves](std::int64_t i) {
      const std::string& name = halves.names[static_cast<std::size_t>(i)];
      return halves.bytes ? data::decode_raster(halves.bytes(i), name) : data::read_raster(name);
    };
    PictureFiles::Source source{.folder = folder,
                                .names = std::move(names),
                                .read = read,
                                .left_out = simclr::listed(left_out, left_out.size())};
    const auto files =
        std::make_shared<PictureFiles>(std::move(source), static_cast<int>(file.tower.maker->view_shape()[2]));
    return {files, files->left_out()};
  }

  std::unique_ptr<Kind> inner_;
  Pairs pairs_;
  int side_;
  fs::path run_;
  std::string run_data_;
};

}  // namespace

std::unique_ptr<Kind> pair_kind(std::unique_ptr<Kind> inner, nlohmann::ordered_json config, int side,
                                const std::string& run) {
  return std::make_unique<PairKind>(std::move(inner), std::move(config), side, run);
}
