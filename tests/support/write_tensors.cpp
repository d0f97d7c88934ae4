// Writes a file with tensors of every kind, which test_torchvision.py reads with the safetensors package.
#include <simclr/core/serialize.h>

#include <vector>

using simclr::DType;
using simclr::Tensor;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::vector<float> values = {0.0f, -1.5f, 3.25f, 1e30f, -0.0f, 7.0f};
  const Tensor numbers = Tensor::from(values, {2, 3});
  simclr::save_tensors(argv[1],
                       {{"u8", Tensor::from(std::vector<std::uint8_t>{0, 1, 127, 255}, {4})},
                        {"bf16", numbers.to(DType::bf16)},
                        {"f32", numbers},
                        {"i32", Tensor::from(std::vector<std::int32_t>{-2147483647, 0, 2147483647}, {3, 1})},
                        {"f64", numbers.to(DType::f64)},
                        {"scalar", Tensor::full({}, 2.5)},
                        {"empty", Tensor::empty({0, 5})},
                        {"empty in the middle", Tensor::empty({2, 0, 3}, DType::u8)},
                        {"six dimensions", Tensor::full({1, 2, 1, 3, 1, 2}, 4.0)},
                        {"größe \"quoted\" / \\", Tensor::full({1}, 1.0)}},
                       {{"format", "simclr"}, {"config", "{\"a\": [1, \"b\"]}"}, {"ключ", "line\nbreak\t\"\\"}});
}
