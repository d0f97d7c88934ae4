#pragma once

// Private: the readers that open_clip() chooses from.

#include "../file.h"

#include <simclr/data/npy.h>
#include <simclr/data/video/clip_io.h>

#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// By FFmpeg. Throws Error in a build without it.
std::unique_ptr<ClipReader> open_video(FileBytes bytes);

std::unique_ptr<ClipReader> open_npy_clip(std::shared_ptr<const NpyArray> array);

/// `files`: names in `folder`, in the frames' order.
std::unique_ptr<ClipReader> open_frames(const std::string& folder, std::vector<std::string> files);

/// The pictures right in a folder, but GIFs, in the frames' order.
std::vector<std::string> frame_files(const std::string& folder);

/// Orders names such that numbers in them count: "f2.jpg" before "f10.jpg".
bool numbers_before(const std::string& a, const std::string& b);

/// Throws Error for a size that is not possible, and for too many frames.
void check_clip(const ClipInfo& info, const std::string& name);

}  // namespace simclr::data
