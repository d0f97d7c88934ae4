// What a module is given: views with their lengths and keys.

#include <simclr/core/input.h>
#include <simclr/nn/module.h>

#include "support/catch.h"

#include <vector>

using namespace simclr;

TEST_CASE("an input's rows, copies and devices take lengths and keys along") {
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2});
  const Input plain = x;  // a tensor converts
  CHECK(plain.rows() == 3);
  CHECK_FALSE(plain.lengths.defined());
  CHECK_FALSE(plain.narrow(1, 2).keys.defined());
  const Input input(x, Tensor::from(std::vector<std::int32_t>{2, 1, 2}, {3}),
                    Tensor::from(std::vector<std::int32_t>{7, 0, 0, 8, 0, 0, 9, 0, 1}, {3, 3}));
  const Input rows = input.narrow(1, 2);
  CHECK(rows.x.to_vector<float>() == std::vector<float>{3, 4, 5, 6});
  CHECK(rows.lengths.to_vector<std::int32_t>() == std::vector<std::int32_t>{1, 2});
  CHECK(rows.keys.to_vector<std::int32_t>() == std::vector<std::int32_t>{8, 0, 0, 9, 0, 1});
  const Input copy = input.clone(), there = input.to(Device{});
  CHECK(copy.keys.raw_data() != input.keys.raw_data());
  CHECK(copy.lengths.to_vector<std::int32_t>() == input.lengths.to_vector<std::int32_t>());
  CHECK(there.x.same_as(input.x));
}

TEST_CASE("a module's call is noted with the input as it was given") {
  struct Inner : nn::Module {
    Tensor lengths, outer_keys;
    Tensor forward(const Input& input) override {
      lengths = input.lengths;
      outer_keys = nn::ModuleCall::innermost()->outer()->input().keys;
      return input.x;
    }
  };
  struct Outer : nn::Module {
    std::shared_ptr<Inner> inner = add_module("inner", std::make_shared<Inner>());
    Tensor forward(const Input& input) override { return (*inner)(input); }
  } outer;
  const Input input(Tensor::zeros({2, 3}), Tensor::zeros({2}, DType::i32), Tensor::zeros({2, 3}, DType::i32));
  CHECK(outer(input).same_as(input.x));
  CHECK(outer.inner->lengths.same_as(input.lengths));
  CHECK(outer.inner->outer_keys.same_as(input.keys));
}
