#pragma once

#include <string>

/// What a folder holds that is none of the data sets known by their files, and how to have that read: "holds 23
/// pictures: add --dataset folder".
std::string how_to_read(const std::string& dir);

/// The same where it holds tar shards; else empty. `option`: what a program has the place behind, "--data " or nothing.
std::string how_to_read_shards(const std::string& dir, const std::string& option);

/// The same of a file, by its ending: "for a list of pictures add --dataset list".
std::string how_to_read_file(const std::string& path);
