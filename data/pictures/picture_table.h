#pragma once

#include <simclr/core/export.h>
#include <simclr/data/pictures/picture_list.h>

#include <cstdint>
#include <string>
#include <vector>

namespace simclr::data {

/// The pictures that a table of text names (table.h), row by row.
struct PictureTable {
  PictureList pictures;  // labelled; paths from the table's folder, or absolute
  // What a column of parts says, each text once, as it is first written: case does not count. Empty: there is none.
  std::vector<std::string> parts;
  std::vector<std::string> parts_without_rows;  // the same of parts all of whose rows are left out
  std::vector<std::uint32_t> part_of;           // of each picture, one of these
  std::string columns;                          // which column was taken for what or nothing, and odd labels, in lines
};

/// Reads one. A first row that names a column of paths (path, file, filename, image, image_path, ...) is a header:
/// labels are in the column label, class, category, target, species, ..., parts in split, part, set, subset, ..., in
/// upper or lower case, with "_" or without. One that names a column of labels alone is, too: then the first column
/// with a picture's name in it has the paths, as it has where none is called so, or where what that one says in the
/// second row is no file's name. One of unknown names is a header, too,
/// if the second row names a picture and it does not: of two columns the other has the labels then. Without a header
/// the first column that names a picture has the paths, the next one the labels.
///
/// A label is any text; where the field is empty, NaN in any case, "<NA>", "#N/A" or -1 there is none, but for -1 where
/// 1 is the only other label. The classes are the different texts, by value where all are whole numbers (which pandas
/// may write as "3.0"), else by name. Pictures are in the order of the rows.
///
/// Rows that cannot be used are left out: without a path, of another number of fields, of a folder, of a file that is
/// no picture or that a row before names, of a file that is missing. The first are named in `warnings`, all are
/// counted; the first row that is no UTF-8 is named, too. At most 10,000 files are looked for, spread over the table;
/// what else is missing is noticed when it is read. A path of Windows, with "\", is taken with "/" where that is a
/// file. Throws Error for what is no table, where no row names a picture, and where none that is looked for is there.
SIMCLR_API PictureTable read_picture_table(const std::string& path);

}  // namespace simclr::data
