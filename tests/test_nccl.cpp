// libsimclr_nccl.so as far as it goes without a GPU.

#include <simclr/core/nccl_world.h>
#include <simclr/core/runtime.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <cstdlib>
#include <string>

using namespace simclr;
using Catch::Matchers::Contains;
using simclr::test::message_of;

TEST_CASE("a GPU that two ranks have is refused with what to do") {
  CHECK_NOTHROW(require_own_gpus({"0000:17:00.0 a", "0000:65:00.0 a", "0000:17:00.0 b"}));
  CHECK(message_of([] {
          require_own_gpus({"0000:17:00.0 a", "0000:65:00.0 a", "0000:65:00.0 a"});
        }) ==
        "nccl: ranks 1 and 2 share the GPU 0000:65:00.0; start no more ranks on a machine than it has GPUs that they "
        "may use (CUDA_VISIBLE_DEVICES), or train on the CPU (--device cpu)");
}

TEST_CASE("libsimclr_nccl.so loads, or says what is missing") {
#if SIMCLR_TEST_NCCL
  const NcclFunctions& nccl = load_nccl();
  CHECK(nccl.nccl_version() > 20000);
  NcclId id{};
  unsetenv("NCCL_NVLS_ENABLE");
  for (const bool chosen : {false, true}) {  // sums in NVLink's switches are another order each time
    if (chosen) setenv("NCCL_NVLS_ENABLE", "1", 1);
    nccl.make_id(id);
    const char* const set = std::getenv("NCCL_NVLS_ENABLE");
    CHECK(std::string(set != nullptr ? set : "") == (chosen ? "1" : "0"));
  }
  if (device_problem(DeviceType::cuda).empty()) return;
  std::string address;
  for (const std::string& problem : {nccl.address(0, address), nccl.start(NcclId{}, 0, 1, 0)}) {
    CHECK_THAT(problem, Contains("CUDA"));
    CHECK(problem.find('\n') == std::string::npos);
  }
  CHECK(nccl.problem().empty());
  CHECK(nccl.unfinished() == 0);
  CHECK(nccl.finish().empty());
#else
  const std::string message = message_of([] { load_nccl(); });
  CHECK_THAT(message, Contains("nccl: several processes on GPUs need libsimclr_nccl.so (not in "));
  CHECK_THAT(message, Contains("; build libsimclr with NCCL (NVIDIA: libnccl-dev, PyPI: nvidia-nccl-cu13), or train on "
                               "the CPU (--device cpu)"));
#endif
}
