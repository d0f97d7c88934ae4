"""The library's random numbers, from their definition (core/random.h; Salmon et al., SC 2011)."""

PURPOSES = {"augmentation": 2, "dropout": 4}
LOW = 0xFFFFFFFF


def philox(counter, key0, key1):
    c = list(counter)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ key0, p1 & LOW, p0 >> 32 ^ c[3] ^ key1, p0 & LOW]
        key0, key1 = key0 + 0x9E3779B9 & LOW, key1 + 0xBB67AE85 & LOW
    return c


def random_block(seed, purpose, key, index):
    """Four words; key: (id, epoch, view)."""
    tag = PURPOSES[purpose] << 24 | int(key[2]) & 0xFFFFFF
    return philox([index, int(key[0]), int(key[1]), tag], seed & LOW, seed >> 32)
