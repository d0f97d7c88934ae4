#include "modalities/texts.h"

#include "modalities/pair_sides.h"
#include "modalities/text_sets.h"
#include "run/data_places.h"
#include "run/host.h"
#include "run/progress.h"
#include "train/data_files.h"
#include "train/looked_at.h"
#include "train/test_part.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
namespace nn = simclr::nn;
using nn::TokenNetwork;

namespace {

const Names<TokenNetwork> arch_names = {
    {"bag", TokenNetwork::bag}, {"gru", TokenNetwork::gru}, {"transformer", TokenNetwork::transformer}};

void add_token_rows(OptionTable& table, TextOptions& own) {
  table.add("tokens", own.tokens, {"words", "pieces"},
            "What texts are parted into: words, or pieces of words, which SentencePiece learns");
  table.add("vocabulary", own.vocabulary, "How many tokens there are at most").between(2, 1'000'000);
  table.add("longest", own.views.longest, "Tokens of a text that are looked at").between(1, 4096);
}

void add_encoder_rows(OptionTable& table, const std::string& heading, TextOptions& own) {
  table.group(heading);
  table.add("arch", own.arch, arch_names,
            "The encoder: bag (mean and maximum of embeddings; fast), gru (of two directions) or transformer");
  table.add("width", own.width, "Of the embeddings and of what is made of them; features are twice as many")
      .between(1, 4096);
  table.add("layers", own.layers, "Of the gru or the transformer").between(1, 64);
  table.add("heads", own.heads, "Of the transformer's attention; they divide the width").between(1, 256);
  table
      .add("dropout", own.dropout,
           "Of embeddings and of the transformer's branches; where views change nothing it alone makes them differ, as "
           "in SimCSE")
      .between(0, 0.95);
  table.rule([&own](const OptionTable& rows) {
    SIMCLR_CHECK(own.arch != TokenNetwork::gru || own.width % 2 == 0, rows.said(own.width),
                 ": must be even, as a gru's two directions have half each");
    SIMCLR_CHECK(own.arch != TokenNetwork::transformer || own.width % own.heads == 0, rows.said(own.heads),
                 ": must divide ", rows.said(own.width));
  });
}

void add_view_rows(OptionTable& table, const std::string& heading, data::TextPolicy& views) {
  table.group(heading, "views");
  table
      .add("halves", views.halves_probability,
           "Probability that a text's two views are two halves of its words, of each two neighbours one")
      .between(0, 1);
  table
      .add("crop", {&views.crop_min, &views.crop_max},
           "Smallest and largest share of the words of a view that is no half; they follow each other")
      .between(double{1e-3f}, 1);
  table.add("deletion", views.deletion, "Probability of each word to be left out").at_least(0).below(1);
  table.add("shuffle", views.shuffle_probability, "Probability that a view's clauses come in another order")
      .between(0, 1);
  table.rule([&views](const OptionTable& rows) {
    SIMCLR_CHECK(views.crop_min <= views.crop_max, rows.said(views.crop_min), ": the smaller number comes first");
  });
}

/// As much of a text as a page shows.
Shown shown_text(std::string_view text) {
  constexpr std::size_t most = 400;
  std::string words = simclr::printable(text, most);
  if (text.size() > most) words += " ...";
  return {.type = "text/plain", .bytes = {words.begin(), words.end()}};
}

}  // namespace

void Texts::options(OptionTable& table, TrainingOptions& o) {
  table.group("Data");
  table.add("dataset", o.dataset, text_kinds(),
            "What --data holds: a published set of sentences (mr, subj, trec) or texts; auto: what is found there");
  table
      .add(
          "data", o.data_dir,
          "Where the texts lie: a file with one a line, a table (.tsv, .csv) with a column text, a folder of train.tsv "
          "and test.tsv, or of a published set; several 'A::B': the first is evaluated on, all are trained on")
      .may_change();
  add_token_rows(table, own_);
  add_encoder_rows(table, "Model", own_);
  add_view_rows(table, "Views", own_.views);
}

void Texts::view_rows(OptionTable& table) {
  add_encoder_rows(table, "Model of texts", own_);
  add_token_rows(table, own_);
  add_view_rows(table, "Views of texts", own_.views);
}

std::vector<Recipe> Texts::recipes() const {
  return {text_recipes().begin(), text_recipes().end()};
}

void Texts::use_recipe(const std::string& name) {
  own_ = text_recipe(name);
}

Datasets Texts::open(TrainingOptions& o) {
  TextSets sets = open_texts(o.dataset, o.data_path());
  if (!has_tokenizer()) sets.add_note(learn_tokens(*sets.texts));
  return sets;
}

std::string Texts::learn_tokens(const data::TextList& texts) {
  const data::TokenizerOptions options{.entries = own_.vocabulary};
  tokenizer_ = own_.tokens == "pieces" ? data::learn_pieces(texts, options) : data::learn_words(texts, options);
  return "tokens: " + grouped(tokenizer_->size()) + " " + tokenizer_->kind() + ", learned from these texts";
}

Datasets Texts::open_labelled(TrainingOptions& o) {
  Datasets sets = open(o);
  sets.add_note(learn_from_labelled(sets));
  sets.train = sets.labelled;
  SIMCLR_CHECK(sets.test != nullptr, "--data ", o.data_path(), ": ", sets.no_test,
               "; this program needs a table with the columns text and label, or a published set");
  return sets;
}

std::shared_ptr<const data::ViewMaker> Texts::light_views() const {
  tokenizer();
  data::TextPolicy policy = own_.views.evaluation();
  policy.deletion = 0.1f;
  return std::make_shared<data::TextViews>(policy, tokenizer_);
}

std::string Texts::folders(const std::string&, const std::string& places) const {
  std::set<std::string> folders;
  for (const std::string& place : split_places(places)) {
    std::error_code error;
    folders.insert(fs::is_directory(place, error) ? place : fs::path(place).parent_path().string());
  }
  return join_places(folders);
}

void Texts::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                      const std::string& places) const {
  if (places.empty()) return;
  for (const std::string& file : text_files(dataset, places)) Modality::refuse_in(option, outputs, dataset, file);
  Modality::refuse_in(option, outputs, dataset, places);
}

nlohmann::ordered_json Texts::data_files(const TrainingOptions& o) const {
  data::PathList files;
  fs::path first;  // all are named from its folder, so that they may be moved together
  for (const std::string& file : text_files(o.dataset, o.data_path())) {
    const fs::path path = whole_path(file);
    if (first.empty()) first = path.parent_path();
    files.push_back(path.lexically_relative(first).string());
  }
  return list_data_files(first.string(), files);
}

void Texts::configure(const nlohmann::ordered_json& config) {
  nlohmann::ordered_json own = config;
  if (is_of_pairs(config)) {
    own = config.at("text");
    own["views"] = config.at("text_views");
  }
  options_from_json(own, "configuration", *this);
}

int Texts::tower_in(const nlohmann::ordered_json& config) const {
  return is_of_pairs(config) ? side_of_pairs(config, "text") : Modality::tower_in(config);
}

void Texts::take_kept(const simclr::Tensor& kept) {
  const auto bytes = kept.to_vector<std::uint8_t>();
  tokenizer_ = data::read_tokenizer({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

const data::Tokenizer& Texts::tokenizer() const {
  SIMCLR_CHECK(tokenizer_, "texts: the tokenizer is not known before data or weights are opened");
  return *tokenizer_;
}

std::string Texts::encoder_name() const {
  const std::string kind = own_.arch == TokenNetwork::bag   ? "mean and maximum of embeddings"
                           : own_.arch == TokenNetwork::gru ? "bidirectional GRU"
                                                            : "transformer";
  return kind + ", width " + std::to_string(own_.width) +
         (own_.arch == TokenNetwork::bag ? "" : ", " + simclr::counted(own_.layers, "layer")) + ", of " +
         grouped(tokenizer().size()) + " " + tokenizer().kind();
}

std::string Texts::view_name() const {
  return "texts become up to " + std::to_string(own_.views.longest) + " " + tokenizer().kind();
}

std::shared_ptr<nn::Module> Texts::make_encoder(std::uint64_t seed) const {
  const std::string& model = tokenizer().model();
  const std::vector<std::uint8_t> bytes(model.begin(), model.end());
  return std::make_shared<nn::TokenEncoder>(
      nn::TokenEncoderOptions{.entries = tokenizer().size(),
                              .width = own_.width,
                              .network = own_.arch,
                              .layers = own_.layers,
                              .heads = own_.heads,
                              .longest = own_.views.longest,
                              .dropout = {.p = own_.dropout, .seed = seed},
                              .tokenizer = simclr::Tensor::from(bytes, {std::ssize(bytes)}),
                              .seed = seed});
}

std::vector<data::Tower> Texts::towers(bool random) const {
  tokenizer();
  return {{.maker = std::make_shared<data::TextViews>(random ? own_.views : own_.views.evaluation(), tokenizer_)}};
}

void Texts::look(const LookedAt& at, Findings& findings) const {
  constexpr double most_unknown = 0.15, most_cut = 0.25;
  constexpr std::int64_t looked_at = 1000;
  const data::Dataset& texts = *at.sets.train;
  std::int64_t count = 0, tokens = 0, unknown = 0, cut = 0;
  const Unread unread = look_at_some(texts, looked_at, [&](std::int64_t i) {
    const auto ids = tokenizer().encode(data::text_of(texts.sample(i)));
    ++count;
    tokens += std::ssize(ids);
    unknown += std::count(ids.begin(), ids.end(), 0);
    cut += std::ssize(ids) > own_.views.longest ? 1 : 0;
  });
  find_unread(unread, count, "text", findings);
  const auto all = static_cast<double>(std::max<std::int64_t>(count, 1));
  const double unknown_share = static_cast<double>(unknown) / static_cast<double>(std::max<std::int64_t>(tokens, 1));
  const double cut_share = static_cast<double>(cut) / all;
  print("texts: %.1f tokens each, %.1f %% of them unknown; %.1f %% of the texts are cut at %lld tokens\n",
        static_cast<double>(tokens) / all, 100 * unknown_share, 100 * cut_share,
        static_cast<long long>(own_.views.longest));
  if (unknown_share > most_unknown) {
    findings.push_back({.about = "tokens",
                        .problem = "many words are unknown, and all of these are one to the encoder",
                        .remedy = "--tokens pieces, or a larger --vocabulary"});
  }
  if (cut_share > most_cut) {
    findings.push_back({.about = "tokens",
                        .problem = "many texts are longer than what is looked at of them",
                        .remedy = "a larger --longest, or shorter texts: a sentence a line"});
  }
  if (own_.dropout == 0) Modality::look(at, findings);  // else views of the same words differ, too
}

Shown Texts::shown(const data::Sample& sample, int, int) const {
  return shown_text(data::text_of(sample));
}

Shown Texts::shown_view(const simclr::Tensor& view, int, int) const {
  return shown_text(tokenizer().decode(view.to_vector<std::int32_t>()));
}
