#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/picture_list.h>

#include <memory>
#include <string>

namespace simclr::data {

/// A folder of pictures, each decoded when it is asked for (see image_io.h for formats and limits): samples are u8
/// [height,width,channels] of any size with 1, 3 or 4 channels.
///
/// The pictures are those of list_pictures(). Where they lie in sub-folders of `dir`, each of these is a class, in
/// order of their names, and what lies deeper belongs to the class above; else they are an unlabelled set. With
/// `classes_at` N the first N folders of a picture's path are its class, or all where it lies less deep: with 2,
/// a/arch/1.png is of class "a/arch"; with 0 there are no classes. Pictures are ordered by class, then by path. What is
/// left out is counted in describe().
///
/// Throws Error where there is no such folder, no picture in it, or pictures both in `dir` and in its sub-folders. A
/// picture that cannot be decoded throws from sample().
SIMCLR_API std::unique_ptr<Dataset> image_folder(const std::string& dir, int classes_at = 1);

/// The same of pictures that are listed already.
SIMCLR_API std::unique_ptr<Dataset> image_folder(PictureList pictures, int classes_at = 1);

}  // namespace simclr::data
