// Reads the pictures whose paths stand in the lines of its input. Of each it writes "H W C BYTES" and the pixels'
// bytes, or "0 0 0 BYTES" and the error.

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>

#include <iostream>
#include <string>

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    try {
      const simclr::data::Picture picture = simclr::data::read_picture(path);
      std::cout << picture.height << ' ' << picture.width << ' ' << picture.channels << ' ' << picture.pixels.size()
                << '\n';
      std::cout.write(reinterpret_cast<const char*>(picture.pixels.data()),
                      static_cast<std::streamsize>(picture.pixels.size()));
    } catch (const simclr::Error& error) {
      const std::string message = error.what();
      std::cout << "0 0 0 " << message.size() << '\n' << message;
    }
    std::cout.flush();
  }
  return 0;
}
