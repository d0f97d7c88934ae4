# Which Debian packages there are, and what is in each: configured, not built. Label: unit. scripts/test_packages installs
# and uses them; it is no test here, as it takes minutes and what Debian's servers have.
if(Python3_FOUND AND SIMCLR_INSTALL AND SIMCLR_NATIVE AND NOT SIMCLR_SANITIZE AND NOT SIMCLR_HAVE_CUDA)  # once
  add_test(NAME test_debian_packages COMMAND Python3::Interpreter ${tests_source}/test_debian_packages.py)
  set_tests_properties(test_debian_packages PROPERTIES LABELS unit TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
