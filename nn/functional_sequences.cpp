// The differentiable functions of sequences.
#include <simclr/kernels/attention.h>
#include <simclr/kernels/columns.h>
#include <simclr/kernels/embedding.h>
#include <simclr/kernels/layernorm.h>
#include <simclr/kernels/shared/packing.h>
#include <simclr/kernels/time_pool.h>
#include <simclr/nn/functional.h>

namespace simclr::nn {

Tensor embedding(const Tensor& table, const Tensor& ids, const Tensor& lengths, std::optional<DType> dtype) {
  SIMCLR_CHECK(table.defined(), "embedding: no table");
  const Tensor y = kernels::embedding_forward(table, ids, lengths, dtype.value_or(table.dtype()));
  return record("embedding", {table}, y, {ids, lengths}, [ids, lengths](Backward& bw) {
    Tensor dtable = bw.buffer(0);
    kernels::embedding_backward(bw.dy(), ids, lengths, dtable);
    bw.set(0, dtable);
  });
}

Tensor layernorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  const kernels::LayernormResult forward = kernels::layernorm_forward(x, {}, gamma, beta, eps);
  return record("layernorm", {x, gamma, beta}, forward.y, {x, gamma},
                [saved = forward.saved, gamma = gamma.detach()](Backward& bw) {
                  Tensor dgamma = bw.buffer(1), dbeta = bw.buffer(2);
                  bw.set(0, kernels::layernorm_backward(bw.dy(), {}, saved, gamma, dgamma, dbeta));
                  bw.set(1, dgamma);
                  bw.set(2, dbeta);
                });
}

ResidualNorm add_layernorm(const Tensor& x, const Tensor& residual, const Tensor& gamma, const Tensor& beta,
                           double eps) {
  SIMCLR_CHECK(residual.defined(), "add_layernorm: no residual; layernorm() takes x alone");
  const kernels::LayernormResult forward = kernels::layernorm_forward(x, residual, gamma, beta, eps);
  kernels::LayernormSaved saved = forward.saved;
  saved.s = saved.s.detach();
  std::vector<Tensor> outputs = {forward.y, forward.saved.s};
  record("add_layernorm", {x, residual, gamma, beta}, outputs, {saved.s, gamma},
         [saved, gamma = gamma.detach()](Backward& bw) {
           if (!bw.dy(0).defined()) {  // nobody used y
             bw.set(0, bw.dy(1));
             bw.set(1, bw.dy(1));
             return;
           }
           Tensor dgamma = bw.buffer(2), dbeta = bw.buffer(3);
           const Tensor dx = kernels::layernorm_backward(bw.dy(0), bw.dy(1), saved, gamma, dgamma, dbeta);
           bw.set(0, dx);
           bw.set(1, dx);
           bw.set(2, dgamma);
           bw.set(3, dbeta);
         });
  return {outputs[0], outputs[1]};
}

namespace {

Tensor padded(const Tensor& rows, const Tensor& lengths, const Shape& shape) {
  Tensor x = Tensor::empty(shape, rows.dtype(), rows.device());
  kernels::pad_sequences(rows, lengths, x);
  return x;
}

}  // namespace

Tensor pack_sequences(const Tensor& x, const Tensor& lengths) {
  const Tensor rows = kernels::pack_sequences(x, lengths);
  if (!kernels::packs(x, lengths)) return rows;  // a reshaped x, which is recorded
  return record("pack_sequences", {x}, rows, {lengths},
                [lengths, shape = x.shape()](Backward& bw) { bw.set(0, padded(bw.dy(), lengths, shape)); });
}

Tensor pad_sequences(const Tensor& rows, const Tensor& lengths, std::int64_t sequences, std::int64_t steps) {
  SIMCLR_CHECK(rows.defined() && rows.rank() == 2, "pad_sequences: rows must be [R,C], got ", describe(rows));
  const Shape shape = {sequences, steps, rows.dim(1)};
  if (!kernels::packs(rows, lengths)) return rows.reshape(shape);
  return record("pad_sequences", {rows}, padded(rows, lengths, shape), {lengths},
                [lengths](Backward& bw) { bw.set(0, kernels::pack_sequences(bw.dy(), lengths)); });
}

Tensor dropout(const Tensor& x, const Tensor& keys, const kernels::DropoutOptions& options) {
  if (options.p == 0) return x;
  return record("dropout", {x}, kernels::dropout_apply(x, keys, options), {keys},
                [keys, options](Backward& bw) { bw.set(0, kernels::dropout_apply(bw.dy(), keys, options)); });
}

Tensor mean_over_time(const Tensor& x, const Tensor& lengths) {
  const Tensor y = kernels::mean_over_time_forward(x, lengths);
  return record("mean_over_time", {x}, y, {lengths}, [lengths, steps = x.dim(1)](Backward& bw) {
    bw.set(0, kernels::mean_over_time_backward(bw.dy(), lengths, steps));
  });
}

Tensor max_over_time(const Tensor& x, const Tensor& lengths) {
  const kernels::MaxOverTimeResult forward = kernels::max_over_time_forward(x, lengths);
  return record("max_over_time", {x}, forward.y, [argmax = forward.argmax, steps = x.dim(1)](Backward& bw) {
    bw.set(0, kernels::max_over_time_backward(bw.dy(), argmax, steps));
  });
}

Tensor attention(const Tensor& qkv, std::int64_t heads, const Tensor& lengths) {
  kernels::AttentionResult forward = kernels::attention_forward(qkv, lengths, heads);
  forward.saved.y = forward.y.detach();
  return record("attention", {qkv}, forward.y, {qkv, lengths, forward.saved.y},
                [saved = forward.saved](Backward& bw) { bw.set(0, kernels::attention_backward(bw.dy(), saved)); });
}

namespace {

/// x's shape with another last dimension.
Shape with_last(const Shape& shape, std::int64_t size) {
  std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  sizes.back() = size;
  return Shape(sizes);
}

}  // namespace

Tensor concatenate(const std::vector<Tensor>& parts) {
  SIMCLR_CHECK(!parts.empty(), "concatenate: no tensors");
  std::int64_t width = 0;
  for (const Tensor& part : parts) {
    SIMCLR_CHECK(part.defined() && part.rank() >= 1, "concatenate: wants tensors [...,C], got ", describe(part));
    width += part.dim(-1);
  }
  const Tensor& first = parts.front();
  Tensor y = Tensor::empty(with_last(first.shape(), width), first.dtype(), first.device());
  std::vector<std::int64_t> widths;
  std::int64_t column = 0;
  for (const Tensor& part : parts) {
    widths.push_back(part.dim(-1));
    kernels::copy_columns(part, 0, y, column, widths.back());
    column += widths.back();
  }
  return record("concatenate", parts, y, [widths](Backward& bw) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < widths.size(); begin += widths[i], ++i) {
      if (!bw.needs(static_cast<int>(i))) continue;
      const Tensor& dy = bw.dy();
      Tensor dx = Tensor::empty(with_last(dy.shape(), widths[i]), dy.dtype(), dy.device());
      kernels::copy_columns(dy, begin, dx, 0, widths[i]);
      bw.set(static_cast<int>(i), dx);
    }
  });
}

Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t count) {
  // Before memory for them is asked for; copy_columns() checks where they are.
  SIMCLR_CHECK(x.defined() && x.rank() >= 1 && count >= 0 && count <= x.dim(-1), "columns: ", count, " of ",
               describe(x));
  Tensor y = Tensor::empty(with_last(x.shape(), count), x.dtype(), x.device());
  kernels::copy_columns(x, begin, y, 0, count);
  return record("columns", {x}, y, [shape = x.shape(), begin, count](Backward& bw) {
    Tensor dx = Tensor::zeros(shape, bw.dy().dtype(), bw.dy().device());
    kernels::copy_columns(bw.dy(), 0, dx, begin, count);
    bw.set(0, dx);
  });
}

}  // namespace simclr::nn
