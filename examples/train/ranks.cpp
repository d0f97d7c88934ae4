#include "train/ranks.h"

#include "run/progress.h"
#include "run/stop_request.h"
#include "train/training_config.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <array>
#include <string>

using simclr::World;

namespace {

/// "group.name" of a path in JSON, "/group/name".
std::string key_of(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path.substr(std::min<std::size_t>(1, path.size()));
}

std::string plain(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// What may differ between the machines of a run.
constexpr std::array own_affairs = {"threads", "workers", "data", "cache_dir", "cache_gb"};

}  // namespace

void require_same_run(const Training& t) {
  if (t.world->size() == 1) return;
  nlohmann::ordered_json config = to_json(t.options, *t.modality);
  for (const char* key : own_affairs) config.erase(key);
  std::string options, data = counted(t.sets.train->size(), t.sets.sample_name) + " to train on\n";
  const nlohmann::ordered_json flat = config.flatten();
  for (const auto& [path, value] : flat.items()) options += key_of(path) + " " + plain(value) + "\n";
  data += "names and labels of digest " + plain(t.labels) + "\n";
  for (const auto& [name, digest] : t.sets.within) data += name + " of digest " + digest + "\n";
  require_alike(*t.world, "options", options);
  require_alike(*t.world, "data", data);
}

void share_warnings(World& world, Progress& progress) {
  if (world.size() == 1) return;
  for (const std::string& warned : simclr::gather_texts(world, progress.warned())) progress.was_warned(warned);
}

void check_number_of_ranks(const simclr::World& world, std::int64_t batch_size) {
  if (batch_size % world.size() == 0) return;
  std::int64_t below = world.size(), above = world.size();
  while (batch_size % below != 0) --below;
  while (above < batch_size && batch_size % above != 0) ++above;
  simclr::fail("--resume: ", world.size(), " ranks cannot share the run's batches of ", batch_size, "; start ", below,
               above <= batch_size && batch_size % above == 0 ? " or " + std::to_string(above) : "");
}

void on_first_rank(const Training& t, const std::function<void()>& work, std::chrono::milliseconds limit) {
  World& world = *t.world;
  if (world.size() == 1) return work();
  const std::chrono::milliseconds usual = std::chrono::seconds(t.options.world_timeout);
  world.set_timeout(world.rank() == 0 ? usual : limit);  // rank 0 finds the others waiting
  bool stopped = false;
  try {
    if (world.rank() == 0) work();
  } catch (const Stopped&) {
    stopped = true;
  }
  stopped = greatest_of_ranks(world, stopped ? 1 : 0) != 0;
  world.set_timeout(usual);
  if (stopped) throw Stopped{};
}

void on_all_ranks(const Training& t, const std::function<void()>& work) {
  t.world->set_timeout(patience);
  work();
  t.world->set_timeout(std::chrono::seconds(t.options.world_timeout));
}

std::int64_t bucket_bytes(simclr::Device device) {
  return device.type == simclr::DeviceType::cuda ? std::int64_t{25} << 20 : 0;
}

std::chrono::milliseconds saving_limit(const Training& t) {
  return 10 * std::chrono::seconds(t.options.world_timeout);
}
