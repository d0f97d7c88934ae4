#pragma once

// Private: memory_dataset() for bytes that are no vector's.

#include <simclr/data/dataset.h>

#include <memory>
#include <span>

namespace simclr::data {

/// Serves `bytes`, which `owner` keeps alive; data.bytes is not read.
std::unique_ptr<Dataset> memory_dataset(MemoryData data, std::span<const std::uint8_t> bytes,
                                        std::shared_ptr<const void> owner);

}  // namespace simclr::data
