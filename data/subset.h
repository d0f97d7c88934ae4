#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace simclr::data {

/// The samples of `whole` at `indices`, in that order, with its classes. Throws Error for an index out of range.
SIMCLR_API std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> whole,
                                                 std::vector<std::int64_t> indices);

/// `count` samples spread evenly over the whole, which may come sorted by class; all where there are fewer.
SIMCLR_API std::shared_ptr<const Dataset> spread(std::shared_ptr<const Dataset> whole, std::int64_t count);

}  // namespace simclr::data
