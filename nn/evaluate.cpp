// Features of a frozen encoder, and batch-norm statistics for an untrained one.
#include <simclr/nn/evaluate.h>
#include <simclr/nn/layers.h>

namespace simclr::nn {
namespace {

/// Gives every module of a tree its own mode back: some may have been frozen on purpose.
class KeepModes {
 public:
  explicit KeepModes(Module& root) : root_(root) {
    root_.for_each([this](Module& module) { modes_.push_back(module.training()); });
  }
  ~KeepModes() {
    std::size_t next = 0;  // parents come first, so the children's own modes win
    root_.for_each([&](Module& module) { module.train(modes_[next++]); });
  }
  KeepModes(const KeepModes&) = delete;
  KeepModes& operator=(const KeepModes&) = delete;

 private:
  Module& root_;
  std::vector<bool> modes_;
};

void set_momentum(Module& root, double momentum) {
  root.for_each([momentum](Module& module) {
    if (auto* norm = dynamic_cast<BatchNorm*>(&module)) norm->set_momentum(momentum);
  });
}

class RestoreMomentum {
 public:
  explicit RestoreMomentum(Module& root) : root_(root) {}
  ~RestoreMomentum() { set_momentum(root_, BatchNormOptions{}.momentum); }
  RestoreMomentum(const RestoreMomentum&) = delete;
  RestoreMomentum& operator=(const RestoreMomentum&) = delete;

 private:
  Module& root_;
};

}  // namespace

Features extract_features(Module& encoder, const NextBatch& next) {
  const KeepModes keep(encoder);
  const NoGrad no_grad;
  encoder.eval();

  const Device device = encoder.device();
  std::vector<Tensor> parts;
  Features features;
  std::int64_t rows = 0;
  Input input;
  std::vector<std::int32_t> labels;
  while (next(input, labels)) {
    Tensor part = encoder(input.to(device));
    SIMCLR_CHECK(part.defined() && part.rank() == 2, "extract_features: the encoder must give [N,F], got ",
                 describe(part));
    SIMCLR_CHECK(input.rows() == part.dim(0) && static_cast<std::int64_t>(labels.size()) == part.dim(0),
                 "extract_features: batch ", parts.size(), " has ", input.rows(), " inputs, ", labels.size(),
                 " labels and ", part.dim(0), " rows of features; all must be as many (label -1: unlabelled)");
    SIMCLR_CHECK(parts.empty() || part.dim(1) == parts[0].dim(1), "extract_features: batch ", parts.size(), " has ",
                 part.dim(1), " features, those before ", parts[0].dim(1));
    // A copy even where nothing changes: an encoder may hand out its input, which the caller may reuse.
    Tensor kept = Tensor::empty(part.shape());
    kept.copy_from(part);
    rows += kept.dim(0);
    parts.push_back(std::move(kept));
    features.labels.insert(features.labels.end(), labels.begin(), labels.end());
  }
  SIMCLR_CHECK(rows > 0, "extract_features: no inputs; the data set is empty");

  features.values = Tensor::empty({rows, parts[0].dim(1)});
  std::int64_t begin = 0;
  for (Tensor& part : parts) {
    features.values.narrow(begin, part.dim(0)).copy_from(part);
    begin += part.dim(0);
    part = {};
  }
  return features;
}

std::int64_t calibrate_batchnorm(Module& model, const NextBatch& next) {
  const KeepModes keep(model);
  const RestoreMomentum restore(model);
  const NoGrad no_grad;
  model.train();

  Input input;
  std::vector<std::int32_t> labels;
  const Device device = model.device();
  std::int64_t batches = 0, whole = 0;
  while (next(input, labels)) {
    if (batches == 0) whole = input.rows();
    if (input.rows() < whole) continue;
    ++batches;
    set_momentum(model, 1.0 / static_cast<double>(batches));
    model(input.to(device));
  }
  SIMCLR_CHECK(batches > 0, "calibrate_batchnorm: no inputs; the data set is empty");
  return batches;
}

}  // namespace simclr::nn
