// simclr.train: a training program's whole run in this process. simclr/_train.py prepares what it is given.
#include "common.h"

#ifdef SIMCLR_PYTHON_PROGRAMS

#include "modalities/clips.h"
#include "modalities/pairs.h"
#include "modalities/pictures.h"
#include "modalities/sounds.h"
#include "modalities/texts.h"
#include "program/run_training.h"
#include "run_host.h"
#include "train/training_rows.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace simclr::python {

std::unique_ptr<Modality> modality_of(const std::string& program) {
  if (program == "train_cifar") return std::make_unique<Pictures>();
  if (program == "train_speech") return std::make_unique<Sounds>();
  if (program == "train_text") return std::make_unique<Texts>();
  if (program == "train_video") return std::make_unique<Clips>();
  SIMCLR_CHECK(program == "train_pairs", program, ": is no training program");
  return std::make_unique<Pairs>();
}

namespace {

/// One run at a time: the programs' parts have one host.
class OnlyRun {
 public:
  OnlyRun() {
    if (under_way.exchange(true)) fail<RunError>("simclr.train: a run is under way in this process; wait for its end");
  }
  ~OnlyRun() { under_way = false; }
  OnlyRun(const OnlyRun&) = delete;
  OnlyRun& operator=(const OnlyRun&) = delete;

 private:
  static inline std::atomic<bool> under_way{false};
};

/// The run's exit code. `name` is what messages call the program. What is refused before it has begun is an Error, what
/// ends it later a RunError.
int run_within(PythonHost& host, const std::string& name, std::vector<std::string> words, Modality& modality) {
  words.insert(words.begin(), name);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  try {
    return run_training_within(host, name.c_str(), static_cast<int>(words.size()), arguments.data(), modality);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    if (host.folder().empty()) throw;
    throw RunError(error.what());
  } catch (const std::bad_alloc&) {
    fail<OutOfMemory>("out of memory: the system gave no more; close other programs, or lower batch_size");
  } catch (const std::exception& error) {
    throw RunError(error.what());
  }
}

nb::tuple train(const std::string& program, const std::vector<nb::bytes>& words, nb::handle host, nb::handle samples) {
  const OnlyRun only;
  std::vector<std::string> arguments;
  for (const nb::bytes& word : words) arguments.push_back(text_of(word));
  PythonHost told(host);
  const std::unique_ptr<Modality> modality =
      samples.is_none() ? modality_of(program) : modality_of_samples(program, samples, told);
  int code = 0;
  try {
    const Computing computing;
    code = run_within(told, samples.is_none() ? program : "simclr.fit", std::move(arguments), *modality);
  } catch (...) {
    told.raise_what_came();  // it came first
    throw;
  }
  told.raise_what_came();
  return nb::make_tuple(code, bytes_of(told.folder()));
}

/// (name, opposite, whether it is a flag) of each option on the command line.
nb::list options_of(const std::string& program) {
  const std::unique_ptr<Modality> modality = modality_of(program);
  TrainingOptions options;
  use_recipe(options, *modality, "");
  nb::list all;
  const OptionTable table = training_table(options, *modality);
  for (const OptionRow& row : table.rows()) {
    if (!row.on_command_line()) continue;
    all.append(nb::make_tuple(row.name(), row.opposite(), row.kind() == OptionKind::flag));
  }
  return all;
}

}  // namespace

void bind_train(nb::module_& m) {
  m.def("train", &train, nb::arg("program"), nb::arg("words"), nb::arg("host"), nb::arg("samples").none(),
        "(exit code, folder) of a training program's run, on its data or on samples; simclr.train and simclr.fit are\n"
        "what people use.");
  m.def("training_options", &options_of, nb::arg("program"),
        "(name, opposite, is a flag) of each of a training program's options.");
}

}  // namespace simclr::python

#else

namespace simclr::python {

void bind_train(nb::module_&) {}

}  // namespace simclr::python

#endif
