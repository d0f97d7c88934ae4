#pragma once

// Counts all memory that this program takes from malloc, operator new's and the tensors' among it. Include it in one
// source of a program only: it replaces malloc, or hooks into the sanitizer's.

#include <atomic>
#include <cerrno>
#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
extern "C" {  // of sanitizer/allocator_interface.h, which does not come with every GCC
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, std::size_t),
                                              void (*)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void*);
}
#else
#include <malloc.h>
#endif

namespace simclr::test::memory {

inline std::atomic<std::size_t> in_use{0}, peak{0};

inline void count_taken(std::size_t bytes) {
  const std::size_t now = in_use += bytes;
  if (now > peak) peak = now;  // the tests that look at it have one thread
}

/// The most that `call` took at once on top of what was in use before it, also where it throws.
template <class Call>
std::size_t taken_by(const Call& call) {
  const std::size_t before = in_use;
  peak = before;
  call();
  return peak - before;
}

}  // namespace simclr::test::memory

#ifdef __SANITIZE_ADDRESS__

namespace simclr::test::memory {
inline const bool hooked =
    __sanitizer_install_malloc_and_free_hooks([](const volatile void*, std::size_t bytes) { count_taken(bytes); },
                                              [](const volatile void* block) {
                                                if (block) in_use -= __sanitizer_get_allocated_size(block);
                                              }) > 0;
}  // namespace simclr::test::memory

#else

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

namespace simclr::test::memory {
inline std::size_t size_of_block(void* block) {
  return block ? malloc_usable_size(block) + sizeof(std::size_t) : 0;  // and malloc's own word
}
inline void* counted(void* block) {
  count_taken(size_of_block(block));
  return block;
}
}  // namespace simclr::test::memory

void* malloc(std::size_t bytes) {
  return simclr::test::memory::counted(__libc_malloc(bytes));
}
void* calloc(std::size_t count, std::size_t bytes) {
  return simclr::test::memory::counted(__libc_calloc(count, bytes));
}
void* realloc(void* block, std::size_t bytes) {
  const std::size_t before = simclr::test::memory::size_of_block(block);
  void* moved = __libc_realloc(block, bytes);
  if (moved || bytes == 0) simclr::test::memory::in_use -= before;
  return simclr::test::memory::counted(moved);
}
void* memalign(std::size_t align, std::size_t bytes) {
  return simclr::test::memory::counted(__libc_memalign(align, bytes));
}
void* aligned_alloc(std::size_t align, std::size_t bytes) {
  return memalign(align, bytes);
}
int posix_memalign(void** block, std::size_t align, std::size_t bytes) {
  *block = memalign(align, bytes);
  return *block ? 0 : ENOMEM;
}
void free(void* block) {
  simclr::test::memory::in_use -= simclr::test::memory::size_of_block(block);
  __libc_free(block);
}
}

#endif
