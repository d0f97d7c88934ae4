#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// Options whose values have names. take() after parsing hands them over.
class NamedOptions {
 public:
  template <class T>
  void add(CLI::App& app, const char* option, T& value, const std::map<std::string, T>& names, const char* help,
           const char* group) {
    std::vector<std::string> all;
    std::string& text = texts_.emplace_back();
    for (const auto& [name, each] : names) {
      all.push_back(name);
      if (each == value) text = name;
    }
    app.add_option(option, text, help)->check(CLI::IsMember(all))->group(group);
    takes_.push_back([&text, &value, &names] { value = names.at(text); });
  }
  void take() const {
    for (const auto& each : takes_) each();
  }

 private:
  std::deque<std::string> texts_;  // whose elements stay where they are
  std::vector<std::function<void()>> takes_;
};

/// An option of a number for each of three channels, by spaces or commas. take() after parsing hands them over.
class ChannelOption {
 public:
  ChannelOption(CLI::App& app, const char* option, float (&values)[3], const char* help, const char* group)
      : given_(values, values + 3), values_(values) {
    app.add_option(option, given_, help)->delimiter(',')->expected(3)->group(group);
  }
  void take() const { std::copy(given_.begin(), given_.end(), values_); }

 private:
  std::vector<float> given_;
  float* values_;
};
