#pragma once

/// libsndfile forgets what libvorbis took where an OGG's header is damaged. The leak checker asks for this function.
extern "C" [[gnu::used]] inline const char* __lsan_default_suppressions() {
  return "leak:libvorbis\n";
}
