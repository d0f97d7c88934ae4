#pragma once

// Private to core: ranks that exchange host memory, as threads and MPI do. They move bytes alone; sums are taken here,
// so that their order is one for all.

#include <simclr/core/world.h>

#include <chrono>
#include <cstddef>
#include <memory>

namespace simclr {

/// Calls that all ranks join in. Each returns when this rank's memory may be written again.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Part r of `from` goes to rank r, and part r of `to` comes from it, `bytes` a part.
  virtual void all_to_all(const std::byte* from, std::byte* to, std::size_t bytes) = 0;
  /// Part r of `to` is rank r's `from`, which may be its own part of `to`.
  virtual void all_gather(const std::byte* from, std::byte* to, std::size_t bytes) = 0;
  virtual void broadcast(std::byte* data, std::size_t bytes, int from) = 0;
  virtual void set_timeout(std::chrono::milliseconds timeout) = 0;
  virtual void fail(const std::string& why) = 0;
};

class HostWorld : public World {
 public:
  HostWorld(const Place& place, std::unique_ptr<Transport> transport)
      : World(place), transport_(std::move(transport)) {}

  void set_timeout(std::chrono::milliseconds timeout) override { transport_->set_timeout(timeout); }
  void fail(const std::string& why) override { transport_->fail(why); }
  Traffic traffic() const override { return traffic_; }

 protected:
  void all_reduce_checked(Tensor& x) override;
  void all_gather_checked(const Tensor& x, Tensor& all) override;
  void reduce_scatter_checked(const Tensor& all, Tensor& x) override;
  void broadcast_checked(Tensor& x, int from) override;

  Traffic traffic_;

 private:
  /// `count` elements of `dtype` at `data` become the sum of all ranks'.
  void sum(std::byte* data, std::int64_t count, DType dtype);
  /// The sum of the ranks' part `rank` of `from`, `count` elements of `dtype` a part.
  void sum_of_part(const std::byte* from, std::byte* to, std::int64_t count, DType dtype);
  void all_gather(const std::byte* from, std::byte* to, std::size_t bytes);
  void note(std::size_t bytes);
  /// Calls `exchange`, and counts the time that it takes.
  template <class Exchange>
  void timed(const Exchange& exchange) {
    const auto begin = std::chrono::steady_clock::now();
    exchange();
    traffic_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  std::unique_ptr<Transport> transport_;
};

/// Throws Error where `device` is a GPU by number: each of several ranks takes its own.
void require_no_number(Device device);

/// The number of the GPU that a rank takes of the `count` that it sees.
SIMCLR_API int gpu_of_rank(const World& world, int count);

}  // namespace simclr
