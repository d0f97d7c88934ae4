#!/usr/bin/env python3
"""No function is longer than 60 lines, no file than 400, and no line of benchmarks' Python than 120 columns.

usage: tests/test_sizes.py

From a function's first line to its last brace, comments and blank lines too. Also: scripts/lines_per_kind, which counts
what each kind of data needs, knows every file.
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

from support.cpp_functions import functions_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("core", "kernels", "nn", "data", "examples", "python")
MOST_IN_A_FUNCTION, MOST_IN_A_FILE, MOST_IN_A_LINE = 60, 400, 120

SAMPLE = r'''
#include <string>
namespace a::b {
extern "C" {
int plain(int x) { return x; }
}
struct Point { int x = {1}, y{2}; };
constexpr int table[] = {
  1, 2,
};
enum class Kind : int { one, two };
template <class T, int N = 4>
__device__ inline auto long_one(std::vector<T> x, Shape s = {}) -> std::pair<int, T>
{
  // } in a comment, "}" in a text
  const char brace = '}', *text = "}\"}", *raw = R"-(}" )" }-)";
  const auto twice = [&](int y) { struct Local { int z() { return 1'000; } }; return 2 * y; };
  if (x) { return {}; }
}
class Both : public Base<void(int)> {
 public:
  explicit Both(int a)
      : Base{a}, a_{a} {
    go();
  }
  ~Both() override { stop(); }
  bool operator()(int i) const noexcept(true) { return i < 3 && a_ > 2; }
  bool operator<(const Both& other) const { return a_ < other.a_; }
  explicit operator bool() const { return true; }

 private:
  std::function<void(int)> f_{};
  int a_ = 0;
};
#define TWO_LINES(x) \
  void x() { {
#ifdef ONE
void either() {
  if (true) {
#else
void either(int) {
  {
    int more;
#endif
  }
}
#if TWO
/// A comment.
#else
void here() {}
#endif
const auto global = [](int x) {
  return x;
};
}
'''


def sources():
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cpp", ".cu")]
    assert len(found) > 100, "hardly a source was found"
    return sorted(found)


class Sizes(unittest.TestCase):
    maxDiff = None

    def test_functions_are_found_with_their_lines(self):
        self.assertEqual([(f.name, f.lines) for f in functions_of(SAMPLE)],
                         [("plain", 1), ("long_one", 8), ("Both", 4), ("~Both", 1), ("operator()", 1), ("operator<", 1),
                          ("operator bool", 1), ("either", 6), ("here", 1), ("global", 3)])
        for broken in ("void f() {", "}", "#if X\nvoid f() {}"):
            self.assertRaises(ValueError, functions_of, broken)

    def test_no_function_and_no_file_is_long(self):
        wrong, functions = [], 0
        for path in sources():
            text, where = path.read_text(), path.relative_to(ROOT)
            found = functions_of(text)
            functions += len(found)
            sizes = [(where, text.count("\n"), MOST_IN_A_FILE)]
            sizes += [(f"{where}:{line}: {name}", lines, MOST_IN_A_FUNCTION) for name, line, lines in found]
            wrong += [f"{what} has {lines} lines, more than {most}; split it" for what, lines, most in sizes
                      if lines > most]
        self.assertGreater(functions, 1000)
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def test_no_line_of_benchmarks_is_long(self):
        """Of C++ clang-format knows it."""
        files = [*(ROOT / "benchmarks").rglob("*.py"), ROOT / "benchmarks" / "CMakeLists.txt"]
        self.assertGreater(len(files), 15)
        self.assertEqual([f"{path.relative_to(ROOT)}:{number}" for path in files
                          for number, line in enumerate(path.read_text().splitlines(), 1)
                          if len(line) > MOST_IN_A_LINE], [])

    def test_files_below_folders_are_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            for path, lines in (("examples/modalities/pairs.cpp", 1), ("examples/modalities/inner/pair_list.cpp", 2),
                                ("examples/recipes/pair_recipes.cpp", 4), ("data/text/words/words.cpp", 8)):
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("int x;\n" * lines)
            for program in ("train_pairs", "train_speech", "train_text", "train_video", "train_cifar"):
                pathlib.Path(folder, "examples", f"{program}.cpp").write_text("")
            done = subprocess.run([sys.executable, ROOT / "scripts" / "lines_per_kind", folder], capture_output=True,
                                  text=True)
            self.assertEqual(done.stderr, "")
            rows = {row[0]: row[1:] for row in map(str.split, done.stdout.splitlines()[2:])}
            self.assertEqual((rows["pairs"], rows["text"]), (["7", "7", "0", "0", "4"], ["0", "0", "8", "8", "2"]))

    def test_every_file_of_a_kind_of_data_is_counted(self):
        def lines_per_kind(root):
            return subprocess.run([sys.executable, ROOT / "scripts" / "lines_per_kind", root], capture_output=True,
                                  text=True)
        done = lines_per_kind(ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()[2:]],
                         ["pairs", "sound", "text", "video", "pictures", "several"])
        for odd, said in (("examples/modalities/odd.cpp", "odd.cpp: no pattern of KINDS says"),
                          ("examples/train_odd.cpp", "train_odd.cpp: PROGRAMS does not say"),
                          ("data/odd/odd.cpp", "data/odd: no kind of KINDS is called so")):
            with tempfile.TemporaryDirectory() as folder:
                for path in ("examples/modalities/pairs.cpp", "examples/recipes/pair_recipes.cpp", "data/dataset.h", odd):
                    file = pathlib.Path(folder, path)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text("")
                done = lines_per_kind(folder)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertTrue(done.stderr.startswith(said), done.stderr)


if __name__ == "__main__":
    unittest.main()
