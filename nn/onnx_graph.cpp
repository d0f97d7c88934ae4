#include <simclr/nn/onnx_graph.h>

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <bit>
#include <limits>

// What is written here is a part of ONNX's protobuf schema (onnx/onnx.proto, Apache-2.0, github.com/onnx/onnx): the
// numbers below are its fields'. The messages: ModelProto, OperatorSetIdProto, StringStringEntryProto, GraphProto,
// NodeProto, AttributeProto, TensorProto, ValueInfoProto, TypeProto (with Tensor) and TensorShapeProto (with
// Dimension).
namespace simclr::nn::onnx {

namespace {

constexpr std::int64_t ir_version = 8, opset = 17;  // both of ONNX 1.12, of June 2022

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian, as the tensors' memory");

Message attribute_message(const Attribute& attribute) {
  enum Type { real = 1, number = 2, text = 3, numbers = 7 };
  Message message;
  message.bytes(1, attribute.name);
  std::visit(
      [&message]<class T>(const T& value) {
        if constexpr (std::is_same_v<T, float>) {
          message.real(2, value);
          message.number(20, real);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          message.number(3, value);
          message.number(20, number);
        } else if constexpr (std::is_same_v<T, std::string>) {
          message.bytes(4, value);
          message.number(20, text);
        } else {
          for (const std::int64_t each : value) message.number(8, each);
          message.number(20, numbers);
        }
      },
      attribute.value);
  return message;
}

Message value_message(const std::string& name, ElementType type, const std::vector<Dimension>& shape) {
  Message sizes;
  for (const Dimension& dimension : shape) {
    Message size;
    if (const auto* known = std::get_if<std::int64_t>(&dimension)) {
      size.number(1, *known);
    } else {
      size.bytes(2, std::get<std::string>(dimension));
    }
    sizes.bytes(1, size.content());
  }
  Message tensor, of_type, value;
  tensor.number(1, static_cast<std::int64_t>(type));
  tensor.bytes(2, sizes.content());
  of_type.bytes(1, tensor.content());
  value.bytes(1, name);
  value.bytes(2, of_type.content());
  return value;
}

template <class T>
std::string_view bytes_of(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

}  // namespace

void Message::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) content_ += static_cast<char>(value | 0x80);
  content_ += static_cast<char>(value);
}

void Message::number(int field, std::int64_t value) {
  varint(static_cast<std::uint64_t>(field) << 3);
  varint(static_cast<std::uint64_t>(value));
}

void Message::real(int field, float value) {
  constexpr std::uint64_t of_32_bits = 5;
  varint(static_cast<std::uint64_t>(field) << 3 | of_32_bits);
  content_ += bytes_of(&value, 1);
}

void Message::bytes(int field, std::string_view content) {
  constexpr std::uint64_t of_a_length = 2;
  varint(static_cast<std::uint64_t>(field) << 3 | of_a_length);
  varint(content.size());
  content_ += content;
}

std::string Graph::free_name(const std::string& wanted) {
  std::string name = wanted;
  for (int n = 2; !names_.insert(name).second; ++n) name = wanted + "_" + std::to_string(n);
  return name;
}

void Graph::input(const std::string& name, ElementType type, const std::vector<Dimension>& shape) {
  names_.insert(name);
  inputs_.push_back(value_message(name, type, shape));
}

void Graph::output(const std::string& value, const std::string& name, ElementType type,
                   const std::vector<Dimension>& shape) {
  for (Node& node : nodes_) {
    std::replace(node.inputs.begin(), node.inputs.end(), value, name);
    std::replace(node.outputs.begin(), node.outputs.end(), value, name);
  }
  outputs_.push_back(value_message(name, type, shape));
}

std::string Graph::add(const std::string& scope, const std::string& op, const std::vector<std::string>& inputs,
                       const std::vector<Attribute>& attributes) {
  return add_several(scope, op, 1, inputs, attributes).front();
}

std::vector<std::string> Graph::add_several(const std::string& scope, const std::string& op, std::size_t outputs,
                                            const std::vector<std::string>& inputs,
                                            const std::vector<Attribute>& attributes) {
  const std::string name = free_name(scope + (scope.empty() ? "" : "/") + op);
  Node node{name, op, inputs, {name}, attributes};
  while (node.outputs.size() < outputs) node.outputs.push_back(free_name(name + "_output"));
  nodes_.push_back(node);
  return node.outputs;
}

void Graph::add_initializer(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape,
                            std::string_view values) {
  Message tensor;
  for (const std::int64_t size : shape) tensor.number(1, size);
  tensor.number(2, static_cast<std::int64_t>(type));
  tensor.bytes(8, name);
  tensor.bytes(9, values);
  initializers_.push_back(std::move(tensor));
}

std::string Graph::initializer(const std::string& name, const Tensor& values) {
  names_.insert(name);
  add_initializer(name, ElementType::f32, {values.shape().begin(), values.shape().end()},
                  bytes_of(values.data<const float>(), static_cast<std::size_t>(values.numel())));
  return name;
}

std::string Graph::constant(ElementType type, const std::vector<std::int64_t>& shape, std::string_view values) {
  const std::string key =
      std::to_string(static_cast<int>(type)) + "/" + std::to_string(shape.size()) + "/" + std::string(values);
  std::string& name = constants_[key];
  if (name.empty()) {
    name = free_name("constants/" + std::to_string(constants_.size()));
    add_initializer(name, type, shape, values);
  }
  return name;
}

std::string Graph::integers(const std::vector<std::int64_t>& values) {
  return constant(ElementType::i64, {std::ssize(values)}, bytes_of(values.data(), values.size()));
}

std::string Graph::integer(std::int64_t value) {
  return constant(ElementType::i64, {}, bytes_of(&value, 1));
}

std::string Graph::real(float value) {
  return constant(ElementType::f32, {}, bytes_of(&value, 1));
}

std::string Graph::model(const std::map<std::string, std::string>& metadata) const {
  Message graph;
  for (const Node& each : nodes_) {
    Message node;
    for (const std::string& input : each.inputs) node.bytes(1, input);
    for (const std::string& output : each.outputs) node.bytes(2, output);
    node.bytes(3, each.name);
    node.bytes(4, each.op);
    for (const Attribute& attribute : each.attributes) node.bytes(5, attribute_message(attribute).content());
    graph.bytes(1, node.content());
  }
  graph.bytes(2, "encoder");
  for (const Message& initializer : initializers_) graph.bytes(5, initializer.content());
  for (const Message& input : inputs_) graph.bytes(11, input.content());
  for (const Message& output : outputs_) graph.bytes(12, output.content());

  Message model, operators;
  model.number(1, ir_version);
  model.bytes(2, "libsimclr");
  model.bytes(3, SIMCLR_PRODUCER_VERSION);
  model.bytes(7, graph.content());
  operators.bytes(1, "");
  operators.number(2, opset);
  model.bytes(8, operators.content());
  for (const auto& [key, value] : metadata) {
    SIMCLR_CHECK(is_utf8(key), "export_onnx: metadata: a key is not in UTF-8, as protobuf wants it; give it in UTF-8");
    SIMCLR_CHECK(is_utf8(value), "export_onnx: metadata: the value of ", printable(key),
                 " is not in UTF-8, as protobuf wants it; give it in UTF-8, or bytes in base64");
    Message entry;
    entry.bytes(1, key);
    entry.bytes(2, value);
    model.bytes(14, entry.content());
  }
  constexpr std::size_t largest = std::numeric_limits<std::int32_t>::max();
  SIMCLR_CHECK(model.content().size() <= largest, "export_onnx: the file would have ", model.content().size(),
               " bytes; protobuf allows ", largest, ": take a narrower network");
  return model.content();
}

}  // namespace simclr::nn::onnx
