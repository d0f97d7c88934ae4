// simclr.fit: the samples of a data set of Python as what a training program opens. simclr/_fit.py prepares them.
#include "common.h"

#ifdef SIMCLR_PYTHON_PROGRAMS

#include "modalities/picture_sets.h"
#include "modalities/pictures.h"
#include "modalities/sounds.h"
#include "modalities/text_sets.h"
#include "modalities/texts.h"
#include "run_host.h"
#include "train/test_part.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_io.h>
#include <simclr/kernels/augment.h>

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace simclr::python {
namespace {

/// A sample as Python gives it: an array, or the bytes of a file.
struct Given {
  Tensor array;  // undefined: `file` is it
  std::string file;

  std::span<const std::uint8_t> bytes() const {
    return {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
  }
};

/// What a kind of data makes of a sample, which is called `name`. Throws Error where it cannot be used.
using Make = std::function<data::Sample(const Given&, std::int32_t label, const std::string& name)>;

/// The samples of a simclr._fit._Samples, which are asked for one at a time, each whenever it is needed.
class Samples final : public data::Dataset {
 public:
  Samples(nb::handle samples, PythonHost& host, Make make)
      : samples_(samples),
        host_(host),
        make_(std::move(make)),
        name_(nb::cast<std::string>(samples.attr("name"))),
        labels_(nb::cast<std::vector<std::int32_t>>(samples.attr("labels"))),
        classes_(nb::cast<std::vector<std::string>>(samples.attr("classes"))) {}

  std::int64_t size() const override { return std::ssize(labels_); }
  data::Sample sample(std::int64_t i, int) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "there is no sample ", i, " of ", size());
    return make_(read(i), label(i), place(i));
  }
  std::int32_t label(std::int64_t i) const override { return labels_[static_cast<std::size_t>(i)]; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string place(std::int64_t i) const override { return "sample " + std::to_string(i) + " of " + name_; }
  std::string describe() const override {
    return counted(size(), "sample") + " of " + name_ +
           (classes_.empty() ? "" : " in " + counted(std::ssize(classes_), "class", "es"));
  }

 private:
  Given read(std::int64_t i) const {
    const nb::gil_scoped_acquire locked;
    for (;;) {
      try {
        const nb::object value = samples_.attr("read")(i);
        if (!nb::isinstance<nb::bytes>(value)) return {as_tensor(value, "sample"), {}};
        return {{}, text_of(nb::cast<nb::bytes>(value))};
      } catch (nb::python_error& error) {
        if (error.matches(PyExc_Exception)) fail(nb::cast<std::string>(nb::str(error.value())));
        // Ctrl-C is none of the sample's: it is read again, and the run ends.
        const bool interrupted = error.matches(PyExc_KeyboardInterrupt);
        host_.stop_for(std::current_exception(), interrupted);
        if (!interrupted) fail(place(i) + ": its code asked to end the run");
      }
    }
  }

  nb::handle samples_;
  PythonHost& host_;
  Make make_;
  std::string name_;
  std::vector<std::int32_t> labels_;
  std::vector<std::string> classes_;
};

data::Sample sample_of(const Tensor& array, std::int32_t label) {
  data::Sample sample;
  sample.bytes = {static_cast<const std::byte*>(array.raw_data()), array.bytes()};
  sample.shape = array.shape();
  sample.dtype = array.dtype();
  sample.label = label;
  sample.owner = std::make_shared<const Tensor>(array);
  return sample;
}

/// Pictures for views of so many channels.
Make make_picture(int channels) {
  return [channels](const Given& given, std::int32_t label, const std::string& name) {
    if (!given.array.defined()) {
      return data::picture_sample(data::decode_raster(given.bytes(), name), label, channels, name);
    }
    const std::int64_t has = given.array.dim(2);
    const bool colour = kernels::is_colour(channels);
    SIMCLR_CHECK(has == channels || (colour && (has == 1 || has == 3 || has == 4)), name, ": has ",
                 counted(has, "channel"), ", and views have ", channels);
    return sample_of(given.array, label);
  };
}

Make make_recording(std::int32_t rate) {
  return [rate](const Given& given, std::int32_t label, const std::string& name) {
    if (given.array.defined()) return sample_of(given.array, label);
    return data::sound_sample(data::decode_sound(given.bytes(), name, rate), label);
  };
}

/// A kind of data that opens what it is given, whatever place is named.
template <class Base>
class InMemory final : public Base {
 public:
  /// `samples`: a simclr._fit._Samples.
  InMemory(nb::handle samples, PythonHost& host)
      : samples_(samples),
        host_(host),
        count_(static_cast<std::int64_t>(nb::len(nb::object(samples.attr("labels"))))) {}

  Datasets open(TrainingOptions& options) override;
  std::string folders(const std::string&, const std::string&) const override { return ""; }
  void refuse_in(const std::string&, const std::vector<std::string>&, const std::string&,
                 const std::string&) const override {}
  /// There are no files. Labels tell whether a run that goes on has the same samples, and of texts their words.
  nlohmann::ordered_json data_files(const TrainingOptions&) const override {
    return {{"files", count_}, {"bytes", 0}, {"content", ""}, {"folders", nlohmann::ordered_json::object()}};
  }

 private:
  /// What is trained on, and what it is tested on: simclr.fit's test, or a fifth.
  void take_samples(Datasets& sets, const Make& make) {
    const nb::gil_scoped_acquire locked;
    sets.labelled = sets.train = std::make_shared<const Samples>(samples_, host_, make);
    const nb::object test = samples_.attr("test");
    if (test.is_none()) return keep_fifth(sets, "", "give simclr.fit its test");
    take_test_part(sets, std::make_shared<const Samples>(test, host_, make), "the data set", "its test");
  }

  nb::handle samples_;
  PythonHost& host_;
  std::int64_t count_;
};

template <>
Datasets InMemory<Pictures>::open(TrainingOptions& o) {
  const OptionTable table = training_table(o, *this);
  PictureSets sets;
  sets.kind = "arrays";
  {
    const nb::gil_scoped_acquire locked;
    sets.size = nb::cast<int>(samples_.attr("size"));
    sets.channels = nb::cast<int>(samples_.attr("channels"));
  }
  take_samples(sets, make_picture(sets.channels));
  Pictures::take(sets, table, !o.resume, o.resume);
  return sets;
}

template <>
Datasets InMemory<Sounds>::open(TrainingOptions&) {
  Datasets sets;
  sets.sample_name = "recording";
  sets.kind = "folder";
  take_samples(sets, make_recording(own().sound.rate));
  Sounds::take(sets);
  return sets;
}

/// Those of a simclr._fit._Samples. What cannot be used is left out, and named.
data::TextList text_list(nb::handle samples) {
  data::TextList list(nb::cast<std::string>(samples.attr("name")));
  const auto labels = nb::cast<std::vector<std::int32_t>>(samples.attr("labels"));
  const auto classes = nb::cast<std::vector<std::string>>(samples.attr("classes"));
  std::int64_t i = -1;
  for (const nb::handle text : samples.attr("texts")) {
    ++i;
    const std::int32_t label = labels[static_cast<std::size_t>(i)];
    const auto [words, problem] = nb::cast<std::pair<nb::bytes, std::string>>(text);
    const std::string whole = text_of(words);
    const std::string_view trimmed = data::trimmed(whole);
    const std::string wrong = !problem.empty()  ? problem
                              : trimmed.empty() ? "is empty"
                                                : data::wrong_with_text(trimmed);
    if (wrong.empty()) {
      list.add(trimmed, i, label < 0 ? "" : classes[static_cast<std::size_t>(label)]);
    } else {
      constexpr std::int64_t most_named = 3;
      if (++list.left_out["that cannot be used"] > most_named) continue;
      list.warnings.push_back(printable("sample " + std::to_string(i) + " of " + list.source() + ": " + wrong) +
                              " (left out)");
    }
  }
  return list;
}

template <>
Datasets InMemory<Texts>::open(TrainingOptions&) {
  data::TextList texts, test;
  {
    const nb::gil_scoped_acquire locked;
    texts = text_list(samples_);
    const nb::object other = samples_.attr("test");
    if (!other.is_none()) test = text_list(other);
  }
  TextSets sets = texts_in_memory(texts, test);
  if (!has_tokenizer()) sets.add_note(learn_tokens(*sets.texts));
  return sets;
}

}  // namespace

std::unique_ptr<Modality> modality_of_samples(const std::string& program, nb::handle samples, PythonHost& host) {
  if (program == "train_cifar") return std::make_unique<InMemory<Pictures>>(samples, host);
  if (program == "train_speech") return std::make_unique<InMemory<Sounds>>(samples, host);
  if (program == "train_text") return std::make_unique<InMemory<Texts>>(samples, host);
  fail("simclr.fit: takes pictures, sounds and texts; clips and pairs are trained from files by simclr.train");
}

}  // namespace simclr::python

#endif
