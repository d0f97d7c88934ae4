#include "common.h"

NB_MODULE(_core, m) {
  namespace python = simclr::python;
  m.doc() = "The compiled part of simclr.";
  python::bind_errors();
  python::bind_library(m);
  python::bind_losses(m);
  python::bind_augment(m);
  python::bind_evaluate(m);
  python::bind_encoder(m);
}
