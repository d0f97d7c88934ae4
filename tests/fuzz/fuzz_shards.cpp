#include "look_at_shard.h"
#include "targets.h"

namespace simclr::fuzz {

void shards(Bytes bytes) {
  static const MemoryFile shard;
  shard.write(bytes);
  look_at_shard(shard.path(), "");
}

}  // namespace simclr::fuzz
