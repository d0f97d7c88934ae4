// Pre-trains an encoder of recordings, words or other sounds, with SimCLR, without labels, then measures what it
// learned: kNN and linear probe on the frozen features, beside the same figures of the untrained encoder.
#include "modalities/sounds.h"
#include "program/run_training.h"

int main(int argc, char** argv) {
  Sounds sounds;
  return run_training("train_speech", argc, argv, sounds);
}
