#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/kernels/emu/memory.h>
#include <simclr/kernels/emu/run.h>

#include <algorithm>
#include <cstring>

namespace simclr::emu {

Self self;
Run* running = nullptr;
std::uint64_t blocks_run = 0;

namespace {

constexpr std::size_t shared_limit = std::size_t{227} << 10;  // what a block may have on sm_90
constexpr std::size_t shared_alignment = 128;

std::string text(const Site& site) {
  const std::string path = site.file_name();
  return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(site.line());
}

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

}  // namespace

Run::Run(const LaunchShape& shape, const std::function<void()>& kernel, Schedule schedule, std::byte fill)
    : shape_(shape),
      kernel_(kernel),
      schedule_(schedule),
      fill_(fill),
      arena_(shared_limit + (std::size_t{64} << 10)) {}

Run::~Run() {
  clear_guard(arena_.data(), arena_.size());
}

void Run::all_blocks() {
  self.block_size = shape_.block;
  self.grid_size = shape_.grid;
  for (unsigned z = 0; z < shape_.grid.z; ++z) {
    for (unsigned y = 0; y < shape_.grid.y; ++y) {
      for (unsigned x = 0; x < shape_.grid.x; ++x) {
        self.block = {x, y, z};
        block();
      }
    }
  }
}

void Run::work() {
  try {
    kernel_();
    if (!current_->copies.empty()) report("an asynchronous copy was never waited for", Site::current());
  } catch (const Abandon&) {
  } catch (const std::exception& error) {
    if (message_.empty()) message_ = error.what();
  }
  current_->state = Thread::State::finished;
}

void Run::sync_threads(const Site& site) {
  if (!at_barrier_.empty() && !same(threads_[at_barrier_[0]].site, site)) {  // the others are where the first is
    report("divergent barrier: thread " + std::to_string(at_barrier_[0]) + " waits in __syncthreads at " +
               text(threads_[at_barrier_[0]].site) + ", this one at " + text(site),
           site);
  }
  at_barrier_.push_back(current_id_);
  wait(site, "for its block");
  if (at_barrier_.size() == threads_.size()) {
    for (const unsigned id : at_barrier_) wake(id);
    at_barrier_.clear();
  }
  pause();
}

void Run::collective(std::uint32_t mask, const Site& site, Resolve resolve, void* operand) {
  const unsigned warp = current_id_ / warp_size, lane = current_id_ % warp_size;
  const auto lanes = std::min<std::size_t>(warp_size, threads_.size() - warp * warp_size);
  const std::uint32_t present = lanes == warp_size ? 0xffffffffu : (1u << lanes) - 1;
  if ((mask >> lane & 1u) == 0) report("a lane is not in the mask that it names", site);
  if ((mask & ~present) != 0 && mask != 0xffffffffu) report("a mask names lanes that the block does not have", site);
  mask &= present;

  auto& waiting = rendezvous_[warp];
  auto found = std::find_if(waiting.begin(), waiting.end(), [&](const Rendezvous& r) { return (r.mask & mask) != 0; });
  if (found == waiting.end()) {
    found = waiting.insert(waiting.end(), Rendezvous{mask, 0, site, resolve, {}});
  } else if (found->mask != mask || found->resolve != resolve || !same(found->site, site)) {
    report("divergent warp: lanes of one warp wait for each other at " + text(found->site) + " and at " + text(site),
           site);
  }
  found->arrived |= 1u << lane;
  found->operands[lane] = operand;
  wait(site, "for lanes of its warp");
  if (found->arrived == mask) {
    found->resolve(found->operands);
    for (unsigned l = 0; l < warp_size; ++l) {
      if ((mask >> l & 1u) != 0) wake(warp * warp_size + l);
    }
    waiting.erase(found);
  }
  pause();
}

void Run::wait(const Site& site, const char* waits_for) {
  current_->state = Thread::State::waiting;
  current_->site = site;
  current_->waits_for = waits_for;
}

void Run::wake(unsigned id) {
  threads_[id].state = Thread::State::ready;
  ready_.push_back(id);
}

void Run::pause() {
  Thread& thread = *current_;
  thread.fiber->pause();
  if (!message_.empty()) throw Abandon();
}

void* Run::shared(const void* key, std::size_t bytes) {
  for (const SharedArray& array : arrays_) {
    if (array.key == key) return array.data;
  }
  std::byte* data =
      reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(next_) + guard_bytes + shared_alignment - 1) /
                                   shared_alignment * shared_alignment);
  shared_bytes_ += bytes;
  if (shared_bytes_ > shared_limit || data + bytes + guard_bytes > arena_.data() + arena_.size()) {
    report("more shared memory than the " + std::to_string(shared_limit) + " bytes that a block may have");
  }
  set_guard(next_, static_cast<std::size_t>(data - next_));
  clear_guard(data, bytes);
  std::memset(data, static_cast<int>(fill_), bytes);
  set_guard(data + bytes);
  arrays_.push_back({key, data, bytes});
  next_ = data + bytes + guard_bytes;
  return data;
}

void Run::report(const std::string& what, const Site& site) {
  if (message_.empty()) {
    message_ = what + " (block " + std::to_string(self.block.x) + "," + std::to_string(self.block.y) + "," +
               std::to_string(self.block.z) + ", thread " + std::to_string(current_id_) + ", " + text(site) + ")";
  }
  throw Abandon();
}

void Run::block() {
  ++blocks_run;
  const unsigned count = shape_.block.x * shape_.block.y * shape_.block.z;
  threads_.assign(count, {});
  rendezvous_.assign((count + warp_size - 1) / warp_size, {});
  at_barrier_.clear();
  arrays_.clear();
  next_ = arena_.data();
  shared_bytes_ = 0;
  ready_.clear();
  for (unsigned id = 0; id < count; ++id) {
    threads_[id].index = {id % shape_.block.x, id / shape_.block.x % shape_.block.y,
                          id / (shape_.block.x * shape_.block.y)};
    ready_.push_back(id);
  }
  while (!ready_.empty() && message_.empty()) {
    std::vector<unsigned> now = std::move(ready_);
    ready_.clear();
    order(now);
    for (const unsigned id : now) {
      resume(id);
      if (!message_.empty()) break;
    }
  }
  if (message_.empty()) check_finished();
  for (Thread& thread : threads_) {
    if (thread.fiber == nullptr) continue;
    thread.fiber->reset();  // it was abandoned in the middle
    free_fibers().push_back(thread.fiber);
  }
  if (message_.empty()) check_guards();
  SIMCLR_CHECK(message_.empty(), "emu: ", shape_.kernel, ": ", message_);
}

void Run::order(std::vector<unsigned>& ids) {
  std::sort(ids.begin(), ids.end());
  if (schedule_ == Schedule::backward) std::reverse(ids.begin(), ids.end());
  if (schedule_ == Schedule::random) {
    const Random random(0, RandomPurpose::user, round_++);
    for (auto i = static_cast<std::uint32_t>(ids.size()); i > 1; --i) std::swap(ids[i - 1], ids[random.below(i, i)]);
  }
}

void Run::resume(unsigned id) {
  Thread& thread = threads_[id];
  current_ = &thread;
  current_id_ = id;
  self.thread = thread.index;
  if (thread.fiber == nullptr) {
    auto& free = free_fibers();
    if (free.empty()) {
      thread.fiber = new Fiber(run_current);  // kept for ever: stacks are reused by all launches
    } else {
      thread.fiber = free.back();
      free.pop_back();
    }
    thread.state = Thread::State::ready;
  }
  thread.fiber->resume();
  if (thread.state == Thread::State::finished) {
    free_fibers().push_back(thread.fiber);
    thread.fiber = nullptr;
  }
}

void Run::check_finished() {
  const auto stuck = std::find_if(threads_.begin(), threads_.end(),
                                  [](const Thread& t) { return t.state != Thread::State::finished; });
  if (stuck == threads_.end()) return;
  const auto id = static_cast<unsigned>(stuck - threads_.begin());
  const auto finished = std::count_if(threads_.begin(), threads_.end(),
                                      [](const Thread& t) { return t.state == Thread::State::finished; });
  message_ = std::string("divergent barrier: thread ") + std::to_string(id) + " waits for ever at " +
             text(stuck->site) + " " + stuck->waits_for + "; " + std::to_string(finished) + " of " +
             std::to_string(threads_.size()) + " threads have left the kernel";
}

void Run::check_guards() {
  for (const SharedArray& array : arrays_) {
    for (std::byte* zone : {array.data - guard_bytes, array.data + array.bytes}) {
      const std::ptrdiff_t at = broken_guard(zone);
      if (at < 0) continue;
      message_ = "wrote out of bounds, to byte " + std::to_string(zone + at - array.data) + " of " +
                 std::to_string(array.bytes) + " bytes of shared memory";
      return;
    }
  }
}

std::vector<Fiber*>& Run::free_fibers() {
  static auto* fibers = new std::vector<Fiber*>;
  return *fibers;
}

void Run::run_current() {
  running->work();
}

}  // namespace simclr::emu
