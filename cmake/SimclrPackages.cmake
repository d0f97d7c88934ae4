# The Debian packages that `cpack` makes of this build, whose libraries are shared and whose prefix is /usr (the preset
# packages; scripts/packages runs both). A package is what the install rules put into one component:
#
#   library      libsimclr0.1, by the SONAME: two that do not fit each other lie side by side
#   development  libsimclr-dev
#   tools        simclr-tools
#   mpi          libsimclr-mpi, where MPI was found
#
# What they need of Debian is found by dpkg-shlibdeps; of each other they want the very version.
find_program(SIMCLR_DPKG dpkg)
if(NOT BUILD_SHARED_LIBS OR NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr" OR NOT SIMCLR_DPKG)
  return()
endif()
set(SIMCLR_MAINTAINER "The libsimclr authors <authors@libsimclr.invalid>" CACHE STRING
    "The maintainer whom the Debian packages name, NAME <ADDRESS>")

get_target_property(soversion simclr SOVERSION)
set(package_of_library libsimclr${soversion})
set(package_of_development libsimclr-dev)
set(package_of_tools simclr-tools)
set(package_of_mpi libsimclr-mpi)
set(CPACK_COMPONENTS_ALL library development)
if(SIMCLR_EXAMPLES)
  list(APPEND CPACK_COMPONENTS_ALL tools)
endif()
if(TARGET simclr_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # the first line of each description is one
set(summary "contrastive self-supervised learning")
set(about "libsimclr trains encoders of pictures, sounds, texts and clips\nwithout labels, by SimCLR and its relatives.\n")
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "${summary}: shared library\n${about}This package holds the library that programs load.")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "${summary}: headers
${about}This package holds the headers and what find_package(simclr) and
pkg-config read.")
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "${summary}: programs
${about}This package holds the programs that train, embed, probe, finetune
and export.")
set(CPACK_DEBIAN_MPI_DESCRIPTION "${summary}: several processes
${about}This package holds what the library loads where mpirun or srun
started several processes as one run.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION libs)
foreach(component development tools mpi)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${package_of_library} (= ${PROJECT_VERSION})")
endforeach()
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SUGGESTS ${package_of_mpi})
set(CPACK_DEBIAN_TOOLS_PACKAGE_SUGGESTS ${package_of_mpi})
set(CPACK_DEBIAN_MPI_PACKAGE_RECOMMENDS openmpi-bin)  # mpirun
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})  # libsimclr.so, for the programs

execute_process(COMMAND ${SIMCLR_DPKG} --print-architecture OUTPUT_VARIABLE CPACK_DEBIAN_PACKAGE_ARCHITECTURE
                OUTPUT_STRIP_TRAILING_WHITESPACE)
set(CPACK_GENERATOR DEB)
set(CPACK_SOURCE_GENERATOR "")
set(CPACK_PACKAGE_NAME libsimclr)
set(CPACK_DEBIAN_PACKAGE_SOURCE libsimclr)
set(CPACK_PACKAGE_CONTACT "${SIMCLR_MAINTAINER}")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS  # whatever the umask is
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# The licence, with those of the headers that are compiled in, and the changes, where Debian looks for them.
set(folder ${PROJECT_BINARY_DIR}/packages)
file(WRITE ${folder}/triggers "activate-noawait ldconfig\n")  # the linker's cache
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${folder}/triggers)
file(READ ${PROJECT_SOURCE_DIR}/LICENSE copyright)
foreach(headers libeigen3-dev nlohmann-json3-dev libcli11-dev libstb-dev)
  if(EXISTS /usr/share/doc/${headers}/copyright)
    file(READ /usr/share/doc/${headers}/copyright theirs)
    string(APPEND copyright "\n\nCode of Debian's package ${headers} is compiled in, of which its copyright file says:\n\n"
           "${theirs}")
  endif()
endforeach()
file(CONFIGURE OUTPUT ${folder}/copyright CONTENT "@copyright@" @ONLY)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${folder}/changelog "libsimclr (${PROJECT_VERSION}) unstable; urgency=medium

  * What is new stands in the CHANGELOG.md of libsimclr ${PROJECT_VERSION}.

 -- ${SIMCLR_MAINTAINER}  ${date}
")
execute_process(COMMAND gzip -9 --no-name --force ${folder}/changelog COMMAND_ERROR_IS_FATAL ANY)
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package_of_${component}})
  install(FILES ${folder}/copyright ${folder}/changelog.gz DESTINATION share/doc/${package_of_${component}}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
