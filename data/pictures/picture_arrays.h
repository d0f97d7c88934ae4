#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/npy.h>

#include <memory>

namespace simclr::data {

/// Pictures in a NumPy array: [N,H,W], [N,H,W,C] or [N,C,H,W] with 1 to 16 channels (where either axis could be the
/// channels', it is the one of 1, 3 or 4, else the one that leaves pictures square); samples are [H,W,C]: u8 of uint8
/// and bool (true is 255), u16 of uint16 and int16, f32 of float32 and float64, white at 1. `labels`: integers, bool,
/// or whole numbers in float32 or float64, [N] or [N,1], -1 or NaN for none; null: the set is unlabelled. The classes
/// are the numbers that occur, in their order, called by their numbers. Pictures are read when they are asked for; only
/// an array in Fortran order is read into memory.
///
/// Throws Error, naming the array and what to do, for any other type, a shape that could mean several things or holds
/// no pictures, counts that differ, labels that are no whole numbers, of several columns or below -1, and for more in
/// Fortran order than memory is free. sample() throws it for integers below 0, NaN and infinity.
SIMCLR_API std::unique_ptr<Dataset> picture_array(std::shared_ptr<const NpyArray> pictures,
                                                  const std::shared_ptr<const NpyArray>& labels = nullptr);

}  // namespace simclr::data
