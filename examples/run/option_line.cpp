#include "run/option_line.h"

#include "run/command_line.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace {

std::string type_name(const OptionRow& row) {
  switch (row.kind()) {
    case OptionKind::integer: return "INT";
    case OptionKind::real: return "FLOAT";
    case OptionKind::name: return "TEXT:{" + simclr::joined(row.names(), ",") + "}";
    default: return "TEXT";
  }
}

CLI::Option* add(CLI::App& app, const OptionRow& row) {
  if (row.kind() == OptionKind::flag) {
    const std::string opposite = row.opposite().empty() ? "" : ",!--" + row.opposite();
    return app.add_flag("--" + row.name() + opposite, row.help())->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  CLI::Option* option = app.add_option("--" + row.name(), CLI::callback_t(), row.help());
  option->type_name(type_name(row))->default_str(row.text());
  if (row.count() > 1) option->expected(1, row.count());  // words; or a single one, parted by commas
  return option;
}

/// Whether a word stands where the row has numbers.
bool no_number(const OptionRow& row, const OptionRow::Json& value) {
  if (row.kind() != OptionKind::integer && row.kind() != OptionKind::real) return false;
  const auto is_text = [](const OptionRow::Json& each) { return each.is_string(); };
  return is_text(value) || (value.is_array() && std::any_of(value.begin(), value.end(), is_text));
}

void take(const CLI::App& app, OptionTable& table, const OptionRow& row, const CLI::Option& option) {
  if (option.count() == 0) return;
  const std::vector<std::string>& words = option.results();
  if (row.kind() == OptionKind::flag && words.size() > 1) {
    simclr::fail("--", row.name(), " and --", row.opposite(), ": give one of them");
  }
  SIMCLR_CHECK(row.kind() != OptionKind::text || !words.back().empty(), "--", row.name(),
               ": is empty, as where a variable is not set; give it a value, or leave it out");
  const OptionRow::Json value = row.from_words(words);
  const std::string wrong = row.set(value);
  if (!wrong.empty()) {
    simclr::fail("--", row.name(), " ", simclr::printable(simclr::joined(words, " ")), ": ", wrong,
                 no_number(row, value) ? "; see " + command_of(app) + " --help" : "");
  }
  table.sources[row.name()] = "";
}

}  // namespace

LineOptions::LineOptions(CLI::App& app, OptionTable& table) : app_(app), table_(table) {
  for (const OptionRow& row : table.rows()) {
    if (!row.on_command_line()) continue;
    options_.emplace_back(&row, add(app, row)->group(row.group().empty() ? "Options" : row.group()));
  }
}

void LineOptions::take() {
  for (const auto& [row, option] : options_) ::take(app_, table_, *row, *option);
  table_.check_rules();
}

bool parse(CLI::App& app, OptionTable& table, int argc, char** argv) {
  LineOptions options(app, table);
  if (!parse(app, argc, argv)) return false;
  options.take();
  return true;
}
