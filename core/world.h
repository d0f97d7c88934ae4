#pragma once

#include <simclr/core/tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// The processes of a run. An engine that exists starts them (mpirun, srun); each holds a part of every batch, and
/// together they compute what one process would of the whole.
namespace simclr {

/// Where a process stands among those of its run, and among those of them that share its machine.
struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;
};

/// What a rank has sent to the others.
struct Traffic {
  std::int64_t messages = 0;  // each is one call that all ranks join in
  std::int64_t bytes = 0;
  double seconds = 0;  // in collectives of host memory, with waiting for the others; those of GPUs are queued

  /// Since then.
  Traffic operator-(const Traffic& before) const {
    return {messages - before.messages, bytes - before.bytes, seconds - before.seconds};
  }
};

/// A process as its run's others see it. World() stands alone, rank 0 of 1, and its collectives do nothing.
///
/// All ranks call the collectives in one order, with tensors of one shape, dtype and kind of device. They take what is
/// queued for the tensors before them, and what is queued afterwards finds their results. Sums are taken in the order
/// of the ranks (on CUDA in NCCL's own), so that a run gives the same bits each time. They throw Error for tensors that
/// do not fit, and where the run cannot go on (fail(), set_timeout()).
class SIMCLR_API World {
 public:
  World() = default;
  virtual ~World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  int local_rank() const { return place_.local_rank; }
  int local_size() const { return place_.local_size; }

  /// x of any shape becomes the sum of all ranks' x. f32, f64 or i32; bf16 is added up in f32 and rounded once.
  void all_reduce(Tensor x);
  /// [n,...] of each rank -> [size n,...], by rank; any dtype. Of one rank: x itself.
  Tensor all_gather(const Tensor& x);
  /// [size n,...] -> [n,...]: the sum of all ranks' rows [rank n, rank n + n); dtypes as all_reduce(). Of one rank:
  /// `all` itself.
  Tensor reduce_scatter(const Tensor& all);
  /// x becomes that of rank `from`; any dtype.
  void broadcast(Tensor x, int from = 0);
  /// all_reduce(x), beside what is queued afterwards where the ranks can (on CUDA): until join() x must neither be read
  /// nor written. A bf16 copy of x (shadow()) does not follow. Collectives that follow take their turn behind it.
  void start_all_reduce(Tensor x);
  /// The compute stream waits for the collectives that were started beside it.
  virtual void join() {}

  /// How long a rank waits for the others in a collective, 60 s at first; then it is taken that they hang or are cut
  /// off. Threads throw Error; a process says so in one line and ends, whereupon its engine ends the others.
  virtual void set_timeout(std::chrono::milliseconds) {}
  /// For a rank that cannot go on, with what to say of it: threads' collectives throw Error with this on the other
  /// ranks; processes all end, this one after that line. Does nothing where there are no others.
  virtual void fail(const std::string&) {}

  /// Since the start.
  virtual Traffic traffic() const { return {}; }

 protected:
  explicit World(const Place& place) : place_(place) {}

 private:
  /// The same behind their checks, for several ranks and tensors that are not empty.
  virtual void all_reduce_checked(Tensor&) {}
  virtual void all_gather_checked(const Tensor&, Tensor&) {}
  virtual void reduce_scatter_checked(const Tensor&, Tensor&) {}
  virtual void broadcast_checked(Tensor&, int) {}
  virtual void start_all_reduce_checked(Tensor& x) { all_reduce_checked(x); }

  Place place_;
};

/// `text` of each rank, by rank.
SIMCLR_API std::vector<std::string> gather_texts(World& world, std::string_view text);

/// For what a run must not mix, its version, configuration and the digest of its data: throws Error on all ranks unless
/// `text` is the same on all, with the first rank and line that differ. `what` is the message's word for it.
SIMCLR_API void require_same(World& world, std::string_view what, std::string_view text);

/// The run that mpirun or srun has started this process in, or World() where it was started by itself. Call it once,
/// and destroy the world on all ranks or none: an exception that leaves it ends the run of all processes, when this one
/// exits, with code 1 whatever main() returns; until then the others wait. World::fail() ends it at once. Needs
/// libsimclr_mpi.so, which is loaded where there are several processes, and on CUDA libsimclr_nccl.so. There each rank
/// takes a GPU of its own, device_of_rank()'s; what lies on it is exchanged in the order of its stream, in a captured
/// step too, which must go before the world does. Throws Error where a library is missing, where srun's processes know
/// nothing of one another, where ranks share a GPU or are on other kinds of device. `timeout` as in set_timeout().
SIMCLR_API std::unique_ptr<World> make_world(Device device = {},
                                             std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// `device` for a rank of several: of GPUs the one with its local rank's number, counted anew where there are fewer
/// (under srun each rank may see one alone, its own). Throws Error where there is none.
SIMCLR_API Device device_of_rank(const World& world, Device device);

/// A run in one process, for tests: calls body(world) in as many threads as there are ranks, and returns when all have.
/// Rethrows what the first of them threw; the others are not left waiting. Tensors on the CPU or the emulated device.
SIMCLR_API void of_threads(int ranks, const std::function<void(World&)>& body);

}  // namespace simclr
