# The losses of NT-Xent's family: their tiles for sm_90a, and trainings with them.
if(SIMCLR_EMU)
  add_test(NAME emu_nt_xent_forms_sm90 COMMAND device_nt_xent_forms)
  set_tests_properties(emu_nt_xent_forms_sm90 PROPERTIES LABELS emu TIMEOUT 900
                       ENVIRONMENT "SIMCLR_TEST_DEVICE=emu;SIMCLR_TEST_WGMMA=1")
endif()
if(SIMCLR_HAVE_CUDA AND TARGET simclr_nt_xent_sm90)
  add_test(NAME cuda_nt_xent_forms_sm90 COMMAND device_nt_xent_forms)
  set_tests_properties(cuda_nt_xent_forms_sm90 PROPERTIES LABELS cuda TIMEOUT 60 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
                       SKIP_REGULAR_EXPRESSION "kernels that run on sm_90 alone"  # as the op says on another GPU
                       ENVIRONMENT "SIMCLR_TEST_DEVICE=cuda;SIMCLR_TEST_WGMMA=1")
endif()
if(Python3_FOUND AND TARGET train_cifar AND TARGET train_pairs)
  add_test(NAME test_loss_programs COMMAND Python3::Interpreter ${tests_source}/test_loss_programs.py)
  set_tests_properties(test_loss_programs PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT PROGRAMS=$<TARGET_FILE_DIR:train_cifar>)
endif()
