#pragma once

#include "train/modality.h"

/// The whole of a training program: reads its command line, trains, resumes or checks, evaluates and reports. `name` is
/// the program's, for messages. Returns the exit code.
int run_training(const char* name, int argc, char** argv, Modality& modality);
