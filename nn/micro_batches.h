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
///   loss.backward();                                                          // in the memory of 64 images
///   optimizer.step(loss);
namespace simclr::nn {

/// model(views) for views [2N,...] as kernels/augment.h orders them, at most `images` of the N images at a time: z
/// [2N,D]. Parts are as equal as they can be, and each holds both views of its images, so that batch norm sees these
/// together; it sees each part by itself. Gradients reach the model's parameters: those of the parts' outputs in one
/// tensor, at one more forward pass, while no more than a part's activations are held. `images` >= N: model(views).
/// The backward pass must find `model`, its parameters and the views as they were, and the model has to compute the
/// same both times. Its buffers move in the first pass only, once for each part in order. A parameter's hook runs once
/// for each part. Throws Error for an odd number of rows, for views that want a gradient, and where the model gives
/// another number of rows than it gets.
SIMCLR_API Tensor in_micro_batches(Module& model, const Tensor& views, std::int64_t images);

/// The rows of images [begin, begin + images) out of a batch's [2N,...], both views of each: [2 images,...]. A copy,
/// outside the graph.
SIMCLR_API Tensor rows_of_images(const Tensor& rows, std::int64_t begin, std::int64_t images);

}  // namespace simclr::nn
