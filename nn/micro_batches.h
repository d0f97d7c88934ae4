#pragma once

#include <simclr/nn/module.h>

#include <cstdint>

/// Large batches in little memory, by the method of GradCache (Gao et al., arXiv 2101.06983).
///
/// The loss compares the projections z of the whole batch, so plain gradient accumulation, with a loss for each part of
/// the batch, has only the part's negatives. But z alone is small; what is large are the activations behind it. So the
/// network runs twice: for z without a record, part by part, and once d(loss)/dz is known, part by part with a record:
///
///   const Tensor loss = nn::nt_xent(nn::in_micro_batches(model, views, 64));  // of all negatives
///   loss.backward();                                                          // in the memory of 64 samples
///   optimizer.step(loss);
namespace simclr::nn {

/// model(input) for `views` views of each of N samples, view v of sample i in row v N + i as data::Batch has them, at
/// most `samples` of the samples at a time: z [views N,D]. Parts are as equal as they can be, and each holds all views
/// of its samples, so that batch norm sees these together; it sees each part by itself. Lengths and keys go with their
/// rows. Gradients reach the model's parameters: those of the parts' outputs in one tensor, at one more forward pass
/// with the same keys, while no more than a part's activations are held. `samples` >= N: model(input). The backward
/// pass must find `model`, its parameters and the input as they were, and the model has to compute the same both times.
/// Its buffers move in the first pass only, once for each part in order. A parameter's hook runs once for each part.
/// Throws Error for rows that are not so many views, for an x that wants a gradient, and where the model gives another
/// number of rows than it gets.
SIMCLR_API Tensor in_micro_batches(Module& model, const Input& input, std::int64_t samples, int views = 2);

/// The rows of samples [begin, begin + samples) out of a batch's [views N,...], all views of each: [views samples,...],
/// with their lengths, keys and groups. A copy, outside the graph.
SIMCLR_API Input rows_of_samples(const Input& rows, std::int64_t begin, std::int64_t samples, int views = 2);

}  // namespace simclr::nn
