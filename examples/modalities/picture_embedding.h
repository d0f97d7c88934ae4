#pragma once

#include "modalities/picture_files.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"

#include <simclr/core/file.h>
#include <simclr/core/tensor.h>

#include <string>
#include <vector>

/// The features of pictures that have names.
struct Embedding {
  std::vector<std::string> files;  // [N], the names
  simclr::Tensor features;         // [N,F] f32 on the CPU
  std::int64_t unreadable = 0;     // pictures that could not be decoded
};

/// Runs the encoder, on its own device, over all pictures. Unreadable ones are reported through `options` and left out;
/// throws simclr::Error where more than half are, and where a feature is NaN or Inf.
Embedding embed_pictures(const EncoderFile& file, const PictureFiles& pictures, const EvaluationOptions& options);

/// The features [1,F] of one picture. Throws simclr::Error where it cannot be read, and for NaN or Inf.
simclr::Tensor embed_picture(const EncoderFile& file, const std::string& picture);
simclr::Tensor embed_picture(const EncoderFile& file, const PictureFiles& pictures, std::int64_t i);

/// The files that write_embedding() writes.
std::vector<std::string> embedding_files(const std::string& out);
/// features.npy and files.txt, one path a line, in the folder `out`, which is made. Throws simclr::Error as AtomicFile
/// does; where features.npy is there and to be kept, neither is written.
void write_embedding(const std::string& out, const Embedding& embedding, simclr::Existing existing);
/// Reads them back. Throws simclr::Error where they are missing or do not fit each other, and for NaN or Inf.
Embedding read_embedding(const std::string& dir);
