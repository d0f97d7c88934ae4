#pragma once

#include <string>
#include <string_view>

/// Equal for names of classes that one looks upon as equal: in lower case, without blanks around, and with the accents
/// of Latin letters behind them, as some systems write what others write as one letter.
std::string plain_name(std::string_view name);

/// How two names whose plain_name() is the same are told apart, "by their case alone", and what to do: "give both the
/// same case".
struct NameDifference {
  std::string by, mend;
};
NameDifference name_difference(std::string_view a, std::string_view b);
