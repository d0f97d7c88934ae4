#include "train/training_config.h"

#include "run/command_line.h"
#include "run/nearest_name.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <type_traits>

using nlohmann::ordered_json;
using simclr::kernels::Interpolation;
using simclr::kernels::LarsRule;
using simclr::nn::ConvInit;
using simclr::nn::Stem;
using simclr::nn::Warmup;

namespace {

template <class T>
using Names = std::vector<std::pair<const char*, T>>;

const Names<Stem> stems = {{"cifar", Stem::cifar}, {"imagenet", Stem::imagenet}};
const Names<ConvInit> inits = {{"he", ConvInit::he}, {"uniform", ConvInit::uniform}};
const Names<LarsRule> lars_rules = {{"simclr", LarsRule::simclr}, {"bolts", LarsRule::bolts}};
const Names<Warmup> warmups = {
    {"above-zero", Warmup::above_zero}, {"from-zero", Warmup::from_zero}, {"from-start", Warmup::from_start}};
const Names<Interpolation> interpolations = {{"bilinear", Interpolation::bilinear},
                                             {"bicubic", Interpolation::bicubic}};

/// Every key, once, for writing and for reading: `f` is a Writer or a Reader.
template <class Fields>
void visit(Fields& f, TrainingOptions& o) {
  Recipe& r = o.recipe;
  auto& a = r.augmentation;
  f("preset", r.name);
  f("dataset", o.dataset);
  f("data", o.data_dir);
  f("classes_at", o.classes_at);
  f("limit", o.limit);
  f("cache_gb", o.cache_gb);
  f("cache_dir", o.cache_dir);
  f("size", r.size);
  f("arch", r.arch);
  f("width", r.width);
  f("stem", r.stem, stems);
  f("stem_padding", r.stem_padding);
  f("conv_init", r.conv_init, inits);
  f("stem_init", r.stem_init, inits);
  f("zero_last_gamma", r.zero_last_gamma);
  f("head_hidden", r.head_hidden);
  f("head_out", r.head_out);
  f("head_layers", r.head_layers);
  f("head_batchnorm", r.head_batchnorm);
  f("head_last_batchnorm", r.head_last_batchnorm);
  f("head_last_shift", r.head_last_shift);
  f("head_last_bias", r.head_last_bias);
  f("views_apart", r.views_apart);
  f("epochs", r.epochs);
  f("batch_size", r.batch_size);
  f("micro_batch", o.micro_batch);
  f("temperature", r.temperature);
  f("optimizer", r.optimizer);
  f("lr", r.lr);
  f("momentum", r.momentum);
  f("weight_decay", r.weight_decay);
  f("lars_trust", r.lars_trust);
  f("lars_clip", r.lars_clip);
  f("lars_rule", r.lars_rule, lars_rules);
  f("warmup_epochs", r.warmup_epochs);
  f("warmup", r.warmup, warmups);
  f("warmup_start", r.warmup_start);
  f("schedule_by_epoch", r.schedule_by_epoch);
  f("seed", o.seed);
  f("device", o.device);
  f("dtype", o.dtype);
  f("images", o.images);
  f("graph", o.graph);
  f("wgmma", o.wgmma);
  f("threads", o.threads);
  f("workers", o.workers);
  f("checkpoint_minutes", o.checkpoint_minutes);
  f("keep_checkpoints", o.keep_checkpoints);
  f("hold_out", o.hold_out);
  f("knn_every", o.knn_every);
  f("knn_samples", o.knn_samples);
  f("knn_k", o.knn_k);
  f("knn_temperature", o.knn_temperature);
  f("probe_epochs", o.probe_epochs);
  f("evaluate", o.evaluate);
  f.group("augmentation", [&](auto& g) {
    g("size", a.size);
    g("channels", a.channels);
    g("crop_area", a.crop_area_min, a.crop_area_max);
    g("crop_aspect", a.crop_aspect_min, a.crop_aspect_max);
    g("interpolation", a.interpolation, interpolations);
    g("flip_probability", a.flip_probability);
    g("rotation_probability", a.rotation_probability);
    g("rotation_degrees", a.rotation_degrees);
    g("jitter_probability", a.jitter_probability);
    g("brightness", a.brightness);
    g("contrast", a.contrast);
    g("saturation", a.saturation);
    g("hue", a.hue);
    g("grayscale_probability", a.grayscale_probability);
    g("blur_probability", a.blur_probability);
    g("blur_sigma", a.blur_sigma_min, a.blur_sigma_max);
    g("blur_kernel", a.blur_kernel);
    g("mean", a.mean[0], a.mean[1], a.mean[2]);
    g("stddev", a.stddev[0], a.stddev[1], a.stddev[2]);
  });
}

/// What may change when a run goes on from a checkpoint.
const std::set<std::string> changeable = {"version",
                                          "data",
                                          "cache_gb",
                                          "cache_dir",
                                          "device",
                                          "dtype",
                                          "images",
                                          "graph",
                                          "wgmma",
                                          "threads",
                                          "workers",
                                          "knn_k",
                                          "checkpoint_minutes",
                                          "keep_checkpoints",
                                          "knn_every",
                                          "knn_samples",
                                          "knn_temperature",
                                          "probe_epochs",
                                          "evaluate"};

/// 0.2f as 0.2, not as 0.20000000298.
double shortest(float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  double out = value;
  if (error == std::errc()) std::from_chars(text, end, out);
  return out;
}

struct Writer {
  ordered_json out = ordered_json::object();

  void operator()(const char* key, const std::string& value) { out[key] = utf8(value); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(const char* key, const T& value) { out[key] = json_of(value); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(const char* key, const T& first, const std::type_identity_t<T>& second,
                  const std::same_as<T> auto&... rest) {
    out[key] = {json_of(first), json_of(second), json_of(rest)...};
  }
  template <class T>
  void operator()(const char* key, const T& value, const Names<T>& names) {
    for (const auto& [name, each] : names) {
      if (each == value) out[key] = name;
    }
  }
  template <class Body>
  void group(const char* key, Body body) {
    Writer inner;
    body(inner);
    out[key] = inner.out;
  }

 private:
  template <class T>
  static ordered_json json_of(T value) {
    if constexpr (std::is_same_v<T, float>)
      return shortest(value);
    else
      return value;
  }
};

/// Every key, "augmentation.hue" for one in a group; those of `group` first.
std::vector<std::string> all_keys(const std::string& group) {
  Writer writer;
  TrainingOptions o;
  visit(writer, o);
  std::vector<std::string> keys;
  for (const auto& [key, value] : writer.out.items()) {
    keys.push_back(key);
    if (!value.is_object()) continue;
    for (const auto& inner : value.items()) keys.push_back(key + "." + inner.key());
  }
  std::stable_partition(keys.begin(), keys.end(),
                        [&](const std::string& key) { return key.substr(0, key.find('.') + 1) == group; });
  return keys;
}

constexpr std::size_t most_shown = 60;  // of a configuration's own text in an error's line

class Reader {
 public:
  /// `group`: "augmentation." for the keys in it, empty for those outside.
  Reader(const ordered_json& in, std::string where, std::string group = "")
      : in_(in), where_(std::move(where)), group_(std::move(group)) {}

  void operator()(const char* key, std::string& value) {
    if (const ordered_json* j = find(key)) {
      if (!j->is_string()) refuse(key, *j, "must be a text");
      value = j->get<std::string>();
    }
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(const char* key, T& value) {
    if (const ordered_json* j = find(key)) read(key, *j, value);
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(const char* key, T& first, std::type_identity_t<T>& second, std::same_as<T> auto&... rest) {
    const ordered_json* j = find(key);
    if (!j) return;
    T* const places[] = {&first, &second, &rest...};
    if (!j->is_array() || j->size() != std::size(places)) {
      refuse(key, *j, "must be " + std::to_string(std::size(places)) + " numbers");
    }
    for (std::size_t i = 0; i < std::size(places); ++i) read(key, (*j)[i], *places[i]);
  }
  template <class T>
  void operator()(const char* key, T& value, const Names<T>& names) {
    std::string text, all;
    for (const auto& [name, each] : names) all += (all.empty() ? "" : " or ") + std::string(name);
    const ordered_json* j = find(key);
    if (!j) return;
    for (const auto& [name, each] : names) {
      if (j->is_string() && j->get<std::string>() == name) {
        value = each;
        return;
      }
    }
    refuse(key, *j, "must be " + all);
  }
  template <class Body>
  void group(const char* key, Body body) {
    const ordered_json* j = find(key);
    if (!j) return;
    if (!j->is_object()) refuse(key, *j, "must be an object");
    Reader inner(*j, where_ + ": " + key, key + std::string("."));
    body(inner);
    inner.check_unknown();
  }

  void check_unknown() const {
    for (const auto& [key, value] : in_.items()) {
      if (known_.contains(key)) continue;
      const std::string near = nearest_name(key, all_keys(group_));
      std::string hint;
      if (!near.empty()) {
        const bool here = near.starts_with(group_);
        hint = "; did you mean \"" + (here ? near.substr(group_.size()) : near) + "\"" +
               (here ? "" : " outside of this group") + "?";
      }
      simclr::fail(where_, ": \"", simclr::printable(key, most_shown), "\" is not known", hint);
    }
  }

  void allow(const char* key) { known_.insert(key); }

 private:
  const ordered_json* find(const char* key) {
    known_.insert(key);
    const auto found = in_.find(key);
    return found == in_.end() ? nullptr : &*found;
  }

  template <class T>
  void read(const char* key, const ordered_json& j, T& value) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (!j.is_boolean()) refuse(key, j, "must be true or false");
      value = j.get<bool>();
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!j.is_number()) refuse(key, j, "must be a number");
      const double number = j.get<double>();
      if (std::abs(number) > double{std::numeric_limits<T>::max()}) refuse(key, j, "is too large");
      value = static_cast<T>(number);
    } else {
      if (!j.is_number_integer()) refuse(key, j, "must be an integer");
      const bool fits =
          j.is_number_unsigned() ? std::in_range<T>(j.get<std::uint64_t>()) : std::in_range<T>(j.get<std::int64_t>());
      if (!fits) refuse(key, j, "is out of range");
      value = static_cast<T>(j.is_number_unsigned() ? j.get<std::uint64_t>()
                                                    : static_cast<std::uint64_t>(j.get<std::int64_t>()));
    }
  }

  [[noreturn]] void refuse(const char* key, const ordered_json& j, const std::string& why) const {
    const std::string text = j.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    simclr::fail(where_, ": \"", key, "\": ", simclr::printable(text, most_shown), " ", why);
  }

  const ordered_json& in_;
  std::string where_, group_;
  std::set<std::string> known_;
};

/// Parses, and refuses repeated keys, which the parser would merge in silence, and deep nesting.
ordered_json parse(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto look = [&](int depth, ordered_json::parse_event_t event, ordered_json& parsed) {
    if (depth > 8) simclr::fail(where, ": nested too deeply for a configuration");
    if (event == ordered_json::parse_event_t::object_start) keys.emplace_back();
    if (event == ordered_json::parse_event_t::object_end) keys.pop_back();
    if (event == ordered_json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      if (!keys.back().insert(key).second)
        simclr::fail(where, ": \"", simclr::printable(key, most_shown), "\" occurs twice");
    }
    return true;
  };
  try {
    return ordered_json::parse(text, look);
  } catch (const ordered_json::parse_error& error) {
    simclr::fail(where, ": not JSON at its byte ", error.byte);
  } catch (const ordered_json::exception&) {
    simclr::fail(where, ": a number in it is out of range");
  }
}

}  // namespace

ordered_json to_json(const TrainingOptions& options) {
  TrainingOptions o = options;
  o.threads = simclr::threads();  // what 0 came to
  Writer writer;
  writer.out["version"] = SIMCLR_VERSION;
  visit(writer, o);
  return writer.out;
}

TrainingOptions options_from_json(const std::string& text, const std::string& where) {
  const ordered_json json = parse(text, where);
  SIMCLR_CHECK(json.is_object(), where, ": a configuration is a JSON object, {\"epochs\": 100, ...}");
  TrainingOptions o;
  std::string preset = "quick";
  if (json.contains("preset") && json["preset"].is_string()) preset = json["preset"].get<std::string>();
  o.recipe = recipe(preset);
  Reader reader(json, where);
  reader.allow("version");
  visit(reader, o);
  reader.check_unknown();
  return o;
}

TrainingOptions read_config(const std::string& path) {
  constexpr std::uintmax_t most_bytes = 1 << 20;
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  SIMCLR_CHECK(regular, "--config ", path, ": ", error ? error.message() : "no such file");
  SIMCLR_CHECK(std::filesystem::file_size(path, error) <= most_bytes, "--config ", path,
               ": over 1 MiB, which no configuration is");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  SIMCLR_CHECK(file.good(), "--config ", path, ": cannot be read");
  return options_from_json(text.str(), path);
}

std::vector<Difference> differences(const ordered_json& a, const ordered_json& b) {
  const ordered_json before = a.flatten(), after = b.flatten();  // "/augmentation/hue": 0.1
  std::set<std::string> places;
  for (const auto* each : {&before, &after}) {
    for (const auto& [place, value] : each->items()) places.insert(place);
  }
  std::vector<Difference> out;
  for (const std::string& place : places) {
    std::string key = place.substr(1);
    if (changeable.contains(key.substr(0, key.find('/')))) continue;
    const ordered_json none, &was = before.contains(place) ? before[place] : none,
                             &is = after.contains(place) ? after[place] : none;
    std::replace(key.begin(), key.end(), '/', '.');
    if (was != is) out.push_back({key, was.dump(), is.dump()});
  }
  return out;
}
