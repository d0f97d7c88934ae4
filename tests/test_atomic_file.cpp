// Saving where the disk fails: the old file or the new one, whole, and nothing beside it.

#include "support/broken_disk.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/safetensors.h"
#include "support/temp_dir.h"

#include <simclr/core/serialize.h>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <thread>

using namespace simclr;
using test::disk;
using test::message_of;
using test::read_text;
using test::sample_tensors;
namespace fs = std::filesystem;
using Names = std::set<std::string>;

namespace {

/// What `call` says while the disk is watched, which is as good as ever afterwards.
std::string on_broken_disk(const std::function<void()>& call) {
  disk.watch = true;
  const std::string message = message_of(call);
  disk.watch = false;
  return message;
}

/// How many descriptors are open.
std::size_t descriptors() {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) count += entry.exists();
  return count;
}

}  // namespace

TEST_CASE("a file is flushed, closed, renamed, and its folder flushed, in this order") {
  const test::TempDir folder;
  disk = {};
  SECTION("in whole writes") {}
  SECTION("in short writes") {
    disk.most = 1;
  }
  CHECK(on_broken_disk([&] { save_tensors(folder.path("x"), sample_tensors()); }) == "no error");
  CHECK(disk.calls == std::vector<std::string>{"open", "write", "fsync", "close", "rename", "open folder",
                                               "fsync folder", "close folder", "close"});
  CHECK(load_tensors(folder.path("x"), {.require_digest = true}).tensors.size() == sample_tensors().size());
}

TEST_CASE("each call of a save can fail") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  const std::map<std::string, std::string> doing = {{"open", "cannot make a file there"},
                                                    {"write", "writing failed"},
                                                    {"fsync", "flushing to disk failed"},
                                                    {"close", "closing failed"},
                                                    {"rename", "renaming failed"}};
  const std::map<int, std::string> errors = {
      {ENOSPC, "No space left on device; make room"}, {EIO, "Input/output error"}, {EINTR, ""}};
  int failures = 0;
  for (const auto& [kind, what] : doing) {
    for (const auto& [error, said] : errors) {
      for (int number = 1; number < 1000; ++number) {
        CAPTURE(kind, number, said);
        folder.write("x", std::string("old"));
        const std::size_t open_before = descriptors();
        disk = {.kind = kind, .failing = number, .error = error, .most = 40};
        const std::string message = on_broken_disk([&] { save_tensors(path, sample_tensors()); });
        CHECK(descriptors() == open_before);
        CHECK(folder.names() == Names{"x"});
        if (disk.count < number) {  // there are no more calls of this kind
          CHECK(number > 1);
          CHECK(message == "no error");
          break;
        }
        ++failures;
        const auto renamed = std::find(disk.calls.begin(), disk.calls.end(), "rename");
        const bool in_place = renamed != disk.calls.end() && kind != "rename";
        const bool interrupted = error == EINTR && kind != "rename";  // the call is made again
        const bool closed = kind == "close" && in_place;              // nothing can be lost any more
        if (interrupted || closed) {
          CHECK(message == "no error");
        } else {
          CHECK_THAT(message, Catch::StartsWith("write " + path + ": ") && Catch::Contains(said));
          CHECK_THAT(message, Catch::Contains(in_place ? "written, but" : what) && !Catch::Contains("\n"));
        }
        if (in_place || interrupted) {
          CHECK(load_tensors(path, {.require_digest = true}).tensors.size() == sample_tensors().size());
        } else {
          CHECK(read_text(path) == "old");
        }
      }
    }
  }
  CHECK(failures > 60);
}

TEST_CASE("a network folder that cannot be flushed is no error") {
  const test::TempDir folder;
  disk = {.kind = "fsync", .failing = 2, .error = EINVAL};
  CHECK(on_broken_disk([&] { write_file_atomically(folder.path("x"), "new"); }) == "no error");
  CHECK(read_text(folder.path("x")) == "new");
}

TEST_CASE("a file size limit in the middle of a write leaves nothing") {
  const test::TempDir folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = message_of([&] { save_tensors(folder.path("x"), {{"a", Tensor::zeros({5000})}}); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(message, Catch::Contains("File too large; make room"));
  CHECK(folder.names().empty());
}

TEST_CASE("places where no file can be are refused") {
  using Catch::Contains;
  const test::TempDir folder;
  folder.write("file", std::string("old"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path("none/x"), "1"), Contains("make the folder first"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path("file/x"), "1"), Contains("Not a directory"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path(), "1"), Contains("not a regular file"));
  const auto pipe = folder.path("pipe");  // a device would be lost if this failed
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(write_file_atomically(pipe, "1"), Contains("not a regular file"));
  CHECK(fs::is_fifo(pipe));
  fs::remove(pipe);
  CHECK_THROWS_WITH(write_file_atomically("", "1"), Contains("names no file"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path(std::string(300, 'n')), "1"), Contains("File name too long"));
  CHECK(folder.names() == Names{"file"});

  AtomicFile dropped(folder.path("file"));
  dropped.write("new", 3);
  CHECK(read_text(folder.path("file")) == "old");
  dropped.commit();
  CHECK(read_text(folder.path("file")) == "new");
  CHECK_THROWS_WITH(dropped.write("x", 1), Contains("already committed"));
  CHECK_THROWS_WITH(dropped.commit(), Contains("already committed"));
  { AtomicFile abandoned(folder.path("file")); }
  CHECK(folder.names() == Names{"file"});
}

TEST_CASE("what a killed process left is removed, and nothing else") {
  const test::TempDir folder;
  const std::string stale = "x.simclr-tmp";
  SECTION("a stale file") {
    folder.write(stale, std::string("half of"));
    write_file_atomically(folder.path("x"), "new");
    CHECK(folder.names() == Names{"x"});
  }
  SECTION("a file that somebody writes") {
    AtomicFile other(folder.path("x"));
    other.write("other", 5);
    write_file_atomically(folder.path("x"), "new");
    CHECK(folder.names() == Names{"x", stale});
    other.commit();
    CHECK(read_text(folder.path("x")) == "other");
    CHECK(folder.names() == Names{"x"});
  }
  SECTION("something that is no file of ours") {
    fs::create_directory(folder.path(stale));
    fs::create_symlink(folder.path("elsewhere"), folder.path(stale + "1"));
    write_file_atomically(folder.path("x"), "new");
    CHECK(folder.names() == Names{"x", stale, stale + "1"});
  }
  SECTION("no name that is free") {
    for (int i = 0; i < 100; ++i) fs::create_directory(folder.path(stale + (i > 0 ? std::to_string(i) : "")));
    CHECK_THROWS_WITH(write_file_atomically(folder.path("x"), "new"),
                      Catch::Contains("remove the files *.simclr-tmp*"));
  }
}

TEST_CASE("a file that is to be kept is kept, whenever it appeared") {
  const test::TempDir folder;
  const std::string path = folder.path("x");
  disk = {};
  SECTION("where the file system can tell") {}
  SECTION("where it cannot") {
    disk = {.kind = "renameat2", .failing = 1, .lasting = true, .error = EINVAL};
  }
  CHECK(on_broken_disk([&] { write_file_atomically(path, "first", Existing::keep); }) == "no error");
  CHECK(read_text(path) == "first");
  CHECK_THROWS_AS(write_file_atomically(path, "second", Existing::keep), FileExists);
  CHECK_THAT(message_of([&] { save_tensors(path, sample_tensors(), {}, Existing::keep); }),
             Catch::Contains("x: it exists already, and is kept; choose another name"));
  fs::remove(path);
  {
    AtomicFile late(path, Existing::keep);
    late.write("late", 4);
    folder.write("x", std::string("meanwhile"));
    CHECK_THAT(on_broken_disk([&] { late.commit(); }), Catch::Contains("it exists already"));
  }
  CHECK(read_text(path) == "meanwhile");
  CHECK(folder.names() == Names{"x"});
}

TEST_CASE("of several threads that write a new file one succeeds") {
  const test::TempDir folder;
  for (int n = 0; n < 20; ++n) {
    const std::string path = folder.path(std::to_string(n));
    std::vector<std::string> failed(4);
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < failed.size(); ++i) {
        threads.emplace_back([&, i] {
          failed[i] = message_of([&] { write_file_atomically(path, std::to_string(i), Existing::keep); });
        });
      }
    }
    REQUIRE(std::count(failed.begin(), failed.end(), "no error") == 1);
    CHECK(failed[std::stoul(read_text(path))] == "no error");
  }
}

TEST_CASE("several threads may save the same file at once") {
  const test::TempDir folder;
  std::vector<std::string> failed(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < failed.size(); ++i) {
      threads.emplace_back([&, i] {
        const std::string text(100000, static_cast<char>('a' + i));
        failed[i] = message_of([&] {
          for (int n = 0; n < 50; ++n) write_file_atomically(folder.path("x"), text);
        });
      });
    }
  }
  CHECK(failed == std::vector<std::string>(4, "no error"));
  CHECK(folder.names() == Names{"x"});
  const std::string text = read_text(folder.path("x"));
  CHECK(text == std::string(100000, text.at(0)));
}
