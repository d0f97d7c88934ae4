#pragma once

// Private: what words are, and what tokenizers of words and of pieces share.

#include <simclr/data/text/tokenizer.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

inline bool is_blank(char c) {
  return c == ' ' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// Of a word: ASCII letters and digits, apostrophes, and what is not ASCII.
inline bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'' || static_cast<unsigned char>(c) >= 0x80;
}

/// Calls `take` with each word of a text in lower case.
template <class Take>
void for_each_word(const std::string& text, const Take& take) {
  const std::string_view all = text;
  for (std::size_t at = 0; at < all.size();) {
    std::size_t end = at;
    while (end < all.size() && is_word_character(all[end])) ++end;
    if (end == at) ++end;
    if (!is_blank(all[at])) take(all.substr(at, end - at));
    at = end;
  }
}

/// Of maps that are asked by string_view.
struct TextHash : std::hash<std::string_view> {
  using is_transparent = void;
};

/// With what models of each kind begin.
inline constexpr std::string_view words_mark = "simclr words 1\n", pieces_mark = "simclr pieces 1\n";

/// Whether a token is nothing but one of the characters that end a clause.
bool is_clause_end(std::string_view token);

/// The numbers of at most `most` texts, those of the smallest mixed digests, in their order.
std::vector<std::int64_t> chosen_texts(const TextList& texts, std::int64_t most);

/// Of SentencePiece's own bytes, behind the mark. Throws Error for others, and in a build without it.
std::shared_ptr<const Tokenizer> read_pieces(std::string_view model);

}  // namespace simclr::data
