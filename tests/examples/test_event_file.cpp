#include "run/event_file.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <filesystem>

using simclr::test::read_bytes;
using simclr::test::TempDir;

namespace {

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) names.push_back(file.path().filename().string());
  return names;
}

std::vector<LogEntry> small_log() {
  return {{{"event", "step"}, {"time", 100.5}, {"loss", 6.25}, {"learning_rate", 0.5}},
          {{"event", "step"}, {"time", 101.0}, {"loss", nullptr}, {"learning_rate", 0.25}},
          {{"event", "epoch"}, {"time", 101.5}, {"loss", 6.0}, {"samples_per_second", 1000}, {"seconds", 2.5}}};
}

}  // namespace

TEST_CASE("CRC-32C gives the published values") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending += c;
  CHECK(crc32c(ascending) == 0x46dd794eu);
}

TEST_CASE("the first record says which version the file has") {
  const TempDir folder;
  write_event_file(folder.path("events"), {{{"event", "resume"}, {"time", 1.0}}});
  const auto bytes = read_bytes(folder.path("events"));
  // As TensorBoard's own writer makes it: u64 24, its checksum, wall_time 1.0 and file_version, their checksum.
  const std::string begin(
      "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0d"
      "brain.Event:2",
      12 + 11 + 13);
  REQUIRE(bytes.size() == begin.size() + 4);
  CHECK(std::string(bytes.begin(), bytes.end() - 4) == begin);
}

TEST_CASE("a log's entry becomes scalars by name") {
  const auto tags = [](const LogEntry& entry) {
    std::string text;
    for (const Scalar& s : scalars_of(entry)) text += s.tag + "=" + std::to_string(s.value).substr(0, 4) + " ";
    return text;
  };
  CHECK(tags(small_log()[0]) == "loss=6.25 learning_rate=0.50 ");
  CHECK(tags(small_log()[1]) == "learning_rate=0.25 ");  // a loss of NaN is null in JSON
  CHECK(tags(small_log()[2]) == "epoch_loss=6.00 samples_per_second=1000 ");
  CHECK(tags({{"event", "knn"}, {"epoch", 3}, {"top1", 0.5}, {"effective_rank", 7}, {"alignment", 0.25}}) ==
        "knn/top1=0.50 effective_rank=7.00 alignment=0.25 ");
  const LogEntry figures = {{"knn", {{"top1", 0.5}, {"precision", {0.25, 0.5}}}}, {"effective_rank", 9}};
  CHECK(tags({{"event", "evaluation"}, {"training_seconds", 5}, {"trained", figures}, {"untrained", figures}}) ==
        "evaluation/knn/top1=0.50 evaluation/effective_rank=9.00 untrained/knn/top1=0.50 "
        "untrained/effective_rank=9.00 ");
  // Of two towers.
  CHECK(tags({{"event", "knn"}, {"epoch", 3}, {"retrieval", {{"r1", 0.5}, {"candidates", 9}}}}) ==
        "retrieval/r1=0.50 retrieval/candidates=9.00 ");
  CHECK(tags({{"event", "evaluation"},
              {"retrieval", {{"a -> b", {{"queries", 9}, {"trained", {{"r1", 0.5}}}, {"chance", {{"r1", 0.25}}}}}}},
              {"zero_shot", {{"trained", {{"top1", 0.75}}}}}}) ==
        "evaluation/retrieval/a -> b/queries=9.00 evaluation/retrieval/a -> b/trained/r1=0.50 "
        "evaluation/retrieval/a -> b/chance/r1=0.25 evaluation/zero_shot/trained/top1=0.75 ");
  CHECK(tags({{"event", "something new"}, {"loss", 1}}).empty());
  CHECK(tags({{"event", "evaluation"}, {"trained", "not an object"}}).empty());
}

TEST_CASE("entries appended one by one and a file written whole are the same bytes") {
  const TempDir folder;
  EventFile file(folder.path(), {small_log()[0]});
  file.append(small_log()[1]);
  file.append(small_log()[2]);
  CHECK(write_event_file(folder.path("whole"), small_log()) == 2);
  CHECK(read_bytes(file.path()) == read_bytes(folder.path("whole")));
}

TEST_CASE("a resumed run replaces its event file under the same name") {
  const TempDir folder;
  const std::string name = "events.out.tfevents.123.simclr";
  folder.write(name, std::string("of the run before it was interrupted"));
  EventFile file(folder.path(), small_log());
  CHECK(file.path() == folder.path(name));
  CHECK(files_in(folder.path()) == std::vector<std::string>{name});
  write_event_file(folder.path("whole"), small_log());
  CHECK(read_bytes(file.path()) == read_bytes(folder.path("whole")));
}

TEST_CASE("an event file that cannot be written is an error") {
  const TempDir folder;
  CHECK(simclr::test::message_of([&] {
          write_event_file(folder.path("no/events"), {});
        }).find("make the folder first") != std::string::npos);
}

TEST_CASE("a log is read up to where a kill cut it off") {
  const TempDir folder;
  const std::string path = folder.write(
      "log.jsonl",
      std::string("{\"event\":\"step\",\"loss\":1}\n\n[1]\n{\"loss\":2}\n{\"event\":3}\n{\"event\":\"epoch\"}\n"
                  "{\"event\":\"st"));
  const auto entries = read_run_log(path);
  REQUIRE(entries.size() == 2);
  CHECK(number_of(entries[0], "loss") == 1.0);
  CHECK(event_of(entries[1]) == "epoch");
  CHECK(simclr::test::message_of([&] { read_run_log(folder.path("none")); }) ==
        folder.path("none") + ": cannot be read; is this the folder of a run?");
}
