#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/text/text_views.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace simclr::data {
namespace {

using Ids = std::vector<std::int32_t>;
using Words = std::vector<Ids>;

constexpr std::uint32_t all_views = 0xffffff;  // a view's number that no view has

/// The words of a text, each its tokens.
Words words_of(const Ids& ids, const Tokenizer& tokens) {
  Words words;
  for (const std::int32_t id : ids) {
    if (words.empty() || tokens.begins_word(id)) words.emplace_back();
    words.back().push_back(id);
  }
  return words;
}

Words half_of(const Words& words, const Random& both, std::uint32_t view) {
  Words half;
  for (std::uint32_t i = 0; 2 * i < words.size(); ++i) {
    const std::uint32_t way = (both.bits(1 + i) ^ view) & 1;
    const std::size_t at = std::size_t{2} * i + way;
    if (at < words.size()) half.push_back(words[at]);
  }
  return half.empty() ? words : half;
}

Words cropped(Words words, const TextPolicy& policy, const Random& random) {
  const float share = policy.crop_min + (policy.crop_max - policy.crop_min) * random.uniform(0);
  const auto all = static_cast<std::int64_t>(words.size());
  const auto kept = std::clamp<std::int64_t>(std::llround(share * static_cast<float>(all)), 1, all);
  const std::int64_t begin = random.below(static_cast<std::uint32_t>(all - kept + 1), 1);
  return {std::make_move_iterator(words.begin() + begin), std::make_move_iterator(words.begin() + begin + kept)};
}

Words thinned(const Words& words, float deletion, const Random& random) {
  Words left;
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    if (random.uniform(4096 + i) >= deletion) left.push_back(words[i]);
  }
  if (left.empty()) left.push_back(words[random.below(static_cast<std::uint32_t>(words.size()), 3)]);
  return left;
}

/// Of the words' clauses, in another order.
Words shuffled(const Words& words, const Tokenizer& tokens, const Random& random) {
  std::vector<Words> clauses(1);
  for (const Ids& word : words) {
    clauses.back().push_back(word);
    if (tokens.ends_clause(word.back())) clauses.emplace_back();
  }
  if (clauses.back().empty()) clauses.pop_back();
  for (std::size_t i = clauses.size(); i > 1; --i) {  // Fisher-Yates
    std::swap(clauses[i - 1], clauses[random.below(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(14 + i))]);
  }
  Words out;
  for (const Words& clause : clauses) out.insert(out.end(), clause.begin(), clause.end());
  return out;
}

}  // namespace

void check(const TextPolicy& p) {
  SIMCLR_CHECK(p.longest >= 1 && p.longest <= 4096, "text policy: longest is ", p.longest, ", 1 to 4096 are possible");
  const auto is_share = [](float value) { return value >= 0.0f && value <= 1.0f; };
  SIMCLR_CHECK(is_share(p.halves_probability), "text policy: halves_probability is ", p.halves_probability,
               ", must be 0 to 1");
  SIMCLR_CHECK(p.crop_min > 0.0f && p.crop_min <= p.crop_max && p.crop_max <= 1.0f, "text policy: crop_min is ",
               p.crop_min, ", crop_max ", p.crop_max, "; shares above 0, in order, up to 1 are possible");
  SIMCLR_CHECK(p.deletion >= 0.0f && p.deletion < 1.0f, "text policy: deletion is ", p.deletion,
               ", must be 0 or more and below 1");
  SIMCLR_CHECK(is_share(p.shuffle_probability), "text policy: shuffle_probability is ", p.shuffle_probability,
               ", must be 0 to 1");
}

std::vector<std::int32_t> changed_text(const Ids& ids, const Tokenizer& tokens, const TextPolicy& policy,
                                       const ViewKey& key) {
  const Random random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view);
  const Random both(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, all_views);
  Words words = words_of(ids, tokens);
  if (both.uniform(0) < policy.halves_probability) {
    words = half_of(words, both, key.view);
  } else if (policy.crop_min < 1.0f) {
    words = cropped(std::move(words), policy, random);
  }
  if (policy.deletion > 0.0f) words = thinned(words, policy.deletion, random);
  if (random.uniform(2) < policy.shuffle_probability) words = shuffled(words, tokens, random);
  Ids out;
  for (const Ids& word : words) out.insert(out.end(), word.begin(), word.end());
  if (std::ssize(out) > policy.longest) out.resize(static_cast<std::size_t>(policy.longest));
  return out;
}

TextViews::TextViews(const TextPolicy& policy, std::shared_ptr<const Tokenizer> tokens)
    : policy_(policy), tokens_(std::move(tokens)) {
  check(policy_);
  SIMCLR_CHECK(tokens_, "text views: a tokenizer is needed, got none");
}

std::int32_t TextViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  const Ids ids = tokens_->encode(text_of(sample));
  SIMCLR_CHECK(!ids.empty(), "text views: the text has no token");
  const Ids changed = changed_text(ids, *tokens_, policy_, key);
  std::memcpy(out, changed.data(), changed.size() * sizeof(std::int32_t));
  return static_cast<std::int32_t>(changed.size());
}

}  // namespace simclr::data
