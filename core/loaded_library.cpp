#include <simclr/core/error.h>
#include <simclr/core/loaded_library.h>

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace simclr {
namespace {

namespace fs = std::filesystem;

/// Where the library may lie: beside the file that holds this function, or the program; `lib` is how both are installed
/// and built, `simclr` how Debian's packages have it, which keep what is only loaded out of the system's `lib`.
std::vector<fs::path> places(const char* file) {
  std::vector<fs::path> found;
  std::error_code none;
  Dl_info info{};
  const fs::path own = dladdr(reinterpret_cast<void*>(&places), &info) != 0 ? info.dli_fname : "";
  for (const fs::path& known : {fs::weakly_canonical(own, none), fs::read_symlink("/proc/self/exe", none)}) {
    const fs::path folder = known.parent_path();
    for (const fs::path& place :
         {folder / file, folder / "simclr" / file, folder / "lib" / file, folder.parent_path() / "lib" / file}) {
      if (std::find(found.begin(), found.end(), place) == found.end()) found.push_back(place);
    }
  }
  return found;
}

/// Null where it cannot be loaded; dlerror() says why.
void* opened(const LoadedLibrary& library, const fs::path& file) {
  return dlopen(file.c_str(), RTLD_NOW | (library.global ? RTLD_GLOBAL : RTLD_LOCAL));
}

const void* table_of(const LoadedLibrary& library, void* handle, const fs::path& file) {
  const auto function = reinterpret_cast<const void* (*)()>(dlsym(handle, library.symbol));
  SIMCLR_CHECK(function != nullptr, file.string(), " is not libsimclr's; remove it");
  const void* const table = function();
  const std::string version = *static_cast<const char* const*>(table);
  SIMCLR_CHECK(version == SIMCLR_LOADED_VERSION, file.string(), " is of libsimclr ", version, ", this is ",
               SIMCLR_LOADED_VERSION, "; install both anew");
  return table;
}

}  // namespace

const void* load_table(const LoadedLibrary& library) {
  std::string problem, looked;
  std::error_code none;
  for (const fs::path& place : places(library.file)) {
    if (!fs::exists(place, none)) {
      looked += place.parent_path().string() + ", ";
    } else if (void* const handle = opened(library, place)) {
      return table_of(library, handle, place);
    } else if (problem.empty()) {
      problem = dlerror();
      problem = place.string() + " is there, but cannot be loaded: " + problem;
    }
  }
  if (void* const handle = opened(library, library.file)) return table_of(library, handle, library.file);
  SIMCLR_CHECK(problem.empty(), library.need, library.file, ": ", problem, "; ", library.unloadable);
  fail(library.need, library.file, " (not in ", looked, "nor on LD_LIBRARY_PATH or where the system looks: ", dlerror(),
       "); ", library.missing);
}

}  // namespace simclr
