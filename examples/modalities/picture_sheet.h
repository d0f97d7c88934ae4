#pragma once

#include <simclr/core/file.h>

#include <simclr/data/pictures/image_io.h>

#include <functional>
#include <string>

/// Draws `count` pictures in rows, as squares of one size, and a frame around the first, into a PNG file. Throws
/// simclr::Error where `read` does, and as AtomicFile does.
void write_contact_sheet(const std::string& path, int count, const std::function<simclr::data::Raster(int)>& read,
                         simclr::Existing existing);
