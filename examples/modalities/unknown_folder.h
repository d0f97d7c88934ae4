#pragma once

#include <string>

/// What a folder holds that is none of the data sets known by their files, and how to have that read: "holds 23
/// pictures: add --dataset folder".
std::string how_to_read(const std::string& dir);
