#pragma once

// Private to the emulated device: fibers on Boost.Context, announced to AddressSanitizer.

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>

namespace simclr::emu {

/// A stack of its own that runs one function after the other, and can stop in the middle of one. All fibers and the
/// code that resumes them belong to one OS thread.
class Fiber {
 public:
  /// `work()` is called again and again; each call ends with the fiber paused.
  explicit Fiber(void (*work)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs until the next pause().
  void resume();
  /// Called on a fiber: goes back to whoever resumed it.
  void pause();
  /// Forgets a function that stopped in the middle; nothing on its stack is destroyed.
  void reset();

 private:
  static void enter(boost::context::detail::transfer_t transfer);

  void (*work_)();
  std::byte* memory_;
  boost::context::detail::fcontext_t context_ = nullptr, caller_ = nullptr;
  void* fake_stack_ = nullptr;         // AddressSanitizer's, of this fiber
  void* caller_fake_stack_ = nullptr;  // and of its caller
  const void* caller_bottom_ = nullptr;
  std::size_t caller_size_ = 0;
};

}  // namespace simclr::emu
