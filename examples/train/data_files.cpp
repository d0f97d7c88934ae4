#include "train/data_files.h"

#include "run/progress.h"

#include <cstdint>
#include <set>

using nlohmann::ordered_json;

namespace {

constexpr std::size_t most_named = 6;  // folders in a line

}  // namespace

std::string data_files_differ(const ordered_json& before, const ordered_json& now) {
  if (before == now) return "";
  const auto folders_of = [](const ordered_json& listing) { return listing.value("folders", ordered_json::object()); };
  const auto count_of = [](const ordered_json& folder) {
    return folder.is_array() && !folder.empty() && folder[0].is_number_integer() ? folder[0].get<std::int64_t>() : 0;
  };
  const ordered_json was = folders_of(before), is = folders_of(now);
  std::set<std::string> names;
  for (const auto* each : {&was, &is}) {
    for (const auto& [name, files] : each->items()) names.insert(name);
  }
  std::string line;
  std::size_t named = 0;
  for (const std::string& name : names) {
    const ordered_json none, &a = was.contains(name) ? was[name] : none, &b = is.contains(name) ? is[name] : none;
    if (a == b || ++named > most_named) continue;
    line += (line.empty() ? "" : ", ") + (name.empty() ? "the folder itself" : name);
    if (b.is_null()) {
      line += " is gone (" + counted(count_of(a), "file") + ")";
    } else if (a.is_null()) {
      line += " is new (" + counted(count_of(b), "file") + ")";
    } else if (count_of(a) != count_of(b)) {
      line += " " + std::to_string(count_of(a)) + " -> " + counted(count_of(b), "file");
    } else {
      line += " has other names or sizes";
    }
  }
  if (named > most_named) line += " and " + counted(static_cast<std::int64_t>(named - most_named), "folder") + " more";
  if (before.value("content", "") == now.value("content", "")) return line + "; the same files in other folders";
  return line + "; " + std::to_string(before.value("files", std::int64_t{0})) + " -> " +
         counted(now.value("files", std::int64_t{0}), "file") + " in all";
}
