#pragma once

#include <simclr/data/text/tokenizer.h>
#include <simclr/data/views.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace simclr::data {

/// Random views of texts, as samples of ids: halves or a crop -> deletion -> clauses, of whole words. Every random
/// number is a function of (seed; sample, epoch, view), see core/random.h. Probabilities in [0,1]; 0 switches a step
/// off; with all off, views differ by the encoder's dropout alone (SimCSE, arXiv 2104.08821).
struct TextPolicy {
  std::int64_t longest = 64;  // tokens of a view, at least 1; what lies behind them is cut off

  // Halves: of each two words that follow each other one goes to views 0, 2, ..., the other to views 1, 3, ..., so that
  // two views of a text share no word of it; it is drawn for each text and epoch, for all views alike. The odd word at
  // the end goes to either; a text of one word stays whole.
  float halves_probability = 0.0f;

  // Crop, of a view that is no half: words that follow each other, a share of all that is uniform in [min, max], at
  // least one, at any place alike.
  float crop_min = 1.0f, crop_max = 1.0f;

  // Deletion: each word is left out with this probability; where none would stay, one does.
  float deletion = 0.0f;

  // Clauses, parted at the tokens that end one, come in a random order.
  float shuffle_probability = 0.0f;

  /// The same length without randomness.
  SIMCLR_API TextPolicy evaluation() const { return {.longest = longest}; }
};

/// Throws Error when a policy asks for the impossible; names the field.
SIMCLR_API void check(const TextPolicy& policy);

/// Changes a text's ids as the policy says. `ids` is not empty; at least one stays, at most policy.longest. Slots: 0
/// crop's share, 1 its place, 2 whether clauses are shuffled, 3 the word that stays, 16 + i clause i's place, 4096 + i
/// whether word i is left out; of all views together 0 whether there are halves, 1 + i which way words 2 i and 2 i + 1
/// go.
SIMCLR_API std::vector<std::int32_t> changed_text(const std::vector<std::int32_t>& ids, const Tokenizer& tokens,
                                                  const TextPolicy& policy, const ViewKey& key);

/// Views of texts, i32 [policy.longest] ids of tokens, as long as the text is.
class SIMCLR_API TextViews final : public ViewMaker {
 public:
  /// Throws Error for an impossible policy and without a tokenizer.
  TextViews(const TextPolicy& policy, std::shared_ptr<const Tokenizer> tokens);

  Shape view_shape() const override { return {policy_.longest}; }
  DType view_dtype() const override { return DType::i32; }
  /// Throws Error for a sample that is no text, and for a text without a token.
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override;

  const TextPolicy& policy() const { return policy_; }
  const Tokenizer& tokens() const { return *tokens_; }

 private:
  TextPolicy policy_;
  std::shared_ptr<const Tokenizer> tokens_;
};

}  // namespace simclr::data
