#pragma once

#include "train/datasets.h"

#include <simclr/data/pictures/picture_list.h>

#include <string>

/// A set of ImageNet's family: its training pictures lie in folders called by WordNet's numbers, n01443537.
struct ImageNetSet {
  const char *kind, *name;  // kind: as --dataset has it
  int size;                 // the side of a view
};

/// The set that lies in `dir`, by its folders in train/ and by Tiny-ImageNet's wnids.txt, or in imagenet_place() of it;
/// null: none does.
const ImageNetSet* find_imagenet_set(const std::string& dir);

/// The folder that holds train with folders called by WordNet's numbers: `dir`, or one below it as archives leave it,
/// tiny-imagenet-200 or ILSVRC/Data/CLS-LOC, which has Annotations and ImageSets beside it; `dir` where none does.
std::string imagenet_place(const std::string& dir);

/// The same of each place that --data names.
std::string imagenet_places(const std::string& data);

/// The set of this kind; null where there is none.
const ImageNetSet* imagenet_set(const std::string& kind);

/// Gives the pictures of a part, where no folder and no list tells their classes, those that a file has:
/// Tiny-ImageNet's val_annotations.txt in the part's folder (a line is file TAB class ...), or LOC_val_solution.csv as
/// Kaggle publishes it with ImageNet (a line is name,class ...), in the folder above the part or as many as three
/// further above. Lines of pictures that are not there are counted in a warning of the part. Returns that file, which
/// no longer counts as left out of the part; empty: there is none. Throws simclr::Error for a line that is neither.
std::string annotate(simclr::data::PictureList& part);

/// Whether a part's pictures have classes: by a list, by their folders, or by a file that annotate() reads.
bool tells_classes(const simclr::data::PictureList& part);

/// Puts words behind the classes' numbers, "n01443537 goldfish": Tiny-ImageNet's words.txt in `dir` has them, or
/// Kaggle's LOC_synset_mapping.txt there or as many as three folders above (a line is number, tab or blank, names). Of
/// several places, A::B, each has its own. Where there are none, the numbers stand alone.
void add_class_words(Datasets& sets, const std::string& dir);
