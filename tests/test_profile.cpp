// What a Profile counts: the kernels of its thread by name, nothing twice, and times that add up to the steps'.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/core/profile.h>
#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/nn/functional.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>

using namespace simclr;
using Catch::Contains;
using test::random_tensor;

namespace {

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/// Convolution, batch norm with ReLU, pooling; forward and backward.
void step(const Tensor& x, const Tensor& w, const Tensor& gamma, const Tensor& beta) {
  const Tensor y = nn::batchnorm(nn::conv2d(x, w, {.padding = 1}), gamma, beta, {}, {}, {}, {.relu = true});
  nn::sum(nn::global_average_pool(y)).backward();
}

std::map<std::string, Profile::Line> by_name(const Profile& profile) {
  std::map<std::string, Profile::Line> lines;
  for (const Profile::Line& line : profile.lines()) lines.emplace(line.name, line);
  return lines;
}

}  // namespace

TEST_CASE("a profile names and counts the kernels of a step") {
  const Tensor x = random_tensor({2, 6, 6, 3}, 1, DType::f32);
  Tensor w = random_tensor({4, 3, 3, 3}, 2, DType::f32), gamma = random_tensor({4}, 3, DType::f32),
         beta = random_tensor({4}, 4, DType::f32);
  for (Tensor* parameter : {&w, &gamma, &beta}) parameter->set_requires_grad();
  Profile profile({}, 1);
  for (int i = 0; i < 3; ++i) {
    step(x, w, gamma, beta);
    profile.end_step();
  }
  CHECK(profile.steps() == 2);  // the first warms up
  const auto lines = by_name(profile);
  for (const char* name :
       {"conv2d forward", "conv2d backward weights", "batchnorm sums", "batchnorm apply", "batchnorm backward sums",
        "batchnorm backward data", "average pool forward", "average pool backward", "sum", "other"}) {
    INFO(name);
    REQUIRE(lines.count(name) == 1);
    CHECK(lines.at(name).calls == 2);
  }
  CHECK(lines.count("conv2d backward data") == 0);  // nobody wants the gradient of x

  double sum = 0;
  for (const auto& [name, line] : lines) {
    CHECK(line.seconds >= 0);
    sum += line.seconds;
  }
  CHECK(sum == Approx(profile.seconds()));
  CHECK(profile.lines().back().name == "other");
}

TEST_CASE("a profile's table has a line for each kernel, the longest first") {
  Profile profile({}, 0);
  CHECK_THAT(profile.table(), Contains("no step"));
  {
    const ProfileScope scope("short");
    sleep_ms(2);
  }
  for (int i = 0; i < 2; ++i) {
    const ProfileScope scope("long");
    sleep_ms(10);
  }
  sleep_ms(5);
  profile.end_step();
  const std::string table = profile.table();
  INFO(table);
  CHECK_THAT(table, Contains("steps: 1") && Contains("2.0") && Contains("100.0 %"));
  const auto at = [&table](const char* word) { return table.find(word); };
  CHECK(at("long") < at("short"));
  CHECK(at("short") < at("other"));
  CHECK(at("other") < at("all "));
  CHECK(std::count(table.begin(), table.end(), '\n') == 4);
  CHECK(by_name(profile).at("other").seconds >= 0.004);
}

TEST_CASE("a profile counts only its own thread's steps, and an inner scope as the outer") {
  const Tensor x = random_tensor({8}, 1, DType::f32);
  Profile profile({}, 0);
  {
    const ProfileScope outer("outer");
    kernels::scale(x, 2.0);
  }
  std::thread([&x] { kernels::multiply(x, x); }).join();
  profile.end_step();
  kernels::add(x, x);  // between two steps
  profile.leave_out();
  profile.end_step();
  CHECK(by_name(profile).size() == 2);  // with "other"
  CHECK(by_name(profile).at("outer").calls == 1);
  CHECK(profile.steps() == 2);
}

TEST_CASE("profiles do not nest, and end with their lives") {
  {
    const Profile profile({});
    CHECK_THAT(test::message_of([] { Profile second({}); }), Contains("do not nest"));
  }
  const Tensor x = random_tensor({8}, 1, DType::f32);
  kernels::scale(x, 2.0);  // nobody counts
  Profile profile({}, 0);
  profile.end_step();
  CHECK(by_name(profile).size() == 1);
}
