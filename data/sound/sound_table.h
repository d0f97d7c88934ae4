#pragma once

#include <simclr/core/export.h>
#include <simclr/data/sound/sound_list.h>

#include <string>

namespace simclr::data {

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
SIMCLR_API SoundList read_sound_table(const std::string& path);

}  // namespace simclr::data
