#pragma once

// Private to core: libraries of the project that are loaded where they are asked for, so that neither the library nor a
// program that links it needs what they need.

namespace simclr {

struct LoadedLibrary {
  const char* file;    // its name: libsimclr_mpi.so
  const char* symbol;  // of its one function, which gives its table
  bool global;         // whether plugins of what it needs want to see its symbols
  // Of messages: the beginning, and what to do where it is there but cannot be loaded, and where it is not there.
  const char *need, *unloadable, *missing;
};

/// The table of `library`, whose first member is the version of the project, which must be this library's own. Looked
/// for beside the library and the program, in `lib` beside their folders, then where the system looks. Throws Error
/// where it cannot be had.
const void* load_table(const LoadedLibrary& library);

/// The table as the struct that it is.
template <class Functions>
const Functions& load_functions(const LoadedLibrary& library) {
  return *static_cast<const Functions*>(load_table(library));
}

}  // namespace simclr
