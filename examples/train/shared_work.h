#pragma once

#include <simclr/core/error.h>
#include <simclr/core/world.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// Work that the ranks of a run share: each does a part, and all have the whole. All call these, in one order; a world
/// that is null is this process alone.

/// How long ranks wait for what takes no known time: opening a data set, the evaluation, rank 0's report.
inline constexpr std::chrono::milliseconds patience = std::chrono::hours(24);

/// What is wrong for all ranks of a run: rank 0 alone says it.
class CommonError : public simclr::Error {
 public:
  using Error::Error;
};

/// Calls `work`, in which the ranks exchange nothing. Where it throws on some of several ranks, all throw: Stopped
/// where one does, else CommonError with each different simclr::Error, and which rank has met it where not all have.
void together(simclr::World* world, const std::function<void()>& work);

/// As simclr::require_same(), but throws CommonError.
void require_alike(simclr::World& world, std::string_view what, std::string_view text);

/// Calls `work`, without which the run goes on: what is wrong with it where it throws simclr::Error, else empty. Of
/// several ranks all have met that (together()): what one meets alone in the midst of an exchange is thrown on, so that
/// the run ends, for the others wait there.
std::string problem_of(simclr::World* world, const std::function<void()>& work);

/// A rank's part of `count` things, the r-th of as many parts as there are ranks, as even as they can be.
struct Part {
  std::int64_t begin = 0, count = 0;
};
Part part_of(const simclr::World* world, std::int64_t count);

/// The rows [n,F] f32 of each rank, by rank, on the CPU; n may differ, and `own` be undefined where it is 0. Throws
/// CommonError where no rank has any.
simclr::Tensor gather_rows(simclr::World* world, const simclr::Tensor& own);

/// The greatest of what the ranks have.
double greatest_of_ranks(simclr::World& world, double own);
int greatest_of_ranks(simclr::World& world, int own);

/// How many numbers the ranks have, those of several counted once.
std::int64_t count_of_ranks(simclr::World& world, const std::vector<std::int64_t>& own);

/// The first rank's text that is not empty; none: empty.
std::string first_text(simclr::World* world, const std::string& own);

/// The values of each rank, by rank, which may have any number of them.
template <class T>
std::vector<T> gather_values(simclr::World* world, std::vector<T> own) {
  if (world == nullptr || world->size() == 1) return own;
  std::vector<T> all;
  for (const std::string& text :
       simclr::gather_texts(*world, {reinterpret_cast<const char*>(own.data()), own.size() * sizeof(T)})) {
    std::vector<T> values(text.size() / sizeof(T));
    std::copy(text.begin(), text.end(), reinterpret_cast<char*>(values.data()));
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}
