#pragma once

#include "train/encoder_file.h"
#include "train/evaluation.h"

#include <simclr/core/file.h>
#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>

#include <memory>
#include <string>
#include <vector>

/// Samples that have names, by which features are listed: each is a class of its own, and its class its name.
struct NamedSamples {
  std::shared_ptr<const simclr::data::Dataset> samples;
  std::string left_out = {};  // what else is there, in words; empty: nothing
};

/// Samples by these names, one a sample; `left_out` is what else is there. A name that holds a line break costs its
/// sample: files.txt has lines.
NamedSamples with_names(std::shared_ptr<const simclr::data::Dataset> samples, std::vector<std::string> names,
                        const std::vector<std::string>& left_out);

/// The features of such samples.
struct Embedding {
  std::vector<std::string> files;  // [N], the names
  simclr::Tensor features;         // [N,F] f32 on the CPU
  std::int64_t unreadable = 0;     // samples that could not be decoded
};

/// Runs the encoder, on its own device, over all samples, whose names are their classes. Unreadable ones are reported
/// through `options` and left out; throws simclr::Error where more than half are, and where a feature is NaN or Inf.
Embedding embed_samples(const EncoderFile& file, const simclr::data::Dataset& samples,
                        const EvaluationOptions& options);

/// The features [1,F] of one sample, `name` in messages. Throws simclr::Error where it cannot be used, and for NaN or
/// Inf.
simclr::Tensor embed_sample(const EncoderFile& file, const simclr::data::Sample& sample, const std::string& name);

/// The files that write_embedding() writes.
std::vector<std::string> embedding_files(const std::string& out);
/// features.npy and files.txt, one path a line, in the folder `out`, which is made. Throws simclr::Error as AtomicFile
/// does; where features.npy is there and to be kept, neither is written.
void write_embedding(const std::string& out, const Embedding& embedding, simclr::Existing existing);
/// Reads them back. Throws simclr::Error where they are missing or do not fit each other, and for NaN or Inf.
Embedding read_embedding(const std::string& dir);
