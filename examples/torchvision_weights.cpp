// Carries encoder weights to torchvision (PyTorch) and back. scripts/torchvision shows both, and checks the features.
#include "modalities/pictures.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/shared_rows.h"
#include "train/encoder_file.h"

#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace data = simclr::data;
namespace fs = std::filesystem;
namespace nn = simclr::nn;

namespace {

constexpr std::int64_t torchvision_width = 64;

struct Options {
  bool exporting = false, overwrite = false;
  std::string from, to, prefix;
  int size = 224;
  std::vector<float> mean = {0.485f, 0.456f, 0.406f}, stddev = {0.229f, 0.224f, 0.225f};  // ImageNet's
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app("Carries the weights of a ResNet encoder to torchvision and back, as safetensors files.",
               "torchvision_weights");
  app.require_subcommand(1);
  CLI::App* to = app.add_subcommand("export", "Writes the encoder of a run as torchvision names and orders weights");
  to->add_option("run", o.from, "A run's folder, a checkpoint or a weights file")->required();
  to->add_option("out", o.to, "The file to write, for load_state_dict()")->required();
  OptionTable of_export, of_import;
  add_overwrite_row(of_export, o.overwrite);
  CLI::App* from = app.add_subcommand("import", "Writes torchvision's weights as a file that the other programs take");
  from->add_option("file", o.from, "The state_dict of a resnet18, resnet34 or resnet50, half precision too")
      ->required();
  from->add_option("out", o.to, "The file to write")->required();
  of_import.add("prefix", o.prefix,
                "What stands before its names, as module.encoder_q. for MoCo; the rest is left out");
  of_import.add("size", o.size, "Side of the pictures that the network is for, in pixels").between(1, 4096);
  of_import.add("mean", o.mean, "What is subtracted from pixels in [0,1], a channel each").between(-1000, 1000);
  of_import.add("stddev", o.stddev, "What they are divided by then, a channel each").between(double{1e-3f}, 1000);
  add_overwrite_row(of_import, o.overwrite);
  LineOptions export_options(*to, of_export), import_options(*from, of_import);
  if (!parse(app, argc, argv)) return false;
  o.exporting = to->parsed();
  (o.exporting ? export_options : import_options).take();
  return true;
}

/// The lines that make torchvision's network the one that was trained.
std::string python(const nn::ResNetKind& kind) {
  const bool cifar = kind.options.stem == nn::Stem::cifar, narrow = kind.options.width != torchvision_width;
  const int given = kind.options.stem_padding;
  const std::string width = std::to_string(kind.options.width);
  const std::string padding = std::to_string(given >= 0 ? given : cifar ? 1 : 3);
  std::string code = "  model = torchvision.models." + kind.name + "()\n  model.fc = torch.nn.Identity()\n";
  if (cifar || narrow || given >= 0 || kind.options.channels != 3) {
    code += "  model.conv1 = torch.nn.Conv2d(" + std::to_string(kind.options.channels) + ", " + width + ", " +
            (cifar ? "3, padding=" : "7, stride=2, padding=") + padding + ", bias=False)\n";
  }
  if (cifar) code += "  model.maxpool = torch.nn.Identity()\n";
  if (narrow) {  // torchvision's constructor knows 64 alone (width_per_group is the bottlenecks' inner width)
    code += "  model.bn1, model.inplanes = torch.nn.BatchNorm2d(" + width + "), " + width + "\n" +
            "  for i in range(4):\n"
            "      block, depth = type(model.layer1[0]), len(getattr(model, f\"layer{i + 1}\"))\n"
            "      setattr(model, f\"layer{i + 1}\", model._make_layer(block, " +
            width + " << i, depth, min(i, 1) + 1))\n";
  }
  return code;
}

/// Whatever --overwrite says.
void refuse_own_input(const Options& o, const std::string& input) {
  std::error_code error;
  SIMCLR_CHECK(!fs::equivalent(input, o.to, error), o.to,
               ": is the input itself, which would be lost; choose another name");
}

void export_weights(const Options& o) {
  Pictures pictures;
  const EncoderFile file = open_encoder(o.from, pictures);
  refuse_own_input(o, file.path);
  simclr::save_tensors(o.to, nn::to_torchvision(file.encoder->state()),
                       {{"format", "pt"}, {"config", file.config.dump()}}, existing_output(o.overwrite));
  std::printf("%s\nwritten to %s; in Python:\n\n%s  model.load_state_dict(safetensors.torch.load_file(\"%s\"))\n",
              file.description.c_str(), o.to.c_str(), python(pictures.kind()).c_str(), o.to.c_str());
}

data::Augmentation preprocessing(const Options& o, const nn::ResNetKind& kind) {
  auto policy = data::Augmentation::evaluation(o.size, static_cast<int>(kind.options.channels));
  const auto channels = static_cast<std::size_t>(kind.options.channels);
  SIMCLR_CHECK(o.mean.size() >= channels && o.stddev.size() >= channels, "--mean and --stddev: ", channels,
               " numbers each are needed, parted by commas");
  std::copy_n(o.mean.begin(), channels, policy.mean);
  std::copy_n(o.stddev.begin(), channels, policy.stddev);
  check(policy);
  return policy;
}

/// Throws simclr::Error, naming what there is, where no ResNet's names begin with `prefix`.
void check_prefix(const Options& o, const std::string& prefix, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), prefix + "conv1.weight") != names.end()) return;
  std::string found;
  for (const std::string& other : nn::resnet_prefixes(names)) {
    const std::string option = other.empty() ? "no --prefix" : "--prefix " + simclr::printable(other);
    found += (found.empty() ? "; found " : ", or ") + simclr::printable(other) + "conv1.weight: " + option;
  }
  if (found.empty() && !names.empty()) {
    found = "; the first of its " + std::to_string(names.size()) + " tensors is " + simclr::printable(names.front());
  }
  simclr::fail(o.from, ": not torchvision's resnet18, resnet34 or resnet50: there is no ", simclr::printable(prefix),
               "conv1.weight", found);
}

/// The ResNet's tensors with torchvision's names; says what else is left out.
std::vector<simclr::NamedTensor> read_torchvision(const Options& o) {
  std::vector<std::string> names;
  const simclr::TensorFile header = simclr::load_tensors(o.from, {.skip = [&names](const std::string& name) {
                                                           names.push_back(name);
                                                           return true;
                                                         }});
  const auto format = header.metadata.find("format");
  SIMCLR_CHECK(format == header.metadata.end() || format->second != "simclr", o.from,
               ": these are weights of libsimclr; the other programs take them as they are");
  const std::string prefix = o.prefix.empty() || o.prefix.ends_with('.') ? o.prefix : o.prefix + ".";
  check_prefix(o, prefix, names);
  std::int64_t outside = 0;
  simclr::TensorFile file =
      simclr::load_tensors(o.from, {.skip =
                                        [&](const std::string& name) {
                                          const bool other = !name.starts_with(prefix);
                                          outside += other ? 1 : 0;
                                          return other || nn::only_in_torchvision(name.substr(prefix.size()));
                                        },
                                    .widen_f16 = true});
  if (outside > 0) {
    std::printf("%lld tensors outside %s left out\n", static_cast<long long>(outside),
                simclr::printable(prefix).c_str());
  }
  for (simclr::NamedTensor& tensor : file.tensors) tensor.name.erase(0, prefix.size());
  return file.tensors;
}

void import_weights(const Options& o) {
  refuse_own_input(o, o.from);
  std::vector<simclr::NamedTensor> state = nn::from_torchvision(read_torchvision(o));
  nn::ResNetKind kind;
  try {
    kind = nn::resnet_kind(state);
    nn::make_resnet(kind.name, kind.options)->load_state(state);  // says what does not fit
  } catch (const simclr::Error& error) {
    simclr::fail(o.from, ": not torchvision's resnet18, resnet34 or resnet50: ", error.what());
  }
  nn::check_finite(o.from, state, "; use another copy");
  nn::check_variances(o.from, state, "; use another copy");
  const data::Augmentation policy = preprocessing(o, kind);
  for (simclr::NamedTensor& tensor : state) tensor.name = "encoder." + tensor.name;
  simclr::save_tensors(o.to, state, {{"format", "simclr"}, {"config", encoder_config(Pictures(kind, policy)).dump()}},
                       existing_output(o.overwrite));
  std::printf("%s, for pictures of %dx%d pixels, written to %s\n", kind.name.c_str(), o.size, o.size, o.to.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("torchvision_weights", [&] {
    Options options;
    if (!parse_options(argc, argv, options)) return;
    check_output(options.to, options.overwrite);
    if (options.exporting) {
      export_weights(options);
    } else {
      import_weights(options);
    }
  });
}
