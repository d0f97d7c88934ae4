#include <simclr/core/error.h>
#include <simclr/data/dataset.h>

#include <utility>

namespace simclr::data {

Dataset::~Dataset() = default;

std::string Dataset::file(std::int64_t) const {
  return {};
}

const char* name(Split split) {
  return split == Split::train ? "train" : "test";
}

namespace {

class MemoryDataset final : public Dataset {
 public:
  explicit MemoryDataset(MemoryData data) : data_(std::move(data)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(data_.labels.size()); }

  Sample sample(std::int64_t i) const override {
    const std::int32_t sample_label = label(i);
    const auto bytes = static_cast<std::size_t>(data_.shape.numel());
    return {.bytes = std::span(data_.bytes).subspan(static_cast<std::size_t>(i) * bytes, bytes),
            .shape = data_.shape,
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
};

}  // namespace

std::unique_ptr<Dataset> memory_dataset(MemoryData data) {
  const auto count = static_cast<std::int64_t>(data.labels.size());
  SIMCLR_CHECK(count * data.shape.numel() == static_cast<std::int64_t>(data.bytes.size()),
               "memory_dataset: ", data.bytes.size(), " bytes for ", count, " labels, samples of shape ", data.shape,
               " need ", count * data.shape.numel());
  const auto class_count = static_cast<std::int32_t>(data.classes.size());
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    SIMCLR_CHECK(data.labels[i] >= -1 && data.labels[i] < class_count, "memory_dataset: sample ", i, " has label ",
                 data.labels[i], ", there are ", class_count, " classes");
  }
  return std::make_unique<MemoryDataset>(std::move(data));
}

}  // namespace simclr::data
