#include "report/charts.h"
#include "report/html.h"
#include "report/report.h"
#include "run/progress.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <cmath>
#include <fstream>

using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::TempDir;
using Json = nlohmann::ordered_json;

namespace {

LogEntry step(int epoch, double loss) {
  return {{"event", "step"}, {"epoch", epoch}, {"loss", loss}, {"learning_rate", 0.1}};
}

LogEntry epoch_end(int epoch, double seconds) {
  return {{"event", "epoch"}, {"epoch", epoch}, {"seconds", seconds}, {"samples_per_second", 10}};
}

Curve wave(std::size_t count) {
  Curve curve;
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(i);
    curve.push_back({x, std::sin(x / 300)});
  }
  return curve;
}

std::string read(const std::string& path) {
  const auto bytes = simclr::test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a history counts steps through epochs and measures each epoch's speed") {
  const std::vector<LogEntry> log = {step(1, 4), step(1, 3), epoch_end(1, 2.0),  // 2 steps of 8 samples in 2 s
                                     step(2, 2), step(2, 1), epoch_end(2, 6.0)};
  const RunHistory h = read_history(log, 8);
  CHECK(h.loss == Curve{{1, 4}, {2, 3}, {3, 2}, {4, 1}});
  CHECK(h.throughput == Curve{{1, 8}, {2, 4}});
  CHECK(h.steps_per_epoch == 2);
  CHECK(h.epochs == 2);
  CHECK(h.seconds == 6);
  CHECK(h.resumed.empty());
}

TEST_CASE("a history marks where the run was resumed") {
  const std::vector<LogEntry> log = {step(1, 4), step(1, 3),       epoch_end(1, 2.0), step(2, 2), {{"event", "resume"}},
                                     step(2, 1), epoch_end(2, 4.0)};
  const RunHistory h = read_history(log, 8);
  CHECK(h.resumed == std::vector<std::array<double, 2>>{{3, 1.5}});
  CHECK(h.throughput == Curve{{1, 8}, {2, 8}});
  const Json charts = charts_json(h, {});
  CHECK(charts["loss"]["marks"] == Json::parse(R"([{"x":3.0,"name":"resumed"}])"));
  CHECK(charts["throughput"]["marks"] == Json::parse(R"([{"x":1.5,"name":"resumed"}])"));
}

TEST_CASE("charts have the loss's chance and bound, and the untrained encoder's level") {
  const Json knn = {{"top1", 0.75}}, none = {{"top1", 0.25}};
  const std::vector<LogEntry> log = {
      step(1, 4),
      epoch_end(1, 1),
      {{"event", "knn"}, {"epoch", 1}, {"top1", 0.5}, {"effective_rank", 7}},
      {{"event", "evaluation"}, {"trained", {{"knn", knn}, {"effective_rank", 9}}}, {"untrained", {{"knn", none}}}}};
  ReportMaterial material;
  material.chance = std::log(15);
  material.bound = 2;
  const Json charts = charts_json(read_history(log, 8), material);
  CHECK(charts["loss"]["levels"] == Json({{{"name", "chance"}, {"y", std::log(15)}}, {{"name", "bound"}, {"y", 2.0}}}));
  CHECK_FALSE(charts_json(read_history(log, 8), {})["loss"].contains("levels"));  // not known
  CHECK(charts["knn"]["levels"] == Json::parse(R"([{"name":"untrained","y":0.25}])"));
  CHECK(charts["knn"]["series"][0]["points"] == Json::parse("[[1.0,0.5]]"));
  CHECK(charts["knn"]["series"][1]["points"] == Json::parse("[[1.0,0.75]]"));
  CHECK(charts["rank"]["series"][0]["points"] == Json::parse("[[1.0,7.0],[1.0,9.0]]"));
  CHECK_FALSE(charts.contains("alignment"));
}

TEST_CASE("how well two towers find each other is a curve, without a label too") {
  const std::vector<LogEntry> log = {{{"event", "knn"}, {"epoch", 1}, {"retrieval", {{"r1", 0.25}, {"r10", 0.5}}}},
                                     {{"event", "knn"}, {"epoch", 2}, {"retrieval", {{"r1", 0.375}, {"r10", 0.75}}}}};
  const Json chart = charts_json(read_history(log, 16), {}).value("retrieval", Json());
  CHECK(chart["format"] == "percent");
  CHECK(chart["series"][0]["name"] == "R@1");
  CHECK(chart["series"][0]["points"] == Json::parse("[[1.0,0.25],[2.0,0.375]]"));
  CHECK(chart["series"][1]["name"] == "R@10");
  CHECK(chart["series"][1]["points"] == Json::parse("[[1.0,0.5],[2.0,0.75]]"));
  CHECK_FALSE(
      charts_json(read_history({{{"event", "knn"}, {"epoch", 1}, {"top1", 0.5}}}, 16), {}).contains("retrieval"));
}

TEST_CASE("an empty or strange log has no charts, and is no error") {
  const std::vector<LogEntry> log = {{{"event", "step"}, {"loss", nullptr}},
                                     {{"event", "epoch"}},
                                     {{"event", "knn"}, {"epoch", "one"}},
                                     {{"event", "evaluation"}, {"trained", 3}, {"untrained", "no"}},
                                     {{"event", "epoch"}, {"epoch", 1}, {"seconds", -1}}};
  CHECK(charts_json(read_history(log, 8), {}).empty());
  CHECK(charts_json(read_history({}, 0), {}).empty());
}

TEST_CASE("a decimated curve keeps its ends and its extremes") {
  Curve curve = wave(100000);
  curve[34567][1] = 50;
  curve[70001][1] = -50;
  const Curve small = decimated(curve, 400);
  CHECK(small.size() <= 802);
  CHECK(small.front() == curve.front());
  CHECK(small.back() == curve.back());
  CHECK(std::find(small.begin(), small.end(), curve[34567]) != small.end());
  CHECK(std::find(small.begin(), small.end(), curve[70001]) != small.end());
  CHECK(std::is_sorted(small.begin(), small.end()));
  CHECK(decimated(wave(800), 400) == wave(800));
}

TEST_CASE("a smoothed curve starts where the curve does and forgets old values") {
  Curve curve = {{1, 100}};
  for (int i = 2; i < 60; ++i) curve.push_back({static_cast<double>(i), 1});
  const Curve smooth = smoothed(curve, 5);
  CHECK(smooth.size() == curve.size());
  CHECK(smooth.front() == curve.front());
  CHECK(smooth[1][1] == Approx((100 * 2.0 / 3 + 1) / (2.0 / 3 + 1)));
  CHECK(smooth.back()[1] == Approx(1).margin(1e-6));
}

TEST_CASE("text cannot become HTML, nor end a script") {
  CHECK(escape_html("<a href=\"x\" b='y'>&") == "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
  CHECK(escape_html("a\xff\x62") ==
        "a\xef\xbf\xbd"
        "b");
  CHECK(script_json({"</script><!--"}) == "[\"\\u003c/script>\\u003c!--\"]");
  CHECK(Json::parse(script_json({"</script>"}))[0] == "</script>");
}

TEST_CASE("numbers are written for people") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(grouped(-123456) == "-123,456");
  CHECK(fixed(2.345, 1) == "2.3");
}

TEST_CASE("a report needs its folder's two files") {
  const TempDir folder;
  CHECK_THAT(message_of([&] { write_report(folder.path(), {}); }), Contains("config.json: cannot be read"));
  folder.write("config.json", std::string("{"));
  CHECK_THAT(message_of([&] { write_report(folder.path(), {}); }), Contains("config.json: is not a JSON object"));
  folder.write("config.json", std::string("{}"));
  CHECK_THAT(message_of([&] { write_report(folder.path(), {}); }), Contains("log.jsonl: cannot be read"));
  folder.write("log.jsonl", std::string(""));
  write_report(folder.path(), {});
  CHECK_THAT(read(folder.path("report.html")), Contains("No step was logged."));
}

TEST_CASE("a report says whether the run came to its end, and shows its notes") {
  const TempDir folder;
  folder.write("config.json", std::string(R"({"epochs": 2, "batch_size": 8, "temperature": 0.5})"));
  std::ofstream log(folder.path("log.jsonl"));
  log << step(1, 4).dump() << '\n' << epoch_end(1, 2).dump() << '\n' << std::flush;
  ReportMaterial material;
  material.notes = {"interrupted at epoch 2, step 1"};
  write_report(folder.path(), material);
  CHECK_THAT(read(folder.path("report.html")), Contains("Not finished: 1 of 2 epochs, 1 step,") &&
                                                   Contains("interrupted at epoch 2, step 1") &&
                                                   Contains("The run has not come to its end"));
  log << step(2, 3).dump() << '\n' << epoch_end(2, 4).dump() << '\n' << R"({"event":"ste)" << std::flush;
  write_report(folder.path(), {});
  CHECK_THAT(read(folder.path("report.html")),
             Contains("Finished: 2 of 2 epochs, 2 steps, 4 s") && Contains("--no-evaluation"));
}

TEST_CASE("a report says why there is no confusion matrix") {
  const TempDir folder;
  folder.write("config.json", std::string("{}"));
  const Json probe = {{"top1", 0.5}, {"no_confusion", "no confusion matrix: 501 classes, <many>"}};
  const Json entry = {{"event", "evaluation"}, {"trained", {{"linear", probe}}}};
  folder.write("log.jsonl", entry.dump() + "\n");
  write_report(folder.path(), {});
  CHECK_THAT(read(folder.path("report.html")), Contains("There is no confusion matrix: 501 classes, &lt;many&gt;."));
}

TEST_CASE("a report names the classes that were not measured") {
  const TempDir folder;
  folder.write("config.json", std::string("{}"));
  const Json probe = {{"top1", 1.0}, {"recall", {1.0, nullptr, nullptr}}, {"confusion", {2, 0, 0, 0, 0, 0, 0, 0, 0}}};
  const Json entry = {{"event", "evaluation"}, {"trained", {{"linear", probe}}}};
  folder.write("log.jsonl", entry.dump() + "\n");
  ReportMaterial material;
  material.classes = {"ant", "<bee>", "cat"};
  write_report(folder.path(), material);
  const std::string untested = "2 of 3 classes were not measured, for want of test samples: &lt;bee&gt;, cat.";
  CHECK_THAT(read(folder.path("report.html")),
             Contains("means over the classes: " + untested) &&
                 Contains("Not one test sample was taken for another class; " + untested));
}

TEST_CASE("a report says which program repeats the run") {
  const TempDir folder;
  folder.write("config.json", std::string("{}"));
  folder.write("log.jsonl", std::string(""));
  ReportMaterial material;
  material.program = "waves";
  write_report(folder.path(), material);
  CHECK_THAT(read(folder.path("report.html")), Contains(">waves --config ") && !Contains("train_cifar"));
}

TEST_CASE("a page shows pictures, sound, clips and text, and names what it cannot show") {
  const auto html = [](const std::string& type, const std::string& bytes) {
    return shown_html({.type = type, .bytes = {bytes.begin(), bytes.end()}, .width = 8, .height = 4}, "a <b>");
  };
  CHECK(html("image/png", "abc") ==
        "<img alt=\"a &lt;b&gt;\" title=\"a &lt;b&gt;\" width=\"8\" height=\"4\" src=\"data:image/png;base64,YWJj\">");
  CHECK(html("audio/wav", "abc") ==
        "<audio controls title=\"a &lt;b&gt;\" src=\"data:audio/wav;base64,YWJj\"></audio>");
  const Shown above{.type = "image/png", .bytes = {'x', 'y', 'z'}, .width = 8, .height = 4};
  CHECK(shown_html({.type = "audio/wav", .bytes = {'a', 'b', 'c'}, .above = {above}}, "a") ==
        "<img alt=\"a\" title=\"a\" width=\"8\" height=\"4\" src=\"data:image/png;base64,eHl6\">"
        "<audio controls title=\"a\" src=\"data:audio/wav;base64,YWJj\"></audio>");
  CHECK(html("video/mp4", "abc") ==
        "<video controls muted loop title=\"a &lt;b&gt;\" width=\"8\" height=\"4\" "
        "src=\"data:video/mp4;base64,YWJj\"></video>");
  CHECK(html("text/plain", "1 < 2 & \xff") ==
        "<span class=\"text\" title=\"a &lt;b&gt;\">1 &lt; 2 &amp; \xef\xbf\xbd</span>");
  CHECK(html("model/stl", "abc") == "<span class=\"text\" title=\"a &lt;b&gt;\">model/stl, 3 bytes</span>");
}

TEST_CASE("a report of a run in its first epoch tells its time, and what its loss is the mean of") {
  const TempDir folder;
  folder.write("config.json", std::string(R"({"epochs": 2, "batch_size": 8, "temperature": 0.5})"));
  std::ofstream log(folder.path("log.jsonl"));
  const auto page = [&](int steps, double seconds) {
    for (int i = 0; i < steps; ++i) log << step(1, 4).dump() << '\n' << std::flush;
    ReportMaterial material;
    material.seconds = seconds;
    material.chance = std::log(15);
    write_report(folder.path(), material);
    return read(folder.path("report.html"));
  };
  CHECK_THAT(page(1, 10),
             Contains("0 of 2 epochs, 1 step, 10 s of training") && Contains("of the last step; chance 2.71"));
  CHECK_THAT(page(2, 12), Contains("12 s of training") && Contains("mean of the last 3 steps; chance"));
  CHECK_THAT(page(40, 15), Contains("mean of the last 20 steps"));
  log << epoch_end(1, 20).dump() << '\n' << std::flush;
  CHECK_THAT(page(1, 0), Contains("1 of 2 epochs, 44 steps, 20 s of training"));
}

TEST_CASE("a report warns of features that had collapsed when they were last looked at") {
  const auto knn = [](bool collapsed) { return Json{{"event", "knn"}, {"epoch", 1}, {"collapsed", collapsed}}; };
  const auto end = [](bool collapsed) {
    return Json{{"event", "evaluation"}, {"trained", {{"collapsed", collapsed}}}};
  };
  const TempDir folder;
  folder.write("config.json", std::string("{}"));
  const auto warns = [&](const std::vector<Json>& log) {
    std::string lines;
    for (const Json& entry : log) lines += entry.dump() + "\n";
    folder.write("log.jsonl", lines);
    write_report(folder.path(), {});
    return read(folder.path("report.html")).find("The features have collapsed") != std::string::npos;
  };
  CHECK_FALSE(warns({{{"event", "knn"}, {"epoch", 1}}}));
  CHECK(warns({knn(false), knn(true)}));
  CHECK_FALSE(warns({knn(true), knn(false)}));
  CHECK(warns({knn(false), end(true)}));
  CHECK_FALSE(warns({knn(true), end(false)}));
}
