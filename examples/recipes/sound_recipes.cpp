#include "recipes/sound_recipes.h"

namespace {

/// Short words at 16 kHz: two random views of one recording are a pair, segments of it as in COLA (arXiv 2010.10915)
/// where it is longer than a view; the voice is changed, since words are what is meant.
SoundRecipe commands() {
  SoundRecipe r;
  r.name = "commands";
  r.description = "words of a second at 16 kHz, small ResNet, for two CPU cores";
  r.epochs = 200;
  r.batch_size = 128;
  r.optimizer = "adamw";
  r.lr = 1e-3;
  r.weight_decay = 1e-2;
  r.warmup_epochs = 5;
  r.temperature = 0.2;
  r.sound.rate = 16000;
  r.sound.seconds = 1.0;
  r.sound.noise_probability = 0.5f;  // of --noise; without it there is none
  return r;
}

/// github.com/Jakobovski/free-spoken-digit-dataset: digits of half a second at 8 kHz by six speakers, the first five
/// takes of each its test set.
SoundRecipe digits() {
  SoundRecipe r = commands();
  r.name = "digits";
  r.description = "spoken digits, {label}_{speaker}_{take}.wav at 8 kHz, takes 0-4 to test";
  r.pattern = "{label}_{speaker}_{take}.wav";
  r.test = "take=0-4";
  r.width = 24;
  r.lr = 2e-3;
  r.sound.rate = 8000;
  r.sound.seconds = 0.8;
  r.sound.speed_min = 0.85f;  // six voices are few: the more they change, the more of the digit is left
  r.sound.speed_max = 1.18f;
  r.spectrogram.warp = 0.15f;
  r.spectrogram.time_masks = r.spectrogram.mel_masks = 2;
  return r;
}

/// github.com/karolpiczak/ESC-50's ten classes of environmental sounds, of five seconds: what a sound is stays where
/// its pitch does, so mels are not warped.
SoundRecipe esc10() {
  SoundRecipe r = commands();
  r.name = "esc10";
  r.description = "environmental sounds of 5 s, ESC-10's index.csv, fold 5 to test";
  r.test = "fold=5";
  r.epochs = 300;
  r.batch_size = 64;
  r.eval_seconds = 5.0;
  r.sound.rate = 8000;
  r.sound.seconds = 2.0;
  r.spectrogram.warp_probability = 0.0f;
  return r;
}

}  // namespace

const std::vector<SoundRecipe>& sound_recipes() {
  static const std::vector<SoundRecipe> all = {commands(), digits(), esc10()};
  return all;
}

const SoundRecipe& sound_recipe(const std::string& name) {
  return named_recipe(sound_recipes(), name);
}
