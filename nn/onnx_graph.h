#pragma once

// Private to nn: an ONNX graph in the making, and the file that it becomes.

#include <simclr/core/tensor.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace simclr::nn::onnx {

/// A message of protobuf's wire format: its fields, in the order in which they are added.
class SIMCLR_API Message {
 public:
  /// An integer, as a varint.
  void number(int field, std::int64_t value);
  void real(int field, float value);
  /// A string, bytes or a message in it.
  void bytes(int field, std::string_view content);

  const std::string& content() const { return content_; }

 private:
  void varint(std::uint64_t value);

  std::string content_;
};

/// TensorProto.DataType.
enum class ElementType { f32 = 1, u8 = 2, i32 = 6, i64 = 7 };

struct Attribute {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>> value;
};

/// A size, or the name of one that is not known.
using Dimension = std::variant<std::int64_t, std::string>;

/// Nodes in the order in which they are computed; a value is known by its name.
class SIMCLR_API Graph {
 public:
  void input(const std::string& name, ElementType type, const std::vector<Dimension>& shape);
  /// The value gets the output's name.
  void output(const std::string& value, const std::string& name, ElementType type, const std::vector<Dimension>& shape);

  /// A node with one output, which is called after `scope`, the part of the network that it is of.
  std::string add(const std::string& scope, const std::string& op, const std::vector<std::string>& inputs,
                  const std::vector<Attribute>& attributes = {});
  /// The same with several.
  std::vector<std::string> add_several(const std::string& scope, const std::string& op, std::size_t outputs,
                                       const std::vector<std::string>& inputs,
                                       const std::vector<Attribute>& attributes = {});

  /// An initializer of this name: f32, on the CPU.
  std::string initializer(const std::string& name, const Tensor& values);
  /// Constants, each once: of rank 1, and of rank 0.
  std::string integers(const std::vector<std::int64_t>& values);
  std::string integer(std::int64_t value);
  std::string real(float value);

  /// The whole file. Throws Error where it would be too large for protobuf, and for metadata that are not
  /// in UTF-8.
  std::string model(const std::map<std::string, std::string>& metadata) const;

 private:
  struct Node {
    std::string name, op;
    std::vector<std::string> inputs, outputs;
    std::vector<Attribute> attributes;
  };

  std::string free_name(const std::string& wanted);
  std::string constant(ElementType type, const std::vector<std::int64_t>& shape, std::string_view values);
  void add_initializer(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape,
                       std::string_view values);

  std::vector<Node> nodes_;
  std::vector<Message> initializers_, inputs_, outputs_;
  std::set<std::string> names_;
  std::map<std::string, std::string> constants_;  // by their type, shape and bytes
};

}  // namespace simclr::nn::onnx
