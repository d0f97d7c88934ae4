#include "train/encoder_file.h"

#include "run/option_file.h"
#include "run/run_folder.h"
#include "train/run_data.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/core/serialize.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

namespace fs = std::filesystem;
namespace nn = simclr::nn;
using simclr::NamedTensor;

namespace {

constexpr std::string_view one_tower = "encoder.", its_head = "head.", several_towers = "towers.";

bool named_as_ours(const std::string& name) {
  return name.starts_with(one_tower) || name.starts_with(several_towers);
}

/// What of the tensors of a whole model is a tower's, named without what is before it. `head`: its head, too. A tower
/// without an encoder of its own has the first one's. Where there is one encoder alone, as finetune leaves, it is that.
std::vector<NamedTensor> of_tower(const std::vector<NamedTensor>& all, int tower, bool head) {
  const bool several = std::any_of(all.begin(), all.end(),
                                   [](const NamedTensor& tensor) { return tensor.name.starts_with(several_towers); });
  if (head && !several) return all;
  const std::string whole = std::string(several_towers) + std::to_string(tower) + ".";
  const std::string prefix = head ? whole : (several ? whole : "") + std::string(one_tower);
  std::vector<NamedTensor> own;
  for (const NamedTensor& tensor : all) {
    if (tensor.name.starts_with(prefix)) own.push_back({tensor.name.substr(prefix.size()), tensor.value});
  }
  if (!head) return own.empty() && tower > 0 ? of_tower(all, 0, false) : own;
  const bool shared = tower > 0 && std::none_of(own.begin(), own.end(), [](const NamedTensor& tensor) {
                        return tensor.name.starts_with(one_tower);
                      });
  if (!shared) return own;
  for (const NamedTensor& tensor : of_tower(all, 0, false)) {
    own.push_back({std::string(one_tower) + tensor.name, tensor.value});
  }
  return own;
}

/// The tower whose encoder is of this kind. Throws simclr::Error where a configuration says that it is of another kind
/// of data.
int tower_of(const nlohmann::ordered_json& config, const Modality& modality) {
  const int tower = modality.tower_in(config);
  const std::string of = config.value("modality", std::string(modality.name()));
  SIMCLR_CHECK(tower >= 0, "it is of ", simclr::printable(of), ", and this program takes ", modality.name());
  return tower;
}

fs::path weights_of(const std::string& run_or_file) {
  std::error_code error;
  const fs::path path = run_or_file;
  SIMCLR_CHECK(fs::exists(path, error), run_or_file,
               ": there is no such file or folder; give a run's folder or a .safetensors file");
  if (!fs::is_directory(path, error)) return path;
  if (fs::exists(path / weights_file, error)) return path / weights_file;
  const auto checkpoints = nn::CheckpointFolder(path / checkpoint_folder).list();
  if (!checkpoints.empty()) return checkpoints.front().path;
  std::vector<std::string> others;  // such as finetune's
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".safetensors") others.push_back(entry.path().string());
  }
  SIMCLR_CHECK(others.empty(), run_or_file, ": holds no ", weights_file, "; give one of its files, such as ",
               *std::min_element(others.begin(), others.end()));
  SIMCLR_CHECK(!fs::exists(path / "config.json", error), run_or_file,
               ": this run has no weights yet; wait for its first checkpoint, or train it again");
  simclr::fail(run_or_file, ": holds no run: there is neither ", weights_file, " nor a checkpoint in it");
}

/// Whether a tensor of a file is what the kind keeps in its weights, of whichever tower.
bool is_kept(const std::string& name, const Modality& modality) {
  const std::string kept = modality.kept_in_weights();
  return !kept.empty() && named_as_ours(name) && name.ends_with(std::string(one_tower) + kept);
}

/// Lets `modality` take it from the weights, where it keeps something there.
void take_kept(const std::vector<NamedTensor>& all, Modality& modality) {
  const std::string kept = modality.kept_in_weights();
  if (kept.empty()) return;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const NamedTensor& each) { return is_kept(each.name, modality); });
  SIMCLR_CHECK(found != all.end(), "the weights hold no ", kept);
  modality.take_kept(found->value);
}

/// Whose configuration it is, where that may be why it cannot be used.
std::string other_version(const nlohmann::ordered_json& config) {
  const auto version = config.is_object() ? config.find("version") : config.end();
  if (version == config.end() || !version->is_string() || *version == SIMCLR_VERSION) return "";
  return "; it is of version " + version->get<std::string>() + ", this program of " SIMCLR_VERSION;
}

/// The towers' weights; `result` and `modality` become what their configuration says, and `tower` the one whose encoder
/// is of this kind. `head`: with the head of a single tower, too.
std::vector<NamedTensor> read_weights(const std::string& run_or_file, Modality& modality, EncoderFile& result,
                                      int& tower, bool head = false) {
  result.path = weights_of(run_or_file).string();
  bool torchvision = false;
  const simclr::TensorFile file = simclr::load_tensors(
      result.path, {.skip = [&torchvision, head](const std::string& name) {
        if (head && name.starts_with(its_head)) return false;
        torchvision |= !named_as_ours(name) && (name == "conv1.weight" || name.ends_with(".layer1.0.conv1.weight"));
        return !named_as_ours(name);
      }});
  const auto format = file.metadata.find("format");
  const bool ours = format != file.metadata.end() && format->second == "simclr";
  SIMCLR_CHECK(ours || !torchvision, result.path,
               ": these are torchvision's weights; first run torchvision_weights import ", result.path,
               " OUT.safetensors");
  SIMCLR_CHECK(ours, result.path, ": not weights of libsimclr: its metadata does not say \"format\": \"simclr\"");

  const auto config = file.metadata.find("config");
  SIMCLR_CHECK(config != file.metadata.end(), result.path,
               ": has no configuration (\"config\" in its metadata), so how its samples are prepared is not known");
  nn::check_finite(result.path, file.tensors, "; use an earlier checkpoint, or train it again");
  nn::check_variances(result.path, file.tensors, "; the file is damaged: use another copy");
  try {
    result.config = nlohmann::ordered_json::parse(config->second);
    const auto begun_in = file.metadata.find(started_in_key);  // of a checkpoint
    if (begun_in != file.metadata.end() && result.config.is_object()) result.config[started_in_key] = begun_in->second;
    add_started_in(result.config, result.path);
    tower = tower_of(result.config, modality);
    modality.configure(result.config);
  } catch (const std::exception& error) {
    simclr::fail(result.path, ": its configuration cannot be used: ", error.what(), other_version(result.config));
  }
  try {
    take_kept(file.tensors, modality);
  } catch (const simclr::Error& error) {
    simclr::fail(result.path, ": its encoder cannot be built: ", error.what());
  }
  result.cache_dir =
      cache_of_run(text_at(result.config, "cache_dir"), text_at(result.config, started_in_key), result.path);
  return file.tensors;
}

/// The head behind an encoder, whose width a whole model does not say; null: there is none.
const nn::Module* head_of(const nn::Module& module) {
  for (const auto& [name, part] : module.named_modules()) {
    if (name == "head" && dynamic_cast<const nn::ProjectionHead*>(part) != nullptr) return part;
  }
  return nullptr;
}

/// Makes the encoder by `make`, and gives it its weights; `tower` is the kind's own, whose views it sees.
void build(EncoderFile& result, const Modality& modality, int tower, const std::vector<NamedTensor>& state,
           const std::function<std::shared_ptr<nn::Module>()>& make) {
  try {
    result.encoder = make();
    result.encoder->load_state(state);
  } catch (const simclr::Error& error) {
    simclr::fail(result.path, ": its encoder cannot be built: ", error.what());
  }
  result.tower = modality.towers(false)[static_cast<std::size_t>(tower)];
  const nn::Module* head = head_of(*result.encoder);
  const std::int64_t features = (head != nullptr ? *head : *result.encoder).output_features();
  result.description = modality.encoder_name() + (head != nullptr ? ", projection head, " : ", ") +
                       std::to_string(features) + " features, from " + result.path + "; " + modality.view_name();
}

}  // namespace

EncoderFile open_encoder(const std::string& run_or_file, Modality& modality, int tower) {
  EncoderFile result;
  int first = 0;
  const std::vector<NamedTensor> all = read_weights(run_or_file, modality, result, first);
  build(result, modality, 0, of_tower(all, tower < 0 ? first : tower, false), [&] { return modality.make_encoder(0); });
  return result;
}

void take_kept_of_run(const std::string& run, Modality& modality) {
  if (modality.kept_in_weights().empty()) return;
  std::vector<fs::path> files;
  for (const auto& checkpoint : nn::CheckpointFolder(fs::path(run) / checkpoint_folder).list()) {
    files.push_back(checkpoint.path);
  }
  files.push_back(fs::path(run) / checkpoint_folder / "best.safetensors");
  files.push_back(fs::path(run) / weights_file);
  for (const fs::path& file : files) {
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    try {
      const auto read =
          simclr::load_tensors(file, {.skip = [&](const std::string& name) { return !is_kept(name, modality); }});
      if (read.tensors.empty()) continue;
      modality.take_kept(read.tensors.front().value);
      return;
    } catch (const simclr::Error&) {  // resuming says what is wrong with it
    }
  }
}

EncoderFile open_tower(const std::string& run_or_file, Modality& modality, int tower) {
  EncoderFile result;
  int own = 0;
  const std::vector<NamedTensor> all = read_weights(run_or_file, modality, result, own, true);
  const int towers = static_cast<int>(modality.towers(false).size());
  SIMCLR_CHECK(tower >= 0 && tower < towers, result.path, ": there is no tower ", tower, " of ", towers);
  build(result, modality, tower, of_tower(all, tower, true), [&]() -> std::shared_ptr<nn::Module> {
    const TrainingOptions options = options_from_json(result.config, result.path, modality);  // the head's, too
    const std::shared_ptr<nn::Model> model = modality.make_model(options);
    return {model, &model->tower(tower)};
  });
  return result;
}

nlohmann::ordered_json config_of_weights(const std::string& run_or_file) {
  const simclr::TensorFile file =
      simclr::load_tensors(weights_of(run_or_file), {.skip = [](const std::string&) { return true; }});
  const auto config = file.metadata.find("config");
  if (config == file.metadata.end()) return nlohmann::ordered_json::object();
  try {
    return nlohmann::ordered_json::parse(config->second);
  } catch (const std::exception&) {  // open_encoder() says what is wrong
    return nlohmann::ordered_json::object();
  }
}
