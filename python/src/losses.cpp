// What simclr.torch's functions are made of: kernels and their gradients. All are private; simclr.torch checks what
// people pass. Arrays go in as they are and come out as torch tensors over the library's memory.
#include "common.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <simclr/core/context.h>
#include <simclr/kernels/attention.h>
#include <simclr/kernels/nt_xent.h>
#include <simclr/kernels/optimizer_step.h>
#include <simclr/kernels/similarity.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

namespace simclr::python {
namespace {

nb::object to_torch(const Tensor& tensor) {
  return to_array(tensor, Framework::torch);
}

/// What nt_xent's backward pass reads. It holds the embeddings.
struct NtXentState {
  kernels::NtXentSaved saved;
};

std::tuple<nb::object, NtXentState> nt_xent_forward(nb::handle z, nb::handle candidates, nb::handle logit_scale,
                                                    double temperature, std::int64_t self_offset,
                                                    nb::handle anchor_groups, nb::handle candidate_groups) {
  const Tensor anchors = as_tensor(z, "z");
  const Tensor others = candidates.is_none() ? anchors : as_tensor(candidates, "candidates");
  const Tensor scale = as_optional_tensor(logit_scale, "logit_scale");
  const kernels::NtXentTemperature tau =
      scale.defined() ? kernels::NtXentTemperature(scale) : kernels::NtXentTemperature(temperature);
  kernels::NtXentPairs pairs;
  pairs.self_offset = self_offset;
  pairs.anchor_group = as_optional_tensor(anchor_groups, "groups");
  pairs.candidate_group =
      candidate_groups.is(anchor_groups) ? pairs.anchor_group : as_optional_tensor(candidate_groups, "groups");
  kernels::NtXentResult result;
  {
    const Computing computing;
    result = kernels::nt_xent_forward(anchors, others, tau, pairs);
  }
  return {to_torch(result.loss), NtXentState{std::move(result.saved)}};
}

std::tuple<nb::object, nb::object, nb::object> nt_xent_backward(const NtXentState& state, nb::handle dloss) {
  const Tensor factor = as_tensor(dloss, "dloss");
  kernels::NtXentGradient gradient;
  {
    const Computing computing;
    gradient = kernels::nt_xent_backward(state.saved, factor);
  }
  return {to_torch(gradient.danchors), to_torch(gradient.dcandidates), to_torch(gradient.dlogit_scale)};
}

nb::object similarity_forward(nb::handle a, nb::handle b, double temperature) {
  const Tensor rows = as_tensor(a, "a"), columns = as_tensor(b, "b");
  Tensor s;
  {
    const Computing computing;
    s = kernels::similarity_forward(rows, columns, temperature);
  }
  return to_torch(s);
}

std::tuple<nb::object, nb::object> similarity_backward(nb::handle ds, nb::handle a, nb::handle b, double temperature) {
  const Tensor gradient = as_tensor(ds, "ds"), rows = as_tensor(a, "a"), columns = as_tensor(b, "b");
  kernels::SimilarityGradient result;
  {
    const Computing computing;
    result = kernels::similarity_backward(gradient, rows, columns, temperature);
  }
  return {to_torch(result.da), to_torch(result.db)};
}

std::tuple<nb::object, nb::object> attention_forward(nb::handle qkv, nb::handle lengths, std::int64_t heads) {
  const Tensor input = as_tensor(qkv, "qkv"), steps = as_optional_tensor(lengths, "lengths");
  kernels::AttentionResult result;
  {
    const Computing computing;
    result = kernels::attention_forward(input, steps, heads);
  }
  return {to_torch(result.y), to_torch(result.saved.log_sum)};
}

nb::object attention_backward(nb::handle dy, nb::handle qkv, nb::handle lengths, std::int64_t heads, nb::handle y,
                              nb::handle log_sum) {
  const Tensor gradient = as_tensor(dy, "dy");
  const kernels::AttentionSaved saved = {.qkv = as_tensor(qkv, "qkv"),
                                         .lengths = as_optional_tensor(lengths, "lengths"),
                                         .heads = heads,
                                         .y = as_tensor(y, "y"),
                                         .log_sum = as_tensor(log_sum, "log_sum")};
  Tensor dqkv;
  {
    const Computing computing;
    dqkv = kernels::attention_backward(gradient, saved);
  }
  return to_torch(dqkv);
}

/// One update by the library's own LARS: new values and momentum of arenas [n] on the CPU.
std::tuple<nb::object, nb::object> lars_step(nb::handle values, nb::handle gradients, nb::handle momentum,
                                             nb::handle segments, double learning_rate,
                                             const kernels::LarsOptions& options) {
  kernels::OptimizerArena arena = {.values = as_tensor(values, "values").clone(),
                                   .gradients = as_tensor(gradients, "gradients"),
                                   .segments = as_tensor(segments, "segments"),
                                   .learning_rates = Tensor::full({1}, learning_rate),
                                   .step = Tensor::zeros({1}, DType::i32)};
  Tensor velocity = as_tensor(momentum, "momentum").clone();
  {
    const Computing computing;
    kernels::lars_step(arena, velocity, options);
  }
  return {to_array(arena.values, Framework::numpy), to_array(velocity, Framework::numpy)};
}

std::uintptr_t cuda_stream(int index) {
  return reinterpret_cast<std::uintptr_t>(Context::of({DeviceType::cuda, index}).stream());
}

void bind_lars(nb::module_& m) {
  m.def(
      "lars_step",
      [](nb::handle values, nb::handle gradients, nb::handle momentum, nb::handle segments, double lr,
         double momentum_factor, double weight_decay, double trust_coefficient, bool nesterov, bool clip,
         const std::string& rule) {
        SIMCLR_CHECK(rule == "simclr" || rule == "bolts", "rule is '", rule, "'; 'simclr' and 'bolts' are known");
        return lars_step(values, gradients, momentum, segments, lr,
                         {.momentum = momentum_factor,
                          .weight_decay = weight_decay,
                          .trust_coefficient = trust_coefficient,
                          .nesterov = nesterov,
                          .clip = clip,
                          .rule = rule == "simclr" ? kernels::LarsRule::simclr : kernels::LarsRule::bolts});
      },
      nb::arg("values"), nb::arg("gradients"), nb::arg("momentum"), nb::arg("segments"), nb::kw_only(), nb::arg("lr"),
      nb::arg("momentum_factor"), nb::arg("weight_decay"), nb::arg("trust_coefficient"), nb::arg("nesterov"),
      nb::arg("clip"), nb::arg("rule"),
      "One update of float arenas [n] with int32 segments [P,3] (begin, end, flags: 1 decays, 2 adapts): new values\n"
      "and momentum. The library's own rule, which simclr.torch.Lars is held to.");
}

}  // namespace

void bind_losses(nb::module_& m) {
  nb::class_<NtXentState>(m, "NtXentState", "What nt_xent_backward needs of nt_xent_forward; it holds the embeddings.");
  m.def("nt_xent_forward", &nt_xent_forward, nb::arg("z"), nb::arg("candidates").none(), nb::arg("logit_scale").none(),
        nb::arg("temperature"), nb::arg("self_offset"), nb::arg("anchor_groups").none(),
        nb::arg("candidate_groups").none(), "The loss [] and what its gradient needs: see simclr.torch.nt_xent.");
  m.def("nt_xent_backward", &nt_xent_backward, nb::arg("state"), nb::arg("dloss"),
        "Gradients of z, of candidates and of logit_scale, None where there were none, times dloss [].");
  m.def("similarity_forward", &similarity_forward, nb::arg("a"), nb::arg("b"), nb::arg("temperature"),
        "Cosine similarities [A,M] over the temperature, of a [A,D] and b [M,D].");
  m.def("similarity_backward", &similarity_backward, nb::arg("ds"), nb::arg("a"), nb::arg("b"), nb::arg("temperature"),
        "Gradients of a and b from that of the similarities, ds [A,M].");
  m.def("attention_forward", &attention_forward, nb::arg("qkv"), nb::arg("lengths").none(), nb::arg("heads"),
        "y [N,T,C] of qkv [N,T,3C], and the log of each row's sum [N,heads,T].");
  m.def("attention_backward", &attention_backward, nb::arg("dy"), nb::arg("qkv"), nb::arg("lengths").none(),
        nb::arg("heads"), nb::arg("y"), nb::arg("log_sum"), "The gradient of qkv from dy [N,T,C].");
  m.def("cuda_stream", &cuda_stream, nb::arg("index"), "The handle of the stream that CUDA's device works in.");
  bind_lars(m);
}

}  // namespace simclr::python
