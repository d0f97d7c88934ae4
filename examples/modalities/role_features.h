#pragma once

#include <simclr/data/text/role_list.h>
#include <simclr/data/text/tokenizer.h>
#include <simclr/nn/evaluate.h>
#include <simclr/nn/token_encoder.h>

#include <cstdint>
#include <string>
#include <vector>

/// The roles that at least so many words have, the most frequent first.
std::vector<std::string> frequent_roles(const simclr::data::RoleList& list, std::int64_t least);
/// With what a list of roles begins where words without one are told apart, too.
inline constexpr const char* no_role = "none";

/// What a frozen encoder makes of words, for a probe of their roles.
struct RoleFeatures {
  simclr::nn::Features rows;    // one for each predicate and other word of its sentence
  std::int64_t behind = 0;      // pairs left out as one of them stands behind what the encoder looks at
  std::int64_t other_role = 0;  // pairs left out as their role is none of `roles`
};

/// [N,2C]: of a word the encoder's features of its first token, and beside them those of the predicate's; the label is
/// the role's place in `roles`. Words without a role are rows where `roles` begin with no_role. The encoder is seen in
/// evaluation mode, and `longest` tokens of a sentence. Throws simclr::Error where nothing is left.
RoleFeatures role_features(simclr::nn::TokenEncoder& encoder, const simclr::data::Tokenizer& tokens,
                           std::int64_t longest, const simclr::data::RoleList& list,
                           const std::vector<std::string>& roles);
