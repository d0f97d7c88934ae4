#include "train/shared_work.h"

#include "run/stop_request.h"

#include <set>

using simclr::Tensor;
using simclr::World;

namespace {

constexpr std::int64_t most_bytes = std::int64_t{64} << 20;  // of all ranks' rows at a time

bool single(const World* world) {
  return world == nullptr || world->size() == 1;
}

/// What the ranks have met, each different text once; empty: nothing.
std::string met_by(const std::vector<std::string>& all) {
  std::string text;
  for (auto one = all.begin(); one != all.end(); ++one) {
    if (one->empty() || std::find(all.begin(), one, *one) != one) continue;
    const bool by_all = std::count(all.begin(), all.end(), *one) == std::ssize(all);
    text += (text.empty() ? "" : "; ") + (by_all ? "" : "rank " + std::to_string(one - all.begin()) + ": ") + *one;
  }
  return text;
}

}  // namespace

void together(World* world, const std::function<void()>& work) {
  if (single(world)) return work();
  const std::string stops = "stopped";  // no error's text: these say what to do
  std::string met;
  try {
    work();
  } catch (const Stopped&) {
    met = stops;
  } catch (const simclr::Error& error) {
    met = error.what();
  }
  const std::vector<std::string> all = simclr::gather_texts(*world, met);
  if (std::find(all.begin(), all.end(), stops) != all.end()) throw Stopped{};
  if (const std::string text = met_by(all); !text.empty()) throw CommonError(text);
}

void require_alike(World& world, std::string_view what, std::string_view text) {
  try {
    simclr::require_same(world, what, text);
  } catch (const simclr::Error& error) {  // on all ranks alike
    throw CommonError(error.what());
  }
}

std::string problem_of(World* world, const std::function<void()>& work) {
  try {
    work();
  } catch (const CommonError& error) {
    return error.what();
  } catch (const simclr::Error& error) {
    if (!single(world)) throw;
    return error.what();
  }
  return "";
}

Part part_of(const World* world, std::int64_t count) {
  if (single(world)) return {0, count};
  const std::int64_t begin = world->rank() * count / world->size();
  return {begin, (world->rank() + 1) * count / world->size() - begin};
}

double greatest_of_ranks(World& world, double own) {
  if (world.size() == 1) return own;
  const auto all = world.all_gather(Tensor::from(std::vector<double>{own}, {1})).to_vector<double>();
  return *std::max_element(all.begin(), all.end());
}

int greatest_of_ranks(World& world, int own) {
  return static_cast<int>(greatest_of_ranks(world, static_cast<double>(own)));
}

std::int64_t count_of_ranks(World& world, const std::vector<std::int64_t>& own) {
  const std::vector<std::int64_t> all = gather_values(&world, own);
  return std::ssize(std::set<std::int64_t>(all.begin(), all.end()));
}

std::string first_text(World* world, const std::string& own) {
  if (single(world)) return own;
  for (const std::string& each : simclr::gather_texts(*world, own)) {
    if (!each.empty()) return each;
  }
  return "";
}

Tensor gather_rows(World* world, const Tensor& own) {
  if (single(world)) return own;
  const std::int64_t rows = own.defined() ? own.dim(0) : 0;
  const std::vector<std::int64_t> counts = gather_values(world, std::vector{rows});
  const std::vector<std::int64_t> widths = gather_values(world, std::vector{rows > 0 ? own.dim(1) : 0});
  const std::int64_t width = *std::max_element(widths.begin(), widths.end());
  const std::int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<std::int64_t> begins = {0};
  for (const std::int64_t count : counts) begins.push_back(begins.back() + count);
  if (begins.back() == 0) simclr::fail<CommonError>("no rank has a row of features; the data set is empty");
  const Tensor all = Tensor::empty({begins.back(), width});
  const std::int64_t most =
      std::max<std::int64_t>(1, most_bytes / (world->size() * width * static_cast<std::int64_t>(sizeof(float))));
  for (std::int64_t first = 0; first < longest; first += most) {
    const std::int64_t padded = std::min(most, longest - first);
    const auto sent = [&](std::int64_t count) { return std::clamp<std::int64_t>(count - first, 0, padded); };
    const Tensor piece = Tensor::zeros({padded, width});
    if (sent(rows) > 0) piece.narrow(0, sent(rows)).copy_from(own.narrow(first, sent(rows)));
    const Tensor pieces = world->all_gather(piece);
    for (std::size_t r = 0; r < counts.size(); ++r) {
      if (sent(counts[r]) == 0) continue;
      all.narrow(begins[r] + first, sent(counts[r]))
          .copy_from(pieces.narrow(static_cast<std::int64_t>(r) * padded, sent(counts[r])));
    }
  }
  return all;
}
