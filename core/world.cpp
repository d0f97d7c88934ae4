#include <simclr/core/host_world.h>
#include <simclr/core/parameter_memory.h>
#include <simclr/core/runtime.h>
#include <simclr/core/text.h>
#include <simclr/core/world.h>

#include <algorithm>
#include <limits>
#include <sstream>

namespace simclr {
namespace {

void check_defined(const char* what, const Tensor& x) {
  SIMCLR_CHECK(x.defined(), what, ": the tensor is undefined");
}

void check_adds_up(const char* what, const Tensor& x) {
  check_defined(what, x);
  SIMCLR_CHECK(is_floating(x.dtype()) || x.dtype() == DType::i32, what, ": ", describe(x),
               " is not added up; f32, f64, bf16 and i32 are");
}

/// What fill() and copy_from() do behind a write; the collectives write through a pointer.
void note_written(const Tensor& x) {
  mark_changed(x);
  if (Tensor half = existing_shadow(x); half.defined()) half.copy_from(x);
}

/// The first line of `text` that is not `other`'s.
std::string differing_line(const std::string& text, const std::string& other) {
  std::istringstream lines(text), others(other);
  std::string line, against;
  while (std::getline(lines, line)) {
    if (!std::getline(others, against) || line != against) return printable(line, 100);
  }
  return "nothing more";
}

}  // namespace

void World::all_reduce(Tensor x) {
  check_adds_up("all_reduce", x);
  if (size() == 1 || x.numel() == 0) return;
  all_reduce_checked(x);
  note_written(x);
}

void World::start_all_reduce(Tensor x) {
  check_adds_up("start_all_reduce", x);
  if (size() == 1 || x.numel() == 0) return;
  start_all_reduce_checked(x);
  mark_changed(x);
}

Tensor World::all_gather(const Tensor& x) {
  check_defined("all_gather", x);
  SIMCLR_CHECK(x.rank() > 0, "all_gather: wants [n,...], got ", describe(x));
  if (size() == 1) return x.detach();
  Tensor all = Tensor::empty(x.shape().with_first(size() * x.dim(0)), x.dtype(), x.device());
  if (x.numel() > 0) all_gather_checked(x, all);
  return all;
}

Tensor World::reduce_scatter(const Tensor& all) {
  check_adds_up("reduce_scatter", all);
  SIMCLR_CHECK(all.rank() > 0 && all.dim(0) % size() == 0, "reduce_scatter: ", describe(all),
               " is not as many rows for each of ", size(), " ranks");
  if (size() == 1) return all.detach();
  Tensor x = Tensor::empty(all.shape().with_first(all.dim(0) / size()), all.dtype(), all.device());
  if (x.numel() > 0) reduce_scatter_checked(all, x);
  return x;
}

void World::broadcast(Tensor x, int from) {
  check_defined("broadcast", x);
  SIMCLR_CHECK(from >= 0 && from < size(), "broadcast: from rank ", from, " of ", size());
  if (size() == 1 || x.numel() == 0) return;
  broadcast_checked(x, from);
  note_written(x);
}

void require_no_number(Device device) {
  SIMCLR_CHECK(device.index == 0, device, ": each of several processes takes a GPU of its own; ask for cuda, and name ",
               "the GPUs that they may use in CUDA_VISIBLE_DEVICES");
}

int gpu_of_rank(const World& world, int count) {
  return world.local_rank() % count;
}

Device device_of_rank(const World& world, Device device) {
  if (world.size() == 1 || device.type != DeviceType::cuda) return device;
  require_no_number(device);
  if (!device_problem(device.type).empty()) Context::of(device);  // says why
  return {device.type, gpu_of_rank(world, runtime_slot.on(device).count())};
}

std::vector<std::string> gather_texts(World& world, std::string_view text) {
  SIMCLR_CHECK(text.size() <= std::size_t{std::numeric_limits<std::int32_t>::max()}, "gather_texts: a text of ",
               text.size(), " bytes; 2 GiB and more cannot be sent");
  const auto bytes = static_cast<std::int32_t>(text.size());
  const auto lengths = world.all_gather(Tensor::from(std::vector{bytes}, {1})).to_vector<std::int32_t>();
  const std::int32_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::uint8_t> padded(text.begin(), text.end());
  padded.resize(static_cast<std::size_t>(longest));
  const auto all = world.all_gather(Tensor::from(padded, {1, longest})).to_vector<std::uint8_t>();
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < lengths.size(); ++r) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(r) * longest;
    texts.emplace_back(first, first + lengths[r]);
  }
  return texts;
}

void require_same(World& world, std::string_view what, std::string_view text) {
  const std::vector<std::string> texts = gather_texts(world, text);
  for (std::size_t r = 1; r < texts.size(); ++r) {
    SIMCLR_CHECK(texts[r] == texts[0], what, ": rank ", r, " has \"", differing_line(texts[r], texts[0]),
                 "\", rank 0 \"", differing_line(texts[0], texts[r]), "\"; start all ranks alike");
  }
}

}  // namespace simclr
