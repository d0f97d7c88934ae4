#pragma once

#include <simclr/core/export.h>
#include <simclr/data/text/text_list.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// Turns texts into ids of tokens, 0 .. size()-1; 0 stands for what it does not know. Safe to call from several threads
/// at once.
class SIMCLR_API Tokenizer {
 public:
  virtual ~Tokenizer();

  virtual std::int32_t size() const = 0;
  /// None for a text without any.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// For people to read: what is not known is "[?]".
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  /// Whether a word begins with this token; a text's first one always does.
  virtual bool begins_word(std::int32_t id) const = 0;
  /// Whether it is one of . , ; : ! ? ( ) or a dash, with which a clause ends.
  virtual bool ends_clause(std::int32_t id) const = 0;
  /// "words" or "pieces".
  virtual const char* kind() const = 0;
  /// The bytes from which read_tokenizer() makes it again.
  virtual const std::string& model() const = 0;
};

struct TokenizerOptions {
  std::int32_t entries = 8192;  // at most so many tokens, with the one that stands for what is not known; at least 2
};

/// Most texts that learn_pieces() looks at.
inline constexpr std::int64_t most_learned_from = 50'000;

/// Words: runs of letters, digits and apostrophes, in lower case (A to Z alone), and each other character but blanks by
/// itself. The tokens are the most frequent ones of all texts, of equal ones those whose bytes come first. Throws Error
/// where there is no word.
SIMCLR_API std::shared_ptr<const Tokenizer> learn_words(const TextList& texts, const TokenizerOptions& options = {});

/// Pieces of words, a unigram model of SentencePiece (Kudo, arXiv 1804.10959) of texts in lower case, learned on one
/// thread from at most most_learned_from texts, chosen by their digests, so that their order does not matter. It may
/// have fewer entries than asked for, where the texts give no more. Throws Error where it cannot be learned, and in a
/// build without SentencePiece.
SIMCLR_API std::shared_ptr<const Tokenizer> learn_pieces(const TextList& texts, const TokenizerOptions& options = {});

/// Whether this build has SentencePiece, which learn_pieces() and models of pieces need.
SIMCLR_API bool has_pieces();

/// A tokenizer of its model's bytes. Trusts nothing: throws Error, one line, for what is no model.
SIMCLR_API std::shared_ptr<const Tokenizer> read_tokenizer(std::string_view model);

}  // namespace simclr::data
