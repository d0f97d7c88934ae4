// Writes a trained encoder as an ONNX file, for runtimes that know nothing of this library. docs/onnx.md shows its use.
#include "modalities/onnx_file.h"
#include "modalities/pair_sides.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/shared_rows.h"

#include <cstdio>
#include <string>

namespace {

bool parse_options(int argc, char** argv, OnnxFile& o) {
  CLI::App app(
      "Writes a trained encoder as an ONNX file (opset 17): its input is what embed gives the encoder, its output the "
      "features.",
      "export_onnx");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  app.add_option("out", o.out, "The file to write, ENCODER.onnx")->required();
  OptionTable table;
  table.group("");
  table.flag("head", "", o.head, "With the projection head: the output is z, what the loss saw, not the features");
  table.flag("preprocess", "", o.preprocessing,
             "Of pictures: the input is u8 [N,height,width,C], of any size; the graph crops, resizes and normalises");
  table.flag("fold", "no-fold", o.fold, "Make batch normalisation a part of the layers before it");
  table.add("side", o.side, either_side(),
            "Of weights of pairs: the side, first or second, whose encoder is taken. none: the encoder of pictures, or "
            "the first side's where none is of these");
  add_overwrite_row(table, o.overwrite);
  return parse(app, table, argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("export_onnx", [&] {
    OnnxFile options;
    if (!parse_options(argc, argv, options)) return;
    const std::string encoder = write_onnx_file(options);
    std::printf("%s\nwritten to %s\n", encoder.c_str(), options.out.c_str());
  });
}
