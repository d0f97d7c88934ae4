#include "modalities/sound_rows.h"

#include "modalities/field_parts.h"
#include "train/training_rows.h"

#include <simclr/core/error.h>
#include <simclr/data/sound/sound_io.h>
#include <simclr/nn/resnet.h>

namespace data = simclr::data;

namespace {

void add_noise_row(OptionTable& table, SoundOptions& own) {
  table
      .add("noise", own.noise,
           "A folder of recordings to mix in, for --noise-probability of the views; unset: no noise")
      .may_change();
}

void add_data_rows(OptionTable& table, TrainingOptions& o, SoundOptions& own) {
  table.group("Data");
  table.add("data", o.data_dir, "A folder of recordings, those below it too, or a list of them, LIST.csv").may_change();
  add_part_rows(table, own.pattern, own.test, {"recordings", "{label}_{speaker}_{take}.wav", "speaker"});
  add_noise_row(table, own);
  add_cache_rows(table, o, "recording");
}

void add_encoder_rows(OptionTable& table, const std::string& heading, SoundOptions& own) {
  table.group(heading);
  table.add("arch", own.arch, sound_encoder_names(),
            "The encoder: a ResNet over time and mels, or a GRU over time, in both directions");
  table.add("width", own.width, "Channels of the ResNet's first stage; units of each of the GRU's directions")
      .between(1, most_sound_width);
  table.add("layers", own.layers, "Of the GRU").between(1, 8);
}

void add_view_rows(OptionTable& table, const std::string& heading, SoundOptions& own) {
  table.group(heading);
  table.add("rate", own.sound.rate, "Samples a second; recordings of other rates are resampled")
      .between(data::min_sound_rate, data::max_sound_rate);
  table.add("seconds", own.sound.seconds, "Length of a view, any part of a recording").between(0.05, 600);
  table.add("eval-seconds", own.eval_seconds, "Of what evaluation sees, a recording's middle; 0: as --seconds")
      .between(0.05, 600)
      .or_else(0, "as --seconds");
  table.add("mels", own.mels, "Bands of the log-mel spectrogram").between(8, 256);
}

void add_wave_rows(OptionTable& table, data::SoundPolicy& p) {
  table.add("shift-probability", p.shift_probability, "Of a shift in time, over a recording's ends").between(0, 1);
  table.add("shift-share", p.shift_share, "At most, as a share of the view").between(0, 0.5);
  table.add("speed-probability", p.speed_probability, "Of another speed, and with it another pitch").between(0, 1);
  table.add("speed", {&p.speed_min, &p.speed_max}, "The slowest and the fastest").between(0.25, 4);
  table.add("gain-probability", p.gain_probability, "Of another loudness").between(0, 1);
  table.add("gain-db", p.gain_db, "Up to so many decibels more or less").between(0, 60);
  table.add("noise-probability", p.noise_probability, "Of noise, where --noise names some").between(0, 1);
  table.add("snr-db", {&p.snr_db_min, &p.snr_db_max}, "How far the noise is below the recording, in decibels")
      .between(-60, 120);
}

void add_spectrogram_rows(OptionTable& table, data::SpectrogramPolicy& p) {
  table.add("warp-probability", p.warp_probability, "Of a warp of the mels, as if another voice spoke").between(0, 1);
  table.add("warp", p.warp, "By factors from 1 - x to 1 + x").between(0, 0.5);
  table.add("time-masks", p.time_masks, "How many parts of the time are hidden").between(0, data::most_masks);
  table.add("time-share", p.time_share, "The most that each hides, as a share of the view").between(0, 1);
  table.add("mel-masks", p.mel_masks, "How many bands are hidden").between(0, data::most_masks);
  table.add("mel-share", p.mel_share, "The most that each hides, as a share of all mels").between(0, 1);
}

void add_augmentation_rows(OptionTable& table, const std::string& heading, SoundOptions& own) {
  table.group(heading, "augmentation");
  add_wave_rows(table, own.sound);
  add_spectrogram_rows(table, own.spectrogram);
  table.rule([&own](const OptionTable& rows) {
    data::SoundPolicy& p = own.sound;
    for (const auto& [least, most] : {std::pair{&p.speed_min, &p.speed_max}, std::pair{&p.snr_db_min, &p.snr_db_max}}) {
      SIMCLR_CHECK(*least <= *most, rows.said(*least), ": the smaller number comes first");
    }
  });
}

}  // namespace

std::vector<std::string> sound_encoder_names() {
  std::vector<std::string> names = simclr::nn::resnet_names();
  names.push_back("gru");
  return names;
}

void add_sound_rows(OptionTable& table, TrainingOptions& o, SoundOptions& own) {
  add_data_rows(table, o, own);
  add_encoder_rows(table, "Model", own);
  add_view_rows(table, "Views", own);
  add_augmentation_rows(table, "Augmentation", own);
}

void add_sound_view_rows(OptionTable& table, SoundOptions& own) {
  add_encoder_rows(table, "Model of recordings", own);
  add_view_rows(table, "Views of recordings", own);
  add_noise_row(table, own);
  add_augmentation_rows(table, "Augmentation of recordings", own);
}
