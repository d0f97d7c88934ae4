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
  const FileBytes* bytes;
  std::int64_t tags = -1;  // where a FLAC's begin
  std::int64_t at = 0;
  std::string problem = {};
};

/// Where a FLAC's block of tags begins; -1: it has none.
std::int64_t tags_of(const FileBytes& bytes) {
  constexpr int most_blocks = 1000;
  std::int64_t at = 4;
  std::array<std::uint8_t, 4> head{};  // whether it is the last, 1 bit; the kind, 7; the length, 24
  for (int i = 0; i < most_blocks && at + 4 <= bytes.size && bytes.read(at, head).empty(); ++i) {
    if ((head[0] & 0x7f) == 4) return at;
    if ((head[0] & 0x80) != 0) return -1;
    at += 4 + (head[1] << 16 | head[2] << 8 | head[3]);
  }
  return -1;
}

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
  // Tags are shown as padding: libsndfile would write them into its log, which holds 2 KB, and where check_log() looks.
  if (stream->tags >= stream->at && stream->tags < stream->at + count) {
    auto& kind = static_cast<std::uint8_t*>(out)[stream->tags - stream->at];
    kind = static_cast<std::uint8_t>((kind & 0x80) | 1);
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
  LibraryDecoder(const FileBytes& bytes, const std::string& kind)
      : stream_{.bytes = &bytes, .tags = kind == ".flac" ? tags_of(bytes) : -1}, mp3_(kind == ".mp3") {
    SF_VIRTUAL_IO calls{.get_filelen = size_of_stream,
                        .seek = seek_in_stream,
                        .read = read_from_stream,
                        .write = write_to_stream,
                        .tell = place_in_stream};
    SF_INFO said{};
    file_.reset(sf_open_virtual(&calls, SFM_READ, &said, &stream_));
    check_read();
    // All threads share this number, so that another may just have set it back.
    const int error = file_ ? SF_ERR_NO_ERROR : sf_error(nullptr);
    SIMCLR_CHECK(file_, bytes.name, ": damaged or unsupported ", kind.substr(1), ": ",
                 error == SF_ERR_NO_ERROR ? "it cannot be opened" : sf_error_number(error));
    const bool counted = said.frames != SF_COUNT_MAX;  // a FLAC that was written into a pipe is not
    SIMCLR_CHECK(counted || kind == ".flac", bytes.name, ": the file is cut off: its end is missing");
    info_ = {
        .frames = counted && said.frames > 0 ? said.frames : -1, .rate = said.samplerate, .channels = said.channels};
  }

  bool counts() const override { return !mp3_; }

  /// libsndfile reads no more frames than it believes an MP3 to have, which it estimates from the first where none are
  /// counted.
  std::int64_t bytes_behind() const override {
    constexpr std::int64_t few = 4096;  // fewer may be the silence that fills the last frames
    const std::int64_t count = stream_.bytes->size - stream_.at;
    if (!mp3_ || count < few) return 0;
    std::array<std::uint8_t, 16> next{};  // of a tag, a picture or zeros, too, but they are no loss
    return stream_.bytes->read(stream_.at, next).empty() && sound_kind(next) == ".mp3" ? count : 0;
  }

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

std::unique_ptr<SoundDecoder> open_by_library(const FileBytes& bytes, const std::string& kind) {
  return std::make_unique<LibraryDecoder>(bytes, kind);
}

#else

std::unique_ptr<SoundDecoder> open_by_library(const FileBytes& bytes, const std::string& kind) {
  fail(bytes.name, ": this build reads no ", kind == ".wav" ? "WAV of this coding" : kind,
       "; install libsndfile1-dev and build again, or convert it to WAV of 16 bits");
}

#endif

}  // namespace simclr::data
