#include "modalities/named_texts.h"
#include "modalities/pair_half.h"
#include "modalities/texts.h"
#include "recipes/pair_recipes.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

namespace data = simclr::data;

namespace {

class TextHalf final : public PairHalf {
 public:
  const char* name() const override { return "text"; }
  Modality& modality() override { return texts_; }
  const Modality& modality() const override { return texts_; }
  bool of_files() const override { return false; }
  bool reads(std::string_view value) const override { return simclr::lower_case(value).ends_with(".txt"); }
  void options(OptionTable& table) override {
    table.of(name());
    texts_.view_rows(table);
    table.of("");
  }
  void use_recipe(const PairOptions& options) override { texts_.use_options(options.text); }

  void look(const HalfPlaces& halves, const OptionTable&, bool, Datasets& notes) override {
    if (texts_.has_tokenizer()) return;
    data::TextList texts(halves.place);
    for (const HalfFiles& each : halves.trained_on) {
      const std::int64_t all = std::ssize(each.names), step = 1 + all / data::most_learned_from;
      for (std::int64_t i = 0; i < all; i += step) {
        try {
          const data::Sample text = decode(each.bytes(i), each.names[static_cast<std::size_t>(i)], -1);
          texts.add(data::text_of(text), i + 1);
        } catch (const simclr::Error&) {  // it is named when it is trained on
        }
      }
    }
    notes.add_note(texts_.learn_tokens(texts));
  }

  /// Of the file's first line, or, where there is no such file, these words.
  data::Sample read(const std::string& words_or_file, std::int32_t label) const override {
    data::Sample text = query_text(words_or_file);
    text.label = label;
    return text;
  }
  data::Sample decode(const std::vector<std::uint8_t>& bytes, const std::string& name,
                      std::int32_t label) const override {
    return text_sample({bytes.begin(), bytes.end()}, name, label);
  }

 private:
  Texts texts_;
};

}  // namespace

std::unique_ptr<PairHalf> text_half() {
  return std::make_unique<TextHalf>();
}
