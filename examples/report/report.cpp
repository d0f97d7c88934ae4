#include "report/report.h"

#include "report/assets.h"
#include "report/charts.h"
#include "report/html.h"
#include "report/sections.h"
#include "run/progress.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>

#include <fstream>

using Json = nlohmann::ordered_json;

namespace {

/// What a run wrote down of its options.
Json config_of_run(const std::string& folder) {
  const std::string path = folder + "/config.json";
  std::ifstream file(path);
  SIMCLR_CHECK(file.good(), path, ": cannot be read; is this the folder of a run?");
  const Json config = Json::parse(file, nullptr, false);
  SIMCLR_CHECK(config.is_object(), path, ": is not a JSON object; was it changed by hand?");
  return config;
}

}  // namespace

void write_report(const std::string& folder, const ReportMaterial& material) {
  ReportInput in{folder, config_of_run(folder), {}, material};
  const auto batch = static_cast<std::int64_t>(number_of(in.config, "batch_size").value_or(0));
  in.history = read_history(read_run_log(folder + "/log.jsonl"), batch);
  Json charts = charts_json(in.history, material);
  const std::string title = run_title(in);

  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // The browser, too, is told that the page needs nothing but itself.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>" +
      title + "</title>\n<style>\n" + report_css + "</style>\n</head>\n<body>\n<main>\n";
  page += header_html(in, title);
  page += results_html(in);
  page += curves_html(in, charts);
  page += views_html(in);
  page += map_html(in);
  page += confusion_html(in);
  page += neighbours_html(in);
  page += settings_html(in);
  const Json data = {{"charts", std::move(charts)}, {"map", map_json(in)}, {"confusion", confusion_json(in)}};
  page += "</main>\n<script type=\"application/json\" id=\"data\">" + script_json(data) + "</script>\n<script>\n" +
          report_js + "</script>\n</body>\n</html>\n";
  simclr::write_file_atomically(folder + "/report.html", page);
}
