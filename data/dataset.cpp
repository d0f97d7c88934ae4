#include <simclr/core/error.h>
#include <simclr/data/dataset.h>

#include <utility>

namespace simclr::data {

Dataset::~Dataset() = default;

int Dataset::parts() const {
  return 1;
}

const std::vector<std::int32_t>& Dataset::groups() const {
  static const std::vector<std::int32_t> none;
  return none;
}

std::string Dataset::place(std::int64_t i) const {
  return file(i);
}
std::string Dataset::file(std::int64_t) const {
  return {};
}

const char* name(Split split) {
  return split == Split::train ? "train" : "test";
}

namespace {

class MemoryDataset final : public Dataset {
 public:
  explicit MemoryDataset(MemoryData data)
      : data_(std::move(data)),
        shape_(std::vector<std::int64_t>(data_.samples.shape().begin() + 1, data_.samples.shape().end())),
        bytes_(static_cast<const std::byte*>(data_.samples.raw_data()), data_.samples.bytes()) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(data_.labels.size()); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const std::size_t each = bytes_.size() / data_.labels.size();
    return {.bytes = bytes_.subspan(static_cast<std::size_t>(i) * each, each),
            .shape = shape_,
            .dtype = data_.samples.dtype(),
            .label = sample_label,
            .owner = nullptr};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "dataset: sample ", i, " of ", size());
    return data_.labels[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return data_.classes; }
  std::string describe() const override { return data_.description; }

 private:
  MemoryData data_;
  Shape shape_;  // of one sample
  std::span<const std::byte> bytes_;
};

}  // namespace

std::unique_ptr<Dataset> memory_dataset(MemoryData data) {
  const auto count = static_cast<std::int64_t>(data.labels.size());
  SIMCLR_CHECK(data.samples.defined() && data.samples.rank() > 0 && data.samples.dim(0) == count &&
                   data.samples.device() == Device{},
               "memory_dataset: samples are ", data.samples.defined() ? describe(data.samples) : "undefined", " for ",
               count, " labels; give [N,...] on the CPU and N labels");
  const auto class_count = static_cast<std::int32_t>(data.classes.size());
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    SIMCLR_CHECK(data.labels[i] >= -1 && data.labels[i] < class_count, "memory_dataset: sample ", i, " has label ",
                 data.labels[i], ", there are ", class_count, " classes");
  }
  return std::make_unique<MemoryDataset>(std::move(data));
}

}  // namespace simclr::data
