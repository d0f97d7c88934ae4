#pragma once

#include <simclr/data/dataset.h>

#include <memory>
#include <string>

namespace simclr::data {

/// A folder of pictures, each decoded when it is asked for (see image_io.h for formats and limits): samples are u8
/// [height,width,channels] of any size with 1, 3 or 4 channels.
///
/// Where sub-folders of `dir` hold pictures, each of these is a class, in order of their names; else the pictures in
/// `dir` itself are an unlabelled set. Files count as pictures by name, .jpg, .jpeg and .png in any case, and are
/// decoded by content. Ignored, and counted in describe(): other files, names that start with a dot, sub-folders
/// without pictures, whatever lies deeper, and links back to `dir` or a folder above it. Pictures are ordered by class,
/// then name.
///
/// Throws Error where there is no such folder, no picture in it, or pictures both in `dir` and in its sub-folders. A
/// picture that cannot be decoded throws from sample().
SIMCLR_API std::unique_ptr<Dataset> image_folder(const std::string& dir);

}  // namespace simclr::data
