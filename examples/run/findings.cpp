#include "run/findings.h"

#include <simclr/core/text.h>

void find_unread(const Unread& unread, std::int64_t read, const std::string& sample, Findings& findings) {
  if (unread.count == 0) return;
  findings.push_back(
      {"unreadable " + sample + "s",
       std::to_string(unread.count) + " of " + simclr::counted(read + unread.count, sample) +
           " looked at cannot be read, and training would take others in their place; the first: " + unread.first,
       "mend them, or leave them out"});
}
