#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/nn/evaluate.h>
#include <simclr/nn/layers.h>

#include <atomic>
#include <limits>
#include <numeric>

using namespace simclr;
using Catch::Matchers::Contains;

namespace {

/// Hands out consecutive batches of `rows` rows.
NextBatch batches_of(const Tensor& inputs, const std::vector<std::int32_t>& labels, std::int64_t rows) {
  return [=, begin = std::int64_t{0}](Input& batch, std::vector<std::int32_t>& batch_labels) mutable {
    const std::int64_t size = std::min(rows, inputs.dim(0) - begin);
    if (size <= 0) return false;
    batch = inputs.narrow(begin, size);
    batch_labels.assign(labels.begin() + begin, labels.begin() + begin + size);
    begin += size;
    return true;
  };
}

struct Encoder : nn::Module {
  Encoder() {
    linear = add_module("fc", std::make_shared<nn::Linear>(nn::LinearOptions{.in = 6, .out = 5}));
    norm = add_module("bn", std::make_shared<nn::BatchNorm>(5));
    initialize(7);
  }
  Tensor forward(const Input& input) override {
    recording = recording || grad_enabled();
    return norm->relu(linear->forward(input));
  }

  std::shared_ptr<nn::Linear> linear;
  std::shared_ptr<nn::BatchNorm> norm;
  bool recording = false;
};

struct Identity : nn::Module {
  Tensor forward(const Input& input) override { return input.x; }
};

std::vector<std::vector<double>> values_of(const nn::Module& module) {
  std::vector<std::vector<double>> values;
  for (const nn::NamedTensor& tensor : module.state()) values.push_back(tensor.value.to_vector<double>());
  return values;
}

std::vector<std::int32_t> labels_of(std::int64_t n, std::int32_t classes) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 31) % classes;
  return labels;
}

nn::Features random_features(std::int64_t n, std::int64_t dimensions, std::int32_t classes, std::uint64_t seed) {
  return {test::random_tensor({n, dimensions}, seed, DType::f32), labels_of(n, classes)};
}

/// Rows around `classes` far-apart centres, the class of row i being i % classes.
nn::Features clusters(std::int64_t n, std::int64_t dimensions, std::int32_t classes, std::uint64_t seed) {
  nn::Features features{test::random_tensor({n, dimensions}, seed, DType::f32), {}};
  const auto centres = test::random_tensor({classes, dimensions}, 12345, DType::f32, -4, 4).to_vector<float>();
  float* x = features.values.data<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    features.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::int64_t d = 0; d < dimensions; ++d) {
      x[i * dimensions + d] += centres[static_cast<std::size_t>(i % classes * dimensions + d)];
    }
  }
  return features;
}

/// All similarities of a row, sorted; votes added up in double.
std::vector<double> knn_reference(const nn::Features& train, const Tensor& test_values, std::int64_t classes, int k,
                                  double temperature) {
  const auto x = train.values.to_vector<double>(), y = test_values.to_vector<double>();
  const auto n = static_cast<std::size_t>(train.values.dim(0)), rows = static_cast<std::size_t>(test_values.dim(0));
  const auto dimensions = static_cast<std::size_t>(train.values.dim(1));
  std::vector<double> scores(rows * static_cast<std::size_t>(classes), 0.0);
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::pair<double, std::size_t>> all;
    for (std::size_t j = 0; j < n; ++j) {
      double dot = 0, xx = 0, yy = 0;
      for (std::size_t d = 0; d < dimensions; ++d) {
        const double a = x[j * dimensions + d], b = y[i * dimensions + d];
        dot += a * b, xx += a * a, yy += b * b;
      }
      all.emplace_back(xx > 0 && yy > 0 ? -dot / std::sqrt(xx * yy) : 0.0, j);
    }
    std::sort(all.begin(), all.end());
    all.resize(std::min(all.size(), static_cast<std::size_t>(k)));
    double sum = 0;
    for (const auto& [minus_s, j] : all) sum += std::exp(-minus_s / temperature);
    for (const auto& [minus_s, j] : all) {
      const auto label = static_cast<std::size_t>(train.labels[j]);
      scores[i * static_cast<std::size_t>(classes) + label] += std::exp(-minus_s / temperature) / sum;
    }
  }
  return scores;
}

double worst_difference(const Tensor& scores, const std::vector<double>& expected) {
  const auto values = scores.to_vector<double>();
  REQUIRE(values.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) worst = std::max(worst, std::abs(values[i] - expected[i]));
  return worst;
}

Tensor with_value(const Tensor& values, std::int64_t at, float value) {
  Tensor copy = values.clone();
  copy.data<float>()[at] = value;
  return copy;
}

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("features are the encoder's evaluation-mode output, in order, whatever the batches") {
  Encoder encoder;
  const Tensor inputs = test::random_tensor({33, 6}, 1, DType::f32);
  const auto labels = labels_of(33, 4);
  encoder.norm->state()[2].value.fill(0.25);  // running mean
  encoder.eval();
  const Tensor expected = encoder(inputs).detach();
  encoder.train();
  encoder.recording = false;

  for (const std::int64_t rows : {1, 10, 33, 64}) {
    const nn::Features features = nn::extract_features(encoder, batches_of(inputs, labels, rows));
    CHECK(features.values.shape() == Shape{33, 5});
    CHECK(features.values.dtype() == DType::f32);
    CHECK(features.labels == labels);
    CHECK(test::relative_error(features.values, expected) < 1e-6);  // batch shapes may round a product differently
  }
  CHECK_FALSE(encoder.recording);
  CHECK(grad_enabled());
}

TEST_CASE("extracting features changes no weight, no running statistic and no module's mode") {
  Encoder encoder;
  encoder.train();
  encoder.norm->eval();  // frozen on purpose
  const auto before = values_of(encoder);
  const Tensor inputs = test::random_tensor({12, 6}, 2, DType::f32);
  nn::extract_features(encoder, batches_of(inputs, labels_of(12, 3), 5));
  CHECK(values_of(encoder) == before);
  CHECK(encoder.training());
  CHECK(encoder.linear->training());
  CHECK_FALSE(encoder.norm->training());

  const NextBatch broken = [](Input&, std::vector<std::int32_t>&) -> bool { fail("reader: broken"); };
  encoder.train();
  CHECK_THROWS_WITH(nn::extract_features(encoder, broken), Contains("reader: broken"));
  CHECK(encoder.training());
  CHECK(encoder.norm->training());
  CHECK(grad_enabled());
}

TEST_CASE("features are copies: a reader may reuse its batch's memory") {
  Identity identity;
  Tensor memory = Tensor::empty({2, 3});
  int call = 0;
  const nn::Features features = nn::extract_features(identity, [&](Input& batch, std::vector<std::int32_t>& labels) {
    memory.fill(++call);
    batch = memory;
    labels = {call, -1};
    return call <= 2;
  });
  CHECK(features.values.to_vector<float>() == std::vector<float>{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2});
  CHECK(features.labels == std::vector<std::int32_t>{1, -1, 2, -1});
}

TEST_CASE("an encoder is evaluated with each input's lengths and keys") {
  struct Seen : nn::Module {
    Tensor forward(const Input& input) override {
      const Tensor features = Tensor::empty({input.rows(), 4});
      for (std::int64_t i = 0; i < input.rows(); ++i) {
        float* row = features.data<float>() + 4 * i;
        row[0] = static_cast<float>(input.lengths.data<std::int32_t>()[i]);
        for (int k = 0; k < 3; ++k) row[1 + k] = static_cast<float>(input.keys.data<std::int32_t>()[3 * i + k]);
      }
      return features;
    }
  } seen;
  const auto once = [done = false](Input& input, std::vector<std::int32_t>& labels) mutable {
    input = {Tensor::zeros({2, 5}, DType::i32), Tensor::from(std::vector<std::int32_t>{5, 2}, {2}),
             Tensor::from(std::vector<std::int32_t>{7, 0, 1, 8, 0, 1}, {2, 3})};
    labels = {-1, -1};
    return !std::exchange(done, true);
  };
  CHECK(nn::extract_features(seen, once).values.to_vector<float>() == std::vector<float>{5, 7, 0, 1, 2, 8, 0, 1});
}

TEST_CASE("extract_features says what does not fit") {
  Identity identity;
  const Tensor inputs = test::random_tensor({4, 3}, 1, DType::f32);
  const auto once = [](const Tensor& x, std::vector<std::int32_t> labels) {
    return [=, done = false](Input& batch, std::vector<std::int32_t>& out) mutable {
      batch = x, out = labels;
      return !std::exchange(done, true);
    };
  };
  CHECK_THROWS_WITH(nn::extract_features(identity, once(inputs, {1, 2})), Contains("4 inputs, 2 labels"));
  CHECK_THROWS_WITH(nn::extract_features(identity, once(inputs.reshape({2, 2, 3}), {1, 2})), Contains("[N,F]"));
  const NextBatch none = [](Input&, std::vector<std::int32_t>&) { return false; };
  CHECK_THROWS_WITH(nn::extract_features(identity, none), Contains("empty"));
  CHECK_THROWS_WITH(nn::calibrate_batchnorm(identity, none), Contains("empty"));
}

TEST_CASE("calibration makes running statistics the plain averages of the batches' own") {
  Encoder encoder;
  encoder.eval();
  const Tensor inputs = test::random_tensor({30, 6}, 5, DType::f32);
  const Tensor hidden = encoder.linear->forward(inputs);
  const auto h = hidden.to_vector<double>();
  std::vector<double> mean(5, 0.0), variance(5, 0.0);
  for (std::size_t batch = 0; batch < 3; ++batch) {
    for (std::size_t c = 0; c < 5; ++c) {
      double m = 0, v = 0;
      for (std::size_t i = 0; i < 10; ++i) m += h[(batch * 10 + i) * 5 + c] / 10;
      for (std::size_t i = 0; i < 10; ++i) v += std::pow(h[(batch * 10 + i) * 5 + c] - m, 2) / 9;
      mean[c] += m / 3;
      variance[c] += v / 3;
    }
  }
  const auto running = [&] {
    const auto state = encoder.state();
    return std::pair(state[4].value.to_vector<double>(), state[5].value.to_vector<double>());
  };
  REQUIRE(encoder.state()[4].name == "bn.running_mean");
  for (int pass = 0; pass < 2; ++pass) {  // what was there before does not count
    nn::calibrate_batchnorm(encoder, batches_of(inputs, labels_of(30, 2), 10));
    for (std::size_t c = 0; c < 5; ++c) {
      CHECK(running().first[c] == Approx(mean[c]).epsilon(1e-5).margin(1e-6));  // f32 statistics
      CHECK(running().second[c] == Approx(variance[c]).epsilon(1e-5));
    }
  }
  CHECK_FALSE(encoder.training());
  CHECK_FALSE(encoder.norm->training());

  // The momentum is 0.1 again: one training batch of constant inputs moves the variance by a tenth toward 0.
  encoder.train();
  const NoGrad no_grad;
  const auto before = running().second;
  encoder(Tensor::zeros({4, 6}));
  for (std::size_t c = 0; c < 5; ++c) CHECK(running().second[c] == Approx(0.9 * before[c]).epsilon(1e-5));
}

TEST_CASE("calibration leaves the weights alone") {
  Encoder encoder;
  const auto before = values_of(encoder);
  nn::calibrate_batchnorm(encoder, batches_of(test::random_tensor({8, 6}, 1, DType::f32), labels_of(8, 2), 4));
  const auto after = values_of(encoder);
  for (std::size_t i = 0; i < 4; ++i) CHECK(after[i] == before[i]);  // weights come before statistics
  CHECK(after[4] != before[4]);
  CHECK(encoder.training());
}

TEST_CASE("kNN agrees with a double loop over all pairs") {
  struct Case {
    std::int64_t n, rows, dimensions;
    int k;
    double temperature;
  };
  // Around the tiles (128 rows, 2,048 columns), blocks of 64, and k from one to all.
  for (const Case& c : {Case{1, 1, 1, 200, 0.1}, Case{63, 7, 5, 1, 0.1}, Case{65, 129, 33, 20, 0.07},
                        Case{2047, 3, 31, 200, 0.1}, Case{2049, 128, 17, 200, 0.1}, Case{4500, 131, 8, 50, 0.5},
                        Case{300, 9, 127, 300, 1.0}, Case{300, 9, 64, 299, 0.01}}) {
    const nn::Features train = random_features(c.n, c.dimensions, 10, 1);
    const Tensor queries = test::random_tensor({c.rows, c.dimensions}, 2, DType::f32);
    const Tensor scores = nn::knn_scores(train, queries, 10, {.k = c.k, .temperature = c.temperature});
    INFO(c.n << " " << c.rows << " " << c.dimensions << " k " << c.k << " tau " << c.temperature);
    CHECK(scores.shape() == Shape{c.rows, 10});
    // f32 similarities are off by about 1e-6 at most; a weight changes by that over the temperature.
    CHECK(worst_difference(scores, knn_reference(train, queries, 10, c.k, c.temperature)) < 2e-6 / c.temperature);
  }
}

TEST_CASE("kNN's scores do not depend on what else is asked or on the thread count") {
  const nn::Features train = random_features(2500, 40, 10, 3);
  const Tensor queries = test::random_tensor({300, 40}, 4, DType::f32);
  const int before = threads();
  set_threads(1);
  const Tensor one = nn::knn_scores(train, queries, 10);
  set_threads(3);
  const Tensor three = nn::knn_scores(train, queries, 10);
  const Tensor tail = nn::knn_scores(train, queries.narrow(256, 44), 10);
  set_threads(before);
  CHECK(test::same_bits(one, three));
  CHECK(test::same_bits(one.narrow(256, 44), tail));
}

TEST_CASE("kNN takes the lower index of equally similar rows, and all rows where k is larger") {
  // All rows point the same way: the first k vote, equally.
  nn::Features train{Tensor::empty({500, 2}), {}};
  for (int i = 0; i < 500; ++i) {
    train.values.data<float>()[2 * i] = static_cast<float>(i + 1) * 2.0f;
    train.values.data<float>()[2 * i + 1] = 0.0f;
    train.labels.push_back(i < 30 ? 0 : i < 40 ? 1 : 2);
  }
  const Tensor query = Tensor::from(std::vector<float>{3, 0}, {1, 2});
  const auto scores = [&](int k) { return nn::knn_scores(train, query, 3, {.k = k}).to_vector<float>(); };
  CHECK(scores(30) == std::vector<float>{1, 0, 0});
  CHECK(scores(40) == std::vector<float>{0.75f, 0.25f, 0});
  CHECK(scores(500) == std::vector<float>{0.06f, 0.02f, 0.92f});
  CHECK(scores(10000) == scores(500));
}

TEST_CASE("kNN weighs by similarity and survives any temperature") {
  // Two near rows of class 1 against three far ones of class 0, by hand: s = 1, 1, 0, 0, 0.
  const nn::Features train{Tensor::from(std::vector<float>{1, 0, 2, 0, 0, 1, 0, 1, 0, 3}, {5, 2}), {1, 1, 0, 0, 0}};
  const Tensor query = Tensor::from(std::vector<float>{5, 0, 0, 0}, {2, 2});
  const double e = std::exp(1.0 / 0.5);
  const auto scores = nn::knn_scores(train, query, 2, {.k = 5, .temperature = 0.5}).to_vector<double>();
  CHECK(scores[1] == Approx(2 * e / (2 * e + 3)).epsilon(1e-6));
  CHECK(scores[2] == Approx(3.0 / 5).epsilon(1e-6));  // a zero row is as near to all
  const auto cold = nn::knn_scores(train, query, 2, {.k = 5, .temperature = 1e-4}).to_vector<double>();
  CHECK(cold[0] == 0.0);
  CHECK(cold[1] == 1.0);
}

TEST_CASE("kNN tells clusters apart") {
  const nn::Features train = clusters(600, 16, 6, 1), held_out = clusters(200, 16, 6, 2);
  CHECK(nn::compute_metrics(nn::knn_scores(train, held_out.values, 6, {.k = 20}), held_out.labels).top1 == 1.0);
}

TEST_CASE("the linear probe learns separable clusters, at any scale of the features") {
  nn::Features train = clusters(600, 16, 6, 1), held_out = clusters(200, 16, 6, 2);
  for (const float scale : {1.0f, 1e-3f, 1e3f}) {
    nn::Features small = {train.values.clone(), train.labels};
    Tensor queries = held_out.values.clone();
    for (Tensor* values : {&small.values, &queries}) {
      for (std::int64_t i = 0; i < values->numel(); ++i) {
        float& x = values->data<float>()[i];
        x = i % 16 == 3 ? 5.0f : scale * (x + 10.0f);  // one dimension is constant, all are shifted
      }
    }
    const nn::Metrics m =
        nn::compute_metrics(nn::linear_probe_scores(small, queries, 6, {.epochs = 20}), held_out.labels);
    INFO("scale " << scale);
    CHECK(m.top1 == 1.0);
    CHECK(m.macro_f1 == 1.0);
  }
}

TEST_CASE("the linear probe reaches the optimum of its convex problem") {
  // Two classes in one dimension that overlap, shares 3:1 at x = +1 and 1:3 at x = -1: logits differ by +-ln 3.
  nn::Features train{Tensor::empty({400, 1}), {}};
  for (int i = 0; i < 400; ++i) {
    train.values.data<float>()[i] = i % 2 == 0 ? 1.0f : -1.0f;
    train.labels.push_back((i / 2 % 4 == 0) == (i % 2 == 0) ? 1 : 0);
  }
  const Tensor queries = Tensor::from(std::vector<float>{1, -1}, {2, 1});
  const auto logits =
      nn::linear_probe_scores(train, queries, 2, {.epochs = 300, .learning_rate = 0.5}).to_vector<double>();
  CHECK(logits[0] - logits[1] == Approx(std::log(3.0)).epsilon(1e-3));
  CHECK(logits[3] - logits[2] == Approx(std::log(3.0)).epsilon(1e-3));
}

TEST_CASE("random labels teach the probe nothing about other samples") {
  nn::Features train = random_features(2000, 20, 1, 1);
  const Tensor held_out = test::random_tensor({2000, 20}, 2, DType::f32);
  const Random random(1, RandomPurpose::user, 1);
  std::vector<std::int32_t> truth(2000);
  for (std::uint32_t i = 0; i < 2000; ++i) {
    train.labels[i] = static_cast<std::int32_t>(random.below(4, i));
    truth[i] = static_cast<std::int32_t>(random.below(4, 2000 + i));
  }
  const double top1 = nn::compute_metrics(nn::linear_probe_scores(train, held_out, 4, {.epochs = 20}), truth).top1;
  CHECK(top1 == Approx(0.25).margin(0.04));  // four standard deviations
}

TEST_CASE("the linear probe gives the same bits again, and other bits for another seed") {
  const nn::Features train = random_features(300, 12, 5, 1);
  const Tensor queries = test::random_tensor({20, 12}, 2, DType::f32);
  const nn::ProbeOptions options{.epochs = 3, .batch_size = 64};
  const Tensor first = nn::linear_probe_scores(train, queries, 5, options);
  CHECK(test::same_bits(first, nn::linear_probe_scores(train, queries, 5, options)));
  const int before = threads();
  set_threads(before == 1 ? 2 : 1);
  CHECK(test::same_bits(first, nn::linear_probe_scores(train, queries, 5, options)));
  set_threads(before);
  nn::ProbeOptions other = options;
  other.seed = 1;
  CHECK_FALSE(test::same_bits(first, nn::linear_probe_scores(train, queries, 5, other)));
}

TEST_CASE("weight decay shrinks the probe's weights, not its bias") {
  // Three of four rows are class 0, whatever x is: with heavy decay only the bias speaks.
  nn::Features train = random_features(400, 3, 1, 1);
  for (std::size_t i = 0; i < 400; ++i) train.labels[i] = i % 4 == 0;
  const auto logits = nn::linear_probe_scores(train, train.values.narrow(0, 50), 2,
                                              {.epochs = 300, .learning_rate = 0.3, .weight_decay = 2.0})
                          .to_vector<double>();
  for (std::size_t i = 0; i < 50; ++i) CHECK(logits[2 * i] - logits[2 * i + 1] == Approx(std::log(3.0)).margin(0.1));
}

TEST_CASE("kNN and probe say what does not fit") {
  const nn::Features train = random_features(10, 4, 3, 1);
  const Tensor queries = test::random_tensor({5, 4}, 2, DType::f32);
  const auto both = [&](const nn::Features& features, const Tensor& test_values, std::int64_t classes,
                        const char* message) {
    CHECK_THROWS_WITH(nn::knn_scores(features, test_values, classes), Contains(message));
    CHECK_THROWS_WITH(nn::linear_probe_scores(features, test_values, classes), Contains(message));
  };
  nn::Features changed = train;
  changed.labels[3] = -1;
  both(changed, queries, 3, "row 3 has label -1, outside 0..2 (unlabelled)");
  both(train, queries, 2, "outside 0..1");
  both(train, queries, 0, "0 classes");
  changed = train;
  changed.labels.pop_back();
  both(changed, queries, 3, "9 training labels for 10 rows");
  both(train, test::random_tensor({5, 3}, 2, DType::f32), 3, "3 columns");
  both(train, test::random_tensor({5, 4}, 2), 3, "must be f32");
  both({with_value(train.values, 9, nan_value), train.labels}, queries, 3, "row 2 of the training features");
  both(train, with_value(queries, 4, std::numeric_limits<float>::infinity()), 3, "row 1 of the test features");
  both({Tensor::empty({0, 4}), {}}, queries, 3, "at least one row");

  CHECK_THROWS_WITH(nn::knn_scores(train, queries, 3, {.k = 0}), Contains("k 0"));
  CHECK_THROWS_WITH(nn::knn_scores(train, queries, 3, {.temperature = 0}), Contains("positive"));
  CHECK_THROWS_WITH(nn::linear_probe_scores(train, queries, 3, {.epochs = 0}), Contains("epochs 0"));
  CHECK_THROWS_WITH(nn::linear_probe_scores(train, queries, 3, {.batch_size = 0}), Contains("batch 0"));
  CHECK_THROWS_WITH(nn::linear_probe_scores(train, queries, 3, {.learning_rate = 8e39}), Contains("diverged"));
}

TEST_CASE("kNN and probe end where their poll throws") {
  const nn::Features train = random_features(10, 4, 3, 1);
  std::atomic<int> left{0};
  const auto poll = [&left] {
    if (left-- == 0) throw 7;
  };
  CHECK_THROWS_AS(nn::knn_scores(train, train.values, 3, {.poll = poll}), int);
  left = 3;  // batches, of one an epoch
  CHECK_THROWS_AS(nn::linear_probe_scores(train, train.values, 3, {.epochs = 5, .poll = poll}), int);
}

TEST_CASE("no test rows give no scores") {
  const nn::Features train = random_features(10, 4, 3, 1);
  CHECK(nn::knn_scores(train, Tensor::empty({0, 4}), 3).shape() == Shape{0, 3});
  CHECK(nn::linear_probe_scores(train, Tensor::empty({0, 4}), 3, {.epochs = 1}).shape() == Shape{0, 3});
}
