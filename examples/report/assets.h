#pragma once

/// The report's style sheet and script, from examples/report/.
extern const char* const report_css;
extern const char* const report_js;
