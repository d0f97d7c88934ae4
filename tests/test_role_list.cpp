// Sentences with semantic roles: what is read of them, and what is left out.

#include <simclr/core/error.h>
#include <simclr/data/text/role_list.h>
#include <simclr/data/text/text_list.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/roles.h"
#include "support/temp_dir.h"

#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

TEST_CASE("Roles: a column for each predicate says of each word what it is there") {
  const TempDir dir;
  const std::string path =
      dir.write("roles.conllu",
                "# text = Dogs bark and bite cats\n" + role_line(1, "Dogs", "_", {"ARG0", "ARG0"}) +
                    role_line(2, "bark", "bark.01", {"V", "_"}) + "2-3\tbarkand\n" +
                    role_line(3, "and", "_", {"_", "_"}) + "3.1\tthey\n" + role_line(4, "bite", "bite.01", {"_", "V"}) +
                    role_line(5, "cats", "", {"", "ARG1"}) + "\r\n\n" + role_line(1, "Silence", "_", {""}));
  const RoleList list = read_role_list(path);
  CHECK(list.warnings.empty());
  REQUIRE(list.sentences.size() == 2);
  const RoleSentence& first = list.sentences[0];
  CHECK(first.words == Words{"Dogs", "bark", "and", "bite", "cats"});
  REQUIRE(first.predicates.size() == 2);
  CHECK(first.predicates[0].word == 1);
  CHECK(first.predicates[0].roles == Words{"ARG0", "V", "", "", ""});
  CHECK(first.predicates[1].word == 3);
  CHECK(first.predicates[1].roles == Words{"ARG0", "", "", "V", "ARG1"});
  CHECK(list.sentences[1].words == Words{"Silence"});
  CHECK(list.sentences[1].predicates.empty());
}

TEST_CASE("Roles: a sentence that is not so is named and counted, and the others are read") {
  const TempDir dir;
  const std::string good = role_line(1, "It", "_", {"ARG1"}) + role_line(2, "works", "work.01", {"V"}) + "\n";
  std::string many;
  for (int i = 1; i <= 1001; ++i) many += role_line(i, "word", "_", {});
  const std::string path =
      dir.write("roles.conllu", good + "no number\n\n" + "1\tshort\n\n" + role_line(1, "alone", "be.01", {}) + "\n" +
                                    role_line(1, "caf\xe9", "_", {}) + "\n" + many + "\n" +
                                    std::string(most_text_bytes + 1, '1') + "\n\n" + good);
  const RoleList list = read_role_list(path);
  CHECK(list.sentences.size() == 2);
  const std::map<std::string, std::int64_t> expected = {{"with a line without a number", 1},
                                                        {"with a line that lacks fields", 1},
                                                        {"with a predicate without roles", 1},
                                                        {"not in UTF-8", 1},
                                                        {"that is too long", 1},
                                                        {"with a line that is too long", 1}};
  CHECK(list.left_out == expected);
  REQUIRE(list.warnings.size() == 3);
  CHECK(list.warnings[0] ==
        path + ", line 4: does not begin with a word's number and a tab (its sentence is left out)");
  CHECK_THAT(list.warnings[2], Contains("line 8: its sentence lacks roles"));
}

TEST_CASE("Roles: a file without any is refused in a line") {
  const TempDir dir;
  CHECK_THAT(message_of([&] { read_role_list(dir.path("none")); }), Contains("there is no such file"));
  CHECK_THAT(message_of([&] { read_role_list(dir.write("a.txt", std::string("a line\n"))); }),
             Contains("holds no sentence with a predicate") && Contains("line 1"));
  CHECK_THAT(message_of([&] { read_role_list(dir.write("b.conllu", role_line(1, "word", "_", {}))); }),
             Contains("holds no sentence with a predicate"));
}
