// Pieces of words, through SentencePiece where the build has it.
#include "words.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#ifdef SIMCLR_HAVE_SENTENCEPIECE
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <unordered_map>
#include <utility>
#endif

namespace simclr::data {

#ifdef SIMCLR_HAVE_SENTENCEPIECE

namespace {

constexpr std::string_view word_mark = "\xe2\x96\x81";  // with which pieces that begin a word begin

void check(const sentencepiece::util::Status& status, const char* what) {
  if (!status.ok()) fail("tokenizer: SentencePiece ", what, ": ", printable(status.message(), 200));
}

class PieceTokenizer final : public Tokenizer {
 public:
  /// `bytes` are SentencePiece's own.
  explicit PieceTokenizer(std::string_view bytes) : model_(std::string(pieces_mark) + std::string(bytes)) {
    check(processor_.LoadFromSerializedProto(bytes), "cannot read its model; use another copy");
    SIMCLR_CHECK(processor_.GetPieceSize() >= 2 && processor_.unk_id() == 0,
                 "tokenizer: its model of pieces is none that this library has made; use another copy");
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      const std::string_view piece = processor_.IdToPiece(id);
      const bool begins = piece.starts_with(word_mark);
      begins_.push_back(begins);
      ends_.push_back(is_clause_end(begins ? piece.substr(word_mark.size()) : piece));
    }
  }

  std::int32_t size() const override { return static_cast<std::int32_t>(begins_.size()); }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<int> ids;
    check(processor_.Encode(text, &ids), "cannot part a text");
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      if (id <= 0 || id >= size()) {
        text += " [?]";
        continue;
      }
      const std::string_view piece = processor_.IdToPiece(id);
      text += begins_word(id) ? " " + std::string(piece.substr(word_mark.size())) : std::string(piece);
    }
    return text.starts_with(' ') ? text.substr(1) : text;
  }

  bool begins_word(std::int32_t id) const override { return begins_.at(static_cast<std::size_t>(id)); }
  bool ends_clause(std::int32_t id) const override { return ends_.at(static_cast<std::size_t>(id)); }
  const char* kind() const override { return "pieces"; }
  const std::string& model() const override { return model_; }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<bool> begins_, ends_;
  std::string model_;
};

/// Texts in a given order.
class ChosenTexts final : public sentencepiece::SentenceIterator {
 public:
  ChosenTexts(const TextList& texts, std::vector<std::int64_t> which) : texts_(texts), which_(std::move(which)) {
    read();
  }
  bool done() const override { return at_ == which_.size(); }
  void Next() override {
    ++at_;
    read();
  }
  const std::string& value() const override { return value_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void read() {
    if (!done()) value_ = texts_[which_[at_]];
  }

  const TextList& texts_;
  std::vector<std::int64_t> which_;
  std::size_t at_ = 0;
  std::string value_;
};

/// A model learned from these texts. SentencePiece ends the process where it keeps nothing of any of them.
std::string learned_from(const TextList& texts, std::vector<std::int64_t> which, std::int64_t entries) {
  ChosenTexts chosen(texts, std::move(which));
  std::string model;
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "unigram"},
      {"vocab_size", std::to_string(entries)},
      {"hard_vocab_limit", "false"},  // few texts have fewer pieces
      {"num_threads", "1"},           // several would add up in an order of their own
      {"shuffle_input_sentence", "false"},
      {"max_sentence_length", std::to_string(most_text_bytes)},
      {"normalization_rule_name", "nmt_nfkc_cf"},
      {"unk_id", "0"},
      {"bos_id", "-1"},
      {"eos_id", "-1"},
      {"pad_id", "-1"},
      {"minloglevel", "3"}};
  check(sentencepiece::SentencePieceTrainer::Train(settings, &chosen, &model), "cannot learn pieces from these texts");
  return model;
}

/// Those of which the trainer keeps something: not blanks, controls and characters without a width alone, which its
/// rules take away, nor what holds the block that it marks pieces of unknown characters with.
std::vector<std::int64_t> learnable(const TextList& texts, std::vector<std::int64_t> which) {
  TextList word("a word");
  word.add("word", 1);
  const PieceTokenizer rules(learned_from(word, {0}, 100));
  std::erase_if(which, [&](std::int64_t i) {
    return texts[i].find("\xe2\x96\x85") != std::string_view::npos || rules.encode(texts[i]).empty();
  });
  SIMCLR_CHECK(!which.empty(), "tokenizer: ", printable(texts.source()),
               ": holds nothing but blanks and control characters to learn pieces from");
  return which;
}

}  // namespace

bool has_pieces() {
  return true;
}

std::shared_ptr<const Tokenizer> learn_pieces(const TextList& texts, const TokenizerOptions& options) {
  SIMCLR_CHECK(options.entries >= 2, "tokenizer: ", options.entries, " entries, at least 2 are needed");
  return std::make_shared<PieceTokenizer>(
      learned_from(texts, learnable(texts, chosen_texts(texts, most_learned_from)), options.entries));
}

std::shared_ptr<const Tokenizer> read_pieces(std::string_view model) {
  return std::make_shared<PieceTokenizer>(model);
}

#else

namespace {

[[noreturn]] void fail_without() {
  fail(
      "tokenizer: this build has no SentencePiece, so there are no pieces; build it with libsentencepiece-dev, or use "
      "words");
}

}  // namespace

bool has_pieces() {
  return false;
}

std::shared_ptr<const Tokenizer> learn_pieces(const TextList&, const TokenizerOptions&) {
  fail_without();
}

std::shared_ptr<const Tokenizer> read_pieces(std::string_view) {
  fail_without();
}

#endif

}  // namespace simclr::data
