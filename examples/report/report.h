#pragma once

#include "run/report_material.h"

#include <string>

/// Writes `folder`/report.html, one page that needs no other file and no network, from the folder's config.json and
/// log.jsonl and from `material`. A log that a kill cut off is read as far as it goes. Throws simclr::Error where these
/// files cannot be read or the page cannot be written.
void write_report(const std::string& folder, const ReportMaterial& material);
