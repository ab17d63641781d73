# Horovod 0.28.1 asks for C++14; the headers of torch 2.13 and of TensorFlow 2.21 need C++17. CMake reads this file before
# the first project() call, so the change is deferred to the end of the top folder, when the targets exist.
# gloo and the bindings must move together: alone, a binding fails to link
# ("multiple definition of gloo::rendezvous::Store::kDefaultTimeout").
# xla_mpi_ops.cc, whose operations are off by default, does not compile against TensorFlow 2.21.
function(aslspark_mend_horovod)
  foreach(target gloo pytorch tensorflow)
    if(TARGET ${target})
      set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
    endif()
  endforeach()
  if(TARGET tensorflow)
    get_target_property(sources tensorflow SOURCES)
    list(FILTER sources EXCLUDE REGEX "xla_mpi_ops")
    set_target_properties(tensorflow PROPERTIES SOURCES "${sources}")
  endif()
endfunction()
if(NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "CMakeFiles")
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL aslspark_mend_horovod)
endif()
