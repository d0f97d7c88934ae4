#pragma once

#include <simclr/data/dataset.h>

#include <memory>
#include <string>

namespace simclr::data {

/// The three parts of STL-10.
enum class Stl10Part : std::uint8_t { train, test, unlabelled };

/// STL-10 in its published binary layout, from `dir` or `dir`/stl10_binary: train_X.bin with train_y.bin (5,000
/// pictures of ten classes), test_X.bin with test_y.bin (8,000), or unlabeled_X.bin (100,000 without labels). A picture
/// is a red, a green and a blue plane of 96 columns of 96 bytes each, a label a byte from 1 to 10; samples are u8
/// [96,96,3], labels 0 to 9. Files may hold fewer than that. Class names come from class_names.txt where it is there;
/// fold_indices.txt is not read. Source: Coates, Ng and Lee, AISTATS 2011.
///
/// Throws Error for a missing or empty file, a size that is no multiple of 27,648 or above what was published, another
/// number of labels than of pictures, and a label of 0 or above 10.
///
/// A picture is read each time it is asked for: unlabeled_X.bin alone has 2.8 GB. The files stay open, and must not be
/// changed in place.
SIMCLR_API std::unique_ptr<Dataset> stl10(const std::string& dir, Stl10Part part);

/// Whether the unlabelled part is there: many keep the labelled ones alone.
SIMCLR_API bool has_unlabelled_stl10(const std::string& dir);

}  // namespace simclr::data
