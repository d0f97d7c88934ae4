#include "modalities/pair_prompts.h"

#include "modalities/named_texts.h"
#include "train/shared_work.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>
#include <simclr/data/text/text_list.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/metrics.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
namespace nn = simclr::nn;
using nlohmann::ordered_json;
using simclr::Tensor;

namespace {

/// Test halves of one side, with their classes among those that have prompts.
struct Asked {
  std::vector<std::int32_t> label_of;  // of each half of the gallery; -1: it is not asked for
  std::vector<std::int32_t> classes;   // those that have prompts, by their numbers
  std::int64_t left_out = 0;           // halves that would be asked for, but have no prompt of their class
};

/// The column of prompts and the side that it is of.
std::pair<int, int> column_of_side(const std::vector<std::string>& header, const data::PairList& list,
                                   const std::string& path) {
  std::vector<std::pair<int, int>> found;
  for (int side = 0; side < 2; ++side) {
    const std::string& column = list.sides[static_cast<std::size_t>(side)].column;
    const auto at = std::find_if(header.begin(), header.end(),
                                 [&](const std::string& name) { return simclr::printable(name) == column; });
    if (at != header.end()) found.emplace_back(static_cast<int>(at - header.begin()), side);
  }
  SIMCLR_CHECK(found.size() == 1, "--prompts ", path, ": ", found.empty() ? "no column is" : "both columns are",
               " called as a side of the pairs; one must be, ", simclr::printable(list.sides[0].column), " or ",
               simclr::printable(list.sides[1].column));
  return found.front();
}

/// `labels`: of the prompts.
Asked asked_of(const std::vector<std::int32_t>& labels, int side, const PairGallery& gallery) {
  const auto other = static_cast<std::size_t>(1 - side);
  Asked asked;
  asked.label_of.assign(gallery.candidates.sides[other].halves.size(), -1);
  const std::set<std::int32_t> classes(labels.begin(), labels.end());
  std::set<std::int32_t> without;  // halves
  asked.classes.assign(classes.begin(), classes.end());
  for (std::size_t i = 0; i < gallery.candidates.pairs.size(); ++i) {
    const std::int32_t half = gallery.candidates.pairs[i][other];
    const std::int32_t label = gallery.candidates.labels[i];
    if (half >= gallery.asked[other] || label < 0) continue;
    if (classes.contains(label)) {
      asked.label_of[static_cast<std::size_t>(half)] = label;
    } else {
      without.insert(half);
    }
  }
  asked.left_out = std::count_if(without.begin(), without.end(), [&asked](std::int32_t half) {
    return asked.label_of[static_cast<std::size_t>(half)] < 0;
  });
  return asked;
}

std::int64_t place_of(const std::vector<std::int32_t>& classes, std::int32_t label) {
  return std::lower_bound(classes.begin(), classes.end(), label) - classes.begin();
}

/// What a model gave.
struct Classified {
  nn::Metrics metrics;
  std::int64_t prompts = 0;   // that could be read
  std::int64_t left_out = 0;  // test halves of classes without these
};

/// `halves`: the prompts that can be read.
Classified classify(nn::Model& model, const PairPrompts& prompts, const data::Dataset& halves,
                    const PairGallery& gallery, const EvaluationOptions& options) {
  const simclr::NoGrad no_grad;
  const auto side = static_cast<std::size_t>(prompts.side), other = 1 - side;
  nn::Features points = features_of(model.tower(prompts.side), halves, gallery.towers[side], options);
  for (std::int32_t& label : points.labels) label = prompts.labels[static_cast<std::size_t>(label)];
  const Asked asked = asked_of(points.labels, prompts.side, gallery);
  together(options.world,
           [&] { SIMCLR_CHECK(asked.classes.size() >= 2, "the prompts that can be read are of one class"); });
  const nn::Features all =
      features_of(model.tower(static_cast<int>(other)), *gallery.halves[other], gallery.towers[other], options);
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> labels;  // numbers among asked.classes
  for (std::size_t i = 0; i < all.labels.size(); ++i) {
    const std::int32_t label = asked.label_of[static_cast<std::size_t>(all.labels[i])];
    if (label < 0) continue;
    rows.push_back(static_cast<std::int64_t>(i));
    labels.push_back(static_cast<std::int32_t>(place_of(asked.classes, label)));
  }
  Classified result{.metrics = {}, .prompts = std::ssize(points.labels), .left_out = asked.left_out};
  together(options.world, [&] {
    SIMCLR_CHECK(!rows.empty(), "no test sample that can be read is of a class with a prompt that can be read");
    result.metrics = nn::compute_metrics(prompt_scores(points, asked.classes, rows_of(all, rows).values), labels);
  });
  return result;
}

/// Warns of classes without a prompt that can be read. `halves`: those that can.
void tell_lost(const PairPrompts& prompts, const data::Dataset& halves, const PairGallery& gallery,
               const EvaluationOptions& options) {
  std::set<std::int32_t> lost(prompts.labels.begin(), prompts.labels.end());
  for (std::int64_t i = 0; i < halves.size(); ++i)
    lost.erase(prompts.labels[static_cast<std::size_t>(halves.label(i))]);
  for (const std::int32_t label : lost) {
    warn_once(options, "no prompt of the class " +
                           simclr::printable(gallery.candidates.classes[static_cast<std::size_t>(label)]) +
                           " can be read: its test halves take no part");
  }
}

/// Warns of texts of which the encoder knows nothing.
void tell_unknown(const PairPrompts& prompts, const PairHalf& kind, Datasets& notes) {
  const auto views = kind.modality().towers(false).front().maker;
  std::vector<std::string> unknown;
  for (std::int64_t i = 0; i < std::ssize(prompts.files.names); ++i) {
    const std::string& name = prompts.files.names[static_cast<std::size_t>(i)];
    if (!has_known_token(kind.decode(prompts.files.bytes(i), name, -1), *views)) unknown.push_back(name);
  }
  if (unknown.empty()) return;
  notes.warnings.push_back("no word of " + simclr::counted(std::ssize(unknown), "prompt") +
                           " is known to the encoder, to which such texts are one: " + simclr::listed(unknown, 3));
}

/// Why a value of a prompts' column is no prompt; empty: it is one. `path`: where it lies, of files.
std::string wrong_with(const std::string& value, const std::string& path, const PairHalf& kind) {
  if (!kind.of_files()) return data::wrong_with_text(value);
  if (!kind.reads(value)) return value + " is no file that is read";
  std::error_code error;
  return fs::exists(path, error) ? "" : value + " is not there";
}

std::string row_of_table(const char* name, double trained, double untrained, double chance) {
  char row[96];
  std::snprintf(row, sizeof row, "  %-24s %10.2f %10.2f %10.2f\n", name, 100 * trained, 100 * untrained, 100 * chance);
  return row;
}

}  // namespace

PairPrompts read_prompts(const std::string& path, const data::PairList& list,
                         const std::array<std::shared_ptr<const PairHalf>, 2>& kinds, Datasets& notes) {
  SIMCLR_CHECK(list.classes.size() >= 2, "--prompts ", path, ": ", simclr::printable(list.source), " has ",
               simclr::counted(std::ssize(list.classes), "class", "es"),
               "; what is classified needs two or more, in a column called label");
  const std::vector<data::TextRow> rows = data::read_text_rows(path);
  SIMCLR_CHECK(!rows.empty(), "--prompts ", path, ": is empty");
  const std::vector<std::string>& header = rows.front().fields;
  const int label = data::find_column(header, {"label", "class", "category"});
  SIMCLR_CHECK(label >= 0, "--prompts ", path, ": has no column called label, class or category");
  const auto [column, side] = column_of_side(header, list, path);
  const PairHalf& kind = *kinds[static_cast<std::size_t>(side)];
  PairPrompts prompts{.side = side};
  std::vector<std::string> names;
  std::string first;  // why
  std::int64_t left_out = 0;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    std::string why = rows[r].problem;
    const std::string value = why.empty() ? rows[r].fields[static_cast<std::size_t>(column)] : "";
    const std::string name = why.empty() ? rows[r].fields[static_cast<std::size_t>(label)] : "";
    const auto known = std::find(list.classes.begin(), list.classes.end(), name);
    if (why.empty() && data::trimmed(name).empty()) why = "has no label";
    if (why.empty() && known == list.classes.end())
      why = "is of " + name + ", which is no class of the pairs; they are " + simclr::listed(list.classes, 6);
    const std::string half =
        kind.of_files() ? (fs::path(path).parent_path() / value).string() : std::string(data::trimmed(value));
    if (why.empty() && data::trimmed(value).empty()) why = "has no " + header[static_cast<std::size_t>(column)];
    if (why.empty()) why = wrong_with(value, half, kind);
    if (why.empty()) {
      names.push_back(half);
      prompts.labels.push_back(static_cast<std::int32_t>(known - list.classes.begin()));
    } else if (left_out++ == 0) {
      first = "line " + std::to_string(rows[r].line) + ": " + simclr::printable(why);
      notes.warnings.push_back(simclr::printable(path) + ", " + first + " (prompt left out)");
    }
  }
  SIMCLR_CHECK(!prompts.labels.empty(), "--prompts ", path, ": no prompt is left of ", simclr::counted(left_out, "row"),
               first.empty() ? "" : "; ", first);
  prompts.files = kind.of_files() ? HalfFiles{.names = std::move(names)} : halves_of_texts(std::move(names));
  if (!kind.of_files()) tell_unknown(prompts, kind, notes);
  notes.add_note(simclr::counted(std::ssize(prompts.labels), "prompt") + " in " + simclr::printable(path) +
                 (left_out > 0 ? " (left out: " + std::to_string(left_out) + ")" : ""));
  return prompts;
}

Tensor prompt_scores(const nn::Features& prompts, const std::vector<std::int32_t>& classes, const Tensor& samples) {
  const Tensor u = nn::normalize(prompts.values);
  const std::int64_t width = u.dim(1), count = std::ssize(classes);
  Tensor sums = Tensor::zeros({count, width});
  for (std::int64_t i = 0; i < u.dim(0); ++i) {
    const float* x = u.data<const float>() + i * width;
    float* sum = sums.data<float>() + place_of(classes, prompts.labels[static_cast<std::size_t>(i)]) * width;
    for (std::int64_t k = 0; k < width; ++k) sum[k] += x[k];
  }
  Tensor scores = nn::similarity(samples, sums);
  for (std::int64_t c = 0; c < count; ++c) {
    const float* sum = sums.data<const float>() + c * width;
    double squares = 0;
    for (std::int64_t k = 0; k < width; ++k) squares += double{sum[k]} * double{sum[k]};
    if (squares > 1e-10) continue;  // else what is left is rounding
    for (std::int64_t i = 0; i < scores.dim(0); ++i) scores.data<float>()[i * count + c] = -2;
  }
  return scores;
}

std::string check_asked(const PairPrompts& prompts, const PairGallery& gallery) {
  const Asked asked = asked_of(prompts.labels, prompts.side, gallery);
  SIMCLR_CHECK(asked.classes.size() >= 2, "--prompts: all are of the class ",
               simclr::printable(gallery.candidates.classes[static_cast<std::size_t>(asked.classes.front())]),
               "; what is classified needs prompts of two or more");
  const auto found = std::find_if(asked.label_of.begin(), asked.label_of.end(), [](auto label) { return label >= 0; });
  SIMCLR_CHECK(found != asked.label_of.end(),
               "--prompts: no half of the test part is of a class with a prompt; give "
               "prompts for its classes, or leave them out");
  return asked.left_out == 0 ? ""
                             : "prompts: left out of their figure: " + std::to_string(asked.left_out) +
                                   (asked.left_out == 1 ? " test half" : " test halves") + " of classes without one";
}

OwnEvaluation measure_prompts(const PairPrompts& prompts, const std::shared_ptr<const PairHalf>& kind,
                              const PairGallery& gallery, nn::Model& trained, nn::Model& untrained,
                              const EvaluationOptions& options) {
  if (prompts.labels.empty()) return {};
  const auto halves = readable_part(files_of(kind, prompts.files), options.on_warning, options.poll, options.world);
  together(options.world, [&] {
    SIMCLR_CHECK(halves->size() > 0, "none of ", simclr::counted(std::ssize(prompts.labels), "prompt"), " can be read");
  });
  tell_lost(prompts, *halves, gallery, options);
  const auto [after, used, left_out] = classify(trained, prompts, *halves, gallery, options);
  const nn::Metrics before = classify(untrained, prompts, *halves, gallery, options).metrics;
  const std::int64_t unread = std::ssize(prompts.labels) - used;
  const auto classes = static_cast<double>(after.classes), count = static_cast<double>(after.count);
  const double largest = static_cast<double>(*std::max_element(after.support.begin(), after.support.end())) / count;
  OwnEvaluation result;
  result.table = "\n  zero-shot, %                trained  untrained     chance\n  " +
                 simclr::printable(gallery.candidates.sides[static_cast<std::size_t>(1 - prompts.side)].column) + ", " +
                 std::to_string(after.count) + " of " + std::to_string(after.classes) + " classes by " +
                 simclr::counted(used, "prompt") +
                 (unread > 0 ? " (" + std::to_string(unread) + " cannot be read)" : "") +
                 (left_out > 0 ? ", without " + std::to_string(left_out) + " of classes without a prompt" : "") + "\n" +
                 row_of_table("accuracy", after.top1, before.top1, largest) +
                 row_of_table("mean over the classes", after.macro_recall, before.macro_recall, 1 / classes);
  result.figures["zero_shot"] = {{"classes", after.classes},
                                 {"prompts", used},
                                 {"samples", after.count},
                                 {"trained", {{"top1", after.top1}, {"mean_recall", after.macro_recall}}},
                                 {"untrained", {{"top1", before.top1}, {"mean_recall", before.macro_recall}}},
                                 {"chance", {{"top1", largest}, {"mean_recall", 1 / classes}}}};
  return result;
}
