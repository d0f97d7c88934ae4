#include <simclr/kernels/emu/warpgroup.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <vector>

namespace simclr::emu {
namespace {

struct Barrier {
  unsigned arrivals, left;
  std::int64_t bytes = 0;  // still to come in this phase
  unsigned phase = 0;
  std::vector<unsigned> waiting = {};
};

struct BulkCopy {
  void* to;
  const void* from;
  std::uint32_t bytes;
  const void* barrier;
};

/// A thread's products that nobody has waited for.
struct Products {
  std::vector<WarpgroupProduct> pending;
  int groups = 0;
};

/// The threads of a warpgroup that have come to a wait.
struct Meeting {
  Site site;
  int groups_left;
  unsigned arrived = 0;
};

/// All of a block's; a new block starts anew.
struct State {
  std::uint64_t block = 0;
  std::map<const void*, Barrier> barriers;
  std::vector<BulkCopy> copies;
  std::vector<Products> products;
  std::vector<Meeting> meetings;
};

State& state() {
  static State s;
  const BlockRun run = block_run();
  if (s.block != run.number) {
    s = {};
    s.block = run.number;
    s.products.resize(run.threads);
    s.meetings.resize((run.threads + warpgroup_size - 1) / warpgroup_size);
  }
  return s;
}

Barrier& at(const void* barrier, const Site& site) {
  auto& barriers = state().barriers;
  const auto found = barriers.find(barrier);
  if (found == barriers.end()) report("a barrier that no thread has initialised", site);
  return found->second;
}

void wake_waiting(Barrier& barrier) {
  for (const unsigned thread : barrier.waiting) wake(thread);
  barrier.waiting.clear();
}

void end_phase_if_complete(Barrier& barrier) {
  if (barrier.left != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.left = barrier.arrivals;
  wake_waiting(barrier);
}

void perform(const BulkCopy& copy, const Site& site) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  Barrier& barrier = at(copy.barrier, site);
  barrier.bytes -= copy.bytes;
  end_phase_if_complete(barrier);
}

float value_at(const std::byte* address) {
  auto bits = reinterpret_cast<std::uintptr_t>(address);
  bits ^= (bits >> 7 & 7) << 4;
  std::uint16_t half = 0;
  std::memcpy(&half, reinterpret_cast<const void*>(bits), sizeof half);
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// Value k of row r of a matrix whose rows lie in memory: eight of them are a block of 1,024 bytes.
float row_value(const SharedMatrix& m, int r, int k) {
  return value_at(m.start + r / 8 * m.stride + r % 8 * 128 + k * 2);
}

/// Value k of row r of a matrix whose columns lie in memory, in pieces of 64.
float column_value(const SharedMatrix& m, int r, int k) {
  return value_at(m.start + r / 64 * m.leading + k / 8 * m.stride + k % 8 * 128 + r % 64 * 2);
}

/// Calls f(row, column, value v of thread t) for all of d.
template <class F>
void each_result(int columns, F&& f) {
  for (unsigned t = 0; t < warpgroup_size; ++t) {
    for (int v = 0; v < columns / 2; ++v) {
      const unsigned row = t / 32 * 16 + t % 32 / 4 + v % 4 / 2 * 8, column = v / 4 * 8 + t % 4 * 2 + v % 2;
      f(row, column, t, v);
    }
  }
}

/// One product of all threads of a warpgroup; each handed in its own part.
void multiply(const std::vector<const WarpgroupProduct*>& parts) {
  const WarpgroupProduct& any = *parts[0];
  static float a[64][16], b[16][256], d[64][256];
  for (int r = 0; any.a_words == nullptr && r < 64; ++r) {
    for (int k = 0; k < 16; ++k) a[r][k] = row_value(any.a, r, k);
  }
  for (unsigned t = 0; any.a_words != nullptr && t < warpgroup_size; ++t) {
    for (unsigned half = 0; half < 8; ++half) {
      const std::uint32_t word = parts[t]->a_words[half / 2];
      a[t / 32 * 16 + t % 32 / 4 + half / 2 % 2 * 8][half / 4 * 8 + t % 4 * 2 + half % 2] =
          std::bit_cast<float>(half % 2 == 0 ? word << 16 : word & 0xffff0000u);
    }
  }
  for (int k = 0; k < 16; ++k) {
    for (int c = 0; c < any.columns; ++c) {
      b[k][c] = any.b_transposed ? column_value(any.b, c, k) : row_value(any.b, c, k);
    }
  }
  each_result(any.columns, [&](unsigned row, unsigned column, unsigned t, int v) {
    d[row][column] = any.accumulate ? parts[t]->d[v] : 0.0f;
  });
  for (int r = 0; r < 64; ++r) {
    for (int k = 0; k < 16; ++k) {
      for (int c = 0; c < any.columns; ++c) d[r][c] += a[r][k] * b[k][c];
    }
  }
  each_result(any.columns, [&](unsigned row, unsigned column, unsigned t, int v) { parts[t]->d[v] = d[row][column]; });
}

/// Whether both threads ask for the same.
bool agree(const WarpgroupProduct& a, const WarpgroupProduct& b) {
  const auto same = [](const SharedMatrix& x, const SharedMatrix& y) {
    return x.start == y.start && x.leading == y.leading && x.stride == y.stride;
  };
  return a.columns == b.columns && (a.a_words == nullptr) == (b.a_words == nullptr) && same(a.a, b.a) &&
         same(a.b, b.b) && a.b_transposed == b.b_transposed && a.accumulate == b.accumulate && a.group == b.group;
}

/// Does the products of a warpgroup's first `groups` groups, those that are not done yet.
void multiply_pending(unsigned first_thread, int groups, const Site& site) {
  auto& products = state().products;
  const auto due = [groups](const WarpgroupProduct& product) { return product.group < groups; };
  const auto count = [&](unsigned thread) {
    const auto& pending = products[thread].pending;
    return std::count_if(pending.begin(), pending.end(), due);
  };
  const std::ptrdiff_t all = count(first_thread);
  std::vector<const WarpgroupProduct*> parts(warpgroup_size);
  for (unsigned t = 0; t < warpgroup_size; ++t) {
    if (count(first_thread + t) != all) report("the threads of a warpgroup ask for different products", site);
  }
  for (std::ptrdiff_t i = 0; i < all; ++i) {
    for (unsigned t = 0; t < warpgroup_size; ++t) {
      parts[t] = &products[first_thread + t].pending[static_cast<std::size_t>(i)];
      if (!agree(*parts[t], *parts[0])) report("the threads of a warpgroup ask for different products", site);
    }
    multiply(parts);
  }
  for (unsigned t = 0; t < warpgroup_size; ++t) std::erase_if(products[first_thread + t].pending, due);
}

/// The first thread of the running one's warpgroup.
unsigned own_warpgroup(const Site& site) {
  const BlockRun run = block_run();
  const unsigned first = run.thread / warpgroup_size * warpgroup_size;
  if (first + warpgroup_size > run.threads) report("a warpgroup of less than 128 threads", site);
  return first;
}

}  // namespace

void barrier_init(const void* barrier, unsigned arrivals, const Site& site) {
  if (reinterpret_cast<std::uintptr_t>(barrier) % 8 != 0) report("a barrier wants 8 aligned bytes", site);
  state().barriers[barrier] = {arrivals, arrivals};
}

void barrier_arrive(const void* barrier, std::uint32_t bytes, const Site& site) {
  Barrier& b = at(barrier, site);
  if (b.left == 0) report("more arrivals at a barrier than it was made for", site);
  --b.left;
  b.bytes += bytes;
  end_phase_if_complete(b);
}

void barrier_wait(const void* barrier, unsigned parity, const Site& site) {
  while (at(barrier, site).phase % 2 == parity) {
    auto& copies = state().copies;
    const auto copy =
        std::find_if(copies.begin(), copies.end(), [&](const BulkCopy& c) { return c.barrier == barrier; });
    if (copy != copies.end()) {
      const BulkCopy due = *copy;
      copies.erase(copy);
      perform(due, site);
      continue;
    }
    at(barrier, site).waiting.push_back(block_run().thread);
    wait(site, "for a barrier's arrivals and bytes");
    pause();
  }
}

void copy_bulk(void* to, const void* from, std::uint32_t bytes, const void* barrier, const Site& site) {
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from) | bytes) % 16 != 0) {
    report("a bulk copy wants addresses and a size that are multiples of 16 bytes", site);
  }
  const BulkCopy copy = {to, from, bytes, barrier};
  if (block_run().schedule == Schedule::forward) {
    state().copies.push_back(copy);
    wake_waiting(at(barrier, site));  // they have it done
  } else {
    perform(copy, site);
  }
}

void warpgroup_product(const WarpgroupProduct& product) {
  Products& mine = state().products[block_run().thread];
  mine.pending.push_back(product);
  mine.pending.back().group = mine.groups;
}

void warpgroup_commit() {
  ++state().products[block_run().thread].groups;
}

void warpgroup_wait(int groups_left, const Site& site) {
  const unsigned thread = block_run().thread, first = own_warpgroup(site);
  Meeting& meeting = state().meetings[first / warpgroup_size];
  if (meeting.arrived == 0) {
    meeting = {site, groups_left};
  } else if (meeting.site.line() != site.line() || meeting.groups_left != groups_left) {
    report("divergent warpgroup: its threads wait for different products", site);
  }
  wait(site, "for its warpgroup");
  if (++meeting.arrived == warpgroup_size) {
    meeting.arrived = 0;
    for (int round = 0; round < 2; ++round) {  // the others' turn to overwrite what the products read
      wake(thread);
      pause();
    }
    const auto& products = state().products;
    for (unsigned t = first; t < first + warpgroup_size; ++t) {
      if (products[t].groups != products[first].groups) {
        report("the threads of a warpgroup have ended different numbers of groups", site);
      }
    }
    multiply_pending(first, products[first].groups - groups_left, site);
    for (unsigned t = first; t < first + warpgroup_size; ++t) wake(t);
  }
  pause();
}

}  // namespace simclr::emu
