// simclr.augment: views of pictures, on all cores. simclr/_augment.py prepares what it is given.
#include "policy.h"
#include "signals.h"

#include <nanobind/stl/vector.h>
#include <simclr/core/parallel.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/picture_views.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace simclr::python {
namespace {

Tensor pixels_of(nb::handle array) {
  return as_tensor(array, "images", {DType::u8, DType::u16, DType::f32});
}

/// The picture whose first value is at `begin`; the tensor that holds it lives longer.
data::Sample picture_at(const Tensor& pixels, const std::byte* begin, const Shape& shape) {
  data::Sample sample;
  sample.shape = shape;
  sample.dtype = pixels.dtype();
  sample.bytes = {begin, static_cast<std::size_t>(shape.numel()) * size_of(pixels.dtype())};
  return sample;
}

/// Of [N,H,W,C].
std::vector<data::Sample> pictures_of_batch(const Tensor& images) {
  SIMCLR_CHECK(images.rank() == 4, "augment: images has shape ", images.shape(), ", and pictures are [N,H,W,C]");
  const Shape shape = {images.dim(1), images.dim(2), images.dim(3)};
  std::vector<data::Sample> pictures;
  const auto* begin = static_cast<const std::byte*>(images.raw_data());
  for (std::int64_t i = 0; i < images.dim(0); ++i) {
    pictures.push_back(picture_at(images, begin, shape));
    begin += pictures.back().bytes.size();
  }
  return pictures;
}

/// What names the views' random numbers.
struct Keys {
  std::uint64_t seed;
  std::vector<std::uint32_t> ids;  // of the pictures
  std::uint32_t epoch;
  std::vector<std::uint32_t> views;
};

/// f32 [V,N,S,S,C]: view views[v] of picture i at [v,i].
Tensor make_views(const std::vector<data::Sample>& pictures, const data::Augmentation& policy, const Keys& keys,
                  bool one_thread) {
  const data::PictureViews maker(policy);
  const auto count = std::ssize(pictures), views = std::ssize(keys.views);
  SIMCLR_CHECK(std::ssize(keys.ids) == count, "augment: ", keys.ids.size(), " ids for ", count,
               " pictures; give one each");
  const Shape view = maker.view_shape();  // of its own copy of the policy, which other threads may set
  const auto poll = signals();
  const Computing computing;
  Tensor out = Tensor::empty({views, count, view[0], view[1], view[2]});
  const std::int64_t values = view.numel();
  constexpr std::int64_t small = 4096;  // values of a view that takes some 10 us
  std::optional<SerialScope> alone;
  if (one_thread) alone.emplace();
  parallel_for(views * count, values <= small ? 4 : 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      poll();
      const auto i = static_cast<std::size_t>(row % count), v = static_cast<std::size_t>(row / count);
      maker.make_view(pictures[i], {keys.seed, keys.ids[i], keys.epoch, keys.views[v]},
                      reinterpret_cast<std::byte*>(out.data<float>() + row * values));
    }
  });
  return out;
}

nb::object augment_batch(nb::handle images, const data::Augmentation& policy, const Keys& keys, bool one_thread) {
  const Tensor pixels = pixels_of(images);
  return to_array(make_views(pictures_of_batch(pixels), policy, keys, one_thread), Framework::numpy);
}

nb::object augment_list(const nb::list& images, const data::Augmentation& policy, const Keys& keys, bool one_thread) {
  std::vector<Tensor> pixels;
  std::vector<data::Sample> pictures;
  for (nb::handle image : images) {
    pixels.push_back(pixels_of(image));
    const Tensor& last = pixels.back();
    pictures.push_back(picture_at(last, static_cast<const std::byte*>(last.raw_data()), last.shape()));
  }
  return to_array(make_views(pictures, policy, keys, one_thread), Framework::numpy);
}

}  // namespace

void bind_augment(nb::module_& m) {
  bind_policy(m);
  m.def(
      "augment",
      [](nb::handle images, const data::Augmentation& policy, std::uint64_t seed, std::vector<std::uint32_t> ids,
         std::uint32_t epoch, std::vector<std::uint32_t> views, bool one_thread) {
        const Keys keys = {seed, std::move(ids), epoch, std::move(views)};
        return nb::isinstance<nb::list>(images) ? augment_list(nb::cast<nb::list>(images), policy, keys, one_thread)
                                                : augment_batch(images, policy, keys, one_thread);
      },
      nb::arg("images"), nb::arg("policy"), nb::arg("seed"), nb::arg("ids"), nb::arg("epoch"), nb::arg("views"),
      nb::arg("one_thread"),
      nb::sig("def augment(images: object, policy: Policy, seed: int, ids: Sequence[int], "
              "epoch: int, views: Sequence[int], one_thread: bool) -> numpy.ndarray"),
      "simclr.augment() with its arguments prepared: float32 [V,N,S,S,C] of an array [N,H,W,C] or a list of [H,W,C].");
}

}  // namespace simclr::python
