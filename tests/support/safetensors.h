#pragma once

// Weights files: made by hand, and judged by a reader that knows the format's rules and nothing else.

#include "support/tensors.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace simclr::test {

/// A file of this header and these bytes behind it.
inline std::string with_length(const std::string& header, const std::string& values = "") {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + values;
}

/// Every dtype, and what is easily forgotten.
inline std::vector<NamedTensor> sample_tensors() {
  return {{"u8", Tensor::from(std::vector<std::uint8_t>{0, 1, 255}, {3})},
          {"f32", random_tensor({2, 3, 1}, 1, DType::f32)},
          {"special", Tensor::from(std::vector<float>{NAN, -INFINITY, -0.0f, 1e-45f}, {4})},
          {"f64", random_tensor({5}, 2, DType::f64)},
          {"bf16", random_tensor({3}, 3, DType::f32).to(DType::bf16)},
          {"i32", Tensor::from(std::vector<std::int32_t>{std::numeric_limits<int>::min(), 7}, {2, 1})},
          {"empty", Tensor::zeros({0, 4})},
          {"scalar", Tensor::full({}, 0.1, DType::f64)},
          {"a \"quoted\" \\ name: \xc3\xa4", Tensor::full({1, 1, 1, 1, 1, 1}, 3.0)}};
}

/// Whether `bytes` are a safetensors file, all of whose tensors the library could hold. Reads by nlohmann's JSON, and
/// does not look at a digest.
inline bool is_safetensors(const std::string& bytes) {
  using Json = nlohmann::json;
  std::uint64_t length = 0;
  if (bytes.size() < 8) return false;
  std::memcpy(&length, bytes.data(), 8);
  if (length > 100'000'000 || length > bytes.size() - 8) return false;
  const std::string header = bytes.substr(8, length);
  if (!header.starts_with('{') || header.find('\0') != std::string::npos) return false;

  std::map<int, std::set<std::string>> keys;  // by depth: the DOM would keep the last of two equal ones
  bool twice = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys[depth + 1].clear();
    if (event == Json::parse_event_t::key) twice |= !keys[depth].insert(value.get<std::string>()).second;
    return true;
  };
  const Json root = Json::parse(header, watch, false);
  if (root.is_discarded() || twice) return false;

  const std::map<std::string, std::uint64_t> ours = {{"F32", 4}, {"F64", 8}, {"BF16", 2}, {"U8", 1}, {"I32", 4}};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const auto& [name, entry] : root.items()) {
    if (!entry.is_object()) return false;
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) return false;
      }
      continue;
    }
    if (entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
      return false;
    }
    const Json &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
    const auto is_size = [](const Json& value) { return value.is_number_unsigned(); };
    if (!dtype.is_string() || !ours.contains(dtype.get<std::string>()) || !shape.is_array() || shape.size() > 6 ||
        !std::all_of(shape.begin(), shape.end(), is_size) || !offsets.is_array() || offsets.size() != 2 ||
        !std::all_of(offsets.begin(), offsets.end(), is_size)) {
      return false;
    }
    unsigned __int128 count = 1;
    for (const Json& size : shape) {
      count *= size.get<std::uint64_t>();
      if (size.get<std::uint64_t>() > std::uint64_t{1} << 57 || count > std::uint64_t{1} << 57) return false;
    }
    const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
    if (end < begin || end - begin != count * ours.at(dtype.get<std::string>())) return false;
    places.emplace_back(begin, end);
  }
  std::sort(places.begin(), places.end());
  std::uint64_t at = 0;
  for (const auto& [begin, end] : places) {
    if (begin != at) return false;
    at = end;
  }
  return at == bytes.size() - 8 - length;
}

}  // namespace simclr::test
