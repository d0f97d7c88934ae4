#include "run/host.h"

#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace {

std::atomic<Host*> present{nullptr};

}  // namespace

Host* Host::current() {
  return present;
}

Hosted::Hosted(Host& host) {
  present = &host;
}

Hosted::~Hosted() {
  present = nullptr;
}

void print(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  if (Host* const host = Host::current()) {
    std::va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    std::string text(static_cast<std::size_t>(length < 0 ? 0 : length) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, arguments);
    text.pop_back();
    host->print(text);
  } else {
    std::vprintf(format, arguments);
  }
  va_end(arguments);
}

void flush_printed() {
  if (Host::current() == nullptr) std::fflush(stdout);
}
