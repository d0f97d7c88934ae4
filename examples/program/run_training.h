#pragma once

#include "run/host.h"
#include "train/modality.h"

/// The whole of a training program: reads its command line, trains, resumes or checks, evaluates and reports. `name` is
/// the program's, for messages. Returns the exit code.
int run_training(const char* name, int argc, char** argv, Modality& modality);

/// The same within a process of others, which is `host`: alone, not as one of several ranks. Signals and the number of
/// threads are as before when it returns. Throws simclr::Error, what the program prints, and std::exception as it
/// comes.
int run_training_within(Host& host, const char* name, int argc, char** argv, Modality& modality);
