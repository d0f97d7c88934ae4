# The program as it is run, on small data sets. Label: unit.
if(Python3_FOUND AND TARGET train_cifar)
  add_test(NAME test_train_cifar COMMAND Python3::Interpreter ${tests_source}/test_train_cifar.py)
  set_tests_properties(test_train_cifar PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_data_sets COMMAND Python3::Interpreter ${tests_source}/test_data_sets.py)
  set_tests_properties(test_data_sets PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_resume COMMAND Python3::Interpreter ${tests_source}/test_resume.py)
  set_tests_properties(test_resume PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_config COMMAND Python3::Interpreter ${tests_source}/test_config.py)
  set_tests_properties(test_config PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_nothing_lost COMMAND Python3::Interpreter ${tests_source}/test_nothing_lost.py)
  set_tests_properties(test_nothing_lost PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT "PROGRAMS=$<TARGET_FILE_DIR:train_cifar>")
  add_test(NAME test_own_pictures COMMAND Python3::Interpreter ${tests_source}/test_own_pictures.py)
  set_tests_properties(test_own_pictures PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_evaluation_parts COMMAND Python3::Interpreter ${tests_source}/test_evaluation_parts.py)
  set_tests_properties(test_evaluation_parts PROPERTIES LABELS unit TIMEOUT 1200 ENVIRONMENT
                       "TRAIN_CIFAR=$<TARGET_FILE:train_cifar>;FINETUNE=$<TARGET_FILE:finetune>;LINEAR_PROBE=$<TARGET_FILE:linear_probe>")
  add_test(NAME test_folder_parts COMMAND Python3::Interpreter ${tests_source}/test_folder_parts.py)
  set_tests_properties(test_folder_parts PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  add_test(NAME test_list_programs COMMAND Python3::Interpreter ${tests_source}/test_list_programs.py)
  set_tests_properties(test_list_programs PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT "PROGRAMS=$<TARGET_FILE_DIR:train_cifar>")
  set(with_npz 0)
  if(LibArchive_FOUND)
    set(with_npz 1)
    add_test(NAME test_numpy_arrays COMMAND Python3::Interpreter ${tests_source}/test_numpy_arrays.py)
    set_tests_properties(test_numpy_arrays PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77
                         ENVIRONMENT "PROGRAMS=$<TARGET_FILE_DIR:train_cifar>")
    add_test(NAME test_shard_programs COMMAND Python3::Interpreter ${tests_source}/test_shard_programs.py)
    set_tests_properties(test_shard_programs PROPERTIES LABELS unit TIMEOUT 1200 ENVIRONMENT
                         "TRAIN_CIFAR=$<TARGET_FILE:train_cifar>;LINEAR_PROBE=$<TARGET_FILE:linear_probe>;EMBED=$<TARGET_FILE:embed>;NEAREST=$<TARGET_FILE:nearest>")
  endif()
  add_test(NAME test_array_sets COMMAND Python3::Interpreter ${tests_source}/test_array_sets.py)
  set_tests_properties(test_array_sets PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77
                       ENVIRONMENT "TRAIN_CIFAR=$<TARGET_FILE:train_cifar>;WITH_NPZ=${with_npz}")
  if(NOT SIMCLR_SANITIZE)  # whose programs are too slow for these
    add_test(NAME test_check COMMAND Python3::Interpreter ${tests_source}/test_check.py)
    set_tests_properties(test_check PROPERTIES LABELS unit TIMEOUT 1200
                         ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
    if("SIMCLR_HAVE_TIFF" IN_LIST SIMCLR_PRIVATE_DEFINITIONS)
      add_test(NAME test_channels COMMAND Python3::Interpreter ${tests_source}/test_channels.py)
      set_tests_properties(test_channels PROPERTIES LABELS unit TIMEOUT 1200
                           ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
    endif()
    add_test(NAME test_kills COMMAND Python3::Interpreter ${tests_source}/test_kills.py)
    set_tests_properties(test_kills PROPERTIES LABELS "unit;slow" TIMEOUT 1200
                         ENVIRONMENT TRAIN_CIFAR=$<TARGET_FILE:train_cifar>)
  endif()
  if(SIMCLR_EMU)
    add_test(NAME emu_train_cifar COMMAND Python3::Interpreter ${tests_source}/test_train_device.py)
    set_tests_properties(emu_train_cifar PROPERTIES LABELS emu TIMEOUT 900
                         ENVIRONMENT "TRAIN_CIFAR=$<TARGET_FILE:train_cifar>;TRAIN_DEVICE=emu")
  endif()
endif()

# Inputs that lie beside the project, where they are there. Label: unit.
if(Python3_FOUND AND TARGET train_cifar)
  foreach(library JPEG WEBP)
    set(with_${library} 0)
    if(SIMCLR_HAVE_${library} IN_LIST SIMCLR_PRIVATE_DEFINITIONS)
      set(with_${library} 1)
    endif()
  endforeach()
  add_test(NAME test_cases COMMAND Python3::Interpreter ${tests_source}/test_cases.py)
  set_tests_properties(test_cases PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                       "PROGRAMS=$<TARGET_FILE_DIR:train_cifar>;WITH_JPEG=${with_JPEG};WITH_WEBP=${with_WEBP}")
endif()

add_executable(read_pictures support/read_pictures.cpp)
target_link_libraries(read_pictures PRIVATE simclr::simclr simclr_build_flags)
set(image_libraries ${SIMCLR_PRIVATE_DEFINITIONS})
list(FILTER image_libraries INCLUDE REGEX "JPEG|PNG|TIFF|WEBP")
list(LENGTH image_libraries image_libraries)
if(Python3_FOUND AND image_libraries EQUAL 4)
  add_test(NAME test_image_formats COMMAND Python3::Interpreter ${tests_source}/test_image_formats.py)
  set_tests_properties(test_image_formats PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                       "READ_PICTURES=$<TARGET_FILE:read_pictures>")
endif()

add_executable(read_sounds support/read_sounds.cpp)
target_link_libraries(read_sounds PRIVATE simclr::simclr simclr_build_flags)
if(Python3_FOUND)
  set(resamples 0)
  if(SAMPLERATE_FOUND)
    set(resamples 1)
  endif()
  add_test(NAME test_sound_data COMMAND Python3::Interpreter ${tests_source}/test_sound_data.py)
  set_tests_properties(test_sound_data PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                       "READ_SOUNDS=$<TARGET_FILE:read_sounds>;RESAMPLES=${resamples}")
  if(TARGET train_speech)
    add_test(NAME test_sound_programs COMMAND Python3::Interpreter ${tests_source}/test_sound_programs.py)
    set_tests_properties(test_sound_programs PROPERTIES LABELS unit TIMEOUT 1200 ENVIRONMENT
                         "PROGRAMS=$<TARGET_FILE_DIR:train_speech>;RESAMPLES=${resamples}")
  endif()
endif()

if(Python3_FOUND AND TARGET train_text)
  add_test(NAME test_text_data COMMAND Python3::Interpreter ${tests_source}/test_text_data.py)
  set_tests_properties(test_text_data PROPERTIES LABELS unit TIMEOUT 600 SKIP_RETURN_CODE 77
                       ENVIRONMENT TRAIN_TEXT=$<TARGET_FILE:train_text>)
  add_test(NAME test_text_programs COMMAND Python3::Interpreter ${tests_source}/test_text_programs.py)
  set_tests_properties(test_text_programs PROPERTIES LABELS unit TIMEOUT 600
                       ENVIRONMENT PROGRAMS=$<TARGET_FILE_DIR:train_text>)
endif()

# Clips and the programs that train on them. Label: unit.
if(Python3_FOUND AND TARGET train_video)
  add_test(NAME test_clip_programs COMMAND Python3::Interpreter ${tests_source}/test_clip_programs.py)
  set(video_tool "")
  if(FFMPEG_FOUND)
    add_executable(video_tool support/video_tool.cpp)
    target_link_libraries(video_tool PRIVATE simclr_test_support FFMPEG::FFMPEG)
    set(video_tool ";VIDEO_TOOL=$<TARGET_FILE:video_tool>")
  endif()
  set_tests_properties(test_clip_programs PROPERTIES LABELS unit TIMEOUT 1200 ENVIRONMENT
                       "PROGRAMS=$<TARGET_FILE_DIR:train_video>${video_tool}")
endif()

# What is said of data that a run was trained on. Label: unit.
if(Python3_FOUND AND TARGET train_video AND TARGET train_speech)
  add_test(NAME test_parts_of_a_run COMMAND Python3::Interpreter ${tests_source}/test_parts_of_a_run.py)
  set_tests_properties(test_parts_of_a_run PROPERTIES LABELS unit TIMEOUT 1200
                       ENVIRONMENT PROGRAMS=$<TARGET_FILE_DIR:train_video>)
endif()

if(Python3_FOUND AND TARGET train_pairs)
  add_test(NAME test_pair_data COMMAND Python3::Interpreter ${tests_source}/test_pair_data.py)
  set_tests_properties(test_pair_data PROPERTIES LABELS unit TIMEOUT 900 SKIP_RETURN_CODE 77 ENVIRONMENT
                       "TRAIN_PAIRS=$<TARGET_FILE:train_pairs>;NEAREST=$<TARGET_FILE:nearest>")
  add_test(NAME test_pair_programs COMMAND Python3::Interpreter ${tests_source}/test_pair_programs.py)
  set(with_shards 0)
  if(LibArchive_FOUND)
    set(with_shards 1)
  endif()
  set_tests_properties(test_pair_programs PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT
                       "PROGRAMS=$<TARGET_FILE_DIR:train_pairs>;WITH_SHARDS=${with_shards}")
endif()

# The programs that use a trained encoder, and weights for and from torchvision. Label: unit.
if(Python3_FOUND AND TARGET train_cifar)
  add_executable(write_tensors support/write_tensors.cpp)
  target_link_libraries(write_tensors PRIVATE simclr::simclr simclr_build_flags)
  foreach(test encoder_programs few_labels data_of_a_run torchvision)
    add_test(NAME test_${test} COMMAND Python3::Interpreter ${tests_source}/test_${test}.py)
    set_tests_properties(test_${test} PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                         "PROGRAMS=$<TARGET_FILE_DIR:train_cifar>;WRITE_TENSORS=$<TARGET_FILE:write_tensors>")
  endforeach()
endif()
