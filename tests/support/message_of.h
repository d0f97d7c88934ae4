#pragma once

#include <simclr/core/error.h>

#include <functional>
#include <string>

namespace simclr::test {

/// What the Error says that `call` throws; "no error" where it throws none.
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace simclr::test
