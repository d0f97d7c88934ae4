# The Python package in the build tree, and its wheel in an environment of its own. Labels: unit, slow.
if(SIMCLR_HAVE_PYTHON AND Python3_FOUND AND TARGET train_cifar)
  set(python_environment "PYTHON=${Python_EXECUTABLE};PACKAGE=${PROJECT_BINARY_DIR}/python")
  set(package_test ${tests_source}/test_python_package.py)
  add_test(NAME python_package COMMAND Python3::Interpreter ${package_test} --all-but compile grad_scaler peers sklearn)
  add_test(NAME python_newer_torch COMMAND Python3::Interpreter ${package_test} --peers compile grad_scaler peers sklearn)
  set_tests_properties(python_package python_newer_torch PROPERTIES LABELS unit TIMEOUT 900 SKIP_RETURN_CODE 77
                       ENVIRONMENT "${python_environment}")
  if(SIMCLR_NATIVE AND NOT SIMCLR_HAVE_CUDA)  # once
    add_test(NAME python_wheel COMMAND Python3::Interpreter ${tests_source}/test_python_wheel.py)
    set_tests_properties(python_wheel PROPERTIES LABELS "unit;slow" TIMEOUT 1800 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
                         ENVIRONMENT "${python_environment}")
  endif()
endif()
