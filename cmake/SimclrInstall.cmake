# What `cmake --install` copies: the library, the public headers, and the package that find_package(simclr) reads.
# Public is every header of core, kernels, nn and data that does not open with "// Private". The components are those of
# the Debian packages (SimclrPackages.cmake); without one all is installed, but for the programs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS simclr EXPORT simclrTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(loaded_folder ${CMAKE_INSTALL_LIBDIR})
if(BUILD_SHARED_LIBS AND CMAKE_INSTALL_PREFIX STREQUAL "/usr")  # Debian wants no library without a SONAME there
  string(APPEND loaded_folder /simclr)
endif()
foreach(loaded mpi nccl)  # never linked
  if(TARGET simclr_${loaded})
    install(TARGETS simclr_${loaded} LIBRARY DESTINATION ${loaded_folder} COMPONENT ${loaded})
  endif()
endforeach()
foreach(folder core kernels nn data data/pictures data/sound data/text data/video data/pairs)
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  foreach(header IN LISTS headers)
    file(STRINGS ${header} private REGEX "^// Private" LIMIT_COUNT 1)
    if(NOT private)
      install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/simclr/${folder} COMPONENT development)
    endif()
  endforeach()
endforeach()
install(FILES ${include_root}/simclr/simclr.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/simclr
        COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/simclr COMPONENT licence)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/simclr)
install(EXPORT simclrTargets NAMESPACE simclr:: DESTINATION ${package_folder} COMPONENT development)
get_target_property(library_type simclr TYPE)
set(simclr_SHARED FALSE)
if(library_type STREQUAL "SHARED_LIBRARY")
  set(simclr_SHARED TRUE)
endif()
set(simclr_features ARCHIVE CUDA EMU FFMPEG JPEG MPI NCCL ONEDNN PNG SAMPLERATE SENTENCEPIECE SNDFILE TIFF WEBP ZLIB)
set(simclr_compiled_in ${SIMCLR_PRIVATE_DEFINITIONS})
list(TRANSFORM simclr_compiled_in REPLACE "^SIMCLR_HAVE_" "")
list(APPEND simclr_compiled_in ${SIMCLR_DEVICES})
if(TARGET simclr_mpi)
  list(APPEND simclr_compiled_in MPI)
endif()
if(TARGET simclr_nccl)
  list(APPEND simclr_compiled_in NCCL)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/simclrConfig.cmake.in ${PROJECT_BINARY_DIR}/simclrConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
# No ABI promise before 1.0: another minor version is another library.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/simclrConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/simclrConfig.cmake ${PROJECT_BINARY_DIR}/simclrConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindCUDNN.cmake ${PROJECT_SOURCE_DIR}/cmake/FindFFMPEG.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindOneDNN.cmake ${PROJECT_SOURCE_DIR}/cmake/FindSAMPLERATE.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindSENTENCEPIECE.cmake ${PROJECT_SOURCE_DIR}/cmake/FindSNDFILE.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindWEBP.cmake
        DESTINATION ${package_folder} COMPONENT development)
include(SimclrPkgConfig)
