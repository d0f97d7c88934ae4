#pragma once

// Private to core: ranks with a GPU each. What lies on it is exchanged by NCCL, in the order of the GPU's stream; host
// memory goes another way, and so does the id by which the GPUs find one another.

#include <simclr/core/host_world.h>
#include <simclr/core/nccl_functions.h>
#include <simclr/core/watchdog.h>

#include <string>
#include <vector>

namespace simclr {

/// libsimclr_nccl.so's. Throws Error where it cannot be had.
const NcclFunctions& load_nccl();

/// Throws Error where ranks share a GPU, which NCCL does not serve: `gpus` names that of each rank, by rank.
void require_own_gpus(const std::vector<std::string>& gpus);

class NcclWorld final : public HostWorld {
 public:
  /// All ranks call it. `transport` serves host memory. A GPU of the kind `device` becomes this rank's own. Throws
  /// Error on all ranks where two share one.
  NcclWorld(const Place& place, std::unique_ptr<Transport> transport, const NcclFunctions& nccl, Device device,
            std::chrono::milliseconds timeout);
  ~NcclWorld() override;

  void set_timeout(std::chrono::milliseconds timeout) override;
  void join() override;

 private:
  void all_reduce_checked(Tensor& x) override;
  void all_gather_checked(const Tensor& x, Tensor& all) override;
  void reduce_scatter_checked(const Tensor& all, Tensor& x) override;
  void broadcast_checked(Tensor& x, int from) override;
  void start_all_reduce_checked(Tensor& x) override;

  bool is_own(const Tensor& x) const;
  std::int64_t ring_bytes(const Tensor& x) const;
  /// Queues a collective of which this rank sends so many bytes, as a ring does.
  template <class Collective>
  void queue(const char* what, std::int64_t bytes, const Collective& collective);

  const NcclFunctions& nccl_;
  Context& gpu_;
  Watchdog watchdog_;
  int exceptions_;
};

}  // namespace simclr
