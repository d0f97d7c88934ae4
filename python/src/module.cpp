#include "common.h"

NB_MODULE(_core, m) {
  namespace python = simclr::python;
  // A loss that a global name still holds when Python ends holds its graph, which is PyTorch's to free: no leak of
  // ours.
  nanobind::set_leak_warnings(false);
  m.doc() = "The compiled part of simclr.";
  python::bind_errors();
  python::bind_library(m);
  python::bind_losses(m);
  python::bind_augment(m);
  python::bind_evaluate(m);
  python::bind_encoder(m);
  python::bind_train(m);
}
