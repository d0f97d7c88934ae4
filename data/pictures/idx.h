#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/part_names.h>

#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// Pictures and labels in the MNIST family's idx format, gzipped or not (told by content): `images` is u8 of three
/// dimensions (magic 00000803), `labels` u8 of one (00000801). Samples are u8 [height,width,1]. `classes` names the
/// labels; without it they are the digits "0" to "9". At most 4,000,000,000 bytes, unpacked.
///
/// Throws Error for a missing file, another magic number, a size of 0 or a side above 65,500, a file shorter or longer
/// than its header says (a gzipped one is never unpacked further), damaged gzip data, counts that differ, a label
/// without a class, and for gzip in a build without zlib.
SIMCLR_API std::unique_ptr<Dataset> idx(const std::string& images, const std::string& labels,
                                        const std::vector<std::string>& classes = {});

/// How many pictures the header of a part of such a set promises, by what the names of its files begin with ("test").
/// What follows the header is not read. Throws Error as idx() does for a header.
SIMCLR_API std::int64_t idx_count(const std::string& dir, const std::string& part);

/// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr const char* fashion_mnist_dir = "/usr/share/datasets/fashion-mnist";

/// Fashion-MNIST: {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte in `dir`, each with .gz or without (which is
/// taken where both are there). Samples are u8 [28,28,1] of ten classes. Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> fashion_mnist(const std::string& dir, Split split);

/// Whether the training labels in `dir` begin as Fashion-MNIST's do. The files of MNIST and of others have the same
/// names.
SIMCLR_API bool is_fashion_mnist(const std::string& dir);

/// MNIST: the same four names of files, classes "0" to "9". Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> mnist(const std::string& dir, Split split);

/// KMNIST (Kuzushiji-MNIST, arXiv 1812.01718): the same four names of files; its classes are ten hiragana, romanised.
/// Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> kmnist(const std::string& dir, Split split);

/// Which of EMNIST's sets have their training pictures in `dir`, sorted: balanced, byclass, bymerge, digits, letters,
/// mnist.
SIMCLR_API std::vector<std::string> emnist_sets(const std::string& dir);

/// One of EMNIST's sets (arXiv 1702.05373): emnist-SET-{train,test}-images-idx3-ubyte and -labels-idx1-ubyte in `dir`,
/// each with .gz or without. Its pictures, which lie transposed in the files, are upright in the samples. The labels of
/// "letters" begin with 1 in the file and with 0 here. Throws Error as idx() does, and for a set that it does not have.
SIMCLR_API std::unique_ptr<Dataset> emnist(const std::string& dir, const std::string& set, Split split);

/// A part of any set of the MNIST family, by what the names of its files begin with: "train", or as idx_parts() has it.
/// Its classes are the numbers that occur among its labels, "3" before "12"; without a file of labels, or without
/// `labels`, it is unlabelled. Samples are u8 [height,width,1]. Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> idx_files(const std::string& dir, const std::string& part, bool labels = true);

/// What the names of the files of parts of `role` in `dir` begin with, as part_names.h knows the words, the likeliest
/// first; "t10k" is a test part, before all others.
SIMCLR_API std::vector<std::string> idx_parts(const std::string& dir, PartRole role);

}  // namespace simclr::data
