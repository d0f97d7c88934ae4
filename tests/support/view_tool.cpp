// Writes what embed gives the encoder of a run for the samples of a place: inputs, lengths where the views have some.
//
// usage: view_tool RUN PLACE OUT.safetensors [SIDE]

#include "modalities/kinds.h"
#include "train/encoder_file.h"

#include <simclr/core/serialize.h>
#include <simclr/data/loader.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  try {
    if (argc < 4) simclr::fail("usage: view_tool RUN PLACE OUT.safetensors [SIDE]");
    const std::string side = argc > 4 ? argv[4] : "none";
    const std::unique_ptr<Kind> kind = kind_of_weights(argv[1], side);
    const EncoderFile file = open_side(argv[1], *kind, side);
    const NamedSamples named = kind->open_named("auto", argv[2], file, {});
    const simclr::NextBatch next =
        simclr::data::one_pass(named.samples, file.tower.maker, {.batch_size = named.samples->size()});
    simclr::Input input;
    std::vector<std::int32_t> labels;
    next(input, labels);
    std::vector<simclr::NamedTensor> tensors = {{"input", input.x}};
    if (input.lengths.defined()) tensors.push_back({"lengths", input.lengths});
    simclr::save_tensors(argv[3], tensors);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "view_tool: %s\n", error.what());
    return 1;
  }
}
