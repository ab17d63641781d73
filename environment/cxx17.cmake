# Horovod 0.28.1 asks for C++14; torch 2.13's headers need C++17. CMake reads this file before the first
# project() call, so the change is deferred to the end of the top folder, when the targets exist.
# gloo and the torch binding must move together: alone, the binding fails to link
# ("multiple definition of gloo::rendezvous::Store::kDefaultTimeout").
function(aslspark_require_cxx17)
  foreach(target gloo pytorch)
    if(TARGET ${target})
      set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
    endif()
  endforeach()
endfunction()
if(NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "CMakeFiles")
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL aslspark_require_cxx17)
endif()
