// Pre-trains an encoder of clips with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "modalities/clips.h"
#include "program/run_training.h"

int main(int argc, char** argv) {
  Clips clips;
  return run_training("train_video", argc, argv, clips);
}
