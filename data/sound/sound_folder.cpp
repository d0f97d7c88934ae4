#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_folder.h>

#include <filesystem>
#include <span>
#include <utility>

namespace simclr::data {
namespace {

class SoundFolder final : public Dataset {
 public:
  SoundFolder(SoundList list, std::int32_t rate) : list_(std::move(list)), rate_(rate) {
    if (const SoundField* label = list_.field("label")) label_ = *label;
    std::string left_out;
    for (const std::string& part : list_.left_out) left_out += (left_out.empty() ? "" : ", ") + part;
    description_ = counted(size(), list_.segments.empty() ? "recording" : "segment") + " in " +
                   printable(list_.place()) + ", " +
                   (label_.values.empty() ? "unlabelled" : counted(std::ssize(label_.values), "class", "es")) +
                   ", at " + std::to_string(rate) + " Hz" + (left_out.empty() ? "" : " (left out: " + left_out + ")");
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(list_.size()); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const auto at = static_cast<std::size_t>(i);
    const auto sound = std::make_shared<const Sound>(
        read_sound(list_.path(at), rate_, list_.segments.empty() ? SoundSegment() : list_.segments[at]));
    return {.bytes = std::as_bytes(std::span(sound->samples)),
            .shape = {std::ssize(sound->samples)},
            .dtype = DType::f32,
            .label = sample_label,
            .owner = sound,
            .warning = sound->warning,
            .finite = true};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "sound_folder: recording ", i, " of ", size());
    return label_.of.empty() ? -1 : label_.of[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return label_.values; }
  std::string describe() const override { return description_; }

  std::string file(std::int64_t i) const override {
    return list_.segments.empty() ? list_.path(static_cast<std::size_t>(i)) : std::string();
  }

  std::string place(std::int64_t i) const override {
    return (std::filesystem::path(list_.dir) / list_.name(static_cast<std::size_t>(i))).string();
  }

 private:
  SoundList list_;
  SoundField label_;
  std::string description_;
  std::int32_t rate_;
};

}  // namespace

std::unique_ptr<Dataset> sound_folder(SoundList list, std::int32_t rate) {
  SIMCLR_CHECK(list.size() > 0, "sound_folder: ", printable(list.place()), " has no recordings");
  SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, "sound_folder: ", rate, " samples a second, ",
               min_sound_rate, " to ", max_sound_rate, " are possible");
  return std::make_unique<SoundFolder>(std::move(list), rate);
}

}  // namespace simclr::data
