#include <simclr/core/text.h>
#include <simclr/data/path_list.h>
#include <simclr/data/sound/sound_io.h>

#include <algorithm>
#include <string_view>

namespace simclr::data {
namespace {

#ifdef SIMCLR_HAVE_SNDFILE
constexpr bool has_library = true;
#else
constexpr bool has_library = false;
#endif

struct Kind {
  const char* name;
  std::vector<std::string_view> endings;  // the first is sound_kind()'s
  bool is_read;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {{"WAV", {".wav", ".wave"}, true},
                                        {"FLAC", {".flac"}, has_library},
                                        {"OGG", {".ogg", ".oga", ".opus"}, has_library},
                                        {"MP3", {".mp3"}, has_library}};
  return all;
}

const Kind* find_kind_of_sound(std::string_view ending) {
  for (const Kind& kind : kinds()) {
    if (std::find(kind.endings.begin(), kind.endings.end(), ending) != kind.endings.end()) return &kind;
  }
  return nullptr;
}

/// Whether an MPEG frame of layer III begins here.
bool is_mp3_frame(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  return text.size() >= 3 && byte(0) == 0xff && (byte(1) & 0xe0) == 0xe0 && (byte(1) >> 3 & 3) != 1 &&
         (byte(1) >> 1 & 3) == 1 && byte(2) >> 4 != 15 && (byte(2) >> 2 & 3) != 3;
}

}  // namespace

std::string read_sound_kinds() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) {
    if (kind.is_read) names.emplace_back(kind.name);
  }
  return one_of(names);
}

std::string missing_sound_package(const std::string& ending) {
  const Kind* kind = find_kind_of_sound(ending);
  return kind && !kind->is_read ? "libsndfile1-dev" : "";
}

bool is_sound_name(const std::string& path) {
  const Kind* kind = find_kind_of_sound(ending_of(path));
  return kind && kind->is_read;
}

std::string sound_kind(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = [&](std::size_t i, std::string_view what) {
    return text.substr(std::min(i, text.size())).starts_with(what);
  };
  if ((at(0, "RIFF") || at(0, "RF64")) && at(8, "WAVE")) return ".wav";
  if (at(0, "fLaC")) return ".flac";
  if (at(0, "OggS")) return ".ogg";
  if (at(0, "ID3") || is_mp3_frame(text)) return ".mp3";
  if (at(4, "ftyp")) return ".m4a";
  if (at(0, "FORM") && at(8, "AIF")) return ".aiff";
  if (at(0, ".snd")) return ".au";
  if (at(0, "\x30\x26\xb2\x75")) return ".wma";
  if (at(0, "#!AMR")) return ".amr";
  return at(0, "caff") ? ".caf" : "";
}

}  // namespace simclr::data
