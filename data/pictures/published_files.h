#pragma once

// Private: what the readers of published data sets share.

#include <cstdint>
#include <string>
#include <vector>

namespace simclr::data {

/// A data set's binary version: what messages call it and where its archive unpacks to.
struct PublishedSet {
  const char* op;      // opens the messages
  const char* title;   // what a reader calls it
  const char* folder;  // the archive's
};

/// `dir` or the archive's folder in it, whichever holds `file`; empty: neither.
std::string published_folder(const std::string& dir, const PublishedSet& set, const std::string& file);

/// The same. Throws Error where neither does.
std::string find_published(const std::string& dir, const PublishedSet& set, const std::string& file);

/// The lines of a file that names `count` classes; empty where there is none. Throws Error for another number of names.
std::vector<std::string> read_class_names(const std::string& path, const PublishedSet& set, std::int32_t count);

}  // namespace simclr::data
