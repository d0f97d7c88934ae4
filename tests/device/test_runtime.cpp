// Contexts, memory and captured steps of the device.
#include "support/device.h"
#include "support/message_of.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/elementwise.h>

using namespace simclr;
using Catch::Contains;

DEVICE_TEST_CASE("a device has one context, and says which numbers there are") {
  const Device device = test::device();
  CHECK(&Context::of(device) == &Context::of(device));
  CHECK(Context::of(device).device() == device);
  CHECK_THAT(test::message_of([&] { Context::of({device.type, 99}); }), Contains("numbered from 0"));
  CHECK_NOTHROW(Context::of(device).synchronize());
}

DEVICE_TEST_CASE("released memory is used again: many steps hold no more than one") {
  Allocator& allocator = Context::of(test::device()).allocator();
  const Tensor x = test::random_both({1000, 33}, 1, DType::f32).on_device;
  const auto step = [&] { return kernels::sum(kernels::relu_forward(kernels::scale(x, 2.0))); };
  const double expected = step().item();
  const std::size_t before = allocator.stats().reserved;
  for (int i = 0; i < 20; ++i) CHECK(step().item() == expected);
  CHECK(allocator.stats().reserved == before);
}

DEVICE_TEST_CASE("an allocation that cannot be served says how much, where, and what to do") {
  const auto ask = [] { Tensor::empty({std::int64_t{1} << 50}, DType::f32, test::device()); };
  CHECK_THROWS_AS(ask(), OutOfMemory);
  const std::string message = test::message_of(ask);
  CHECK_THAT(message, Contains("out of memory on " + to_string(test::device())) && Contains("4503599627370496 bytes"));
  CHECK_NOTHROW(Tensor::zeros({10}, DType::f32, test::device()));
}

DEVICE_TEST_CASE("a captured step reads what device memory holds at each replay") {
  Tensor x = Tensor::full({100}, 1.0, DType::f32, test::device());
  Tensor total = Tensor::zeros({}, DType::f32, test::device());
  const auto step = [&] { total.copy_from(kernels::sum(kernels::scale(x, 0.5))); };
  step();
  x.fill(3);
  CapturedStep captured(test::device(), step);
  CHECK(total.item() == 50);  // nothing ran
  for (const double value : {2.0, -4.0}) {
    x.fill(value);
    captured.replay();
    CHECK(total.item() == 50 * value);
  }
  // What others allocate meanwhile is not the captured step's.
  const Tensor other = Tensor::full({100}, 7.0, DType::f32, test::device());
  captured.replay();
  for (const double value : other.to_vector<double>()) CHECK(value == 7.0);
}

DEVICE_TEST_CASE("an upload brings the values that there were when it started") {
  for (const std::int64_t n : {1, 1003, 1 << 20}) {
    Tensor values = test::random_tensor({n}, 5, DType::f32);
    const Tensor copy = values.clone();
    Upload upload(test::device());
    upload.start(values);
    values.fill(-1);
    Tensor there = Tensor::zeros({n}, DType::f32, test::device());
    upload.finish(there);
    CHECK(test::same_bits(there.to(Device{}), copy));
    upload.start(values);  // two at once
    upload.start(copy);
    CHECK(upload.under_way() == 2);
    upload.finish(there);
    CHECK(test::same_bits(there.to(Device{}), values));
    upload.finish(there);
    CHECK(test::same_bits(there.to(Device{}), copy));
    upload.start(values);  // given up: its memory may be used again
    upload = Upload(test::device());
    CHECK(upload.under_way() == 0);
  }
  Upload upload(test::device());
  Tensor none = Tensor::zeros({0, 3}, DType::f32, test::device());
  upload.start(Tensor::zeros({0, 3}));
  upload.finish(none);
}

DEVICE_TEST_CASE("uploads run ahead of the steps, and each step gets its batch") {
  Upload upload(test::device());
  Tensor input = Tensor::zeros({3, 50}, DType::f32, test::device());
  Tensor total = Tensor::zeros({}, DType::f32, test::device());
  const auto step = [&] { total.copy_from(kernels::sum(kernels::scale(input, 2.0))); };
  step();
  CapturedStep captured(test::device(), step);
  const auto start = [&](std::int64_t rows, int batch) {
    Tensor values = Tensor::full({rows, 50}, batch);
    upload.start(values);
    values.fill(-1);
  };
  start(3, 0);
  for (int batch = 0; batch < 8; ++batch) {
    upload.finish(input);
    captured.replay();
    start(3, batch + 1);
    CHECK(total.item() == 300 * batch);
  }
  upload.finish(input);
  Tensor few = Tensor::zeros({1, 50}, DType::f32, test::device());  // other sizes between
  start(1, 20);
  start(3, 21);
  upload.finish(few);
  upload.finish(input);
  CHECK(kernels::sum(few).item() == 1000);
  captured.replay();
  CHECK(total.item() == 300 * 21);
}

DEVICE_TEST_CASE("an upload that cannot be is refused in a line") {
  Upload upload(test::device());
  Tensor there = Tensor::zeros({2}, DType::f32, test::device());
  const Tensor values = Tensor::zeros({2});
  CHECK_THAT(test::message_of([&] { upload.start(there); }), Contains("values come from the CPU"));
  CHECK(test::message_of([&] { upload.finish(there); }) == "upload: none is under way; call start() first");
  upload.start(values);
  upload.start(values);
  CHECK(test::message_of([&] { upload.start(values); }) == "upload: two are under way; call finish() first");
  Tensor other = Tensor::zeros({3}, DType::f32, test::device());
  CHECK_THAT(test::message_of([&] { upload.finish(other); }), Contains("f32 [3]") && Contains("for f32 [2]"));
  CHECK_THAT(test::message_of([&] { CapturedStep(test::device(), [&] { upload.finish(there); }); }),
             Contains("upload: a captured step must neither start nor finish one"));
  upload.finish(there);
  CHECK_THAT(test::message_of([&] { CapturedStep(test::device(), [&] { upload.start(values); }); }),
             Contains("upload: a captured step must neither start nor finish one"));
  upload.finish(there);
}

DEVICE_TEST_CASE("a captured step that waits for the device is refused, and the device goes on") {
  const Tensor x = Tensor::full({4}, 1.0, DType::f32, test::device());
  CHECK_THAT(test::message_of([&] { CapturedStep(test::device(), [&] { kernels::sum(x).item(); }); }),
             Contains("which a captured step must not"));
  CHECK_THAT(
      test::message_of([&] { CapturedStep(test::device(), [&] { Context::of(test::device()).synchronize(); }); }),
      Contains("which a captured step must not"));
  CHECK(kernels::sum(x).item() == 4);
}

DEVICE_TEST_CASE("a captured step that copies from the host is refused, and the device goes on") {
  Tensor x = Tensor::full({4}, 1.0, DType::f32, test::device());
  for (const DType dtype : {DType::f32, DType::f64}) {  // f64 is converted first
    const Tensor host = Tensor::full({4}, 2.0, dtype);
    const auto step = [&] { x.copy_from(host); };
    const std::string message = test::message_of([&] { CapturedStep(test::device(), step); });
    CHECK_THAT(message, Contains("must not read host memory") && Contains("before the capture"));
  }
  const std::vector<std::int32_t> labels = {1, 2};
  const auto step = [&] { Tensor::from(labels, {2}).to(test::device()); };
  CHECK_THAT(test::message_of([&] { CapturedStep(test::device(), step); }), Contains("must not read host memory"));
  CHECK(kernels::sum(x).item() == 4);  // neither when captured nor later

  CapturedStep captured(test::device(), [&] { x.copy_from(kernels::scale(x, 3.0)); });
  x.copy_from(Tensor::full({4}, 2.0));  // beside a capture the host is free to
  captured.replay();
  CHECK(kernels::sum(x).item() == 24);
}

DEVICE_TEST_CASE("a captured step keeps what it allocated until it goes, and its results outlive it") {
  const Tensor x = Tensor::full({100}, 1.0, DType::f32, test::device());
  Tensor total;
  const auto step = [&] { total = kernels::sum(kernels::scale(x, 2.0)); };
  step();
  Allocator& allocator = Context::of(test::device()).allocator();
  const std::size_t in_use = allocator.stats().in_use;
  {
    CapturedStep captured(test::device(), step);
    std::vector<Tensor> others;
    for (int i = 0; i < 10; ++i) others.push_back(Tensor::full({100}, i, DType::f32, test::device()));
    captured.replay();
    CHECK(total.item() == 200);
    for (int i = 0; i < 10; ++i) CHECK(kernels::sum(others[static_cast<std::size_t>(i)]).item() == 100 * i);
  }
  const Tensor other = Tensor::full({}, 7.0, DType::f32, test::device());
  CHECK(total.item() == 200);
  CHECK(allocator.stats().in_use <= in_use + other.bytes() + 256);
}

// Ends the process's use of the GPU, so it is a test of its own.
TEST_CASE("a kernel's fault is one line with a remedy", "[.][fault]") {
  if (!test::has_device() || test::device().type != DeviceType::cuda) return;
  Tensor nowhere = Tensor::wrap(reinterpret_cast<void*>(0x1000), {1 << 20}, DType::f32, test::device());
  const std::string message = test::message_of([&] {
    kernels::relu_forward(nowhere);
    Context::of(test::device()).synchronize();
  });
  CHECK_THAT(message, Contains("illegal memory access") && Contains("SIMCLR_SYNC=1"));
}
