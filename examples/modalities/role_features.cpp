#include "modalities/role_features.h"

#include <simclr/core/autograd.h>
#include <simclr/core/error.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

/// A sentence's tokens, and where each word begins among them; -1: behind the last that is looked at.
struct Tokens {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> begins;
};

Tokens tokens_of(const data::RoleSentence& sentence, const data::Tokenizer& tokenizer, std::int64_t longest) {
  Tokens tokens;
  for (const std::string& word : sentence.words) {
    std::vector<std::int32_t> ids = tokenizer.encode(word);
    if (ids.empty()) ids.push_back(0);
    tokens.begins.push_back(std::ssize(tokens.ids) < longest ? std::ssize(tokens.ids) : -1);
    tokens.ids.insert(tokens.ids.end(), ids.begin(), ids.end());
  }
  if (std::ssize(tokens.ids) > longest) tokens.ids.resize(static_cast<std::size_t>(longest));
  return tokens;
}

/// [N,T,C] of some sentences, on the CPU.
Tensor features_of_tokens(nn::TokenEncoder& encoder, std::span<const Tokens> sentences) {
  std::int64_t steps = 0;
  std::vector<std::int32_t> lengths;
  for (const Tokens& each : sentences) {
    lengths.push_back(static_cast<std::int32_t>(each.ids.size()));
    steps = std::max(steps, std::ssize(each.ids));
  }
  std::vector<std::int32_t> ids(sentences.size() * static_cast<std::size_t>(steps));
  for (std::size_t n = 0; n < sentences.size(); ++n) {
    std::copy(sentences[n].ids.begin(), sentences[n].ids.end(),
              ids.begin() + static_cast<std::ptrdiff_t>(n) * static_cast<std::ptrdiff_t>(steps));
  }
  const auto count = std::ssize(sentences);
  const simclr::Input input{Tensor::from(ids, {count, steps}), Tensor::from(lengths, {count}), {}};
  return encoder.features_of_tokens(input.to(encoder.device())).to(simclr::Device{});
}

/// Gathers the rows of pairs.
class Rows {
 public:
  explicit Rows(const std::vector<std::string>& roles) {
    for (const std::string& role : roles) labels_.emplace(role, static_cast<std::int32_t>(labels_.size()));
  }

  /// `features`: [T,C] of the sentence's tokens.
  void add(const data::RoleSentence& sentence, const Tokens& tokens, std::span<const float> features,
           std::int64_t width) {
    for (const data::Predicate& predicate : sentence.predicates) {
      for (std::int64_t word = 0; word < std::ssize(sentence.words); ++word) {
        if (word != predicate.word) add_pair(predicate, word, tokens, features, width);
      }
    }
  }

  RoleFeatures take(std::int64_t width) {
    SIMCLR_CHECK(!result_.rows.labels.empty(), "no word and predicate are left to learn roles from");
    result_.rows.values = Tensor::from(values_, {std::ssize(result_.rows.labels), 2 * width});
    return std::move(result_);
  }

 private:
  void add_pair(const data::Predicate& predicate, std::int64_t word, const Tokens& tokens,
                std::span<const float> features, std::int64_t width) {
    const std::string& role = predicate.roles[static_cast<std::size_t>(word)];
    const auto label = labels_.find(role.empty() ? no_role : role);
    if (role.empty() && label == labels_.end()) return;
    const std::int64_t own = tokens.begins[static_cast<std::size_t>(word)];
    const std::int64_t its = tokens.begins[static_cast<std::size_t>(predicate.word)];
    if (own < 0 || its < 0) {
      ++result_.behind;
    } else if (label == labels_.end()) {
      ++result_.other_role;
    } else {
      for (const std::int64_t at : {own, its}) {
        const auto row = features.subspan(static_cast<std::size_t>(at * width), static_cast<std::size_t>(width));
        values_.insert(values_.end(), row.begin(), row.end());
      }
      result_.rows.labels.push_back(label->second);
    }
  }

  std::map<std::string, std::int32_t> labels_;
  std::vector<float> values_;
  RoleFeatures result_;
};

}  // namespace

std::vector<std::string> frequent_roles(const data::RoleList& list, std::int64_t least) {
  std::map<std::string, std::int64_t> counts;
  for (const data::RoleSentence& sentence : list.sentences) {
    for (const data::Predicate& predicate : sentence.predicates) {
      for (std::int64_t word = 0; word < std::ssize(sentence.words); ++word) {
        const std::string& role = predicate.roles[static_cast<std::size_t>(word)];
        if (!role.empty() && word != predicate.word) ++counts[role];
      }
    }
  }
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [role, count] : counts) {
    if (count >= least) order.emplace_back(-count, role);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> roles;
  for (auto& [count, role] : order) roles.push_back(std::move(role));
  return roles;
}

RoleFeatures role_features(nn::TokenEncoder& encoder, const data::Tokenizer& tokenizer, std::int64_t longest,
                           const data::RoleList& list, const std::vector<std::string>& roles) {
  constexpr std::size_t batch = 64;
  const simclr::NoGrad no_grad;
  encoder.eval();
  Rows rows(roles);
  std::int64_t width = 0;
  for (std::size_t begin = 0; begin < list.sentences.size(); begin += batch) {
    const std::size_t end = std::min(begin + batch, list.sentences.size());
    std::vector<Tokens> tokens;
    for (std::size_t n = begin; n < end; ++n) tokens.push_back(tokens_of(list.sentences[n], tokenizer, longest));
    const Tensor features = features_of_tokens(encoder, tokens);
    width = features.dim(2);
    const auto values = features.to_vector<float>();
    const auto size = static_cast<std::size_t>(features.dim(1) * width);
    for (std::size_t n = begin; n < end; ++n) {
      rows.add(list.sentences[n], tokens[n - begin], std::span(values).subspan((n - begin) * size, size), width);
    }
  }
  return rows.take(width);
}
