#pragma once

#include <simclr/data/dataset.h>

#include <memory>
#include <string>

namespace simclr::data {

/// CIFAR-10 in its published binary layout, from `dir` or `dir`/cifar-10-batches-bin: data_batch_1.bin to
/// data_batch_5.bin, or test_batch.bin. A record is 1 label byte and 32x32 red, green and blue planes; samples
/// are u8 [32,32,3]. Files may hold fewer than the published 10,000 records each. Class names come from
/// batches.meta.txt where it is there. Throws Error for a missing or empty file, a size that is no multiple of
/// 3073 or above 10,000 records, and a label above 9.
///
/// Labels are read now, a picture each time it is asked for: the files stay open, and must not be changed in place.
/// That takes about 2 us while the system keeps them in its cache; DecodedCache keeps the pictures in the program's
/// memory.
SIMCLR_API std::unique_ptr<Dataset> cifar10(const std::string& dir, Split split);

/// CIFAR-100 (train.bin of 50,000 records, or test.bin of 10,000), from `dir` or `dir`/cifar-100-binary, with its
/// 100 fine labels; records are 3074 bytes, the coarse label first. Names come from fine_label_names.txt; without
/// it classes are called "class 0" to "class 99". Read like CIFAR-10.
SIMCLR_API std::unique_ptr<Dataset> cifar100(const std::string& dir, Split split);

}  // namespace simclr::data
