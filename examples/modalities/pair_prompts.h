#pragma once

#include "modalities/pair_half.h"
#include "modalities/pair_retrieval.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// Halves of one side that stand for classes: the name "une grenouille" for frogs, or a drawing of one.
struct PairPrompts {
  int side = 0;
  HalfFiles files = {};                   // empty: there are none
  std::vector<std::int32_t> labels = {};  // of each the class in the list's
};

/// Reads a table with a column called label, class or category, and one that is called as a side's in `list`, whose
/// values are of kinds[side]; quotes of a .tsv are as data::read_text_table() has them. Rows of a class that the list
/// does not have, without a value, with one that is no such half, or with a file that is not there are left out: the
/// first is a warning in `notes`, all are counted there. Throws simclr::Error for what is no such table, where no
/// prompt is left, and where the list has no classes.
PairPrompts read_prompts(const std::string& path, const simclr::data::PairList& list,
                         const std::array<std::shared_ptr<const PairHalf>, 2>& kinds, Datasets& notes);

/// A note of how many test halves are of a class without a prompt; empty: none. Throws simclr::Error where the prompts
/// are of one class, and where nothing that is asked for is of a class with a prompt.
std::string check_asked(const PairPrompts& prompts, const PairGallery& gallery);

/// The cosines of samples [N,D] with the mean of the directions of each class's prompts, [N,classes]; `classes` holds
/// their labels, in ascending order. -2 where the prompts of a class cancel out: they tell no direction, so that no
/// sample is of it.
simclr::Tensor prompt_scores(const simclr::nn::Features& prompts, const std::vector<std::int32_t>& classes,
                             const simclr::Tensor& samples);

/// Zero-shot classification: each half of the other side that is asked for, and has a label, is of the class whose
/// prompts' mean is nearest to it, by cosine. Prompts that cannot be read are left out and counted; a class without
/// others takes no part, nor do its samples, and is named. Throws simclr::Error where fewer than two classes are left.
/// Without prompts nothing.
OwnEvaluation measure_prompts(const PairPrompts& prompts, const std::shared_ptr<const PairHalf>& kind,
                              const PairGallery& gallery, simclr::nn::Model& trained, simclr::nn::Model& untrained,
                              const EvaluationOptions& options);
