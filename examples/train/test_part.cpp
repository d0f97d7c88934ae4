#include "train/test_part.h"

#include "run/progress.h"
#include "train/labelled_part.h"
#include "train/shared_work.h"
#include "train/similar_names.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/text.h>
#include <simclr/data/subset.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace data = simclr::data;

namespace {

using Names = std::vector<std::string>;
using Indices = std::vector<std::int64_t>;

/// A data set whose labels are those of other classes.
class Relabelled final : public data::Dataset {
 public:
  /// `labels`: of each class of `samples` the index in `classes`, or -1.
  Relabelled(std::shared_ptr<const data::Dataset> samples, std::vector<std::int32_t> labels, Names classes)
      : samples_(std::move(samples)), labels_(std::move(labels)), classes_(std::move(classes)) {}

  std::int64_t size() const override { return samples_->size(); }
  data::Sample sample(std::int64_t i, int part) const override {
    data::Sample sample = samples_->sample(i, part);
    sample.label = label(i);
    return sample;
  }
  std::int32_t label(std::int64_t i) const override {
    const std::int32_t own = samples_->label(i);
    return own < 0 ? -1 : labels_[static_cast<std::size_t>(own)];
  }
  int parts() const override { return samples_->parts(); }
  const std::vector<std::int32_t>& groups() const override { return samples_->groups(); }
  const Names& classes() const override { return classes_; }
  std::string file(std::int64_t i) const override { return samples_->file(i); }
  std::string place(std::int64_t i) const override { return samples_->place(i); }
  std::string describe() const override { return samples_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> samples_;
  std::vector<std::int32_t> labels_;
  Names classes_;
};

constexpr std::size_t most_named = 5;

/// What the evaluation learns from; while the sets are opened, the training part where nothing else is chosen.
std::shared_ptr<const data::Dataset> labelled(const Datasets& sets) {
  return sets.labelled ? sets.labelled : sets.train;
}

/// Where each name stands first: there may be many thousands.
std::unordered_map<std::string, std::int32_t> places_of(const Names& names) {
  std::unordered_map<std::string, std::int32_t> places;
  for (std::size_t i = 0; i < names.size(); ++i) places.emplace(names[i], static_cast<std::int32_t>(i));
  return places;
}

Names missing(const Names& wanted, const Names& there) {
  const auto places = places_of(there);
  Names names;
  std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(names),
               [&](const std::string& name) { return !places.contains(name); });
  return names;
}

/// All of 0 .. size-1 that are not in `taken`, which is sorted.
Indices others(std::int64_t size, const Indices& taken) {
  Indices rest;
  for (std::int64_t i = 0; i < size; ++i) {
    if (!std::binary_search(taken.begin(), taken.end(), i)) rest.push_back(i);
  }
  return rest;
}

/// Samples that are kept to train on, and others that are held back.
struct Choice {
  Indices held, kept;
};

/// Holds back what `choose` takes by labels: of whole groups where there are some, by the label of each; without labels
/// where a group has several. What has no label in a group that is held back is in neither.
Choice chosen(const Datasets& sets, const std::vector<std::int32_t>& labels,
              const std::function<Indices(const std::vector<std::int32_t>&)>& choose) {
  if (sets.groups.empty()) {
    Indices held = choose(labels), kept = others(std::ssize(labels), held);
    return {std::move(held), std::move(kept)};
  }
  std::vector<std::int32_t> of_group(
      static_cast<std::size_t>(*std::max_element(sets.groups.begin(), sets.groups.end())) + 1, -1);
  bool mixed = false;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::int32_t& label = of_group[static_cast<std::size_t>(sets.groups[i])];
    mixed = mixed || (label >= 0 && labels[i] >= 0 && label != labels[i]);
    label = std::max(label, labels[i]);
  }
  for (std::int32_t& label : of_group) label = mixed ? std::min(label, 0) : label;
  const Indices groups = choose(of_group);
  Choice choice;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool held = std::binary_search(groups.begin(), groups.end(), std::int64_t{sets.groups[i]});
    if (!held) choice.kept.push_back(static_cast<std::int64_t>(i));
    if (held && labels[i] >= 0) choice.held.push_back(static_cast<std::int64_t>(i));
  }
  return choice;
}

/// What is said of samples that are in neither part of a Choice; empty: there are none.
std::string neither_text(const Datasets& sets, std::int64_t count) {
  if (count == 0) return {};
  return "; " + counted(count, sets.sample_name) + " without a label " + (count == 1 ? "is" : "are") +
         " left out, since others " +
         (sets.train->groups().empty() ? "of the same file"
          : count == 1                 ? "that share a half with it"
                                       : "that share a half with them") +
         " are held back";
}

/// The labelled samples become those that are kept.
void keep_labelled(Datasets& sets, const std::shared_ptr<const data::Dataset>& all, Indices kept) {
  std::vector<std::int32_t> groups;
  for (const std::int64_t i : kept) {
    if (!sets.groups.empty()) groups.push_back(sets.groups[static_cast<std::size_t>(i)]);
  }
  sets.groups = std::move(groups);
  sets.labelled = data::subset(all, std::move(kept));
}

/// --hold-out of pairs without labels: of all groups.
void hold_out_groups(Datasets& sets, double share, std::uint64_t seed) {
  const std::shared_ptr<const data::Dataset> all = sets.train;
  std::map<std::int32_t, std::int64_t> place;
  for (const std::int32_t group : all->groups()) place.emplace(group, std::ssize(place));
  const Indices taken = held_out_part(std::vector<std::int32_t>(place.size()), share, seed);
  Indices held, kept;
  for (std::int64_t i = 0; i < all->size(); ++i) {
    const std::int64_t at = place.at(all->groups()[static_cast<std::size_t>(i)]);
    (std::binary_search(taken.begin(), taken.end(), at) ? held : kept).push_back(i);
  }
  SIMCLR_CHECK(!held.empty(), "--hold-out ", share, ": all ", sets.sample_name,
               "s hang together by halves that they share, so none can be held out; leave it out");
  sets.held_out = data::subset(all, std::move(held));
  sets.train = sets.labelled = data::subset(all, std::move(kept));
  sets.groups = sets.train->groups();
}

void cannot_test(Datasets& sets, const std::string& test_name, const std::string& why) {
  sets.no_test = "nothing to test on in " + test_name + ": " + why;
  sets.add_note("no evaluation on " + test_name + ": " + why);
}

std::string no_labels(const Names& classes) {
  return classes.empty() ? " has no labels" : " has a single class";
}

/// A hint at the first class that both have, but for what names differ by that look equal; empty: there is none.
std::string other_spelling(const Names& train_classes, const Names& test_classes) {
  Names plain;
  std::transform(train_classes.begin(), train_classes.end(), std::back_inserter(plain), plain_name);
  const auto places = places_of(plain);
  for (const std::string& test : test_classes) {
    const auto found = places.find(plain_name(test));
    if (found == places.end()) continue;
    const std::string& train = train_classes[static_cast<std::size_t>(found->second)];
    return ": " + simclr::printable(test) + " is another name than " + simclr::printable(train) + "; " +
           name_difference(train, test).mend;
  }
  return "";
}

/// Which side lacks what, in one line; empty: neither lacks anything.
std::string class_differences(const Names& train_classes, const Names& test_classes, std::int64_t left_out,
                              const std::string& train_name, const std::string& test_name, const std::string& sample) {
  const Names test_lacks = missing(train_classes, test_classes), train_lacks = missing(test_classes, train_classes);
  Names parts;
  if (!test_lacks.empty()) {
    parts.push_back(test_name + " lacks " + simclr::listed(test_lacks, most_named) +
                    ": the figures are over the other " + std::to_string(train_classes.size() - test_lacks.size()) +
                    " of " + std::to_string(train_classes.size()) + " classes");
  }
  if (!train_lacks.empty()) {
    parts.push_back(train_name + " lacks " + simclr::listed(train_lacks, most_named) +
                    other_spelling(test_lacks, train_lacks));
  }
  if (left_out > 0) {
    parts.push_back(counted(left_out, sample) + " of " + test_name + " without a class of " + train_name +
                    (left_out == 1 ? " is" : " are") + " left out");
  }
  return simclr::joined(parts, "; ");
}

}  // namespace

void take_test_part(Datasets& sets, std::shared_ptr<const data::Dataset> test, const std::string& train_name,
                    const std::string& test_name) {
  const Names names = labelled(sets)->classes(), test_names = test->classes();
  const std::int64_t size = test->size();
  if (names.size() < 2) return cannot_test(sets, test_name, train_name + no_labels(names));
  if (test_names.empty()) return cannot_test(sets, test_name, "it has no labels (" + test->describe() + ")");
  if (names != test_names) {
    std::vector<std::int32_t> labels;
    const auto places = places_of(names);
    for (const std::string& name : test_names) {
      const auto found = places.find(name);
      labels.push_back(found == places.end() ? -1 : found->second);
    }
    test = std::make_shared<Relabelled>(std::move(test), std::move(labels), names);
  }
  Indices known;
  for (std::int64_t i = 0; i < size; ++i) {
    if (test->label(i) >= 0) known.push_back(i);
  }
  if (known.empty()) {
    return cannot_test(sets, test_name, "it has no class of " + train_name + other_spelling(names, test_names));
  }
  const std::int64_t left_out = size - std::ssize(known);
  sets.add_note(class_differences(names, test_names, left_out, train_name, test_name, sets.sample_name));
  sets.test = left_out > 0 ? data::subset(std::move(test), std::move(known)) : std::move(test);
}

void open_test_part(Datasets& sets, const std::function<std::shared_ptr<const data::Dataset>()>& open,
                    const std::string& train_name, const std::string& test_name) {
  std::shared_ptr<const data::Dataset> test;
  try {
    test = open();
  } catch (const simclr::Error& error) {
    return cannot_test(sets, test_name, "it cannot be read (" + std::string(error.what()) + ")");
  }
  take_test_part(sets, std::move(test), train_name, test_name);
}

std::size_t open_first_test_part(Datasets& sets, const Names& names,
                                 const std::function<std::shared_ptr<const data::Dataset>(std::size_t)>& open,
                                 const std::string& train_name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    open_test_part(
        sets, [&] { return open(i); }, train_name, names[i]);
    if (!sets.test) continue;
    sets.no_test.clear();
    return i;
  }
  return names.size();
}

void keep_fifth(Datasets& sets, const std::string& dir, const std::string& how) {
  const std::shared_ptr<const data::Dataset> all = labelled(sets);
  const Names& names = all->classes();
  if (names.size() < 2) {
    sets.no_test = names.empty() ? "no labels" : "a single class";
    return;
  }
  const std::vector<std::int32_t> labels = labels_of(*all);
  auto [held, kept] = chosen(sets, labels, every_fifth);
  if (held.size() < 2) {
    sets.no_test = "too few " + sets.sample_name + "s to hold some out";
    sets.add_note("all " + sets.sample_name +
                  "s are trained on: the classes have too few to keep some back for an evaluation");
    return;
  }
  std::vector<bool> measured(names.size());
  for (const std::int64_t i : held) measured[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])] = true;
  Names unmeasured;
  for (std::size_t c = 0; c < names.size(); ++c) {
    if (!measured[c]) unmeasured.push_back(names[c]);
  }
  sets.add_note((sets.groups.empty() ? "every fifth " + sets.sample_name + " is kept for the evaluation, class by class"
                                     : "every fifth file is kept for the evaluation, all segments of a file together") +
                " (to choose them, " + (how.empty() ? "make the folders train and test in " + dir : how) + ")" +
                (unmeasured.empty() ? ""
                                    : "; not measured, for want of " + sets.sample_name +
                                          "s to keep: " + simclr::listed(unmeasured, most_named)) +
                neither_text(sets, all->size() - std::ssize(held) - std::ssize(kept)));
  sets.whole = all;
  keep_labelled(sets, all, std::move(kept));
  if (sets.train == all) sets.train = sets.labelled;
  sets.test = data::subset(all, std::move(held));
}

std::string learn_from_labelled(Datasets& sets) {
  const std::shared_ptr<const data::Dataset> all = sets.labelled;
  Indices known;
  for (std::int64_t i = 0; i < all->size(); ++i) {
    if (all->label(i) >= 0) known.push_back(i);
  }
  const std::int64_t unknown = all->size() - std::ssize(known);
  if (unknown == 0 || known.empty()) return {};
  keep_labelled(sets, all, std::move(known));
  return counted(unknown, sets.sample_name) + (unknown == 1 ? " has" : " have") +
         " no label, and the evaluation does not learn from " + (unknown == 1 ? "it" : "them");
}

std::string hold_out(Datasets& sets, double share, std::uint64_t seed) {
  if (sets.labelled->classes().size() < 2 && !sets.train->groups().empty()) {
    hold_out_groups(sets, share, seed);
    return {};
  }
  const std::shared_ptr<const data::Dataset> all = sets.labelled;
  SIMCLR_CHECK(all->classes().size() >= 2, "--hold-out ", share,
               ": the best checkpoint is chosen by labels, and there are ",
               all->classes().empty() ? "none" : "those of a single class", "; leave it out");
  const auto choose = [&](const std::vector<std::int32_t>& labels) { return held_out_part(labels, share, seed); };
  auto [held, kept] = chosen(sets, labels_of(*all), choose);
  SIMCLR_CHECK(!held.empty(), "--hold-out ", share,
               ": of so few " + sets.sample_name + "s it is none; give a larger share, or leave it out");
  const std::string neither = neither_text(sets, all->size() - std::ssize(held) - std::ssize(kept));
  const bool apart = sets.labelled != sets.train;
  sets.held_out = data::subset(all, std::move(held));
  keep_labelled(sets, all, std::move(kept));
  if (!apart) sets.train = sets.labelled;
  return neither.empty() ? "" : "--hold-out:" + neither.substr(1);
}

Indices readable_samples(const data::Dataset& samples, const Indices& part,
                         const std::function<void(const std::string&)>& on_warning, const std::function<void()>& poll,
                         const std::function<void(std::int64_t, std::int64_t)>& on_progress) {
  constexpr std::int64_t at_once = 1024;
  const std::int64_t all = std::ssize(part);
  Indices readable;
  for (std::int64_t first = 0; first < all; first += at_once) {
    const std::int64_t count = std::min(at_once, all - first);
    const std::int64_t* of = part.data() + first;
    std::vector<std::string> problems(static_cast<std::size_t>(count));
    simclr::parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        if (poll) poll();
        try {
          for (int p = 0; p < samples.parts(); ++p) samples.sample(of[i], p);
        } catch (const simclr::Error& error) {
          problems[static_cast<std::size_t>(i)] = error.what();
        }
      }
    });
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string& problem = problems[static_cast<std::size_t>(i)];
      if (problem.empty()) {
        readable.push_back(of[i]);
      } else if (on_warning) {
        on_warning(problem + " (sample skipped)");
      }
    }
    if (on_progress && all > at_once) on_progress(first + count, all);
  }
  return readable;
}

std::shared_ptr<const data::Dataset> readable_part(std::shared_ptr<const data::Dataset> samples,
                                                   const std::function<void(const std::string&)>& on_warning,
                                                   const std::function<void()>& poll, simclr::World* world) {
  const Part part = part_of(world, samples->size());
  Indices own(static_cast<std::size_t>(part.count)), readable;
  std::iota(own.begin(), own.end(), part.begin);
  together(world, [&] { readable = readable_samples(*samples, own, on_warning, poll); });
  readable = gather_values(world, std::move(readable));
  return std::ssize(readable) == samples->size() ? samples : data::subset(std::move(samples), std::move(readable));
}

std::string unread_text(const std::string& what, std::int64_t read, std::int64_t all, const std::string& samples) {
  if (read == all) return {};
  return what + " " + std::to_string(read) + " of " + counted(all, samples) + "; the " +
         (all - read == 1 ? "other" : "others") + " could not be read";
}
