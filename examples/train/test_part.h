#pragma once

#include "train/datasets.h"

#include <simclr/core/world.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// What is evaluated on: a part of its own, a fifth that is kept back, or what --hold-out keeps back. None of it may
/// cost the training: what cannot be used is named, and the figures are over what there is.

/// Makes `test` the part that `sets` is tested on, its labels those of the classes of sets.labelled. Test samples of
/// other classes and without a label are left out; where none is left, sets.test stays null and sets.no_test says why.
/// Either way sets.note says which side lacks what. `train_name` and `test_name` are what the parts are called.
void take_test_part(Datasets& sets, std::shared_ptr<const simclr::data::Dataset> test, const std::string& train_name,
                    const std::string& test_name);

/// The same for a part that `open` opens; where it throws, sets.no_test and sets.note say what.
void open_test_part(Datasets& sets, const std::function<std::shared_ptr<const simclr::data::Dataset>()>& open,
                    const std::string& train_name, const std::string& test_name);

/// Tests on the first of several parts that can be tested on; `open` opens them by their place among `names`, the
/// likeliest first. Returns which it is, names.size() where none can be: then sets.no_test is of the last.
std::size_t open_first_test_part(Datasets& sets, const std::vector<std::string>& names,
                                 const std::function<std::shared_ptr<const simclr::data::Dataset>(std::size_t)>& open,
                                 const std::string& train_name);

/// Keeps a fifth of each class of sets.labelled back as sets.test, evenly spread, of sets.groups whole ones; classes of
/// one or two give none, and are named. Where there is nothing to tell apart or too little, sets.no_test says so. `dir`
/// is what holds the samples; `how` they are chosen otherwise: by folders, where it is not said.
void keep_fifth(Datasets& sets, const std::string& dir, const std::string& how = {});

/// Leaves samples without a label out of sets.labelled, where others have one; they are still trained on. What it did
/// in a line; empty: nothing. For when all else is chosen: what is held out of sets.labelled before is not trained on.
std::string learn_from_labelled(Datasets& sets);

/// --hold-out: moves `share` (0 to 1) of each class of the labelled training samples, of sets.groups whole ones, into
/// sets.held_out; of pairs without labels this share of the groups that share halves. Which ones follows from the seed
/// alone. What is in neither part then in a line; empty: nothing is. Throws simclr::Error where there are neither
/// labels nor pairs, and where nothing would be held out.
std::string hold_out(Datasets& sets, double share, std::uint64_t seed);

/// Those of `part`, sorted, that can be read; `on_warning` is told of each other one. `poll` and `on_progress` as
/// EvaluationOptions has them; `on_progress` is called where there are thousands.
std::vector<std::int64_t> readable_samples(const simclr::data::Dataset& samples, const std::vector<std::int64_t>& part,
                                           const std::function<void(const std::string&)>& on_warning,
                                           const std::function<void()>& poll = {},
                                           const std::function<void(std::int64_t, std::int64_t)>& on_progress = {});

/// All samples that can be read. The ranks of `world` look at a part each; null: this process at all.
std::shared_ptr<const simclr::data::Dataset> readable_part(std::shared_ptr<const simclr::data::Dataset> samples,
                                                           const std::function<void(const std::string&)>& on_warning,
                                                           const std::function<void()>& poll = {},
                                                           simclr::World* world = nullptr);

/// "measured on 7 of 8 test samples; the other could not be read", of `what` was done; empty where all could be.
std::string unread_text(const std::string& what, std::int64_t read, std::int64_t all, const std::string& samples);
