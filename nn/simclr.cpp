#include <simclr/nn/simclr.h>

namespace simclr::nn {

ProjectionHead::ProjectionHead(const ProjectionHeadOptions& options) {
  SIMCLR_CHECK(options.layers == 2 || options.layers == 3, "projection head: ", options.layers,
               " layers; 2 (SimCLR) or 3 (SimCLRv2) are supported");
  SIMCLR_CHECK(options.in > 0 && options.out > 0 && options.hidden >= 0, "projection head: in ", options.in,
               ", hidden ", options.hidden, ", out ", options.out, "; sizes must be positive");
  const std::int64_t hidden = options.hidden > 0 ? options.hidden : options.in;
  std::int64_t in = options.in;
  for (int i = 0; i < options.layers; ++i) {
    const bool last = i + 1 == options.layers;
    const std::int64_t out = last ? options.out : hidden;
    const bool norm = last ? options.last_batchnorm : options.batchnorm;
    const bool bias = last ? options.last_bias : !norm;
    const std::string number = std::to_string(i + 1);
    linear_.push_back(
        add_module("linear" + number, std::make_shared<Linear>(LinearOptions{.in = in, .out = out, .bias = bias})));
    norm_.push_back(norm ? add_module("bn" + number, std::make_shared<BatchNorm>(BatchNormLayerOptions{
                                                         .channels = out, .shift = !last || options.last_shift}))
                         : nullptr);
    in = out;
  }
  initialize(options.seed);
}

Tensor ProjectionHead::forward(const Input& input) {
  Tensor y = input.x;
  for (std::size_t i = 0; i < linear_.size(); ++i) {
    const bool last = i + 1 == linear_.size();
    y = (*linear_[i])(y);
    if (norm_[i]) {
      y = last ? (*norm_[i])(y) : norm_[i]->relu(y);
    } else if (!last) {
      y = relu(y);
    }
  }
  return y;
}

SimCLR::SimCLR(const SimCLROptions& options) : encoder_(options.encoder), views_apart_(options.views_apart) {
  SIMCLR_CHECK(encoder_ != nullptr, "SimCLR: an encoder is needed");
  ProjectionHeadOptions head = options.head;
  if (head.in == 0) head.in = encoder_->output_features();
  SIMCLR_CHECK(head.in > 0, "SimCLR: the encoder does not say how many features it gives; set head.in");
  add_module("encoder", encoder_);
  head_ = add_module("head", std::make_shared<ProjectionHead>(head));
}

Tensor SimCLR::forward(const Input& views) {
  if (!views_apart_ || !training()) return (*head_)((*encoder_)(views));
  SIMCLR_CHECK(views.x.rank() > 0 && views.rows() % 2 == 0, "SimCLR: wants two views of each sample, [2N,...], got ",
               describe(views.x));
  const std::int64_t half = views.rows() / 2;
  const Tensor first = (*head_)((*encoder_)(views.narrow(0, half)));
  const Tensor second = (*head_)((*encoder_)(views.narrow(half, half)));
  Tensor z = Tensor::empty(first.shape().with_first(2 * half), first.dtype(), first.device());
  z.narrow(0, half).copy_from(first.detach());
  z.narrow(half, half).copy_from(second.detach());
  return record("views apart", {first, second}, z, [half](Backward& bw) {
    for (int i = 0; i < 2; ++i) {
      if (bw.needs(i)) bw.set(i, bw.dy().narrow(i * half, half));
    }
  });
}

}  // namespace simclr::nn
