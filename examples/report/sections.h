#pragma once

#include "report/charts.h"
#include "report/report.h"

#include <string>

/// All that a report is made of.
struct ReportInput {
  std::string folder;  // of the run
  nlohmann::ordered_json config;
  RunHistory history;
  const ReportMaterial& material;
};

/// Whether the samples are known to have no labels.
bool unlabelled(const ReportInput& in);
/// The evaluation's figures of the "trained" or the "untrained" encoder; empty where there are none.
nlohmann::ordered_json figures_of(const ReportInput& in, const std::string& encoder);
/// "2 of 5 classes were not measured, for want of test clips: a, b", as HTML; empty where all were.
std::string untested_classes(const ReportInput& in);
/// One sentence: why there is no evaluation.
std::string no_evaluation_html(const ReportInput& in);

/// The parts of the page, in its order. A part that has nothing to show says why.
std::string run_title(const ReportInput& in);  // HTML, as all of them
std::string header_html(const ReportInput& in, const std::string& title);
std::string results_html(const ReportInput& in);
std::string curves_html(const ReportInput& in, const nlohmann::ordered_json& charts);
std::string views_html(const ReportInput& in);
std::string map_html(const ReportInput& in);
std::string confusion_html(const ReportInput& in);
std::string neighbours_html(const ReportInput& in);
std::string settings_html(const ReportInput& in);

/// What report.js draws besides charts; null where there is nothing.
nlohmann::ordered_json map_json(const ReportInput& in);
nlohmann::ordered_json confusion_json(const ReportInput& in);
