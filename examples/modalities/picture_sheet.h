#pragma once

#include <simclr/core/file.h>

#include <string>
#include <vector>

/// Draws pictures in rows, as squares of one size, and a frame around the first, into a PNG file. Throws simclr::Error
/// where a picture cannot be read, and as AtomicFile does.
void write_contact_sheet(const std::string& path, const std::vector<std::string>& pictures, simclr::Existing existing);
