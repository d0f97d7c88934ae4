#pragma once

// Private: files that the ranks of a host have open in common.

#include <simclr/core/world.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {

/// An open file's number, which is closed with it; negative: none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

/// Opens on all ranks of a host the files that its local rank 0 has made, by /proc. `make` is called on local rank 0
/// where there are others, and returns its files' numbers; `use` is called on the others with the same files, in this
/// order. All ranks call it. Returns on all of them why it could not be done on one: which, and what its call threw;
/// empty: it was.
std::string open_on_host(World& world, const std::function<std::vector<int>()>& make,
                         const std::function<void(std::vector<Descriptor>)>& use);

}  // namespace simclr::data
