#pragma once

#include "train/datasets.h"

#include <simclr/data/path_list.h>
#include <simclr/data/video/clip_list.h>

#include <string>
#include <vector>

/// Where clips lie and how they are parted.
struct ClipSource {
  std::string kind;          // one of clip_set_kinds()
  std::string data;          // a folder, or a list; of moving pictures the folder of Fashion-MNIST
  std::string pattern = {};  // of a folder's names: data::list_clips(); empty: its folders are the labels
  std::string test = {};     // FIELD=VALUES, or FIELD=20%; empty: as open_clips() says
};

/// What --dataset takes.
const std::vector<std::string>& clip_set_kinds();

/// Whether it is a file, and so names clips.
bool is_clip_list(const std::string& data);

/// The clips there and what is known of them, which data::list_clips() or data::read_clip_table() reads. Throws
/// simclr::Error where nothing is named or there, and for a pattern beside a list.
simclr::data::ClipList list_of_clips(const std::string& data, const std::string& pattern);

/// What is trained and evaluated on: clips of a folder or of a list, or moving Fashion-MNIST (data/video/moving.h).
/// Of a folder that has one called train and one called test (part_names.h) these are the parts, and the pattern is of
/// the names within each; else what is tested on is what `test` names; else of a list with a column "split" (part, set,
/// subset) its test part; else a fifth of each label is kept. Values of a column that are of neither part are left out,
/// and named. Where clips have groups, sessions or people, a line says how many are in both parts. Throws simclr::Error
/// as list_of_clips() and data::split_clips() do, and for `test` beside such folders.
Datasets open_clips(const ClipSource& source);

/// The files that open_clips() may read, those of a folder of frames each, and a list itself: paths from `dir`. Of a
/// folder with parts all.
struct ClipFiles {
  std::string dir;
  simclr::data::PathList files;
};
ClipFiles files_of_clips(const std::string& kind, const std::string& data, const std::string& pattern);

/// The folders that hold them, A::B: of a list those of its clips; empty where none is named.
std::string folders_of_clips(const std::string& data);

/// As refuse_in_data() of each path, and for the files that a list names and their folders, but for those that the list
/// itself lies in. Throws where a list cannot be read.
void refuse_in_clips(const std::string& option, const std::vector<std::string>& paths, const std::string& data);
