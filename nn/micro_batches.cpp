#include <simclr/nn/kept_buffers.h>
#include <simclr/nn/micro_batches.h>

namespace simclr::nn {
namespace {

/// Calls `body(begin, images)` for each part of `whole` images, none larger than `most`.
template <class Body>
void for_each_part(std::int64_t whole, std::int64_t most, const Body& body) {
  const std::int64_t parts = (whole + most - 1) / most;
  for (std::int64_t i = 0; i < parts; ++i) body(i * whole / parts, (i + 1) * whole / parts - i * whole / parts);
}

}  // namespace

Tensor rows_of_images(const Tensor& rows, std::int64_t begin, std::int64_t images) {
  const Tensor from = rows.detach();
  Tensor part = Tensor::empty(rows.shape().with_first(2 * images), rows.dtype(), rows.device());
  part.narrow(0, images).copy_from(from.narrow(begin, images));
  part.narrow(images, images).copy_from(from.narrow(rows.dim(0) / 2 + begin, images));
  return part;
}

Tensor in_micro_batches(Module& model, const Tensor& views, std::int64_t images) {
  SIMCLR_CHECK(images > 0, "in_micro_batches: ", images, " images at a time; at least 1 is needed");
  SIMCLR_CHECK(views.rank() > 0 && views.dim(0) % 2 == 0,
               "in_micro_batches: wants two views of each image, [2N,...], got ", describe(views));
  SIMCLR_CHECK(!views.requires_grad(), "in_micro_batches: gives views no gradient; detach() them");
  const std::int64_t whole = views.dim(0) / 2;
  if (images >= whole) return model(views);

  Tensor z;
  {
    const NoGrad no_grad;
    for_each_part(whole, images, [&](std::int64_t begin, std::int64_t n) {
      const Tensor part = model(rows_of_images(views, begin, n));
      SIMCLR_CHECK(part.rank() > 0 && part.dim(0) == 2 * n, "in_micro_batches: the model makes ", describe(part),
                   " of ", 2 * n, " views; a row each is wanted");
      if (!z.defined()) z = Tensor::empty(part.shape().with_first(2 * whole), part.dtype(), part.device());
      z.narrow(begin, n).copy_from(part.narrow(0, n));
      z.narrow(whole + begin, n).copy_from(part.narrow(n, n));
    });
  }
  std::vector<Tensor> parameters;
  for (const Parameter& parameter : model.parameters()) parameters.push_back(parameter.value);
  std::vector<Tensor> read = parameters;
  read.push_back(views);
  // The parts' own backward passes reach the parameters, so none is left to set().
  return record("in_micro_batches", parameters, z, read, [&model, views = views.detach(), whole, images](Backward& bw) {
    KeptBuffers buffers(model);
    for_each_part(whole, images, [&](std::int64_t begin, std::int64_t n) {
      const Tensor dz = rows_of_images(bw.dy(), begin, n);
      const WithGrad with_grad;
      model(rows_of_images(views, begin, n)).backward(dz);
    });
    buffers.put_back();
  });
}

}  // namespace simclr::nn
