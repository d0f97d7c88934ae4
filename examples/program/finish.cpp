#include "program/finish.h"

#include "report/report.h"
#include "run/host.h"
#include "train/method.h"
#include "train/monitor.h"
#include "train/pair_neighbours.h"
#include "train/ranks.h"
#include "train/shared_work.h"
#include "train/test_part.h"

#include <simclr/data/loader.h>

#include <functional>
#include <string>

namespace data = simclr::data;

namespace {

/// What the encoder has learned, beside an untrained one. `test` are the test samples that can be read. What goes wrong
/// here is a warning, but for what one of several ranks meets alone: the weights are there.
void evaluate_run(const Training& t, const std::shared_ptr<const simclr::data::Dataset>& test, const RunState& state,
                  const EvaluationOptions& evaluation, RunFolder& run) {
  Datasets sets = t.sets;
  sets.test = test;
  print("evaluating the trained and the untrained encoder on %s\n",
        counted(test->size(), "test " + sets.sample_name).c_str());
  flush_printed();
  nlohmann::ordered_json figures = nlohmann::ordered_json::object();
  std::string tables, collapsed;
  attempt("evaluation", evaluation, [&] {
    const std::vector<data::Tower> towers = t.modality->towers(false);
    std::unique_ptr<simclr::nn::Model> fresh;
    together(evaluation.world, [&] {
      fresh = t.modality->make_model(t.options);
      fresh->to(t.compute.device);
    });
    calibrate(*fresh, *sets.train, towers, evaluation);
    if (sets.labelled->classes().size() >= 2) {
      attempt("accuracy", evaluation, [&] {
        Evaluation trained = evaluate(t.model->encoder(), sets, towers.front(), evaluation);
        trained.collapse = judged(trained.collapse, t.options.recipe);
        const Evaluation untrained = evaluate(fresh->encoder(), sets, towers.front(), evaluation);
        figures["trained"] = to_json(trained);
        figures["untrained"] = to_json(untrained);
        tables = evaluation_table(trained, untrained, sets.labelled->classes());
        if (trained.collapse.collapsed) collapsed = trained.collapse.message;
      });
    }
    const OwnEvaluation own = t.modality->evaluate(*t.model, *fresh, evaluation);
    figures.update(own.figures);
    tables += (tables.empty() || own.table.empty() ? "" : "\n") + own.table;
  });
  if (figures.empty()) return;
  nlohmann::ordered_json entry = {{"event", "evaluation"}, {"training_seconds", state.seconds}};
  entry.update(figures);
  run.log(entry);
  print("\n%s", tables.c_str());
  const std::string unread = unread_text("measured on", test->size(), t.sets.test->size(), "test " + sets.sample_name);
  if (!unread.empty()) print("%s\n", unread.c_str());
  if (!collapsed.empty()) print("warning: %s\n", collapsed.c_str());
}

/// With those of the test samples that can be read.
Datasets readable_sets(const Training& t, const EvaluationOptions& evaluation) {
  Datasets shown = t.sets;
  if (shown.test) shown.test = readable_part(shown.test, evaluation.on_warning, evaluation.poll, evaluation.world);
  if (shown.test && shown.test->size() == 0) {
    shown.test = nullptr;
    shown.no_test = "none of the " + counted(t.sets.test->size(), "test " + shown.sample_name) + " can be read";
  }
  return shown;
}

/// What the report says of the test samples before all else.
std::vector<std::string> notes_on(const Training& t, const Datasets& shown) {
  if (!t.options.evaluate || !shown.test) return {};
  const std::string unread =
      unread_text("measured on", shown.test->size(), t.sets.test->size(), "test " + shown.sample_name);
  return unread.empty() ? std::vector<std::string>{} : std::vector<std::string>{unread};
}

}  // namespace

void leave_report(const Training& t, const Datasets& sets, const EvaluationOptions& evaluation, const RunFolder& run,
                  const MaterialOptions& size, const std::vector<std::string>& notes, double seconds) {
  const EvaluationOptions own = alone(evaluation);
  try {
    ReportMaterial material = gather_report_material(*t.modality, t.model->encoder(), sets, t.options.seed, own, size);
    if (t.model->towers() == 2) add_pair_neighbours(material, *t.modality, *t.model, sets, own, size);
    material.program = t.options.program;
    material.notes.insert(material.notes.begin(), notes.begin(), notes.end());
    material.seconds = seconds;
    material.chance = t.model->chance(t.options.recipe.batch_size);
    material.bound = t.model->bound(t.options.recipe.batch_size);
    write_report(run.path(), material);
    print("report: %s\n", run.file("report.html").c_str());
  } catch (const simclr::Error& error) {
    print("no report: %s\n", error.what());
  }
}

void remake_report(const Training& t, const EvaluationOptions& evaluation, const RunFolder& run) {
  if (run.has("report.html") || run.log_bytes() == 0) return;
  t.model->load_state(simclr::load_tensors(run.file(weights_file)).tensors);
  const Datasets shown = readable_sets(t, alone(evaluation));
  leave_report(t, shown, evaluation, run, {}, notes_on(t, shown));
}

void finish(const Training& t, const RunState& state, const EvaluationOptions& evaluation, RunFolder& run,
            Progress& progress) {
  Datasets shown;
  on_all_ranks(t, [&] {
    share_warnings(*t.world, progress);
    shown = readable_sets(t, evaluation);
    if (t.options.evaluate && shown.test) {
      evaluate_run(t, shown.test, state, evaluation, run);
    } else if (t.options.evaluate) {
      print("%s, so no accuracy\n", shown.no_test.c_str());
      // Else the last epoch was measured.
      if (t.options.knn_every == 0) monitor(t, evaluation, t.options.recipe.epochs, run, progress);
    }
    share_warnings(*t.world, progress);
  });
  on_first_rank(t, [&] { leave_report(t, shown, evaluation, run, {}, notes_on(t, shown)); });
}
