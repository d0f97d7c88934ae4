#pragma once

// Private: an Upload::Transfer over a runtime's streams (kernels/cuda/streams.h).

#include <simclr/core/error.h>
#include <simclr/core/upload.h>
#include <simclr/kernels/cuda/streams.h>

#include <utility>

namespace simclr::cuda {

/// `Api` can also say whether a step is captured: capturing().
template <class Api>
class StagedTransfer final : public Upload::Transfer {
 public:
  StagedTransfer(Api api, void* to, std::size_t bytes) : api_(not_captured(api)), copy_(std::move(api), to, bytes) {}

  void start(const void* from) override {
    not_captured(api_);
    copy_.start(from);
  }
  void arrive() override {
    not_captured(api_);
    copy_.arrive();
  }
  void read() override { copy_.read(); }

 private:
  static const Api& not_captured(const Api& api) {
    SIMCLR_CHECK(!api.capturing(),
                 "upload: a captured step must neither start nor finish one; do so before its replay");
    return api;
  }

  Api api_;
  StagedCopy<Api> copy_;
};

}  // namespace simclr::cuda
