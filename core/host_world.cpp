// The sum of x over the ranks: each takes the W-th part of every rank's x, adds these up in the order of the ranks, and
// the sums are gathered. A rank sends 2 (W-1)/W of x, the least that there is for a sum (as a ring does), and the order
// is no matter of who comes first.
#include <simclr/core/host_world.h>
#include <simclr/core/parallel.h>

#include <algorithm>
#include <limits>

namespace simclr {
namespace {

/// Of x in one call: what is exchanged stays in a processor's cache, and a call's size fits an int.
constexpr std::int64_t most_bytes = std::int64_t{16} << 20;
/// Below this what is sent costs less than a second call.
constexpr std::int64_t few_bytes = 4096;

/// Where the host finds the values, once the device is through with them.
std::byte* bytes_of(const Tensor& x) {
  SIMCLR_CHECK(is_host_memory(x.device()), "world: ", describe(x),
               " is not in host memory, which these ranks exchange; train on the CPU");
  if (x.device().type != DeviceType::cpu) Context::of(x.device()).synchronize();
  return static_cast<std::byte*>(x.raw_data());
}

template <class T, class Wide>
void add_up(const T* parts, T* sums, std::int64_t count, int ranks) {
  const ItemCost cost{.flop = ranks, .bytes = (ranks + 1) * static_cast<std::int64_t>(sizeof(T))};
  parallel_for(count, items_a_piece(cost), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t block = 512;
    Wide sum[block];
    for (std::int64_t i = begin; i < end; i += block) {
      const std::int64_t n = std::min(block, end - i);
      for (std::int64_t k = 0; k < n; ++k) sum[k] = static_cast<Wide>(parts[i + k]);
      for (int r = 1; r < ranks; ++r) {
        const T* part = parts + r * count + i;
        for (std::int64_t k = 0; k < n; ++k) sum[k] += static_cast<Wide>(part[k]);
      }
      for (std::int64_t k = 0; k < n; ++k) sums[i + k] = static_cast<T>(sum[k]);
    }
  });
}

void add_up(DType dtype, const void* parts, void* sums, std::int64_t count, int ranks) {
  const auto as = [&]<class T, class Wide>(T, Wide) {
    add_up<T, Wide>(static_cast<const T*>(parts), static_cast<T*>(sums), count, ranks);
  };
  switch (dtype) {
    case DType::f32: return as(float{}, float{});
    case DType::f64: return as(double{}, double{});
    case DType::bf16: return as(BFloat16{}, float{});
    case DType::i32: return as(std::int32_t{}, std::int32_t{});
    default: fail("world: ", dtype, " is not added up");
  }
}

}  // namespace

void HostWorld::note(std::size_t bytes) {
  ++traffic_.messages;
  traffic_.bytes += (size() - 1) * static_cast<std::int64_t>(bytes);
}

void HostWorld::all_gather(const std::byte* from, std::byte* to, std::size_t bytes) {
  SIMCLR_CHECK(bytes <= std::numeric_limits<int>::max(), "all_gather: ", bytes, " bytes a rank; at most 2 GiB go");
  transport_->all_gather(from, to, bytes);
  note(bytes);
}

void HostWorld::sum_of_part(const std::byte* from, std::byte* to, std::int64_t count, DType dtype) {
  const std::int64_t bytes = count * size_of(dtype);
  SIMCLR_CHECK(bytes <= std::numeric_limits<int>::max(), "reduce_scatter: ", bytes, " bytes a rank; at most 2 GiB go");
  const Tensor parts = Tensor::empty({size() * bytes}, DType::u8);
  transport_->all_to_all(from, bytes_of(parts), static_cast<std::size_t>(bytes));
  note(static_cast<std::size_t>(bytes));
  add_up(dtype, parts.raw_data(), to, count, size());
}

void HostWorld::all_reduce_checked(Tensor& x) {
  std::byte* data = bytes_of(x);
  timed([&] { sum(data, x.numel(), x.dtype()); });
}

void HostWorld::sum(std::byte* data, std::int64_t left, DType dtype) {
  const std::int64_t width = size_of(dtype), most = std::max<std::int64_t>(most_bytes / (size() * width), 1);
  while (left * width > few_bytes && left >= size()) {
    const std::int64_t count = std::min(left / size(), most);
    std::byte* own = data + rank() * count * width;
    sum_of_part(data, own, count, dtype);
    all_gather(own, data, static_cast<std::size_t>(count * width));
    data += size() * count * width;
    left -= size() * count;
  }
  if (left == 0) return;
  const Tensor parts = Tensor::empty({size() * left * width}, DType::u8);
  all_gather(data, bytes_of(parts), static_cast<std::size_t>(left * width));
  add_up(dtype, parts.raw_data(), data, left, size());
}

void HostWorld::all_gather_checked(const Tensor& x, Tensor& all) {
  const std::byte* own = bytes_of(x);
  timed([&] { all_gather(own, bytes_of(all), x.bytes()); });
}

void HostWorld::reduce_scatter_checked(const Tensor& all, Tensor& x) {
  const std::byte* from = bytes_of(all);
  timed([&] { sum_of_part(from, bytes_of(x), x.numel(), x.dtype()); });
}

void HostWorld::broadcast_checked(Tensor& x, int from) {
  std::byte* data = bytes_of(x);
  const std::size_t most = std::size_t{1} << 30;
  for (std::size_t done = 0; done < x.bytes(); done += most) {
    const std::size_t bytes = std::min(most, x.bytes() - done);
    timed([&] { transport_->broadcast(data + done, bytes, from); });
    ++traffic_.messages;
    if (rank() == from) traffic_.bytes += (size() - 1) * static_cast<std::int64_t>(bytes);
  }
}

}  // namespace simclr
