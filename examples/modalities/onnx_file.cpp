#include "modalities/onnx_file.h"

#include "modalities/kinds.h"
#include "modalities/pair_sides.h"
#include "modalities/pictures.h"
#include "run/command_line.h"
#include "run/option_file.h"
#include "run/run_folder.h"
#include "train/encoder_file.h"

#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string_view>
#include <system_error>

namespace fs = std::filesystem;
namespace nn = simclr::nn;
using simclr::Shape;

namespace {

/// The encoder that is asked for, by the names that nn::export_onnx() knows.
EncoderFile open_weights(const OnnxFile& o, Kind& kind) {
  if (!o.head) return open_side_encoder(o.weights, kind, o.side);
  if (o.side != "none") return open_side(o.weights, kind, o.side);
  SIMCLR_CHECK(!is_of_pairs(config_of_weights(o.weights)), o.weights,
               ": --head: these are weights of pairs, whose sides have a head each; say which with --side");
  SIMCLR_CHECK(text_at(config_of_weights(o.weights), "method") != "supervised", o.weights,
               ": --head: a supervised run has no projection head; leave it out");
  return open_tower(o.weights, kind.modality(), 0);
}

/// What the views of the encoder's samples are, without the batch. Sequences may have any length.
Shape sample_of(const simclr::data::ViewMaker& maker) {
  const Shape view = maker.view_shape();
  return view.rank() <= 2 ? view.with_first(0) : view;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = i; k < i + 3; ++k) {
      three = three << 8 | (k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? digits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

/// Without the places of this machine, which are nobody else's concern; those of a side of pairs are in it.
nlohmann::ordered_json without_places(nlohmann::ordered_json config) {
  for (const char* place : {"data", "cache_dir", "started_in", "noise", "prompts"}) config.erase(place);
  for (auto& part : config) {
    if (part.is_object()) part = without_places(part);
  }
  return config;
}

/// Which network, for which samples.
std::string description_of(const EncoderFile& file) {
  std::string text = file.description;
  const std::string from = ", from " + file.path;
  const std::size_t at = text.find(from);
  return at == std::string::npos ? text : text.erase(at, from.size());
}

/// What a runtime has to know that the graph does not say.
std::map<std::string, std::string> metadata_of(const OnnxFile& o, const Kind& kind, const EncoderFile& file) {
  const nlohmann::ordered_json config = without_places(file.config);
  std::map<std::string, std::string> metadata = {
      {"libsimclr", SIMCLR_VERSION},
      {"config", config.dump()},
      {"description", description_of(file)},
      {"sample", kind.sample()},
      {"output", o.head ? "z of the projection head" : "features"},
      {"preprocessing", o.preprocessing ? "in the graph" : "before the graph"}};
  for (const char* key : {"modality", "arch", "dataset"}) {
    if (key == std::string_view("arch") && is_of_pairs(config)) continue;  // of each side its own
    if (const std::string text = text_at(config, key); !text.empty()) metadata[key] = text;
  }
  if (is_of_pairs(config)) metadata["side"] = side_names()[static_cast<std::size_t>(side_asked(config, o.side))];
  for (const simclr::NamedTensor& tensor : file.encoder->state()) {
    if (!tensor.name.ends_with("tokenizer")) continue;
    metadata["tokenizer"] = base64({static_cast<const char*>(tensor.value.raw_data()), tensor.value.bytes()});
  }
  return metadata;
}

}  // namespace

std::string write_onnx_file(const OnnxFile& o) {
  check_output(o.out, o.overwrite);
  refuse_in_run("out", o.out);
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights, o.side);
  const EncoderFile file = open_weights(o, *kind);
  std::error_code error;
  SIMCLR_CHECK(!fs::equivalent(file.path, o.out, error), o.out,
               ": is the input itself, which would be lost; choose another name");
  nn::OnnxOptions options{
      .fold_batchnorm = o.fold, .metadata = metadata_of(o, *kind, file), .existing = existing_output(o.overwrite)};
  if (o.preprocessing) {
    const auto* pictures = dynamic_cast<const Pictures*>(&kind->modality());
    SIMCLR_CHECK(pictures != nullptr, "--preprocess: is of pictures, and these weights are of ", kind->sample(),
                 "s; leave it out");
    options.pictures = pictures->policy().evaluation();
  }
  nn::export_onnx(*file.encoder, o.out, sample_of(*file.tower.maker), options);
  return file.description;
}
