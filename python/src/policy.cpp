// simclr.Policy: the library's augmentation policy, with its defaults and its named recipes.
#include "policy.h"

#include <simclr/data/pictures/augmentation.h>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

namespace simclr::python {
namespace {

using data::Augmentation;
using kernels::Interpolation;
using kernels::most_channels;

/// Calls visit(name, member, what it is) for each field, the two of channels last: they follow the number of channels.
template <class Visit>
void visit_fields(Visit&& visit) {
  using P = Augmentation;
  visit("size", &P::size, "int: S, views are S x S pixels");
  visit("channels", &P::channels, "int: channels of the views, 1 to 16; 1 is grey, 3 RGB, others are of any meaning");
  visit("random_crop", &P::random_crop, "bool: a random resized crop; False: the largest centred square, resized");
  visit("crop_area_min", &P::crop_area_min, "float: smallest crop, as a share of the picture's area");
  visit("crop_area_max", &P::crop_area_max, "float: largest crop, as a share of the picture's area");
  visit("crop_aspect_min", &P::crop_aspect_min, "float: smallest width / height of a crop, log-uniform");
  visit("crop_aspect_max", &P::crop_aspect_max, "float: largest width / height of a crop");
  visit("interpolation", &P::interpolation, "str: 'bilinear' or 'bicubic', both antialiased");
  visit("flip_probability", &P::flip_probability, "float: how often a view is flipped left to right");
  visit("rotation_probability", &P::rotation_probability, "float: how often a view is rotated");
  visit("rotation_degrees", &P::rotation_degrees, "float: the angle is uniform in +- this; corners are filled with 0");
  visit("jitter_probability", &P::jitter_probability, "float: how often colours are jittered");
  visit("brightness", &P::brightness, "float: factor uniform in [max(0, 1 - this), 1 + this]");
  visit("contrast", &P::contrast, "float: factor uniform in [max(0, 1 - this), 1 + this]");
  visit("saturation", &P::saturation, "float: factor uniform in [max(0, 1 - this), 1 + this]");
  visit("hue", &P::hue, "float: shift uniform in +- this, at most 0.5, of a whole turn");
  visit("grayscale_probability", &P::grayscale_probability, "float: how often a view loses its colours");
  visit("blur_probability", &P::blur_probability, "float: how often a view is blurred");
  visit("blur_sigma_min", &P::blur_sigma_min, "float: smallest deviation of the blur, in pixels");
  visit("blur_sigma_max", &P::blur_sigma_max, "float: largest deviation of the blur, in pixels");
  visit("blur_kernel", &P::blur_kernel,
        "int: taps of the blur, odd; 0: a tenth of S, made odd; -1: as many as weigh anything, edges repeated");
  visit("mean", &P::mean, "tuple of float, one a channel: a view is (x - mean) / stddev, x in [0,1]");
  visit("stddev", &P::stddev, "tuple of float, one a channel: see mean");
}

using Channels = float[most_channels];

/// The shortest decimal that reads back as this float: 0.08, whose double is 0.0799999982.
double shortest(float value) {
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;  // NaN and infinities are themselves
  std::from_chars(text, end, result);
  return result;
}

nb::object to_python(const Augmentation&, std::int32_t value) {
  return nb::int_(value);
}
nb::object to_python(const Augmentation&, bool value) {
  return nb::bool_(value);
}
nb::object to_python(const Augmentation&, float value) {
  return nb::float_(shortest(value));
}
nb::object to_python(const Augmentation&, Interpolation value) {
  return nb::str(value == Interpolation::bicubic ? "bicubic" : "bilinear");
}
nb::object to_python(const Augmentation& policy, const Channels& values) {
  nb::list all;
  for (int c = 0; c < std::clamp(policy.channels, 0, most_channels); ++c) all.append(shortest(values[c]));
  return nb::tuple(all);
}

[[noreturn]] void wrong_type(const char* name, const char* wanted, nb::handle got) {
  fail("Policy: ", name, " must be ", wanted, ", not ", nb::cast<std::string>(nb::repr(got)));
}

void set(Augmentation&, const char* name, std::int32_t& to, nb::handle value) {
  const bool whole = nb::isinstance<nb::int_>(value) && !nb::isinstance<nb::bool_>(value);
  if (whole && nb::try_cast(value, to)) return;
  SIMCLR_CHECK(!whole, "Policy: ", name, " is ", nb::cast<std::string>(nb::str(value)), ", which int32 cannot hold");
  if (nb::isinstance<nb::bool_>(value) || !nb::try_cast(value, to)) wrong_type(name, "an int", value);
}
void set(Augmentation&, const char* name, bool& to, nb::handle value) {
  if (!nb::try_cast(value, to)) wrong_type(name, "True or False", value);
}
void set(Augmentation&, const char* name, float& to, nb::handle value) {
  double number = 0;
  if (nb::isinstance<nb::bool_>(value) || !nb::try_cast(value, number)) wrong_type(name, "a number", value);
  to = static_cast<float>(number);
}
void set(Augmentation&, const char* name, Interpolation& to, nb::handle value) {
  std::string text;
  const bool given = nb::try_cast(value, text);
  if (!given || (text != "bilinear" && text != "bicubic")) wrong_type(name, "'bilinear' or 'bicubic'", value);
  to = text == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
}
void set(Augmentation& policy, const char* name, Channels& to, nb::handle value) {
  std::vector<double> numbers;
  double number = 0;
  if (nb::try_cast(value, number)) {
    numbers.assign(static_cast<std::size_t>(std::clamp(policy.channels, 0, most_channels)), number);
  } else if (!nb::try_cast(value, numbers)) {
    wrong_type(name, "a number or a sequence of numbers, one a channel", value);
  }
  SIMCLR_CHECK(std::ssize(numbers) == policy.channels && policy.channels <= most_channels, "Policy: ", name, " has ",
               numbers.size(), numbers.size() == 1 ? " number" : " numbers", ", views have ", policy.channels,
               " channels; give one number each, or set channels first");
  std::copy(numbers.begin(), numbers.end(), to);
}

void check_by_name(const nb::args& unnamed) {
  SIMCLR_CHECK(unnamed.size() == 0, "Policy: fields are given by name, as in Policy(size=32)");
}

/// Sets what is given, the fields that follow others last, whatever their order.
void set_fields(Augmentation& policy, const nb::dict& fields) {
  for (auto [name, value] : fields) {
    const auto text = nb::cast<std::string>(name);
    bool known = false;
    visit_fields([&](const char* each, auto, const char*) { known |= text == each; });
    if (known) continue;
    fail("Policy: there is no field ", text, "; help(simclr.Policy) lists them");
  }
  visit_fields([&](const char* each, auto member, const char*) {
    if (fields.contains(each)) set(policy, each, policy.*member, fields[each]);
  });
  check(policy);
}

nb::dict fields_of(const Augmentation& policy) {
  nb::dict fields;
  visit_fields([&](const char* name, auto member, const char*) { fields[name] = to_python(policy, policy.*member); });
  return fields;
}

/// What differs from the defaults alone: a policy has 23 fields.
std::string repr(const Augmentation& policy) {
  Augmentation plain;
  plain.channels = policy.channels;
  std::string text;
  visit_fields([&](const char* name, auto member, const char*) {
    const nb::object value = to_python(policy, policy.*member);
    const bool needed = std::string(name) == "size" || std::string(name) == "channels";
    if (!needed && value.equal(to_python(plain, plain.*member))) return;
    text += (text.empty() ? "" : ", ") + std::string(name) + "=" + nb::cast<std::string>(nb::repr(value));
  });
  return "Policy(" + text + ")";
}

std::string class_doc() {
  std::string text =
      "Policy(**fields)\n\n"
      "Which random views simclr.augment and simclr.Views make of pictures:\n"
      "crop -> resize -> flip -> rotate -> colour jitter -> grayscale -> blur -> normalise.\n\n"
      "Fields that are not given have the library's defaults. Named recipes are Policy.simclr(size) and\n"
      "Policy.simclr_cifar(); change one by replace(). A float is kept in 32 bits. Raises InputError for an\n"
      "unknown field, a value of another type and one out of its range. Fields and defaults:\n\n";
  const Augmentation plain;
  visit_fields([&](const char* name, auto member, const char* what) {
    const auto value = nb::cast<std::string>(nb::repr(to_python(plain, plain.*member)));
    text += std::string(name) + " = " + value + "\n    " + what + "\n";
  });
  return text;
}

void bind_copies(nb::class_<Augmentation>& policy) {
  policy.def("__copy__", [](const Augmentation& self) { return self; });
  policy.def("__deepcopy__", [](const Augmentation& self, nb::handle) { return self; });
  policy.def("__getstate__", &fields_of);
  policy.def("__setstate__", [](Augmentation& self, const nb::dict& fields) {
    Augmentation made;
    set_fields(made, fields);
    new (&self) Augmentation(made);
  });
}

}  // namespace

void bind_policy(nb::module_& m) {
  static const std::string doc = class_doc();
  nb::class_<Augmentation> policy(m, "Policy", doc.c_str());
  policy.def(
      "__init__",
      [](Augmentation* self, const nb::args& unnamed, const nb::kwargs& fields) {
        check_by_name(unnamed);
        Augmentation made;
        set_fields(made, fields);
        new (self) Augmentation(made);
      },
      nb::sig("def __init__(self, **fields) -> None"));
  visit_fields([&](const char* name, auto member, const char* what) {
    policy.def_prop_rw(
        name, [member](const Augmentation& self) { return to_python(self, self.*member); },
        [member, name](Augmentation& self, nb::handle to) { set(self, name, self.*member, to); },
        nb::for_setter(nb::arg("value").none()), what);
  });
  policy.def_static(
      "simclr",
      [](nb::handle size) {
        Augmentation sized;
        set(sized, "size", sized.size, size);
        return Augmentation::simclr(sized.size);
      },
      nb::arg("size").none(), nb::sig("def simclr(size: int) -> Policy"),
      "The paper's policy for photographs (arXiv 2002.05709, appendix A): colour views of size x size.");
  policy.def_static("simclr_cifar", &Augmentation::simclr_cifar,
                    "The paper's policy for CIFAR (appendix B.9): 32 x 32, weaker jitter, no blur.");
  policy.def(
      "evaluation", [](const Augmentation& self) { return self.evaluation(); },
      "The same size, channels, interpolation, mean and stddev without randomness: what an encoder trained with\n"
      "this policy is to be evaluated with.");
  policy.def(
      "replace",
      [](const Augmentation& self, const nb::args& unnamed, const nb::kwargs& changes) {
        check_by_name(unnamed);
        Augmentation made = self;
        set_fields(made, changes);
        return made;
      },
      nb::sig("def replace(self, **fields) -> Policy"),
      "replace(**fields): a copy with these fields changed. Raises as the constructor does.");
  policy.def("to_dict", &fields_of, "All fields by name: Policy(**policy.to_dict()) is the same policy.");
  policy.def(
      "check", [](const Augmentation& self) { check(self); },
      "Raises InputError, naming the field, where the policy asks for the impossible.");
  policy.def("__repr__", &repr);
  policy.def("__eq__", [](const Augmentation& a, nb::handle b) {
    return nb::isinstance<Augmentation>(b) && fields_of(a).equal(fields_of(nb::cast<const Augmentation&>(b)));
  });
  policy.attr("__hash__") = nb::none();  // it can be changed
  bind_copies(policy);
}

}  // namespace simclr::python
