#pragma once

#include "train/modality.h"

/// Reads the command line of the program `name`; on --help or --version prints and returns false. Throws simclr::Error,
/// one line, for a command line that cannot be read or asks for the impossible.
bool parse_command_line(const char* name, int argc, char** argv, TrainingOptions& options, Modality& modality);
