#pragma once

#include <simclr/core/export.h>
#include <simclr/data/dataset.h>
#include <simclr/data/field_list.h>

#include <cstdint>
#include <memory>
#include <string>

namespace simclr::data {

/// Lists the clips of a folder and of all folders below it: files that is_clip_name() knows, in a build that reads
/// videos GIFs, and folders with other pictures right in them, but no such files, which are one clip each; those
/// inside another such folder, too, and a warning counts them. Links are followed; hidden folders, and links that lead
/// back, are left out.
///
/// Without `pattern` the folders right below `dir` are the labels; clips in `dir` itself have none.
///
/// A pattern says where a clip's name holds what: "v_{label}_g{group}_c{}.avi" makes the fields label and group; a
/// field reaches to the first place where the text behind it goes on, the last one to the end; "{}" is passed over.
/// With folders in it it is compared with as many of the path's. The ending does not count. A clip whose name does not
/// fit is left out, and the first three are named.
///
/// Throws Error where there is no such folder or no clip, for clips both in `dir` and in folders below it (without a
/// pattern), for a pattern that cannot be meant, and where no name fits it.
SIMCLR_API FieldList list_clips(const std::string& dir, const std::string& pattern = "");

/// Reads the clips that a table of text names (table.h), row by row: a first row that names a column of paths (path,
/// file, video, clip, folder, ...) is a header; labels are in the column label, class, category, ..., and become the
/// field "label"; each other column is a field of its name: session, group, split. Without a header the first column
/// has the paths, the second the labels. Paths begin in the table's folder, and name files or folders of frames.
///
/// Rows that cannot be used are left out, the first three are named in `warnings` and all counted in `left_out`.
/// Throws Error for what is no table, where no row names a clip, and where none of 10,000 that are looked for is there.
SIMCLR_API FieldList read_clip_table(const std::string& path);

/// Clips as a data set. Sample i is all frames [T,height,width,channels], u8, u16 or f32, decoded when it is asked for
/// (decoded_cache.h keeps them), or, of a clip whose frames have more than `most_bytes`, its path: u8 [bytes of the
/// path]; such a clip is opened by the first call only. Views of either are the same (clip_views.h). Its label is that
/// of the list's field "label". Throws Error for a list without clips. A clip that cannot be read throws from sample().
SIMCLR_API std::unique_ptr<Dataset> clip_folder(FieldList list, std::int64_t most_bytes = std::int64_t{1} << 26);

}  // namespace simclr::data
