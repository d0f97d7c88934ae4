#include "train/looked_at.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <string_view>

Unread look_at_some(const simclr::data::Dataset& samples, std::int64_t most,
                    const std::function<void(std::int64_t)>& use) {
  const std::int64_t count = std::min(samples.size(), most);
  Unread unread;
  for (std::int64_t k = 0; k < count; ++k) {
    try {
      use(k * samples.size() / count);
    } catch (const simclr::Error& error) {
      unread.add(error.what());
    }
  }
  return unread;
}

void Copies::add(std::span<const std::byte> bytes, std::int64_t i, const simclr::data::Dataset& samples) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto [same, is_new] = of_bytes_.emplace(std::hash<std::string_view>()(text), i);
  if (is_new || count_++ > 0 || samples.place(i).empty()) return;
  first_ = simclr::printable(samples.place(i)) + " is " + simclr::printable(samples.place(same->second));
}

void find_copies(const Copies& copies, std::int64_t read, const std::string& sample, Findings& findings) {
  if (100 * copies.count() <= read) return;
  findings.push_back({.about = "duplicates",
                      .problem = std::to_string(copies.count()) + " of " + simclr::counted(read, sample) +
                                 " occur more than once" + (copies.first().empty() ? "" : " (" + copies.first() + ")") +
                                 ", and equal " + sample + "s then count as different ones",
                      .remedy = "remove the copies"});
}
