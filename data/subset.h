#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace simclr::data {

/// The samples of `whole` at `indices`, in that order, with its classes. Throws Error for an index out of range.
SIMCLR_API std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> whole,
                                                 std::vector<std::int64_t> indices);

/// `count` of the numbers 0 .. size-1, spread evenly over them; all where there are fewer.
SIMCLR_API std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t count);

/// The samples that spread_indices() names: evenly spread, since the whole may come sorted by class.
SIMCLR_API std::shared_ptr<const Dataset> spread(std::shared_ptr<const Dataset> whole, std::int64_t count);

}  // namespace simclr::data
