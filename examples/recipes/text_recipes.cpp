#include "recipes/text_recipes.h"

using simclr::nn::TokenNetwork;

namespace {

/// What all have: views that share few words or none, AdamW, and a low temperature: sentences differ in few words.
TextRecipe common() {
  TextRecipe r;
  r.views.halves_probability = 0.5f;
  r.views.crop_min = 0.4f;
  r.views.crop_max = 0.9f;
  r.views.deletion = 0.1f;
  r.views.shuffle_probability = 0.2f;
  r.head_hidden = 512;
  r.batch_size = 512;
  r.optimizer = "adamw";
  r.lr = 0.003;
  r.weight_decay = 0.01;
  r.warmup_epochs = 1;
  r.temperature = 0.05;
  return r;
}

/// The fast one, and the one to beat.
TextRecipe bag() {
  TextRecipe r = common();
  r.name = "bag";
  r.description = "mean and maximum of word embeddings, for two CPU cores and a few minutes";
  r.width = 512;
  r.epochs = 10;
  return r;
}

/// The method's recurrent encoder.
TextRecipe gru() {
  TextRecipe r = common();
  r.name = "gru";
  r.description = "bidirectional GRU over word embeddings, for two CPU cores and 20 minutes";
  r.arch = TokenNetwork::gru;
  r.dropout = 0.1;
  r.epochs = 10;
  return r;
}

TextRecipe transformer() {
  TextRecipe r = common();
  r.name = "transformer";
  r.description = "transformer of two layers over word embeddings, for two CPU cores and 20 minutes";
  r.arch = TokenNetwork::transformer;
  r.lr = 0.001;
  r.width = 128;
  r.layers = 2;
  r.dropout = 0.1;
  r.epochs = 10;
  return r;
}

}  // namespace

const std::vector<TextRecipe>& text_recipes() {
  static const std::vector<TextRecipe> all = {bag(), gru(), transformer()};
  return all;
}

const TextRecipe& text_recipe(const std::string& name) {
  return named_recipe(text_recipes(), name);
}
