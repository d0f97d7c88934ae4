// Pre-trains two encoders on pairs of things that belong together, two drawings of one thing or a picture and its
// spoken name, then measures how well each half finds the other.
#include "modalities/pairs.h"
#include "program/run_training.h"

int main(int argc, char** argv) {
  Pairs pairs;
  return run_training("train_pairs", argc, argv, pairs);
}
