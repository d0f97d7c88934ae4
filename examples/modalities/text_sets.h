#pragma once

#include "train/datasets.h"

#include <simclr/data/text/text_list.h>

#include <memory>
#include <string>
#include <vector>

/// Data sets of texts.
struct TextSets : Datasets {
  TextSets() { sample_name = "text"; }

  std::shared_ptr<const simclr::data::TextList> texts = nullptr;  // those of `train`
};

/// What Datasets::within calls the test part that is evaluated on; those of further sets have a number behind it.
inline constexpr const char* test_part_within = "the test part";

/// What --dataset takes.
const std::vector<std::string>& text_kinds();

/// `kind`: one of text_kinds(). `places` say where the texts lie, "A::B" (split_places()). The first is what is
/// evaluated on: a file of lines, a table, a folder of tables, or a folder with published sets of sentences (movie
/// reviews, subjectivity, TREC), of which `kind` says one; the others there, and all further places, are trained on
/// without their labels. Of sets without a test part a fifth of the texts is kept, by their digests (is_test_text()).
/// No text is trained on that any of the sets is tested with, and none twice; the result's note counts them. Throws
/// simclr::Error with what is missing and how to get it.
TextSets open_texts(const std::string& kind, const std::string& places);

/// The same of texts in memory, which are of one source; `test` may be empty.
TextSets texts_in_memory(const simclr::data::TextList& texts, const simclr::data::TextList& test);

/// All files that open_texts() reads.
std::vector<std::string> text_files(const std::string& kind, const std::string& places);

/// The texts of one file, of lines, of questions or a table, by its name.
simclr::data::TextList read_text_file(const std::string& path);
