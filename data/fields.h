#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What is known of each sample of a list besides its file, by name: its "label", its "speaker", its "session". By
/// them lists are parted.
namespace simclr::data {

struct Field {
  std::string name;
  std::vector<std::string> values = {};  // those that occur, by value where all are whole numbers, else by name
  std::vector<std::int32_t> of = {};     // of each sample one of `values`; -1: none

  /// Of sample `i`; empty: none.
  std::string_view value(std::size_t i) const {
    return of[i] < 0 ? std::string_view() : values[static_cast<std::size_t>(of[i])];
  }
};

/// Whose fields they are, for messages: "digits.csv" and "recording".
struct FieldOwner {
  std::string place, sample;
};

/// The field of that name whose values are these texts, one a sample; empty: none.
SIMCLR_API Field make_field(std::string name, const std::vector<std::string>& texts);

/// A field by its name, in which upper and lower case, blanks, "_" and "-" do not count; null: there is none.
SIMCLR_API const Field* find_field(const std::vector<Field>& fields, std::string_view name);
/// The same; throws Error, which lists the fields, where there is none.
SIMCLR_API const Field& needed_field(const std::vector<Field>& fields, std::string_view name, const FieldOwner& owner);

/// Those of the samples of these numbers, with the values that occur among them. With `keep_labels` the field "label"
/// keeps all of its values, so that the parts of a list have the same classes.
SIMCLR_API std::vector<Field> selected_fields(const std::vector<Field>& fields, const std::vector<std::uint32_t>& which,
                                              bool keep_labels = false);

/// Numbers of samples, neither part empty.
struct FieldParts {
  std::vector<std::uint32_t> train, test;
  std::string left_out = {};  // "3 recordings without a take", which are in neither; empty: none is
};
/// Test is what has one of `test_values` in that field, train all else that has a value there. Throws Error for a
/// field or a value that is not there, and for an empty part.
SIMCLR_API FieldParts split_by_field(const std::vector<Field>& fields, const std::string& name,
                                     const std::vector<std::string>& test_values, const FieldOwner& owner);

/// Values of a field for split_by_field(), a `share` of all, at least one and not all: which ones is a function of the
/// seed and of their names.
SIMCLR_API std::vector<std::string> drawn_values(const std::vector<Field>& fields, const std::string& name,
                                                 const FieldOwner& owner, double share, std::uint64_t seed);

/// Values that both fields have, in byte order: of "speaker" the speakers that are trained on and tested with.
SIMCLR_API std::vector<std::string> shared_values(const Field& a, const Field& b);

/// "0-4,7" as 0, 1, 2, 3, 4, 7, and "08-10" as 08, 09, 10; what is no range of whole numbers stays: "theo,lucas".
SIMCLR_API std::vector<std::string> values_of(const std::string& text);

}  // namespace simclr::data
