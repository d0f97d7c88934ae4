#include "train/ranks.h"

#include "run/stop_request.h"
#include "train/training_config.h"

#include <simclr/core/error.h>

#include <array>

using simclr::World;

namespace {

/// What may differ between the machines of a run.
constexpr std::array own_affairs = {"threads", "workers", "data", "cache_dir", "cache_gb"};

}  // namespace

void require_same_run(const Training& t) {
  if (t.world->size() == 1) return;
  nlohmann::ordered_json config = to_json(t.options, *t.modality);
  for (const char* key : own_affairs) config.erase(key);
  const nlohmann::ordered_json data = {
      {"samples", t.sets.train->size()}, {"labels", t.labels}, {"within", t.sets.within}};
  require_alike(*t.world, "options", config.dump(2));
  require_alike(*t.world, "data", data.dump(2));
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
