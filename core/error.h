#pragma once

#include <simclr/core/export.h>

#include <sstream>
#include <stdexcept>
#include <string>

namespace simclr {

/// What libsimclr throws. `what()` is one line: where, what was wrong, what to do.
class SIMCLR_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// A device has no memory left for what was asked: less may fit.
class SIMCLR_API OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// Throws E with its arguments streamed into one message.
template <class E = Error, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw E(message.str());
}

}  // namespace simclr

/// Throws Error when `condition` is false; the message is built only then.
#define SIMCLR_CHECK(condition, ...) \
  do {                               \
    if (!(condition)) [[unlikely]]   \
      ::simclr::fail(__VA_ARGS__);   \
  } while (false)
