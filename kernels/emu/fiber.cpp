#include <simclr/core/error.h>
#include <simclr/kernels/emu/fiber.h>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simclr::emu {
namespace {

namespace context = boost::context::detail;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t stack_bytes = std::size_t{256} << 10;  // instrumented frames are several times larger
#else
constexpr std::size_t stack_bytes = std::size_t{64} << 10;
#endif
constexpr std::size_t guard_page = 4096;

void start_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
                  [[maybe_unused]] std::size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#endif
}

void finish_switch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
                   [[maybe_unused]] std::size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, bottom, size);
#endif
}

}  // namespace

Fiber::Fiber(void (*work)()) : work_(work) {
  void* memory = mmap(nullptr, guard_page + stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  SIMCLR_CHECK(memory != MAP_FAILED, "emu: no memory for the stack of one more thread");
  mprotect(memory, guard_page, PROT_NONE);  // a kernel that overflows its stack faults
  memory_ = static_cast<std::byte*>(memory);
  reset();
}

Fiber::~Fiber() {
  munmap(memory_, guard_page + stack_bytes);
}

void Fiber::reset() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory_ + guard_page, stack_bytes);
#endif
  fake_stack_ = nullptr;
  context_ = context::make_fcontext(memory_ + guard_page + stack_bytes, stack_bytes, enter);
}

void Fiber::enter(context::transfer_t transfer) {
  auto& fiber = *static_cast<Fiber*>(transfer.data);
  fiber.caller_ = transfer.fctx;
  finish_switch(nullptr, &fiber.caller_bottom_, &fiber.caller_size_);
  while (true) {
    fiber.work_();
    fiber.pause();
  }
}

void Fiber::resume() {
  start_switch(&caller_fake_stack_, memory_ + guard_page, stack_bytes);
  context_ = context::jump_fcontext(context_, this).fctx;
  finish_switch(caller_fake_stack_, nullptr, nullptr);
}

void Fiber::pause() {
  start_switch(&fake_stack_, caller_bottom_, caller_size_);
  caller_ = context::jump_fcontext(caller_, nullptr).fctx;
  finish_switch(fake_stack_, &caller_bottom_, &caller_size_);
}

}  // namespace simclr::emu
