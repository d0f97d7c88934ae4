// The report's parts that show samples, features and classes.
#include "report/html.h"
#include "report/sections.h"
#include "run/progress.h"

#include <algorithm>
#include <cmath>

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t most_drawn_classes = 200;  // of a confusion matrix
constexpr std::size_t most_confusions = 8;

std::string class_name(const ReportInput& in, std::int32_t label) {
  const auto& classes = in.material.classes;
  return label >= 0 && static_cast<std::size_t>(label) < classes.size() ? classes[static_cast<std::size_t>(label)] : "";
}

std::string figure(const std::string& shown, const std::string& caption, const char* kind = "") {
  return std::string("<figure class=\"shown ") + kind + "\">" + shown + "<figcaption>" + caption +
         "</figcaption></figure>\n";
}

/// "view 2"; of several towers "part 2", or "part 2, view 1" where a tower has more than one.
std::string view_name(const ReportMaterial::Viewed& viewed, std::size_t tower, std::size_t view) {
  const std::string name = "view " + std::to_string(view + 1);
  if (viewed.towers.size() == 1) return name;
  return "part " + std::to_string(tower + 1) + (viewed.towers[tower].size() > 1 ? ", " + name : "");
}

std::string not_gathered(const ReportInput& in) {
  return sentence_html("The run ended before these " + in.material.sample + "s could be gathered.");
}

/// The linear probe's.
struct Confusion {
  std::vector<std::string> names;    // of the classes; numbers where the names are not known
  std::vector<std::int64_t> counts;  // row by row; empty where there are none
};

Confusion confusion_of(const ReportInput& in) {
  const Json counts = object_of(figures_of(in, "trained"), "linear").value("confusion", Json::array());
  const auto n = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(counts.size()))));
  Confusion confusion;
  if (!counts.is_array() || n == 0 || counts.size() != n * n) return confusion;
  for (const Json& count : counts) confusion.counts.push_back(count.is_number() ? count.get<std::int64_t>() : 0);
  if (in.material.classes.size() == n)
    confusion.names = in.material.classes;
  else
    for (std::size_t c = 0; c < n; ++c) confusion.names.push_back(std::to_string(c));
  return confusion;
}

std::string commonest_confusions(const ReportInput& in, const Confusion& confusion) {
  const auto& names = confusion.names;
  const auto& matrix = confusion.counts;
  const std::size_t n = names.size();
  std::vector<std::size_t> wrong;
  for (std::size_t i = 0; i < matrix.size(); ++i) {
    if (i / n != i % n && matrix[i] > 0) wrong.push_back(i);
  }
  if (wrong.empty()) {
    const std::string untested = untested_classes(in);
    return "<p>Not one test " + in.material.sample + " was taken for another class" +
           (untested.empty() ? "" : "; " + untested) + ".</p>\n";
  }
  const std::size_t count = std::min(wrong.size(), most_confusions);
  std::partial_sort(wrong.begin(), wrong.begin() + static_cast<std::ptrdiff_t>(count), wrong.end(),
                    [&](std::size_t a, std::size_t b) { return std::pair(-matrix[a], a) < std::pair(-matrix[b], b); });
  std::string html = "<p>Most often confused:</p>\n<ol class=\"confusions\">\n";
  for (std::size_t k = 0; k < count; ++k) {
    html += "<li>" + escape_html(names[wrong[k] / n]) + " taken for " + escape_html(names[wrong[k] % n]) + ": " +
            grouped(matrix[wrong[k]]) + "</li>\n";
  }
  return html + "</ol>\n";
}

}  // namespace

std::string views_html(const ReportInput& in) {
  const char* heading = "What the encoder saw";
  if (in.material.viewed.empty()) return section_html("views", heading, not_gathered(in));
  std::string html = "<div class=\"card\"><div class=\"views\">\n";
  for (const auto& viewed : in.material.viewed) {
    const std::string name = class_name(in, viewed.original.label);
    html += "<div class=\"triple\">" +
            figure(shown_html(viewed.original.shown, name), name.empty() ? in.material.sample : escape_html(name));
    for (std::size_t t = 0; t < viewed.towers.size(); ++t) {
      for (std::size_t v = 0; v < viewed.towers[t].size(); ++v) {
        const std::string which = view_name(viewed, t, v);
        html += figure(shown_html(viewed.towers[t][v], which), which);
      }
    }
    html += "</div>\n";
  }
  const bool parts = in.material.viewed.front().towers.size() > 1;
  return section_html("views", heading,
                      html + "</div>\n<p class=\"caption\">Each " + in.material.sample + " and " +
                          (parts ? "the views of its parts in" : "its random views of") +
                          " the first epoch, any normalisation undone. Training learns that they belong together: you "
                          "should still be able to tell that, and not by one thing alone.</p></div>\n");
}

std::string map_html(const ReportInput& in) {
  const ReportMaterial& m = in.material;
  const char* heading = "A map of the features";
  if (m.pca.points.empty()) return section_html("map", heading, not_gathered(in));
  const auto share = [&](int k) { return fixed(100 * m.pca.variance_shares[k], 0) + " %"; };
  std::string html = "<div class=\"card\"><p class=\"caption\">" + escape_html(m.map_samples) +
                     (m.classes.empty() ? ", which have no labels, so all in one colour." : ", coloured by class.") +
                     "</p>\n<div class=\"legend\" id=\"map-legend\"></div>\n<div class=\"maps\">\n"
                     "<figure><h3>t-SNE</h3><div class=\"map\" data-map=\"tsne\"></div><figcaption>Keeps neighbours "
                     "together. Islands of one colour mean that the features tell this class apart; sizes of islands "
                     "and distances between them mean nothing.</figcaption></figure>\n"
                     "<figure><h3>PCA</h3><div class=\"map\" data-map=\"pca\"></div><figcaption>The two directions in "
                     "which the features differ most: " +
                     share(0) + " of the variance across, " + share(1) +
                     " upwards. What differs in other directions only is laid on top of each "
                     "other.</figcaption></figure>\n</div></div>\n";
  return section_html("map", heading, html);
}

Json map_json(const ReportInput& in) {
  const ReportMaterial& m = in.material;
  if (m.pca.points.empty()) return nullptr;
  const auto thousandths = [](const std::vector<Point>& points) {  // of half the map's side, from its middle
    Point low = points.front(), high = low;
    for (const Point& p : points) {
      for (std::size_t k = 0; k < 2; ++k) {
        low[k] = std::min(low[k], p[k]);
        high[k] = std::max(high[k], p[k]);
      }
    }
    const float half = std::max(high[0] - low[0], high[1] - low[1]) / 2;
    Json list = Json::array();
    for (const Point& p : points) {
      for (std::size_t k = 0; k < 2; ++k) {
        list.push_back(half > 0 ? std::lround(1000 * (p[k] - (low[k] + high[k]) / 2) / half) : 0);
      }
    }
    return list;
  };
  return {{"classes", m.classes},
          {"labels", m.map_labels},
          {"tsne", thousandths(m.tsne)},
          {"pca", thousandths(m.pca.points)}};
}

std::string confusion_html(const ReportInput& in) {
  const char* heading = "Which classes are confused";
  const Confusion confusion = confusion_of(in);
  if (confusion.counts.empty()) {
    const Json why = object_of(figures_of(in, "trained"), "linear").value("no_confusion", Json());
    return section_html("confusion", heading,
                        why.is_string() ? sentence_html("There is " + escape_html(why.get<std::string>()) + ".")
                                        : no_evaluation_html(in));
  }
  std::string html = "<div class=\"card confusion\">";
  if (confusion.names.size() <= most_drawn_classes) {
    html += "<div class=\"chart\" id=\"confusion-chart\"></div>\n";
  } else {
    html += sentence_html(grouped(std::ssize(confusion.names)) +
                          " classes are too many to draw; log.jsonl has the whole matrix.");
  }
  return section_html("confusion", heading,
                      html + "<div>" + commonest_confusions(in, confusion) +
                          "<p class=\"caption\">The linear probe on the test " + in.material.sample +
                          "s: a row is a true class, a column "
                          "what it was taken for. The diagonal is right; a strong cell beside it names two classes "
                          "whose features are too alike.</p></div></div>\n");
}

Json confusion_json(const ReportInput& in) {
  const Confusion confusion = confusion_of(in);
  if (confusion.counts.empty() || confusion.names.size() > most_drawn_classes) return nullptr;
  return {{"classes", confusion.names}, {"counts", confusion.counts}};
}

std::string neighbours_html(const ReportInput& in) {
  const ReportMaterial& m = in.material;
  const char* heading = "Nearest neighbours";
  if (m.queries.empty()) return section_html("neighbours", heading, not_gathered(in));
  std::string html = "<div class=\"card\">\n";
  for (const auto& query : m.queries) {
    const std::string name = class_name(in, query.asked.label);
    html += "<div class=\"query\">" +
            figure(shown_html(query.asked.shown, name), name.empty() ? in.material.sample : escape_html(name), "asked");
    html += "<div class=\"found\">\n";
    for (const auto& neighbour : query.neighbours) {
      const std::string found = class_name(in, neighbour.found.label);
      const bool wrong = !m.across && found != name;
      html += figure(shown_html(neighbour.found.shown, found),
                     fixed(neighbour.similarity, 3) + (wrong ? "<br>\u2717 " + escape_html(found) : "") +
                         (m.across && neighbour.own ? "<br>\u2713" : ""),
                     wrong ? "wrong" : "");
    }
    html += "</div></div>\n";
  }
  std::string reading = "On the left each time one of the " + escape_html(m.query_samples) +
                        ", then its nearest among " + escape_html(m.compared_samples) +
                        ", with the cosine of their features. ";
  reading += m.classes.empty()
                 ? "They should show the same kind of thing; the " + m.sample + "s have no labels to check it by."
                 : "Those of another class are marked \u2717 and named.";
  if (m.across) {
    reading = "On the left each time one part of one of the " + escape_html(m.query_samples) +
              ", then the other parts, of " + escape_html(m.compared_samples) +
              ", that the towers put nearest to it, with their cosine. Its own is marked \u2713: where it comes first, "
              "it was found.";
  }
  return section_html("neighbours", heading, html + "<p class=\"caption\">" + reading + "</p></div>\n");
}
