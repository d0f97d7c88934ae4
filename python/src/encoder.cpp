// simclr.Encoder: a trained encoder as the program embed has it. simclr/_encoder.py prepares what it is given.
#include "signals.h"

#ifdef SIMCLR_PYTHON_PROGRAMS

#include "modalities/kinds.h"
#include "modalities/named_texts.h"
#include "modalities/onnx_file.h"
#include "modalities/picture_files.h"
#include "modalities/pictures.h"
#include "train/embedding.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <simclr/core/device.h>
#include <simclr/core/text.h>
#include <simclr/nn/torchvision.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace simclr::python {
namespace {

using Read = std::function<data::Sample(std::int64_t)>;

/// Samples that Python has in memory, or files that are read when they are asked for.
class Given final : public data::Dataset {
 public:
  Given(std::int64_t size, Read read) : size_(size), read_(std::move(read)) {}

  std::int64_t size() const override { return size_; }
  data::Sample sample(std::int64_t i, int) const override {
    SIMCLR_CHECK(i >= 0 && i < size_, "there is no sample ", i, " of ", size_);
    return read_(i);
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return std::to_string(size_) + " samples"; }

 private:
  std::int64_t size_;
  Read read_;
  std::vector<std::string> classes_;
};

nb::list list_of(const std::vector<std::string>& texts) {
  nb::list all;
  for (const std::string& text : texts) all.append(bytes_of(text));
  return all;
}

/// What one thread at a time computes with.
struct Busy {
  std::timed_mutex mutex;
  std::atomic<std::thread::id> owner;
};

/// A thread's turn, for which it waits; meanwhile signals are heeded. Throws RunError where it has its turn already.
class Turn {
 public:
  Turn(Busy& busy, const std::function<void()>& poll) : busy_(busy) {
    if (busy.owner == std::this_thread::get_id())
      fail<RunError>("encoder: this thread computes with it already; a signal's handler cannot call it");
    while (!busy.mutex.try_lock_for(std::chrono::milliseconds(100))) poll();
    busy.owner = std::this_thread::get_id();
  }
  ~Turn() {
    busy_.owner = std::thread::id();
    busy_.mutex.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Busy& busy_;
};

/// The encoder of a weights file. Every call is safe from several threads at once: one of them computes at a time, on
/// all cores.
class Encoder {
 public:
  Encoder(const nb::bytes& run_or_file, const std::string& side, const std::string& device) {
    const std::string weights = text_of(run_or_file);
    const Computing computing;
    kind_ = kind_of_weights(weights, side);
    file_ = open_side(weights, *kind_, side);
    file_.encoder->to(parse_device(device));
    file_.encoder->eval();
  }

  const EncoderFile& file() const { return file_; }
  const Kind& kind() const { return *kind_; }

  /// (float32 [N,F], what to warn of) of samples that are called `names`. Throws Error where one cannot be used.
  nb::tuple features(std::vector<std::string> names, const Read& read, std::int64_t batch_size) const {
    std::vector<std::string> warnings;
    Tensor values = Tensor::empty({0, file_.encoder->output_features()});
    if (!names.empty()) {
      const auto given = std::make_shared<const Given>(std::ssize(names), read);
      const NamedSamples named = with_names(given, std::move(names), {});
      const EvaluationOptions options = options_with(batch_size, warnings);
      const Computing computing;
      const Turn turn(busy_, options.poll);
      values = all_of(*named.samples, options, warnings);
    }
    return nb::make_tuple(to_array(values, Framework::numpy), list_of(warnings));
  }

  /// What embed writes of a folder, a list or another place, by name.
  nb::dict embed(const nb::bytes& place, const std::string& dataset, std::int64_t batch_size) const {
    const std::string where = text_of(place);
    const std::vector<std::string>& kinds = named_picture_kinds();
    SIMCLR_CHECK(std::find(kinds.begin(), kinds.end(), dataset) != kinds.end(), "dataset ", printable(dataset),
                 ": is not known; use one of ", joined(kinds, ", "));
    std::vector<std::string> warnings;
    const EvaluationOptions options = options_with(batch_size, warnings);
    Embedding embedding;
    std::string left_out;
    {
      const Computing computing;
      const Turn turn(busy_, options.poll);
      const NamedSamples named = kind_->open_named(dataset, where, file_, options.on_warning);
      embedding = embed_samples(file_, *named.samples, options);
      left_out = named.left_out;
    }
    nb::dict all;
    all["files"] = list_of(embedding.files);
    all["features"] = to_array(embedding.features, Framework::numpy);
    all["left_out"] = bytes_of(left_out);
    all["unreadable"] = embedding.unreadable;
    all["warnings"] = list_of(warnings);
    return all;
  }

 private:
  static EvaluationOptions options_with(std::int64_t batch_size, std::vector<std::string>& warnings) {
    SIMCLR_CHECK(batch_size >= 1, "batch_size is ", batch_size, ", at least 1 is needed");
    EvaluationOptions options;
    options.batch_size = batch_size;
    options.on_warning = [&warnings](const std::string& message) { warnings.push_back(message); };
    options.poll = signals();
    return options;
  }

  /// What is wrong with the first sample that is not usable: nothing is skipped here.
  static std::string first_problem(const std::vector<std::string>& warnings) {
    if (warnings.empty()) return "a sample cannot be used";
    const std::string& first = warnings.front();
    const std::string skipped = " (sample skipped)";
    return first.ends_with(skipped) ? first.substr(0, first.size() - skipped.size()) : first;
  }

  /// A row for each sample: where one is left out the first warning is what is wrong.
  Tensor all_of(const data::Dataset& samples, const EvaluationOptions& options,
                const std::vector<std::string>& warnings) const {
    Embedding embedding;
    try {
      embedding = embed_samples(file_, samples, options);
    } catch (const OutOfMemory&) {
      throw;
    } catch (const RunError&) {
      throw;
    } catch (const Error&) {
      if (!warnings.empty()) fail(first_problem(warnings));
      throw;
    }
    if (embedding.unreadable > 0) fail(first_problem(warnings));
    return embedding.features;
  }

  std::unique_ptr<Kind> kind_;
  EncoderFile file_;
  mutable Busy busy_;
};

/// "sample 0", "sample 1" and so on.
std::vector<std::string> numbered(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("sample " + std::to_string(i));
  return names;
}

nb::tuple features_of_arrays(const Encoder& encoder, const nb::list& arrays, std::int64_t batch_size) {
  std::vector<Tensor> values;
  for (nb::handle array : arrays) values.push_back(as_tensor(array, "sample", {DType::u8, DType::u16, DType::f32}));
  const auto read = [&values](std::int64_t i) {
    const Tensor& value = values[static_cast<std::size_t>(i)];
    data::Sample sample;
    sample.bytes = {static_cast<const std::byte*>(value.raw_data()), value.bytes()};
    sample.shape = value.shape();
    sample.dtype = value.dtype();
    return sample;
  };
  return encoder.features(numbered(values.size()), read, batch_size);
}

nb::tuple features_of_texts(const Encoder& encoder, const std::vector<nb::bytes>& texts, std::int64_t batch_size) {
  std::vector<std::string> words;
  for (const nb::bytes& text : texts) words.push_back(text_of(text));
  const std::vector<std::string> names = numbered(words.size());
  const auto read = [&](std::int64_t i) {
    return text_sample(words[static_cast<std::size_t>(i)], names[static_cast<std::size_t>(i)]);
  };
  return encoder.features(names, read, batch_size);
}

nb::tuple features_of_files(const Encoder& encoder, const std::vector<nb::bytes>& paths, std::int64_t batch_size) {
  std::vector<std::string> names;
  for (const nb::bytes& path : paths) names.push_back(text_of(path));
  const auto read = [&encoder, &names](std::int64_t i) {
    return encoder.kind().read(names[static_cast<std::size_t>(i)], encoder.file());
  };
  return encoder.features(names, read, batch_size);
}

const Pictures* pictures_of(const Encoder& encoder) {
  return dynamic_cast<const Pictures*>(&encoder.kind().modality());
}

nb::object policy(const Encoder& encoder) {
  const Pictures* pictures = pictures_of(encoder);
  return pictures == nullptr ? nb::none() : nb::cast(pictures->policy().evaluation());
}

nb::object resnet(const Encoder& encoder) {
  const Pictures* pictures = pictures_of(encoder);
  const std::vector<NamedTensor> state = encoder.file().encoder->state();
  const bool alone =
      std::any_of(state.begin(), state.end(), [](const auto& each) { return each.name == "conv1.weight"; });
  if (pictures == nullptr || !alone) return nb::none();  // a side of pairs has its head behind it
  const nn::ResNetKind kind = pictures->kind();
  nb::dict all;
  all["name"] = kind.name;
  all["cifar_stem"] = kind.options.stem == nn::Stem::cifar;
  all["width"] = kind.options.width;
  all["channels"] = kind.options.channels;
  all["stem_padding"] = kind.options.stem_padding;
  return all;
}

nb::dict torchvision_state(const Encoder& encoder) {
  nb::dict all;
  for (const NamedTensor& tensor : nn::to_torchvision(encoder.file().encoder->state())) {
    all[tensor.name.c_str()] = to_array(tensor.value.clone(), Framework::numpy);
  }
  return all;
}

void to_onnx(const Encoder& encoder, const nb::bytes& path, const std::string& side, bool head, bool preprocess,
             bool fold, bool overwrite) {
  const OnnxFile options{.weights = encoder.file().path,
                         .out = text_of(path),
                         .side = side,
                         .head = head,
                         .preprocessing = preprocess,
                         .fold = fold,
                         .overwrite = overwrite};
  const Computing computing;
  write_onnx_file(options);
}

}  // namespace

void bind_encoder(nb::module_& m) {
  nb::class_<Encoder>(m, "Encoder", "A trained encoder; simclr.Encoder is what people use.")
      .def(nb::init<const nb::bytes&, const std::string&, const std::string&>(), nb::arg("run_or_file"),
           nb::arg("side"), nb::arg("device"))
      .def("arrays", &features_of_arrays, nb::arg("samples"), nb::arg("batch_size"),
           "(float32 [N,F], warnings) of samples in memory, each of its own shape.")
      .def("texts", &features_of_texts, nb::arg("texts"), nb::arg("batch_size"), "The same of texts in UTF-8.")
      .def("files", &features_of_files, nb::arg("paths"), nb::arg("batch_size"), "The same of files.")
      .def("embed", &Encoder::embed, nb::arg("place"), nb::arg("dataset"), nb::arg("batch_size"),
           "What the program embed makes of a folder, a list or another place.")
      .def("policy", &policy, "How pictures become views; None: it is of no pictures.")
      .def("resnet", &resnet, "Which ResNet it is; None: it is none.")
      .def("torchvision_state", &torchvision_state, "Its weights by torchvision's names, in torchvision's layout.")
      .def("to_onnx", &to_onnx, nb::arg("path"), nb::arg("side"), nb::arg("head"), nb::arg("preprocess"),
           nb::arg("fold"), nb::arg("overwrite"), "What the program export_onnx writes of the file that was read.")
      .def_prop_ro(
          "path", [](const Encoder& e) { return bytes_of(e.file().path); }, "The file that was read.")
      .def_prop_ro(
          "description", [](const Encoder& e) { return bytes_of(e.file().description); }, "One line.")
      .def_prop_ro(
          "config", [](const Encoder& e) { return e.file().config.dump(-1, ' ', true); }, "Its run's, in JSON.")
      .def_prop_ro(
          "sample", [](const Encoder& e) { return e.kind().sample(); }, "What a sample is called.")
      .def_prop_ro(
          "features", [](const Encoder& e) { return e.file().encoder->output_features(); }, "How many.");
}

}  // namespace simclr::python

#else

namespace simclr::python {

void bind_encoder(nb::module_&) {}

}  // namespace simclr::python

#endif
