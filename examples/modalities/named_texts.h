#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/views.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

/// The texts of a file of lines or of a table, each a class of its own that is called by its words, on one line.
/// `on_warning` is told what is left out. Throws simclr::Error as read_text_lines() and read_text_table() do.
std::shared_ptr<const simclr::data::Dataset> named_texts(const std::string& path,
                                                         const std::function<void(const std::string&)>& on_warning);

/// Without line breaks and other control characters, for which blanks stand.
std::string on_one_line(std::string text);

/// Words as a sample, u8 [bytes]; blanks around them do not count. `name`: what they are of, for messages. Throws
/// simclr::Error for what data::wrong_with_text() knows.
simclr::data::Sample text_sample(std::string words, const std::string& name, std::int32_t label = -1);

/// Whether anything of a text is known to the tokenizer of these views: all other texts are one to an encoder.
bool has_known_token(const simclr::data::Sample& text, const simclr::data::ViewMaker& views);

/// A text that is asked for: the first one of the file that is called so, or, where there is no such file, these words.
/// Throws simclr::Error where there are none.
simclr::data::Sample query_text(const std::string& words_or_file);
