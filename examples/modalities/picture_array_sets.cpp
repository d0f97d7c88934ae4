#include "modalities/picture_array_sets.h"

#include "modalities/picture_array_files.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/float_range.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_arrays.h>
#include <simclr/kernels/augment.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

using Lines = std::vector<std::string>;
using OnWarning = std::function<void(const std::string&)>;

/// Which array is what.
class Plan {
 public:
  Plan(const std::string& path, const std::vector<std::string>& names) : unused_(names) {
    for (const std::string& name : names) {
      const ArrayRole role = array_role(name);
      if (role.content.empty() || !role.sure) continue;
      const auto [before, is_new] = by_role_.emplace(role, name);
      SIMCLR_CHECK(is_new, "--data ", path, ": ", simclr::printable(before->second), " and ", simclr::printable(name),
                   " could both be the ", role.content, "; leave one of them");
    }
    for (const std::string& name : names) {
      const ArrayRole role = array_role(name);
      if (role.content.empty() || role.sure) continue;
      const auto [before, is_new] = by_role_.emplace(role, name);
      SIMCLR_CHECK(is_new || array_role(before->second).sure, "--data ", path, ": ", simclr::printable(before->second),
                   " and ", simclr::printable(name), " could both be the ", role.content, "; leave one of them");
    }
    if (names.size() == 1) by_role_ = {{ArrayRole{"", "pictures"}, names.front()}};  // whatever it is called
    const std::vector<std::string> train = parts(data::PartRole::train);
    if (!train.empty()) train_ = train.front();
    SIMCLR_CHECK(by_role_.count({train_, "pictures"}) > 0, "--data ", path, ": which of ", simclr::listed(names, 6),
                 " are the pictures? call them train_images and train_labels, or images and labels");
  }

  /// The name of an array, which counts as used from now on; empty: there is none.
  std::string take(const std::string& part, const std::string& content) {
    const auto found = by_role_.find({part, content});
    if (found == by_role_.end()) return {};
    unused_.erase(std::remove(unused_.begin(), unused_.end(), found->second), unused_.end());
    return found->second;
  }

  /// Its arrays were not used after all.
  void put_back(const std::string& part) {
    for (const char* content : {"pictures", "labels"}) {
      const auto found = by_role_.find({part, content});
      if (found == by_role_.end()) continue;
      if (std::find(unused_.begin(), unused_.end(), found->second) == unused_.end()) unused_.push_back(found->second);
    }
  }

  /// Those of this role that have pictures, the likeliest first.
  std::vector<std::string> parts(data::PartRole part_role) const {
    std::map<std::size_t, std::string> found;
    for (const auto& [role, name] : by_role_) {
      const data::PartName part = data::part_name(role.part);
      if (part.role == part_role && role.content == "pictures") found[part.place] = role.part;
    }
    std::vector<std::string> parts;
    for (const auto& [place, part] : found) parts.push_back(part);
    return parts;
  }
  const std::string& train() const { return train_; }
  const std::vector<std::string>& unused() const { return unused_; }

 private:
  std::map<ArrayRole, std::string> by_role_;
  std::string train_;
  std::vector<std::string> unused_;
};

std::string with_count(const Arrays& arrays, const std::string& name) {
  try {
    const auto shape = arrays.open(name)->header().shape;
    return simclr::printable(name) + (shape.empty() ? "" : " (" + std::to_string(shape.front()) + ")");
  } catch (const simclr::Error&) {
    return simclr::printable(name);  // it is not used anyway
  }
}

/// Whether pictures of `channels` can be looked at by views of `views` channels.
bool fit(std::int64_t channels, std::int64_t views) {
  return simclr::kernels::is_colour(views) ? simclr::kernels::is_colour(channels) : channels == views;
}

/// What a look at some of an array's pictures finds.
struct Look {
  std::int64_t side = 0, channels = 0;  // of all of its pictures; 0: of those looked at none can be read
  std::string problem = {};             // of the first that cannot be read
  Lines warnings = {};                  // of values that no picture should have
};

double greatest_of(const data::Sample& sample) {
  return simclr::kernels::dispatch_values(sample.dtype, [&](auto zero) {
    double greatest = 0;
    for (const auto value : sample.values<decltype(zero)>()) greatest = std::max(greatest, static_cast<double>(value));
    return greatest;
  });
}

/// What to do about pictures that are black, or nearly: of values 0 and 1 in bytes, say. Empty: they are not.
std::string black(double greatest, simclr::DType dtype, std::int64_t pictures) {
  const bool bytes = dtype == simclr::DType::u8, floats = dtype == simclr::DType::f32;
  const double white = bytes ? 255 : floats ? 1 : 65535;
  if (pictures == 0 || greatest > white / 128) return {};
  std::ostringstream line;
  line << "the greatest value in the " << simclr::counted(pictures, "picture") << " looked at is " << greatest
       << ", and white is " << white << ": they are "
       << (greatest == 0 ? "black; save them again, by x * 255 before they become integers"
           : bytes       ? "nearly black; save x * 255"
           : floats      ? "nearly black; save x / x.max()"
                         : "nearly black; save x * (65535 // x.max())");
  return line.str();
}

Look look_at(const data::Dataset& pictures, const std::string& name) {
  const std::int64_t count = std::min<std::int64_t>(pictures.size(), 32);
  Look look;
  data::FloatRange floats;
  std::int64_t unreadable = 0;
  double greatest = 0;
  simclr::DType dtype = simclr::DType::u8;
  for (std::int64_t k = 0; k < count; ++k) {
    try {
      const data::Sample sample = pictures.sample(k * pictures.size() / count);
      look.side = std::min(sample.shape[0], sample.shape[1]);
      look.channels = sample.shape[2];
      dtype = sample.dtype;
      greatest = std::max(greatest, greatest_of(sample));
      if (dtype == simclr::DType::f32) floats.add(sample.values<float>());
    } catch (const simclr::Error& error) {
      if (++unreadable == 1) look.problem = error.what();
    }
  }
  for (const std::string& line : {floats.warning(), black(greatest, dtype, count - unreadable)}) {
    if (!line.empty()) look.warnings.push_back(name + ": " + line);
  }
  if (unreadable > 0) {
    look.warnings.push_back(look.problem + " (" + std::to_string(unreadable) + " of the " +
                            simclr::counted(count, "picture") + " looked at cannot be read, and will be skipped)");
  }
  return look;
}

/// Opens the parts, and says in the note which are used and which are not.
class SetReader {
 public:
  SetReader(const std::string& path, bool labels) : arrays_(path), plan_(path, arrays_.names()), labels_(labels) {
    sets_.kind = "arrays";
    sets_.channels = 0;  // not known yet
  }

  PictureSets read() {
    sets_.labelled = sets_.train = open(plan_.train(), labels_);
    look_at_trained(plan_.train());
    std::string trained = plan_.take(plan_.train(), "pictures");
    const std::string train = name_of(plan_.train(), *sets_.train);
    std::string line = "train: " + train;
    take_unlabelled(trained, line);
    tell_named(trained);
    const std::vector<std::string> tests = plan_.parts(data::PartRole::test);
    std::vector<std::string> names;
    for (const std::string& test : tests) names.push_back("the part " + test);
    Look look;  // at the last that was opened
    const std::size_t taken = open_first_test_part(
        sets_, names, [&](std::size_t i) { return checked(tests[i], labels_, look); }, "the training part");
    for (std::size_t i = 0; i < tests.size(); ++i) {
      if (i != taken) plan_.put_back(tests[i]);
    }
    if (taken < tests.size()) {
      line += "; test: " + name_of(tests[taken], *sets_.test);
      warn_of(look);
    }
    if (line != "train: " + train) sets_.add_note(line);
    if (tests.empty()) keep_fifth(sets_, arrays_.path(), "call arrays of them x_test and y_test");
    std::string unused;
    for (const std::string& name : plan_.unused()) unused += (unused.empty() ? "" : ", ") + with_count(arrays_, name);
    if (!arrays_.zipped()) {
      for (const std::string& file : arrays_.npzs()) {
        unused += (unused.empty() ? "" : ", ") + simclr::printable(fs::path(file).filename().string());
      }
    }
    if (!unused.empty()) sets_.add_note("not used: " + unused);
    return std::move(sets_);
  }

 private:
  std::shared_ptr<const data::Dataset> open(const std::string& part, bool labels) {
    const std::string pictures = plan_.take(part, "pictures"), label = labels ? plan_.take(part, "labels") : "";
    return data::picture_array(arrays_.open(pictures), label.empty() ? nullptr : arrays_.open(label));
  }

  /// The array of a part's pictures, with the count of those that are used.
  std::string name_of(const std::string& part, const data::Dataset& pictures) {
    return simclr::printable(plan_.take(part, "pictures")) + " (" + std::to_string(pictures.size()) + ")";
  }

  void look_at_trained(const std::string& part) {
    const Look look = look_at(*sets_.train, place_of(part));
    if (look.channels == 0) simclr::fail(look.problem);
    sets_.channels = static_cast<int>(look.channels);
    take_trained(look);
  }

  /// Of what is trained on: its size is that of the views.
  void take_trained(const Look& look) {
    if (look.side > 0) sets_.size = static_cast<int>(std::clamp<std::int64_t>(look.side, 8, 1024));
    warn_of(look);
  }

  void warn_of(const Look& look) {
    sets_.warnings.insert(sets_.warnings.end(), look.warnings.begin(), look.warnings.end());
  }

  /// Another part, which is not taken yet, and a look at it. Throws simclr::Error where views of sets_.channels cannot
  /// be made of it.
  std::shared_ptr<const data::Dataset> checked(const std::string& part, bool labels, Look& look) {
    std::shared_ptr<const data::Dataset> pictures = open(part, labels);
    look = look_at(*pictures, place_of(part));
    SIMCLR_CHECK(look.channels == 0 || fit(look.channels, sets_.channels), "its pictures have ",
                 simclr::counted(look.channels, "channel"), ", those trained on ", sets_.channels);
    return pictures;
  }

  /// The array of a part's pictures, for messages.
  std::string place_of(const std::string& part) {
    return arrays_.path() + " (" + simclr::printable(plan_.take(part, "pictures")) + ")";
  }

  /// Trained on, where the other part has the labels for the evaluation.
  void take_unlabelled(std::string& trained, std::string& line) {
    if (sets_.labelled->classes().size() < 2) return;
    for (const std::string& part : plan_.parts(data::PartRole::unlabelled)) {
      try {
        Look look;
        sets_.train = checked(part, false, look);
        take_trained(look);
      } catch (const simclr::Error& error) {
        sets_.add_note("no training on " + simclr::printable(plan_.take(part, "pictures")) + " of " + arrays_.path() +
                       ": " + error.what());
        plan_.put_back(part);
        continue;
      }
      trained = plan_.take(part, "pictures");
      line = "train: " + name_of(part, *sets_.train) +
             "; labels for the evaluation: " + name_of(plan_.train(), *sets_.labelled);
      return;
    }
  }

  /// Where a file was named that is not trained on, though those beside it are: what it is.
  void tell_named(const std::string& trained) {
    const fs::path path = arrays_.path();
    const ArrayRole role = array_role(path.stem().string());
    const bool labels = role.content == "labels", test = data::part_role(role.part) == data::PartRole::test;
    std::error_code error;
    if (arrays_.zipped() || fs::is_directory(path, error) || path.stem() == trained || !(labels || test)) return;
    sets_.add_note(simclr::printable(path.filename().string()) +
                   (labels ? " holds labels" : " is the " + role.part + " part") + "; trained on " +
                   simclr::printable(trained) + ".npy");
  }

  const Arrays arrays_;
  Plan plan_;
  const bool labels_;
  PictureSets sets_;
};

/// The pictures of all parts, one part behind the other; each is a class, called "train_images/17".
class AllPictures final : public data::Dataset {
 public:
  AllPictures(const std::string& path, int channels, const OnWarning& on_warning) : path_(path) {
    const Arrays arrays(path, false);
    Plan plan(path, arrays.names());
    std::vector<std::string> parts = {plan.train()};
    for (const data::PartRole role : {data::PartRole::unlabelled, data::PartRole::test, data::PartRole::train}) {
      for (const std::string& part : plan.parts(role)) {
        if (part != plan.train()) parts.push_back(part);
      }
    }
    for (const std::string& part : parts) {
      const std::string name = plan.take(part, "pictures");
      parts_.push_back(data::picture_array(arrays.open(name)));
      const std::string title = simclr::printable(name);
      const Look look = look_at(*parts_.back(), path + " (" + title + ")");
      SIMCLR_CHECK(look.channels == 0 || fit(look.channels, channels), path, ": ", title, " has pictures of ",
                   simclr::counted(look.channels, "channel"), ", the encoder is for ", channels);
      for (const std::string& warning : look.warnings) on_warning(warning);
      for (std::int64_t i = 0; i < parts_.back()->size(); ++i) {
        names_.push_back(title + "/" + std::to_string(i));
      }
    }
  }

  std::int64_t size() const override { return std::ssize(names_); }
  data::Sample sample(std::int64_t i, int) const override {
    std::int64_t at = label(i);
    std::size_t part = 0;
    while (at >= parts_[part]->size()) at -= parts_[part++]->size();
    data::Sample sample = parts_[part]->sample(at);
    sample.label = label(i);
    return sample;
  }
  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "picture ", i, " of ", size());
    return static_cast<std::int32_t>(i);
  }
  const std::vector<std::string>& classes() const override { return names_; }
  std::string describe() const override { return std::to_string(size()) + " pictures in " + path_; }

 private:
  const std::string path_;
  std::vector<std::unique_ptr<data::Dataset>> parts_;
  std::vector<std::string> names_;
};

}  // namespace

std::shared_ptr<const data::Dataset> pictures_of_arrays(const std::string& path, int channels,
                                                        const OnWarning& on_warning) {
  return std::make_shared<AllPictures>(path, channels, on_warning);
}

PictureSets open_arrays(const std::string& path, bool labels) {
  return SetReader(path, labels).read();
}
