#pragma once

#include "run/command_line.h"
#include "run/option_table.h"

/// The rows of options that several programs have.

OptionRow& add_device_row(OptionTable& table, std::string& device);
OptionRow& add_threads_row(OptionTable& table, int& threads);
OptionRow& add_workers_row(OptionTable& table, int& workers);
OptionRow& add_data_row(OptionTable& table, std::string& dir,
                        const std::string& what = "LIST.csv, tar shards 'DIR/{000..127}.tar', several 'A::B'");
/// --classes-at, for folders of files; `sample` is what one of them is called.
OptionRow& add_classes_at_row(OptionTable& table, int& classes_at, const std::string& sample);
OptionRow& add_seed_row(OptionTable& table, std::uint64_t& seed, const std::string& help);
/// For a program whose output is a file that the user names.
OptionRow& add_overwrite_row(OptionTable& table, bool& overwrite);
/// Percents of the labels, for a program that shows what few of them are worth.
OptionRow& add_labels_row(OptionTable& table, std::vector<double>& percents);
/// --device, --batch-size, --threads and --workers.
void add_compute_rows(OptionTable& table, ComputeOptions& options);
