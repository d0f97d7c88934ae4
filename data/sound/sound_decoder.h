#pragma once

// Private: the decoders that sound_io.h is made of.

#include "../file.h"

#include <simclr/data/sound/sound_io.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace simclr::data {

/// Decodes a file from any frame on. Errors are opened by the file's name.
class SoundDecoder {
 public:
  virtual ~SoundDecoder() = default;

  const SoundInfo& info() const { return info_; }
  /// Whether fewer frames than info() says spoil the recording: else they are worth a warning.
  virtual bool counts() const { return true; }
  /// Where the last frame that info() says was read: bytes of further ones, which cannot be read.
  virtual std::int64_t bytes_behind() const { return 0; }
  /// Goes to a frame, which info() says to be there.
  virtual void seek(std::int64_t frame) = 0;
  /// The next frames, channels interleaved, as many as `out` has room for; fewer at the end. Returns how many.
  virtual std::int64_t read(std::span<float> out) = 0;

 protected:
  SoundInfo info_;
};

/// `bytes` outlive the decoder. Null: a WAV whose samples are coded otherwise, which is whole as far as its chunks
/// tell. Throws Error for what is no WAV, and for one that is cut off.
std::unique_ptr<SoundDecoder> open_plain_wav(const FileBytes& bytes);

/// By libsndfile. Throws Error in a build without it.
std::unique_ptr<SoundDecoder> open_by_library(const FileBytes& bytes, const std::string& kind);

}  // namespace simclr::data
