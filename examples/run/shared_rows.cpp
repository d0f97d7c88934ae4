#include "run/shared_rows.h"

OptionRow& add_device_row(OptionTable& table, std::string& device) {
  return table.add("device", device, "auto (a GPU where there is one), cpu, cuda or cuda:N").may_change();
}

OptionRow& add_threads_row(OptionTable& table, int& threads) {
  return table.add("threads", threads, "Compute threads; 0: one a processor").between(0, 1024).may_change();
}

OptionRow& add_workers_row(OptionTable& table, int& workers) {
  return table
      .add("workers", workers,
           "Threads that read samples and make views ahead of the step; 0: done between steps. -1: 0 on a CPU, as many "
           "as --threads on a GPU")
      .between(0, 1024)
      .or_else(-1, "0 on a CPU, as many as --threads on a GPU")
      .may_change();
}

OptionRow& add_data_row(OptionTable& table, std::string& dir, const std::string& what) {
  return table
      .add("data", dir,
           "Where the data set lies, or what it is: " + what + ". Unset: data-cache, where scripts/download puts it")
      .may_change();
}

OptionRow& add_classes_at_row(OptionTable& table, int& classes_at, const std::string& sample) {
  return table
      .add("classes-at", classes_at,
           "Of a folder: how many folders of a " + sample + "'s path name its class; 0: no classes")
      .at_least(0);
}

OptionRow& add_seed_row(OptionTable& table, std::uint64_t& seed, const std::string& help) {
  return table.add("seed", seed, help).any_number();
}

OptionRow& add_overwrite_row(OptionTable& table, bool& overwrite) {
  return table.flag("overwrite", "", overwrite, "Replace what is there under the name of the output")
      .command_line_only();
}

OptionRow& add_labels_row(OptionTable& table, std::vector<double>& percents) {
  return table.add("labels", percents, "Percents of each class's labels, parted by commas")
      .above(0, "they are percents of each class's labels")
      .at_most(100);
}

void add_compute_rows(OptionTable& table, ComputeOptions& options) {
  table.group("Computing");
  add_device_row(table, options.device);
  table.add("batch-size", options.batch_size, "Samples that are computed together, at most: fewer where they are large")
      .between(1, 65536);
  add_threads_row(table, options.threads);
  add_workers_row(table, options.workers);
}
