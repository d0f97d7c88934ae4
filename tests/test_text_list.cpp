// Texts of lines, of questions and of tables: what is taken, what is left out, and how sets are parted.

#include <simclr/core/error.h>
#include <simclr/data/text/text_list.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Texts = std::vector<std::string>;

namespace {

Texts texts_of(const TextList& list) {
  Texts texts;
  for (std::int64_t i = 0; i < list.size(); ++i) texts.emplace_back(list[i]);
  return texts;
}

}  // namespace

TEST_CASE("Texts: a line each, whatever ends it; blank lines do not count") {
  const TempDir dir;
  const std::string path =
      dir.write("lines.txt", std::string("\xef\xbb\xbf one film \r\n\r\n\ttwo\rthree\n   \nna\xc3\xafve"));
  const TextList list = read_text_lines(path);
  CHECK(texts_of(list) == Texts{"one film", "two", "three", "na\xc3\xafve"});
  CHECK(list.classes().empty());
  CHECK(list.label(0) == -1);
  CHECK(list.place(0) == path + ", line 1");
  CHECK(list.place(3) == path + ", line 6");
  CHECK(list.left_out_text().empty());
  const auto set = text_dataset(std::make_shared<TextList>(list));
  CHECK(set->size() == 4);
  CHECK(text_of(set->sample(1)) == "two");
  CHECK(set->place(2) == path + ", line 4");
  CHECK(set->describe() == "4 texts of " + path + ", unlabelled");
  CHECK_THAT(message_of([&] { set->sample(4); }), Contains("text 4 of 4"));
}

TEST_CASE("Texts: a file most of whose lines are no texts is refused") {
  const TempDir dir;
  std::string good, bad;
  for (int i = 0; i < 100; ++i) {
    good += "a text\n";
    bad += "\xff\n";
  }
  CHECK(read_text_lines(dir.write("half.txt", good + "one more\n" + bad)).size() == 101);
  CHECK_THAT(message_of([&] { read_text_lines(dir.write("most.txt", good + bad)); }),
             Contains("most of its lines are no texts (left out: 100 lines not in UTF-8)") && Contains("iconv"));
}

TEST_CASE("Texts: what is no text is named and counted, and the others are read") {
  const TempDir dir;
  std::string lines = "good\nbad \xff byte\ncut \xc3\n";
  lines += std::string("a zero \0 byte\n", 14);
  lines += std::string(1'000'000, 'x') + "\n" + std::string(most_text_bytes, 'y') + "\nalso good";
  const std::string path = dir.write("lines.txt", lines);
  const TextList list = read_text_lines(path);
  CHECK(texts_of(list) == Texts{"good", std::string(most_text_bytes, 'y'), "also good"});
  CHECK(list.left_out_text() == "2 lines not in UTF-8, 1 line of more than 100000 bytes, 1 line with a byte 0");
  CHECK(list.warnings == Texts{path + ", line 2: is no valid UTF-8 at its byte 5 (left out)",
                               path + ", line 3: is no valid UTF-8 at its byte 5 (left out)",
                               path + ", line 4: holds a byte 0, which no text does (left out)"});
  const std::string alone = dir.write("long.txt", "short\n" + std::string(1'000'000, 'x'));
  CHECK(read_text_lines(alone).warnings ==
        Texts{alone + ", line 2: has 1000000 bytes, and a text at most 100000; put each sentence on a line of its own "
                      "(left out)"});
}

TEST_CASE("Texts: files that hold none") {
  const TempDir dir;
  CHECK(message_of([&] { read_text_lines(dir.path("none.txt")); }) == dir.path("none.txt") + ": there is no such file");
  CHECK_THAT(message_of([&] { read_text_lines(dir.path()); }),
             Contains(": is a folder; give a file of lines, or a table"));
  CHECK_THAT(message_of([&] { read_text_lines(dir.write("empty.txt", std::string())); }), Contains(": holds no text"));
  CHECK_THAT(message_of([&] {
               read_text_lines(dir.write("wide.txt", std::string("\xff\xfe"
                                                                 "a\0",
                                                                 4)));
             }),
             Contains("is text of UTF-16; save it as UTF-8"));
  CHECK_THAT(message_of([&] { read_text_lines(dir.write("bad.txt", std::string("\xff\n"))); }),
             Contains(": holds no text (left out: 1 line not in UTF-8)"));
}

TEST_CASE("Texts: questions that begin with their class") {
  const TempDir dir;
  const TextList list = read_question_lines(
      dir.write("TREC.train",
                std::string("NUM:dist How far is it ?\nLOC:city What county ?\nno class: here\nNUM:date When ?\n")));
  CHECK(texts_of(list) == Texts{"How far is it ?", "What county ?", "When ?"});
  CHECK(list.classes() == Texts{"LOC", "NUM"});
  CHECK(list.label(0) == 1);
  CHECK(list.label(1) == 0);
  CHECK(list.left_out_text() == "1 line without a class");
}

TEST_CASE("Texts: a TSV with quotes keeps its rows where some lines are ragged or long") {
  const TempDir dir;
  std::string rows = "label\ttext\n";
  for (int i = 0; i < 30; ++i) rows += "good\t\"it begins with a quote " + std::to_string(i) + "\n";
  rows += "no tab\ngood\t" + std::string(1'000'000, 'x') + "\n";
  const TextTable table = read_text_table(dir.write("rows.tsv", rows));
  CHECK(table.texts.size() == 30);
  CHECK(table.texts[29] == "\"it begins with a quote 29");
  CHECK(table.texts.left_out_text() == "1 line of another number of fields, 1 line of more than 100000 bytes");
}

TEST_CASE("Texts: blank texts of a table do not make it a file of no texts") {
  const TempDir dir;
  std::string rows = "text,label\n";
  for (int i = 0; i < 200; ++i) rows += "some words,a\n,b\n,b\n";
  CHECK(read_text_table(dir.write("rows.csv", rows)).texts.size() == 200);
}

TEST_CASE("Texts: tables with and without a header") {
  const TempDir dir;
  const std::string path = dir.write("reviews.csv", std::string("id,Sentiment,Review,split\n1,good,\"a, b\",train\n"
                                                                "2,bad,,train\n3,bad,c,test\n4,good,d,\n5,x\n"));
  const TextTable table = read_text_table(path);
  CHECK(texts_of(table.texts) == Texts{"a, b", "c", "d"});
  CHECK(table.texts.classes() == Texts{"bad", "good"});
  CHECK(table.parts == Texts{"train", "test"});
  CHECK(table.part_of == std::vector<std::int32_t>{0, 1, -1});
  CHECK(table.texts.columns == path + ": texts from Review, labels from Sentiment, parts from split");
  CHECK(table.texts.left_out_text() == "1 line that cannot be read, 1 line without a text");

  const TextTable captions = read_text_table(dir.write("captions.csv", std::string("image,caption\na.png,A bird\n")));
  CHECK(captions.texts.size() == 1);
  CHECK(captions.texts[0] == "A bird");
  CHECK(column_of_texts({"path", "Caption", "text"}) == 2);
  CHECK(column_of_texts({"path", "name"}) == -1);
  const TextTable plain = read_text_table(dir.write("plain.tsv", std::string("1\ta longer text\n0\tb\n")));
  CHECK(texts_of(plain.texts) == Texts{"a longer text", "b"});
  CHECK(plain.texts.classes() == Texts{"0", "1"});
  CHECK(plain.parts.empty());
  CHECK_THAT(plain.texts.columns, Contains("no header: texts from column 2, labels from column 1"));
}

TEST_CASE("Texts: quotes of a TSV are text where every line has as many tabs") {
  const TempDir dir;
  const TextTable raw = read_text_table(dir.write(
      "raw.tsv",
      std::string("label\ttext\n1\t\"Manos\" is bad\n0\t\"not closed\n\n1\t\"He said \"\"no\"\"\"\n0\t\"\n")));
  CHECK(texts_of(raw.texts) == Texts{"\"Manos\" is bad", "\"not closed", "He said \"no\"", "\""});
  CHECK(raw.texts.left_out_text().empty());
  CHECK(raw.texts.place(2) == dir.path("raw.tsv") + ", line 5");
  // A quoted line break is RFC 4180's.
  const TextTable quoted =
      read_text_table(dir.write("quoted.tsv", std::string("label\ttext\n1\t\"two\nlines\"\n0\tb\n")));
  CHECK(texts_of(quoted.texts) == Texts{"two\nlines", "b"});
}

TEST_CASE("Texts: lists are put together and parted") {
  const TempDir dir;
  TextList all("both");
  all.append(read_text_lines(dir.write("b.txt", std::string("one\ntwo\n\xff\n")), "b"));
  all.append(read_text_lines(dir.write("a.txt", std::string("three\n")), "a"));
  all.append(read_text_lines(dir.write("c.txt", std::string("four\n")), "c"), false);
  CHECK(all.classes() == Texts{"b", "a"});
  all.sort_classes();
  CHECK(all.classes() == Texts{"a", "b"});
  CHECK(all.label(0) == 1);
  CHECK(all.label(2) == 0);
  CHECK(all.label(3) == -1);
  CHECK(all.place(2) == dir.path("a.txt") + ", line 1");
  CHECK(all.left_out_text() == "1 line not in UTF-8");
  const TextList some = all.selected({3, 1});
  CHECK(texts_of(some) == Texts{"four", "two"});
  CHECK(some.label(1) == 1);
  CHECK(some.place(1) == dir.path("b.txt") + ", line 2");
  CHECK(some.classes() == all.classes());
}

TEST_CASE("Texts: a text's digest is of its words, and a fifth is tested with") {
  CHECK(digest_of_text("It's  a Film .") == digest_of_text("it s a film"));
  CHECK(digest_of_text("a film") != digest_of_text("film a"));
  CHECK(digest_of_text("ab") != digest_of_text("a b"));
  CHECK(digest_of_text("?!") != digest_of_text("!?"));
  int tested = 0;
  for (int i = 0; i < 10'000; ++i) tested += is_test_text(digest_of_text("text " + std::to_string(i))) ? 1 : 0;
  CHECK(tested > 1800);
  CHECK(tested < 2200);
}
