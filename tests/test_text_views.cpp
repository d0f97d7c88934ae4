// Tokens of texts, and random views of them.

#include <simclr/core/error.h>
#include <simclr/data/loader.h>
#include <simclr/data/text/text_views.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Ids = std::vector<std::int32_t>;

namespace {

TextList list_of(const std::vector<std::string>& texts) {
  TextList list("test");
  for (std::size_t i = 0; i < texts.size(); ++i) list.add(texts[i], static_cast<std::int64_t>(i + 1));
  return list;
}

/// Tokens w1 to w99 with ids 1 to 99, and the full stop 100.
std::shared_ptr<const Tokenizer> numbered() {
  std::string model = "simclr words 1\n";
  for (int i = 1; i < 100; ++i) model += "w" + std::to_string(i) + "\n";
  return read_tokenizer(model + ".\n");
}

Ids counting(std::int32_t count) {
  Ids ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 1);
  return ids;
}

ViewKey key(std::uint32_t sample, std::uint32_t view, std::uint32_t epoch = 0) {
  return {.seed = 7, .sample = sample, .epoch = epoch, .view = view};
}

}  // namespace

TEST_CASE("Tokens: words by how often they occur, and back") {
  const auto words = learn_words(list_of({"The film , the FILM !", "the end", "it's naïve"}), {.entries = 5});
  CHECK(words->size() == 5);  // the, film, and of those that occur once the first by their bytes
  CHECK(words->model() == "simclr words 1\nthe\nfilm\n!\n,\n");
  CHECK(words->encode("FILM the, other") == Ids{2, 1, 4, 0});
  CHECK(words->decode(Ids{2, 1, 0, 77}) == "film the [?] [?]");
  CHECK(words->encode(" \t ").empty());
  CHECK(words->ends_clause(3));
  CHECK_FALSE(words->ends_clause(1));
  CHECK_FALSE(words->ends_clause(0));
  CHECK(words->kind() == std::string("words"));
  const auto again = read_tokenizer(words->model());
  CHECK(again->model() == words->model());
  CHECK(again->encode("the film") == words->encode("the film"));
  const auto apostrophe = learn_words(list_of({"it's naïve"}));
  CHECK(apostrophe->size() == 3);
  CHECK_THAT(message_of([] { learn_words(list_of({" "})); }), Contains("has no words"));
  CHECK_THAT(message_of([] { learn_words(list_of({"a"}), {.entries = 1}); }), Contains("at least 2 are needed"));
}

TEST_CASE("Tokens: models that are none are refused in one line") {
  for (const char* model : {"", "simclr words 1\n", "simclr words 1\nthe", "simclr words 1\nthe\n\n", "words\nthe\n",
                            "simclr words 1\nthe\nthe\n", "simclr words 1\na b\n", "simclr words 1\n\xff\n"}) {
    INFO(model);
    CHECK_THAT(message_of([&] { read_tokenizer(model); }), Contains("tokenizer: ") && Contains("another copy"));
  }
  CHECK_THAT(message_of([] { read_tokenizer("simclr pieces 1\nno model"); }), Contains("tokenizer: "));
}

TEST_CASE("Tokens: pieces are learned once, whatever the order of the texts, and read again") {
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    texts.push_back("the Film number " + std::to_string(i % 97) + " is a comedy, playing in town " +
                    std::to_string(i % 13) + ".");
  }
  if (!has_pieces()) {
    CHECK_THAT(message_of([&] { learn_pieces(list_of(texts)); }),
               Contains("this build has no SentencePiece") && Contains("libsentencepiece-dev"));
    return;
  }
  const auto pieces = learn_pieces(list_of(texts), {.entries = 80});
  CHECK(pieces->size() <= 80);
  std::reverse(texts.begin(), texts.end());
  CHECK(learn_pieces(list_of(texts), {.entries = 80})->model() == pieces->model());
  const auto again = read_tokenizer(pieces->model());
  const Ids ids = pieces->encode("The film is a comedy.");
  CHECK(again->encode("The film is a comedy.") == ids);
  CHECK(again->decode(ids) == "the film is a comedy.");
  CHECK(pieces->begins_word(ids.front()));
  CHECK(pieces->ends_clause(ids.back()));
}

TEST_CASE("Tokens: texts of which nothing is left teach no pieces") {
  if (!has_pieces()) return;
  const std::vector<std::string> nothing = {"\x01", "\xe2\x80\x8b", "\xe3\x80\x80", "\xe2\x96\x85 a"};
  CHECK_THAT(message_of([&] { learn_pieces(list_of(nothing)); }),
             Contains("nothing but blanks and control characters"));
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back("some words, number " + std::to_string(i));
  const auto pieces = learn_pieces(list_of(texts), {.entries = 40});
  texts.insert(texts.begin(), nothing.begin(), nothing.end());
  CHECK(learn_pieces(list_of(texts), {.entries = 40})->model() == pieces->model());
}

TEST_CASE("Text views: two halves share no word and leave none out") {
  const auto tokens = numbered();
  const TextPolicy policy{.halves_probability = 1.0f};
  bool differ = false;
  Ids before;
  for (std::uint32_t sample = 0; sample < 20; ++sample) {
    const Ids a = changed_text(counting(21), *tokens, policy, key(sample, 0));
    const Ids b = changed_text(counting(21), *tokens, policy, key(sample, 1));
    CHECK(std::is_sorted(a.begin(), a.end()));
    Ids all = a;
    all.insert(all.end(), b.begin(), b.end());
    std::sort(all.begin(), all.end());
    CHECK(all == counting(21));
    CHECK(a.size() + 1 >= b.size());
    CHECK(b.size() + 1 >= a.size());
    CHECK(changed_text(counting(21), *tokens, policy, key(sample, 2)) == a);  // of the same half
    differ |= sample > 0 && a != before;
    before = a;
  }
  CHECK(differ);
  CHECK(changed_text({5}, *tokens, policy, key(0, 0)) == Ids{5});
  CHECK(changed_text({5}, *tokens, policy, key(0, 1)) == Ids{5});
}

TEST_CASE("Text views: crops are of words that follow each other, from all places") {
  const auto tokens = numbered();
  const TextPolicy policy{.crop_min = 0.2f, .crop_max = 0.6f};
  std::set<std::int32_t> begins;
  std::set<std::size_t> sizes;
  for (std::uint32_t sample = 0; sample < 3000; ++sample) {
    const Ids view = changed_text(counting(10), *tokens, policy, key(sample, 1));
    for (std::size_t i = 1; i < view.size(); ++i) CHECK(view[i] == view[i - 1] + 1);
    begins.insert(view.front());
    sizes.insert(view.size());
  }
  CHECK(sizes == std::set<std::size_t>{2, 3, 4, 5, 6});
  CHECK(begins == std::set<std::int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("Text views: words are left out as often as asked, never all of them") {
  const auto tokens = numbered();
  std::map<std::int32_t, int> kept;
  for (std::uint32_t sample = 0; sample < 2000; ++sample) {
    for (const std::int32_t id : changed_text(counting(8), *tokens, {.deletion = 0.25f}, key(sample, 0))) ++kept[id];
  }
  for (std::int32_t id = 1; id <= 8; ++id) {
    CHECK(kept[id] > 1400);
    CHECK(kept[id] < 1600);
  }
  for (std::uint32_t sample = 0; sample < 50; ++sample) {
    CHECK(changed_text(counting(2), *tokens, {.deletion = 0.999f}, key(sample, 0)).size() == 1);
  }
}

TEST_CASE("Text views: clauses are shuffled as wholes") {
  const auto tokens = numbered();
  const Ids text = {1, 2, 100, 3, 4, 5, 100, 6};
  std::set<Ids> seen;
  for (std::uint32_t sample = 0; sample < 200; ++sample) {
    seen.insert(changed_text(text, *tokens, {.shuffle_probability = 1.0f}, key(sample, 0)));
  }
  CHECK(seen.size() == 6);
  CHECK(seen.contains(text));
  CHECK(seen.contains(Ids{6, 3, 4, 5, 100, 1, 2, 100}));
}

TEST_CASE("Text views: a view is a function of its key, as long as its text, and cut at the longest") {
  const auto tokens = numbered();
  const TextPolicy policy{.longest = 6, .halves_probability = 0.5f, .crop_min = 0.5f, .deletion = 0.2f};
  const TextViews views(policy, tokens), plain(policy.evaluation(), tokens);
  CHECK(views.view_shape() == Shape{6});
  CHECK(views.view_dtype() == DType::i32);
  const std::string text = "w1 w2 w3 w4 w5 w6 w7 w8 w9";
  const auto set = text_dataset(std::make_shared<TextList>(list_of({text, "w3 zzz", " "})));
  const auto made = [&](const TextViews& maker, std::int64_t i, const ViewKey& with) {
    Ids out(6, -1);
    const auto length = maker.make_whole_view(set->sample(i), with, reinterpret_cast<std::byte*>(out.data()));
    out.push_back(length);
    return out;
  };
  CHECK(made(plain, 0, {}) == Ids{1, 2, 3, 4, 5, 6, 6});
  CHECK(made(plain, 1, {}) == Ids{3, 0, 0, 0, 0, 0, 2});
  CHECK(made(views, 0, key(0, 0)) == made(views, 0, key(0, 0)));
  CHECK(made(views, 0, key(0, 0)) != made(views, 0, key(0, 1)));
  CHECK(made(views, 0, key(0, 0, 1)) != made(views, 0, key(0, 0, 2)));
  CHECK_THAT(message_of([&] { made(plain, 2, {}); }), Contains("the text has no token"));

  const Loader loader(set, std::make_shared<TextViews>(policy.evaluation(), tokens),
                      {.batch_size = 2, .drop_last = false, .on_warning = [](const std::string&) {}});
  for (const Batch& batch : loader.epoch(0)) {
    REQUIRE(batch.towers[0].lengths.defined());  // the text without a token is replaced
    break;
  }
}

TEST_CASE("Text views: impossible policies are refused by name") {
  const auto refused = [](const TextPolicy& policy) { return message_of([&] { check(policy); }); };
  CHECK(refused({}) == "no error");
  CHECK_THAT(refused({.longest = 0}), Contains("longest is 0"));
  CHECK_THAT(refused({.halves_probability = 1.5f}), Contains("halves_probability"));
  CHECK_THAT(refused({.crop_min = 0.0f}), Contains("crop_min"));
  CHECK_THAT(refused({.crop_min = 0.5f, .crop_max = 0.4f}), Contains("crop_max"));
  CHECK_THAT(refused({.deletion = 1.0f}), Contains("deletion"));
  CHECK_THAT(refused({.shuffle_probability = -0.1f}), Contains("shuffle_probability"));
  CHECK_THAT(message_of([] { TextViews({}, nullptr); }), Contains("a tokenizer is needed"));
}
