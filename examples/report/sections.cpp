#include "report/sections.h"

#include "report/html.h"
#include "run/progress.h"
#include "run/run_folder.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <cmath>

using Json = nlohmann::ordered_json;

namespace {

std::string percent(double share) {
  return fixed(100 * share, 2) + " %";
}

std::int64_t planned_epochs(const ReportInput& in) {
  return static_cast<std::int64_t>(number_of(in.config, "epochs").value_or(0));
}

/// --method; of configurations without one SimCLR.
std::string method_of(const ReportInput& in) {
  const auto method = in.config.find("method");
  return method != in.config.end() && method->is_string() ? method->get<std::string>() : "simclr";
}

std::string labels_serve(const ReportInput& in) {
  return method_of(in) == "simclr" ? "Labels serve only here: " : "The training saw its samples' labels, too. Here ";
}

bool finished(const ReportInput& in) {
  return in.history.epochs >= planned_epochs(in);
}

std::string tile(const std::string& name, const std::string& value, const std::string& note) {
  return "<div class=\"tile\"><div class=\"name\">" + name + "</div><div class=\"value\">" + value +
         "</div><div class=\"note\">" + note + "</div></div>\n";
}

std::string accuracy_tile(const ReportInput& in, const char* kind, const char* name) {
  const auto trained = number_of(object_of(figures_of(in, "trained"), kind), "top1");
  const auto untrained = number_of(object_of(figures_of(in, "untrained"), kind), "top1");
  if (!trained) return "";
  std::string note = "of test " + in.material.sample + "s";
  if (untrained) note = "untrained " + percent(*untrained);
  return tile(name, percent(*trained), note);
}

/// How often the first part of a sample finds the second.
std::string retrieval_tile(const ReportInput& in) {
  const Json all = object_of(in.history.evaluation.value_or(Json::object()), "retrieval");
  for (const auto& [direction, figures] : all.items()) {
    const auto trained = number_of(object_of(figures, "trained"), "r1");
    const auto untrained = number_of(object_of(figures, "untrained"), "r1");
    if (!trained) continue;
    const std::string note = untrained ? "; untrained " + percent(*untrained) : "";
    return tile("R@1", percent(*trained), escape_html(direction) + note);
  }
  return "";
}

/// Says on what it was measured: that of few samples is lower.
std::string rank_tile(const ReportInput& in) {
  const RunHistory& h = in.history;
  const std::string all = in.material.features > 0 ? "of " + grouped(in.material.features) + " " : "";
  return tile("Effective rank", fixed(h.rank.back()[1], 1),
              all + "directions in use by the " + h.rank_samples + " " + in.material.sample + "s");
}

std::string loss_tile(const ReportInput& in) {
  const Curve& loss = in.history.loss;
  if (loss.empty()) return "";
  const std::size_t count = std::min<std::size_t>(loss.size(), 20);
  double sum = 0;
  for (std::size_t i = loss.size() - count; i < loss.size(); ++i) sum += loss[i][1];
  std::string note = count == 1 ? "of the last step" : "mean of the last " + std::to_string(count) + " steps";
  if (in.material.chance > 0) note += "; chance " + fixed(in.material.chance, 2);
  return tile("Loss at the end", fixed(sum / static_cast<double>(count), 3), note);
}

std::string chart(const Json& charts, const std::string& id, const std::string& heading, const std::string& reading,
                  const std::string& missing) {
  const std::string head = "<figure class=\"card\"><h3>" + heading + "</h3>\n";
  if (!charts.contains(id)) return head + sentence_html(missing) + "</figure>\n";
  return head + "<div class=\"chart\" data-chart=\"" + id + "\"></div>\n<figcaption>" + reading +
         "</figcaption></figure>\n";
}

std::string metric_row(const Json& after, const Json& before, const char* name, const char* key) {
  const auto trained = number_of(after, key), untrained = number_of(before, key);
  if (!trained) return "";
  std::string row = std::string("<tr><th scope=\"row\">") + name + "</th><td>" + fixed(100 * *trained, 2) + "</td>";
  if (!untrained) return row + "<td>\u2013</td><td>\u2013</td></tr>\n";
  const double gain = 100 * (*trained - *untrained);
  return row + "<td>" + fixed(100 * *untrained, 2) + "</td><td class=\"" + (gain >= 0 ? "gain" : "loss") + "\">" +
         (gain >= 0 ? "+" : "\u2212") + fixed(std::abs(gain), 2) + "</td></tr>\n";
}

std::string metrics_table(const ReportInput& in, const char* caption, const char* kind) {
  const Json trained = object_of(figures_of(in, "trained"), kind);
  const Json untrained = object_of(figures_of(in, "untrained"), kind);
  std::string rows;
  for (const auto& [key, name] :
       {std::pair("top1", "top-1"), std::pair("top5", "top-5"), std::pair("macro_precision", "precision"),
        std::pair("macro_recall", "recall"), std::pair("macro_f1", "F1")}) {
    rows += metric_row(trained, untrained, name, key);
  }
  if (rows.empty()) return "";
  return std::string("<table class=\"metrics\"><caption>") + caption +
         "</caption><thead><tr><th>%</th><th>trained</th><th>untrained</th><th>gain</th></tr></thead><tbody>\n" + rows +
         "</tbody></table>\n";
}

/// How often the two parts of a sample find each other.
std::string retrieval_tables(const ReportInput& in) {
  const Json all = object_of(in.history.evaluation.value_or(Json::object()), "retrieval");
  std::string html;
  for (const auto& [direction, figures] : all.items()) {
    const auto among = number_of(figures, "candidates");
    if (!among) continue;
    std::string head, rows;
    for (const char* of : {"trained", "encoder", "untrained", "raw", "chance"}) {
      if (figures.contains(of)) head += std::string("<th>") + of + "</th>";
    }
    for (const char* key : {"r1", "r5", "r10"}) {
      rows += std::string("<tr><th scope=\"row\">R@") + (key + 1) + "</th>";
      for (const char* of : {"trained", "encoder", "untrained", "raw", "chance"}) {
        if (const auto share = number_of(object_of(figures, of), key))
          rows += "<td>" + fixed(100 * *share, 2) + "</td>";
      }
      rows += "</tr>\n";
    }
    html += "<table class=\"metrics\"><caption>" + escape_html(direction) + ", among " +
            grouped(static_cast<std::int64_t>(*among)) + "</caption><thead><tr><th>%</th>" + head +
            "</tr></thead><tbody>\n" + rows + "</tbody></table>\n";
  }
  return html;
}

/// How often prompts of one side classify the other.
std::string zero_shot_table(const ReportInput& in) {
  const Json found = object_of(in.history.evaluation.value_or(Json::object()), "zero_shot");
  const auto classes = number_of(found, "classes"), samples = number_of(found, "samples");
  if (!classes || !samples) return "";
  std::string rows;
  for (const auto& [key, name] : {std::pair("top1", "accuracy"), std::pair("mean_recall", "mean over the classes")}) {
    rows += std::string("<tr><th scope=\"row\">") + name + "</th>";
    for (const char* of : {"trained", "untrained", "chance"}) {
      rows += "<td>" + fixed(100 * number_of(object_of(found, of), key).value_or(0), 2) + "</td>";
    }
    rows += "</tr>\n";
  }
  return "<table class=\"metrics\"><caption>Zero-shot, " + grouped(static_cast<std::int64_t>(*samples)) + " of " +
         grouped(static_cast<std::int64_t>(*classes)) +
         " classes</caption><thead><tr><th>%</th><th>trained</th><th>untrained</th><th>chance</th></tr></"
         "thead><tbody>\n" +
         rows + "</tbody></table>\n";
}

/// A setting as HTML; numbers with six digits, for most were f32.
std::string setting_text(const Json& value) {
  if (value.is_string()) return escape_html(value.get<std::string>());
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value.get<double>());
    return text;
  }
  if (!value.is_array()) return escape_html(value.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::string list;
  for (const Json& each : value) list += (list.empty() ? "" : ", ") + setting_text(each);
  return list;
}

/// Each setting with the names of the objects around it.
std::string setting_rows(const Json& settings, const std::string& prefix) {
  std::string rows;
  for (const auto& [key, value] : settings.items()) {
    if (value.is_object())
      rows += setting_rows(value, prefix + key + ".");
    else
      rows += "<div><dt>" + escape_html(prefix + key) + "</dt><dd>" + setting_text(value) + "</dd></div>\n";
  }
  return rows;
}

}  // namespace

bool unlabelled(const ReportInput& in) {
  return !in.material.data.empty() && in.material.classes.empty();
}

Json figures_of(const ReportInput& in, const std::string& encoder) {
  return object_of(in.history.evaluation.value_or(Json::object()), encoder);
}

std::string untested_classes(const ReportInput& in) {
  const Json recall = object_of(figures_of(in, "trained"), "linear").value("recall", Json::array());
  const auto& names = in.material.classes;
  std::vector<std::string> untested;
  if (!recall.is_array()) return "";
  for (std::size_t c = 0; c < recall.size(); ++c) {
    if (recall[c].is_null()) untested.push_back(c < names.size() ? names[c] : std::to_string(c));
  }
  if (untested.empty()) return "";
  return grouped(std::ssize(untested)) + " of " + grouped(std::ssize(recall)) +
         (untested.size() == 1 ? " classes was" : " classes were") + " not measured, for want of test " +
         in.material.sample + "s: " + escape_html(simclr::listed(untested, 5));
}

std::string no_evaluation_html(const ReportInput& in) {
  const std::string samples = in.material.sample + "s";
  if (unlabelled(in)) {
    return sentence_html(
        "The " + samples +
        " have no labels, so there is no accuracy to measure. Sub-folders named after the classes would "
        "give them some.");
  }
  if (!finished(in)) return sentence_html("The run has not come to its end, where the encoder is evaluated.");
  return sentence_html(
      "The encoder was not evaluated: that was left out (<code>--no-evaluation</code>) or stopped, or no labelled " +
      samples + " were kept for it.");
}

std::string run_title(const ReportInput& in) {
  const std::string method = method_of(in);
  std::string title = method == "supcon" ? "SupCon run" : method == "supervised" ? "Supervised run" : "SimCLR run";
  if (in.config.contains("first") && in.config.contains("second")) {  // an encoder of its own for either
    return title + " \u00b7 " + setting_text(in.config["first"]) + " and " + setting_text(in.config["second"]);
  }
  for (const char* key : {"dataset", "arch"}) {
    if (in.config.contains(key)) title += " \u00b7 " + setting_text(in.config[key]);
  }
  return title;
}

std::string header_html(const ReportInput& in, const std::string& title) {
  const RunHistory& h = in.history;
  std::string html = "<header>\n<h1>" + title + "</h1>\n";
  if (!in.material.data.empty()) html += "<p>" + escape_html(in.material.data) + "</p>\n";
  const std::int64_t planned = planned_epochs(in);
  const std::string epochs = grouped(h.epochs) + " of " + grouped(planned) + (planned == 1 ? " epoch" : " epochs");
  html += std::string("<p class=\"state ") + (finished(in) ? "done" : "open") + "\">" +
          (finished(in) ? "Finished: " : "Not finished: ") + epochs + ", " + grouped(h.steps) +
          (h.steps == 1 ? " step, " : " steps, ") + duration_text(std::max(h.seconds, in.material.seconds)) +
          " of training";
  if (!h.resumed.empty()) {
    html += h.resumed.size() == 1 ? "; resumed once" : "; resumed " + grouped(std::ssize(h.resumed)) + " times";
  }
  html += ".</p>\n";
  for (const std::string& note : in.material.notes) html += "<p class=\"note\">" + escape_html(note) + "</p>\n";
  if (h.collapsed) {
    html +=
        "<p class=\"note\">The features have collapsed: they differ in few of their dimensions, or hardly at all. "
        "Lower "
        "the learning rate, and check the temperature and the views.</p>\n";
  }
  if (h.skipped > 0) {
    html += "<p class=\"note\">" + grouped(h.skipped) + " " + in.material.sample + (h.skipped == 1 ? "" : "s") +
            " could not be read, and others were taken instead.</p>\n";
  }
  html += "<div class=\"tiles\">\n" + retrieval_tile(in) + accuracy_tile(in, "linear", "Linear probe") +
          accuracy_tile(in, "knn", "kNN") + loss_tile(in);
  if (!h.rank.empty()) html += rank_tile(in);
  if (!h.mean_throughput.empty()) {
    html += tile("Speed", grouped(std::llround(h.mean_throughput.back()[1])), "samples a second");
  }
  return html +
         "</div>\n<noscript><p class=\"note\">The charts are drawn by JavaScript, which is off; the tables and "
         "what is shown do not need it.</p></noscript>\n</header>\n";
}

std::string results_html(const ReportInput& in) {
  const char* heading = "What the encoder learned";
  const std::string tables = metrics_table(in, "kNN", "knn") + metrics_table(in, "Linear probe", "linear");
  const std::string pairs = retrieval_tables(in) + zero_shot_table(in);
  const std::string across =
      pairs.empty() ? ""
                    : "<div class=\"card\"><div class=\"tables\">\n" + pairs +
                          "</div>\n<p class=\"caption\">R@k: how often one part of a test " + in.material.sample +
                          " finds the other among its k nearest, beside candidates in a random order.</p></div>\n";
  if (tables.empty()) return section_html("results", heading, pairs.empty() ? no_evaluation_html(in) : across);
  const std::string untested = untested_classes(in);
  return section_html("results", heading,
                      across + "<div class=\"card\"><div class=\"tables\">\n" + tables +
                          "</div>\n<p class=\"caption\">" + labels_serve(in) +
                          "classifiers on the frozen features are "
                          "compared with the same on an encoder that was never trained, so the gain is what training "
                          "added. Precision, recall and F1 are means over the classes" +
                          (untested.empty() ? "" : ": " + untested) + ".</p></div>\n");
}

namespace {

/// What the loss falls from, and to.
std::string loss_caption(const ReportInput& in) {
  const std::string method = method_of(in), opening = "Lower is better: it falls from chance, where ";
  const std::string ending = " A loss that stays at chance means that nothing is learned.";
  if (method == "supervised") return opening + "all classes are as likely, towards 0." + ending;
  return opening + "views are told apart by luck, and cannot pass the bound, where all views of a " +
         (method == "supcon" ? "class" : in.material.sample) + " coincide." + ending;
}

}  // namespace

std::string curves_html(const ReportInput& in, const Json& charts) {
  const std::string sample = in.material.sample;
  std::string html = "<div class=\"cards\">\n";
  html += chart(charts, "loss", "Loss", loss_caption(in), "No step was logged.");
  html += chart(charts, "learning-rate", "Learning rate",
                "It should rise during the warm-up, if there is one, and then fall to 0 as a half cosine.",
                "No step was logged.");
  html += chart(charts, "throughput", "Speed",
                "How many " + sample +
                    "s a second, evaluations left out; it should be level. A drop means that something else used the "
                    "machine, or that the " +
                    sample + "s came too slowly.",
                "No epoch was finished.");
  html += chart(
      charts, "knn", "kNN accuracy",
      "How often the nearest training " + sample +
          "s vote for the right class. It should rise well above the "
          "untrained encoder's level, and then flatten." +
          (method_of(in) == "simclr" ? ""
                                     : " Without <code>--hold-out</code> the training saw the labels of those that "
                                       "are asked about, so that it is too high."),
      unlabelled(in) ? "The " + sample + "s have no labels, so neighbours cannot vote for a class."
                     : "kNN was not measured in this run; <code>--knn-every</code> says after how many epochs it "
                       "is.");
  if (charts.contains("retrieval")) {
    html += chart(charts, "retrieval", "R@1 and R@10",
                  "How often one part of a " + sample +
                      " finds the other, the nearest or among the ten nearest. They should rise, and then flatten; the "
                      "table above is of test " +
                      sample + "s.",
                  "");
  }
  html += chart(charts, "rank", "Effective rank",
                "How many directions the features really use. It should grow or stay; one that falls towards 1 is a "
                "collapse: all " +
                    sample + "s look alike to the encoder.",
                "It was not measured in this run; <code>--knn-every</code> says after how many epochs it is.");
  for (const auto& [id, heading, reading] :
       {std::array<std::string, 3>{"alignment", "Alignment",
                                   "Mean squared distance between the features of two views of a " + sample +
                                       ": from 0, they agree, to 4. "
                                       "Lower is better, as long as uniformity falls too."},
        std::array<std::string, 3>{
            "uniformity", "Uniformity",
            "How evenly the features cover the sphere: 0 is one point, about \u22124 an even cover. Lower is "
            "better."}}) {
    if (charts.contains(id)) html += chart(charts, id, heading, reading, "");
  }
  return section_html("curves", "How the training went", html + "</div>\n");
}

std::string settings_html(const ReportInput& in) {
  const std::string version =
      in.config.contains("version") ? " It was made by libsimclr " + setting_text(in.config["version"]) + "." : "";
  return section_html(
      "settings", "Settings, and how to repeat the run",
      "<div class=\"card\"><p>From the folder in which the run was begun:</p>\n<pre class=\"command\">" +
          escape_html(in.material.program) + " --config " + escape_html(shell_quoted(in.folder + "/config.json")) +
          " --out runs/again</pre>\n"
          "<p class=\"caption\">The same machine, build and seed give the same bits." +
          version + "</p>\n<dl class=\"settings\">\n" + setting_rows(in.config, "") +
          "</dl>\n<details><summary>config.json, to copy</summary><pre>" +
          escape_html(in.config.dump(2, ' ', false, Json::error_handler_t::replace)) + "</pre></details></div>\n");
}
