#pragma once

// A small Tiny-ImageNet, for tests.

#include "support/temp_dir.h"

#include <string>

namespace simclr::test {

inline void write_picture(const TempDir& dir, const std::string& path) {
  dir.write(path, std::string("P6 2 1 255\nabcdef"));
}

/// Two classes, and four pictures of val whose classes a file tells.
inline void write_tiny_imagenet(const TempDir& dir, const std::string& annotations) {
  for (const std::string name : {"n01443537", "n07747607"}) {
    for (int i = 0; i < 3; ++i) {
      write_picture(dir, "train/" + name + "/images/" + name + "_" + std::to_string(i) + ".JPEG");
    }
    dir.write("train/" + name + "/" + name + "_boxes.txt", std::string("x"));
  }
  for (int i = 0; i < 4; ++i) write_picture(dir, "val/images/val_" + std::to_string(i) + ".JPEG");
  for (int i = 0; i < 5; ++i) write_picture(dir, "test/images/test_" + std::to_string(i) + ".JPEG");
  dir.write("val/val_annotations.txt", annotations);
  dir.write("wnids.txt", std::string("n07747607\nn01443537\n"));
}

inline const std::string tiny_annotations =
    "val_0.JPEG\tn07747607\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t0\t0\t63\t63\r\n"
    "val_3.JPEG\tn07747607\t0\t32\t44\t62\nval_2.JPEG\tn01443537\t0\t0\t63\t63\n";

}  // namespace simclr::test
