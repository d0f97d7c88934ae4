#pragma once

#include <string>

/// What the program export_onnx and Python's encoder.to_onnx() are asked for.
struct OnnxFile {
  std::string weights;  // a run's folder, a checkpoint or a weights file
  std::string out;      // the file to write
  std::string side = "none";
  bool head = false, preprocessing = false, fold = true, overwrite = false;
};

/// Writes a trained encoder as an ONNX file (opset 17), whole or not at all. Returns the encoder's description. Throws
/// simclr::Error where the weights cannot be read or have no such encoder, where `out` exists and is not to be
/// overwritten or cannot be written, and for preprocessing of what are no pictures.
std::string write_onnx_file(const OnnxFile& options);
