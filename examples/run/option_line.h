#pragma once

#include "run/option_table.h"

#include <CLI/CLI.hpp>

#include <utility>
#include <vector>

/// A table's rows among the options of a program or of one of its subcommands.
class LineOptions {
 public:
  LineOptions(CLI::App& app, OptionTable& table);
  /// After parsing: sets the rows' fields, and checks the table's rules. Throws simclr::Error for a value that does not
  /// fit.
  void take();

 private:
  CLI::App& app_;
  OptionTable& table_;
  std::vector<std::pair<const OptionRow*, const CLI::Option*>> options_;
};

/// Reads the command line into the table's rows, and what else the program has added to `app`. On --help or --version
/// prints and returns false. Throws simclr::Error, one line, for a command line that cannot be read, an option that is
/// given twice, a value outside its range, and where a rule of the table is broken.
bool parse(CLI::App& app, OptionTable& table, int argc, char** argv);
