#include "support/safetensors.h"
#include "targets.h"

#include <simclr/core/serialize.h>

namespace simclr::fuzz {

void safetensors(Bytes bytes) {
  static const MemoryFile memory;
  memory.write(bytes);
  const std::string text(bytes.begin(), bytes.end());
  const bool good = test::is_safetensors(text);

  std::string message;
  TensorFile file;
  if (succeeds([&] { file = load_tensors(memory.path()); }, message)) {
    if (!good) finding("a file was loaded that is no safetensors file");
    std::size_t values = 0;
    for (const NamedTensor& tensor : file.tensors) values += tensor.value.bytes();
    if (values > text.size()) finding("more was loaded than the file has");
  } else if (good && message.find("digest differs") == std::string::npos &&
             message.find("more memory than the file") == std::string::npos) {
    finding("a good file was refused: " + message);
  }
  succeeds([&] { load_tensors(memory.path(), {.skip = [](const std::string&) { return true; }}); }, message);
}

}  // namespace simclr::fuzz
