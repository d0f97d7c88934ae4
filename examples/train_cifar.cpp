// Pre-trains an encoder of pictures with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "modalities/pictures.h"
#include "program/run_training.h"

int main(int argc, char** argv) {
  Pictures pictures;
  return run_training("train_cifar", argc, argv, pictures);
}
