// ONNX files: the wire format, byte by byte, what is refused, and that no file is lost. That they compute what the
// library does: test_onnx.py.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <simclr/nn/onnx.h>
#include <simclr/nn/onnx_graph.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/token_encoder.h>
#include <simclr/nn/transformer.h>
#include <simclr/nn/video_resnet.h>

#include <cmath>
#include <fstream>
#include <limits>

using namespace simclr;
using namespace std::string_literals;
using Catch::Matchers::Contains;
using nn::onnx::ElementType;
using nn::onnx::Message;
using test::message_of;

namespace {

/// A field of a message as the wire format's description has it (protobuf.dev, "Encoding").
struct Field {
  std::uint64_t number = 0, wire = 0, value = 0;
  std::string bytes = {};
};

std::uint64_t read_varint(const std::string& content, std::size_t& at) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(content.at(at++));
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

std::vector<Field> fields_of(const std::string& content) {
  std::vector<Field> fields;
  for (std::size_t at = 0; at < content.size();) {
    const std::uint64_t tag = read_varint(content, at);
    Field field{.number = tag >> 3, .wire = tag & 7};
    if (field.wire == 0) {
      field.value = read_varint(content, at);
    } else {
      const std::uint64_t length = field.wire == 5 ? 4 : read_varint(content, at);
      REQUIRE((field.wire == 2 || field.wire == 5));
      REQUIRE(length <= content.size() - at);
      field.bytes = content.substr(at, length);
      at += length;
    }
    fields.push_back(field);
  }
  return fields;
}

/// The fields of a number, all messages or strings.
std::vector<std::string> all(const std::string& content, std::uint64_t number) {
  std::vector<std::string> found;
  for (const Field& field : fields_of(content)) {
    if (field.number == number) found.push_back(field.bytes);
  }
  return found;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::shared_ptr<nn::ResNet> small() {
  return nn::resnet18({.width = 2});
}

class Unknown : public nn::Module {
 public:
  Tensor forward(const Input& input) override { return input.x; }
};

}  // namespace

TEST_CASE("The wire format's integers, floats and bytes", "[onnx]") {
  Message message;
  message.number(1, 300);
  message.number(16, 0);
  message.number(2, -1);
  message.real(3, 1.5f);
  message.bytes(4, "ab");
  message.bytes(5, "");
  CHECK(message.content() == "\x08\xac\x02"s + "\x80\x01\x00"s + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s +
                                 "\x1d\x00\x00\xc0\x3f"s + "\x22\x02" + "ab" + "\x2a\x00"s);
  Message longer;
  longer.bytes(1, std::string(200, 'x'));
  CHECK(longer.content() == "\x0a\xc8\x01"s + std::string(200, 'x'));
}

TEST_CASE("A graph of one node, field by field", "[onnx]") {
  nn::onnx::Graph graph;
  graph.input("input", ElementType::f32, {"N", std::int64_t{2}});
  const std::string weight = graph.initializer("fc.weight", Tensor::from(std::vector<float>{1, -2}, {1, 2}));
  const std::string y = graph.add("fc", "Gemm", {"input", weight}, {{"transB", std::int64_t{1}}, {"alpha", 0.5f}});
  CHECK(y == "fc/Gemm");
  graph.output(y, "features", ElementType::f32, {"N", std::int64_t{1}});
  const std::string model = graph.model({{"key", "value"}});

  const std::vector<Field> fields = fields_of(model);
  REQUIRE(fields.size() == 6);
  CHECK((fields[0].number == 1 && fields[0].value == 8));                             // ir_version
  CHECK((fields[1].number == 2 && fields[1].bytes == "libsimclr"));                   // producer_name
  CHECK(fields[2].number == 3);                                                       // producer_version
  CHECK((fields[4].number == 8 && fields[4].bytes == "\x0a\x00\x10\x11"s));           // opset_import
  CHECK((fields[5].number == 14 && fields[5].bytes == "\x0a\x03key\x12\x05value"s));  // metadata_props
  REQUIRE(fields[3].number == 7);
  const std::string& body = fields[3].bytes;

  const std::vector<std::string> nodes = all(body, 1);
  REQUIRE(nodes.size() == 1);
  CHECK(all(nodes[0], 1) == std::vector<std::string>{"input", "fc.weight"});
  CHECK(all(nodes[0], 2) == std::vector<std::string>{"features"});
  CHECK(all(nodes[0], 4) == std::vector<std::string>{"Gemm"});
  CHECK(all(nodes[0], 5) == std::vector<std::string>{"\x0a\x06transB\x18\x01\xa0\x01\x02"s,
                                                     "\x0a\x05"
                                                     "alpha\x15\x00\x00\x00\x3f\xa0\x01\x01"s});
  CHECK(all(body, 5) ==  // dims 1 and 2, FLOAT, name, raw_data
        std::vector<std::string>{"\x08\x01\x08\x02\x10\x01\x42\x09"
                                 "fc.weight\x4a\x08\x00\x00\x80\x3f\x00\x00\x00\xc0"s});
  CHECK(all(body, 11) ==  // tensor_type: FLOAT, dim_param N, dim_value 2
        std::vector<std::string>{"\x0a\x05input\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01N\x0a\x02\x08\x02"s});
}

TEST_CASE("Values of one name are told apart, and constants are kept once", "[onnx]") {
  nn::onnx::Graph graph;
  CHECK(graph.add("a", "Relu", {"x"}) == "a/Relu");
  CHECK(graph.add("a", "Relu", {"a/Relu"}) == "a/Relu_2");
  CHECK(graph.add_several("b", "GRU", 2, {"x"}) == std::vector<std::string>{"b/GRU", "b/GRU_output"});
  const std::string one = graph.integers({1});
  CHECK(graph.integers({1}) == one);
  CHECK(graph.integer(1) != one);  // of rank 0
  CHECK(graph.integers({1, 0}) != one);
  CHECK(graph.real(1) == graph.real(1));
}

TEST_CASE("What cannot be exported is refused, and leaves no file", "[onnx]") {
  const test::TempDir dir;
  const auto refused = [&](const nn::Module& module, const Shape& sample, const nn::OnnxOptions& options = {}) {
    const std::string message = message_of([&] { nn::export_onnx(module, dir.path("a.onnx"), sample, options); });
    CHECK(dir.names().empty());
    return message;
  };
  CHECK_THAT(refused(Unknown(), {4}), Contains("the module is none of what can be exported: ResNet, "));
  const auto resnet = small();
  CHECK_THAT(refused(*resnet, {8, 8}), Contains("samples are [8,8]; this encoder takes [H,W,C]"));
  CHECK_THAT(refused(*resnet, {8, 8, 0}), Contains("[H,W,C]; 0 stands for any H or W"));
  CHECK_THAT(refused(*resnet, {8, 8, 1}), Contains("takes 3 channels"));
  CHECK_THAT(refused(nn::VideoResNet({.width = 2}), {8, 8, 3}), Contains("takes [T,H,W,C]"));
  CHECK_THAT(refused(nn::FrameGru({.resnet = {.width = 2}, .width = 2}), {0, 8, 8, 3}), Contains("takes [T,H,W,C]"));
  CHECK_THAT(refused(nn::VisionTransformer({.size = 8, .width = 12}), {8, 12, 3}), Contains("4 patches of 4 x 4"));
  CHECK_THAT(refused(nn::VisionTransformer({.size = 8, .width = 12}), {9, 9, 3}), Contains("4 patches of 4 x 4"));
  const nn::TokenEncoder tokens({.entries = 9, .width = 4, .network = nn::TokenNetwork::transformer, .longest = 6});
  CHECK_THAT(refused(tokens, {7}), Contains("at most 6 steps"));
  nn::GruEncoder gru({.in = 4, .width = 3});
  CHECK_THAT(refused(gru, {5, 4}), Contains("NaN"));  // it was not initialised
  gru.initialize(1);
  CHECK_THAT(refused(gru, {5, 3}), Contains("takes 4 channels"));
  nn::OnnxOptions prepared{.pictures = kernels::AugmentPolicy{.size = 8}};
  CHECK_THAT(refused(gru, {5, 4}, prepared), Contains("takes no pictures"));
  CHECK_THAT(refused(*resnet, {9, 9, 3}, prepared), Contains("pictures are to become [8,8,3]"));
  prepared.pictures->channels = 1;
  CHECK_THAT(refused(*resnet, {8, 8, 1}, prepared), Contains("takes 3 channels"));
  resnet->parameters().front().value.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(refused(*resnet, {8, 8, 3}), Contains("conv1.weight"));
}

TEST_CASE("Weights that f32 or a root cannot hold are refused, and leave no file", "[onnx]") {
  const test::TempDir dir;
  const auto refused = [&](const nn::Module& module, const nn::OnnxOptions& options = {}) {
    const std::string message = message_of([&] { nn::export_onnx(module, dir.path("a.onnx"), {8, 8, 3}, options); });
    CHECK(dir.names().empty());
    return message;
  };
  const auto changed = [](const std::string& name, float value) {
    const auto resnet = small();
    std::vector<NamedTensor> state = resnet->state();
    for (NamedTensor& tensor : state) {
      if (tensor.name != name) continue;
      tensor.value = tensor.value.clone();
      tensor.value.data<float>()[0] = value;
    }
    resnet->load_state(state);
    return resnet;
  };
  for (const float variance : {-1.0f, -1e-6f}) {  // beyond eps and within
    CHECK_THAT(refused(*changed("bn1.running_var", variance)), Contains("bn1.running_var: 1 of 2 variances are below"));
  }
  const auto large = changed("bn1.running_mean", 3e38f);
  std::vector<NamedTensor> state = large->state();
  for (NamedTensor& tensor : state) {
    if (tensor.name == "bn1.weight") tensor.value = Tensor::full(tensor.value.shape(), 4.0f);
  }
  large->load_state(state);
  CHECK_THAT(refused(*large), Contains("conv1.bias: 1 of 2 values are NaN or Inf with bn1 folded into them; set "));
  nn::export_onnx(*large, dir.path("b.onnx"), {8, 8, 3}, {.fold_batchnorm = false});
  CHECK(dir.names() == std::set<std::string>{"b.onnx"});
  std::filesystem::remove(dir.path("b.onnx"));
  const auto wide = small();
  wide->to(DType::f64);
  wide->parameters().front().value.data<double>()[0] = 1e300;
  CHECK_THAT(refused(*wide), Contains("conv1.weight: 1 of 54 values are NaN or Inf in f32"));
}

TEST_CASE("Metadata that are no UTF-8 are refused", "[onnx]") {
  const nn::onnx::Graph graph;
  CHECK_THAT(message_of([&] {
               (void)graph.model({{"author", "J\xf6rg"}});
             }),
             Contains("export_onnx: metadata: the value of author is not in UTF-8"));
  CHECK_THAT(message_of([&] { (void)graph.model({{"J\xf6rg", "author"}}); }), Contains("is not in UTF-8"));
  CHECK(graph.model({{"author", "J\xc3\xb6rg"}}).find("J\xc3\xb6rg") != std::string::npos);
}

TEST_CASE("An existing file is replaced as a whole, or kept", "[onnx]") {
  const test::TempDir dir;
  const std::string path = dir.path("a.onnx");
  const auto resnet = small();
  nn::export_onnx(*resnet, path, {8, 8, 3});
  const std::string first = read(path);
  CHECK_THROWS_AS(nn::export_onnx(*resnet, path, {16, 16, 3}, {.existing = Existing::keep}), FileExists);
  CHECK(read(path) == first);
  nn::export_onnx(*resnet, path, {16, 16, 3});
  CHECK(read(path) != first);
  nn::export_onnx(*resnet, path, {8, 8, 3});
  CHECK(read(path) == first);  // the same bytes again
  CHECK(dir.names() == std::set<std::string>{"a.onnx"});
}

TEST_CASE("A module is only read", "[onnx]") {
  const test::TempDir dir;
  const auto resnet = small();
  const Tensor before = resnet->parameters().front().value.clone();
  nn::export_onnx(*resnet, dir.path("a.onnx"), {8, 8, 3});
  CHECK(resnet->training());
  CHECK(resnet->parameters().front().value.to_vector<float>() == before.to_vector<float>());
  resnet->to(DType::f64);  // computed in f64, exported in f32
  nn::export_onnx(*resnet, dir.path("b.onnx"), {8, 8, 3});
  CHECK(read(dir.path("b.onnx")) == read(dir.path("a.onnx")));
}
