# Finds libwebp's headers and libraries and defines WEBP::WEBP: the decoder, and the library that takes files apart.
find_path(WEBP_INCLUDE_DIR webp/demux.h)
find_library(WEBP_LIBRARY webp)
find_library(WEBP_DEMUX_LIBRARY webpdemux)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(WEBP REQUIRED_VARS WEBP_LIBRARY WEBP_DEMUX_LIBRARY WEBP_INCLUDE_DIR)
set(WEBP_LIBRARIES ${WEBP_LIBRARY} ${WEBP_DEMUX_LIBRARY})
if(WEBP_FOUND AND NOT TARGET WEBP::WEBP)
  add_library(WEBP::WEBP UNKNOWN IMPORTED)
  # The second calls the first.
  set_target_properties(WEBP::WEBP PROPERTIES IMPORTED_LOCATION ${WEBP_DEMUX_LIBRARY}
                        INTERFACE_LINK_LIBRARIES ${WEBP_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${WEBP_INCLUDE_DIR})
endif()
mark_as_advanced(WEBP_INCLUDE_DIR WEBP_LIBRARY WEBP_DEMUX_LIBRARY)
