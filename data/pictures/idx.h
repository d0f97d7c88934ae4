#pragma once

#include <simclr/data/dataset.h>

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

/// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr const char* fashion_mnist_dir = "/usr/share/datasets/fashion-mnist";

/// Fashion-MNIST: {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte in `dir`, each with .gz or without (which is
/// taken where both are there). Samples are u8 [28,28,1] of ten classes. Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> fashion_mnist(const std::string& dir, Split split);

/// Whether the training labels in `dir` begin as Fashion-MNIST's do. The files of MNIST and of others have the same
/// names.
SIMCLR_API bool is_fashion_mnist(const std::string& dir);

/// Any set of the MNIST family, by the same four names of files: its classes are the digits "0" to "9". Samples are u8
/// [height,width,1]. Throws Error as idx() does.
SIMCLR_API std::unique_ptr<Dataset> idx_files(const std::string& dir, Split split);

}  // namespace simclr::data
