// For test_augment.py and test_views.py: views of pictures as the library's kernel and its loader make them.
//
// usage: view_tool kernel|loader PICTURES u8|u16|f32 N H W C POLICY SIZE SEED EPOCH VIEWS ID... > VIEWS_FILE
//
// PICTURES holds N pictures [H,W,C]; written are f32 [VIEWS*N,SIZE,SIZE,channels], view v of picture i at v*N+i. The
// loader's ids are the pictures' places: 0 to N-1.
#include <simclr/core/parallel.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/picture_views.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using simclr::Tensor;
namespace data = simclr::data;
namespace kernels = simclr::kernels;

struct Request {
  Tensor pictures;  // [N,H,W,C]
  data::Augmentation policy;
  kernels::AugmentKey key;
  std::vector<std::uint32_t> ids;
};

simclr::DType dtype_called(const std::string& name) {
  return name == "u8" ? simclr::DType::u8 : name == "u16" ? simclr::DType::u16 : simclr::DType::f32;
}

data::Augmentation policy_called(const std::string& name, int size, int channels) {
  if (name == "simclr") return data::Augmentation::simclr(size);
  if (name == "simclr_cifar") return data::Augmentation::simclr_cifar();
  data::Augmentation grey = data::Augmentation::simclr(size);  // "channels": as many as the pictures have
  grey.channels = channels;
  return grey;
}

Tensor read(const std::string& path, simclr::DType dtype, const simclr::Shape& shape) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  Tensor pictures = Tensor::empty(shape, dtype);
  SIMCLR_CHECK(bytes.size() == pictures.bytes(), path, ": ", bytes.size(), " bytes, not ", pictures.bytes());
  std::memcpy(pictures.raw_data(), bytes.data(), bytes.size());
  return pictures;
}

Tensor by_kernel(const Request& request) {
  const Tensor& x = request.pictures;
  std::vector<kernels::ImageRef> refs;
  std::vector<std::int32_t> index;
  for (std::int64_t i = 0; i < x.dim(0); ++i) {
    refs.push_back({.offset = i * x.numel() / x.dim(0),
                    .height = static_cast<std::int32_t>(x.dim(1)),
                    .width = static_cast<std::int32_t>(x.dim(2)),
                    .channels = static_cast<std::int32_t>(x.dim(3)),
                    .sample = request.ids[static_cast<std::size_t>(i)]});
    index.push_back(static_cast<std::int32_t>(i));
  }
  std::vector<std::uint8_t> packed(refs.size() * sizeof(kernels::ImageRef));
  std::memcpy(packed.data(), refs.data(), packed.size());
  return kernels::augment(x.reshape({x.numel()}), Tensor::from(packed, {std::ssize(packed)}),
                          Tensor::from(index, {std::ssize(index)}), request.policy, request.key);
}

Tensor by_loader(const Request& request) {
  const std::int64_t count = request.pictures.dim(0);
  const std::shared_ptr<const data::Dataset> samples = data::memory_dataset(
      {request.pictures, std::vector<std::int32_t>(static_cast<std::size_t>(count), -1), {}, "pictures"});
  const data::Tower tower = {std::make_shared<data::PictureViews>(request.policy), request.key.views};
  const data::Loader loader(samples, {tower}, {.batch_size = count, .shuffle = false, .seed = request.key.seed});
  for (const data::Batch& batch : loader.epoch(request.key.epoch)) return batch.towers.at(0).x.clone();
  simclr::fail("the loader has no batch");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> a(argv + 1, argv + argc);
    const auto number = [&](std::size_t i) { return std::stoll(a.at(i)); };
    Request request;
    request.pictures = read(a.at(1), dtype_called(a.at(2)), {number(3), number(4), number(5), number(6)});
    request.policy = policy_called(a.at(7), static_cast<int>(number(8)), static_cast<int>(number(6)));
    request.key = {.seed = std::stoull(a.at(9)),
                   .epoch = static_cast<std::uint32_t>(number(10)),
                   .views = static_cast<std::int32_t>(number(11))};
    for (std::size_t i = 12; i < a.size(); ++i) request.ids.push_back(static_cast<std::uint32_t>(number(i)));
    simclr::set_threads(1);
    const Tensor views = a.at(0) == "loader" ? by_loader(request) : by_kernel(request);
    std::fwrite(views.raw_data(), 1, views.bytes(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
