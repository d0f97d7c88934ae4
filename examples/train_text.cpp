// Pre-trains an encoder of texts with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "modalities/texts.h"
#include "program/run_training.h"

int main(int argc, char** argv) {
  Texts texts;
  return run_training("train_text", argc, argv, texts);
}
