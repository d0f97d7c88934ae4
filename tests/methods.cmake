# Trainings with labels.
if(Python3_FOUND AND TARGET train_cifar AND TARGET train_pairs AND TARGET linear_probe)
  add_test(NAME test_method_programs COMMAND Python3::Interpreter ${tests_source}/test_method_programs.py)
  set_tests_properties(test_method_programs PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT PROGRAMS=$<TARGET_FILE_DIR:train_cifar>)
endif()
