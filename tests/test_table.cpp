// Tables of text: CSV and TSV as people and their programs write them.

#include <simclr/core/error.h>
#include <simclr/data/table.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <string>
#include <utility>
#include <vector>

using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;

namespace {

/// Each row as "LINE:FIELD|FIELD", or "LINE!PROBLEM".
std::vector<std::string> rows_of(const std::string& text, const std::string& name = "table.csv") {
  const TempDir dir;
  TableReader table(dir.write(name, text));
  std::vector<std::string> rows;
  while (table.next()) {
    std::string row = std::to_string(table.line());
    if (!table.problem().empty()) {
      row += "!" + table.problem();
    } else {
      for (std::size_t i = 0; i < table.fields().size(); ++i) row += (i == 0 ? ":" : "|") + table.fields()[i];
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

using Rows = std::vector<std::string>;

}  // namespace

TEST_CASE("A table is known by its name") {
  for (const char* name : {"a.csv", "a/b.TSV", "a.tab"}) CHECK(is_table_name(name));
  for (const char* name : {"a.txt", "csv", ".csv", "a.csv/b"}) CHECK_FALSE(is_table_name(name));
}

TEST_CASE("Rows of a table") {
  CHECK(rows_of("a,b\nc,d\n") == Rows{"1:a|b", "2:c|d"});
  CHECK(rows_of("a,b\r\nc,d") == Rows{"1:a|b", "2:c|d"});  // no end of the last line
  CHECK(rows_of("a,b\rc,d\r") == Rows{"1:a|b", "2:c|d"});  // of an old Mac
  CHECK(rows_of("\xef\xbb\xbf"
                "a,b\n") == Rows{"1:a|b"});                             // a byte order mark
  CHECK(rows_of("\n  \na,b\n,\n\nc,d\n\n") == Rows{"3:a|b", "6:c|d"});  // lines without a value
  CHECK(rows_of("a, b ,c\n1,,3\n") == Rows{"1:a|b|c", "2:1||3"});
  CHECK(rows_of("a\nb\n") == Rows{"1:a", "2:b"});
  CHECK(rows_of("").empty());
  CHECK(rows_of("\xef\xbb\xbf").empty());
}

TEST_CASE("A table that is called .tsv and parted otherwise") {
  CHECK(rows_of("a,b\nc,d\n", "table.tsv") == Rows{"1:a|b", "2:c|d"});
  CHECK(rows_of("a;b\nc;d\n", "table.tab") == Rows{"1:a|b", "2:c|d"});
  CHECK(rows_of("a,x\tb\nc\td\n", "table.tsv") == Rows{"1:a,x|b", "2:c|d"});
}

TEST_CASE("Words before a table") {
  CHECK(rows_of("# of May\n\n#\na,b\n# c\nd,e\n") == Rows{"4:a|b", "5!has 1 field, the first row 2", "6:d|e"});
  CHECK(rows_of("#path;label\n# a.png;x\n") == Rows{"1:#path|label", "2:# a.png|x"});
  CHECK(rows_of("a|b\nc|d\n") == Rows{"1:a|b", "2:c|d"});
  CHECK(find_column({"#Path", "label"}, {"path"}) == 0);
}

TEST_CASE("Quoted fields") {
  CHECK(rows_of("\"a,1\",\"say \"\"yes\"\"\"\n") == Rows{"1:a,1|say \"yes\""});
  CHECK(rows_of("\"one\ntwo\r\n\r\nthree\",b\nc,d\n") == Rows{"1:one\ntwo\n\nthree|b", "5:c|d"});
  CHECK(rows_of("a, \" b \" ,c\n") == Rows{"1:a| b |c"});
  CHECK(rows_of("a,\"\"\nb,5\" pipe\n") == Rows{"1:a|", "2:b|5\" pipe"});
}

TEST_CASE("What parts the fields of a table") {
  CHECK(rows_of("a;b\n1,5;2\n") == Rows{"1:a|b", "2:1,5|2"});
  CHECK(rows_of("\"a,b\";c\n") == Rows{"1:a,b|c"});
  CHECK(rows_of("a\tb;c\n") == Rows{"1:a\tb|c"});
  CHECK(rows_of("a\tb\n") == Rows{"1:a|b"});
  CHECK(rows_of("a,b\tc\n", "table.tsv") == Rows{"1:a,b|c"});
  CHECK(rows_of("a,b\tc\n\t\nd\t\n", "table.TSV") == Rows{"1:a,b|c", "3:d|"});
  CHECK(rows_of("sep=;\na;b,c\n") == Rows{"2:a|b,c"});
  CHECK(rows_of("a;b,c\n") == Rows{"1:a;b|c"});
}

TEST_CASE("A mark for comments at the beginning of a value") {
  CHECK(rows_of("#1.png\n#2.png\n") == Rows{"1:#1.png", "2:#2.png"});
  CHECK(rows_of("#path\na\n") == Rows{"1:#path", "2:a"});
  CHECK(rows_of("# words\n#1\na\n") == Rows{"2:#1", "3:a"});
  CHECK(rows_of("#words\n# more\na,b\n") == Rows{"3:a|b"});  // a value alone is no row of these
}

TEST_CASE("Rows that cannot be used spoil no others") {
  CHECK(rows_of("a,b\nc\nd,e,f\ng,h,,\n") ==
        Rows{"1:a|b", "2!has 1 field, the first row 2", "3!has 3 fields, the first row 2", "4:g|h"});
  CHECK(rows_of("a,b\n\"c,d\ne,f\n") == Rows{"1:a|b", "2!has a quote that is not closed", "3:e|f"});
  CHECK(rows_of("a,b\n\"c\"x,d\ne,f\n") == Rows{"1:a|b", "2!has text behind a closing quote", "3:e|f"});
  // A second quote that is not closed ends the first one, but for what stands behind it.
  CHECK(rows_of("a,b\n\"c,d\ne,f\n\"g,h\ni,j\n") ==
        Rows{"1:a|b", "2!has text behind a closing quote", "3:e|f", "4!has a quote that is not closed", "5:i|j"});
}

TEST_CASE("What is no table") {
  const TempDir dir;
  const auto error = [&](const std::string& bytes) { return message_of([&] { rows_of(bytes); }); };
  CHECK_THAT(message_of([&] { TableReader(dir.path("none.csv")); }), Contains("none.csv: there is no such file"));
  CHECK_THAT(message_of([&] { TableReader(dir.path()); }), Contains("is a folder; give a table, which is a file"));
  CHECK_THAT(error(std::string("\xff\xfe"
                               "a\0,\0",
                               6)),
             Contains("is text of UTF-16; save it as UTF-8"));
  CHECK_THAT(error(std::string("a,b\nc\0,d\n", 9)), Contains("line 2: holds a byte 0") && Contains("UTF-16"));
  CHECK_THAT(error("a\n" + std::string((1 << 24) + 1, 'x')), Contains("line 2: is longer than 16 MiB"));
  std::string quotes = "a,b\n";
  for (int i = 0; i < 101; ++i) quotes += "\"c,d\n";
  CHECK_THAT(error(quotes), Contains("line 102: has a"));
}

TEST_CASE("Columns by their names") {
  const std::vector<std::string> header = {"ID", " File Name", "class-label", "Label"};
  CHECK(find_column(header, {"path", "filename"}) == 1);
  CHECK(find_column(header, {"label", "classlabel"}) == 3);  // the likeliest first
  CHECK(find_column(header, {"part"}) == -1);
}
