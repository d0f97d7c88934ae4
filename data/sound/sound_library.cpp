#include "sound_decoder.h"

#include <simclr/core/error.h>

#ifdef SIMCLR_HAVE_SNDFILE
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#endif

namespace simclr::data {

#ifdef SIMCLR_HAVE_SNDFILE

namespace {

/// What libsndfile reads from. Where the bytes cannot be read, they end.
struct Stream {
  const SoundBytes* bytes;
  std::int64_t at = 0;
  std::string problem = {};
};

sf_count_t size_of_stream(void* user) {
  return static_cast<Stream*>(user)->bytes->size;
}

sf_count_t seek_in_stream(sf_count_t offset, int whence, void* user) {
  auto* stream = static_cast<Stream*>(user);
  std::int64_t from = 0;
  if (whence == SEEK_CUR) from = stream->at;
  if (whence == SEEK_END) from = stream->bytes->size;
  if (offset < -from || offset > stream->bytes->size - from) return -1;
  return stream->at = from + offset;
}

sf_count_t read_from_stream(void* out, sf_count_t count, void* user) {
  auto* stream = static_cast<Stream*>(user);
  count = std::clamp<sf_count_t>(count, 0, stream->bytes->size - stream->at);
  const std::string problem =
      stream->bytes->read(stream->at, {static_cast<std::uint8_t*>(out), static_cast<std::size_t>(count)});
  if (!problem.empty()) {
    stream->problem = problem;
    return 0;
  }
  stream->at += count;
  return count;
}

sf_count_t write_to_stream(const void*, sf_count_t, void*) {
  return 0;
}

sf_count_t place_in_stream(void* user) {
  return static_cast<Stream*>(user)->at;
}

struct Close {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

class LibraryDecoder final : public SoundDecoder {
 public:
  LibraryDecoder(const SoundBytes& bytes, const std::string& kind) : stream_{.bytes = &bytes}, mp3_(kind == ".mp3") {
    SF_VIRTUAL_IO calls{.get_filelen = size_of_stream,
                        .seek = seek_in_stream,
                        .read = read_from_stream,
                        .write = write_to_stream,
                        .tell = place_in_stream};
    SF_INFO said{};
    file_.reset(sf_open_virtual(&calls, SFM_READ, &said, &stream_));
    check_read();
    // sf_strerror(nullptr) would show a text that all threads share.
    SIMCLR_CHECK(file_, bytes.name, ": damaged or unsupported ", kind.substr(1), ": ",
                 sf_error_number(sf_error(nullptr)));
    SIMCLR_CHECK(said.frames != SF_COUNT_MAX, bytes.name, ": the file is cut off: its end is missing");
    info_ = {.frames = said.frames > 0 ? said.frames : -1, .rate = said.samplerate, .channels = said.channels};
  }

  bool counts() const override { return !mp3_; }

  void seek(std::int64_t frame) override {
    if (mp3_) return skip(frame);  // libmpg123 finds its place by estimates, and begins without the frames before it
    const bool done = sf_seek(file_.get(), frame, SEEK_SET) == frame;
    check_read();
    SIMCLR_CHECK(done, stream_.bytes->name, ": sample ", frame, " is not found; a damaged copy?");
  }

  std::int64_t read(std::span<float> out) override {
    const std::int64_t count = sf_readf_float(file_.get(), out.data(), std::ssize(out) / info_.channels);
    check_read();
    check_log();
    return std::max<std::int64_t>(count, 0);
  }

 private:
  void skip(std::int64_t frames) {
    constexpr std::int64_t block = 1 << 14;
    std::vector<float> dropped(static_cast<std::size_t>(block * info_.channels));
    while (frames > 0) {
      const std::int64_t count =
          read({dropped.data(), static_cast<std::size_t>(std::min(block, frames) * info_.channels)});
      if (count == 0) return;
      frames -= count;
    }
  }

  void check_read() const {
    SIMCLR_CHECK(stream_.problem.empty(), "recording: cannot read ", stream_.bytes->name, ": ", stream_.problem);
  }

  /// A FLAC's frames that are lost leave old samples in their place, no error, and a line in the log.
  void check_log() const {
    std::array<char, 1 << 12> log{};
    const int size = sf_command(file_.get(), SFC_GET_LOG_INFO, log.data(), static_cast<int>(log.size()));
    const std::string_view text(log.data(),
                                static_cast<std::size_t>(std::clamp(size, 0, static_cast<int>(log.size()))));
    SIMCLR_CHECK(text.find("ERROR : FLAC") == std::string_view::npos, stream_.bytes->name,
                 ": damaged or cut off FLAC: some of its frames cannot be decoded");
  }

  Stream stream_;
  const bool mp3_;
  std::unique_ptr<SNDFILE, Close> file_;
};

}  // namespace

std::unique_ptr<SoundDecoder> open_by_library(const SoundBytes& bytes, const std::string& kind) {
  return std::make_unique<LibraryDecoder>(bytes, kind);
}

#else

std::unique_ptr<SoundDecoder> open_by_library(const SoundBytes& bytes, const std::string& kind) {
  fail(bytes.name, ": this build reads no ", kind == ".wav" ? "WAV of this coding" : kind,
       "; install libsndfile1-dev and build again, or convert it to WAV of 16 bits");
}

#endif

}  // namespace simclr::data
