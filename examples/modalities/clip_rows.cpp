#include "modalities/clip_rows.h"

#include "modalities/clip_sets.h"
#include "modalities/field_parts.h"
#include "modalities/picture_rows.h"
#include "run/shared_rows.h"
#include "train/training_rows.h"

std::vector<std::string> clip_encoder_names() {
  std::vector<std::string> names = {"r2plus1d_18"};
  for (const std::string& resnet : simclr::nn::resnet_names()) names.push_back(resnet + "_gru");
  return names;
}

void add_clip_rows(OptionTable& table, TrainingOptions& o, ClipOptions& own) {
  table.group("Data");
  add_dataset_row(table, o.dataset, clip_set_kinds(),
                  "auto takes what is found in --data, a folder or a list; without it moving Fashion-MNIST");
  add_data_row(table, o.data_dir, "a folder of clips, or LIST.csv");
  add_part_rows(table, own.pattern, own.test, {"clips", "{label}_{person}_{take}.mp4", "person"});
  add_cache_rows(table, o, "clip");
  table.group("Model");
  table.add("arch", own.arch, clip_encoder_names(),
            "The encoder: R(2+1)D, or a ResNet of each frame and a GRU over time, in both directions");
  table.add("width", own.width, "Channels of the first stage; 64 is the published network").between(1, most_clip_width);
  table.add("stem", own.stem, stem_names, "cifar (3x3; up to 64 pixels) or imagenet (7x7 stride 2)");
  table.add("gru-width", own.gru_width, "Of the GRU, each direction").between(1, most_clip_width);
  table.group("Views");
  table.add("size", own.size, "Side of a view in pixels").between(8, most_clip_size);
  table.add("frames", own.times.frames, "Of a view, which begins at a random time").between(1, most_clip_frames);
  table.add("stride", own.times.stride, "Of a clip's frames a view takes every so many").between(1, most_clip_frames);
  table.flag("differences", "frames-themselves", own.times.differences,
             "A view's frames are what changes from one to the next: where the camera stands still, what moves");
  table.add("clips", own.clips, "Views, evenly spread over a clip, whose features evaluation averages")
      .between(1, most_clip_frames);
  add_augmentation_rows(table, own.augmentation, own.means, own.stddevs);
}
