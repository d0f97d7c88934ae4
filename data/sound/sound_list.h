#pragma once

#include <simclr/core/export.h>
#include <simclr/data/field_list.h>

#include <string>

namespace simclr::data {

/// Lists the recordings of a folder and of all folders below it: files that is_sound_name() knows. Links are followed;
/// hidden folders, and links that lead back, are left out. Without `pattern` the folders right below `dir` are the
/// labels, and recordings in `dir` itself have none.
///
/// A pattern says where a file's name holds what: "{label}_{speaker}_{take}.wav" makes three fields of 3_theo_17.wav. A
/// field reaches to the first place where the text behind it goes on, the last one to the end; "{}" is passed over.
/// With folders in it, "{label}/{speaker}_nohash_{}.wav", it is compared with as many of the path's. The ending does
/// not count. A recording whose name does not fit is left out, and the first three are named.
///
/// Throws Error where there is no such folder or no recording, for recordings both in `dir` and in folders below it
/// (without a pattern), for a pattern that cannot be meant, and where no name fits it.
SIMCLR_API FieldList list_sounds(const std::string& dir, const std::string& pattern = "");

/// Reads the recordings that a table of text names (table.h), row by row. A first row that names a column of paths
/// (path, file, filename, audio, wav, recording, ...) is a header; labels are in the column label, class, category,
/// word, ..., and become the field "label"; start and end (begin, onset, stop, ...) are seconds, and make a segment of
/// the recording; each other column is a field of its name: speaker, fold, split. Without a header the first column has
/// the paths, the second the labels. Paths begin in the table's folder.
///
/// Rows that cannot be used are left out: without a path, of another number of fields, with a start or end that is no
/// time, of a file that is no recording by its name, that is missing, or that a row before names with the same segment.
/// The first three are named in `warnings`, all are counted in `left_out`. At most 10,000 files are looked for, spread
/// over the table; what else is missing is noticed when it is read. Throws Error for what is no table, where no row
/// names a recording, and where none that is looked for is there.
SIMCLR_API FieldList read_sound_table(const std::string& path);

}  // namespace simclr::data
