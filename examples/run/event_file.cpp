#include "run/event_file.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>

#include <array>
#include <bit>
#include <ctime>
#include <filesystem>

namespace fs = std::filesystem;

namespace {

constexpr const char* name_begin = "events.out.tfevents.";
constexpr const char* name_end = ".simclr";

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1u ? 0x82f63b78u : 0u);
    table[i] = crc;
  }
  return table;
}

template <class Unsigned>
void append_little_endian(std::string& out, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// Protocol buffers: a field is its number and wire type, then the value.
enum Wire : std::uint32_t { varint = 0, eight_bytes = 1, counted = 2, four_bytes = 5 };

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

void append_key(std::string& out, std::uint32_t field, Wire wire) {
  append_varint(out, field << 3 | wire);
}

void append_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  append_key(out, field, counted);
  append_varint(out, bytes.size());
  out += bytes;
}

/// Event { double wall_time = 1; int64 step = 2; ... }
std::string event_message(double wall_time, std::int64_t step) {
  std::string event;
  append_key(event, 1, eight_bytes);
  append_little_endian(event, std::bit_cast<std::uint64_t>(wall_time));
  if (step != 0) {
    append_key(event, 2, varint);
    append_varint(event, static_cast<std::uint64_t>(step));
  }
  return event;
}

std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

void append_record(std::string& out, std::string_view data) {
  std::string length;
  append_little_endian(length, std::uint64_t{data.size()});
  out += length;
  append_little_endian(out, masked_crc(length));
  out += data;
  append_little_endian(out, masked_crc(data));
}

/// Event { Summary summary = 5; }, Summary { repeated Value value = 1; },
/// Value { string tag = 1; float simple_value = 2; }
void append_entry(std::string& out, const LogEntry& entry, std::int64_t& steps) {
  if (event_of(entry) == "step") ++steps;
  std::string summary;
  for (const Scalar& scalar : scalars_of(entry)) {
    std::string value;
    append_bytes(value, 1, scalar.tag);
    append_key(value, 2, four_bytes);
    append_little_endian(value, std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value)));
    append_bytes(summary, 1, value);
  }
  if (summary.empty()) return;
  std::string event = event_message(number_of(entry, "time").value_or(0), steps);
  append_bytes(event, 5, summary);
  append_record(out, event);
}

std::string event_file_in(const std::string& folder) {
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (is_event_file(name)) return file.path().string();
  }
  return folder + "/" + name_begin + std::to_string(std::time(nullptr)) + name_end;
}

void add(std::vector<Scalar>& scalars, const nlohmann::ordered_json& object, const char* key, const std::string& tag) {
  if (const auto value = number_of(object, key)) scalars.push_back({tag, *value});
}

/// All numbers of an object, those of objects inside it under their own name. Lists, one number a class, are left out.
void add_all(std::vector<Scalar>& scalars, const nlohmann::ordered_json& object, const std::string& prefix) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number()) scalars.push_back({prefix + key, value.get<double>()});
    if (value.is_object()) add_all(scalars, value, prefix + key + "/");
  }
}

}  // namespace

bool is_event_file(const std::string& name) {
  return name.starts_with(name_begin) && name.ends_with(name_end);
}

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = make_crc_table();
  std::uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  return ~crc;
}

std::vector<Scalar> scalars_of(const LogEntry& entry) {
  std::vector<Scalar> scalars;
  const std::string event = event_of(entry);
  if (event == "step") {
    add(scalars, entry, "loss", "loss");
    add(scalars, entry, "learning_rate", "learning_rate");
  } else if (event == "epoch") {
    add(scalars, entry, "loss", "epoch_loss");
    add(scalars, entry, "samples_per_second", "samples_per_second");
  } else if (event == "knn") {
    add(scalars, entry, "top1", "knn/top1");
    for (const char* key : {"effective_rank", "mean_std", "alignment", "uniformity"}) add(scalars, entry, key, key);
    add_all(scalars, object_of(entry, "retrieval"), "retrieval/");
  } else if (event == "evaluation") {
    for (const auto& [key, prefix] : {std::pair("trained", "evaluation/"), std::pair("untrained", "untrained/")}) {
      add_all(scalars, object_of(entry, key), prefix);
    }
    for (const std::string key : {"retrieval", "zero_shot"}) {
      add_all(scalars, object_of(entry, key.c_str()), "evaluation/" + key + "/");
    }
  }
  return scalars;
}

std::int64_t write_event_file(const std::string& path, const std::vector<LogEntry>& entries) {
  const double start =
      entries.empty() ? static_cast<double>(std::time(nullptr)) : number_of(entries.front(), "time").value_or(0);
  std::string version = event_message(start, 0);
  append_bytes(version, 3, "brain.Event:2");
  std::string bytes;
  append_record(bytes, version);
  std::int64_t steps = 0;
  for (const LogEntry& entry : entries) append_entry(bytes, entry, steps);
  simclr::write_file_atomically(path, bytes);
  return steps;
}

EventFile::EventFile(const std::string& folder, const std::vector<LogEntry>& entries)
    : path_(event_file_in(folder)), steps_(write_event_file(path_, entries)) {
  file_.open(path_, std::ios::binary | std::ios::app);
  SIMCLR_CHECK(file_.good(), path_, ": cannot be written; check the folder's permissions");
}

void EventFile::append(const LogEntry& entry) {
  std::string bytes;
  append_entry(bytes, entry, steps_);
  file_ << bytes << std::flush;
  SIMCLR_CHECK(file_.good(), path_, ": cannot be written; is the disk full?");
}
