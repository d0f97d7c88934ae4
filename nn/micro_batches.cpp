#include <simclr/nn/kept_buffers.h>
#include <simclr/nn/micro_batches.h>

namespace simclr::nn {
namespace {

/// Calls `body(begin, samples)` for each part of `whole` samples, none larger than `most`.
template <class Body>
void for_each_part(std::int64_t whole, std::int64_t most, const Body& body) {
  const std::int64_t parts = (whole + most - 1) / most;
  for (std::int64_t i = 0; i < parts; ++i) body(i * whole / parts, (i + 1) * whole / parts - i * whole / parts);
}

/// Copies between a batch's rows and a part's: of each view the rows of `samples` samples from `begin` on.
void copy_rows(Tensor& to, std::int64_t to_begin, const Tensor& from, std::int64_t from_begin, std::int64_t samples,
               int views) {
  const std::int64_t to_step = to.dim(0) / views, from_step = from.dim(0) / views;
  for (int v = 0; v < views; ++v) {
    to.narrow(v * to_step + to_begin, samples).copy_from(from.narrow(v * from_step + from_begin, samples));
  }
}

Tensor rows_of(const Tensor& rows, std::int64_t begin, std::int64_t samples, int views) {
  if (!rows.defined()) return {};
  Tensor part = Tensor::empty(rows.shape().with_first(views * samples), rows.dtype(), rows.device());
  copy_rows(part, 0, rows.detach(), begin, samples, views);
  return part;
}

}  // namespace

Input rows_of_samples(const Input& rows, std::int64_t begin, std::int64_t samples, int views) {
  return {rows_of(rows.x, begin, samples, views), rows_of(rows.lengths, begin, samples, views),
          rows_of(rows.keys, begin, samples, views), rows_of(rows.groups, begin, samples, views)};
}

Tensor in_micro_batches(Module& model, const Input& input, std::int64_t samples, int views) {
  SIMCLR_CHECK(samples > 0, "in_micro_batches: ", samples, " samples at a time; at least 1 is needed");
  SIMCLR_CHECK(views > 0 && input.x.rank() > 0 && input.rows() % views == 0, "in_micro_batches: wants ", views,
               " views of each sample, [views N,...], got ", describe(input.x));
  SIMCLR_CHECK(!input.x.requires_grad(), "in_micro_batches: gives views no gradient; detach() them");
  const std::int64_t whole = input.rows() / views;
  if (samples >= whole) return model(input);

  Tensor z;
  {
    const NoGrad no_grad;
    for_each_part(whole, samples, [&](std::int64_t begin, std::int64_t n) {
      const Tensor part = model(rows_of_samples(input, begin, n, views));
      SIMCLR_CHECK(part.rank() > 0 && part.dim(0) == views * n, "in_micro_batches: the model makes ", describe(part),
                   " of ", views * n, " views; a row each is wanted");
      if (!z.defined()) z = Tensor::empty(part.shape().with_first(views * whole), part.dtype(), part.device());
      copy_rows(z, begin, part, 0, n, views);
    });
  }
  std::vector<Tensor> parameters;
  for (const Parameter& parameter : model.parameters()) parameters.push_back(parameter.value);
  std::vector<Tensor> read = parameters;
  for (const Tensor& tensor : {input.x, input.lengths, input.keys}) read.push_back(tensor);
  // The parts' own backward passes reach the parameters, so none is left to set().
  return record("in_micro_batches", parameters, z, read,
                [&model, input = input.detach(), whole, samples, views](Backward& bw) {
                  KeptBuffers buffers(model);
                  for_each_part(whole, samples, [&](std::int64_t begin, std::int64_t n) {
                    const Tensor dz = rows_of(bw.dy(), begin, n, views);
                    const WithGrad with_grad;
                    model(rows_of_samples(input, begin, n, views)).backward(dz);
                  });
                  buffers.put_back();
                });
}

}  // namespace simclr::nn
