#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/picture_list.h>

#include <memory>
#include <string>

namespace simclr::data {

/// A folder of pictures, each decoded when it is asked for (decode_raster() in image_io.h has formats and limits):
/// samples are u8, u16 or f32 [height,width,channels] of any size, each of its file's type.
///
/// The pictures are those of list_pictures(). Where they lie in sub-folders of `dir`, each of these is a class, in
/// order of their names, or by value where all are whole numbers, and what lies deeper belongs to the class above; else
/// they are an unlabelled set. With `classes_at` N the first N folders of a picture's path are its class, or all where
/// it lies less deep: with 2, a/arch/1.png is of class "a/arch"; with 0 there are no classes. Pictures are ordered by
/// the name of their class, then by path. What is left out is counted in describe().
///
/// Throws Error where there is no such folder, no picture in it, or pictures both in `dir` and in its sub-folders. A
/// picture that cannot be decoded throws from sample().
SIMCLR_API std::unique_ptr<Dataset> image_folder(const std::string& dir, int classes_at = 1);

/// The same of pictures that are listed already, with labels or without (name_classes() in picture_classes.h). A
/// picture that views of `channels` channels cannot be made of (picture_channels.h) throws from sample(), too; with 0
/// those are of any.
SIMCLR_API std::unique_ptr<Dataset> image_folder(PictureList pictures, int classes_at = 1, int channels = 0);

}  // namespace simclr::data
