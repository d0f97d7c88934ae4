// Times a whole SimCLR training step of texts as train_text's recipes have it (embeddings with dropout, GRU or
// transformer, mean and maximum over time, head, NT-Xent, backward, AdamW), and prints one JSON line. Texts are as long
// as movie reviews' sentences, or all as long as can be.
#include "recipes/text_recipes.h"
#include "step.h"
#include "words.h"

#include <simclr/nn/token_encoder.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>

namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

/// How many of the 10,662 sentences of the movie reviews (Pang and Lee, sentence polarity dataset v1.0, 2005) have 1 to
/// 4 tokens, 5 to 8, ..., 61 to 64, parted as data::learn_words() does. A sentence has 21.9 of them.
constexpr std::array<int, 16> reviews = {145, 714, 1100, 1415, 1638, 1626, 1397, 1071,
                                         716, 425, 238,  119,  44,   11,   2,    1};
constexpr int bin = 4;

/// So many lengths as evenly as can be over that distribution, in no order.
std::vector<std::int32_t> lengths_of_reviews(std::int64_t views, std::int64_t longest) {
  constexpr std::int64_t stride = 7919;  // a prime
  const double all = std::accumulate(reviews.begin(), reviews.end(), 0.0);
  std::vector<std::int32_t> lengths;
  for (std::int64_t i = 0; i < views; ++i) {
    double rank = (static_cast<double>(i * stride % views) + 0.5) / static_cast<double>(views) * all;
    std::size_t at = 0;
    for (; at + 1 < reviews.size() && rank >= reviews[at]; ++at) rank -= reviews[at];
    const auto length = static_cast<std::int64_t>(bin * (static_cast<double>(at) + rank / reviews[at])) + 1;
    lengths.push_back(static_cast<std::int32_t>(std::min(length, longest)));
  }
  return lengths;
}

/// Of two views of each sample in epoch 0.
Tensor keys_of(std::int64_t views) {
  std::vector<std::int32_t> keys;
  for (std::int64_t i = 0; i < views; ++i) {
    const std::int64_t samples = views / 2;
    keys.insert(keys.end(), {static_cast<std::int32_t>(i % samples), 0, static_cast<std::int32_t>(i / samples)});
  }
  return Tensor::from(keys, {views, 3});
}

const char* name_of(nn::TokenNetwork network) {
  return network == nn::TokenNetwork::gru ? "gru" : network == nn::TokenNetwork::transformer ? "transformer" : "bag";
}

bench::Json describe(const TextRecipe& r, std::int64_t longest, const std::vector<std::int32_t>& lengths) {
  return {{"arch", name_of(r.arch)},
          {"entries", r.vocabulary},
          {"width", r.width},
          {"layers", r.layers},
          {"heads", r.heads},
          {"dropout", r.dropout},
          {"head_hidden", r.head_hidden},
          {"head_out", r.head_out},
          {"temperature", r.temperature},
          {"weight_decay", r.weight_decay},
          {"longest", longest},
          {"lengths", lengths}};
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times a training step of texts.");
  std::int64_t longest = 0;
  bool full = false;
  bench::StepOptions options{.preset = "gru"};
  bench.app.add_option("--longest", longest, "Tokens of a view at most; 0: the recipe's")->check(CLI::Range(0, 4096));
  bench.app.add_flag("--full", full, "All texts are as long as that, in place of movie reviews' lengths");
  options.add_to(bench.app, "bag, gru or transformer");
  bench.parse(argc, argv);
  bench.dtype = simclr::DType::f32;  // the encoder computes in it on every device

  const TextRecipe& r = text_recipe(options.preset);
  const std::int64_t views = options.views_of(r);
  if (longest == 0) longest = r.views.longest;
  const std::vector<std::int32_t> lengths =
      full ? std::vector<std::int32_t>(static_cast<std::size_t>(views), static_cast<std::int32_t>(longest))
           : lengths_of_reviews(views, longest);
  if (options.describe) {
    std::printf("%s\n", describe(r, longest, lengths).dump().c_str());
    return 0;
  }
  const auto encoder = std::make_shared<nn::TokenEncoder>(nn::TokenEncoderOptions{.entries = r.vocabulary,
                                                                                  .width = r.width,
                                                                                  .network = r.arch,
                                                                                  .layers = r.layers,
                                                                                  .heads = r.heads,
                                                                                  .longest = longest,
                                                                                  .dropout = {.p = r.dropout}});
  const simclr::Input texts(bench::words({views, longest}, r.vocabulary), Tensor::from(lengths, {views}),
                            keys_of(views));
  bench::measure_step(bench, options, "text_step", {{"preset", options.preset}, {"longest", longest}, {"full", full}},
                      views, bench::training_step(bench, r, encoder, texts.to(bench.device)));
}
