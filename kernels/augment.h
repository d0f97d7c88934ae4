#pragma once

#include <simclr/core/random.h>
#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <cstdint>

/// SimCLR's random augmentation, from u8, u16 or f32 pictures of any size to normalised views, in one call:
///   crop -> resize -> flip -> rotate -> colour jitter (four operations in random order, clipped to [0,1]
///   after each) -> grayscale -> blur -> normalise
/// A pixel is a number in [0,1]: u8 counts in 255ths, u16 in 65535ths; f32 is taken as it is, and clipped to [0,1] once
/// it is resized (NaN and what infinities make become 0 or 1: whoever reads pictures refuses it).
/// Every random number is a function of (seed, sample, epoch, view), see core/random.h.
namespace simclr::kernels {

/// The most channels of a view.
inline constexpr std::int32_t most_channels = 16;

/// Whether views of so many channels are grey or RGB; those of any other count have channels of any meaning.
SIMCLR_HOST_DEVICE constexpr bool is_colour(std::int64_t channels) {
  return channels == 1 || channels == 3;
}

/// What white is in a picture whose values are of this type.
template <class P>
inline constexpr float white_of = 1.0f;
template <>
inline constexpr float white_of<std::uint8_t> = 255.0f;
template <>
inline constexpr float white_of<std::uint16_t> = 65535.0f;

/// body(P{}) with the type of a picture's values. Throws Error for a dtype that no picture has.
template <class Body>
decltype(auto) dispatch_values(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::u8: return body(std::uint8_t{});
    case DType::u16: return body(std::uint16_t{});
    case DType::f32: return body(float{});
    default: fail("augment: pictures hold u8, u16 or f32, not ", dtype);
  }
}

enum class Interpolation : std::int32_t { bilinear = 0, bicubic = 1 };

/// For AugmentPolicy::blur_kernel: as many taps as weigh anything, at most half a view to each side, and beyond an edge
/// its own pixel again, as in Pillow; other kernels mirror what is inside, as in torchvision. Pillow itself stands
/// three box filters for the bell and rounds to 8 bits: by 0.2 % of white its views differ, by 5 % at hard edges.
inline constexpr std::int32_t whole_kernel = -1;

/// Which transforms, how often and how strong. Probabilities in [0,1]; a probability of 0 switches a
/// transform off. Plain data: a CUDA kernel takes it by value.
struct AugmentPolicy {
  std::int32_t size = 32;     // S: views are S x S pixels
  std::int32_t channels = 3;  // C of the views, 1 to 16: grey, RGB, or channels of any meaning, see ImageRef

  // Random resized crop: area as a share of the picture, aspect ratio log-uniform. Off: the largest centred
  // square is resized (evaluation).
  bool random_crop = true;
  float crop_area_min = 0.08f, crop_area_max = 1.0f;
  float crop_aspect_min = 3.0f / 4.0f, crop_aspect_max = 4.0f / 3.0f;
  Interpolation interpolation = Interpolation::bilinear;

  float flip_probability = 0.5f;

  float rotation_probability = 0.0f;
  float rotation_degrees = 0.0f;  // angle uniform in +- this; corners are filled with 0

  float jitter_probability = 0.8f;
  float brightness = 0.0f, contrast = 0.0f, saturation = 0.0f;  // factor uniform in [max(0, 1-x), 1+x]
  float hue = 0.0f;                                             // shift uniform in [-x, x], x at most 0.5

  float grayscale_probability = 0.2f;

  float blur_probability = 0.0f;
  float blur_sigma_min = 0.1f, blur_sigma_max = 2.0f;
  std::int32_t blur_kernel = 0;  // taps, odd; 0: a tenth of S, made odd; whole_kernel: see above

  float mean[most_channels] = {};  // y = (x - mean) / stddev, x in [0,1], of each channel
  float stddev[most_channels] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
};

/// The transforms of one view, drawn.
struct AugmentParameters {
  std::int32_t crop_top = 0, crop_left = 0, crop_height = 0, crop_width = 0;  // pixels of the source
  std::int32_t flip = 0;
  std::int32_t rotate = 0;
  float angle = 0.0f;  // degrees, counter-clockwise
  std::int32_t jitter = 0;
  std::int32_t order[4] = {0, 1, 2, 3};  // of 0 brightness, 1 contrast, 2 saturation, 3 hue
  float brightness = 1.0f, contrast = 1.0f, saturation = 1.0f, hue = 0.0f;
  std::int32_t grayscale = 0;
  std::int32_t blur = 0;
  float sigma = 0.0f;  // pixels
};

/// Draws a view's transforms for a picture of the given size. Compiled alike for every device, with
/// contraction off and no library transcendental, so that boxes, orders and flags are identical. The slots are
/// listed in shared/augment_parameters.h. What does not happen keeps its neutral value (angle 0, factors 1, sigma 0).
SIMCLR_API AugmentParameters draw_augment_parameters(const AugmentPolicy& policy, std::int32_t height,
                                                     std::int32_t width, std::uint64_t seed, std::uint32_t sample,
                                                     std::uint32_t epoch, std::uint32_t view);

/// One picture in an arena of values: [height,width,channels], channels interleaved, its first value at `offset`. What
/// its channels are follows from the views'. For views of 1 or 3, which are grey or RGB: 1 channel is grey (copied into
/// all channels of a colour view); 3 is RGB (a grey view takes its luma, 0.299 R + 0.587 G + 0.114 B); 4 is RGB with
/// alpha, laid over white. Views of any other C take pictures of C channels as they are, without colour or alpha: each
/// channel is made as if it were a grey picture, all by the same transforms, and contrast turns about its own mean.
struct ImageRef {
  std::int64_t offset = 0;
  std::int32_t height = 0, width = 0, channels = 0;
  std::uint32_t sample = 0;  // the picture's id in its data set: keys the random numbers
};

/// Applies drawn parameters to one picture on the host: view [S,S,C] f32, written to `out`. `pixels` is the
/// picture's own first value: the arena's data plus `picture.offset`, which is not added here. For speed the policy is
/// taken as checked; throws Error for an impossible picture or a crop that leaves it.
SIMCLR_API void augment_picture(const std::uint8_t* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                                const AugmentParameters& parameters, float* out);
SIMCLR_API void augment_picture(const std::uint16_t* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                                const AugmentParameters& parameters, float* out);
SIMCLR_API void augment_picture(const float* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                                const AugmentParameters& parameters, float* out);

struct AugmentKey {
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  std::int32_t views = 2;    // views v = 0 .. views-1 of each picture
  Tensor device_epoch = {};  // i32 [1] beside the pictures, optional: the epoch instead of `epoch`, read when the work
                             // runs, so that a captured step replays truly (on the CPU: at the call)
};

/// views[v * B + i] = view v of picture index[i]. `pixels` [n], u8, u16 or f32, is the arena; `refs` u8 [count *
/// sizeof(ImageRef)] holds its ImageRefs; index i32 [B]; views [views * B, S, S, C], f32 or, on a GPU, bf16.
/// The CPU throws Error for an index without a picture, an impossible picture and one that leaves the arena. A GPU,
/// which cannot look at them without waiting, makes NaN of their views and reads nothing out of bounds; refs start at
/// a multiple of 8 bytes there.
SIMCLR_API Tensor augment(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                          const AugmentKey& key, DType dtype = DType::f32);

/// What `augment` draws for its views: u8 [views * B * sizeof(AugmentParameters)], the parameters of view v of picture
/// index[i] at v * B + i. The same bits on every device. Errors are those of `augment`; on a GPU an index without a
/// picture and an impossible size have parameters without a crop, all neutral.
SIMCLR_API Tensor augment_parameters(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                                     const AugmentKey& key);

/// Throws Error when a policy asks for the impossible; names the field.
SIMCLR_API void check(const AugmentPolicy& policy);

struct AugmentKernels {
  Kernel<"augment", void(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                         const Tensor& parameters, Tensor& views)>
      augment;
  Kernel<"augment draw", void(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                              const AugmentKey& key, Tensor& parameters)>
      draw;
};

SIMCLR_API extern const Slot<AugmentKernels> augment_slot;

}  // namespace simclr::kernels
