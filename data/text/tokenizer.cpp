#include "words.h"

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::size_t most_entries = std::size_t{1} << 24;

class WordTokenizer final : public Tokenizer {
 public:
  /// The words of ids 1, 2, ...; each once.
  explicit WordTokenizer(std::vector<std::string> words) : words_(std::move(words)) {
    model_ = words_mark;
    for (std::size_t i = 0; i < words_.size(); ++i) {
      ids_.emplace(words_[i], static_cast<std::int32_t>(i + 1));
      ends_.push_back(is_clause_end(words_[i]));
      model_ += words_[i] + '\n';
    }
  }

  std::int32_t size() const override { return static_cast<std::int32_t>(words_.size()) + 1; }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    for_each_word(lower_case(text), [&](std::string_view word) {
      const auto found = ids_.find(word);
      ids.push_back(found == ids_.end() ? 0 : found->second);
    });
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      const bool known = id > 0 && id < size();
      text += (text.empty() ? "" : " ") + (known ? words_[static_cast<std::size_t>(id - 1)] : std::string("[?]"));
    }
    return text;
  }

  bool begins_word(std::int32_t) const override { return true; }
  bool ends_clause(std::int32_t id) const override {
    return id > 0 && id < size() && ends_[static_cast<std::size_t>(id - 1)];
  }
  const char* kind() const override { return "words"; }
  const std::string& model() const override { return model_; }

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<bool> ends_;
  std::string model_;
};

/// A model of words, behind its mark.
std::shared_ptr<const Tokenizer> read_words(std::string_view model) {
  std::vector<std::string> words;
  std::unordered_set<std::string_view> seen;
  while (!model.empty()) {
    const std::size_t end = model.find('\n');
    SIMCLR_CHECK(end != std::string_view::npos && end > 0, "tokenizer: word ", words.size() + 1,
                 " of its model is empty or cut off; use another copy");
    const std::string_view word = model.substr(0, end);
    SIMCLR_CHECK(is_utf8(word) && std::none_of(word.begin(), word.end(), is_blank), "tokenizer: word ",
                 words.size() + 1, " of its model is none; use another copy");
    SIMCLR_CHECK(seen.insert(word).second, "tokenizer: its model has the word ", printable(word, 40),
                 " twice; use another copy");
    SIMCLR_CHECK(words.size() + 2 <= most_entries, "tokenizer: its model has more than ", most_entries, " words");
    words.emplace_back(word);
    model.remove_prefix(end + 1);
  }
  SIMCLR_CHECK(!words.empty(), "tokenizer: its model has no words; use another copy");
  return std::make_shared<WordTokenizer>(std::move(words));
}

}  // namespace

Tokenizer::~Tokenizer() = default;

bool is_clause_end(std::string_view token) {
  constexpr std::array<std::string_view, 12> ends = {".", ",", ";", ":", "!", "?", "(", ")", "-", "--", "–", "—"};
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

std::vector<std::int64_t> chosen_texts(const TextList& texts, std::int64_t most) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> drawn;
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    const std::uint64_t digest = digest_of_text(texts[i]);
    const Random random(1, RandomPurpose::subset, static_cast<std::uint32_t>(digest),
                        static_cast<std::uint32_t>(digest >> 32));
    drawn.emplace_back(std::uint64_t{random.bits(0)} << 32 | random.bits(1), i);
  }
  std::sort(drawn.begin(), drawn.end(), [&texts](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : texts[a.second] < texts[b.second];
  });
  if (std::ssize(drawn) > most) drawn.resize(static_cast<std::size_t>(most));
  std::vector<std::int64_t> chosen;
  for (const auto& [number, i] : drawn) chosen.push_back(i);
  return chosen;
}

std::shared_ptr<const Tokenizer> learn_words(const TextList& texts, const TokenizerOptions& options) {
  SIMCLR_CHECK(options.entries >= 2, "tokenizer: ", options.entries, " entries, at least 2 are needed");
  std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>> counts;
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    for_each_word(lower_case(texts[i]), [&](std::string_view word) {
      const auto found = counts.find(word);
      if (found != counts.end()) {
        ++found->second;
      } else {
        counts.emplace(word, 1);
      }
    });
  }
  SIMCLR_CHECK(!counts.empty(), "tokenizer: ", printable(texts.source()), " has no words");
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [word, count] : counts) order.emplace_back(-count, word);
  std::sort(order.begin(), order.end());
  const auto most = static_cast<std::size_t>(options.entries - 1);
  if (order.size() > most) order.resize(most);
  std::vector<std::string> words;
  for (auto& [count, word] : order) words.push_back(std::move(word));
  return std::make_shared<WordTokenizer>(std::move(words));
}

std::shared_ptr<const Tokenizer> read_tokenizer(std::string_view model) {
  if (model.starts_with(words_mark)) return read_words(model.substr(words_mark.size()));
  if (model.starts_with(pieces_mark)) return read_pieces(model.substr(pieces_mark.size()));
  fail("tokenizer: these ", model.size(), " bytes are no model of words or pieces; use another copy");
}

}  // namespace simclr::data
