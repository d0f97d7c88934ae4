#include "train/nonfinite.h"

#include "train/shared_work.h"

#include <simclr/nn/inspect.h>

#include <exception>
#include <sstream>

namespace nn = simclr::nn;

namespace {

/// Where the step's NaN or Inf starts; empty: nowhere.
std::string found_in(Training& t, std::uint32_t epoch, std::int64_t step) {
  try {
    t.source->begin(epoch, step);
    SIMCLR_CHECK(t.source->next(), "its batch is gone");
    return nn::inspect(*t.model, [&t] { return t.loss(); }).nonfinite;
  } catch (const std::exception& error) {
    if (t.world->size() > 1) {  // the others may be in the middle of a layer, whose exchange this rank has left
      simclr::fail("NaN or Inf at epoch ", epoch + 1, ", step ", step + 1, ": the layer is not known (", error.what(),
                   ")");
    }
    return std::string("the layer is not known (") + error.what() + ")";
  }
}

}  // namespace

void explain_nonfinite(Training& t, std::int64_t bad_step) {
  const Recipe& r = t.options.recipe;
  const std::int64_t epoch = bad_step / t.steps_per_epoch(), step = bad_step % t.steps_per_epoch();
  // Of several ranks the first that sees it in its own samples.
  std::string place = first_text(t.world.get(), found_in(t, static_cast<std::uint32_t>(epoch), step));
  if (place.empty()) place = "it did not show when the step was run again, as after a fault of the machine";
  std::ostringstream temperature;
  temperature << " or --temperature (" << r.temperature << ")";
  simclr::fail<CommonError>("NaN or Inf at epoch ", epoch + 1, ", step ", step + 1, ": ", place,
                            ". No checkpoint holds it. Lower --lr (", r.lr, ") or raise --warmup-epochs (",
                            r.warmup_epochs, ")", r.method == "supervised" ? "" : temperature.str());
}
